"""Read which account a payee is paid to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from vouchers.payees.models import PayeeAccount
from vouchers.payees.rules import PayeeAccountState

__all__ = ["in_force", "in_force_of", "over_rails", "waiting"]


def in_force(organisation_ids: Iterable[int], *, now: datetime) -> dict[int, PayeeAccount]:
    """Return the bank account of each payee that has one in force at `now`, in one query.

    The cooling-off ends by the clock: a verified account whose time has come counts, whether or not a worker has said so.
    """
    return _latest(Q(rail=""), organisation_ids, now=now)


def over_rails(organisation_ids: Iterable[int], *, rails: Iterable[str], now: datetime) -> dict[int, PayeeAccount]:
    """Return the account with one of these payment gateways of each payee that has one in force, in one query."""
    return _latest(Q(rail__in=list(rails)), organisation_ids, now=now)


def _latest(wanted: Q, organisation_ids: Iterable[int], *, now: datetime) -> dict[int, PayeeAccount]:
    due = Q(state=PayeeAccountState.VERIFIED.value, in_force_from__lte=now) | Q(state=PayeeAccountState.IN_FORCE.value)
    rows = PayeeAccount.objects.filter(wanted, due, organisation_id__in=list(organisation_ids))
    return {row.organisation_id: row for row in rows.order_by("in_force_from", "pk")}


def in_force_of(organisation_id: int, *, now: datetime) -> PayeeAccount | None:
    """Return the bank account a payee is paid to at `now`, None where there is none."""
    return in_force([organisation_id], now=now).get(organisation_id)


def waiting() -> int:
    """Return how many accounts wait for finance."""
    return PayeeAccount.objects.filter(
        state__in=[PayeeAccountState.PROPOSED.value, PayeeAccountState.CHECKED.value]
    ).count()
