"""The janitor: what is open or unknown is looked for by the schedule `rail_rules.LOOKS`; after the last look a person is told.

It needs no broker and no notice: the rows say what is due. Safe to run in several workers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from django.db import models, transaction
from django.db.models import F, Q

from portal.audit import queries as trail
from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import InvalidTransition, PortalError, noop
from portal.kernel.period import Period
from vouchers.payments import alarms, attempting, inbox, ports, rail_rules, rails, refunding, rules
from vouchers.payments.models import Payment
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt
from vouchers.payments.rail_rules import AttemptState, EventState

__all__ = ["ask_what_is_owed", "fetch_notices", "look_again", "look_at_due", "silent_since"]

_ = noop
logger = structlog.get_logger("payments")

LEASE: Final = timedelta(minutes=2)
"""How long a worker has for one look; after it another takes over."""
REACH: Final = timedelta(hours=3)
"""How far back notices are fetched in any case; further where the portal was away."""
REMEMBERED: Final = timedelta(days=28)
"""How long gateways keep notices (Stripe: 30 days)."""
QUIET: Final = timedelta(minutes=10)
"""A notice that has not come after so long will not come by itself soon."""
MAY_BE_GIVEN_UP: Final = (AttemptState.CREATED.value, AttemptState.REQUIRES_ACTION.value, AttemptState.UNKNOWN.value)
OVER: Final = (rules.PaymentState.CONFIRMED.value, rules.PaymentState.CANCELLED.value)


def look_at_due(*, now: datetime, limit: int = 50) -> int:
    """Look at the attempts, refunds and notices that are due, oldest first, at most `limit` each; return at how many."""
    due = Q(next_look_at__lte=now)
    unwanted = Q(state__in=MAY_BE_GIVEN_UP, payment__state__in=OVER, expires_at__gt=now)
    attempts = PaymentAttempt.objects.filter(Q(state__in=attempting.OPEN) & (due | unwanted))
    refunds = RefundAttempt.objects.filter(due, state__in=refunding.OPEN)
    events = PaymentEvent.objects.filter(due, state=EventState.STORED.value)
    looked = 0
    for pk in list(attempts.order_by("next_look_at", "pk").values_list("pk", flat=True)[:limit]):
        looked += _look_at_attempt(pk, now)
    for pk in list(refunds.order_by("next_look_at", "pk").values_list("pk", flat=True)[:limit]):
        looked += _look_at_refund(pk, now)
    for pk in list(events.order_by("next_look_at", "pk").values_list("pk", flat=True)[:limit]):
        looked += _safely(partial(inbox.process, event_id=pk, now=now))
    return looked


def _look_at_attempt(pk: int, now: datetime) -> int:
    attempt = _taken(PaymentAttempt, pk, now)
    if attempt is None:
        return 0
    done = _safely(lambda: attempting.look(attempt=attempt, now=now))
    with transaction.atomic():
        row = PaymentAttempt.objects.select_for_update(no_key=True).order_by("pk").get(pk=pk)
        if row.state in attempting.OPEN and row.next_look_at is not None:
            until = row.expires_at if row.state != AttemptState.PROCESSING.value else None
            row.next_look_at = rail_rules.next_look(row.looks, now=now, before=until)
            row.save(update_fields=["next_look_at"])
            if row.next_look_at is None:
                _tell(_("支付的结果多次核实未果，请到支付机构后台核对。"), row.payment, now, attempt=row.number)
    return done


def _look_at_refund(pk: int, now: datetime) -> int:
    refund = _taken(RefundAttempt, pk, now)
    if refund is None:
        return 0
    done = _safely(lambda: refunding.look(refund=refund, now=now))
    with transaction.atomic():
        row = RefundAttempt.objects.select_for_update(no_key=True).order_by("pk").get(pk=pk)
        if row.state in refunding.OPEN and row.next_look_at is not None:
            row.next_look_at = rail_rules.next_look(row.looks, now=now)
            row.save(update_fields=["next_look_at"])
            if row.next_look_at is None:
                _tell(_("退款的结果多次核实未果，请到支付机构后台核对。"), row.payment, now, refund=row.number)
    return done


def _tell(what: str, payment: Payment, now: datetime, **data: str) -> None:
    alarms.tell(what=what, about=f"payment:{payment.number}", now=now, **data)


@transaction.atomic
def _taken(table: type[models.Model], pk: int, now: datetime) -> Any:
    """Return a row for this worker to look at, or None where another is at it."""
    rows = table._default_manager.select_for_update(no_key=True, skip_locked=True)
    row: Any = rows.filter(pk=pk).order_by("pk").first()
    if row is None:
        return None
    changed = ["next_look_at", "looks"]
    if _is_unwanted(row, now):
        row.expires_at, row.looks = now, 0  # from now on by the schedule, like everything else
        changed.append("expires_at")
    elif row.next_look_at is not None and row.next_look_at > now:
        return None
    if not _is_last_chance(row):
        row.looks += 1
    row.next_look_at = now + LEASE
    row.save(update_fields=changed)
    return row


def _is_last_chance(row: Any) -> bool:
    """Say whether an attempt is looked at because its time is up: that look comes between those of the schedule."""
    return isinstance(row, PaymentAttempt) and row.next_look_at == row.expires_at


def _is_unwanted(row: Any, now: datetime) -> bool:
    """Say whether an attempt's payment is over while the payer could still pay: it is to be given up at once."""
    return isinstance(row, PaymentAttempt) and row.payment.state in OVER and row.expires_at > now


