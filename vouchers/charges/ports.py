"""What charges tell of a refund or a write-off to those who live by it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["RefundFollower", "WriteOffFollower"]


class RefundFollower(Protocol):
    """Hears of a refund that has just been written, in its transaction; an error undoes the refund."""

    def __call__(self, *, refund_id: int, now: datetime) -> None: ...


class WriteOffFollower(Protocol):
    """Hears that a part of an own share has just been given up, in its transaction; an error undoes it."""

    def __call__(self, *, charge_id: int, now: datetime) -> None: ...
