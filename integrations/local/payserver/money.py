"""Amounts in the smallest unit, how they are written, and what the gateway takes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CURRENCIES", "LARGEST", "Terms", "shown"]

CURRENCIES: Final = {"cny": "CN¥", "usd": "$", "eur": "€", "hkd": "HK$"}
LARGEST: Final = 99_999_999
"""Eight digits, as the gateway documents: ¥999,999.99."""


def shown(amount: int, currency: str) -> str:
    return f"{CURRENCIES.get(currency, '')}{amount // 100:,}.{amount % 100:02d}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the gateway charges, as data: parts in 1/10,000, rounded half up, and fixed fen; fees of refunds are kept."""

    card_rate: int = 340
    card_fixed: int = 0
    wallet_rate: int = 220
    wallet_fixed: int = 0
    dispute_fee: int = 15_00
    smallest: int = 1
    settle_s: int = 0
    """How long money stays pending before it is available."""

    @classmethod
    def read(cls, given: dict[str, Any]) -> Terms:
        """Raises ValueError for a name or value that is none."""
        for name, value in given.items():
            if name not in cls.__slots__ or not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"terms: {name}={value!r}")
        return cls(**given)

    def fee(self, amount: int, method: str) -> int:
        """Return the fee on a payment."""
        rate, fixed = (self.card_rate, self.card_fixed) if method == "card" else (self.wallet_rate, self.wallet_fixed)
        return min(amount, (amount * rate + 5_000) // 10_000 + fixed)
