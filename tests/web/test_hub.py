from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from channels.layers import get_channel_layer

from studio.web import hub
from studio.web.hub import BACKLOG, Hub, Mailbox


def event(kind: str = "job.step", job: str = "a", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "job": job} | fields


def put(mailbox: Mailbox, *events: dict[str, Any]) -> None:
    for one in events:
        mailbox.put(hub._key(one), json.dumps(one))


async def took(mailbox: Mailbox) -> list[dict[str, Any]]:
    return [json.loads(text) for text in await asyncio.wait_for(mailbox.take(), 2)]


async def send(topic: str, *events: dict[str, Any]) -> None:
    for one in events:
        await get_channel_layer().group_send(topic, {"type": "hub.event", "event": one})


async def test_the_newest_step_of_a_job_replaces_older_ones() -> None:
    mailbox = Mailbox()
    put(mailbox, event(step=1), event(job="b", step=1), event(step=2), event(step=3))
    assert {(e["job"], e["step"]) for e in await took(mailbox)} == {("a", 3), ("b", 1)}


async def test_a_state_is_never_told_before_an_older_step() -> None:
    mailbox = Mailbox()
    put(mailbox, event("job.changed", status="running"), event(step=1), event(step=8),
        event("job.changed", status="done"))
    assert [e.get("status") or e["step"] for e in await took(mailbox)] == [8, "done"]


async def test_different_things_do_not_replace_each_other() -> None:
    mailbox = Mailbox()
    events = [event(), event("job.changed"),
              {"type": "asset.changed", "asset": 1}, {"type": "asset.changed", "asset": 2},
              {"type": "batch.created", "batch": 1}, {"type": "batch.created", "batch": 2}, {"type": "queue.moved"}]
    put(mailbox, *events, {"type": "queue.moved"})
    assert await took(mailbox) == events


async def test_who_does_not_read_costs_a_bounded_amount() -> None:
    mailbox = Mailbox()
    put(mailbox, *(event(job=str(n)) for n in range(BACKLOG + 10)))
    waiting = await took(mailbox)
    assert len(waiting) == BACKLOG and waiting[-1]["job"] == str(BACKLOG + 9)


async def test_one_subscription_serves_all_and_ends_with_the_last() -> None:
    ours, first, second = Hub(), Mailbox(), Mailbox()
    await ours.join("topic.1", first)
    await ours.join("topic.1", second)
    await send("topic.1", event(step=1))
    assert await took(first) == await took(second) == [event(step=1)]
    task = ours._topics["topic.1"].task
    await ours.leave("topic.1", first)
    assert list(ours._topics) == ["topic.1"]
    await ours.leave("topic.1", second)
    await ours.leave("topic.1", second)
    assert not ours._topics
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)


async def test_topics_do_not_mix() -> None:
    ours, one, two = Hub(), Mailbox(), Mailbox()
    await ours.join("topic.1", one)
    await ours.join("topic.2", two)
    await send("topic.2", event(step=2))
    assert await took(two) == [event(step=2)] and not one._waiting
    await ours.leave("topic.1", one)
    await ours.leave("topic.2", two)


async def test_many_viewers_are_told_less_often() -> None:
    ours = Hub()
    mailboxes = [Mailbox() for _ in range(hub.CALM_ABOVE + 1)]
    for mailbox in mailboxes[1:]:
        await ours.join("topic.1", mailbox)
    assert ours.pause("topic.1") == hub.QUICK == ours.pause("nothing")
    await ours.join("topic.1", mailboxes[0])
    assert ours.pause("topic.1") == hub.CALM
    for mailbox in mailboxes:
        await ours.leave("topic.1", mailbox)


async def test_a_lost_broker_is_subscribed_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, left = get_channel_layer(), [2]
    receive, sleep = layer.receive, asyncio.sleep

    async def flaky(channel: str) -> Any:
        if left[0]:
            left[0] -= 1
            raise ConnectionError("gone")
        return await receive(channel)

    monkeypatch.setattr(layer, "receive", flaky)
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(0))
    ours, mailbox = Hub(), Mailbox()
    await ours.join("topic.1", mailbox)
    while left[0]:
        await sleep(0)
    await sleep(0.05)
    await send("topic.1", event(step=3))
    assert await took(mailbox) == [event(step=3)]
    await ours.leave("topic.1", mailbox)
