"""What a line may be taken apart into, as values."""

from __future__ import annotations

from dataclasses import dataclass

from portal.kernel.money import Money
from portal.organisations.models import Organisation
from vouchers.banking.models import StatementLine
from vouchers.banking.rules import PartKind
from vouchers.payments.models import Arrival, Payment
from vouchers.recoveries.models import Recovery
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import PaymentOrderLine

__all__ = ["Part", "Suggestion"]


@dataclass(frozen=True, slots=True)
class Part:
    """So much of a line (fen, positive) is this. `payer` is whose unapplied money goes back, or who pays back."""

    kind: PartKind
    amount_fen: int
    payment: Payment | None = None
    batch: SettlementBatch | None = None
    order_line: PaymentOrderLine | None = None
    returned: StatementLine | None = None
    payer: Organisation | None = None
    rail: str = ""
    arrival: Arrival | None = None
    recovery: Recovery | None = None

    @property
    def yuan(self) -> str:
        return Money(self.amount_fen).yuan()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a line may be. `reasons` are codes, the strongest first; `certain` ones need nobody to decide."""

    parts: tuple[Part, ...]
    reasons: tuple[str, ...]
    certain: bool = False
