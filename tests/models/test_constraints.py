"""Every rule about data is the database's: each test writes past the services and is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from studio.domain.spec import MAX_SEED
from studio.domain.states import AssetStatus, EntryKind, JobStatus, ReviewStatus
from studio.models import (
    AdFormat,
    Asset,
    Campaign,
    Membership,
    Pace,
    Pool,
    QualityReport,
    QuotaAccount,
    QuotaEntry,
    RenderBatch,
    RenderJob,
    Review,
    Share,
    Tally,
    Team,
    User,
    Worker,
)
from tests.conftest import Cast
from tests.factories import BatchFactory, account, ad_format, asset, job, model_entry, render_input, review, worker
from tests.models import breaks

#: constraint -> what breaks it
BREAKS: dict[str, Callable[[Cast], Any]] = {
    "user_email_is_lower_case": lambda c: _change(c.viewer, email="Upper@Example.com"),
    "user_theme_is_known": lambda c: _change(c.viewer, theme="pink"),
    "user_language_is_known": lambda c: _change(c.viewer, language="de"),
    "team_has_a_name": lambda c: _change(c.team, name_zh="", name_en=""),
    "membership_one_per_person_and_team":
        lambda c: Membership.objects.create(team=c.team, user=c.viewer, role="admin"),
    "membership_role_is_known": lambda c: Membership.objects.filter(user=c.viewer).update(role="king"),
    "adformat_has_a_name": lambda c: _change(ad_format(), name_zh="", name_en=""),
    "adformat_size_can_be_rendered": lambda c: _change(ad_format(), width=50_000),
    "campaign_has_a_name": lambda c: _change(c.campaign, name_zh="", name_en=""),
    "campaign_status_is_known": lambda c: _change(c.campaign, status="lost"),
    "batch_one_per_request": lambda c: _twice(c, "request_key"),
    "batch_number_counts_in_campaign": lambda c: _twice(c, "number"),
    "batch_has_a_prompt": lambda c: _change(BatchFactory.create(campaign=c.campaign), prompt=""),
    "batch_seed_in_range": lambda c: _change(BatchFactory.create(campaign=c.campaign), seed=MAX_SEED + 1),
    "batch_steps_in_range": lambda c: _change(BatchFactory.create(campaign=c.campaign), steps=51),
    "batch_sampler_is_known": lambda c: _change(BatchFactory.create(campaign=c.campaign), sampler="heun"),
    "batch_guidance_in_range": lambda c: _change(BatchFactory.create(campaign=c.campaign), guidance=20.5),
    "batch_strength_in_range": lambda c: _change(
        BatchFactory.create(campaign=c.campaign, source=render_input(c.campaign)), strength=0.0),
    "batch_mask_has_a_source": lambda c: _change(
        BatchFactory.create(campaign=c.campaign), mask=render_input(c.campaign, role="mask")),
    "batch_control_is_whole": lambda c: _change(
        BatchFactory.create(campaign=c.campaign), control_input=render_input(c.campaign, role="control")),
    "renderinput_one_per_content": lambda c: [render_input(c.campaign, sha256="a" * 64) for _ in range(2)],
    "renderinput_role_is_known": lambda c: render_input(c.campaign, role="poem"),
    "renderinput_size_can_be_rendered": lambda c: render_input(c.campaign, width=15),
    "renderinput_is_not_empty": lambda c: render_input(c.campaign, size_bytes=0),
    "renderinput_sha256_is_hex": lambda c: render_input(c.campaign, sha256="A" * 64),
    "renderjob_position_in_batch": lambda c: job(c.campaign, batch=job(c.campaign).batch, position=1),
    "renderjob_status_is_known": lambda c: _change(job(c.campaign), status="asleep"),
    "renderjob_priority_is_known": lambda c: _change(job(c.campaign), priority=3),
    "renderjob_size_can_be_rendered": lambda c: _change(job(c.campaign), height=0),
    "renderjob_finished_iff_closed": lambda c: _change(job(c.campaign), finished_at=timezone.now()),
    "renderjob_leased_iff_running": lambda c: _change(job(c.campaign), lease_token=uuid4()),
    "renderjob_render_size_is_a_multiple_of_16": lambda c: _change(job(c.campaign), render_width=65),
    "asset_status_is_known": lambda c: _change(asset(c.campaign), status="lost"),
    "asset_size_can_be_rendered": lambda c: _change(asset(c.campaign), width=5000),
    "asset_sha256_is_hex": lambda c: _change(asset(c.campaign), sha256="Z" * 64),
    "review_one_open_per_asset": lambda c: review(asset(c.campaign, status=AssetStatus.IN_REVIEW)),
    "review_rounds_count_up": lambda c: review(asset(c.campaign, status=AssetStatus.APPROVED), round=1),
    "review_status_is_known": lambda c: _change(_open(c), status="maybe", decided_by=c.admin, decided_at=_now()),
    "review_decided_iff_closed": lambda c: _change(_open(c), status=ReviewStatus.APPROVED),
    "review_author_never_decides":
        lambda c: _change(_open(c), status=ReviewStatus.APPROVED, decided_by=c.marketer, decided_at=_now()),
    "review_changes_need_a_comment":
        lambda c: _change(_open(c), status=ReviewStatus.CHANGES, decided_by=c.reviewer, decided_at=_now()),
    "quota_one_per_team_and_period":
        lambda c: QuotaAccount.objects.create(team=c.team, period=account(c.team).period, limit=1),
    "quota_never_oversold": lambda c: _change(account(c.team), limit=1, reserved=1, spent=1),
    "quota_period_is_a_month":
        lambda c: QuotaAccount.objects.create(team=c.team, period=date(2026, 3, 2), limit=1),
    "quota_one_reserve_per_job": lambda c: _entry(c, job(c.campaign), EntryKind.RESERVE),
    "quota_one_outcome_per_job": lambda c: _entry(c, asset(c.campaign).job, EntryKind.RELEASE),
    "quota_kind_is_known": lambda c: QuotaEntry.objects.filter(job=job(c.campaign)).update(kind="gift"),
    "share_one_per_person_and_team": lambda c: [Share.objects.create(team=c.team, user=c.viewer) for _ in range(2)],
    "pool_has_a_name": lambda c: Pool.objects.create(name=""),
    "pool_priority_is_known": lambda c: Pool.objects.create(name="x", priority=3),
    "pace_one_per_worker_model_and_size": lambda c: [Pace.objects.create(
        worker=held, width=64, height=64, step_ms=1, rest_ms=1) for held in [worker()] * 2],
    "tally_counted_in_one_row": lambda c: [Tally.objects.create(worker="a", kind="picture") for _ in range(2)],
    "worker_state_is_known": lambda c: _change(worker(), state="tired"),
    "model_name_is_plain": lambda c: _change(model_entry(), name="Not Plain"),
    "model_kind_is_known": lambda c: _change(model_entry(), kind="vae", family="", layout="files"),
    "model_layout_is_known": lambda c: _change(model_entry(), layout="zip"),
    "model_state_is_known": lambda c: _change(model_entry(), state="odd"),
    "model_family_iff_checkpoint": lambda c: _change(model_entry(), family=""),
    "model_sha256_is_hex": lambda c: _change(model_entry(), sha256="x"),
    "model_precision_is_known": lambda c: _change(model_entry(), precision="fp4"),
    "model_active_is_a_checkpoint":
        lambda c: _change(model_entry(active=True), kind="lora", family="", layout="files"),
    "model_one_active": lambda c: [model_entry(name, active=True) for name in ("one", "two")],
    "model_problem_iff_broken": lambda c: _change(model_entry(), state="broken"),
    "report_precision_is_gated": lambda c: _report(precision="bf16"),
    "report_checksum_is_hex": lambda c: _report(checksum="x"),
    "report_psnr_in_range": lambda c: _report(psnr=101.0),
    "report_ssim_in_range": lambda c: _report(ssim=-1.5),
}
BREAKS |= breaks.BREAKS
#: fields of one column -> what writes a second row with the same value
UNIQUE: dict[str, Callable[[Cast], Any]] = {
    "User.email": lambda c: _change(c.viewer, email=c.admin.email),
    "Team.slug": lambda c: _change(c.team, slug=c.other_team.slug),
    "Campaign.slug": lambda c: _change(c.campaign, slug=c.other_campaign.slug),
    "Asset.job": lambda c: _change(asset(c.campaign), job_id=asset(c.campaign).job_id),
    "Asset.file_key": lambda c: _change(asset(c.campaign), file_key=asset(c.campaign).file_key),
    "Pool.name": lambda c: [Pool.objects.create(name="x") for _ in range(2)],
    "Pool.priority": lambda c: [Pool.objects.create(name=name, priority=0) for name in ("one", "two")],
    "ModelEntry.name": lambda c: [model_entry("one"), model_entry("one")],
}
UNIQUE |= breaks.UNIQUE


def _now() -> Any:
    return timezone.now()


def _change(row: models.Model, **fields: Any) -> None:
    """Past every check of Python's."""
    type(row)._default_manager.filter(pk=row.pk).update(**fields)


