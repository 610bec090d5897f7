"""What is left of a resource of several units, pure; and that the grid, the list of free spans and a booking agree."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period, merge, subtract
from scheduler.availability import queries
from scheduler.availability.places import Taken, free_places, full
from scheduler.bookings.services import Wanted, request_booking
from scheduler.resources.rules import Counting
from tests import make
from tests.scheduler.availability.test_rules import periods_in, utc, windows

HOUR = timedelta(hours=1)
DAY = Period(utc(2026, 3, 2, 0), utc(2026, 3, 2, 12))


def at(start, end):
    return Period(utc(2026, 3, 2, start), utc(2026, 3, 2, end))


class TestOneUnit:
    @given(windows(), st.data())
    def test_free_and_blocked_share_nothing_and_cover_all_open_time(self, window, data):
        opened, blocked = data.draw(periods_in(window)), data.draw(periods_in(window))
        free = free_places(opened, [Taken(span) for span in blocked], places=1)
        assert not any(span.overlaps(block) for span in free for block in blocked)
        assert subtract(opened, [*free, *blocked]) == []
        assert subtract(free, opened) == []

    @given(windows(), st.data(), st.integers(0, 120), st.integers(0, 120))
    def test_leaves_room_for_set_up_and_cleaning(self, window, data, setup, cleanup):
        opened, blocked = data.draw(periods_in(window)), data.draw(periods_in(window))
        before, after = timedelta(minutes=setup), timedelta(minutes=cleanup)
        for span in free_places(opened, [Taken(one) for one in blocked], places=1, setup=before, cleanup=after):
            whole = span.padded(before=before, after=after)
            assert not any(whole.overlaps(block) for block in blocked)
            assert any(period.covers(whole) for period in merge(opened))

    def test_back_to_back_is_free(self):
        assert free_places([DAY], [Taken(at(2, 4))], places=1) == [at(0, 2), at(4, 12)]


class TestSeveral:
    @given(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4), st.integers(1, 3)), max_size=8), st.integers(2, 4))
    def test_counted_places_are_full_exactly_when_none_is_left(self, asked, places):
        taken = [
            Taken(Period(DAY.start + HOUR * start, DAY.start + HOUR * (start + n)), units) for start, n, units in asked
        ]
        spans = full(taken, places=places)
        for hour in range(16):
            moment = DAY.start + HOUR * hour + HOUR / 2
            used = sum(one.units for one in taken if moment in one.blocked)
            assert any(moment in span for span in spans) == (used >= places)

    def test_two_half_free_units_are_not_one_free_day(self):
        taken = [Taken(at(0, 6), unit_no=1), Taken(at(6, 12), unit_no=2)]
        assert free_places([DAY], taken, places=2) == [at(0, 6), at(6, 12)]

    def test_a_unit_nobody_took_is_free_all_day_and_hides_what_others_have_left(self):
        assert free_places([DAY], [Taken(at(3, 4), unit_no=2)], places=3) == [DAY]


@pytest.mark.django_db
@pytest.mark.parametrize("counting", [Counting.UNITS, Counting.FUNGIBLE])
def test_what_is_said_to_be_free_can_be_booked_until_all_are_taken(w, counting):
    bench = make.instrument(w, kind="bench", capacity=2, counting=counting.value, category="other")
    slot = make.slot()

    def is_free():
        return any(span.covers(slot) for span in queries.free_periods(bench, window=slot, now=make.NOW))

    for number in range(2):
        assert is_free()
        wanted = Wanted(resource=bench, period=slot, title="制样")
        request_booking(actor=w.researcher, wanted=wanted, now=make.NOW, key=f"place-{number}")
    assert not is_free()
