from __future__ import annotations

from io import BytesIO

import pytest
from django.urls import reverse
from PIL import Image

from studio import storage
from studio.domain.spec import Rendered, RenderSpec
from studio.models import AdFormat, Asset
from studio.services import exports, rendering
from tests.conftest import Cast, SignIn
from tests.factories import ad_format, asset, job, picture
from tests.services.fake import FlatRenderer

pytestmark = pytest.mark.django_db


class White(FlatRenderer):
    """Nothing but white."""

    def render(self, spec: RenderSpec, on_step: object) -> Rendered:
        made = super().render(spec, on_step)  # type: ignore[arg-type]  # passed on as it came
        return Rendered(Image.new("RGB", made.image.size, "white"), made.timings, made.prompt_tokens, made.truncated)


@pytest.mark.parametrize(("renderer", "flags"), [(FlatRenderer, ["background"]), (White, [])])
def test_a_white_background_that_is_asked_for_is_looked_at(
    cast: Cast, renderer: type[FlatRenderer], flags: list[str],
) -> None:
    preset = ad_format("taobao-white")
    AdFormat.objects.filter(pk=preset.pk).update(white_background=True)
    job(cast.campaign, ad_format=preset)
    assert rendering.run_next(renderer(), "worker-1")
    assert Asset.objects.get().flags == flags


def test_other_formats_have_any_background(cast: Cast) -> None:
    job(cast.campaign, ad_format=ad_format())
    assert rendering.run_next(FlatRenderer(), "worker-1")
    assert Asset.objects.get().flags == []


def test_the_file_for_the_platform_is_downloaded(cast: Cast, sign_in: SignIn) -> None:
    made = asset(cast.campaign, ad_format=ad_format(), flags=["background"])
    storage.put(made.file_key, picture(size=(800, 800)), "image/png")
    response = sign_in(cast.viewer).get(reverse("delivered", args=[made.pk]))
    data = b"".join(response)
    assert Image.open(BytesIO(data)).format == "JPEG" and response.headers["Content-Type"] == "image/jpeg"
    name = f"{cast.campaign.slug}-taobao-main-{made.job.frame}.jpg"
    assert f'filename="{name}"' in response.headers["Content-Disposition"]
    panel = reverse("gallery", args=[cast.campaign.slug]) + f"?frame={made.pk}"
    body = sign_in(cast.viewer).get(panel).content.decode()
    assert "For Taobao main" in body and "not pure white" in body


def test_a_limit_that_cannot_be_met_is_a_clear_answer(cast: Cast, sign_in: SignIn) -> None:
    AdFormat.objects.filter(pk=ad_format().pk).update(max_bytes=300)
    made = asset(cast.campaign, ad_format=ad_format())
    storage.put(made.file_key, picture(size=(800, 800)), "image/png")
    response = sign_in(cast.viewer).get(reverse("delivered", args=[made.pk]))
    assert response.status_code == 422 and "can't be delivered" in response.content.decode().replace("&#x27;", "'")


def test_a_picture_of_its_own_size_is_the_png(cast: Cast) -> None:
    made = asset(cast.campaign)
    data = picture()
    storage.put(made.file_key, data, "image/png")
    found = exports.deliver(Asset.objects.select_related("job__batch", "campaign", "ad_format").get(pk=made.pk))
    assert (found.data, found.content_type) == (data, "image/png")
