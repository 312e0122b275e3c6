"""Questions to services that hang: who waits is told no in time, and nobody asks twice at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from studio.web import probes
from studio.web.probes import Answer, Probe, answers


class Service:
    """Answers when it is let; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = threading.Event()
        self.up = True

    def ask(self) -> Answer:
        self.asked += 1
        self.let.wait(20)
        return {"service": self.up}


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.let.set()


def test_each_question_is_asked_anew(service: Service) -> None:
    service.let.set()
    probe = Probe(("service",), service.ask)
    for up in (True, False, True):
        service.up = up
        assert answers([probe], seconds=5) == {"service": up}
    assert service.asked == 3


def test_a_service_that_hangs_is_a_no_in_time_and_the_others_are_told(service: Service) -> None:
    began = time.monotonic()
    found = answers([Probe(("service",), service.ask), Probe(("other",), lambda: {"other": True})], seconds=0.2)
    assert found == {"service": False, "other": True} and time.monotonic() - began < 2


def test_many_who_ask_at_once_ask_once(service: Service) -> None:
    probe, found = Probe(("service",), service.ask), list[Answer]()
    threads = [threading.Thread(target=lambda: found.append(answers([probe], seconds=10))) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    service.let.set()
    for thread in threads:
        thread.join()
    assert found == [{"service": True}] * 20 and service.asked == 1


def test_a_probe_that_hangs_for_long_is_asked_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(("service",), service.ask)
    assert answers([probe], seconds=0.01) == answers([probe], seconds=0.01) == {"service": False}
    assert service.asked == 1
    monkeypatch.setattr(probes, "GIVEN_UP", 0.0)
    answers([probe], seconds=0.01)
    assert service.asked == 2
    monkeypatch.undo()
    service.let.set()
    assert answers([probe], seconds=10) == {"service": True}


def test_a_kept_answer_is_not_asked_for_again(service: Service) -> None:
    service.let.set()
    probe = Probe(("service",), service.ask, keep=60)
    assert answers([probe], seconds=5) == {"service": True}
    service.up = False
    assert answers([probe], seconds=5) == {"service": True} and service.asked == 1


def test_a_question_that_breaks_is_a_no_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told, done = list[type[BaseException]](), threading.Event()

    def hook(args: threading.ExceptHookArgs) -> None:
        told.append(args.exc_type)
        done.set()

    def breaks() -> Answer:
        raise ZeroDivisionError

    monkeypatch.setattr(threading, "excepthook", hook)
    assert answers([Probe(("a", "b"), breaks)], seconds=5) == {"a": False, "b": False}
    assert done.wait(5) and told == [ZeroDivisionError]
