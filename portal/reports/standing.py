"""How a programme's money of one year stands, from the sums of its ledger accounts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vouchers.ledger.chart import CNY, AccountKind
from vouchers.ledger.queries import TrialBalanceLine

__all__ = ["Standing", "standings"]

K = AccountKind


@dataclass(frozen=True, slots=True)
class Standing:
    """One programme and fiscal year, in fen. The budget is exactly left + reserved + issued + owed + paid + returned − owed back."""

    programme: str
    fiscal_year: int
    budget: int
    left: int
    reserved: int
    issued: int
    owed: int
    paid: int
    returned: int
    owed_back: int

    @property
    def committed(self) -> int:
        """Reserved for applications, in vouchers, or owed for use: promised, not yet paid."""
        return self.reserved + self.issued + self.owed


OWED = frozenset({"provider_payable", "claimant_payable", "settlement_clearing"})
RETURNED = frozenset({"expired", "clawed_back"})
OWED_BACK = frozenset({"receivable_enterprise", "receivable_provider"})


def standings(lines: Iterable[TrialBalanceLine]) -> list[Standing]:
    """Return the standing of each programme and year among `lines`, in their order: money only, no other units."""
    grouped: dict[tuple[str, int], list[TrialBalanceLine]] = {}
    for line in lines:
        if line.programme and line.fiscal_year is not None and line.unit == CNY:
            grouped.setdefault((line.programme, line.fiscal_year), []).append(line)
    return [_standing(programme, year, rows) for (programme, year), rows in grouped.items()]


def _standing(programme: str, year: int, rows: list[TrialBalanceLine]) -> Standing:
    def balance(*kinds: str) -> int:
        return sum(row.balance_fen for row in rows if row.kind.value in kinds)

    reserved = sum(row.held_debit_fen for row in rows if row.kind is K.BUDGET)
    return Standing(
        programme=programme,
        fiscal_year=year,
        budget=balance(K.APPROPRIATION.value),
        left=balance(K.BUDGET.value) - reserved,
        reserved=reserved,
        issued=balance(K.VOUCHER.value),
        owed=balance(*OWED),
        paid=balance(K.SETTLED.value),
        returned=balance(*RETURNED),
        owed_back=balance(*OWED_BACK),
    )
