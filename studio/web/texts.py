"""Sentences made from data: errors and activity lines, in the reader's language."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_noop as _

from studio.domain.errors import StudioError
from studio.domain.priority import PRIORITY_LABELS, Priority
from studio.domain.roles import ROLE_LABELS, Role
from studio.models import Activity, RenderJob

ACTIVITY: dict[str, str] = {
    "campaign.created": _("%(who)s created the campaign “%(campaign)s”"),
    "campaign.changed": _("%(who)s changed the plan of “%(campaign)s”"),
    "campaign.duplicated": _("%(who)s copied a campaign as “%(campaign)s”"),
    "campaign.started": _("%(who)s started the campaign “%(campaign)s”"),
    "campaign.archived": _("%(who)s archived the campaign “%(campaign)s”"),
    "campaign.restored": _("%(who)s restored the campaign “%(campaign)s”"),
    "render.failed": _("The render of frame %(frame)s in “%(campaign)s” failed"),
    "review.withdrawn": _("%(who)s took frame %(frame)s of “%(campaign)s” out of review"),
    "review.approved": _("%(who)s approved frame %(frame)s of “%(campaign)s”"),
    "review.changes_requested": _("%(who)s asked for changes to frame %(frame)s of “%(campaign)s”"),
    "review.reopened": _("%(who)s reopened the review of frame %(frame)s of “%(campaign)s”"),
    "queue.paused": _("%(who)s paused the renders of “%(campaign)s”"),
    "queue.resumed": _("%(who)s let the renders of “%(campaign)s” go on"),
    "quota.changed": _("%(who)s changed the team's limit from %(before)s to %(after)s pictures a month"),
    "model.added": _("%(who)s added the model “%(model)s”"),
    "model.activated": _("%(who)s made “%(model)s” the model that all teams render with"),
    "model.removed": _("%(who)s took the model “%(model)s” off the registry"),
    "worker.drained": _("%(who)s took the worker “%(worker)s” out of service; it gets no new renders"),
    "worker.resumed": _("%(who)s put the worker “%(worker)s” back into service"),
    "worker.forgotten": _("%(who)s took the worker “%(worker)s” off the list"),
    "worker.moved": _("%(who)s moved the worker “%(worker)s” to the pool “%(pool)s”"),
    "worker.freed": _("%(who)s took the worker “%(worker)s” out of the pool “%(pool)s”"),
    "pool.added": _("%(who)s set up the worker pool “%(pool)s”"),
    "pool.renamed": _("%(who)s renamed the worker pool “%(before)s” to “%(pool)s”"),
    "pool.removed": _("%(who)s removed the worker pool “%(pool)s”"),
    "pool.class_bound": _("%(who)s bound the renders of the class “%(class)s” to the worker pool “%(pool)s”"),
    "pool.class_freed": _("%(who)s freed the renders of the class “%(class)s” from the worker pool “%(pool)s”"),
    "pool.team_bound": _("%(who)s bound the team to the worker pool “%(pool)s”"),
    "pool.team_freed": _("%(who)s freed the team from the worker pool “%(pool)s”"),
    "term.added": _("%(who)s put “%(word)s” on the list of words that must not appear"),
    "term.changed": _("%(who)s changed what “%(word)s” on the list of words does"),
    "term.removed": _("%(who)s took “%(word)s” off the list of words that must not appear"),
    "brand.created": _("%(who)s made the brand kit “%(brand)s”"),
    "brand.changed": _("%(who)s changed the brand kit “%(brand)s”"),
    "brand.archived": _("%(who)s archived the brand kit “%(brand)s”"),
    "brand.restored": _("%(who)s restored the brand kit “%(brand)s”"),
    "format.added": _("%(who)s added the format “%(format)s”"),
    "format.changed": _("%(who)s changed the format “%(format)s”"),
    "bulk.uploaded": _("%(who)s uploaded the sheet “%(sheet)s” with %(rows)s rows to “%(campaign)s”"),
    "bulk.queued": _("%(who)s queued %(rows)s rows of the sheet “%(sheet)s” in “%(campaign)s”"),
    "template.created": _("%(who)s made the template “%(template)s”"),
    "template.published": _("%(who)s published version %(number)s of the template “%(template)s”"),
    "template.drafted": _("%(who)s began version %(number)s of the template “%(template)s”"),
    "template.retired": _("%(who)s took version %(number)s of the template “%(template)s” out of use"),
    "product.added": _("%(who)s added the product “%(product)s”"),
    "product.changed": _("%(who)s changed the product “%(product)s”"),
    "product.removed": _("%(who)s removed the product “%(product)s”"),
    "product.imported": _("%(who)s imported products: %(added)s new, %(changed)s changed"),
    "template.shared": _("%(who)s offered the template “%(template)s” to all teams"),
    "template.unshared": _("%(who)s took the template “%(template)s” back from the other teams"),
    "template.archived": _("%(who)s archived the template “%(template)s”"),
    "template.restored": _("%(who)s restored the template “%(template)s”"),
    "member.added": _("%(who)s added %(member)s as %(role)s"),
    "member.removed": _("%(who)s removed %(member)s from the team"),
}
#: The same for lines about a number of pictures.
COUNTED: dict[str, Any] = {
    "render.requested": ngettext_lazy(
        "%(who)s asked for %(pictures)s picture in “%(campaign)s”",
        "%(who)s asked for %(pictures)s pictures in “%(campaign)s”", "pictures"),
    "render.cancelled": ngettext_lazy(
        "%(who)s cancelled %(pictures)s render in “%(campaign)s”",
        "%(who)s cancelled %(pictures)s renders in “%(campaign)s”", "pictures"),
    "review.submitted": ngettext_lazy(
        "%(who)s submitted %(pictures)s picture of “%(campaign)s” for review",
        "%(who)s submitted %(pictures)s pictures of “%(campaign)s” for review", "pictures"),
}


def translated(message: str, params: dict[str, Any]) -> str:
    """A domain message in the reader's language, with its parameters filled in."""
    return gettext(message) % params if params else gettext(message)


def error_text(error: StudioError) -> str:
    """What happened."""
    return translated(error.message, error.params)


def error_hint(error: StudioError) -> str:
    """What to do next; may be empty."""
    return translated(error.hint, error.params) if error.hint else ""


def job_error(job: RenderJob) -> str:
    """Why a job failed; empty when it did not."""
    return translated(job.error["message"], job.error["params"]) if job.error else ""


def job_hint(job: RenderJob) -> str:
    """What to do about a job that failed; may be empty. Rows of earlier versions have none."""
    hint = job.error.get("hint", "") if job.error else ""
    return translated(hint, job.error["params"]) if job.error and hint else ""


def activity_text(line: Activity, campaign_name: str) -> str:
    """One line of the activity list as a sentence."""
    who = line.actor.name if line.actor else gettext("The studio")
    known = {"who": who, "campaign": campaign_name, **line.data}
    if "role" in line.data:
        known["role"] = gettext(ROLE_LABELS[Role(line.data["role"])])
    if "priority" in line.data:
        known["class"] = gettext(PRIORITY_LABELS[Priority(line.data["priority"])])
    if line.verb in COUNTED:
        return str(COUNTED[line.verb] % known)
    text = ACTIVITY.get(line.verb)
    return gettext(text) % known if text else f"{who} · {line.verb}"
