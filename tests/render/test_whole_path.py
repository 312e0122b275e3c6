"""From what people ask for to the stored picture, with the real engine: uploads, LoRA, ControlNet, repeat."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from diffusers import ZImageControlNetModel, ZImageTransformer2DModel
from django.utils import timezone
from PIL import Image

from studio import storage
from studio.domain.guides import ControlKind, ControlRequest, InputRole, LoraRequest, StartRequest
from studio.domain.modelcard import ModelCard
from studio.domain.spec import Target
from studio.models import Asset, ModelKind, RenderInput
from studio.render.zimage import ZImageRenderer
from studio.services import inputs, models, rendering, renders
from tests import tiny, tiny_files
from tests.conftest import Cast
from tests.factories import balance, render_request, worker
from tests.render.conftest import CPU

pytestmark = pytest.mark.django_db
CARD = ModelCard("Tiny", max_pixels=512 * 512)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("whole") / "tiny")


def control_file(path: Path) -> Path:
    """A random ControlNet 2.1 for the tiny model."""
    network = ZImageControlNetModel(
        control_layers_places=[0], control_refiner_layers_places=[0], control_in_dim=33, dim=32, n_refiner_layers=1,
        add_control_noise_refiner="control_noise_refiner", n_heads=1, n_kv_heads=1)
    tiny_files.randomize(network, 2)
    return tiny_files.save(tiny_files.controlnet_tensors(network), path)


@pytest.fixture
def renderer(cast: Cast, folder: Path, tmp_path: Path) -> ZImageRenderer:
    """The active model of the registry, with a LoRA and a ControlNet beside it."""
    models.add(name="tiny", paths={"folder": folder})
    models.activate(name="tiny")
    worker("worker-1")
    found = ZImageRenderer(models.checked(models.chosen()), CPU)
    transformer = ZImageTransformer2DModel.from_pretrained(folder / "transformer")
    added = tiny_files.lora(transformer, tiny_files.block_layers("layers.0"))
    models.add(name="tea", kind=ModelKind.LORA, paths={"file": tiny_files.save(added, tmp_path / "tea.safetensors")})
    models.add(name="union", kind=ModelKind.CONTROLNET, paths={"file": control_file(tmp_path / "union.safetensors")})
    return found


def bring(cast: Cast, role: InputRole, image: Image.Image) -> RenderInput:
    out = BytesIO()
    image.save(out, "PNG")
    return inputs.add(user=cast.marketer, campaign=cast.campaign, role=role, data=out.getvalue())


def render(cast: Cast, renderer: ZImageRenderer, **fields: Any) -> Asset:
    renders.request_render(
        user=cast.marketer, campaign=cast.campaign, card=CARD, request_key=uuid4(), today=timezone.localdate(),
        request=render_request(**({"targets": (Target("", 90, 70),), "count": 1, "seed": 4} | fields)))
    return finish(renderer)


def finish(renderer: ZImageRenderer) -> Asset:
    assert rendering.run_next(renderer, "worker-1")
    return Asset.objects.select_related("job__batch").latest("pk")


def pixels(asset: Asset) -> np.ndarray[Any, Any]:
    with storage.open_file(asset.file_key) as file:
        return np.asarray(Image.open(BytesIO(file.read())).convert("RGB"))


def test_everything_at_once_and_once_more(cast: Cast, renderer: ZImageRenderer) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    drawn = Image.new("L", (90, 70))
    drawn.paste(255, (20, 15, 61, 50))
    source = bring(cast, InputRole.IMAGE, Image.fromarray(noise))
    mask = bring(cast, InputRole.MASK, drawn)
    edges = bring(cast, InputRole.CONTROL, Image.fromarray(noise).resize((180, 140)))
    asset = render(
        cast, renderer, start=StartRequest(source.pk, mask.pk, 0.9), loras=(LoraRequest("tea", 0.8),),
        control=ControlRequest(ControlKind.CANNY, edges.pk, 0.7))
    after, kept = pixels(asset), np.asarray(drawn) == 0
    assert after.shape == (70, 90, 3)
    assert (after[kept] == noise[kept]).all() and (after[~kept] != noise[~kept]).any(axis=1).mean() > 0.9
    recipe = asset.recipe
    assert recipe["task"] == "inpaint" and recipe["run_steps"] == 8 and len(recipe["timings"]["steps"]) == 8
    assert recipe["loras"][0]["name"] == "tea" and len(recipe["loras"][0]["sha256"]) == 64
    assert recipe["control"]["kind"] == "canny" and recipe["control"]["model"] == "union"
    assert len(recipe["checksum"]) == 64 and recipe["precision"] == "fp32"
    renders.again(user=cast.marketer, asset=asset, card=CARD, today=timezone.localdate())
    repeated = finish(renderer)
    assert repeated.recipe["pixels"] == recipe["pixels"] and (pixels(repeated) == after).all()
    assert balance(cast.team) == (0, 2)


def test_each_addition_changes_the_picture_and_leaves_the_next_one_alone(
    cast: Cast, renderer: ZImageRenderer
) -> None:
    plain = render(cast, renderer).recipe["pixels"]
    with_lora = render(cast, renderer, loras=(LoraRequest("tea", 1.0),)).recipe["pixels"]
    depth = bring(cast, InputRole.CONTROL, Image.linear_gradient("L").resize((90, 70)).convert("RGB"))
    with_map = render(cast, renderer, control=ControlRequest(ControlKind.DEPTH, depth.pk, 1.0)).recipe["pixels"]
    assert len({plain, with_lora, with_map}) == 3
    assert render(cast, renderer).recipe["pixels"] == plain


def test_a_lora_that_was_removed_meanwhile_fails_the_job_and_costs_nothing(
    cast: Cast, renderer: ZImageRenderer
) -> None:
    renders.request_render(
        user=cast.marketer, campaign=cast.campaign, card=CARD, request_key=uuid4(), today=timezone.localdate(),
        request=render_request(targets=(Target("", 64, 64),), count=1, loras=(LoraRequest("tea", 1.0),)))
    models.remove(name="tea")
    assert rendering.run_next(renderer, "worker-1")
    job = cast.campaign.jobs.get()
    assert job.status == "failed" and "tea" in str(job.error) and balance(cast.team) == (0, 0)
