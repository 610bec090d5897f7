"""Undo that unapplied money was used for the wrong payment: one person says why, a second reverses it. Both stay on record."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, noop
from portal.organisations.models import Organisation
from vouchers.banking import access, rules
from vouchers.payments import services as payments
from vouchers.payments import taking_back, unapplied, unapplied_rules
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.unapplied_models import UnappliedUse
from vouchers.settlements.models import SettlementLine
from vouchers.settlements.rules import Leg

__all__ = ["doubt", "undo"]

_ = noop


@transaction.atomic
def doubt(*, actor: Actor, use: UnappliedUse, reason: str, now: datetime) -> UnappliedUse:
    """Say that unapplied money pays the wrong payment, and why. Raises ReasonMissing, NotApplied, OwnPayment, Forbidden."""
    actor.require(Permission.BANK_MATCH)
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    locked, payment = _locked(use)
    payments.refuse_own(actor=actor, payment=payment)
    locked.doubt, locked.doubted_by_id, locked.doubter = reason.strip()[:200], actor.person, actor.signature[:160]
    locked.save(update_fields=["doubt", "doubted_by", "doubter"])
    audit.record(
        action="payment.use_doubted",
        subject=f"payment:{locked.arrival.payment.number}",
        actor=actor,
        now=now,
        organisations=[payment.payer_id],
        data={"amount_fen": locked.amount_fen, "paid": payment.number, "reason": locked.doubt},
    )
    return locked


@transaction.atomic
def undo(*, actor: Actor, use: UnappliedUse, now: datetime) -> UnappliedUse:
    """Reverse a doubted use as a second person: the payment is due again, the money unapplied.

    Raises NotDoubted, SamePerson, CannotUndo, CannotTakeBack, NotApplied, OwnPayment, Forbidden.
    """
    access.require_finance(actor)
    locked, payment = _locked(use)
    payments.refuse_own(actor=actor, payment=payment)
    if not locked.doubter:
        raise unapplied_rules.NotDoubted
    if actor.person == locked.doubted_by_id:
        raise rules.SamePerson
    list(Organisation.objects.select_for_update(no_key=True).filter(pk=payment.charge.provider_id).order_by("pk"))
    if SettlementLine.objects.filter(charge=payment.charge, leg=Leg.OWN.value, active=True).exists():
        raise rules.CannotUndo(
            [
                Reason(
                    "banking.share_settled",
                    _("付款 %(number)s 的自付部分已编入兑付批次。"),
                    _("请先作废该批次；已兑付的，请改为办理退款。"),
                    params={"number": payment.number},
                )
            ]
        )
    unapplied.take_back(source=locked.source, actor=actor, now=now)
    taking_back.take_back(
        arrival=Arrival.objects.select_related("payment").get(source=locked.source),
        asked_by=locked.doubter,
        reason=locked.doubt,
        actor=actor,
        now=now,
    )
    locked.refresh_from_db()
    return locked


def _locked(use: UnappliedUse) -> tuple[UnappliedUse, Payment]:
    """Return a use and what it pays, under its payer's lock. Raises NotApplied."""
    unapplied.serialise([use.arrival.payment.payer_id])
    rows = UnappliedUse.objects.select_related("arrival__payment", "payment__charge")
    found = rows.filter(state=unapplied_rules.UseState.DONE.value).filter(pk=use.pk).first()
    if found is None or found.payment is None:
        raise unapplied_rules.NotApplied
    return found, found.payment
