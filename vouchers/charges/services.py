"""Hold, capture and release the money of a booking or a job; with ``refunding`` the only writer of charges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Forbidden, Reason, Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from vouchers.charges import rules
from vouchers.charges.models import Charge, ChargePart
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, HoldOp, JournalKind, Outcome, Posting, ResolveOp
from vouchers.payments import advances
from vouchers.payments import services as payments
from vouchers.wallets import services as wallets
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

__all__ = ["Bill", "Plan", "capture", "hold", "hold_again", "payers", "plan", "plan_each", "release", "terms_of"]


@dataclass(frozen=True, slots=True)
class Bill:
    """What is to be paid for: `subject` is ``booking:<number>`` or ``job:<number>``, `quote` the frozen price.

    `ends_at` is when the service will be over, where that is known: a voucher's grace must reach to it.
    """

    subject: str
    service: str
    payer_id: int
    provider_id: int
    price: Money
    quote: Mapping[str, Any]
    ends_at: datetime | None = None
    pay_by: datetime | None = None
    """Until when the own share is to be paid before the service; None: it is billed after measuring."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who would pay which part of a price, and every ground against it."""

    split: rules.Split
    reasons: Sequence[Reason]


def terms_of(voucher: Voucher, *, used_once: bool = False) -> rules.Terms:
    """Return what a voucher may pay."""
    return rules.Terms(
        number=voucher.number,
        programme=voucher.programme_code,
        share=Fraction(voucher.share_num, voucher.share_den),
        valid=Period(voucher.valid_from, voucher.valid_until),
        services=frozenset(voucher.services),
        is_active=voucher.state == VoucherState.ACTIVE.value,
        is_exclusive=voucher.exclusive,
        deducts=voucher.deducts,
        used_once=used_once,
        grace=voucher.grace_until if voucher.grace_until > voucher.valid_until else None,
    )


def lots_of(*, vouchers: Sequence[Voucher]) -> list[rules.Lot]:
    """Return vouchers as lots with their balances. One query, and one more where a voucher is for one use only."""
    if not vouchers:
        return []
    left = balances.balances(account_ids=[voucher.account_id for voucher in vouchers])
    once = [voucher.pk for voucher in vouchers if not voucher.multi_use]
    used = ChargePart.objects.filter(voucher__in=once).exclude(charge__state=rules.ChargeState.RELEASED.value)
    used_once = set(used.values_list("voucher_id", flat=True)) if once else set()
    return [
        rules.Lot(terms_of(voucher, used_once=voucher.pk in used_once), Money(left[voucher.account_id].available_fen))
        for voucher in vouchers
    ]


def plan(
    *, vouchers: Sequence[Voucher], price: Money, service: str, now: datetime, ends_at: datetime | None = None
) -> Plan:
    """Say who would pay which part of `price`; a look, not a promise: `hold` decides."""
    lots = lots_of(vouchers=vouchers)
    return Plan(
        rules.split(price, lots=lots),
        rules.voucher_refusals(price, lots=lots, service=service, at=now, ends_at=ends_at),
    )


def plan_each(
    *,
    vouchers: Sequence[Voucher],
    bills: Sequence[tuple[Money, datetime | None]],
    service: str,
    now: datetime,
    releasing: Sequence[int] = (),
) -> list[Plan]:
    """Say who would pay which part of several bills held one after the other by the same vouchers, each (price, ends).

    A look, not a promise, as `plan`. A voucher for one use pays the first of them only. What the charges `releasing` hold
    counts as free: they would be released first.
    """
    once = frozenset(voucher.number for voucher in vouchers if not voucher.multi_use)
    freed: dict[str, int] = {}
    for part in ChargePart.objects.filter(charge__in=releasing, charge__state="held").select_related("voucher"):
        freed[part.voucher.number] = freed.get(part.voucher.number, 0) + part.held_fen
    lots = [
        rules.Lot(lot.terms, lot.available + Money(freed.get(lot.terms.number, 0)))
        for lot in lots_of(vouchers=vouchers)
    ]
    plans = []
    for price, ends_at in bills:
        split = rules.split(price, lots=lots)
        reasons = rules.voucher_refusals(price, lots=lots, service=service, at=now, ends_at=ends_at)
        plans.append(Plan(split, reasons))
        lots = rules.spent(lots, split, once=once)
    return plans


def own_leg(charge: Charge) -> tuple[AccountKey, AccountKey]:
    """Return the accounts of a charge's own share: the payer's commitment, and what the provider is owed of it."""
    return (
        AccountKey(AccountKind.CASH_DUE, f"charge:{charge.number}"),
        AccountKey(AccountKind.CASH_PROVIDER_PAYABLE, f"organisation:{charge.provider_id}"),
    )


