"""How many writes one caller may make in a minute, counted in the cache that all processes share."""

from __future__ import annotations

import hashlib
import time
from typing import Final

import structlog
from django.core.cache import cache
from django.http import HttpRequest
from ninja.throttling import BaseThrottle
from redis.exceptions import RedisError

__all__ = ["WRITES_PER_MINUTE", "WriteThrottle", "within"]

logger = structlog.get_logger(__name__)

WRITES_PER_MINUTE: Final = 120
"""Per token or signed-in person. Reads are not counted: they cannot take anything from anybody."""
WINDOW_S: Final = 60
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def within(name: str, *, most: int) -> bool:
    """Count one act of `name` in this minute, and say whether it is among the first `most`.

    The counter is atomic, so parallel calls cannot slip through. Without a cache everything is: a lost counter must not
    close the portal.
    """
    key = f"{name}:{int(time.time() // WINDOW_S)}"
    try:
        cache.add(key, 0, timeout=2 * WINDOW_S)
        return int(cache.incr(key)) <= most
    except (RedisError, ValueError) as error:
        logger.warning("throttle.cache_away", error=str(error))
        return True


class WriteThrottle(BaseThrottle):
    """Count writes per caller in windows of a minute."""

    def allow_request(self, request: HttpRequest) -> bool:
        if request.method in SAFE:
            return True
        return within(f"writes:{self._caller(request)}", most=WRITES_PER_MINUTE)

    @staticmethod
    def _caller(request: HttpRequest) -> str:
        """Name the caller by its token, else by the person; a token is never written anywhere as it is."""
        token = request.headers.get("Authorization")
        if token:
            return hashlib.sha256(token.encode()).hexdigest()
        return f"user:{request.user.pk}"

    def wait(self) -> float:
        """Return the seconds until the next window."""
        return WINDOW_S - time.time() % WINDOW_S
