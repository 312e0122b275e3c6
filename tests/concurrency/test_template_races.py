from __future__ import annotations

from functools import partial

import pytest
from django.utils import timezone

from studio.domain.productfiles import Row
from studio.domain.templating import TemplateStatus
from studio.models import Activity, Product, PromptTemplate, TemplateVersion
from studio.services import products, templates
from studio.services.templates import Content
from tests.concurrency.race import kinds, race
from tests.conftest import Cast
from tests.kits import template, version


def _template(cast: Cast) -> PromptTemplate:
    return PromptTemplate.objects.select_related("team").get(pk=template(cast.team, cast.marketer).pk)


def test_the_naive_way_loses_what_one_of_two_editors_wrote(cast: Cast) -> None:
    """Why drafts are saved by compare-and-set."""
    draft = version(_template(cast), TemplateStatus.DRAFT)

    def save(text: str) -> None:
        TemplateVersion.objects.filter(pk=draft.pk).update(text_en=text)

    assert kinds(race(partial(save, "mine"), partial(save, "theirs"))) == {"ok": 2}  # and one of them is gone


@pytest.mark.parametrize("begun", [False, True])
def test_of_editors_at_once_one_saves_and_the_others_are_told(cast: Cast, begun: bool) -> None:
    made = _template(cast)
    seen = version(made, TemplateStatus.DRAFT).edited_at if begun else None
    people = [cast.person(name) for name in ("marketer", "reviewer", "admin", "superuser")]
    results = race(*(partial(
        templates.save_draft, user=user, template=made, content=Content(en=user.email), seen=seen, name_zh="花",
        name_en=user.name) for user in people))
    assert kinds(results) == {"ok": 1, "Conflict": 3}
    [won] = [one for one in results if isinstance(one, TemplateVersion)]
    kept = TemplateVersion.objects.get(template=made)
    assert (kept.text_en, kept.edited_by) == (won.edited_by.email, won.edited_by)
    made.refresh_from_db()
    assert made.name_en == won.edited_by.name  # nothing of the others' came through


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_publishers_one_publishes(cast: Cast, attempt: int) -> None:
    made = _template(cast)
    version(made)
    seen = version(made, TemplateStatus.DRAFT).edited_at
    results = race(*(partial(templates.publish, user=cast.person(name), template=made, seen=seen)
                     for name in ("reviewer", "admin", "superuser")))
    assert kinds(results) == {"ok": 1, "Conflict": 2}
    assert list(made.versions.values_list("number", "status")) == [(2, "published"), (1, "retired")]
    assert Activity.objects.filter(verb="template.published").count() == 1


@pytest.mark.parametrize("attempt", range(3))
def test_what_is_published_is_what_the_publisher_has_read(cast: Cast, attempt: int) -> None:
    made = _template(cast)
    draft = version(made, TemplateStatus.DRAFT, text_en="read", text_zh="", variables=[])
    results = race(
        partial(templates.publish, user=cast.person("reviewer"), template=made, seen=draft.edited_at),
        partial(templates.save_draft, user=cast.person("marketer"), template=made, content=Content(en="not read"),
                seen=draft.edited_at, name_zh="", name_en="Flowers"))
    assert kinds(results) == {"ok": 1, "Conflict": 1}
    offered = made.versions.filter(status=TemplateStatus.PUBLISHED)
    assert [one.text_en for one in offered] in ([], ["read"])


def test_publishing_and_taking_out_of_use_at_once_leave_one_state(cast: Cast) -> None:
    made = _template(cast)
    version(made)
    seen = version(made, TemplateStatus.DRAFT).edited_at
    race(partial(templates.publish, user=cast.person("reviewer"), template=made, seen=seen),
         partial(templates.retire, user=cast.person("admin"), template=made))
    assert made.versions.filter(status=TemplateStatus.PUBLISHED).count() <= 1
    assert not made.versions.filter(status=TemplateStatus.DRAFT).exists()


def test_going_back_twice_at_once_makes_one_draft(cast: Cast) -> None:
    made = _template(cast)
    first = version(made, TemplateStatus.RETIRED, published_at=timezone.now())
    results = race(*(partial(templates.restore, user=cast.person(name), template=made, version=first)
                     for name in ("marketer", "reviewer", "admin")))
    assert kinds(results) == {"ok": 1, "Conflict": 2} and made.versions.count() == 2


def test_a_product_added_by_hand_and_from_tables_at_once_is_there_once(cast: Cast) -> None:
    table = b"sku,name_en\nTEA-1,tea\nTEA-2,more tea\n"
    results = race(
        partial(products.take_in, user=cast.person("marketer"), team=cast.team, data=table),
        partial(products.take_in, user=cast.person("admin"), team=cast.team, data=table),
        partial(products.add, user=cast.person("reviewer"), team=cast.team, row=Row("TEA-1", "", "by hand")))
    assert set(kinds(results)) <= {"ok", "Invalid"} and kinds(results)["ok"] >= 2
    assert list(Product.objects.values_list("sku", flat=True)) == ["TEA-1", "TEA-2"]
