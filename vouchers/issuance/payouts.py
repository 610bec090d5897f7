"""Close a case whose award was paid without a voucher. Called by claims, once the treasury has paid."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from vouchers.issuance import cases, queries, rules
from vouchers.issuance.models import Application


@transaction.atomic
def paid(application: Application, *, actor: Actor, now: datetime) -> Application:
    """Take a granted case to `paid`. Raises InvalidTransition."""
    locked = queries.locked(application)
    cases.move(locked, rules.ApplicationAction.PAY)
    locked.save()
    cases.record(locked, action="application.paid", actor=actor, now=now)
    return locked


@transaction.atomic
def denied(application: Application, *, actor: Actor, note: str, now: datetime) -> Application:
    """End a granted case whose payment was refused: what was reserved goes back to the pool. Raises InvalidTransition."""
    locked = queries.locked(application)
    cases.unreserve(locked, actor=actor)
    cases.move(locked, rules.ApplicationAction.DENY)
    locked.note = note[: cases.NOTE_MAX]
    locked.save()
    cases.record(locked, action="application.payment_refused", actor=actor, now=now, note=note)
    return locked
