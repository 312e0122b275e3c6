"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from studio.web.views import admin, gallery, health, home, inputs, me, media, models, review, studio

urlpatterns = [
    path("", home.home, name="home"),
    path("campaigns/new/", home.campaign_new, name="campaign-new"),
    path("create/", gallery.create_home, name="create"),
    path("gallery/", gallery.gallery_home, name="gallery-home"),
    path("c/<slug:slug>/", studio.studio, name="studio"),
    path("c/<slug:slug>/renders/", studio.create_render, name="create-render"),
    path("c/<slug:slug>/inputs/", inputs.add_input, name="add-input"),
    path("inputs/<uuid:pk>.png", media.input_picture, name="input"),
    path("inputs/<uuid:pk>/edges.png", media.input_edges, name="input-edges"),
    path("tokens/", inputs.tokens, name="tokens"),
    path("c/<slug:slug>/frames/", studio.frames, name="frames"),
    path("c/<slug:slug>/batches/<int:number>/", studio.batch, name="batch"),
    path("c/<slug:slug>/batches/id/<int:pk>/", studio.batch_by_id, name="batch-by-id"),
    path("c/<slug:slug>/batches/<int:number>/cancel/", studio.cancel_batch, name="cancel-batch"),
    path("c/<slug:slug>/gallery/", gallery.gallery, name="gallery"),
    path("c/<slug:slug>/submit/", gallery.submit, name="submit"),
    path("jobs/<uuid:pk>/cancel/", studio.cancel_job, name="cancel-job"),
    path("jobs/<uuid:pk>/retry/", studio.retry_job, name="retry-job"),
    path("assets/<int:pk>/pick/", gallery.pick, name="pick"),
    path("assets/<int:pk>/again/", gallery.again, name="again"),
    path("assets/<int:pk>/picture.png", media.picture, name="picture"),
    path("assets/<int:pk>/thumb.webp", media.thumb, name="thumb"),
    path("review/", review.queue, name="review-queue"),
    path("review/<int:pk>/", review.review, name="review"),
    path("review/<int:pk>/approve/", review.approve, name="approve"),
    path("review/<int:pk>/changes/", review.request_changes, name="request-changes"),
    path("review/<int:pk>/withdraw/", review.withdraw, name="withdraw"),
    path("review/<int:pk>/reopen/", review.reopen, name="reopen"),
    path("admin-panel/", admin.usage),
    path("admin-panel/usage/", admin.usage, name="admin-usage"),
    path("admin-panel/usage/<slug:slug>/limit/", admin.change_limit, name="change-limit"),
    path("admin-panel/audit/", admin.audit, name="admin-audit"),
    path("admin-panel/models/", models.listing, name="admin-models"),
    path("admin-panel/models/<slug:name>/activate/", models.activate, name="activate-model"),
    path("admin-panel/models/<slug:name>/check/", models.check, name="check-model"),
    path("admin-panel/models/reports/<int:pk>/sheet.png", models.sheet, name="model-sheet"),
    path("me/", me.me, name="me"),
    path("me/language/", me.language, name="me-language"),
    path("me/theme/", me.theme, name="me-theme"),
    path("me/hotkeys/", me.hotkeys, name="me-hotkeys"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
]
