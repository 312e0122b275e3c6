"""Picture files, for those who may see them."""

from __future__ import annotations

from io import BytesIO
from uuid import UUID

from django.http import FileResponse, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from studio import storage
from studio.models import Asset, RenderInput
from studio.services import exports, guides
from studio.web.http import StudioRequest, signed_in


@require_safe
@signed_in
def picture(request: StudioRequest, pk: int) -> HttpResponseBase:
    """The delivered PNG; `?download` names and attaches it."""
    asset = get_object_or_404(Asset.objects.visible_to(request.user).select_related("job__batch", "campaign"), pk=pk)
    name = f"{asset.campaign.slug}-{asset.job.frame}-{asset.width}x{asset.height}.png"
    return send(asset.file_key, "image/png", name if "download" in request.GET else "")


@require_safe
@signed_in
def delivered(request: StudioRequest, pk: int) -> HttpResponseBase:
    """The file that the picture's platform takes, attached."""
    asset = get_object_or_404(Asset.objects.visible_to(request.user).select_related(
        "job__batch", "campaign", "ad_format"), pk=pk)
    file = exports.deliver(asset)
    return FileResponse(BytesIO(file.data), content_type=file.content_type, as_attachment=True, filename=file.name,
                        headers={"Cache-Control": "private, no-store"})


@require_safe
@signed_in
def thumb(request: StudioRequest, pk: int) -> HttpResponseBase:
    """The WebP thumbnail."""
    asset = get_object_or_404(Asset.objects.visible_to(request.user), pk=pk)
    return send(asset.thumb_key, "image/webp", "")


@require_safe
@signed_in
def input_picture(request: StudioRequest, pk: UUID) -> HttpResponseBase:
    """The PNG of a picture to start from. Always from here: a script that paints on it may not read it elsewhere."""
    found = get_object_or_404(RenderInput.objects.visible_to(request.user), pk=pk)
    return _keep(FileResponse(storage.open_file(found.file_key), content_type="image/png"))


@require_safe
@signed_in
def input_edges(request: StudioRequest, pk: UUID) -> HttpResponseBase:
    """The edges that canny finds in it."""
    found = get_object_or_404(RenderInput.objects.visible_to(request.user), pk=pk)
    return _keep(HttpResponse(guides.preview_edges(found), content_type="image/png"))


def send(key: str, content_type: str, download: str) -> HttpResponseBase:
    """A redirect to a short signed link, or the file itself when it lies on the local disk."""
    link = storage.signed_url(key, download)
    if link:
        return HttpResponseRedirect(link, headers={"Cache-Control": "private, no-store"})
    return _keep(FileResponse(
        storage.open_file(key), content_type=content_type, as_attachment=bool(download), filename=download))


def _keep(response: HttpResponseBase) -> HttpResponseBase:
    # A key's content never changes; only the person's own browser may keep it.
    patch_cache_control(response, private=True, max_age=86400, immutable=True)
    return response
