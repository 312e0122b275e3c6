"""Picture files, for those who may see them."""

from __future__ import annotations

from django.http import FileResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from studio import storage
from studio.models import Asset
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
def thumb(request: StudioRequest, pk: int) -> HttpResponseBase:
    """The WebP thumbnail."""
    asset = get_object_or_404(Asset.objects.visible_to(request.user), pk=pk)
    return send(asset.thumb_key, "image/webp", "")


def send(key: str, content_type: str, download: str) -> HttpResponseBase:
    """A redirect to a short signed link, or the file itself when it lies on the local disk."""
    link = storage.signed_url(key, download)
    if link:
        return HttpResponseRedirect(link, headers={"Cache-Control": "private, no-store"})
    response = FileResponse(
        storage.open_file(key), content_type=content_type, as_attachment=bool(download), filename=download)
    # A key's content never changes; only the person's own browser may keep it.
    patch_cache_control(response, private=True, max_age=86400, immutable=True)
    return response
