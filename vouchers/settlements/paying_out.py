"""Pay approved batches to providers' accounts with a payment gateway: once each, whatever is lost, repeated or killed.

The order's row is committed first and its number is the gateway's idempotency key; the gateway is called outside any
transaction. While no answer is known the payout stays open: it is looked for by its number, and only where the gateway
proves that there is none is it asked for again, under the same number. It never gets another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import PortalError, Reason, Unavailable, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from vouchers.payments import alarms, rail_rules, rails
from vouchers.payments.ports import RailRefused, SeenTransfer
from vouchers.settlements import payout_rules as rules
from vouchers.settlements import queries, routing, services
from vouchers.settlements.cases import lock
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.payout_models import RailPayout
from vouchers.settlements.rules import TRANSITIONS, BatchAction, BatchState

__all__ = [
    "SYSTEM",
    "as_ordered",
    "keep",
    "lock_payout",
    "look",
    "look_at_due",
    "order",
    "pay",
    "reconcile",
    "see",
    "send",
    "tell",
]

_ = noop
logger = structlog.get_logger("settlements")

SYSTEM: Final = Actor.system(_("支付机构付款"))
LEASE: Final = timedelta(minutes=2)
"""How long one worker has for one look; after it another takes over. A rail's own deadline is well below."""
A, S = rules.RailPayoutAction, rules.RailPayoutState


def pay(*, actor: Actor, batch: SettlementBatch, now: datetime) -> RailPayout:
    """Order a batch's payment and send it; without an answer it stays open and is looked for. Not inside a transaction.

    Raises what `order` does.
    """
    made = order(actor=actor, batch=batch, now=now)
    return send(payout=made, now=now) if made.state == S.OPEN.value and made.looks == 0 else made


