"""The money of accepted quotes: what will not be delivered any more is free, what was delivered is billed to the minute.

One rule for whatever happens to a visit: `follow`. It locks the quote before it looks at the visits, and whoever changes a
visit has written it down before, so that of two at once the later sees both.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any

import structlog
from django.db import DatabaseError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError, Refused
from portal.kernel.money import Money
from portal.kernel.states import next_state
from scheduler.beamtime import gathering, rules
from scheduler.beamtime.models import BeamQuote, BeamVisit
from scheduler.proposals.models import BeamRequest
from vouchers.charges import services as charges
from vouchers.ledger.rules import InsufficientFunds

__all__ = ["amount_of", "counted", "follow", "follow_due", "had_of", "move", "record", "still_to_come"]

A, S, V = rules.BeamQuoteAction, rules.BeamQuoteState, rules.VisitState
logger = structlog.get_logger("beamtime")
OVER = (V.DONE.value, V.CLOSED.value)


def move(quote: BeamQuote, action: rules.BeamQuoteAction) -> None:
    """Take a locked quote on in its table of states; the caller saves. Raises InvalidTransition."""
    quote.state = next_state(rules.BEAM_QUOTE_TRANSITIONS, S(quote.state), action).value


def record(quote: BeamQuote, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Keep on record what was done to a quote, for the enterprise and the facility. Nothing of the work goes in."""
    proposal = quote.request.proposal
    audit.record(
        action=action,
        subject=f"beam_proposal:{proposal.number}",
        actor=actor,
        now=now,
        organisations=[proposal.organisation_id, proposal.facility.owner_id],
        data={"state": quote.state, **data},
    )


def counted(quote: BeamQuote, shifts: Fraction) -> dict[str, object]:
    """Return the price of so many shifts as a charge keeps it."""
    return {
        "amount_fen": amount_of(quote, shifts).fen,
        "unit": "shift",
        "unit_price_fen": quote.shift_fen,
        "quantity": f"{shifts.numerator}/{shifts.denominator}",
    }


def amount_of(quote: BeamQuote, shifts: Fraction) -> Money:
    """Return what so many shifts of a quote cost, rounded half up to the fen."""
    return Money(quote.shift_fen).times(shifts)


def had_of(request: BeamRequest) -> Fraction:
    """Return what a request's own visits had, in shifts. Beam given back for lost beam is never billed. One query."""
    ended = BeamVisit.objects.filter(
        allocation__request=request, allocation__made_up_for__isnull=True, state__in=OVER, had_min__isnull=False
    )
    minutes = sum(had or 0 for had in ended.values_list("had_min", flat=True))
    return Fraction(minutes, request.proposal.facility.length_min)


def _done_of(request: BeamRequest) -> int:
    """Return the shifts of a request's own visits that are over, whatever of them was lost. One query."""
    ended = BeamVisit.objects.filter(allocation__request=request, allocation__made_up_for__isnull=True, state__in=OVER)
    return sum(ended.values_list("shifts", flat=True))


def still_to_come(request: BeamRequest, *, now: datetime) -> int:
    """Return how many of a request's own shifts may still be delivered: of visits that stand, or not scheduled yet.

    What has no visit when its run cycle is over comes no more. Two queries.
    """
    given = request.allocations.filter(ended_at__isnull=True, made_up_for__isnull=True)
    shifts = sum(given.values_list("shifts", flat=True))
    visits = BeamVisit.objects.filter(allocation__request=request, allocation__made_up_for__isnull=True)
    rows = list(visits.filter(state__in=(*OVER, *gathering.HOLDING)).values_list("state", "shifts"))
    standing = sum(size for state, size in rows if state in gathering.HOLDING)
    if now >= request.cycle.during.upper:
        return standing
    return max(shifts - sum(size for state, size in rows if state in OVER), standing)


def _lock(request: BeamRequest) -> BeamQuote | None:
    """Lock the accepted quote of a request; None where there is none."""
    return (
        BeamQuote.objects.select_for_update(no_key=True, of=("self",))
        .select_related("charge", "request__cycle", "request__proposal__facility")
        .filter(request=request, state=S.ACCEPTED.value, charge__isnull=False)
        .order_by("pk")
        .first()
    )


@transaction.atomic
def follow(*, request: BeamRequest, actor: Actor, now: datetime) -> BeamQuote | None:
    """Bring what is held for a request in line with what may still be delivered; bill it once nothing more will be.

    Of several visits a cancelled, declined or missed one frees its shifts at once, the others stay held; when the last is
    over, what was had is billed to the minute and the rest is free. None where no quote is in force.
    """
    quote = _lock(request)
    if quote is None or quote.charge_id is None:
        return None
    coming = still_to_come(quote.request, now=now)
    if coming:
        _lessen(quote, min(coming + _done_of(quote.request), quote.shifts), actor=actor, now=now)
        return quote
    had = min(had_of(quote.request), Fraction(quote.shifts))
    amount = amount_of(quote, had)
    if had:
        move(quote, A.SETTLE)
        quote.charge = charges.capture(
            charge_id=quote.charge_id, actual=amount, measured=counted(quote, had), actor=actor, now=now
        )
        record(quote, action="beam_quote.settled", actor=actor, now=now, amount_fen=quote.charge.actual_fen)
    else:
        move(quote, A.FREE)
        freed = charges.release(charge_id=quote.charge_id, reason="cancelled", actor=actor, now=now)
        record(quote, action="beam_quote.freed", actor=actor, now=now, released_fen=freed.price_fen)
    quote.save(update_fields=["state"])
    return quote


def _lessen(quote: BeamQuote, shifts: int, *, actor: Actor, now: datetime) -> None:
    """Hold only so many shifts of a quote from now on, by the same vouchers in their shares.

    Where a voucher cannot be held anew since it is over or frozen, all stays held until the bill: what was ordered in time
    is paid by it.
    """
    before, keep = quote.charge, Fraction(shifts)
    assert before is not None
    price = amount_of(quote, keep)
    if price.fen >= before.price_fen:
        return
    try:
        with transaction.atomic():
            charges.release(charge_id=before.pk, reason="lessened", actor=actor, now=now)
            quote.charge = charges.hold_again(
                charge_id=before.pk,
                price=price,
                quote=counted(quote, keep),
                ends_at=quote.request.cycle.during.upper,
                actor=actor,
                now=now,
            )
    except (Refused, InsufficientFunds):
        quote.charge = before
        logger.info("beamtime.hold_kept", quote=quote.pk)
        return
    quote.save(update_fields=["charge"])
    record(
        quote,
        action="beam_quote.lessened",
        actor=actor,
        now=now,
        shifts=shifts,
        amount_fen=price.fen,
        released_fen=before.price_fen - price.fen,
    )


def follow_due(*, now: datetime) -> int:
    """Settle or free quotes whose run cycle is over; returns how many. By the clock, safe at any time.

    One that cannot be settled now keeps no other back.
    """
    actor, done = Actor.system("自动处理"), 0
    late = BeamQuote.objects.filter(
        state=S.ACCEPTED.value, charge__isnull=False, request__cycle__during__endswith__lte=now
    )
    for one in late.select_related("request").order_by("pk")[:200]:
        try:
            found = follow(request=one.request, actor=actor, now=now)
            done += found is not None and found.state != S.ACCEPTED.value
        except (DatabaseError, PortalError):
            logger.exception("beamtime.settle_failed", quote=one.pk)
    return done
