"""The cache: what it counts are sign-ins and password resets, for their rate limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

T = TypeVar("T")


class RateCache(RedisCache):
    """Redis, or nothing while it is away: people sign in without their attempts being counted."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """As in Django; `default` while Redis is away."""
        return _ask(partial(super().get, key, default, version), default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """As in Django."""
        _ask(partial(super().set, key, value, timeout, version), None)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """As in Django; True while Redis is away, for nobody else has added it."""
        return _ask(partial(super().add, key, value, timeout, version), True)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """As in Django."""
        return _ask(partial(super().delete, key, version), False)


def _ask(question: Callable[[], T], otherwise: T) -> T:
    try:
        return question()
    except (OSError, RedisError) as error:
        log.warning("cache.away", error=str(error))
        return otherwise
