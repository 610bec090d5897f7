"""Receive, keep, test, review, report and bill samples: the lab's work on an accepted order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.money import Money
from portal.kernel.states import next_state
from scheduler.samples import reports, rules, services
from scheduler.samples.models import Custody, Sample, SampleOrder
from vouchers.charges import services as charges
from vouchers.evidence import services as files

A = rules.SampleOrderAction
S = rules.SampleOrderState
IN_TRANSIT = frozenset({S.ACCEPTED, S.SAMPLES_REJECTED})
"""Where an order stands while its samples are on their way."""


@dataclass(frozen=True, slots=True)
class Handling:
    """One act on one sample: where it lies since, and why (a rejection must say)."""

    act: rules.SampleAction
    place: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """Results as drafted: the report, what is billed of the quote, and the machine time the tests took (seconds)."""

    report: files.Upload
    counted: int
    machine_s: int = 0


@transaction.atomic
def handle(*, actor: Actor, sample: Sample, handling: Handling, now: datetime) -> Sample:
    """Do one act on one sample, as the lab, and add it to the chain of custody.

    The order follows: received once no sample is expected and at least one is held; its samples rejected once all are.
    Receiving and rejecting need an order whose samples are on their way. Raises NoteMissing for a rejection or disposal
    without a reason, PlaceMissing for a move that names no place, InvalidTransition, Forbidden.
    """
    actor.require(Permission.SESSION_RECORD)
    order = services.served(actor=actor, order=sample.order)
    if handling.act is rules.SampleAction.RESEND:
        raise Forbidden
    if handling.act in {rules.SampleAction.RECEIVE, rules.SampleAction.REJECT} and order.state != S.ACCEPTED.value:
        next_state(rules.TRANSITIONS, S(order.state), A.RECEIVE)
    explained = handling.act in {rules.SampleAction.REJECT, rules.SampleAction.DISPOSE}
    note = services.noted(note=handling.note) if explained else handling.note.strip()[: services.NOTE]
    if handling.act is rules.SampleAction.MOVE and not handling.place.strip():
        raise rules.PlaceMissing(field="place")
    changed = _step(sample, handling.act, actor=actor, now=now, place=handling.place.strip()[:120], note=note)
    services.record(order, action=f"sample.one_{handling.act.value}", actor=actor, now=now, position=changed.position)
    states = set(order.samples.values_list("state", flat=True))
    if order.state == S.ACCEPTED.value and rules.SampleState.EXPECTED.value not in states:
        whole = rules.SampleState.HELD.value in states
        services.move(order, A.RECEIVE if whole else A.REJECT, actor=actor, now=now, note="" if whole else note)
    return changed


def _step(
    sample: Sample, act: rules.SampleAction, *, actor: Actor, now: datetime, place: str = "", note: str = ""
) -> Sample:
    locked = Sample.objects.select_for_update(no_key=True).order_by("pk").get(pk=sample.pk)
    locked.state = next_state(rules.SAMPLE_TRANSITIONS, rules.SampleState(locked.state), act).value
    locked.save(update_fields=["state"])
    Custody.objects.create(sample=locked, act=act.value, at=now, place=place, person_id=actor.user_id, note=note)
    return locked


@transaction.atomic
def resend(*, actor: Actor, order: SampleOrder, note: str = "", now: datetime) -> SampleOrder:
    """Send samples again after all were rejected, as the enterprise; the money stays held. Raises InvalidTransition."""
    locked = services.sent(actor=actor, order=order)
    services.move(locked, A.RESEND, actor=actor, now=now, note=note.strip()[: services.NOTE])
    for sample in locked.samples.filter(state=rules.SampleState.REJECTED.value):
        _step(sample, rules.SampleAction.RESEND, actor=actor, now=now)
    return locked


@transaction.atomic
def queue(*, actor: Actor, order: SampleOrder, now: datetime) -> SampleOrder:
    """Put received samples in the queue. Raises InvalidTransition, Forbidden."""
    locked = services.served(actor=actor, order=order)
    services.move(locked, A.QUEUE, actor=actor, now=now)
    return locked


@transaction.atomic
def start(*, actor: Actor, order: SampleOrder, now: datetime) -> SampleOrder:
    """Begin testing. Raises InvalidTransition, Forbidden."""
    locked = services.served(actor=actor, order=order)
    locked.started_at = now
    services.move(locked, A.START, actor=actor, now=now)
    return locked


@transaction.atomic
def draft(*, actor: Actor, order: SampleOrder, draft: Draft, now: datetime) -> SampleOrder:
    """Draft the result: keep the report, say what is billed. The enterprise sees nothing of it before it is issued.

    A report sent back is replaced. Raises BadFile with every ground, TooManyCounted, InvalidTransition, Forbidden.
    """
    person = actor.person
    locked = services.served(actor=actor, order=order)
    next_state(rules.TRANSITIONS, S(locked.state), A.DRAFT)
    assert locked.quantity is not None
    if not 1 <= draft.counted <= locked.quantity:
        raise rules.TooManyCounted(field="counted", most=locked.quantity)
    for old in reports.drafts_of(locked):
        files.withdraw(actor=actor, file=old, now=now)
    files.store(actor=actor, subject=locked.subject, purpose=reports.purpose_of(locked), upload=draft.report, now=now)
    locked.counted, locked.machine_s = draft.counted, max(0, draft.machine_s)
    locked.drafted_by_id, locked.reviewed_by_id = person, None
    services.move(locked, A.DRAFT, actor=actor, now=now)
    return locked


def _other_eyes(actor: Actor, order: SampleOrder) -> None:
    if order.drafted_by_id == actor.person:
        raise rules.SameEyes


@transaction.atomic
def review(*, actor: Actor, order: SampleOrder, now: datetime) -> SampleOrder:
    """Approve a drafted result, as another person than its drafter. Raises SameEyes, InvalidTransition, Forbidden.

    Source: test reports are checked by a second person (检验检测机构资质认定评审准则 2023; RB/T 214-2017 §4.5.20).
    """
    locked = services.served(actor=actor, order=order)
    _other_eyes(actor, locked)
    locked.reviewed_by_id = actor.user_id
    services.move(locked, A.REVIEW, actor=actor, now=now)
    return locked


@transaction.atomic
def send_back(*, actor: Actor, order: SampleOrder, note: str, now: datetime) -> SampleOrder:
    """Send a drafted result back to testing with a reason, as another person than its drafter."""
    locked = services.served(actor=actor, order=order)
    _other_eyes(actor, locked)
    services.move(locked, A.SEND_BACK, actor=actor, now=now, note=services.noted(note=note))
    return locked


@transaction.atomic
def issue(*, actor: Actor, order: SampleOrder, now: datetime) -> SampleOrder:
    """Issue the reviewed report: from now on the enterprise sees it. Raises NoReport, InvalidTransition, Forbidden."""
    locked = services.served(actor=actor, order=order)
    if not reports.drafts_of(locked):
        raise rules.NoReport
    locked.issued_at = now
    services.move(locked, A.ISSUE, actor=actor, now=now)
    return locked


@transaction.atomic
def retest(*, actor: Actor, order: SampleOrder, note: str, now: datetime) -> SampleOrder:
    """Ask for the tests to be done again, as the enterprise, with a reason; before billing, without a new price.

    The issued report stays readable. Raises NoteMissing, InvalidTransition, Forbidden.
    """
    locked = services.sent(actor=actor, order=order)
    locked.retests += 1
    services.move(locked, A.RETEST, actor=actor, now=now, note=services.noted(note=note))
    return locked


@transaction.atomic
def bill(*, actor: Actor, order: SampleOrder, now: datetime) -> SampleOrder:
    """Accept the report and settle: the enterprise at any time, the lab after `rules.BILL_AFTER` without an answer.

    Captures `counted` at the quoted price and the technical service beside it, at most what is held; the rest is free again. Raises TooEarlyToBill,
    InvalidTransition (two at once settle once), Forbidden.
    """
    by_payer = actor.may(Permission.BOOKING_REQUEST)
    locked = (services.sent if by_payer else services.served)(actor=actor, order=order)
    next_state(rules.TRANSITIONS, S(locked.state), A.BILL)
    assert locked.issued_at is not None
    assert locked.unit_price_fen is not None
    assert locked.counted is not None
    assert locked.charge_id is not None
    if not rules.may_bill(issued_at=locked.issued_at, by_payer=by_payer, now=now):
        raise rules.TooEarlyToBill
    actual = Money(locked.unit_price_fen * locked.counted + locked.surcharge_fen)
    locked.billed_at = now
    services.move(locked, A.BILL, actor=actor, now=now)
    locked.charge = charges.capture(
        charge_id=locked.charge_id,
        actual=actual,
        measured={
            "amount_fen": actual.fen,
            "unit": locked.unit,
            "unit_price_fen": locked.unit_price_fen,
            "quantity": f"{locked.counted}/1",
            "surcharge_fen": locked.surcharge_fen,
        },
        actor=actor,
        now=now,
    )
    return locked


@transaction.atomic
def close(*, actor: Actor, order: SampleOrder, now: datetime) -> SampleOrder:
    """Close a billed order, as the enterprise that rated it. Raises InvalidTransition, Forbidden."""
    locked = services.sent(actor=actor, order=order)
    services.move(locked, A.CLOSE, actor=actor, now=now)
    return locked
