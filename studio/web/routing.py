"""Addresses of the sockets."""

from __future__ import annotations

from django.urls import path, re_path

from studio.web.consumers import CampaignConsumer, Nowhere, WorkersConsumer

websocket_urlpatterns = [
    path("ws/campaign/<int:pk>/", CampaignConsumer.as_asgi()),
    path("ws/workers/", WorkersConsumer.as_asgi()),
    # Channels raises for an address without a row, which a stranger could fill the log with.
    re_path("", Nowhere.as_asgi()),
]
