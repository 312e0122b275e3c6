"""The order in which waiting renders are taken: class, then fair between teams, then between people, then age.

Fair means start-time fair queuing: each team, and each person in it, has a virtual time that grows with the work
taken for it; the least is served next. The claim in services/dispatch.py does the same one step at a time in SQL.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Waiting:
    """One waiting render. `cost` is its work, in any unit; the times are virtual, as they stand now."""

    key: UUID
    team: int
    person: int
    priority: int
    since: datetime
    cost: float
    team_time: float
    person_time: float


def in_turn(waiting: Iterable[Waiting]) -> Iterator[Waiting]:
    """`waiting` in the order of taking. Each person's own come in that person's order."""
    lines: dict[tuple[int, int], deque[Waiting]] = defaultdict(deque)
    teams: dict[int, float] = {}
    people: dict[tuple[int, int], float] = {}
    for one in waiting:
        lines[one.team, one.person].append(one)
        teams[one.team], people[one.team, one.person] = one.team_time, one.person_time

    def rank(line: tuple[int, int]) -> tuple[int, float, float, datetime, int]:
        head = lines[line][0]
        return head.priority, teams[line[0]], people[line], head.since, line[1]

    while lines:
        first = min(lines, key=rank)
        taken = lines[first].popleft()
        if not lines[first]:
            del lines[first]
        teams[taken.team] += taken.cost
        people[first] += taken.cost
        yield taken
