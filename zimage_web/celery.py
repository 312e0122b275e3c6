"""The Celery application. Messages are wake-ups; the database is the queue (see "Decisions" in README)."""

from __future__ import annotations

import os

from celery import Celery

from studio.worker.schedule import BEAT

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zimage_web.settings")

app = Celery("zimage_web")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = BEAT
app.autodiscover_tasks(["studio.worker"])
