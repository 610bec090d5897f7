"""Quote paid, proprietary beam time to an enterprise: accepting by click is the contract; billed by what was delivered.

The price is held like a booking's, by vouchers and oneself; the shifts come out of the industry pool. Nothing about the
work is in any record. Money is integer fen, times aware UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, Refused, noop
from portal.kernel.money import Money
from scheduler.beamtime import billing, quote_news, rules, visit_rules
from scheduler.beamtime.models import BeamAllocation, BeamQuote
from scheduler.facilities.grid import offered
from scheduler.facilities.models import FacilityCourse
from scheduler.facilities.shares import Pool
from scheduler.panels import pools
from scheduler.proposals import outcomes
from scheduler.proposals import services as proposals
from scheduler.proposals.models import BeamRequest
from scheduler.proposals.rules import BeamProposalAction, BeamProposalState, RequestAction, RequestState
from scheduler.resources.rules import ServiceClass
from vouchers.charges import services as charges

__all__ = [
    "BadQuote",
    "QuoteChanged",
    "QuoteExists",
    "QuoteOver",
    "QuoteTerms",
    "accept",
    "decline",
    "expire_due",
    "look",
    "offer",
    "price_of",
    "withdraw",
]

_ = noop
A, S, P = rules.BeamQuoteAction, rules.BeamQuoteState, Permission
LONGEST: Final = timedelta(days=90)
"""How long a quote may stand open."""
QUOTED: Final = (BeamProposalState.FEASIBLE.value, BeamProposalState.ACCEPTED.value)
ASKED: Final = (RequestState.OPEN.value, RequestState.RESERVE.value)
"""What state a proposal and a request are in that may be quoted."""


class BadQuote(Refused):
    code = "beam_quote.invalid"
    message = _("报价填写有误。")


class QuoteExists(Conflict):
    code = "beam_quote.exists"
    message = _("这项申请已有一份有效报价。请先撤回，再重新报价。")


class QuoteChanged(Conflict):
    code = "beam_quote.changed"
    message = _("报价与您看到的不同（现为 %(shifts)s 班，共 %(price)s）。请核对后再确认。")


class QuoteOver(Conflict):
    code = "beam_quote.over"
    message = _("报价已过有效期。请联系用户办公室重新报价。")


class QuoteNote(Invalid):
    code = "beam_quote.terms"
    message = _("合同条款不能超过 5000 字。")


@dataclass(frozen=True, slots=True)
class QuoteTerms:
    """What the office offers: `shifts` at `shift` each, tax of `tax_bp` hundredths of a per cent contained, until when."""

    shifts: int
    shift: Money
    valid_until: datetime
    tax_bp: int = 600
    terms: str = ""


def price_of(quote: BeamQuote) -> Money:
    """Return what a quote comes to."""
    return Money(quote.shift_fen * quote.shifts)


def _faults(request: BeamRequest, said: QuoteTerms, *, now: datetime) -> list[Reason]:
    facility, found = request.proposal.facility, proposals.against(proposal=request.proposal, now=now)
    if request.cycle.closed_at is not None or request.cycle.during.upper <= now:
        text = _("运行周期 %(cycle)s 已结束或已关闭，不能再报价或签约。")
        remedy = _("请改申请以后的周期。")
        found.append(Reason("beam_quote.cycle", text, remedy, "request", {"cycle": request.cycle.code}))
    course = FacilityCourse.objects.filter(facility=facility, kind=request.proposal.kind, paid=True)
    if not course.exists() or request.proposal.state not in QUOTED or request.state not in ASKED:
        text = _("只能对通过可行性与安全审查、尚未分配的付费课题报价。")
        found.append(Reason("beam_quote.request", text, field="request"))
    if said.shifts < 1 or (said.shifts % facility.multiple and said.shifts != request.shifts):
        near = [str(one) for one in offered(max(said.shifts, 1), multiple=facility.multiple)]
        text = _("班次须为 %(multiple)s 的整数倍，或与申请相同。")
        params = {"multiple": facility.multiple, "near": near}
        found.append(Reason("beam_quote.shifts", text, _("请改为 %(near)s 班。"), "shifts", params))
    elif said.shifts > (left := pools.left(request.beamline, request.cycle, Pool.INDUSTRY)):
        text = _("产业付费机时只剩 %(left)s 个班次。")
        found.append(Reason("beam_quote.pool", text, _("请减少班次，或另选周期。"), "shifts", {"left": left}))
    if said.shift.fen < 0:
        found.append(Reason("beam_quote.price", _("价格不能为负数。"), field="shift"))
    if not 0 <= said.tax_bp <= 10_000:
        found.append(Reason("beam_quote.tax", _("税率须在 0 到 100% 之间。"), field="tax_bp"))
    if not now < said.valid_until <= now + LONGEST:
        text = _("有效期须在今后 %(days)s 天之内。")
        found.append(Reason("beam_quote.until", text, field="valid_until", params={"days": LONGEST.days}))
    return found


def _lock_request(pk: int) -> BeamRequest:
    """Lock a proposal, the beamline whose shifts it wants, then the request; with what is read of them."""
    known = BeamRequest.objects.select_related("beamline").get(pk=pk)
    (proposal,) = outcomes.lock([known.proposal_id])
    # Two accepted at once: the second sees what the first took of the pool.
    pools.lock(known.beamline)
    (request,) = outcomes.lock_requests([pk])
    request.proposal = proposal
    return request


def _lock(quote: BeamQuote) -> BeamQuote:
    request = _lock_request(quote.request_id)
    found = BeamQuote.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=quote.pk)
    found.request = request
    return found


@transaction.atomic
def offer(*, actor: Actor, request: BeamRequest, said: QuoteTerms, now: datetime) -> BeamQuote:
    """Offer an enterprise's paid request a price, as the user office.

    Raises BadQuote with everything that is wrong, QuoteNote, QuoteExists, Forbidden.
    """
    actor.require(P.FACILITY_MANAGE)
    locked = _lock_request(request.pk)
    if locked.proposal.facility.owner_id != actor.organisation_id:
        raise Forbidden
    _lapse(locked, now=now)
    if locked.quotes.filter(state__in=[S.OFFERED.value, S.ACCEPTED.value]).exists():
        raise QuoteExists
    if len(said.terms) > 5000:
        raise QuoteNote(field="terms")
    if faults := _faults(locked, said, now=now):
        raise BadQuote(faults)
    made = BeamQuote.objects.create(
        request=locked,
        shifts=said.shifts,
        shift_fen=said.shift.fen,
        tax_bp=said.tax_bp,
        terms=said.terms.strip(),
        valid_until=said.valid_until,
        offered_by_id=actor.user_id,
        offered_at=now,
    )
    made.request = locked
    billing.record(
        made, action="beam_quote.offered", actor=actor, now=now, shifts=made.shifts, amount_fen=price_of(made).fen
    )
    quote_news.offered(made, now=now)
    return made


def _lapse(request: BeamRequest, *, now: datetime) -> None:
    """Write down that an open quote of a locked request is over."""
    for quote in request.quotes.filter(state=S.OFFERED.value, valid_until__lte=now).order_by("pk"):
        quote.request = request
        billing.move(quote, A.EXPIRE)
        quote.save(update_fields=["state"])
        billing.record(quote, action="beam_quote.expired", actor=Actor.system("自动处理"), now=now)


def _asked(actor: Actor, quote: BeamQuote) -> BeamQuote:
    """Lock a quote for the enterprise it was made to. Raises Forbidden."""
    actor.require(P.BOOKING_REQUEST)
    locked = _lock(quote)
    if locked.request.proposal.organisation_id != actor.organisation_id:
        raise Forbidden
    return locked


def look(*, quote: BeamQuote, vouchers: Sequence[Any], now: datetime) -> charges.Plan:
    """Say who would pay which part of a quote with these vouchers, and what speaks against them. A look: nothing is held."""
    ends_at = quote.request.cycle.during.upper
    service = ServiceClass.INSTRUMENT_USE.value
    return charges.plan(vouchers=vouchers, price=price_of(quote), service=service, now=now, ends_at=ends_at)


@transaction.atomic
def accept(
    *, actor: Actor, quote: BeamQuote, seen: tuple[int, int], vouchers: Sequence[Any] = (), now: datetime
) -> BeamQuote:
    """Accept a quote, as the enterprise: its whole price is held and the shifts are allocated. Accepting again changes nothing.

    `seen` are the shifts and the price of one in fen that the person saw. Raises QuoteChanged, QuoteOver, Refused with every
    ground against the vouchers, BadQuote where the request or the pool no longer allows it, InvalidTransition, Forbidden.
    """
    locked = _asked(actor, quote)
    if locked.charge_id is not None:
        return locked
    if (locked.shifts, locked.shift_fen) != seen:
        raise QuoteChanged(shifts=locked.shifts, price=str(price_of(locked)))
    if locked.state == S.OFFERED.value and now >= locked.valid_until:
        raise QuoteOver
    billing.move(locked, A.ACCEPT)
    request, proposal = locked.request, locked.request.proposal
    said = QuoteTerms(locked.shifts, Money(locked.shift_fen), locked.valid_until, locked.tax_bp)
    if faults := _faults(request, said, now=now):
        raise BadQuote(faults)
    locked.charge_id = charges.hold(
        bill=charges.Bill(
            subject=f"beam_quote:{proposal.number}.{locked.pk}",
            service=ServiceClass.INSTRUMENT_USE.value,
            payer_id=proposal.organisation_id,
            provider_id=proposal.facility.owner_id,
            price=price_of(locked),
            quote=billing.counted(locked, Fraction(locked.shifts)),
            ends_at=request.cycle.during.upper,
        ),
        vouchers=vouchers,
        actor=actor,
        now=now,
    ).pk
    locked.answered_by_id, locked.answered_at = actor.person, now
    locked.terms_sha256 = hashlib.sha256(locked.terms.encode()).hexdigest()
    locked.save()
    _allocate(locked, now=now)
    billing.record(locked, action="beam_quote.accepted", actor=actor, now=now, amount_fen=price_of(locked).fen)
    return locked


def _allocate(quote: BeamQuote, *, now: datetime) -> None:
    request, proposal = quote.request, quote.request.proposal
    outcomes.move_request(request, RequestAction.ALLOCATE)
    request.save(update_fields=["state"])
    if proposal.state == BeamProposalState.FEASIBLE.value:
        outcomes.move(proposal, BeamProposalAction.ACCEPT)
        proposal.decided_at = now
        proposal.save()
    BeamAllocation.objects.create(
        request=request,
        pool=Pool.INDUSTRY.value,
        shifts=quote.shifts,
        reason=f"beam_quote:{quote.pk}",
        given_by_id=quote.offered_by_id,
        given_at=now,
    )


@transaction.atomic
def decline(*, actor: Actor, quote: BeamQuote, note: str, now: datetime) -> BeamQuote:
    """Decline a quote, as the enterprise, with a reason the office reads; the office may quote again.

    Raises ReasonMissing, InvalidTransition, Forbidden.
    """
    locked = _asked(actor, quote)
    locked.answer_note = visit_rules.noted(note, field="note")
    return _answer(locked, A.DECLINE, action="beam_quote.declined", actor=actor, now=now)


@transaction.atomic
def withdraw(*, actor: Actor, quote: BeamQuote, note: str, now: datetime) -> BeamQuote:
    """Withdraw a quote nobody has accepted, as the user office, with a reason the enterprise reads.

    Raises ReasonMissing, InvalidTransition, Forbidden.
    """
    actor.require(P.FACILITY_MANAGE)
    locked = _lock(quote)
    if locked.request.proposal.facility.owner_id != actor.organisation_id:
        raise Forbidden
    locked.answer_note = visit_rules.noted(note, field="note")
    return _answer(locked, A.WITHDRAW, action="beam_quote.withdrawn", actor=actor, now=now)


def _answer(locked: BeamQuote, step: rules.BeamQuoteAction, *, action: str, actor: Actor, now: datetime) -> BeamQuote:
    billing.move(locked, step)
    locked.answered_by_id, locked.answered_at = actor.person, now
    locked.save()
    billing.record(locked, action=action, actor=actor, now=now)
    return locked


def expire_due(*, now: datetime) -> int:
    """Let quotes end that nobody accepted in time; returns how many. By the clock, safe at any time."""
    due = BeamQuote.objects.filter(state=S.OFFERED.value, valid_until__lte=now).order_by("pk")[:200]
    for quote in due:
        with transaction.atomic():
            _lapse(_lock_request(quote.request_id), now=now)
    return len(due)
