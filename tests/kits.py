"""Rows of templates, brand kits and sheets for tests."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import Any

from django.utils import timezone

from studio.domain.templating import TemplateStatus
from studio.models import (
    BrandFont,
    BrandKit,
    BrandLogo,
    BulkRow,
    BulkRun,
    Campaign,
    Product,
    PromptTemplate,
    Team,
    TemplateVersion,
    User,
)

_numbers = count(1)
DIGEST = sha256(b"").hexdigest()
#: A text, a choice, a colour and a number.
VARIABLES: list[dict[str, Any]] = [
    {"name": "product", "kind": "text", "required": True, "max_length": 12,
     "default": {"zh": "红玫瑰", "en": "red rose"}},
    {"name": "tone", "kind": "choice", "required": True, "options": [
        {"zh": "粉色", "en": "pink"}, {"zh": "蓝色", "en": "blue"}]},
    {"name": "accent", "kind": "colour", "required": False},
    {"name": "pieces", "kind": "number", "required": False, "low": 1, "high": 9},
]
TEXT_ZH, TEXT_EN = "{tone}背景上的{product}{accent}{pieces}", "a {product} on a {tone} background {accent} {pieces}"


def template(team: Team, by: User, **fields: Any) -> PromptTemplate:
    """A template without versions."""
    number = next(_numbers)
    return PromptTemplate.objects.create(**({
        "team": team, "slug": f"template-{number}", "name_en": f"Template {number}", "name_zh": f"模板{number}",
        "created_by": by} | fields))


def version(of: PromptTemplate, status: TemplateStatus = TemplateStatus.PUBLISHED, **fields: Any) -> TemplateVersion:
    """The next version of a template, with the four VARIABLES."""
    return TemplateVersion.objects.create(**({
        "template": of, "number": of.versions.count() + 1, "status": status, "text_zh": TEXT_ZH, "text_en": TEXT_EN,
        "variables": VARIABLES, "edited_by": of.created_by, "edited_at": timezone.now()} | fields))


def product(team: Team, sku: str = "TEA-1", **fields: Any) -> Product:
    """Something that the team sells."""
    return Product.objects.create(**({
        "team": team, "sku": sku, "name_zh": "桂花乌龙", "name_en": "osmanthus oolong"} | fields))


def brand_kit(team: Team, by: User, **fields: Any) -> BrandKit:
    """An empty kit."""
    number = next(_numbers)
    return BrandKit.objects.create(**({
        "team": team, "slug": f"brand-{number}", "name_en": f"Brand {number}", "created_by": by} | fields))


def logo(kit: BrandKit, **fields: Any) -> BrandLogo:
    """A logo whose file is not stored."""
    return BrandLogo.objects.create(**({
        "kit": kit, "name": "Logo", "file_key": "brands/x.png", "sha256": DIGEST, "width": 100, "height": 40} | fields))


def font(kit: BrandKit, **fields: Any) -> BrandFont:
    """A font whose file is not stored."""
    return BrandFont.objects.create(**({
        "kit": kit, "family": "Test Sans", "script": "both", "licence": "OFL 1.1", "file_key": "brands/x.ttf",
        "sha256": DIGEST, "size_bytes": 1} | fields))


def bulk_run(campaign: Campaign, by: User, **fields: Any) -> BulkRun:
    """A sheet without rows."""
    if "version" not in fields:
        fields["version"] = version(template(campaign.team, by))
    return BulkRun.objects.create(**({"campaign": campaign, "requested_by": by, "name": "products.csv"} | fields))


def bulk_row(run: BulkRun, **fields: Any) -> BulkRow:
    """The next row of a sheet."""
    return BulkRow.objects.create(**({"run": run, "number": run.rows.count() + 1, "usable": True} | fields))
