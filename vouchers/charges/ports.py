"""What charges tell of a refund to those who live by it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["RefundFollower"]


class RefundFollower(Protocol):
    """Hears of a refund that has just been written, in its transaction; an error undoes the refund."""

    def __call__(self, *, refund_id: int, now: datetime) -> None: ...