def _open(c: Cast) -> Review:
    return asset(c.campaign, status=AssetStatus.IN_REVIEW).reviews.get()


def _twice(c: Cast, field: str) -> None:
    first = BatchFactory.create(campaign=c.campaign)
    BatchFactory.create(campaign=c.campaign, **{field: getattr(first, field)})


def _entry(c: Cast, row: RenderJob, kind: EntryKind) -> None:
    QuotaEntry.objects.create(account=account(c.team), job=row, kind=kind)


def _constraints() -> dict[str, models.BaseConstraint]:
    return {c.name: c for model in apps.get_app_config("studio").get_models() for c in model._meta.constraints}


def _report(**fields: Any) -> QualityReport:
    entry = model_entry()
    return QualityReport.objects.create(entry=entry, **({
        "precision": "fp8", "checksum": entry.sha256, "psnr": 30.0, "ssim": 0.9, "passed": True} | fields))


def test_every_constraint_is_in_the_table() -> None:
    assert BREAKS.keys() == _constraints().keys()


@pytest.mark.parametrize("name", BREAKS)
def test_the_database_refuses(cast: Cast, name: str) -> None:
    unnamed = connection.vendor == "sqlite" and isinstance(_constraints()[name], models.UniqueConstraint)
    # An unknown state breaks two constraints at once; PostgreSQL names the first by alphabet.
    named = "|".join({name, name.replace("renderjob_status_is_known", "renderjob_finished_iff_closed").replace(
        "model_state_is_known", "model_problem_iff_broken")})
    with pytest.raises(IntegrityError, match="UNIQUE constraint failed" if unnamed else rf"\b({named})\b"), \
            transaction.atomic():
        BREAKS[name](cast)


