"""Who is told about a payee's bank account: answered above vouchers, where people have a place to read it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["Teller"]


class Teller(Protocol):
    """Tell every owner of the payee what happened to an account, in the transaction in which it happens."""

    def __call__(
        self, *, organisation_id: int, account: str, state: str, masked: str, bank: str, now: datetime
    ) -> object: ...
