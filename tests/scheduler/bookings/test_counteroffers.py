"""A lab's counter-offer: really held, answered once, gone with whatever else becomes of the request."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition, Refused
from portal.kernel.period import Period
from scheduler.availability.models import Claim
from scheduler.bookings import counteroffers, lapsing, moving, offering, rules, services
from scheduler.bookings.models import CounterOffer
from tests import make
from vouchers.ledger import queries as ledger

LATER = make.slot(start="14:00", end="17:00")


def offered(w, made, period=LATER, now=make.NOW):
    return counteroffers.offer(actor=w.keeper, booking=made, period=period, note="上午检修", now=now)


def held(made):
    return [
        Period(claim.blocked.lower, claim.blocked.upper)
        for claim in Claim.objects.filter(state="held", booking=None, resource=made.resource).order_by("during")
    ]


def taken(w, resource, period):
    try:
        make.booking(w, resource, period=period)
    except Refused:
        return True
    return False


def test_both_times_are_held_until_the_enterprise_answers(w):
    made = make.booking(w, make.instrument(w), period=make.slot())
    offered(w, made)
    assert taken(w, made.resource, LATER)
    assert taken(w, made.resource, make.slot())


def test_taking_it_moves_confirms_and_prices_anew_with_the_same_voucher(w):
    voucher = make.voucher(w)
    made = make.booking(w, make.instrument(w), pay_with=voucher)
    offered(w, made)
    seen = counteroffers.look(actor=w.researcher, booking=made, now=make.NOW)

    moved = counteroffers.accept(actor=w.researcher, booking=made, now=make.NOW)

    assert (moved.state, Period(moved.starts_at, moved.ends_at)) == ("confirmed", LATER)
    assert moved.charge.price_fen == seen.quote.price.amount.fen == 144000
    assert moved.charge.voucher_held_fen == seen.quote.split.voucher.fen
    assert held(made) == []
    assert not taken(w, made.resource, make.slot())
    assert ledger.unaccounted_fen() == 0
    with pytest.raises(rules.NoOffer):
        counteroffers.accept(actor=w.researcher, booking=made, now=make.NOW)


@pytest.mark.parametrize(
    ("start", "end", "hours"), [("10:00", "12:00", 1), ("08:30", "11:30", 1), ("09:30", "10:30", 0)]
)
def test_a_time_that_overlaps_the_requested_one_holds_the_rest_only(w, start, end, hours):
    made = make.booking(w, make.instrument(w), period=make.slot(start="09:00", end="11:00"))
    new = make.slot(start=start, end=end)
    offered(w, made, new)
    assert sum((span.duration for span in held(made)), timedelta()) == timedelta(hours=hours)
    moved = counteroffers.accept(actor=w.researcher, booking=made, now=make.NOW)
    assert Period(moved.starts_at, moved.ends_at) == new
    assert Claim.objects.filter(resource=made.resource, state="confirmed").count() == 1


def test_letting_it_go_leaves_the_request(w):
    made = make.booking(w, make.instrument(w))
    offered(w, made)
    counteroffers.refuse(actor=w.researcher, booking=made, now=make.NOW)
    made.refresh_from_db()
    assert (made.state, held(made)) == ("requested", [])
    assert services.confirm(actor=w.keeper, booking=made, now=make.NOW).state == "confirmed"


def test_offering_again_replaces_the_offer_before(w):
    made = make.booking(w, make.instrument(w))
    offered(w, made)
    evening = make.slot(start="17:00", end="18:00")
    offered(w, made, evening)
    assert held(made) == [evening]
    assert sorted(CounterOffer.objects.values_list("state", flat=True)) == ["open", "replaced"]


@pytest.mark.parametrize("act", ["cancel", "confirm", "decline", "move"])
def test_it_ends_with_whatever_else_becomes_of_the_request(w, act):
    made = make.booking(w, make.instrument(w))
    offered(w, made)
    if act == "cancel":
        services.cancel(actor=w.researcher, booking=made, now=make.NOW)
    elif act == "confirm":
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
    elif act == "decline":
        services.decline(actor=w.keeper, booking=made, note="检修", now=make.NOW)
    else:
        moving.move(actor=w.researcher, booking=made, period=make.slot(start="11:30", end="13:00"), now=make.NOW)
    assert held(made) == []
    assert CounterOffer.objects.get().state == "void"


def test_nobody_waits_for_a_worker_to_end_one_that_is_over(w):
    made = make.booking(w, make.instrument(w))
    made_offer = offered(w, made)
    assert made_offer.until <= min(make.NOW + counteroffers.LONGEST, made.starts_at, LATER.start)
    later = made_offer.until
    assert offering.waiting(made, now=later) is None
    with pytest.raises(rules.NoOffer):
        counteroffers.accept(actor=w.researcher, booking=made, now=later)
    lapsing.release_lapsed(resource_ids=[made.resource_id], now=later)
    assert held(made) == []
    assert CounterOffer.objects.get().state == "lapsed"


def test_only_for_requests_by_the_lab_and_answered_by_the_enterprise(w):
    made = make.booking(w, make.instrument(w))
    with pytest.raises(rules.SameTime):
        offered(w, made, Period(made.starts_at, made.ends_at))
    with pytest.raises(services.NoteMissing):
        counteroffers.offer(actor=w.keeper, booking=made, period=LATER, note=" ", now=make.NOW)
    with pytest.raises(Forbidden):
        counteroffers.offer(actor=w.researcher, booking=made, period=LATER, note="改期", now=make.NOW)
    offered(w, made)
    with pytest.raises(Forbidden):
        counteroffers.accept(actor=w.keeper, booking=made, now=make.NOW)
    services.confirm(actor=w.keeper, booking=made, now=make.NOW)
    with pytest.raises(InvalidTransition):
        offered(w, made)


def test_a_taken_time_is_refused_with_what_is_free(w):
    resource = make.instrument(w)
    made = make.booking(w, resource)
    make.booking(w, resource, period=LATER)
    with pytest.raises(Refused) as refused:
        offered(w, made)
    assert [reason.code for reason in refused.value.reasons] == ["booking.taken"]
    assert refused.value.data["alternatives"]
