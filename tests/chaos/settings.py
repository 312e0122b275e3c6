"""The studio's settings with a renderer that only sleeps. Reached by `tests/` alone: no variable names a renderer."""

from __future__ import annotations

from typing import Any

from zimage_web.settings import *  # noqa: F403  # all of them, as they are
from zimage_web.settings import INSTALLED_APPS, STORAGES

RENDERER = "tests.chaos.renderer.SleepingRenderer"
# Wraps the sending of hints, so that some are lost and others come twice.
INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.hints"]
# What a hash costs is not what this is about.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

_options: Any = STORAGES["default"]["OPTIONS"]
if "client_config" in _options:
    from botocore.config import Config

    # A store that hangs is given up after 2 s instead of 20, so that it happens often enough here.
    _options["client_config"] = _options["client_config"].merge(Config(read_timeout=2))