def test_every_unique_field_is_in_the_table() -> None:
    found = {f"{model.__name__}.{field.name}" for model in apps.get_app_config("studio").get_models()
             for field in model._meta.local_fields if field.unique and not field.primary_key}
    assert UNIQUE.keys() == found


@pytest.mark.parametrize("name", UNIQUE)
def test_the_database_refuses_a_second(cast: Cast, name: str) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)unique"), transaction.atomic():
        UNIQUE[name](cast)


def test_what_is_referred_to_cannot_be_deleted(cast: Cast) -> None:
    made = asset(cast.campaign, status=AssetStatus.IN_REVIEW)
    for row in (made, made.job, made.job.batch, made.campaign, made.author, account(cast.team)):
        with pytest.raises(models.ProtectedError):
            row.delete()
    assert Asset.objects.count() == 1 and RenderBatch.objects.count() == 1


def test_the_formats_of_the_table_are_there(cast: Cast) -> None:
    assert AdFormat.objects.filter(active=True).count() >= 20
    assert AdFormat.objects.get(key="taobao-main").width == 800


def test_names_for_people(cast: Cast) -> None:
    made = asset(cast.campaign)
    assert str(made) == str(made.job) == f"{made.job.batch.number}-01"
    assert str(Team(name_zh="云")) == "云" and str(Campaign(name_zh="云", name_en="Cloud")) == "Cloud"
    assert str(User(name="Ann")) == "Ann" and str(Worker(name="w")) == "w"
    assert str(account(cast.team)).startswith(str(cast.team))


@pytest.mark.parametrize(("limit", "reserved", "spent", "percent"), [
    (100, 0, 0, 0), (100, 1, 2, 3), (3, 1, 1, 67), (0, 0, 0, 100), (5, 2, 3, 100),
])
def test_the_share_of_the_quota(limit: int, reserved: int, spent: int, percent: int) -> None:
    found = QuotaAccount(limit=limit, reserved=reserved, spent=spent)
    assert (found.percent, found.left) == (percent, limit - reserved - spent)


def test_an_address_is_found_whatever_its_case(cast: Cast) -> None:
    made = User.objects.create_user("Ann@Example.COM", "pw", name="Ann")
    assert made.email == "ann@example.com"
    assert User.objects.get_by_natural_key(" ANN@example.com") == made


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_may_be_in_every_state_with_what_belongs_to_it(cast: Cast, status: JobStatus) -> None:
    assert job(cast.campaign, status=status).is_open == (status in ("queued", "running"))
