"""Try a verb again that lost against a rival: nothing of it happened, and the same call may succeed."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from django.db import OperationalError, connection

from portal.http import is_lock_timeout

__all__ = ["RETRIES", "patiently"]

P = ParamSpec("P")
R = TypeVar("R")

RETRIES: Final = 3
JITTER_S: Final = (0.01, 0.08)


def patiently(verb: Callable[P, R]) -> Callable[P, R]:
    """Call an atomic verb again, up to three times, after a deadlock, a serialisation failure or a lock not granted.

    Inside a caller's transaction the first failure is final: that transaction is lost, and whoever opened it may start
    over. Raises the last OperationalError, which the portal answers with 503.
    """

    @functools.wraps(verb)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        for _attempt in range(RETRIES):
            if connection.in_atomic_block:
                break
            try:
                return verb(*args, **kwargs)
            except OperationalError as error:
                if not is_lock_timeout(error):
                    raise
                time.sleep(random.SystemRandom().uniform(*JITTER_S))
        return verb(*args, **kwargs)

    return tried
