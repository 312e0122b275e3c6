"""What goes wrong, and how: each fault is one method, in words for the table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from django.db import Error as DatabaseError

from studio.domain.states import JobStatus
from studio.models import RenderJob
from tests.chaos.house import House
from tests.chaos.line import Line
from tests.chaos.servers import PostgreSQL, RabbitMQ, Redis

#: Longer than the lease that the workers are given here (LEASE_SECONDS).
FROZEN_SECONDS = 6.0


class Faults:
    """The faults that this shape can have, and how often each was made."""

    def __init__(
        self, house: House, random: Random, *, redis: Redis, postgresql: PostgreSQL | None, rabbitmq: RabbitMQ | None,
        store: Line | None, disk: Path | None, broker_url: str, away_seconds: float,
    ) -> None:
        self.made: Counter[str] = Counter()
        self._house, self._random, self._away = house, random, away_seconds
        self._redis, self._postgresql, self._rabbitmq = redis, postgresql, rabbitmq
        self._store, self._disk, self._broker_url = store, disk, broker_url
        self._all: dict[str, Callable[[], None]] = {
            "worker killed (-9)": self._kill_worker,
            "worker frozen beyond its lease": self._freeze_worker,
            "web process killed (-9)": self._kill_web,
            "upkeep killed (-9)": lambda: house.kill(house.upkeep),
            "Redis killed, its data lost": redis.lose_everything,
            "wake-ups doubled tenfold": self._double_hints,
            "queue of wake-ups purged": self._purge_hints,
        }
        if postgresql:
            self._all["PostgreSQL stopped at once"] = postgresql.crash
        if rabbitmq:
            self._all["RabbitMQ killed (-9)"] = rabbitmq.crash
        if store:
            self._all |= {"storage cut off": lambda: self._spoil("cut"), "storage hangs": lambda: self._spoil("hang"),
                          "storage answers 503": lambda: self._spoil("refuse")}
        if disk:
            self._all["disk full"] = self._fill_disk

    def names(self) -> list[str]:
        """What can go wrong here."""
        return list(self._all)

    def make(self, name: str) -> None:
        """Let it happen; returns when it is over."""
        self.made[name] += 1
        self._all[name]()

    def _kill_worker(self) -> None:
        """One that renders, at any step; whichever when none does."""
        end, names = time.monotonic() + 3, set[str]()
        while not names and time.monotonic() < end:
            time.sleep(self._random.uniform(0, 0.2))
            with suppress(DatabaseError):  # it may be away at this moment
                names = set(RenderJob.objects.filter(status=JobStatus.RUNNING).values_list("worker", flat=True))
        rendering = [part for part in self._house.workers if part.program.name in names]
        self._house.kill(self._random.choice(rendering or self._house.workers))

    def _freeze_worker(self) -> None:
        self._random.choice(self._house.workers).freeze(FROZEN_SECONDS)

    def _kill_web(self) -> None:
        self._house.kill(self._random.choice(self._house.webs))

    def _spoil(self, mode: Any) -> None:
        assert self._store is not None
        self._store.switch(mode)
        time.sleep(self._away)
        self._store.switch("open")

    def _fill_disk(self) -> None:
        assert self._disk is not None
        filler = self._disk / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:  # No space left on device
            while True:
                file.write(bytes(1 << 16))
        # Again and again: what others free meanwhile is taken, too.
        end = time.monotonic() + self._away
        with filler.open("ab", buffering=0) as file:
            while time.monotonic() < end:
                with suppress(OSError):
                    file.write(bytes(1 << 12))
                time.sleep(0.01)
        filler.unlink()

    def _double_hints(self) -> None:
        from kombu.exceptions import OperationalError

        from studio import queue

        with suppress(OperationalError, OSError):
            queue.wake(10)

    def _purge_hints(self) -> None:
        from celery import current_app
        from kombu.exceptions import OperationalError

        # Not there yet, or the broker is away: then nothing is lost by this one.
        with suppress(OperationalError, OSError, *_gone()), current_app.connection_for_write() as connection:
            connection.default_channel.queue_purge("render")


def _gone() -> tuple[type[Exception], ...]:
    from amqp.exceptions import AMQPError

    return (AMQPError,)
