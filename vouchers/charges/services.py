"""Hold, capture and release the money of a booking or a job; the only writer of charges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Reason, Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from vouchers.charges import rules
from vouchers.charges.models import Charge
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, AccountRef, HoldOp, JournalKind, Outcome, Posting, ResolveOp
from vouchers.payments import services as payments
from vouchers.wallets.models import Voucher


@dataclass(frozen=True, slots=True)
class Bill:
    """What is to be paid for: `subject` is ``booking:<number>`` or ``job:<number>``, `quote` the frozen price."""

    subject: str
    service: str
    payer_id: int
    provider_id: int
    price: Money
    quote: Mapping[str, Any]


def terms_of(voucher: Voucher) -> rules.Terms:
    """Return what a voucher may pay."""
    return rules.Terms(
        share=Fraction(voucher.share_num, voucher.share_den),
        valid=Period(voucher.valid_from, voucher.valid_until),
        services=frozenset(voucher.services),
    )


def refusals(*, voucher: Voucher | None, price: Money, service: str, now: datetime) -> list[Reason]:
    """Return every ground on which `voucher` cannot pay its share; a look, not a promise: `hold` decides."""
    if voucher is None:
        return []
    available = Money(balances.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen)
    return rules.voucher_refusals(price, terms=terms_of(voucher), available=available, service=service, at=now)


def split_of(*, voucher: Voucher | None, price: Money) -> rules.Split:
    """Return who pays which part of `price`."""
    return rules.split(price, share=terms_of(voucher).share if voucher else Fraction(0))


def _legs(charge: Charge) -> dict[str, tuple[AccountRef, AccountKey]]:
    provider = f"organisation:{charge.provider_id}"
    legs: dict[str, tuple[AccountRef, AccountKey]] = {
        "own": (
            AccountKey(AccountKind.CASH_DUE, f"charge:{charge.number}"),
            AccountKey(AccountKind.CASH_PROVIDER_PAYABLE, provider),
        )
    }
    if charge.voucher is not None:
        programme, year = charge.voucher.programme_code, charge.voucher.fiscal_year
        legs["voucher"] = (
            charge.voucher.account_id,
            AccountKey(AccountKind.PROVIDER_PAYABLE, provider, programme, year),
        )
    return legs


@transaction.atomic
def hold(*, bill: Bill, voucher: Voucher | None, actor: Actor, now: datetime) -> Charge:
    """Set the whole price aside: the voucher's share on the voucher, the rest as the payer's commitment.

    Raises Refused when the voucher cannot pay its share; the database refuses an overdraft even in a race
    (InsufficientFunds). One charge per subject.
    """
    if reasons := refusals(voucher=voucher, price=bill.price, service=bill.service, now=now):
        raise Refused(reasons)
    parts = split_of(voucher=voucher, price=bill.price)
    charge = Charge(
        number=next_number(prefix="C", now=now),
        subject=bill.subject,
        service=bill.service,
        payer_id=bill.payer_id,
        provider_id=bill.provider_id,
        voucher=voucher,
        price_fen=bill.price.fen,
        voucher_held_fen=parts.voucher.fen,
        own_held_fen=parts.own.fen,
        quote=dict(bill.quote),
        created_at=now,
    )
    legs = _legs(charge)
    held = [(name, amount) for name, amount in (("voucher", parts.voucher.fen), ("own", parts.own.fen)) if amount]
    if held:
        result = ledger.post(
            posting=Posting(
                kind=JournalKind.HOLD,
                key=f"charge:{charge.number}/hold",
                operations=[HoldOp(*legs[name], amount) for name, amount in held],
                actor=actor.signature,
                source_type="charge",
                source_id=charge.number,
            )
        )
        for (name, _amount), hold_id in zip(held, result.hold_ids, strict=True):
            setattr(charge, f"{name}_hold_id", hold_id)
    charge.save(force_insert=True)
    audit.record(
        action="charge.held",
        subject=bill.subject,
        actor=actor,
        now=now,
        organisations=[bill.payer_id, bill.provider_id],
        data={"charge": charge.number, "voucher_fen": parts.voucher.fen, "own_fen": parts.own.fen},
    )
    return charge


def _lock(charge_id: int) -> Charge:
    return (
        Charge.objects.select_for_update(no_key=True, of=("self",))
        .select_related("voucher")
        .order_by("pk")
        .get(pk=charge_id)
    )


@transaction.atomic
def capture(*, charge_id: int, actual: Money, measured: Mapping[str, Any], actor: Actor, now: datetime) -> Charge:
    """Take the actual amount, at most what is held; release the rest; bill the payer's own share.

    Use beyond the hold is waived and recorded: nobody ever pays more than was agreed. Raises InvalidTransition for a
    charge already resolved.
    """
    charge = _lock(charge_id)
    charge.state = next_state(rules.TRANSITIONS, rules.ChargeState(charge.state), rules.ChargeAction.CAPTURE).value
    due = min(actual, Money(charge.price_fen))
    share = terms_of(charge.voucher).share if charge.voucher else Fraction(0)
    parts = rules.split(due, share=share)
    taken = {"voucher": parts.voucher.fen, "own": parts.own.fen}
    operations = [
        ResolveOp(hold_id, Outcome.CAPTURED, taken[name]) if taken[name] else ResolveOp(hold_id, Outcome.RELEASED)
        for name, hold_id in (("voucher", charge.voucher_hold_id), ("own", charge.own_hold_id))
        if hold_id is not None
    ]
    if operations:
        ledger.post(
            posting=Posting(
                kind=JournalKind.CAPTURE if due else JournalKind.RELEASE,
                key=f"charge:{charge.number}/resolve",
                operations=operations,
                actor=actor.signature,
                source_type="charge",
                source_id=charge.number,
            )
        )
    charge.actual_fen = due.fen
    charge.voucher_captured_fen, charge.own_captured_fen = parts.voucher.fen, parts.own.fen
    charge.waived_fen = (actual - due).fen
    charge.measured = dict(measured)
    charge.resolved_at = now
    charge.save()
    if parts.own:
        payments.request(charge_id=charge.pk, payer_id=charge.payer_id, amount=parts.own, now=now)
    audit.record(
        action="charge.captured",
        subject=charge.subject,
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={
            "charge": charge.number,
            "voucher_fen": parts.voucher.fen,
            "own_fen": parts.own.fen,
            "released_fen": charge.price_fen - due.fen,
            "waived_fen": charge.waived_fen,
        },
    )
    return charge


@transaction.atomic
def release(*, charge_id: int, reason: str, actor: Actor, now: datetime) -> Charge:
    """Give everything held back. Raises InvalidTransition for a charge already resolved."""
    charge = _lock(charge_id)
    charge.state = next_state(rules.TRANSITIONS, rules.ChargeState(charge.state), rules.ChargeAction.RELEASE).value
    operations = [
        ResolveOp(hold_id, Outcome.RELEASED)
        for hold_id in (charge.voucher_hold_id, charge.own_hold_id)
        if hold_id is not None
    ]
    if operations:
        ledger.post(
            posting=Posting(
                kind=JournalKind.RELEASE,
                key=f"charge:{charge.number}/resolve",
                operations=operations,
                actor=actor.signature,
                source_type="charge",
                source_id=charge.number,
                reason=reason,
            )
        )
    charge.resolved_at = now
    charge.save(update_fields=["state", "resolved_at"])
    audit.record(
        action="charge.released",
        subject=charge.subject,
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={"charge": charge.number, "released_fen": charge.price_fen, "reason": reason},
    )
    return charge
