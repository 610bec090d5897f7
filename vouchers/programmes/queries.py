"""Read pools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vouchers.ledger import queries as ledger
from vouchers.programmes.models import Budget


@dataclass(frozen=True, slots=True)
class Pool:
    """What a programme's pool of one fiscal year holds, in fen."""

    fiscal_year: int
    available_fen: int
    reserved_fen: int


def pools(programme_ids: Iterable[int]) -> dict[int, list[Pool]]:
    """Return the pools of each programme, newest year first. Two queries."""
    budgets = list(Budget.objects.filter(programme_id__in=list(programme_ids)).order_by("-fiscal_year"))
    balances = ledger.balances(account_ids=[budget.account_id for budget in budgets])
    found: dict[int, list[Pool]] = {}
    for budget in budgets:
        balance = balances[budget.account_id]
        found.setdefault(budget.programme_id, []).append(
            Pool(budget.fiscal_year, balance.available_fen, balance.held_fen)
        )
    return found