def _safely(look: Callable[[], object]) -> int:
    """Look at one thing; what goes wrong with it keeps no other waiting."""
    try:
        look()
    except PortalError as error:
        logger.warning("payments.look_failed", error=str(error))
        return 0
    except Exception:
        logger.exception("payments.look_broke")
        return 0
    return 1


def ask_what_is_owed(*, now: datetime, limit: int = 100) -> int:
    """Ask back over the rails what is owed and nobody has asked for yet; return how many refunds were written."""
    owing = Payment.objects.filter(
        state=rules.PaymentState.CONFIRMED.value,
        refunded_fen__gt=F("paid_back_fen"),
        arrivals__source__startswith="attempt:",
    )
    return sum(len(refunding.owe(payment=each, now=now)) for each in owing.order_by("pk").distinct()[:limit])


def fetch_notices(*, now: datetime) -> int:
    """Fetch what every gateway remembers and keep what never arrived; return how many those were.

    Where several never came and none has come since, the operator is told: notices have stopped.
    """
    found = 0
    for rail in rails.rails():
        last = PaymentEvent.objects.filter(rail=rail.code).order_by("-received_at").first()
        since = min(now - REACH, last.received_at - QUIET) if last else now - REACH
        during = Period(max(since, now - REMEMBERED), now)
        try:
            remembered = rail.events(during=during)
        except (PortalError, NotImplementedError) as error:
            logger.warning("payments.notices_not_fetched", rail=rail.code, error=str(error))
            continue
        found += sum(_kept(rail, event, now) for event in remembered if event.created_at <= now - QUIET)
        if (quiet := silent_since(rail.code, now=now)) is not None:
            _tell_of_silence(rail.code, quiet, now=now)
    return found


def _kept(rail: ports.Rail, event: ports.Event, now: datetime) -> bool:
    return inbox.keep(rail=rail.code, event=event, body=b"", deliveries=0, now=now)


def silent_since(rail: str, *, now: datetime) -> datetime | None:
    """Return since when a rail's notices do not arrive: the first that never came, where none has come after it."""
    rows = PaymentEvent.objects.filter(rail=rail, occurred_at__gte=now - timedelta(days=1))
    came = rows.filter(deliveries__gt=0).order_by("-occurred_at").values_list("occurred_at", flat=True).first()
    missed = rows.filter(deliveries=0)
    missed = missed.filter(occurred_at__gt=came) if came else missed
    first: datetime | None = missed.order_by("occurred_at").values_list("occurred_at", flat=True).first()
    return first


@transaction.atomic
def _tell_of_silence(rail: str, since: datetime, *, now: datetime) -> None:
    """Tell once that a rail's notices have stopped, by the first that never came."""
    about = f"rail:{rail}/{since:%Y%m%dT%H%M%S}"
    if not trail.is_known(action="payment.rail_alarm", subject=about):
        alarms.tell(what=_("支付机构的通知没有送达，请检查通知地址和密钥。"), about=about, now=now, rail=rail)


def _as_new(row: PaymentAttempt | RefundAttempt, open_states: Collection[str], *, now: datetime) -> None:
    if row.state not in open_states:
        raise InvalidTransition(state=row.state, action="look")
    row.looks, row.next_look_at = 0, now
    row.save(update_fields=["looks", "next_look_at"])


@transaction.atomic
def look_again(*, actor: Actor, attempt: PaymentAttempt, now: datetime) -> PaymentAttempt:
    """Have an open attempt looked for at once, as finance, as if it were new. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.PAYMENT_CONFIRM)
    locked = PaymentAttempt.objects.select_for_update(no_key=True).order_by("pk").get(pk=attempt.pk)
    _as_new(locked, attempting.OPEN, now=now)
    audit.record(
        action="payment.attempt_looked",
        subject=f"payment:{locked.payment.number}",
        actor=actor,
        now=now,
        data={"attempt": locked.number},
    )
    return locked


@transaction.atomic
def look_again_for_refund(*, actor: Actor, refund: RefundAttempt, now: datetime) -> RefundAttempt:
    """Have an open refund looked for at once, as finance, as if it were new. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.PAYMENT_CONFIRM)
    locked = RefundAttempt.objects.select_for_update(no_key=True).order_by("pk").get(pk=refund.pk)
    _as_new(locked, refunding.OPEN, now=now)
    audit.record(
        action="payment.refund_looked",
        subject=f"payment:{locked.payment.number}",
        actor=actor,
        now=now,
        data={"refund": locked.number},
    )
    return locked
