"""What each speed lever came to on this machine: used or not, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from studio.domain.engine import LEVERS, EngineOptions

OFF = "switched off by LEVERS_OFF"


@dataclass(frozen=True, slots=True)
class Lever:
    """Whether a lever is used, and why (plain English: admins and the command line read it)."""

    used: bool
    reason: str

    def __str__(self) -> str:
        return f"{'used' if self.used else 'not used'}: {self.reason}"


def why(error: BaseException) -> str:
    """An error of torch in one line: its first two, as the first alone often says only where it happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:200] or type(error).__name__


@dataclass(slots=True)
class Levers:
    """The levers of one loaded engine. Those nothing was said about were not reached."""

    off: frozenset[str] = frozenset()
    _said: dict[str, Lever] = field(default_factory=dict)

    @classmethod
    def of(cls, options: EngineOptions) -> Levers:
        """All levers wanted but those that `options` switches off."""
        return cls(options.levers_off)

    def wanted(self, name: str) -> bool:
        """Whether lever `name` of LEVERS may be used. Raises KeyError for another name."""
        if name not in LEVERS:
            raise KeyError(name)
        return name not in self.off

    def say(self, name: str, lever: Lever) -> None:
        """Put down what became of `name`; what was said last counts. Raises KeyError for another name."""
        self._said[name] = lever if self.wanted(name) else Lever(False, OFF)

    def __getitem__(self, name: str) -> Lever:
        if not self.wanted(name):
            return Lever(False, OFF)
        return self._said.get(name, Lever(False, "not tried yet"))

    def __iter__(self) -> Iterator[tuple[str, Lever]]:
        """(name, lever) of all of them, in the order of LEVERS."""
        return ((name, self[name]) for name in LEVERS)
