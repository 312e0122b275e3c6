"""What travels over the channel layer and the sockets: hints, never authority."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class JobEvent(TypedDict):
    """A job changed state, or a step of it finished. The page refetches a changed state."""

    type: Literal["job.changed", "job.step"]
    job: str
    batch: int
    status: str
    attempt: int
    step: int
    steps: int
    preview: NotRequired[str]  # data: URI of a small WebP
    sent: NotRequired[float]  # epoch seconds at publish, for latency measurement


class BatchEvent(TypedDict):
    """A new batch was asked for, or its queue positions moved."""

    type: Literal["batch.created", "queue.moved"]
    batch: NotRequired[int]


class AssetEvent(TypedDict):
    """An asset's state, pick or review changed."""

    type: Literal["asset.changed"]
    asset: int
    status: str


class WorkerEvent(TypedDict):
    """A worker changed its state or job, said that it lives, or finished a step; or the pools of workers changed.

    It names no job: whoever administers one team hears of the renders of all.
    """

    type: Literal["worker.changed", "worker.seen", "worker.step", "pools.changed"]
    worker: NotRequired[str]
    step: NotRequired[int]
    steps: NotRequired[int]


class AccessEvent(TypedDict):
    """Somebody's access may have changed: sockets check again."""

    type: Literal["access.changed"]


Event = JobEvent | BatchEvent | AssetEvent | WorkerEvent | AccessEvent

#: The topic that the workers page listens to.
WORKERS_TOPIC = "workers"


def campaign_topic(campaign_id: int) -> str:
    """The topic everybody on a campaign's pages listens to."""
    return f"campaign.{campaign_id}"
