from __future__ import annotations

from datetime import date, timedelta

import pytest

from studio.domain.errors import Forbidden
from studio.domain.priority import Priority, priority_for, why_not_urgent
from studio.domain.roles import Role

TODAY = date(2026, 11, 25)
FAR = TODAY + timedelta(days=2)


@pytest.mark.parametrize(("days", "found"), [
    (None, Priority.NORMAL), (2, Priority.NORMAL), (1, Priority.URGENT), (0, Priority.URGENT), (-9, Priority.URGENT)])
def test_without_a_wish_the_deadline_decides(days: int | None, found: Priority) -> None:
    deadline = None if days is None else TODAY + timedelta(days=days)
    for role in (None, *Role):
        assert priority_for(None, role=role, deadline=deadline, today=TODAY) is found


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.ADMIN])
def test_reviewers_and_admins_may_hurry(role: Role) -> None:
    assert why_not_urgent(role=role, deadline=FAR, today=TODAY) == ""
    assert priority_for(Priority.URGENT, role=role, deadline=FAR, today=TODAY) is Priority.URGENT


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.MARKETER])
def test_others_may_only_when_the_deadline_is_near(role: Role | None) -> None:
    for deadline in (None, FAR):
        assert why_not_urgent(role=role, deadline=deadline, today=TODAY)
        with pytest.raises(Forbidden, match="jump the queue"):
            priority_for(Priority.URGENT, role=role, deadline=deadline, today=TODAY)
    near = TODAY + timedelta(days=1)
    assert priority_for(Priority.URGENT, role=role, deadline=near, today=TODAY) is Priority.URGENT


@pytest.mark.parametrize("wish", [Priority.NORMAL, Priority.BATCH])
def test_everybody_may_wait_longer(wish: Priority) -> None:
    for deadline in (None, TODAY, FAR):
        assert priority_for(wish, role=Role.MARKETER, deadline=deadline, today=TODAY) is wish
