"""Release a bank reference that a person mistyped: one person says why, a second releases it. Both stay on record.

What it was said to be for stands as it was: paid stays paid, not a fen moves. Its own line is free for what it really is;
the right reference, where it is known, is claimed in its place, so that its line shows what was recorded by hand.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import PortalError
from portal.organisations import access as people
from vouchers.banking import access, claiming, rules
from vouchers.banking.models import BankClaim, MatchPart, StatementLine
from vouchers.payments import renaming as payments
from vouchers.payments.models import Payment
from vouchers.payments.rules import OwnPayment, bank_reference
from vouchers.recoveries import renaming as recoveries
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.rules import Involved
from vouchers.settlements import renaming as settlements
from vouchers.settlements.rules import OwnPayee

__all__ = ["doubt", "release", "stand"]


@transaction.atomic
def doubt(*, actor: Actor, claim: BankClaim, reason: str, now: datetime, right: str = "") -> BankClaim:
    """Say that a bank reference was mistyped, and why; `right` is what it should be, where that is known.

    Raises ReasonMissing, SameReference, NotClaimed, ClaimShown, Claimed or Booked where the right one is something else's,
    OwnPayment, OwnPayee, Involved, Forbidden.
    """
    actor.require(Permission.BANK_MATCH)
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    value = bank_reference(right)
    if value == claim.reference:
        raise rules.SameReference(field="right")
    locked = _locked(actor, claim, right=value)
    if value:
        claiming.claim(value, subject=locked.subject, now=now, keep=False)
    locked.doubt, locked.right, locked.doubted_at = reason.strip()[:200], value, now
    locked.doubted_by_id, locked.doubter = actor.person, actor.signature[:160]
    locked.save(update_fields=["doubt", "right", "doubted_by", "doubter", "doubted_at"])
    _record(locked, action="bank.claim_doubted", actor=actor, now=now)
    return locked


@transaction.atomic
def stand(*, actor: Actor, claim: BankClaim, now: datetime) -> BankClaim:
    """Let a doubted reference stand: it was right. Raises ClaimNotDoubted, NotClaimed, OwnPayment, OwnPayee, Involved, Forbidden."""
    access.require_finance(actor)
    locked = _locked(actor, claim)
    if not locked.doubter:
        raise rules.ClaimNotDoubted
    _record(locked, action="bank.claim_stands", actor=actor, now=now)
    locked.doubt, locked.right, locked.doubter = "", "", ""
    locked.doubted_by_id = locked.doubted_at = None
    locked.save(update_fields=["doubt", "right", "doubted_by", "doubter", "doubted_at"])
    return locked


@transaction.atomic
def release(*, actor: Actor, claim: BankClaim, now: datetime) -> BankClaim:
    """Release a doubted reference as a second person. A batch that was reconciled by it alone is paid, to be reconciled anew.

    Raises ClaimNotDoubted, SamePerson, NotClaimed, ClaimShown, Claimed or Booked where the right one has become something
    else's, OwnPayment, OwnPayee, Involved, Forbidden.
    """
    access.require_finance(actor)
    locked = _locked(actor, claim, right=claim.right)
    if not locked.doubter or locked.right != claim.right:
        raise rules.ClaimNotDoubted
    if actor.person == locked.doubted_by_id:
        raise rules.SamePerson
    locked.released_by_id, locked.released_at = actor.person, now
    locked.save(update_fields=["released_by", "released_at"])
    if locked.right:
        claiming.claim(locked.right, subject=locked.subject, now=now, key=locked.booked_as)
    kind, _colon, number = locked.subject.partition(":")
    if kind == "recovery":
        recoveries.rename(number=number, was=locked.reference, right=locked.right)
    elif kind in {"in", "back"}:
        payments.rename(number=number, was=locked.reference, right=locked.right)
    else:
        settlements.rename(subject=locked.subject, was=locked.reference, right=locked.right, actor=actor, now=now)
    _record(locked, action="bank.claim_released", actor=actor, now=now)
    return locked


def _locked(actor: Actor, claim: BankClaim, *, right: str = "") -> BankClaim:
    """Return a claim that stands under lock, for somebody it does not pay. Raises NotClaimed, ClaimShown, OwnPayment, OwnPayee."""
    for reference in sorted({claim.reference, right} - {""}):
        claiming.serialise(reference)
    locked = BankClaim.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=claim.pk)
    if locked.released_at is not None:
        raise rules.NotClaimed
    for organisation_id, error in _parties(locked):
        if actor.organisation_id == organisation_id or people.belongs(
            user_id=actor.person, organisation_id=organisation_id
        ):
            raise error
    active = [state.value for state in rules.ACTIVE]
    for line in StatementLine.objects.filter(reference=locked.reference):
        parts = MatchPart.objects.filter(match__line=line, match__state__in=active)
        if any(
            locked.subject in claiming.subjects_of(part)
            for part in parts.select_related("payment", "batch", "recovery")
        ):
            raise rules.ClaimShown(value=locked.reference)
    return locked


def _parties(claim: BankClaim) -> list[tuple[int, type[PortalError]]]:
    """Return whom what was claimed pays, or who paid it, and what their own people are told."""
    kind, _colon, number = claim.subject.partition(":")
    if kind == "recovery":
        return [
            (debtor, Involved) for debtor in Recovery.objects.filter(number=number).values_list("debtor", flat=True)
        ]
    if kind in {"in", "back"}:
        return [(payer, OwnPayment) for payer in Payment.objects.filter(number=number).values_list("payer", flat=True)]
    return [(batch.payee_id, OwnPayee) for batch in settlements.batches_of(claim.subject)]


def _record(claim: BankClaim, *, action: str, actor: Actor, now: datetime) -> None:
    """Write it into the trail of everything the reference was claimed for."""
    kind, _colon, number = claim.subject.partition(":")
    if kind == "recovery":
        subjects = [f"recovery:{number}"]
    elif kind in {"in", "back"}:
        subjects = [f"payment:{number}"]
    else:
        subjects = [f"settlement:{batch.number}" for batch in settlements.batches_of(claim.subject)]
        subjects += [f"payment_order:{number}"] if kind == "order" else []
    for subject in subjects:
        audit.record(
            action=action,
            subject=subject,
            actor=actor,
            now=now,
            data={"reference": claim.reference, "right": claim.right, "claimed": claim.subject, "reason": claim.doubt},
        )
