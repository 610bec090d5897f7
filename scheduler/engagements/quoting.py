"""Quote milestones, and accept a quote: the agreed plan's money is held; a change of plan frees the old one's first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Max

from portal.kernel.actors import Actor
from portal.kernel.errors import Reason, Refused, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from scheduler.engagements import rules, steps, telling
from scheduler.engagements.models import Engagement, EngagementQuote, EngagementQuoteLine, Milestone
from scheduler.messages.rules import MessageKind
from scheduler.resources.rules import ServiceClass
from vouchers.charges import services as charges

_ = noop

A, Q = rules.EngagementAction, rules.QuoteAction


@dataclass(frozen=True, slots=True)
class Plan:
    """A lab's quote: milestones in order; a delivery nobody answers counts as accepted after `acceptance_days`."""

    lines: Sequence[rules.Line]
    acceptance_days: int = rules.ACCEPTANCE_DAYS
    note: str = ""


@transaction.atomic
def quote(*, actor: Actor, engagement: Engagement, plan: Plan, now: datetime) -> EngagementQuote:
    """Quote as the lab, again until it is accepted; while the engagement runs, a new plan for what is not delivered yet.

    Stands for `rules.QUOTE_DAYS`. Nothing is held or freed before it is accepted; the agreed plan goes on. Raises Refused
    with everything that is wrong, InvalidTransition, Forbidden.
    """
    locked = steps.served(actor=actor, engagement=engagement)
    next_state(rules.TRANSITIONS, rules.EngagementState(locked.state), A.QUOTE)
    today = steps.local_day(locked.resource, now)
    if reasons := rules.plan_reasons(plan.lines, acceptance_days=plan.acceptance_days, today=today):
        raise Refused(reasons)
    if older := steps.open_quote(locked):
        steps.answer(older, Q.REPLACE, now=now)
    newest = locked.quotes.aggregate(newest=Max("version"))["newest"] or 0
    made = EngagementQuote.objects.create(
        engagement=locked,
        version=newest + 1,
        acceptance_days=plan.acceptance_days,
        note=plan.note.strip()[: steps.NOTE],
        quoted_by_id=actor.user_id,
        quoted_at=now,
        open_until=now + timedelta(days=rules.QUOTE_DAYS),
    )
    EngagementQuoteLine.objects.bulk_create(
        EngagementQuoteLine(
            quote=made,
            position=position,
            name=line.name.strip(),
            deliverable=line.deliverable.strip(),
            due_on=line.due_on,
            price_fen=line.price_fen,
        )
        for position, line in enumerate(plan.lines, start=1)
    )
    running = locked.state == rules.EngagementState.RUNNING.value
    total = sum(line.price_fen for line in plan.lines)
    steps.move(
        locked,
        A.QUOTE,
        action="engagement.changed" if running else "engagement.quoted",
        actor=actor,
        now=now,
        version=made.version,
        amount_fen=total,
    )
    key = str(made.version)
    telling.tell(locked, MessageKind.ENGAGEMENT_QUOTED, key=key, now=now, until=made.open_until)
    return made


@transaction.atomic
def refuse(*, actor: Actor, engagement: Engagement, note: str, now: datetime) -> Engagement:
    """Refuse an open quote as the enterprise, saying why: the lab may quote again; an agreed plan goes on unchanged.

    Raises NoteMissing, NoQuote where nothing waits for an answer, Forbidden.
    """
    locked = steps.asked(actor=actor, engagement=engagement)
    note = steps.noted(note=note)
    waiting = steps.open_quote(locked)
    if waiting is None:
        raise rules.NoQuote
    steps.answer(waiting, Q.REFUSE, now=now, answer=note)
    steps.move(locked, A.REFUSE, actor=actor, now=now, note=note, action="engagement.refused", version=waiting.version)
    steps.complete_if_done(locked, actor=actor, now=now)
    return locked


def bills_of(quote: EngagementQuote, *, zone: str) -> list[tuple[Money, datetime | None]]:
    """Return what each milestone of a quote costs, and when its due day is over."""
    at = ZoneInfo(zone)
    return [
        (Money(line.price_fen), datetime.combine(line.due_on + timedelta(days=1), time.min, at))
        for line in quote.lines.all()
    ]


