"""Rows for tests. A job comes with its reservation, an asset with its charge, so the ledger always agrees."""

from __future__ import annotations

from datetime import date, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory
from PIL import Image

from studio.domain.formats import read_presets
from studio.domain.modelcard import ModelCard
from studio.domain.roles import Role
from studio.domain.spec import RenderRequest, Target
from studio.domain.states import CLOSED_JOBS, AssetStatus, EntryKind, JobStatus, ReviewStatus
from studio.models import (
    AdFormat,
    Asset,
    Campaign,
    Membership,
    ModelEntry,
    Pool,
    QuotaAccount,
    QuotaEntry,
    RenderBatch,
    RenderInput,
    RenderJob,
    Review,
    Share,
    Team,
    User,
    Worker,
)
from studio.services import quotas

CARD = ModelCard("Test", sizes=((256, 256),))
#: A model that was trained in buckets, one for each kind of format.
TRAINED = ModelCard("Trained", max_pixels=512 * 512, multiple=64, sizes=(
    (512, 512), (448, 576), (384, 640), (640, 384), (576, 448), (768, 320), (832, 256), (1024, 128), (192, 704)))
PRESETS = {p.key: p for p in read_presets(Path(__file__).parents[1] / "studio" / "data" / "formats.csv")}
SQUARE = Target("", 64, 64)
#: An empty transparent-free picture is enough where nobody looks at it.
PNG, WEBP = b"\x89PNG test", b"RIFF test"


class TeamFactory(DjangoModelFactory[Team]):
    class Meta:
        model = Team

    slug = factory.Sequence(lambda n: f"team-{n}")
    name_en = factory.Sequence(lambda n: f"Team {n}")
    name_zh = factory.Sequence(lambda n: f"团队{n}")
    monthly_pictures = 100


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    name = factory.Sequence(lambda n: f"Person {n}")
    password = factory.django.Password("correct horse battery")


class CampaignFactory(DjangoModelFactory[Campaign]):
    class Meta:
        model = Campaign

    team = factory.SubFactory(TeamFactory)
    slug = factory.Sequence(lambda n: f"campaign-{n}")
    name_en = factory.Sequence(lambda n: f"Campaign {n}")
    name_zh = factory.Sequence(lambda n: f"活动{n}")
    created_by = factory.SubFactory(UserFactory)


class BatchFactory(DjangoModelFactory[RenderBatch]):
    class Meta:
        model = RenderBatch

    campaign = factory.SubFactory(CampaignFactory)
    number = factory.LazyAttribute(lambda b: _next_number(b.campaign))
    requested_by = factory.SelfAttribute("campaign.created_by")
    request_key = factory.LazyFunction(uuid4)
    prompt_en = "a red rose"
    prompt = "a red rose"
    seed = 7
    count = 1
    steps = 8


def member_of(team: Team, role: Role) -> User:
    """A new person with `role` in `team`."""
    user = UserFactory.create()
    Membership.objects.create(team=team, user=user, role=role)
    return user


def _next_number(campaign: Campaign) -> int:
    campaign.batch_count += 1
    Campaign.objects.filter(pk=campaign.pk).update(batch_count=campaign.batch_count)
    return campaign.batch_count


def ad_format(key: str = "taobao-main") -> AdFormat:
    """The preset's row; made again where a transactional test emptied the table."""
    preset = PRESETS[key]
    return AdFormat.objects.get_or_create(key=key, defaults={
        "platform": preset.platform, "name_zh": preset.name_zh, "name_en": preset.name_en, "width": preset.width,
        "height": preset.height, "confidence": preset.confidence, "checked_on": preset.checked_on})[0]


def job(
    campaign: Campaign, *, status: JobStatus = JobStatus.QUEUED, by: User | None = None,
    batch: RenderBatch | None = None, reserved: bool = True, **fields: Any,
) -> RenderJob:
    """A job with its reservation, and its outcome when it is closed (a done one lacks its asset)."""
    now = timezone.now()
    batch = batch or BatchFactory.create(campaign=campaign, requested_by=by or campaign.created_by)
    state: dict[str, Any] = {}
    if status == JobStatus.RUNNING:
        state = {"lease_token": uuid4(), "lease_until": now + timedelta(seconds=20), "attempts": 1,
                 "started_at": now, "worker": "worker-1"}
    elif status in CLOSED_JOBS:
        state = {"finished_at": now}
    if status == JobStatus.FAILED:
        state["error"] = {"code": "x", "message": "The render failed.", "params": {}}
    share, _made = Share.objects.get_or_create(team=campaign.team, user=batch.requested_by)
    made = RenderJob.objects.create(**({
        "share": share, "batch": batch, "campaign": campaign, "team": campaign.team, "position": batch.jobs.count() + 1,
        "seed": batch.seed, "width": 64, "height": 64, "render_width": 64, "render_height": 64,
        "status": status} | state | fields))
    if reserved:
        quotas.reserve(account=quotas.account_for(campaign.team, timezone.localdate()), jobs=[made.pk])
        if status == JobStatus.DONE:
            quotas.settle(made.pk)
        elif status in CLOSED_JOBS:
            quotas.release(made.pk)
    return made


