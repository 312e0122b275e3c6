"""Addresses of the sockets."""

from __future__ import annotations

from django.urls import path

from studio.web.consumers import CampaignConsumer

websocket_urlpatterns = [path("ws/campaign/<int:pk>/", CampaignConsumer.as_asgi())]
