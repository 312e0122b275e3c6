from __future__ import annotations

import pytest

from studio.domain.engine import LEVERS, EngineOptions
from studio.render.levers import Lever, Levers, why


def test_each_lever_has_a_line_with_its_reason() -> None:
    levers = Levers.of(EngineOptions(levers_off=frozenset({"graphs"})))
    levers.say("attention", Lever(True, "timed cudnn 2.0 ms"))
    levers.say("graphs", Lever(True, "not asked"))  # switched off is switched off
    assert [name for name, _lever in levers] == list(LEVERS)
    assert levers["attention"] == Lever(True, "timed cudnn 2.0 ms")
    assert not levers["graphs"].used and "LEVERS_OFF" in levers["graphs"].reason
    assert levers["vae"] == Lever(False, "not tried yet")
    assert str(levers["attention"]) == "used: timed cudnn 2.0 ms"
    assert levers.wanted("vae") and not levers.wanted("graphs")


def test_a_lever_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Levers().say("turbo", Lever(True, ""))


def test_errors_of_torch_fit_a_line() -> None:
    assert why(RuntimeError("backend='inductor' raised:\n\nValueError: no g++\nmore")) == (
        "backend='inductor' raised: ValueError: no g++")
    assert why(RuntimeError()) == "RuntimeError"