def asset(
    campaign: Campaign, *, by: User | None = None, status: AssetStatus = AssetStatus.DRAFT, **fields: Any,
) -> Asset:
    """A delivered picture, in `status`, with its round of review where the status has one."""
    done = job(campaign, status=JobStatus.DONE, by=by)
    digest = sha256(done.pk.bytes).hexdigest()
    made = Asset.objects.create(**({
        "job": done, "campaign": campaign, "author": done.batch.requested_by, "status": status,
        "file_key": f"assets/{done.pk}/{digest}.png", "thumb_key": f"assets/{done.pk}/{digest}.thumb.webp",
        "sha256": digest, "size_bytes": len(PNG), "width": 64, "height": 64, "alt": "a red rose",
        "recipe": RECIPE} | fields))
    if status == AssetStatus.IN_REVIEW:
        review(made)
    elif status != AssetStatus.DRAFT:
        outcome = ReviewStatus(str(status))
        review(made, status=outcome, decided_by=UserFactory.create(), decided_at=timezone.now(), comment="Looks.")
    return made


def render_input(campaign: Campaign, **fields: Any) -> RenderInput:
    """A row of a picture to start from; its file is not stored."""
    digest = fields.get("sha256") or sha256(uuid4().bytes).hexdigest()
    return RenderInput.objects.create(**({
        "campaign": campaign, "team": campaign.team, "uploaded_by": campaign.created_by, "role": "image",
        "file_key": f"inputs/{campaign.team_id}/{digest}.png", "sha256": digest, "width": 64, "height": 64,
        "size_bytes": 100, "used_at": timezone.now()} | fields))


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 48), *, kind: str = "PNG", **options: Any) -> bytes:
    """A file of a picture whose pixels all differ a little."""
    image = Image.linear_gradient("L").resize(size).rotate(30)
    out = BytesIO()
    image.convert(mode).save(out, kind, **options)
    return out.getvalue()


def mask(size: tuple[int, int] = (64, 48), box: tuple[int, int, int, int] = (16, 8, 40, 32)) -> bytes:
    """A file of a mask: `box` (left, top, right, bottom) is painted anew."""
    image = Image.new("L", size, 0)
    image.paste(255, box)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


RECIPE: dict[str, Any] = {
    "prompt": "a red rose", "prompt_tokens": 4, "truncated": False, "seed": 7, "sampler": "euler", "steps": 8,
    "guidance": 0.0, "width": 64, "height": 64, "render_width": 64, "render_height": 64, "attempt": 1,
    "worker": "worker-1", "model": "Test", "checksum": "ab" * 32, "device": "cpu", "precision": "fp32",
    "torch": "2", "diffusers": "0", "transformers": "5",
    "timings": {"queue": 12.0, "text": 3.0, "steps": [1.0] * 8, "decode": 4.0, "encode": 5.0, "store": 1.0}}


def review(made: Asset, **fields: Any) -> Review:
    """A round of review of the asset."""
    return Review.objects.create(**({
        "asset": made, "round": made.reviews.count() + 1, "sha256": made.sha256, "author": made.author,
        "submitted_by": made.author} | fields))


def worker(name: str = "worker-1", **fields: Any) -> Worker:
    """A worker that has just reported."""
    now = timezone.now()
    return Worker.objects.create(**({
        "name": name, "state": Worker.State.IDLE, "started_at": now, "seen_at": now} | fields))


def pool(name: str = "fast", **fields: Any) -> Pool:
    """A pool; nothing is bound to it."""
    return Pool.objects.create(**({"name": name} | fields))


def model_entry(name: str = "one", **fields: Any) -> ModelEntry:
    """A checkpoint of the registry; its files need not be there."""
    return ModelEntry.objects.create(**({
        "name": name, "kind": "checkpoint", "layout": "folder", "paths": {"folder": f"/nowhere/{name}"},
        "family": "turbo", "card": {"name": "Registered"}, "sha256": sha256(name.encode()).hexdigest(),
        "size_bytes": 20_500_000_000, "verified_at": timezone.now()} | fields))


def render_request(**fields: Any) -> RenderRequest:
    """What a person asks for; by default two small pictures."""
    default: dict[str, Any] = {
        "prompt_zh": "红玫瑰", "prompt_en": "a red rose", "targets": (SQUARE,), "count": 2, "seed": 7}
    return RenderRequest(**(default | fields))


def account(team: Team, today: date | None = None) -> QuotaAccount:
    """The team's account of the month, fresh."""
    return QuotaAccount.objects.get(pk=quotas.account_for(team, today or timezone.localdate()).pk)


def balance(team: Team) -> tuple[int, int]:
    """(reserved, spent) of this month."""
    found = account(team)
    return found.reserved, found.spent


def ledger(made: RenderJob) -> list[str]:
    """The kinds of the job's quota entries, in order."""
    return list(QuotaEntry.objects.filter(job=made).order_by("pk").values_list("kind", flat=True))


def settled(made: RenderJob) -> list[str]:
    """What the ledger of a delivered job says."""
    assert ledger(made) == [EntryKind.RESERVE, EntryKind.SETTLE]
    return ledger(made)
