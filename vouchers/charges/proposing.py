"""Refunds and write-offs that need two persons: asked for by one, approved or sent back by another."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.charges import ports, proposal_rules, reasons, refunding, rules, services
from vouchers.charges.models import Charge, ChargeProposal, Refund
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments import giving_up
from vouchers.payments.models import Payment
from vouchers.payments.rules import PaymentState

__all__ = [
    "approve",
    "may_approve",
    "propose_correction",
    "propose_refund",
    "propose_write_off",
    "refund_or_propose",
    "send_back",
    "supersede",
]

KIND = proposal_rules.ChargeProposalKind


def refund_or_propose(
    *, actor: Actor, charge: Charge, amount: Money, grounds: refunding.Grounds, now: datetime, key: str
) -> Refund | ChargeProposal:
    """Give back at once what its provider may give back alone, else ask for it: above the limit, or as finance.

    Idempotent on `key`. Raises what `refunding.refund` and `propose_refund` raise.
    """
    if actor.may(Permission.CHARGE_REFUND) and charge.provider_id == actor.organisation_id:
        asked = ChargeProposal.objects.filter(charge=charge, kind=KIND.REFUND.value, key=key).exists()
        known = Refund.objects.filter(charge=charge, key=key).exists()
        if known or not (asked or refunding.above_limit(charge, amount)):
            reasons.known(grounds.code, reasons.REFUND_REASONS)
            return refunding.refund(actor=actor, charge=charge, amount=amount, reason=grounds, now=now, key=key)
    return propose_refund(actor=actor, charge=charge, amount=amount, grounds=grounds, now=now, key=key)


@transaction.atomic
def propose_refund(
    *, actor: Actor, charge: Charge, amount: Money, grounds: refunding.Grounds, now: datetime, key: str
) -> ChargeProposal:
    """Ask for a refund that a second person approves: as the provider, or as finance. Nothing moves yet.

    Idempotent on (charge, `key`). Raises NotRefundable, RefundTooLarge, NoSuchReason, ReasonMissing, ProposalOpen, Party,
    KeyReused, Forbidden.
    """
    if not (actor.may(Permission.CHARGE_REFUND) and charge.provider_id == actor.organisation_id):
        _finance(actor, charge, Permission.PAYMENT_CONFIRM)
    locked = services.lock(charge.pk)
    if locked.state != rules.ChargeState.CAPTURED.value or not locked.actual_fen:
        raise rules.NotRefundable
    made = _proposal(locked, KIND.REFUND, amount, grounds=grounds, evidence="", key=key)
    if (found := _known(made)) is not None:
        return found
    if not 0 < amount.fen <= locked.refundable_fen:
        raise rules.RefundTooLarge(field="amount", limit=str(Money(locked.refundable_fen)))
    return _propose(made, actor=actor, now=now)


@transaction.atomic
def propose_correction(
    *, actor: Actor, charge: Charge, amount: Money, grounds: refunding.Grounds, now: datetime, key: str
) -> ChargeProposal:
    """Ask for a refund that another person approves, for a verb that has made sure that it may: asks for no permission.

    The caller holds the charge's lock. Idempotent on (charge, `key`). Raises ProposalOpen, KeyReused.
    """
    made = _proposal(charge, KIND.REFUND, amount, grounds=grounds, evidence="", key=key)
    return _known(made) or _propose(made, actor=actor, now=now)


@transaction.atomic
def supersede(*, actor: Actor, proposal: ChargeProposal, note: str, now: datetime) -> ChargeProposal:
    """Send back what waits of a correction whose amount is another now, for a verb that has made sure that it may.

    Raises NotProposed where it was decided meanwhile.
    """
    locked = _locked(proposal)
    locked.state = _next(locked, proposal_rules.ProposalAction.RETURN)
    locked.decided_by_id, locked.decided_at, locked.note = actor.person, now, note[:300]
    locked.save(update_fields=["state", "decided_by", "decided_at", "note"])
    _record(locked, action="charge.proposal_returned", actor=actor, now=now, note=locked.note)
    return locked


@transaction.atomic
def propose_write_off(
    *, actor: Actor, charge: Charge, grounds: refunding.Grounds, evidence: str, now: datetime, key: str
) -> ChargeProposal:
    """Ask, as finance, to give up what of a charge's own share has been due for long and will not come.

    Idempotent on (charge, `key`). Raises NothingDue, NotLongDue, EvidenceMissing, NoSuchReason, ReasonMissing,
    ProposalOpen, Party, KeyReused, Forbidden.
    """
    _finance(actor, charge, Permission.PAYMENT_CONFIRM)
    locked = services.lock(charge.pk)
    payment = Payment.objects.select_related("charge").filter(charge=locked).first()
    left = payment.left_fen if payment is not None and payment.state == PaymentState.DUE.value else 0
    earlier = ChargeProposal.objects.filter(charge=locked, kind=KIND.WRITE_OFF.value, key=key).first()
    amount = Money(earlier.amount_fen if earlier else left)
    evidence = evidence.strip()[:600]
    if not evidence:
        raise proposal_rules.EvidenceMissing(field="evidence")
    made = _proposal(locked, KIND.WRITE_OFF, amount, grounds=grounds, evidence=evidence, key=key)
    if (found := _known(made)) is not None:
        return found
    if locked.state != rules.ChargeState.CAPTURED.value or payment is None or not left:
        raise proposal_rules.NothingDue
    days = settings.WRITE_OFF_AFTER_DAYS
    since = proposal_rules.may_be_given_up_at(giving_up.due_since(payment), days=days)
    if now < since:
        raise proposal_rules.NotLongDue(days=days, from_=f"{timezone.localtime(since):%Y-%m-%d}")
    return _propose(made, actor=actor, now=now)


def _finance(actor: Actor, charge: Charge, permission: Permission) -> None:
    """Raises Forbidden without the permission, Party for a member of the payer or the provider."""
    actor.require(permission)
    for party in (charge.payer_id, charge.provider_id):
        if people.belongs(user_id=actor.person, organisation_id=party):
            raise proposal_rules.Party


def _proposal(
    charge: Charge,
    kind: proposal_rules.ChargeProposalKind,
    amount: Money,
    *,
    grounds: refunding.Grounds,
    evidence: str,
    key: str,
) -> ChargeProposal:
    listed = reasons.REFUND_REASONS if kind is KIND.REFUND else reasons.WRITE_OFF_REASONS
    code, text = reasons.known(grounds.code, listed), refunding.said(grounds.text)
    asked = {"kind": kind.value, "amount": amount.fen, "code": code, "reason": text, "evidence": evidence}
    return ChargeProposal(
        kind=kind.value,
        charge=charge,
        amount_fen=amount.fen,
        reason_code=code,
        reason=text,
        evidence=evidence,
        key=key,
        fingerprint=idempotency.fingerprint(asked),
    )


def _known(made: ChargeProposal) -> ChargeProposal | None:
    """Return the proposal that was made with this key before. Raises KeyReused."""
    found = ChargeProposal.objects.filter(charge=made.charge, kind=made.kind, key=made.key).first()
    if found is not None:
        idempotency.check_replay(stored=found.fingerprint, asked=made.fingerprint)
    return found


def _propose(made: ChargeProposal, *, actor: Actor, now: datetime) -> ChargeProposal:
    waiting = ChargeProposal.objects.filter(
        charge=made.charge, kind=made.kind, state=proposal_rules.ProposalState.PROPOSED.value
    )
    if (other := waiting.first()) is not None:
        raise proposal_rules.ProposalOpen(number=other.number)
    made.number = next_number(prefix="RP" if made.kind == KIND.REFUND.value else "WO", now=now)
    made.proposed_for_id, made.proposed_by_id = actor.acting_for, actor.person
    made.signature, made.proposed_at = actor.signature, now
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise proposal_rules.ProposalOpen(number=waiting.get().number) from None
    _record(made, action="charge.proposed", actor=actor, now=now)
    return made


def may_approve(actor: Actor, proposal: ChargeProposal) -> bool:
    """Say whether the actor is a second person: of the provider that asked, or finance that approves; never who asked."""
    if proposal.state != proposal_rules.ProposalState.PROPOSED.value or actor.user_id == proposal.proposed_by_id:
        return False
    return actor.may(Permission.SETTLEMENT_APPROVE) or _of_provider(actor, proposal)


def _of_provider(actor: Actor, proposal: ChargeProposal) -> bool:
    """Say whether the actor is of the provider that asked for the refund of its own charge."""
    return (
        proposal.kind == KIND.REFUND.value
        and proposal.proposed_for_id == proposal.charge.provider_id == actor.organisation_id
        and actor.may(Permission.CHARGE_REFUND)
    )


@transaction.atomic
def approve(*, actor: Actor, proposal: ChargeProposal, now: datetime) -> ChargeProposal:
    """Do what another person asked for: refund, or give up the own share. Locks the proposal, provider, charge, payment.

    Raises OwnProposal, NotProposed, Party, Forbidden, and what `refunding.correct` and `giving_up.give_up` raise.
    """
    locked = _locked(proposal)
    if actor.person == locked.proposed_by_id:
        raise proposal_rules.OwnProposal
    if not _of_provider(actor, locked):
        _finance(actor, locked.charge, Permission.SETTLEMENT_APPROVE)
    locked.state = _next(locked, proposal_rules.ProposalAction.APPROVE)
    locked.decided_by_id, locked.decided_at = actor.person, now
    if locked.kind == KIND.REFUND.value:
        locked.refund = refunding.correct(
            actor=actor,
            charge_id=locked.charge_id,
            amount=Money(locked.amount_fen),
            reason=refunding.Grounds(locked.reason, locked.reason_code, locked.signature),
            now=now,
            key=f"proposal:{locked.number}",
        )
    else:
        _write_off(locked, actor=actor, now=now)
    locked.save(update_fields=["state", "decided_by", "decided_at", "refund"])
    _record(locked, action="charge.proposal_approved", actor=actor, now=now)
    return locked


@transaction.atomic
def send_back(*, actor: Actor, proposal: ChargeProposal, note: str, now: datetime) -> ChargeProposal:
    """Send a proposal back with a reason, as who may approve it, or take back one's own.

    Raises NotProposed, ProposalNoteMissing, Forbidden.
    """
    locked = _locked(proposal)
    is_own = actor.person == locked.proposed_by_id
    if not (is_own or _of_provider(actor, locked)):
        _finance(actor, locked.charge, Permission.SETTLEMENT_APPROVE)
    if not note.strip():
        raise proposal_rules.ProposalNoteMissing(field="note")
    locked.state = _next(locked, proposal_rules.ProposalAction.RETURN)
    locked.decided_by_id, locked.decided_at, locked.note = actor.person, now, note.strip()[:300]
    locked.save(update_fields=["state", "decided_by", "decided_at", "note"])
    _record(locked, action="charge.proposal_returned", actor=actor, now=now, note=locked.note)
    return locked


def _locked(proposal: ChargeProposal) -> ChargeProposal:
    return (
        ChargeProposal.objects.select_for_update(no_key=True, of=("self",))
        .select_related("charge")
        .order_by("pk")
        .get(pk=proposal.pk)
    )


def _next(proposal: ChargeProposal, action: proposal_rules.ProposalAction) -> str:
    if proposal.state != proposal_rules.ProposalState.PROPOSED.value:
        raise proposal_rules.NotProposed
    state = proposal_rules.ProposalState(proposal.state)
    return next_state(proposal_rules.PROPOSAL_TRANSITIONS, state, action).value


def _write_off(proposal: ChargeProposal, *, actor: Actor, now: datetime) -> None:
    """Give the share up: the payer owes it no more, and the provider, who bears it, is not owed it any more.

    What a settlement has paid the provider already (money that a gateway took back afterwards) the operator bears.
    """
    provider_id = proposal.charge.provider_id
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=provider_id)
    charge = services.lock(proposal.charge_id)
    settled = charge.settlement_lines.filter(active=True, voucher=None)
    if settled.filter(batch__paid_at__isnull=True).exists():
        raise proposal_rules.InBatch
    giving_up.give_up(charge_id=charge.pk, amount=Money(proposal.amount_fen), actor=actor, now=now)
    charge.own_written_off_fen += proposal.amount_fen
    charge.save(update_fields=["own_written_off_fen"])
    due, owing = services.own_leg(charge)
    lost = AccountKey(AccountKind.WRITE_OFF, f"organisation:{provider_id}")
    operations = [TransferOp(lost, due, proposal.amount_fen)]
    if not settled.exists():
        operations.append(TransferOp(owing, lost, proposal.amount_fen))
    ledger.post(
        posting=Posting(
            kind=JournalKind.WRITE_OFF,
            key=f"charge:{charge.number}/write-off/{proposal.number}",
            operations=operations,
            actor=proposal.signature,
            approved_by=actor.signature,
            reason=proposal.reason,
            source_type="charge",
            source_id=charge.number,
        )
    )
    for path in settings.WRITE_OFF_FOLLOWERS:
        cast("ports.WriteOffFollower", import_string(path))(charge_id=charge.pk, now=now)


def _record(proposal: ChargeProposal, *, action: str, actor: Actor, now: datetime, **more: Any) -> None:
    charge = proposal.charge
    told = [charge.provider_id, proposal.proposed_for_id]
    if action == "charge.proposal_approved":
        told.append(charge.payer_id)
    audit.record(
        action=action,
        subject=f"proposal:{proposal.number}",
        actor=actor,
        now=now,
        organisations=sorted(set(told)),
        data={
            "kind": proposal.kind,
            "charge": charge.number,
            "amount_fen": proposal.amount_fen,
            "reason_code": proposal.reason_code,
            "reason": proposal.reason,
            **more,
        },
    )
