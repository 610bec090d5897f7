"""One pool of connections to the cache for a whole process."""

from __future__ import annotations

from typing import Any, ClassVar

from redis import ConnectionPool

__all__ = ["SharedPool"]


class SharedPool(ConnectionPool):
    """The pool of an address, the same for all threads.

    Django keeps a cache object for each thread, and under ASGI every request has a thread of its own: each would connect
    anew, which takes longer than what is asked. The pool is safe for threads and starts anew in a forked process.
    """

    _pools: ClassVar[dict[str, ConnectionPool]] = {}

    @classmethod
    def from_url(cls, url: str, **options: Any) -> ConnectionPool:  # type: ignore[override]  # the stubs narrow it to the class itself
        """Return the pool of `url`; options are those of whoever asked first."""
        found = cls._pools.get(url)
        return found or cls._pools.setdefault(url, super().from_url(url, **options))
