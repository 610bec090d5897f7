"""What staging needs of a cluster: a part of ``scheduler.jobs.ports.Cluster``, which this package lies below."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Takes"]


class Takes(Protocol):
    """A cluster that files can be put on."""

    def put_file(self, *, marker: str, user: str, path: str, offset: int, data: bytes) -> int:
        """Write `data` (≤ 1 MiB) into the directory of the job to be; return the file's size. Raises Unavailable, Rejected."""
