"""A render that starts from something, from the request to the delivered pixels."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from PIL import Image

from studio import placing, storage
from studio.domain.errors import Conflict, Invalid, RenderError
from studio.domain.guides import ControlKind, ControlRequest, InputRole, LoraRequest, StartRequest, Weights
from studio.domain.modelcard import ModelCard
from studio.domain.spec import Target
from studio.models import Asset, RenderBatch, RenderInput, RenderJob
from studio.services import guides, inputs, rendering, renders, workers
from tests.conftest import Cast
from tests.factories import CARD, TRAINED, balance, ledger, mask, picture, render_request, worker
from tests.services.fake import FlatRenderer

LORA = Weights("tea", Path("/models/tea.safetensors"), "11" * 32)
UNION = Weights("Union", Path("/models/union.safetensors"), "22" * 32)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guides, "installed_loras", lambda: {"tea": LORA})
    monkeypatch.setattr(guides, "installed_control", lambda: UNION)


def bring(cast: Cast, role: InputRole, data: bytes) -> RenderInput:
    return inputs.add(user=cast.marketer, campaign=cast.campaign, role=role, data=data)


def ask(cast: Cast, *, card: ModelCard = CARD, **fields: Any) -> RenderBatch:
    return renders.request_render(
        user=cast.marketer, campaign=cast.campaign, card=card, request_key=uuid4(), today=timezone.localdate(),
        request=render_request(**({"targets": (Target("", 90, 60),), "count": 1} | fields)))


def rendered(renderer: FlatRenderer | None = None) -> tuple[Asset, FlatRenderer]:
    renderer = renderer or FlatRenderer()
    assert rendering.run_next(renderer, "worker-1")
    return Asset.objects.select_related("job__batch", "campaign__team").latest("pk"), renderer


def delivered(asset: Asset) -> Image.Image:
    with storage.open_file(asset.file_key) as file:
        return Image.open(BytesIO(file.read())).convert("RGB")


def test_words_alone_are_as_before(cast: Cast) -> None:
    ask(cast)
    asset, renderer = rendered()
    assert (asset.job.render_width, renderer.specs[0].task, renderer.specs[0].image) == (256, "text", None)
    assert asset.recipe["task"] == "text" and "source" not in asset.recipe and len(asset.recipe["pixels"]) == 64


def test_a_picture_is_started_from(cast: Cast) -> None:
    source = bring(cast, InputRole.IMAGE, picture(size=(300, 200)))
    batch = ask(cast, start=StartRequest(source.pk, strength=0.5))
    assert (batch.task, batch.source, batch.strength, batch.run_steps) == ("image", source, 0.5, 4)
    asset, renderer = rendered()
    spec = renderer.specs[0]
    # The shape is kept also with a model of one size.
    assert (spec.render_width, spec.render_height, spec.task, spec.strength) == (96, 64, "image", 0.5)
    assert spec.image and spec.image.mode == "RGB" and spec.image.size == (96, 64) and spec.mask is None
    assert asset.job.step == 4 and delivered(asset).size == (90, 60)
    assert {name: asset.recipe[name] for name in ("task", "strength", "run_steps", "source")} == {
        "task": "image", "strength": 0.5, "run_steps": 4, "source": {"id": str(source.pk), "sha256": source.sha256}}


@pytest.mark.parametrize(("size", "target"), [
    ((300, 200), (90, 60)), ((64, 48), (64, 48)), ((100, 300), (90, 60)), ((64, 48), (16, 16)),
])
def test_what_the_mask_keeps_is_the_source_byte_for_byte(
    cast: Cast, size: tuple[int, int], target: tuple[int, int],
) -> None:
    width, height = size
    data = picture(size=size)
    box = (width // 4, height // 4, width // 2, height // 2)
    source, drawn = bring(cast, InputRole.IMAGE, data), bring(cast, InputRole.MASK, mask(size, box))
    ask(cast, targets=(Target("", *target),), start=StartRequest(source.pk, drawn.pk, strength=1.0))
    asset, renderer = rendered()
    spec, found = renderer.specs[0], delivered(asset)
    assert spec.task == "inpaint" and spec.mask and spec.mask.mode == "L"
    assert spec.mask.size == (spec.render_width, spec.render_height) and set(spec.mask.tobytes()) <= {0, 255}
    placed = placing.cover(placing.read(data), *target)
    area = placing.cover(placing.as_mask(placing.read(mask(size, box), mask=True), size), *target)
    kept = [(x, y) for x in range(target[0]) for y in range(target[1]) if area.getpixel((x, y)) == 0]
    assert kept and all(found.getpixel(at) == placed.getpixel(at) for at in kept)
    painted = [(x, y) for x in range(target[0]) for y in range(target[1]) if area.getpixel((x, y)) == 255]
    assert painted and all(found.getpixel(at) == (7, 90, 200) for at in painted)
    assert asset.recipe["mask"] == {"id": str(drawn.pk), "sha256": drawn.sha256}


def test_a_mask_of_another_size_lies_over_the_whole_picture(cast: Cast) -> None:
    source, drawn = bring(cast, InputRole.IMAGE, picture(size=(128, 128))), bring(
        cast, InputRole.MASK, mask((32, 64), (0, 0, 16, 64)))
    ask(cast, targets=(Target("", 64, 64),), start=StartRequest(source.pk, drawn.pk))
    found = delivered(rendered()[0])
    assert found.getpixel((10, 40)) == (7, 90, 200) != found.getpixel((40, 40))


@pytest.mark.parametrize("kind", ControlKind)
def test_a_control_map_reaches_the_engine(cast: Cast, installed: None, kind: ControlKind) -> None:
    row = bring(cast, InputRole.CONTROL, picture(size=(96, 64)))
    batch = ask(cast, control=ControlRequest(kind, row.pk, 0.5))
    assert (batch.control_kind, batch.control_scale, batch.control_input) == (kind, 0.5, row)
    asset, renderer = rendered()
    spec = renderer.specs[0]
    assert (spec.task, spec.render_width, spec.render_height) == ("text", 96, 64)
    assert spec.control and spec.control.kind == kind and spec.control.weights == UNION and spec.control.scale == 0.5
    assert spec.control.image.size == (96, 64) and spec.control.image.mode == "RGB"
    colors = {color for _count, color in spec.control.image.getcolors(10**6) or []}
    assert (colors <= {(0, 0, 0), (255, 255, 255)}) == (kind == ControlKind.CANNY)
    assert asset.recipe["control"] == {
        "kind": kind, "scale": 0.5, "model": "Union", "sha256": UNION.sha256,
        "input": {"id": str(row.pk), "sha256": row.sha256}}


def test_loras_reach_the_engine_with_their_weights(cast: Cast, installed: None) -> None:
    batch = ask(cast, loras=(LoraRequest("tea", -0.5),))
    assert batch.loras == [{"name": "tea", "weight": -0.5}]
    asset, renderer = rendered()
    assert [(one.weights, one.weight) for one in renderer.specs[0].loras] == [(LORA, -0.5)]
    assert asset.recipe["loras"] == [{"name": "tea", "weight": -0.5, "sha256": LORA.sha256}]


def test_guidance_and_a_negative_prompt_reach_the_engine(cast: Cast) -> None:
    ask(cast, card=ModelCard("Base", family="base"), guidance=4.0, negative=" blur ")
    asset, renderer = rendered()
    assert (renderer.specs[0].guidance, renderer.specs[0].negative) == (4.0, "blur")
    assert (asset.recipe["guidance"], asset.recipe["negative"]) == (4.0, "blur")


@pytest.mark.parametrize(("fields", "field"), [
    ({"guidance": 1.0}, "guidance"), ({"loras": (LoraRequest("tea"),)}, "loras"),
    ({"control": ControlRequest(ControlKind.DEPTH, uuid4())}, "control_kind"),
    ({"start": StartRequest(uuid4())}, "source"),
])
def test_what_cannot_be_done_here_is_refused_and_nothing_queued(
    cast: Cast, fields: dict[str, Any], field: str,
) -> None:
    with pytest.raises(Invalid) as caught:
        ask(cast, **fields)
    assert caught.value.field == field
    assert not RenderBatch.objects.exists() and balance(cast.team) == (0, 0)
    cast.campaign.refresh_from_db()
    assert cast.campaign.batch_count == 0


@pytest.mark.parametrize("gone", ["file", "damaged", "lora", "control"])
def test_what_is_gone_at_render_time_is_a_failed_job_without_a_charge(
    cast: Cast, installed: None, monkeypatch: pytest.MonkeyPatch, gone: str,
) -> None:
    source, led = bring(cast, InputRole.IMAGE, picture()), bring(cast, InputRole.CONTROL, picture(size=(70, 70)))
    batch = ask(cast, start=StartRequest(source.pk), loras=(LoraRequest("tea"),),
                control=ControlRequest(ControlKind.CANNY, led.pk))
    if gone in ("file", "damaged"):
        storage.delete(source.file_key)
    if gone == "damaged":
        storage.put(source.file_key, b"no picture", "image/png")
    if gone == "lora":
        monkeypatch.setattr(guides, "installed_loras", dict)
    if gone == "control":
        monkeypatch.setattr(guides, "installed_control", lambda: None)
    renderer = FlatRenderer()
    assert rendering.run_next(renderer, "worker-1") and renderer.specs == []
    found = batch.jobs.get()
    assert found.status == "failed" and found.error and found.error["code"] != "unexpected"
    assert ledger(found) == ["reserve", "release"]


def test_a_lora_that_is_gone_has_a_name(db: None) -> None:
    with pytest.raises(RenderError, match="tea"):
        guides.lora("tea")


def test_a_retry_keeps_everything(cast: Cast, installed: None) -> None:
    source, drawn = bring(cast, InputRole.IMAGE, picture()), bring(cast, InputRole.MASK, mask())
    led = bring(cast, InputRole.CONTROL, picture(size=(70, 70)))
    base = ModelCard("Base", family="base")
    first = ask(cast, card=base, start=StartRequest(source.pk, drawn.pk, 0.7), loras=(LoraRequest("tea", 0.5),),
                control=ControlRequest(ControlKind.POSE, led.pk, 0.9), guidance=3.0, negative="blur", steps=9)
    found = first.jobs.get()
    renders.cancel(user=cast.marketer, jobs=[found])
    found.refresh_from_db()
    second = renders.retry(user=cast.marketer, job=found, card=base, today=timezone.localdate())
    for name in ("source", "mask", "strength", "control_input", "control_kind", "control_scale", "loras", "guidance",
                 "negative", "steps", "sampler", "prompt", "seed"):
        assert getattr(second, name) == getattr(first, name), name


# --- render again -----------------------------------------------------------------------------------
def once_more(cast: Cast, asset: Asset, card: ModelCard = CARD) -> RenderBatch:
    return renders.again(user=cast.marketer, asset=asset, card=card, today=timezone.localdate())


def test_again_is_the_same_picture(cast: Cast) -> None:
    source = bring(cast, InputRole.IMAGE, picture())
    ask(cast, count=2, seed=40, start=StartRequest(source.pk, strength=0.8))
    rendered()
    second, renderer = rendered()
    batch = once_more(cast, second)
    [again] = batch.jobs.all()
    assert (batch.again_of, batch.count, again.seed) == (second, 1, 41)
    repeated, renderer = rendered(renderer)
    (first_spec, again_spec) = renderer.specs
    assert first_spec.image and again_spec.image and first_spec.image.tobytes() == again_spec.image.tobytes()
    assert repeated.recipe["pixels"] == second.recipe["pixels"]


def test_again_renders_at_the_size_of_then_whatever_the_model_would_choose_now(cast: Cast) -> None:
    ask(cast)
    asset, _ = rendered()
    batch = once_more(cast, asset, ModelCard("Another", max_pixels=64 * 64))
    assert RenderJob.objects.filter(batch=batch).values_list("render_width", "render_height").get() == (256, 256)


def test_again_takes_another_size_when_the_model_was_not_trained_for_that_of_then(cast: Cast) -> None:
    ask(cast)
    asset, _ = rendered()
    [job] = once_more(cast, asset, TRAINED).jobs.all()
    assert (job.render_width, job.render_height) == TRAINED.render_size(90, 60) != (256, 256)
    source = bring(cast, InputRole.IMAGE, picture())
    ask(cast, start=StartRequest(source.pk))  # the shape is kept: 96 × 64, and 96 is no multiple of 64
    rendered()
    asset, _ = rendered()
    [job] = once_more(cast, asset, TRAINED).jobs.all()
    assert (job.render_width, job.render_height) == TRAINED.render_size(90, 60, from_picture=True)


def test_again_pressed_twice_is_one_batch_until_it_has_ended(cast: Cast) -> None:
    ask(cast)
    asset, _ = rendered()
    first = once_more(cast, asset)
    assert once_more(cast, asset) == first
    rendered()
    assert once_more(cast, asset) != first


def test_again_in_an_archived_campaign_is_refused(cast: Cast) -> None:
    ask(cast)
    asset, _ = rendered()
    type(cast.campaign).objects.update(status="archived")
    with pytest.raises(Conflict):
        once_more(cast, asset)


def test_the_provenance_of_what_renders_now_is_known(cast: Cast) -> None:
    assert workers.provenance() == {}
    worker("gone", state="stopped", provenance={"torch": "1"})
    assert workers.provenance() == {"torch": "1"}
    worker("here", state="starting")
    workers.ready("here", device="CPU", model_name="Demo", provenance={"torch": "2"})
    assert workers.provenance() == {"torch": "2"}
