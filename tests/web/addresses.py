"""Every address with what each role gets there; see test_permissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.web.world import World, composer, upload

ROLES = ("anonymous", "stranger", "viewer", "marketer", "reviewer", "admin", "superuser")


class Row(NamedTuple):
    """One method of one address: what it is sent, and each role's status in the order of ROLES."""

    name: str
    method: str
    statuses: tuple[int, ...]
    arguments: Callable[[World], dict[str, Any]] = lambda w: {}
    data: Callable[[World], dict[str, Any]] = lambda w: {}


def _campaign(w: World) -> dict[str, Any]:
    return {"slug": w.cast.campaign.slug}


def number_of(w: World) -> dict[str, Any]:
    return {"slug": w.cast.campaign.slug, "number": w.batch.number}


def _model(w: World) -> dict[str, Any]:
    return {"name": w.report.entry.name}


def _worker(w: World) -> dict[str, Any]:
    return {"name": "worker-1"}


def _template(w: World) -> dict[str, Any]:
    return {"slug": w.template.slug}


def _sheet(w: World) -> dict[str, Any]:
    return {"pk": w.sheet.pk}


def _team(w: World) -> dict[str, Any]:
    return {"team": w.cast.team.slug}


EVERYBODY = (200,) * 7
SIGNED_IN = (302,) + (200,) * 6
SIGNED_IN_ELSEWHERE = (302,) * 7
MEMBERS = (302, 404) + (200,) * 5
#                   nobody stranger viewer marketer reviewer admin superuser
MAKERS =            (302,  404,     403,   200,     200,     200,  200)
MAKERS_FORM =       (302,  404,     403,   302,     302,     302,  302)
OWNER_FORM =        (302,  404,     403,   302,     403,     403,  403)
REVIEWERS_FORM =    (302,  404,     403,   403,     302,     302,  302)
ADMINS =            (302,  404,     403,   403,     403,     200,  200)
ADMINS_FORM =       (302,  404,     403,   403,     403,     302,  302)
# What all teams share: the stranger runs another team, the admin only one of the two.
INSTALLATION_FORM = (302,  403,     403,   403,     403,     403,  302)
ANY_ADMIN =         (302,  200,     403,   403,     403,     200,  200)

