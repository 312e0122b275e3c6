"""A campaign with something of everything, for tests of the pages."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from django.core.files.uploadedfile import SimpleUploadedFile

from studio import storage
from studio.domain.guides import InputRole
from studio.domain.states import AssetStatus, JobStatus
from studio.models import (
    Asset,
    BrandKit,
    BulkRun,
    Pool,
    Product,
    PromptTemplate,
    QualityReport,
    RenderBatch,
    RenderInput,
    RenderJob,
    Term,
)
from studio.services import inputs
from tests.conftest import Cast
from tests.factories import PNG, WEBP, BatchFactory, ad_format, asset, job, mask, model_entry, picture, pool, worker
from tests.kits import brand_kit, bulk_run, product, template, version


@dataclass(frozen=True, slots=True)
class World:
    """All of it was asked for by the marketer."""

    cast: Cast
    batch: RenderBatch
    queued: RenderJob
    failed: RenderJob
    draft: Asset
    in_review: Asset
    approved: Asset
    begun: RenderInput
    report: QualityReport
    pool: Pool
    template: PromptTemplate
    product: Product
    sheet: BulkRun
    word: Term
    drawn: Asset
    kit: BrandKit


def make_world(cast: Cast) -> World:
    """Build it; the draft's files are stored."""
    worker()
    worker("worker-old", state="stopped")
    batch = BatchFactory.create(campaign=cast.campaign)
    queued, failed = (job(cast.campaign, batch=batch, status=s) for s in (JobStatus.QUEUED, JobStatus.FAILED))
    job(cast.campaign, batch=batch, status=JobStatus.RUNNING, step=3)
    draft = asset(cast.campaign, ad_format=ad_format())
    storage.put(draft.file_key, PNG, "image/png")
    storage.put(draft.thumb_key, WEBP, "image/webp")
    return World(
        cast, batch, queued, failed, draft, asset(cast.campaign, status=AssetStatus.IN_REVIEW),
        asset(cast.campaign, status=AssetStatus.APPROVED),
        inputs.add(user=cast.marketer, campaign=cast.campaign, role=InputRole.IMAGE, data=picture()), _report(), pool(),
        version(template(cast.team, cast.marketer)).template, product(cast.team),
        bulk_run(cast.campaign, cast.marketer), Term.objects.create(text="unheard of"), _drawn(cast),
        brand_kit(cast.team, cast.reviewer))


def _drawn(cast: Cast) -> Asset:
    """A picture whose file is one."""
    made = asset(cast.campaign, ad_format=ad_format())
    storage.put(made.file_key, picture(size=(800, 800)), "image/png")
    return made


def _report() -> QualityReport:
    """A model that is not active, with a passed report and its sheet."""
    entry = model_entry(name="z-image-turbo")
    key = storage.put("reports/sheet.png", PNG, "image/png")
    return QualityReport.objects.create(
        entry=entry, precision="fp8", checksum=entry.sha256, psnr=34.5, ssim=0.97, passed=True, sheet_key=key)


def composer(**fields: object) -> dict[str, object]:
    """What the composer posts; by default one small picture."""
    return {"prompt_zh": "红玫瑰", "prompt_en": "a red rose", "formats": ["custom"], "custom_width": "64",
            "custom_height": "64", "count": "1", "seed": "7", "request_key": str(uuid4())} | fields


def upload(data: bytes | None = None, name: str = "picture.png") -> SimpleUploadedFile:
    """A file as a browser sends it; by default a picture."""
    return SimpleUploadedFile(name, picture() if data is None else data, "image/png")


def bring(cast: Cast, role: str = "image", data: bytes | None = None) -> RenderInput:
    """A picture that the marketer uploaded."""
    return inputs.add(user=cast.marketer, campaign=cast.campaign, role=InputRole(role),
                      data=data or (mask() if role == "mask" else picture()))
