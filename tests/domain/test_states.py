from __future__ import annotations

import pytest

from studio.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    ModelUnusable,
    QuotaExceeded,
    RenderCancelled,
    RenderError,
    StudioError,
)
from studio.domain.events import campaign_topic
from studio.domain.states import (
    ASSET_MOVES,
    CLOSED_JOBS,
    JOB_MOVES,
    OPEN_JOBS,
    AssetStatus,
    JobStatus,
    asset_sources,
    job_sources,
)


def test_every_state_has_its_moves() -> None:
    assert JOB_MOVES.keys() == set(JobStatus) and ASSET_MOVES.keys() == set(AssetStatus)
    assert set(OPEN_JOBS) | set(CLOSED_JOBS) == set(JobStatus) and not set(OPEN_JOBS) & set(CLOSED_JOBS)


def test_a_closed_job_never_moves_again() -> None:
    assert all(not JOB_MOVES[state] for state in CLOSED_JOBS)


@pytest.mark.parametrize(("to", "sources"), [
    (JobStatus.RUNNING, {"queued"}), (JobStatus.DONE, {"running"}), (JobStatus.QUEUED, {"running"}),
    (JobStatus.CANCELLED, {"queued", "running"}), (JobStatus.FAILED, {"queued", "running"}),
])
def test_where_a_job_comes_from(to: JobStatus, sources: set[str]) -> None:
    assert set(job_sources(to)) == sources


@pytest.mark.parametrize(("to", "sources"), [
    (AssetStatus.IN_REVIEW, {"draft", "changes", "approved"}), (AssetStatus.APPROVED, {"in_review"}),
    (AssetStatus.CHANGES, {"in_review"}), (AssetStatus.DRAFT, {"in_review"}),
])
def test_where_an_asset_comes_from(to: AssetStatus, sources: set[str]) -> None:
    assert set(asset_sources(to)) == sources


@pytest.mark.parametrize(("error", "status", "says"), [
    (StudioError(), 400, "Something went wrong."), (Invalid(field="x"), 422, "can't be used"),
    (Forbidden("No."), 403, "No."), (Conflict(), 409, "faster"), (RenderError(), 500, "render failed"),
    (QuotaExceeded(needed=5, left=2), 409, "needs 5 pictures, and the team has 2 left"),
    (RenderCancelled(), 400, "cancelled"), (ModelUnusable("%(file)s is gone", file="vae"), 503, "vae is gone"),
])
def test_every_error_has_a_status_and_a_sentence(error: StudioError, status: int, says: str) -> None:
    assert error.status == status and says in str(error)


def test_a_topic_is_a_name_the_channel_layer_takes() -> None:
    assert campaign_topic(12) == "campaign.12"
