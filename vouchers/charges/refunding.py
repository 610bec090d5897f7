"""Give money of a captured charge back: to the vouchers and the payer it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.kernel.money import Money
from portal.numbers.services import next_number
from portal.organisations.models import Organisation
from vouchers.charges import ports, proposal_rules, reasons, rules, services
from vouchers.charges.models import Charge, ChargePart, Refund
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments import services as payments
from vouchers.wallets import expiry
from vouchers.wallets import services as wallets
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

__all__ = [
    "Cut",
    "Grounds",
    "ReasonMissing",
    "SecondPersonNeeded",
    "above_limit",
    "correct",
    "cut",
    "over",
    "refund",
    "said",
]

_ = noop


class ReasonMissing(Invalid):
    code = "charge.refund_reason"
    message = _("请写明退款原因，付款单位会看到。")


class SecondPersonNeeded(Conflict):
    """`limit` is what one person may give back of one charge."""

    code = "charge.second_person"
    message = _("这笔费用累计退款超过 %(limit)s，须由另一位同事批准。请提出退款申请。")


@dataclass(frozen=True, slots=True)
class Cut:
    """What becomes of an amount not paid: `back_fen` of `hold_id` go back, `settled_fen` settle what is owed.

    `owed_by` is the signature of who gave back what is owed; empty where nothing is.
    """

    hold_id: int
    back_fen: int
    settled_fen: int
    owed_by: str


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why money is given back: a code of `reasons.REFUND_REASONS`, words for the payer, who asked where another approved."""

    text: str
    code: str = reasons.OTHER
    asked_by: str = ""


@transaction.atomic
def refund(*, actor: Actor, charge: Charge, amount: Money, reason: str | Grounds, now: datetime, key: str) -> Refund:
    """Give `amount` of a captured charge back, as its provider, for a service that failed in whole or in part.

    What `correct` says; at most `settings.REFUND_APPROVAL_FEN` of one charge by one person, and more by a proposal.
    Raises SecondPersonNeeded, Forbidden, and what `correct` raises.
    """
    actor.require(Permission.CHARGE_REFUND)
    if charge.provider_id != actor.organisation_id:
        raise Forbidden
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=charge.provider_id)
    services.lock(charge.pk)
    known = Refund.objects.filter(charge=charge, key=key).exists()
    if not known and above_limit(charge, amount):
        raise SecondPersonNeeded(limit=str(Money(settings.REFUND_APPROVAL_FEN)))
    return correct(actor=actor, charge_id=charge.pk, amount=amount, reason=reason, now=now, key=key)


def above_limit(charge: Charge, amount: Money) -> bool:
    """Say whether giving back `amount` more of a charge needs a second person; proposals approved before do not count."""
    alone = charge.refunds.filter(proposal__isnull=True).aggregate(fen=Sum("amount_fen"))["fen"] or 0
    return proposal_rules.needs_second_person(amount.fen, refunded_fen=alone, limit_fen=settings.REFUND_APPROVAL_FEN)


@transaction.atomic
def correct(*, actor: Actor, charge_id: int, amount: Money, reason: str | Grounds, now: datetime, key: str) -> Refund:
    """Give `amount` of a captured charge back, for a verb that has made sure that it may: asks for no permission itself.

    Idempotent on (charge, `key`). Split by `rules.refund_split`, among vouchers by the largest remainder; each part goes
    back to the voucher it came from, or to the programme when that voucher is over by now: a refund never revives one.
    What a settlement batch or a claim holds already, voucher part or own share, the provider owes from then on: it is a
    negative line of its next batch. Locks the provider, the charge, its vouchers.

    Raises NotRefundable, RefundTooLarge, ReasonMissing, KeyReused.
    """
    provider_id = Charge.objects.values_list("provider_id", flat=True).get(pk=charge_id)
    grounds = reason if isinstance(reason, Grounds) else Grounds(reason)
    reason = said(grounds.text)
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=provider_id)
    locked = services.lock(charge_id)
    asked = idempotency.fingerprint({"amount": amount.fen, "reason": reason})
    if existing := Refund.objects.filter(charge=locked, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=asked)
        return existing
    if locked.state != rules.ChargeState.CAPTURED.value or not locked.actual_fen:
        raise rules.NotRefundable
    if not 0 < amount.fen <= locked.refundable_fen:
        raise rules.RefundTooLarge(field="amount", limit=str(Money(locked.refundable_fen)))
    made = Refund(key=key, fingerprint=asked, reason=reason, reason_code=grounds.code)
    given = _give_back(locked, amount, made, asked_by=grounds.asked_by, actor=actor, now=now)
    for path in settings.REFUND_FOLLOWERS:
        cast("ports.RefundFollower", import_string(path))(refund_id=given.pk, now=now)
    return given


def said(reason: str) -> str:
    """Return a reason as it is kept. Raises ReasonMissing for none."""
    if not (kept := reason.strip()[:200]):
        raise ReasonMissing(field="reason")
    return kept


