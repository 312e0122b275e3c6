from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from PIL import Image

from studio import storage
from studio.domain.errors import Forbidden, Invalid
from studio.domain.guides import InputRole, StartRequest
from studio.models import RenderBatch, RenderInput
from studio.services import inputs
from tests.conftest import Cast
from tests.factories import BatchFactory, asset, mask, picture, render_input, render_request

IMAGE, MASK, CONTROL = InputRole


def add(cast: Cast, data: bytes, role: InputRole = IMAGE, **who: Any) -> RenderInput:
    fields: dict[str, Any] = {"user": cast.marketer, "campaign": cast.campaign, "role": role, "data": data}
    return inputs.add(**(fields | who))


def old(row: RenderInput) -> None:
    RenderInput.objects.filter(pk=row.pk).update(used_at=timezone.now() - inputs.UNUSED - timedelta(minutes=1))


@pytest.fixture(autouse=True)
def _no_files() -> None:
    """What other tests have stored."""
    for key, _when in list(storage.list_keys("inputs")):
        storage.delete(key)


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stored file looks a day old."""
    listed = storage.list_keys
    monkeypatch.setattr(storage, "list_keys", lambda prefix: (
        (key, when - inputs.UNUSED - timedelta(minutes=1)) for key, when in listed(prefix)))


def test_a_picture_is_kept_as_plain_png_of_its_team(cast: Cast) -> None:
    row = add(cast, picture("RGB", (40, 30), kind="JPEG"))
    assert (row.role, row.width, row.height, row.uploaded_by) == ("image", 40, 30, cast.marketer)
    assert row.file_key == f"inputs/{cast.team.pk}/{row.sha256}.png"
    with Image.open(BytesIO(inputs.read(row))) as found:
        assert (found.format, found.mode, found.size) == ("PNG", "RGB", (40, 30))


def test_a_mask_is_kept_in_grey(cast: Cast) -> None:
    with Image.open(BytesIO(inputs.read(add(cast, mask(), MASK)))) as found:
        assert found.mode == "L"


def test_the_same_picture_again_is_the_same_row(cast: Cast) -> None:
    data = picture()
    first = add(cast, data)
    old(first)
    assert add(cast, data).pk == first.pk and add(cast, data, CONTROL).pk != first.pk
    assert RenderInput.objects.get(pk=first.pk).used_at > timezone.now() - timedelta(minutes=1)
    assert RenderInput.objects.count() == 2


def test_a_file_that_a_sweep_took_meanwhile_is_written_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    put = storage.put
    lost: list[str] = []

    def put_and_lose(key: str, data: bytes, kind: str) -> str:
        put(key, data, kind)
        if not lost:
            lost.append(key)
            storage.delete(key)
        return key

    monkeypatch.setattr(storage, "put", put_and_lose)
    assert inputs.read(add(cast, picture())) and lost


def test_viewers_and_strangers_bring_nothing(cast: Cast) -> None:
    for user in (cast.viewer, cast.stranger):
        with pytest.raises(Forbidden):
            add(cast, picture(), user=user)
    assert not RenderInput.objects.exists() and not list(storage.list_keys(f"inputs/{cast.team.pk}"))


def test_a_bad_file_leaves_nothing(cast: Cast) -> None:
    with pytest.raises(Invalid):
        add(cast, b"no picture")
    assert not RenderInput.objects.exists()


def test_a_finished_picture_is_taken_over(cast: Cast) -> None:
    made = asset(cast.campaign)
    storage.put(made.file_key, picture(), "image/png")
    row = inputs.add_asset(user=cast.marketer, campaign=cast.campaign, asset=made)
    assert row.role == "image" and inputs.read(row)


@pytest.mark.parametrize("wrong", ["nobody's", "another team's", "another campaign's", "a mask"])
def test_only_the_campaigns_own_pictures_can_be_used(cast: Cast, wrong: str) -> None:
    found = {
        "nobody's": uuid4(), "another team's": render_input(cast.other_campaign).pk,
        "another campaign's": render_input(BatchFactory.create().campaign).pk,
        "a mask": render_input(cast.campaign, role="mask").pk}[wrong]
    with pytest.raises(Invalid) as caught:
        inputs.chosen(campaign=cast.campaign, request=render_request(start=StartRequest(found)))
    assert caught.value.field == "source"


def test_a_sweep_takes_what_no_render_used_for_a_day(cast: Cast, aged: None) -> None:
    rows = [add(cast, picture(size=(40, 40 + n))) for n in range(5)]
    used, masked, led, unused, fresh = rows
    # Rows of other roles, made past the service.
    RenderInput.objects.filter(pk=masked.pk).update(role="mask")
    RenderInput.objects.filter(pk=led.pk).update(role="control")
    BatchFactory.create(campaign=cast.campaign, source=used, mask=masked, strength=0.5, control_input=led,
                        control_kind="depth", control_scale=1.0)
    for row in (used, masked, led, unused):
        old(row)
    assert inputs.sweep() == 1
    assert set(RenderInput.objects.all()) == {used, masked, led, fresh}
    for row in (used, masked, led, fresh):
        assert inputs.read(row)
    with pytest.raises(storage.FileMissing):
        inputs.read(unused)
    assert inputs.sweep() == 0


def test_a_file_that_two_rows_name_stays_with_one(cast: Cast, aged: None) -> None:
    first, second = add(cast, picture()), add(cast, picture(), CONTROL)
    assert first.file_key == second.file_key
    old(first)
    assert inputs.sweep() == 0 and inputs.read(second)
    assert not RenderInput.objects.filter(pk=first.pk).exists()


def test_a_young_file_without_a_row_stays(cast: Cast) -> None:
    key = storage.put(storage.input_key(cast.team.pk, "a" * 64), picture(), "image/png")
    assert inputs.sweep() == 0 and storage.exists(key)


def test_files_of_strange_names_are_survived(cast: Cast, aged: None) -> None:
    storage.put("inputs/odd/x.png", b"x", "image/png")
    storage.put("inputs/lonely", b"x", "image/png")
    assert inputs.sweep() == 2


def test_a_batch_holds_its_pictures(cast: Cast) -> None:
    row = render_input(cast.campaign)
    BatchFactory.create(campaign=cast.campaign, source=row, strength=0.5)
    assert RenderBatch.objects.get().task == "image" and not inputs._unused().exists()
