"""Notices of gateways: stored as they come, then processed once. A notice is a hint: what is true is fetched.

So neither repetition nor order matters. What does not fit our rows is quarantined and finance is told; what is none of
ours is ignored. A gateway that does not answer is asked again by the schedule `rail_rules.LOOKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import InvalidTransition, PortalError, Unavailable, noop
from portal.kernel.states import next_state
from vouchers.payments import alarms, attempting, disputing, ports, rail_rules, rails, refunding
from vouchers.payments.hints import hint
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt
from vouchers.payments.rail_rules import EventAction, EventState

__all__ = ["ignore", "keep", "process", "release", "store"]

_ = noop

GONE: Final = {"resource_missing", "not_found"}
"""What a gateway calls an object it does not have."""


def store(*, rail: str, event: ports.Event, body: bytes, now: datetime) -> None:
    """Keep a verified notice, once a rail and id; deliveries are counted. A worker processes it once this is committed."""
    keep(rail=rail, event=event, body=body, deliveries=1, now=now)


@transaction.atomic
def keep(*, rail: str, event: ports.Event, body: bytes, deliveries: int, now: datetime) -> bool:
    """Keep a notice that was delivered so often (0: it was fetched); say whether it is new."""
    kept, is_new = PaymentEvent.objects.get_or_create(
        rail=rail,
        provider_event_id=event.id,
        defaults={
            "kind": event.kind.value,
            "type": event.type[:80],
            "object_id": event.object_id[:120],
            "body": body,
            "occurred_at": event.created_at,
            "received_at": now,
            "deliveries": deliveries,
            "next_look_at": now + rail_rules.LOOKS[0],
        },
    )
    if is_new:
        transaction.on_commit(lambda: hint("payments.process_event", event_id=kept.pk))
    elif deliveries:
        PaymentEvent.objects.filter(pk=kept.pk).update(deliveries=F("deliveries") + deliveries)
    return is_new


def process(*, event_id: int, now: datetime) -> PaymentEvent:
    """Do what a stored notice hints at; one that is over, quarantined or ignored is left alone. Not in a transaction."""
    event = PaymentEvent.objects.get(pk=event_id)
    if event.state != EventState.STORED.value:
        return event
    try:
        handle = HANDLERS.get(ports.EventKind(event.kind))
        note = _("没有可处理的内容。") if handle is None else handle(rails.rail(event.rail), event, now)
    except Unavailable:
        return _later(event, now=now)
    except ports.RailRefused as error:
        if str(error.params.get("reason")) in GONE:
            return _moved(event, EventAction.IGNORE, note=_("支付机构没有这个对象。"), now=now)
        return _later(event, now=now, note=str(error.params.get("text") or ""))
    except PortalError as error:
        return _moved(event, EventAction.QUARANTINE, note=str(error.params.get("note") or error), now=now)
    return _moved(event, EventAction.IGNORE if note else EventAction.FINISH, note=note, now=now)


def _payment(rail: ports.Rail, event: PaymentEvent, now: datetime) -> str:
    seen = rail.fetch(event.object_id)
    attempts = PaymentAttempt.objects.select_related("payment").filter(rail=event.rail)
    attempt = attempts.filter(number=seen.number).first() if seen.number else None
    attempt = attempt or attempts.filter(provider_id=seen.provider_id).first()
    if attempt is None:
        if seen.number:
            raise rail_rules.NotOurs(note=f"number {seen.number} is no attempt of ours")
        return _("不是本平台发起的支付。")
    attempting.see(attempt=attempt, seen=seen, now=now)
    return ""


def _refund(rail: ports.Rail, event: PaymentEvent, now: datetime) -> str:
    seen = rail.fetch_refund(event.object_id)
    refunds = RefundAttempt.objects.select_related("attempt", "payment").filter(attempt__rail=event.rail)
    refund = refunds.filter(number=seen.number).first() if seen.number else None
    refund = refund or refunds.filter(provider_id=seen.provider_id).first()
    if refund is None:
        if PaymentAttempt.objects.filter(rail=event.rail, provider_id=seen.payment_id).exists():
            raise rail_rules.NotOurs(note=f"refund {seen.provider_id} of {seen.amount.fen} fen was not asked for by us")
        return _("不是本平台发起的退款。")
    refunding.see(refund=refund, seen=seen, now=now)
    return ""


def _dispute(rail: ports.Rail, event: PaymentEvent, now: datetime) -> str:
    seen = rail.fetch_dispute(event.object_id)
    attempt = PaymentAttempt.objects.filter(rail=event.rail, provider_id=seen.payment_id).first()
    if attempt is None:
        return _("争议的支付不是本平台发起的。")
    disputing.see(attempt=attempt, seen=seen, now=now)
    return ""


def _transfer(rail: ports.Rail, event: PaymentEvent, now: datetime) -> str:
    notice: Callable[..., bool] = import_string(settings.PAYOUT_NOTICES)
    is_ours = notice(rail=rail.code, provider_id=event.object_id, now=now)
    return "" if is_ours else _("不是本平台发起的付款。")


HANDLERS: Final[Mapping[ports.EventKind, Callable[[ports.Rail, PaymentEvent, datetime], str]]] = {
    ports.EventKind.PAYMENT: _payment,
    ports.EventKind.REFUND: _refund,
    ports.EventKind.DISPUTE: _dispute,
    ports.EventKind.TRANSFER: _transfer,
}
"""Each returns why the notice is none of ours, or "". Payouts are seen by the reconciliation of the gateway's balance."""