def payable(charge: Charge, voucher: Voucher) -> AccountKey:
    """Return the account of what the provider is owed out of a voucher's programme and year."""
    return AccountKey(
        AccountKind.PROVIDER_PAYABLE,
        f"organisation:{charge.provider_id}",
        voucher.programme_code,
        voucher.fiscal_year,
    )


@transaction.atomic
def hold(*, bill: Bill, vouchers: Sequence[Voucher], actor: Actor, now: datetime) -> Charge:
    """Set the whole price aside: each voucher's part on the voucher, the rest as the payer's commitment.

    Vouchers burn in one order, the first to end first (`rules.split`). Locks them, so that a freeze waits or wins. Raises
    Refused when they cannot pay their shares, Forbidden for a foreign one; the database refuses an overdraft even in a
    race (InsufficientFunds). One charge per subject, beside released ones.
    """
    locked = wallets.lock(voucher_ids=[voucher.pk for voucher in vouchers])
    if any(voucher.holder_id != bill.payer_id for voucher in locked):
        raise Forbidden
    planned = plan(vouchers=locked, price=bill.price, service=bill.service, now=now, ends_at=bill.ends_at)
    if planned.reasons:
        raise Refused(planned.reasons)
    known = {voucher.number: voucher for voucher in locked}
    split = planned.split
    charge = Charge(
        number=next_number(prefix="C", now=now),
        subject=bill.subject,
        service=bill.service,
        payer_id=bill.payer_id,
        provider_id=bill.provider_id,
        voucher=known[split.parts[0].number] if split.parts else None,
        price_fen=bill.price.fen,
        voucher_held_fen=split.voucher.fen,
        own_held_fen=split.own.fen,
        quote=dict(bill.quote),
        created_at=now,
    )
    _set_aside(charge, [(known[part.number], part.amount.fen) for part in split.parts], actor=actor)
    if bill.pay_by is not None and split.own:
        advances.ask(charge_id=charge.pk, payer_id=bill.payer_id, amount=split.own, until=bill.pay_by, now=now)
    audit.record(
        action="charge.held",
        subject=bill.subject,
        actor=actor,
        now=now,
        organisations=[bill.payer_id, bill.provider_id],
        data={
            "charge": charge.number,
            "voucher_fen": split.voucher.fen,
            "own_fen": split.own.fen,
            "parts": {part.number: part.amount.fen for part in split.parts},
        },
    )
    return charge


def _set_aside(charge: Charge, paying: Sequence[tuple[Voucher, int]], *, actor: Actor) -> None:
    """Hold a new charge's money in one posting, and write it and its parts."""
    operations = [HoldOp(voucher.account_id, payable(charge, voucher), fen) for voucher, fen in paying]
    if charge.own_held_fen:
        operations.append(HoldOp(*own_leg(charge), charge.own_held_fen))
    hold_ids: tuple[int, ...] = ()
    if operations:
        hold_ids = ledger.post(
            posting=Posting(
                kind=JournalKind.HOLD,
                key=f"charge:{charge.number}/hold",
                operations=operations,
                actor=actor.signature,
                source_type="charge",
                source_id=charge.number,
            )
        ).hold_ids
    if charge.own_held_fen:
        charge.own_hold_id = hold_ids[-1]
    charge.save(force_insert=True)
    ChargePart.objects.bulk_create(
        ChargePart(
            charge=charge,
            voucher=voucher,
            share_num=voucher.share_num,
            share_den=voucher.share_den,
            held_fen=fen,
            hold_id=hold_id,
        )
        for (voucher, fen), hold_id in zip(paying, hold_ids, strict=False)
    )


def lock(charge_id: int) -> Charge:
    """Return a charge under lock."""
    return (
        Charge.objects.select_for_update(no_key=True, of=("self",))
        .select_related("voucher")
        .order_by("pk")
        .get(pk=charge_id)
    )


def parts_of(charge: Charge) -> list[ChargePart]:
    """Return a charge's parts with their vouchers, in the order they burn."""
    return list(charge.parts.select_related("voucher").order_by("pk"))


def _resolve(hold_id: int, fen: int) -> ResolveOp:
    return ResolveOp(hold_id, Outcome.CAPTURED, fen) if fen else ResolveOp(hold_id, Outcome.RELEASED)


def _taken(due: Money, charge: Charge, parts: Sequence[ChargePart]) -> tuple[dict[str, int], int]:
    """Return what each voucher and the payer give of an amount due, each at most what is held of it.

    With several vouchers, rounding each down may leave the payer some fen above the hold; those are waived.
    """
    lots = [rules.Lot(terms_of(part.voucher), Money(part.held_fen)) for part in parts]
    split = rules.split(due, lots=lots)
    return {part.number: part.amount.fen for part in split.parts}, min(split.own.fen, charge.own_held_fen)


