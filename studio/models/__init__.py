"""Rows, constraints, querysets. Modules import downwards only, in the order of this list."""

from __future__ import annotations

from studio.models.accounts import Membership, Team, User
from studio.models.brands import BrandFont, BrandKit, BrandLogo, Term
from studio.models.campaigns import AdFormat, Campaign, CampaignFormat
from studio.models.dispatch import Chore, Pool, Share
from studio.models.inputs import RenderInput

from studio.models.templates import Draft, Product, PromptTemplate, TemplateVersion  # isort: skip
from studio.models.bulk import BulkRow, BulkRun  # isort: skip
from studio.models.renders import RenderBatch, RenderJob  # isort: skip

from studio.models.assets import Asset  # isort: skip
from studio.models.reviews import Review

from studio.models.quotas import QuotaAccount, QuotaEntry  # isort: skip
from studio.models.activity import Activity  # isort: skip
from studio.models.registry import ModelEntry, ModelKind, ModelLayout, ModelState, QualityReport
from studio.models.tallies import Tally
from studio.models.workers import Pace, Worker

__all__ = [
    "Activity", "AdFormat", "Asset", "BrandFont", "BrandKit", "BrandLogo", "BulkRow", "BulkRun", "Campaign",
    "CampaignFormat", "Chore", "Draft", "Membership", "ModelEntry", "ModelKind", "ModelLayout", "ModelState", "Pace",
    "Pool", "Product", "PromptTemplate", "QualityReport", "QuotaAccount", "QuotaEntry", "RenderBatch", "RenderInput",
    "RenderJob", "Review", "Share", "Tally", "Team", "TemplateVersion", "Term", "User", "Worker",
]
