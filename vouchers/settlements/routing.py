"""Which way a payee is paid: by the bank, or over a payment gateway where the operator and the payee both have that.

Only own shares go over a gateway: it holds what payers have paid. Programme money is the treasury's and goes by the bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from vouchers.payees import queries as accounts
from vouchers.payees.models import PayeeAccount
from vouchers.payments import rails
from vouchers.settlements import queries
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.rules import OWN_SHARES

__all__ = ["account_for", "one_way", "over_rail", "passing_rails"]


def passing_rails() -> list[str]:
    """Return the codes of the gateways that pass money on for the operator. Asks nobody."""
    return [each.code for each in rails.rails() if each.capabilities.transfers] if settings.PAYMENT_RAILS else []


def over_rail(payee_id: int, *, now: datetime) -> PayeeAccount | None:
    """Return the payee's account with such a gateway, in force; None where there is none, without a query where none can be."""
    offering = passing_rails()
    return accounts.over_rails([payee_id], rails=offering, now=now).get(payee_id) if offering else None


def one_way(payee_id: int, due: Sequence[queries.Due], *, now: datetime) -> list[queries.Due]:
    """Return of what is due the part that goes one way: own shares first where they go over a gateway; the rest is next."""
    own = [row for row in due if row.purse == OWN_SHARES]
    return own if own and len(own) < len(due) and over_rail(payee_id, now=now) else list(due)


def account_for(batch: SettlementBatch, *, now: datetime) -> PayeeAccount | None:
    """Return the account a batch is paid to, as it is in force now."""
    lines = queries.lines_of(batch.pk).filter(active=True)
    is_own = all(line.leg == "own" or (line.leg == "offset" and not line.programme_code) for line in lines)
    found = over_rail(batch.payee_id, now=now) if is_own and batch.total_fen else None
    return found or accounts.in_force_of(batch.payee_id, now=now)