@transaction.atomic
def capture(*, charge_id: int, actual: Money, measured: Mapping[str, Any], actor: Actor, now: datetime) -> Charge:
    """Take the actual amount, at most what is held; release the rest; bill the payer's own share.

    Use beyond the hold is waived and recorded: nobody ever pays more than was agreed. What was ordered in time is taken
    even when the voucher has ended or been frozen since. Raises InvalidTransition for a charge already resolved.
    """
    charge = lock(charge_id)
    charge.state = next_state(rules.TRANSITIONS, rules.ChargeState(charge.state), rules.ChargeAction.CAPTURE).value
    parts = parts_of(charge)
    advances.lock_of(charge.pk)  # before the ledger, as money that arrives does
    taken, own = _taken(min(actual, Money(charge.price_fen)), charge, parts)
    due = sum(taken.values()) + own
    for part in parts:
        part.captured_fen = taken.get(part.voucher.number, 0)
    operations = [_resolve(part.hold_id, part.captured_fen) for part in parts if part.hold_id is not None]
    if charge.own_hold_id is not None:
        operations.append(_resolve(charge.own_hold_id, own))
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
    ChargePart.objects.bulk_update(parts, ["captured_fen"])
    charge.actual_fen = due
    charge.voucher_captured_fen, charge.own_captured_fen = due - own, own
    charge.waived_fen = actual.fen - due
    charge.measured = dict(measured)
    charge.resolved_at = now
    charge.save()
    in_advance = advances.use(charge_id=charge.pk, amount=Money(own), actor=actor, now=now)
    if own and in_advance is None:
        payments.request(charge_id=charge.pk, payer_id=charge.payer_id, amount=Money(own), now=now)
    audit.record(
        action="charge.captured",
        subject=charge.subject,
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={
            "charge": charge.number,
            "voucher_fen": due - own,
            "own_fen": own,
            "released_fen": charge.price_fen - due,
            "waived_fen": charge.waived_fen,
            "parts": taken,
        },
    )
    return charge


@transaction.atomic
def release(*, charge_id: int, reason: str, actor: Actor, now: datetime, keeps_advance: bool = False) -> Charge:
    """Give everything held back. Raises InvalidTransition for a charge already resolved.

    What was paid in advance is owed back, but where the caller goes on to `hold_again` (`keeps_advance`): there it goes over.
    Locks the charge, its vouchers, as a `hold` in the same transaction does before their accounts, the payment, the ledger.
    """
    charge = lock(charge_id)
    charge.state = next_state(rules.TRANSITIONS, rules.ChargeState(charge.state), rules.ChargeAction.RELEASE).value
    parts = parts_of(charge)
    wallets.lock(voucher_ids=[part.voucher_id for part in parts])
    advances.lock_of(charge.pk)
    held = [part.hold_id for part in parts] + [charge.own_hold_id]
    operations = [ResolveOp(hold_id, Outcome.RELEASED) for hold_id in held if hold_id is not None]
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
    if not keeps_advance:
        advances.drop(charge_id=charge.pk, actor=actor, now=now)
    audit.record(
        action="charge.released",
        subject=charge.subject,
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={"charge": charge.number, "released_fen": charge.price_fen, "reason": reason},
    )
    return charge


def payers(*, charge_id: int) -> Sequence[Voucher]:
    """Return the vouchers that pay a charge, in the order they burn."""
    return [part.voucher for part in parts_of(Charge(pk=charge_id))]


@transaction.atomic
def hold_again(
    *,
    charge_id: int,
    price: Money,
    quote: Mapping[str, Any],
    ends_at: datetime,
    by_vouchers: bool = True,
    actor: Actor,
    now: datetime,
) -> Charge:
    """Hold another price for the subject of a released charge, by the same vouchers or, without them, by the payer alone.

    What was paid in advance goes over to it: by the same vouchers it must reach, and what is left waits for the measured
    price; by the payer alone what is left is owed back, what lacks is due. Raises what `hold` raises; Refused where an
    advance does not reach.
    """
    old = lock(charge_id)
    bill = Bill(old.subject, old.service, old.payer_id, old.provider_id, price, quote, ends_at)
    made = hold(bill=bill, vouchers=payers(charge_id=charge_id) if by_vouchers else (), actor=actor, now=now)
    advances.carry(
        subject=made.subject,
        to_charge_id=made.pk,
        amount=Money(made.own_held_fen),
        keeps_rest=by_vouchers,
        actor=actor,
        now=now,
    )
    return made
