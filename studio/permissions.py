"""Every decision: who may do what, and why not.

Rows a person cannot see are a 404 (the querysets' `visible_to`); what a person sees but may not do
is a 403 with a reason, which templates also show on the disabled button.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser

from studio.domain.errors import Forbidden
from studio.domain.i18n import gettext_noop as _
from studio.domain.roles import Role
from studio.models import Asset, Campaign, RenderJob, Team, User

_MAKERS = frozenset({Role.MARKETER, Role.REVIEWER, Role.ADMIN})
_REVIEWERS = frozenset({Role.REVIEWER, Role.ADMIN})
_ADMINS = frozenset({Role.ADMIN})

GRANTS: dict[str, frozenset[Role]] = {
    "campaign.create": _MAKERS,
    "campaign.edit": _MAKERS,
    "template.edit": _MAKERS,
    "template.publish": _REVIEWERS,
    "template.share": _ADMINS,
    "product.edit": _MAKERS,
    "brand.edit": _REVIEWERS,
    "term.manage": _ADMINS,
    "format.manage": _ADMINS,
    "render.create": _MAKERS,
    "render.cancel": _MAKERS,
    "queue.pause": _MAKERS,
    "queue.reorder": _MAKERS,
    "asset.pick": _MAKERS,
    "asset.submit": _MAKERS,
    "asset.withdraw": _MAKERS,
    "asset.review": _REVIEWERS,
    "quota.change": _ADMINS,
    "usage.view": _ADMINS,
    "model.manage": _ADMINS,
    "worker.manage": _ADMINS,
}

MAKERS_REASON = _("Viewers can look, but not change anything. Ask an admin of the team for the marketer role.")
ADMINS_REASON = _("Only admins of the team can do this.")
#: Why not, by verb, for what all teams share.
SHARED_REASONS = {
    "model.manage": _("All teams render with the same models: only an admin of every team can change them."),
    "worker.manage": _("All teams share the workers: only an admin of every team can drain them or set them apart."),
    "term.manage": _("All teams are held to this list: only an admin of every team can change it."),
    "format.manage": _("All teams deliver in the same formats: only an admin of every team can change them."),
}
_REASONS: dict[frozenset[Role], str] = {
    _MAKERS: MAKERS_REASON,
    _REVIEWERS: _("Only reviewers and admins of the team can do this."),
    _ADMINS: ADMINS_REASON,
}

Subject = Team | Campaign | RenderJob | Asset


@dataclass(frozen=True, slots=True)
class Decision:
    """May they? If not, `reason` is a translatable sentence."""

    allowed: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


ALLOWED = Decision(True)


def team_of(subject: Subject) -> int:
    """The id of the team a row belongs to."""
    if isinstance(subject, Team):
        return subject.pk
    return subject.team_id if isinstance(subject, Campaign | RenderJob) else subject.campaign.team_id


def role_in(user: User, team: int) -> Role | None:
    """The person's role in the team with this id; a superuser is an admin everywhere."""
    return Role.ADMIN if user.is_superuser else user.roles.get(team)


def decide(user: User | AnonymousUser, verb: str, subject: Subject) -> Decision:
    """Decide whether `user` may do `verb` (a key of GRANTS) to `subject`."""
    if not user.is_authenticated:
        return Decision(False, _("Sign in first."))
    allowed = GRANTS[verb]
    if not user.is_superuser and user.roles.get(team_of(subject)) not in allowed:
        return Decision(False, _REASONS.get(allowed, _("You are not in this team.")))
    if verb == "asset.review" and isinstance(subject, Asset) and subject.author_id == user.pk:
        return Decision(False, _("You made this picture: somebody else decides on it."))
    if verb == "render.cancel" and isinstance(subject, RenderJob) and not _may_cancel(user, subject):
        return Decision(False, _("This is somebody else's render. Its owner, a reviewer or an admin can cancel it."))
    if verb == "queue.reorder" and isinstance(subject, RenderJob) and subject.batch.requested_by_id != user.pk:
        return Decision(False, _("This is somebody else's render. Only who asked for it can change its turn."))
    return ALLOWED


def _may_cancel(user: User, job: RenderJob) -> bool:
    return user.is_superuser or user.roles.get(job.team_id) in _REVIEWERS or job.batch.requested_by_id == user.pk


def decide_for_all(user: User | AnonymousUser, verb: str) -> Decision:
    """Decide on what all teams share: `user`'s role must grant `verb` in every one of them."""
    if not user.is_authenticated:
        return Decision(False, _("Sign in first."))
    if user.is_superuser or set(Team.objects.values_list("pk", flat=True)) <= set(teams_with(user, verb)) != set():
        return ALLOWED
    return Decision(False, SHARED_REASONS[verb])


def require_for_all(user: User | AnonymousUser, verb: str) -> None:
    """Raise Forbidden with the reason unless `decide_for_all` allows it."""
    decision = decide_for_all(user, verb)
    if not decision:
        raise Forbidden(decision.reason)


def require(user: User | AnonymousUser, verb: str, subject: Subject) -> None:
    """Raise Forbidden with the reason unless `user` may do `verb` to `subject`."""
    decision = decide(user, verb, subject)
    if not decision:
        raise Forbidden(decision.reason)


def teams_with(user: User, verb: str) -> list[int]:
    """Ids of the teams in which the person's role grants `verb`."""
    if user.is_superuser:
        return list(Team.objects.values_list("pk", flat=True))
    return [team for team, role in user.roles.items() if role in GRANTS[verb]]