@transaction.atomic
def order(*, actor: Actor, batch: SettlementBatch, now: datetime) -> RailPayout:
    """Write that an approved batch is to be paid to its account with the gateway; the batch is frozen until it is known.

    The same again returns what is there. Raises RailPayoutRefused with every ground, SentByApprover, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_PAY)
    locked = lock(batch)
    known = RailPayout.objects.filter(batch=locked).exclude(state__in=rules.ENDED).first()
    if known is not None:
        return known
    if reasons := _against(actor, locked):
        raise rules.RailPayoutRefused(reasons)
    if actor.person == locked.approved_by_id:
        raise rules.SentByApprover
    account = locked.account
    assert account is not None
    number = next_number(prefix="PY", now=now)
    try:
        with transaction.atomic():
            made = RailPayout.objects.create(
                number=number,
                batch=locked,
                account=account,
                rail=account.rail,
                destination=account.number,
                amount_fen=locked.total_fen,
                next_look_at=now + LEASE,
                created_by_id=actor.person,
                created_at=now,
            )
    except IntegrityError:
        return RailPayout.objects.exclude(state__in=rules.ENDED).get(batch=locked)
    locked.state = next_state(TRANSITIONS, BatchState(locked.state), BatchAction.EXPORT).value
    locked.exported_at = now
    locked.save(update_fields=["state", "exported_at"])
    keep(made, action="settlement.payout_ordered", actor=actor, now=now)
    return made


def _against(actor: Actor, batch: SettlementBatch) -> list[Reason]:
    params = {"number": batch.number, "payee": batch.payee.name}
    found = []
    if batch.state != BatchState.APPROVED.value:
        message = _("批次 %(number)s 不是待付款状态。")
        found.append(Reason("rail_payout.state", message, _("请刷新页面查看最新状态。"), params=params))
    if batch.account is None or not batch.account.rail:
        message = _("批次 %(number)s 审批时没有支付机构账户可付。")
        found.append(Reason("rail_payout.no_account", message, _("请编入付款指令，由银行付款。"), params=params))
    elif batch.account.rail not in routing.passing_rails():
        message = _("平台现在不能经 %(rail)s 向收款单位付款。")
        remedy = _("请运营人员检查支付机构的设置；或作废批次，重新编制后由银行付款。")
        found.append(Reason("rail_payout.rail", message, remedy, params={"rail": batch.account.rail}))
    if people.belongs(user_id=actor.person, organisation_id=batch.payee_id):
        message = _("您是 %(payee)s 的成员，不能向它付款（批次 %(number)s）。")
        found.append(Reason("rail_payout.own_payee", message, _("请由其他同事付款。"), params=params))
    if numbers := queries.open_cases_about(batch.pk):
        message = _("银行另有答复说批次 %(number)s 的明细已经付过款（差异 %(cases)s）。")
        remedy = _("请先查明并结案，以免重复付款。")
        params = {**params, "cases": ", ".join(numbers)}
        found.append(Reason("rail_payout.paid_perhaps", message, remedy, params=params))
    return found


def send(*, payout: RailPayout, now: datetime) -> RailPayout:
    """Ask the gateway for it under its own number; repeated, the gateway gives the first answer. Not in a transaction."""
    try:
        seen = rails.rail(payout.rail).transfer(
            number=payout.number,
            destination=payout.destination,
            amount=Money(payout.amount_fen),
            key=f"payout:{payout.number}",
        )
    except RailRefused as error:
        return _failed(payout, error, now=now)
    except Unavailable:
        return _later(payout, now=now)
    return see(payout=payout, seen=seen, now=now)


def look(*, payout: RailPayout, now: datetime) -> RailPayout:
    """Find out what has become of an open one; what the gateway proves it never had is sent, under the same number."""
    try:
        seen = rails.rail(payout.rail).find_transfer(payout.number, since=payout.created_at)
    except (Unavailable, RailRefused):
        return _later(payout, now=now)
    return send(payout=payout, now=now) if seen is None else see(payout=payout, seen=seen, now=now)


def see(*, payout: RailPayout, seen: SeenTransfer, now: datetime) -> RailPayout:
    """Book what the gateway says it has passed on. What is not as we ordered it is booked by nobody and told to finance."""
    if not as_ordered(payout, seen) or seen.reversed.fen:
        return _suspect(payout, seen, now=now)
    return _paid(payout, seen.provider_id, now=now)


def as_ordered(payout: RailPayout, seen: SeenTransfer) -> bool:
    """Say whether a transfer is the one we ordered, whether or not it was taken back since."""
    said = (seen.number, seen.destination, seen.amount.fen, seen.currency)
    return said == (payout.number, payout.destination, payout.amount_fen, "CNY")


@transaction.atomic
def _paid(payout: RailPayout, provider_id: str, *, now: datetime) -> RailPayout:
    batch, row = lock(payout.batch), lock_payout(payout)
    if row.state != S.OPEN.value:
        return row
    row.state = next_state(rules.RAIL_PAYOUT_TRANSITIONS, S(row.state), A.PAY).value
    row.provider_id, row.ended_at, row.next_look_at = provider_id, now, None
    row.save()
    paid = services.book_paid(actor=SYSTEM, batch=batch, bank_reference=provider_id, now=now)
    paid.paid_by_id = row.created_by_id
    paid.save(update_fields=["paid_by"])
    keep(row, action="settlement.payout_ended", actor=SYSTEM, now=now)
    return row


@transaction.atomic
def _failed(payout: RailPayout, error: RailRefused, *, now: datetime) -> RailPayout:
    """End it as the bank's failed payment ends: everything in the batch is owed again, with the gateway's reason."""
    batch, row = lock(payout.batch), lock_payout(payout)
    if row.state != S.OPEN.value:
        return row
    row.state = next_state(rules.RAIL_PAYOUT_TRANSITIONS, S(row.state), A.FAIL).value
    row.failure_code = str(error.params.get("reason") or "refused")[:60]
    row.failure_text = str(error.params.get("text") or "")[:300]
    row.ended_at, row.next_look_at = now, None
    row.save()
    services.book_failed(actor=SYSTEM, batch=batch, reason=f"{row.failure_code} {row.failure_text}".strip(), now=now)
    keep(row, action="settlement.payout_ended", actor=SYSTEM, now=now)
    tell(_("经支付机构的付款没有成功，款项仍应付，请查明原因后重新编制。"), row, now=now)
    return row


@transaction.atomic
def _suspect(payout: RailPayout, seen: SeenTransfer, *, now: datetime) -> RailPayout:
    row = lock_payout(payout)
    if row.state != S.OPEN.value:
        return row
    note = f"{seen.provider_id}: {seen.number} {seen.destination} {seen.amount.fen} {seen.currency}"
    row.failure_code, row.failure_text = "differs", f"{note} reversed {seen.reversed.fen}"[:300]
    row.next_look_at = None
    row.save()
    tell(_("支付机构的付款记录与本平台不一致，没有入账，请人工核对。"), row, now=now)
    return row


@transaction.atomic
def _later(payout: RailPayout, *, now: datetime) -> RailPayout:
    """Look again by the schedule; after its last look once a day, for money that may be out is never given up."""
    row = lock_payout(payout)
    if row.state == S.OPEN.value:
        row.next_look_at = rail_rules.next_look(row.looks, now=now) or now + timedelta(days=1)
        row.looks += 1
        row.save(update_fields=["next_look_at", "looks"])
        if row.looks == len(rail_rules.LOOKS):
            tell(_("经支付机构的付款多次核实未果，请到支付机构后台核对；本平台会继续查询。"), row, now=now)
    return row


def look_at_due(*, now: datetime, limit: int = 50) -> int:
    """Look at the open payouts that are due, oldest first; return at how many. Safe in several workers at once."""
    due = RailPayout.objects.filter(state=S.OPEN.value, next_look_at__lte=now).order_by("next_look_at", "pk")
    looked = 0
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        payout = _taken(pk, now=now)
        if payout is None:
            continue
        try:
            look(payout=payout, now=now)
        except PortalError as error:
            logger.warning("settlements.payout_not_looked_at", payout=payout.number, code=error.code)
        looked += 1
    return looked


@transaction.atomic
def _taken(pk: int, *, now: datetime) -> RailPayout | None:
    """Return a payout for this worker to look at, or None where another is at it."""
    rows = RailPayout.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("batch")
    row = rows.filter(pk=pk, state=S.OPEN.value, next_look_at__lte=now).order_by("pk").first()
    if row is not None:
        row.next_look_at = now + LEASE
        row.save(update_fields=["next_look_at"])
    return row


def reconcile(*, rail: str, lines: Mapping[str, str], now: datetime) -> int:
    """Mark the batches whose transfer the gateway's own report shows; `lines` are its lines by what moved. Return how many."""
    shown = RailPayout.objects.filter(rail=rail, provider_id__in=list(lines), state=S.PAID.value)
    shown = shown.filter(batch__state=BatchState.PAID.value)
    done = 0  # `lines` are those by which money went out: a line that brought it back shows no payment
    for row in shown.select_related("batch").order_by("pk"):
        line = f"{rail}:{lines[row.provider_id]}"
        services.book_reconciled(actor=SYSTEM, batch=row.batch, bank_line=line, now=now)
        done += 1
    return done


def lock_payout(payout: RailPayout) -> RailPayout:
    rows = RailPayout.objects.select_for_update(no_key=True, of=("self",)).select_related("batch")
    return rows.order_by("pk").get(pk=payout.pk)


def tell(what: str, payout: RailPayout, *, now: datetime) -> None:
    about = f"settlement:{payout.batch.number}"
    alarms.tell(what=what, about=about, now=now, payout=payout.number, code=payout.failure_code)


def keep(payout: RailPayout, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"settlement:{payout.batch.number}",
        actor=actor,
        now=now,
        organisations=[payout.batch.payee_id],
        data={
            "payout": payout.number,
            "rail": payout.rail,
            "amount_fen": payout.amount_fen,
            "state": payout.state,
            "failure": payout.failure_code,
        },
    )