def _lock(event: PaymentEvent) -> PaymentEvent:
    return PaymentEvent.objects.select_for_update(no_key=True).order_by("pk").get(pk=event.pk)


@transaction.atomic
def _later(event: PaymentEvent, *, now: datetime, note: str = "") -> PaymentEvent:
    """Wait for the gateway; after the last look a person is told."""
    locked = _lock(event)
    if locked.state != EventState.STORED.value:
        return locked
    locked.tries += 1
    locked.note = note[:300]
    locked.next_look_at = rail_rules.next_look(locked.tries, now=now)
    if locked.next_look_at is None:
        return _quarantine(locked, note or _("支付机构多次没有应答。"), now=now)
    locked.save()
    return locked


@transaction.atomic
def _moved(event: PaymentEvent, action: EventAction, *, note: str, now: datetime) -> PaymentEvent:
    locked = _lock(event)
    if locked.state != EventState.STORED.value:
        return locked
    if action is EventAction.QUARANTINE:
        return _quarantine(locked, note, now=now)
    locked.state = next_state(rail_rules.EVENT_TRANSITIONS, EventState(locked.state), action).value
    locked.note, locked.processed_at, locked.next_look_at = note[:300], now, None
    locked.save()
    return locked


def _quarantine(event: PaymentEvent, note: str, *, now: datetime) -> PaymentEvent:
    event.state = next_state(rail_rules.EVENT_TRANSITIONS, EventState(event.state), EventAction.QUARANTINE).value
    event.note, event.next_look_at = note[:300], None
    event.save()
    alarms.tell(
        what=_("支付机构的通知与本平台的记录不符，没有入账，请人工核对。"),
        about=f"payment-notice:{event.pk}",
        now=now,
        notice=event.provider_event_id,
        note=event.note,
    )
    return event


@transaction.atomic
def release(*, actor: Actor, event: PaymentEvent, now: datetime) -> PaymentEvent:
    """Have a quarantined notice processed once more, as finance. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.PAYMENT_CONFIRM)
    locked = _lock(event)
    locked.state = next_state(rail_rules.EVENT_TRANSITIONS, EventState(locked.state), EventAction.RELEASE).value
    locked.tries, locked.next_look_at = 0, now
    locked.save()
    _record(locked, action="payment.notice_released", actor=actor, now=now)
    transaction.on_commit(lambda: hint("payments.process_event", event_id=locked.pk))
    return locked


@transaction.atomic
def ignore(*, actor: Actor, event: PaymentEvent, reason: str, now: datetime) -> PaymentEvent:
    """End a quarantined notice without doing anything, as finance, who says why. Raises NoReason, InvalidTransition."""
    actor.require(Permission.PAYMENT_CONFIRM)
    if not reason.strip():
        raise rail_rules.NoReason(field="reason")
    locked = _lock(event)
    if locked.state == EventState.STORED.value:
        raise InvalidTransition(state=locked.state, action=EventAction.IGNORE.value)
    locked.state = next_state(rail_rules.EVENT_TRANSITIONS, EventState(locked.state), EventAction.IGNORE).value
    locked.processed_at = now
    locked.note = f"{locked.note} · {reason.strip()}"[:300]
    locked.save()
    _record(locked, action="payment.notice_ignored", actor=actor, now=now)
    return locked


def _record(event: PaymentEvent, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"payment-notice:{event.pk}",
        actor=actor,
        now=now,
        data={"notice": event.provider_event_id, "rail": event.rail, "note": event.note},
    )