def _give_back(charge: Charge, amount: Money, made: Refund, *, asked_by: str, actor: Actor, now: datetime) -> Refund:
    to_vouchers, to_payer = rules.refund_split(
        amount.fen,
        actual=(charge.actual_fen or 0) - charge.own_written_off_fen,
        voucher=charge.voucher_captured_fen,
        refunded=charge.refunded_fen,
        voucher_refunded=charge.voucher_refunded_fen,
    )
    batched = batched_parts(charge)
    own_owed = to_payer if None in batched else 0
    parts = services.parts_of(charge)
    shares = rules.apportion(to_vouchers, [part.captured_fen - part.refunded_fen for part in parts])
    ended = over([part.voucher_id for part, fen in zip(parts, shares, strict=True) if fen], now=now)
    operations = [
        _to_voucher(charge, part, fen, owed=part.voucher_id in batched, is_over=part.voucher_id in ended)
        for part, fen in zip(parts, shares, strict=True)
        if fen
    ]
    if to_payer:
        due, owing = services.own_leg(charge)
        debt = AccountKey(AccountKind.RECEIVABLE_PROVIDER, f"organisation:{charge.provider_id}")
        operations.append(TransferOp(debt if own_owed else owing, due, to_payer, charge.own_hold_id))
    made.number = next_number(prefix="R", now=now)
    ledger.post(
        posting=Posting(
            kind=JournalKind.REFUND,
            key=f"refund:{made.number}",
            operations=operations,
            actor=asked_by or actor.signature,
            approved_by=actor.signature if asked_by else "",
            source_type="charge",
            source_id=charge.number,
            reason=made.reason,
        )
    )
    for part, fen in zip(parts, shares, strict=True):
        part.refunded_fen += fen
        part.owed_fen += fen if part.voucher_id in batched else 0
    ChargePart.objects.bulk_update(parts, ["refunded_fen", "owed_fen"])
    charge.voucher_refunded_fen += to_vouchers
    charge.voucher_owed_fen += sum(fen for part, fen in zip(parts, shares, strict=True) if part.voucher_id in batched)
    charge.own_refunded_fen += to_payer
    charge.own_owed_fen += own_owed
    charge.save(update_fields=["voucher_refunded_fen", "voucher_owed_fen", "own_refunded_fen", "own_owed_fen"])
    if to_payer:
        payments.give_back(charge_id=charge.pk, amount=Money(to_payer), actor=actor, now=now)
    made.charge, made.amount_fen, made.voucher_fen, made.own_fen = charge, amount.fen, to_vouchers, to_payer
    made.lapsed_fen = sum(fen for part, fen in zip(parts, shares, strict=True) if part.voucher_id in ended)
    made.refunded_by_id, made.refunded_at = actor.user_id, now
    made.save(force_insert=True)
    _record(charge, made, actor=actor, now=now)
    return made


def batched_parts(charge: Charge) -> set[int | None]:
    """Return whose parts a settlement batch or a filed claim holds: ids of vouchers, None for the own share."""
    held: set[int | None] = set(charge.settlement_lines.filter(active=True).values_list("voucher_id", flat=True))
    return held.union(charge.redemption_lines.filter(active=True).values_list("voucher_id", flat=True))


@transaction.atomic
def cut(*, charge: Charge, voucher: Voucher, fen: int) -> Cut:
    """Note that `fen` of a voucher's captured part are not paid to the provider: for the verb that posts it.

    A claim that is paid less than was captured gives the rest back this way. What the provider refunded meanwhile, and
    owes, went back already: so much of the cut only settles that debt.
    """
    locked = services.lock(charge.pk)
    part = locked.parts.get(voucher=voucher)
    assert part.hold_id is not None
    settled = min(fen, part.owed_fen)
    back = fen - settled
    part.refunded_fen += back
    part.owed_fen -= settled
    part.save(update_fields=["refunded_fen", "owed_fen"])
    locked.voucher_refunded_fen += back
    locked.voucher_owed_fen -= settled
    locked.save(update_fields=["voucher_refunded_fen", "voucher_owed_fen"])
    last = locked.refunds.select_related("refunded_by").order_by("-pk").first() if settled else None
    return Cut(part.hold_id, back, settled, f"{last.refunded_by} #{last.refunded_by_id}" if last else "")


def over(voucher_ids: Sequence[int], *, now: datetime) -> set[int]:
    """Lock vouchers, end those whose time is over, and return the ended ones."""
    wallets.lock(voucher_ids=voucher_ids)
    for voucher_id in sorted(voucher_ids):
        expiry.end_if_over(voucher_id=voucher_id, now=now)
    ended = (VoucherState.EXPIRED.value, VoucherState.RECOVERED.value)
    return set(Voucher.objects.filter(pk__in=voucher_ids, state__in=ended).values_list("pk", flat=True))


def _to_voucher(charge: Charge, part: ChargePart, fen: int, *, owed: bool, is_over: bool) -> TransferOp:
    voucher = part.voucher
    money = (voucher.programme_code, voucher.fiscal_year)
    owner = f"organisation:{charge.provider_id}"
    source = AccountKey(AccountKind.RECEIVABLE_PROVIDER if owed else AccountKind.PROVIDER_PAYABLE, owner, *money)
    lapsed = AccountKey(AccountKind.EXPIRED, f"programme:{voucher.programme_code}/{voucher.fiscal_year}", *money)
    return TransferOp(source, lapsed if is_over else voucher.account_id, fen, part.hold_id)


def _record(charge: Charge, made: Refund, *, actor: Actor, now: datetime) -> None:
    audit.record(
        action="charge.refunded",
        subject=charge.subject,
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={
            "charge": charge.number,
            "refund": made.number,
            "voucher_fen": made.voucher_fen,
            "own_fen": made.own_fen,
            "lapsed_fen": made.lapsed_fen,
            "reason": made.reason,
        },
    )
