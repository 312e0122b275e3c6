"""States and the moves allowed between them."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """Life of one picture to render."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: state -> states it may move to. RUNNING -> QUEUED is a worker's job taken back after it died.
JOB_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.RUNNING: frozenset({JobStatus.QUEUED, JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.DONE: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}
OPEN_JOBS = (JobStatus.QUEUED, JobStatus.RUNNING)
CLOSED_JOBS = (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)


class AssetStatus(StrEnum):
    """Where a picture stands on its way to delivery."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    CHANGES = "changes"
    APPROVED = "approved"


ASSET_MOVES: dict[AssetStatus, frozenset[AssetStatus]] = {
    AssetStatus.DRAFT: frozenset({AssetStatus.IN_REVIEW}),
    AssetStatus.IN_REVIEW: frozenset({AssetStatus.APPROVED, AssetStatus.CHANGES, AssetStatus.DRAFT}),
    AssetStatus.CHANGES: frozenset({AssetStatus.IN_REVIEW}),
    AssetStatus.APPROVED: frozenset({AssetStatus.IN_REVIEW}),
}


class ReviewStatus(StrEnum):
    """One round of review of one asset."""

    OPEN = "open"
    APPROVED = "approved"
    CHANGES = "changes"
    WITHDRAWN = "withdrawn"


class EntryKind(StrEnum):
    """A line of the quota ledger."""

    RESERVE = "reserve"
    SETTLE = "settle"
    RELEASE = "release"


def job_sources(to: JobStatus) -> list[JobStatus]:
    """The states a job may be in before it moves to `to`."""
    return [state for state, moves in JOB_MOVES.items() if to in moves]


def asset_sources(to: AssetStatus) -> list[AssetStatus]:
    """The states an asset may be in before it moves to `to`."""
    return [state for state, moves in ASSET_MOVES.items() if to in moves]


class BulkStatus(StrEnum):
    """Life of a sheet of rows. Rows become batches while it is running."""

    CHECKING = "checking"
    CHECKED = "checked"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


BULK_MOVES: dict[BulkStatus, frozenset[BulkStatus]] = {
    BulkStatus.CHECKING: frozenset({BulkStatus.CHECKED, BulkStatus.CANCELLED}),
    BulkStatus.CHECKED: frozenset({BulkStatus.CHECKING, BulkStatus.RUNNING, BulkStatus.CANCELLED}),
    BulkStatus.RUNNING: frozenset({BulkStatus.PAUSED, BulkStatus.DONE, BulkStatus.CANCELLED}),
    BulkStatus.PAUSED: frozenset({BulkStatus.RUNNING, BulkStatus.CANCELLED}),
    # Failed rows can be asked for once more.
    BulkStatus.DONE: frozenset({BulkStatus.RUNNING}),
    BulkStatus.CANCELLED: frozenset(),
}


def bulk_sources(to: BulkStatus) -> list[BulkStatus]:
    """The states from which a sheet may move to `to`."""
    return [state for state, targets in BULK_MOVES.items() if to in targets]