@dataclass(frozen=True, slots=True)
class Paying:
    """Who would pay which part of each milestone of a quote, in order, and every ground against it."""

    plans: Sequence[charges.Plan]
    reasons: Sequence[Reason]

    @property
    def voucher(self) -> Money:
        return sum((plan.split.voucher for plan in self.plans), Money(0))

    @property
    def own(self) -> Money:
        return sum((plan.split.own for plan in self.plans), Money(0))


def payment_plan(*, engagement: Engagement, quote: EngagementQuote, vouchers: Sequence[Any], now: datetime) -> Paying:
    """Say how each milestone of a quote would be paid; a look, not a promise: `accept` decides.

    What is held for milestones a change of plan would drop counts as free.
    """
    dropped = engagement.milestones.filter(state__in=steps.OPEN_MILESTONES).values_list("charge_id", flat=True)
    plans = charges.plan_each(
        vouchers=vouchers,
        bills=bills_of(quote, zone=engagement.resource.zone),
        service=ServiceClass.RD_SERVICE.value,
        now=now,
        releasing=list(dropped),
    )
    reasons: dict[tuple[str, str], Reason] = {}
    if len(plans) > 1:
        for voucher in vouchers:
            if not voucher.multi_use:
                reasons["engagement.voucher_once", voucher.number] = Reason(
                    "engagement.voucher_once",
                    _("券 %(number)s 限用一次，不能按里程碑分次支付。"),
                    _("请选择可多次使用的券，或全部自付。"),
                    field="voucher",
                    params={"number": voucher.number},
                )
    for plan in plans:
        for reason in plan.reasons:
            if reason.code != "voucher.used_once" or not reasons:
                reasons.setdefault((reason.code, str(reason.params.get("number", ""))), reason)
    return Paying(plans, list(reasons.values()))


@transaction.atomic
def accept(
    *, actor: Actor, engagement: Engagement, seen: tuple[int, int], vouchers: Sequence[Any] = (), now: datetime
) -> Engagement:
    """Accept the open quote, as the enterprise: each milestone's price is held, by vouchers and oneself, as for bookings.

    `seen` is the version and the total in fen the person saw; anything else now raises PlanChanged. A change of plan frees
    what the plan before held for milestones not delivered, in the same transaction. Raises NoQuote (a second acceptance
    holds nothing), QuoteEnded, Refused with every ground against the vouchers, AwaitsAcceptance, InvalidTransition,
    Forbidden.
    """
    locked = steps.asked(actor=actor, engagement=engagement)
    next_state(rules.TRANSITIONS, rules.EngagementState(locked.state), A.ACCEPT)
    waiting = steps.open_quote(locked)
    total = sum(line.price_fen for line in waiting.lines.all()) if waiting else 0
    if waiting is None:
        raise rules.NoQuote
    if (waiting.version, total) != seen:
        raise rules.PlanChanged(price=str(Money(total)))
    if now >= waiting.open_until:
        raise rules.QuoteEnded
    steps.free_rest(locked, actor=actor, now=now, reason="plan_changed")
    paying = payment_plan(engagement=locked, quote=waiting, vouchers=vouchers, now=now)
    if paying.reasons:
        raise Refused(paying.reasons)
    last = locked.milestones.aggregate(last=Max("position"))["last"] or 0
    bills = bills_of(waiting, zone=locked.resource.zone)
    for position, (line, (price, ends_at)) in enumerate(zip(waiting.lines.all(), bills, strict=True), start=last + 1):
        made = Milestone(engagement=locked, position=position, line=line)
        made.charge = charges.hold(
            bill=charges.Bill(
                subject=made.subject,
                service=ServiceClass.RD_SERVICE.value,
                payer_id=locked.organisation_id,
                provider_id=locked.resource.owner_id,
                price=price,
                quote={
                    "amount_fen": price.fen,
                    "unit": "milestone",
                    "unit_price_fen": price.fen,
                    "quantity": "1/1",
                },
                ends_at=ends_at,
            ),
            vouchers=vouchers,
            actor=actor,
            now=now,
        )
        made.save(force_insert=True)
    steps.answer(waiting, Q.ACCEPT, now=now)
    steps.move(
        locked, A.ACCEPT, actor=actor, now=now, action="engagement.accepted", version=waiting.version, amount_fen=total
    )
    return locked
