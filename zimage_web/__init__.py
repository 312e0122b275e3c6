"""Composition root: settings, ASGI application, Celery application, URLs."""

from zimage_web.celery import app as celery_app

__all__ = ["celery_app"]
