"""What breaks the constraints of templates, brand kits, sheets and campaigns' needs; see test_constraints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import models
from django.utils import timezone

from studio.domain.templating import TemplateStatus
from studio.models import BrandKit, BulkRow, BulkRun, CampaignFormat, Draft, Product, PromptTemplate, Term
from tests.conftest import Cast
from tests.factories import ad_format
from tests.kits import brand_kit, bulk_row, bulk_run, font, logo, template, version


def _change(row: models.Model, **fields: Any) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(**fields)


def _template(c: Cast) -> PromptTemplate:
    return template(c.team, c.marketer)


def _kit(c: Cast) -> BrandKit:
    return brand_kit(c.team, c.marketer)


def _run(c: Cast) -> BulkRun:
    return bulk_run(c.campaign, c.marketer)


def _row(c: Cast, **fields: Any) -> BulkRow:
    return bulk_row(_run(c), **fields)


def _two(status: TemplateStatus) -> Callable[[Cast], Any]:
    def write(c: Cast) -> None:
        of = _template(c)
        for _ in range(2):
            version(of, status)

    return write


def _twice(make: Callable[..., Any], *arguments: Any, **fields: Any) -> None:
    for _ in range(2):
        make(*arguments, **fields)


def _need(c: Cast, count: int = 1) -> CampaignFormat:
    return CampaignFormat.objects.create(campaign=c.campaign, adformat=ad_format(), count=count)


def _product(c: Cast, **fields: Any) -> Product:
    return Product.objects.create(**({"team": c.team, "sku": "A-1", "name_en": "Rose"} | fields))


def _draft(c: Cast) -> Draft:
    return Draft.objects.create(user=c.marketer, campaign=c.campaign, saved_at=timezone.now())


BREAKS: dict[str, Callable[[Cast], Any]] = {
    "adformat_file_type_is_known": lambda c: _change(ad_format(), file_type="gif"),
    "campaign_starts_before_its_deadline": lambda c: _change(
        c.campaign, starts_on="2026-12-02", deadline="2026-12-01"),
    "campaignformat_once_a_campaign": lambda c: _twice(_need, c),
    "campaignformat_counts_from_1": lambda c: _need(c, 0),
    "brandkit_has_a_name": lambda c: _change(_kit(c), name_en="", name_zh=""),
    "brandlogo_once_a_kit": lambda c: _twice(logo, _kit(c)),
    "brandlogo_corner_is_known": lambda c: logo(_kit(c), corner="middle"),
    "brandlogo_clear_in_range": lambda c: logo(_kit(c), clear=0.3),
    "brandlogo_share_in_range": lambda c: logo(_kit(c), share=0.01),
    "brandfont_once_a_kit": lambda c: _twice(font, _kit(c)),
    "brandfont_script_is_known": lambda c: font(_kit(c), script="runes"),
    "brandfont_has_a_licence": lambda c: font(_kit(c), licence=""),
    "term_once_a_kit": lambda c: _twice(Term.objects.create, kit=_kit(c), text="x"),
    "term_once_for_all": lambda c: _twice(Term.objects.create, text="x"),
    "term_has_a_text": lambda c: Term.objects.create(text=""),
    "term_action_is_known": lambda c: Term.objects.create(text="x", action="fine"),
    "prompttemplate_has_a_name": lambda c: _change(_template(c), name_en="", name_zh=""),
    "templateversion_number_in_template": lambda c: _twice(version, _template(c), TemplateStatus.RETIRED, number=1),
    "templateversion_one_draft": _two(TemplateStatus.DRAFT),
    "templateversion_one_published": _two(TemplateStatus.PUBLISHED),
    "templateversion_status_is_known": lambda c: _change(version(_template(c)), status="lost"),
    "product_has_a_name": lambda c: _product(c, name_en=""),
    "product_sku_in_team": lambda c: _twice(_product, c),
    "product_has_a_sku": lambda c: _product(c, sku=""),
    "draft_one_a_campaign": lambda c: _twice(_draft, c),
    "bulkrun_status_is_known": lambda c: _change(_run(c), status="lost"),
    "bulkrun_count_in_range": lambda c: _change(_run(c), count=0),
    "bulkrun_seed_in_range": lambda c: _change(_run(c), seed=2**32),
    "bulkrow_number_in_run": lambda c: _twice(bulk_row, _run(c), number=1),
    "bulkrow_taken_only_if_usable": lambda c: _row(c, usable=False, taken_at=timezone.now()),
}
UNIQUE: dict[str, Callable[[Cast], Any]] = {
    "BrandKit.slug": lambda c: _twice(brand_kit, c.team, c.marketer, slug="one"),
    "PromptTemplate.slug": lambda c: _twice(template, c.team, c.marketer, slug="one"),
}
