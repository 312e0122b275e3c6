"""The ASGI application: pages and sockets. Never imports torch."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zimage_web.settings")

from django.core.asgi import get_asgi_application

pages = get_asgi_application()  # sets Django up before anything below imports models

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator

from studio.web.charset import with_text_charset
from studio.web.routing import websocket_urlpatterns

application = ProtocolTypeRouter({
    "http": with_text_charset(pages),
    "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
})
