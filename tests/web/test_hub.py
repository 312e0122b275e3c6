from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
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
        await get_channel_layer().group_send(topic, {"type": "hub.event", "topic": topic, "event": one})


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not true():
            await asyncio.sleep(0.001)


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


@pytest.mark.embedded_only  # looks into the in-memory layer; tests/web/test_hub_redis.py has Redis
async def test_one_subscription_serves_all_and_ends_with_the_last() -> None:
    ours, first, second = Hub(), Mailbox(), Mailbox()
    await ours.join("topic.1", first)
    await ours.join("topic.1", second)
    await send("topic.1", event(step=1))
    assert await took(first) == await took(second) == [event(step=1)]
    groups = get_channel_layer().groups
    assert len(groups["topic.1"]) == 1
    await ours.leave("topic.1", first)
    assert list(ours._topics) == ["topic.1"]
    await ours.leave("topic.1", second)
    await ours.leave("topic.1", second)
    assert not ours._topics
    await until(lambda: "topic.1" not in groups)


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


@pytest.mark.embedded_only  # looks into the in-memory layer; tests/web/test_hub_redis.py has Redis
@pytest.mark.parametrize("error", [ConnectionError("gone"), AttributeError("no attribute writelines")])
@pytest.mark.parametrize("name", ["receive", "group_add", "group_send"])
async def test_a_lost_broker_is_subscribed_to_again(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception,
) -> None:
    monkeypatch.setattr(hub, "AGAIN", 0.01)
    monkeypatch.setattr(hub, "PULSE", 0.02)
    layer, ours, mailbox, other = get_channel_layer(), Hub(), Mailbox(), Mailbox()
    tell, calls = layer.group_send, []
    await ours.join("topic.1", mailbox)

    async def fails(*args: object) -> None:
        calls.append(args)
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(layer, name, fails)
        await tell("topic.1", {"type": "hub.event", "topic": "topic.1", "event": event(step=1)})
        joining = asyncio.create_task(ours.join("topic.2", other))
        await until(lambda: len(calls) > 2)
    await joining
    mailbox = Mailbox()
    await ours.join("topic.1", mailbox)
    await send("topic.1", event(step=3))
    await send("topic.2", event(step=4))
    assert (await took(mailbox), await took(other)) == ([event(step=3)], [event(step=4)])


@pytest.mark.embedded_only  # looks into the in-memory layer; tests/web/test_hub_redis.py has Redis
async def test_a_line_that_went_deaf_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As channels_redis does it after a restart of Redis: no error, and no events."""
    for name, seconds in (("AGAIN", 0.01), ("PULSE", 0.02), ("SILENT", 0.2)):
        monkeypatch.setattr(hub, name, seconds)
    ours, mailbox = Hub(), Mailbox()
    await ours.join("topic.1", mailbox)
    subscribed = ours._topics["topic.1"].subscribed
    await asyncio.sleep(0.5)
    assert subscribed.is_set()  # nothing happens for long: its own pulses are enough
    get_channel_layer().groups.clear()
    await until(lambda: not subscribed.is_set())
    await until(subscribed.is_set)
    await send("topic.1", event(step=3))
    assert await took(mailbox) == [event(step=3)]