FORMAT = {"name_en": "Square", "platform": "Own", "width": "800", "height": "800", "file_type": "jpeg", "active": "on"}
ROWS = [
    Row("home", "get", SIGNED_IN),
    Row("campaign-new", "get", (302, 200, 403, 200, 200, 200, 200)),
    Row("campaign-new", "post", (302, 422, 403, 302, 302, 302, 302),
        data=lambda w: {"team": w.cast.team.pk, "name_en": "New", "formats": ["taobao-main"]}),
    Row("create", "get", SIGNED_IN_ELSEWHERE),
    Row("gallery-home", "get", SIGNED_IN_ELSEWHERE),
    Row("studio", "get", MEMBERS, _campaign),
    Row("overview", "get", MEMBERS, _campaign),
    Row("campaign-edit", "get", MAKERS, _campaign),
    Row("campaign-edit", "post", (302, 404, 403, 409, 409, 409, 409), _campaign, lambda w: {"name_en": "New"}),
    Row("campaign-act", "post", MAKERS_FORM, _campaign, lambda w: {"do": "duplicate"}),
    Row("bulk", "get", MEMBERS, _campaign),
    Row("bulk", "post", (302, 404, 403, 302, 302, 302, 302), _campaign,
        lambda w: {"version": w.template.versions.get().pk, "matrix": "1", "m-tone": "粉色"}),
    Row("bulk-run", "get", MEMBERS, _sheet),
    Row("bulk-act", "post", MAKERS_FORM, _sheet, lambda w: {"do": "pause"}),
    Row("bulk-checked", "get", MEMBERS, _sheet),
    Row("bulk-results", "get", MEMBERS, _sheet),
    Row("create-render", "post", MAKERS_FORM, _campaign, lambda w: composer()),
    Row("add-input", "post", MAKERS, _campaign, lambda w: {"field": "source", "source_file": upload()}),
    Row("input", "get", MEMBERS, lambda w: {"pk": w.begun.pk}),
    Row("input-edges", "get", MEMBERS, lambda w: {"pk": w.begun.pk}),
    Row("draft", "post", MAKERS, _campaign, lambda w: {"prompt_en": "a red rose"}),
    Row("filled", "post", MEMBERS, _campaign),
    Row("prompts", "get", MEMBERS, _campaign),
    Row("tokens", "post", SIGNED_IN, data=lambda w: {"prompt_en": "a red rose"}),
    Row("frames", "get", MEMBERS, _campaign, lambda w: {"job": str(w.queued.pk)}),
    Row("batch", "get", MEMBERS, number_of),
    Row("batch-by-id", "get", MEMBERS, lambda w: _campaign(w) | {"pk": w.batch.pk}),
    Row("cancel-batch", "post", MAKERS_FORM, number_of),
    Row("move-batch", "post", OWNER_FORM, number_of, lambda w: {"to": "first"}),
    Row("pause", "post", MAKERS_FORM, _campaign),
    Row("resume", "post", MAKERS_FORM, _campaign),
    Row("gallery", "get", MEMBERS, _campaign, lambda w: {"frame": w.draft.pk}),
    Row("submit", "post", MAKERS_FORM, _campaign, lambda w: {"asset": [w.draft.pk]}),
    Row("cancel-job", "post", MAKERS_FORM, lambda w: {"pk": w.queued.pk}),
    Row("cancel-mine", "post", (302, 302, 403, 302, 302, 302, 302)),
    Row("move-job", "post", OWNER_FORM, lambda w: {"pk": w.queued.pk}, lambda w: {"to": "last"}),
    Row("retry-job", "post", MAKERS_FORM, lambda w: {"pk": w.failed.pk}),
    Row("pick", "post", MAKERS_FORM, lambda w: {"pk": w.draft.pk}, lambda w: {"picked": "1"}),
    Row("again", "post", MAKERS_FORM, lambda w: {"pk": w.draft.pk}),
    Row("picture", "get", MEMBERS, lambda w: {"pk": w.draft.pk}),
    Row("delivered", "get", MEMBERS, lambda w: {"pk": w.drawn.pk}),
    Row("thumb", "get", MEMBERS, lambda w: {"pk": w.draft.pk}),
    Row("review-queue", "get", (302, 200, 200, 200, 302, 302, 302)),
    Row("review", "get", MEMBERS, lambda w: {"pk": w.in_review.pk}),
    Row("approve", "post", REVIEWERS_FORM, lambda w: {"pk": w.in_review.pk}),
    Row("request-changes", "post", REVIEWERS_FORM, lambda w: {"pk": w.in_review.pk}, lambda w: {"comment": "Warmer."}),
    Row("withdraw", "post", MAKERS_FORM, lambda w: {"pk": w.in_review.pk}),
    Row("reopen", "post", REVIEWERS_FORM, lambda w: {"pk": w.approved.pk}),
    Row("template-from-picture", "post", MAKERS_FORM, lambda w: {"pk": w.draft.pk}),
    Row("brands", "get", SIGNED_IN),
    Row("brands", "post", (302, 302, 403, 403, 302, 302, 302), data=lambda w: {"name_en": "Rose"}),
    Row("brand", "get", MEMBERS, lambda w: {"slug": w.kit.slug}),
    Row("brand", "post", (302, 404, 403, 403, 409, 409, 409), lambda w: {"slug": w.kit.slug},
        lambda w: {"name_en": "Rose"}),
    Row("archive-brand", "post", REVIEWERS_FORM, lambda w: {"slug": w.kit.slug}, lambda w: {"archived": "1"}),
    Row("templates", "get", SIGNED_IN),
    Row("new-template", "post", (302, 302, 403, 302, 302, 302, 302)),
    Row("products", "get", SIGNED_IN),
    Row("add-product", "post", MAKERS_FORM, data=lambda w: {
        "team": w.cast.team.slug, "sku": "TEA-2", "name_en": "tea"}),
    Row("import-products", "post", MAKERS_FORM, data=lambda w: {
        "team": w.cast.team.slug, "file": upload(b"sku,name_en\nTEA-3,tea\n", "products.csv")}),
    Row("change-product", "post", MAKERS_FORM, lambda w: {"pk": w.product.pk}, lambda w: {
        "sku": "TEA-1", "name_en": "oolong"}),
    Row("template", "get", MEMBERS, _template),
    Row("template", "post", MAKERS_FORM, _template, lambda w: {"name_en": "Flowers", "text_en": "a rose"}),
    Row("template-versions", "get", MEMBERS, _template),
    Row("template-act", "post", MAKERS_FORM, _template, lambda w: {"do": "archive"}),
    Row("template-file", "get", MEMBERS, lambda w: _template(w) | {"kind": "json"}),
    Row("admin-panel/", "get", ADMINS, data=_team),
    Row("admin-usage", "get", ADMINS, data=_team),
    Row("change-limit", "post", ADMINS_FORM, lambda w: {"slug": w.cast.team.slug}, lambda w: {"limit": "250"}),
    Row("admin-audit", "get", ADMINS, data=_team),
    Row("admin-models", "get", ADMINS, data=_team),
    Row("activate-model", "post", INSTALLATION_FORM, _model),
    Row("check-model", "post", INSTALLATION_FORM, _model),
    Row("model-sheet", "get", ANY_ADMIN, lambda w: {"pk": w.report.pk}),
    Row("admin-formats", "get", ADMINS, data=_team),
    Row("new-format", "get", (302, 403, 403, 403, 403, 403, 200)),
    Row("new-format", "post", (302, 403, 403, 403, 403, 403, 302), data=lambda w: FORMAT | {"key": "own-1x1"}),
    Row("admin-format", "get", (302, 200, 403, 403, 403, 200, 200), lambda w: {"key": "taobao-main"}),
    Row("admin-format", "post", INSTALLATION_FORM, lambda w: {"key": "taobao-main"}, lambda w: FORMAT),
    Row("admin-words", "get", ADMINS, data=_team),
    Row("add-word", "post", INSTALLATION_FORM, data=lambda w: {"text": "supreme", "action": "warn"}),
    Row("change-word", "post", INSTALLATION_FORM, lambda w: {"pk": w.word.pk}, lambda w: {"action": "remove"}),
    Row("admin-workers", "get", ADMINS, data=_team),
    Row("drain-worker", "post", INSTALLATION_FORM, _worker),
    Row("resume-worker", "post", INSTALLATION_FORM, _worker),
    Row("move-worker", "post", INSTALLATION_FORM, _worker, lambda w: {"pool": w.pool.pk}),
    Row("forget-worker", "post", INSTALLATION_FORM, lambda w: {"name": "worker-old"}),
    Row("add-pool", "post", INSTALLATION_FORM, data=lambda w: {"name": "new"}),
    Row("change-pool", "post", INSTALLATION_FORM, lambda w: {"pk": w.pool.pk}, lambda w: {"name": "quick"}),
    Row("remove-pool", "post", INSTALLATION_FORM, lambda w: {"pk": w.pool.pk}),
    Row("me", "get", SIGNED_IN),
    Row("me-language", "post", SIGNED_IN_ELSEWHERE, data=lambda w: {"language": "en"}),
    Row("me-theme", "post", SIGNED_IN_ELSEWHERE, data=lambda w: {"theme": "dark"}),
    Row("me-hotkeys", "post", SIGNED_IN_ELSEWHERE, data=lambda w: {"hotkeys": "on"}),
    Row("healthz", "get", EVERYBODY),
    Row("readyz", "get", EVERYBODY),
    Row("metrics", "get", EVERYBODY),  # from this machine: tests/web/test_metrics.py
]
