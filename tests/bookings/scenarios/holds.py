"""Time held while somebody pays: it ends by itself, with nobody at work."""

from __future__ import annotations

from datetime import timedelta

from portal.kernel.errors import Refused
from scheduler.availability.models import Claim
from scheduler.bookings import holding, services
from scheduler.bookings.models import Booking
from tests import make
from tests.bookings.scenarios import scenario
from tests.bookings.scenarios.racing import no_overlap, rivals
from vouchers.ledger import queries as ledger


@scenario("S5")
def a_hold_ends_by_itself() -> str:
    """Ten minutes held, no worker: refused a second before, had a second after; late, one books anew or is given all back."""
    w = make.world()
    resource, voucher, [other] = make.instrument(w), make.voucher(w), rivals(1)
    now, last = make.NOW, make.NOW + services.HOLD
    second = timedelta(seconds=1)

    def ask(day: int, at: make.datetime) -> Booking:
        wanted = services.Wanted(resource=resource, period=make.slot(day), title="抢占")
        return services.request_booking(actor=other, wanted=wanted, now=at, key=f"other-day-{day}-{at:%H%M%S}")

    def held(day: int) -> Booking:
        wanted = services.Wanted(resource=resource, period=make.slot(day), title="观察", vouchers=[voucher])
        return services.hold(actor=w.researcher, wanted=wanted, now=now, key=f"held-day-{day}")

    one, two = held(1), held(2)
    assert one.charge is not None
    assert one.charge.voucher_held_fen == one.charge.own_held_fen == 48000
    try:
        ask(1, last - second)
    except Refused as error:
        assert {reason.code for reason in error.reasons} == {"booking.taken"}
    else:
        raise AssertionError("a hold must hold until it ends")
    taken = ask(1, last + second)
    one.refresh_from_db()
    one.charge.refresh_from_db()
    assert (taken.state, one.state, one.charge.state) == ("requested", "lapsed", "released")
    late = last + timedelta(minutes=2)
    for _delivery in range(3):
        try:
            holding.confirm_hold(actor=w.researcher, booking=one, now=late)
        except Refused as error:
            assert "booking.taken" in {reason.code for reason in error.reasons}
        else:
            raise AssertionError("what another has must not be booked again")
    again = {holding.confirm_hold(actor=w.researcher, booking=two, now=late).pk for _delivery in range(3)}
    assert len(again) == 1
    assert again != {two.pk}
    assert Claim.objects.filter(state="held", booking__pk__in=again).count() == 1
    assert ledger.unaccounted_fen() == 0
    no_overlap()
    return "refused at 9:59, had at 10:01 without a worker, all given back once; three late deliveries, one booking"
