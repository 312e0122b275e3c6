"""The order in which waiting renders are taken: class, then fair between teams, then between people, then age.

Fair means start-time fair queuing: each team, and each person in it, has a virtual time that grows with the work
taken for it; the least is served next. The claim in services/dispatch.py does the same one step at a time in SQL.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heapreplace
from uuid import UUID

#: Priority of the head of a person's line, their virtual time, the head's age, the person.
_Place = tuple[int, float, datetime, int]


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
    """`waiting` in the order of taking. Each person's own come in that person's order.

    A heap of people within each team and one of the teams: what one taking changes is the place of its own team
    and person only, so a long queue costs its length times a logarithm.
    """
    lines: dict[tuple[int, int], deque[Waiting]] = defaultdict(deque)
    team_times: dict[int, float] = {}
    for one in waiting:
        lines[one.team, one.person].append(one)
        team_times[one.team] = one.team_time
    people: dict[int, list[_Place]] = defaultdict(list)
    for (team, person), line in lines.items():
        people[team].append((line[0].priority, line[0].person_time, line[0].since, person))
    for places in people.values():
        heapify(places)

    def rank(team: int) -> tuple[int, float, float, datetime, int, int]:
        priority, person_time, since, person = people[team][0]
        return priority, team_times[team], person_time, since, person, team

    teams = [rank(team) for team in people]
    heapify(teams)
    while teams:
        _priority, _team_time, person_time, _since, person, team = teams[0]
        line = lines[team, person]
        taken = line.popleft()
        team_times[team] += taken.cost
        if line:
            heapreplace(people[team], (line[0].priority, person_time + taken.cost, line[0].since, person))
        else:
            heappop(people[team])
        if people[team]:
            heapreplace(teams, rank(team))
        else:
            heappop(teams)
        yield taken
