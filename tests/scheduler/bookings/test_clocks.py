"""Four clocks of one use: which of them is charged, what each may say, and logs read in from a file."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from portal.organisations import rules as roles
from scheduler.benches import services as benches
from scheduler.bookings import clocks, metering, moving, reading_lists, services, settling
from scheduler.bookings.clocks import SessionClock, Use
from scheduler.bookings.models import Booking, SessionReading
from scheduler.usage.models import UsageRecord
from tests import make

HOUR = timedelta(hours=1)
A_USE = Use(make.slot(), 7200)


@given(st.sampled_from(SessionClock), st.sets(st.sampled_from(sorted(clocks.REPORTED))), st.booleans())
def test_some_clock_always_counts_once_nobody_waits_and_the_agreed_one_whenever_it_is_known(chosen, told, waited):
    known = dict.fromkeys([SessionClock.BOOKED, SessionClock.PRESENT, *told], A_USE)
    found = clocks.counting(chosen, known, waited=waited)
    if chosen in known:
        assert found is chosen
    elif waited:
        assert found in known
        assert found is not SessionClock.BOOKED
    else:
        assert found is None


@pytest.fixture
def scene(w):
    """An instrument charged by its own clock, and a confirmed booking of tomorrow 09:00-11:00 at 480 yuan an hour."""
    w.sem = make.instrument(w)
    metering.set_charge_terms(
        actor=w.keeper, resource=w.sem, terms=settling.Agreed(SessionClock.METERED, 7), now=make.NOW
    )
    w.made = make.booking(w, w.sem)
    services.confirm(actor=w.keeper, booking=w.made, now=make.NOW)
    w.start, w.end = w.made.starts_at, w.made.ends_at
    return w


def begin(w):
    services.start_session(actor=w.keeper, booking=w.made, started_at=w.start, now=w.start)


def finish(w, at=None):
    services.finish_session(actor=w.keeper, booking=w.made, ended_at=at or w.end, now=w.end)


def meter(w, minutes, *, now=None, clock=SessionClock.METERED):
    use = Use(Period(w.start, w.start + timedelta(minutes=90)), minutes * 60, "meter")
    return metering.record_reading(actor=w.keeper, booking=w.made, clock=clock, use=use, now=now or w.end)


def again(w):
    return Booking.objects.select_related("charge").get(pk=w.made.pk)


def test_the_agreed_clock_is_frozen_with_the_booking(scene):
    metering.set_charge_terms(
        actor=scene.keeper, resource=scene.sem, terms=settling.Agreed(SessionClock.BOOKED, 1), now=make.NOW
    )
    assert (again(scene).clock, again(scene).dispute_days) == ("metered", 7)


def test_the_instruments_own_time_is_charged_and_recorded_when_it_was_told_in_time(scene):
    begin(scene)
    meter(scene, 60)
    meter(scene, 45)  # a correction: the last one counts
    finish(scene)
    made = again(scene)
    assert (made.charge.actual_fen, made.charge.measured["clock"]) == (36000, "metered")
    assert (made.usage.duration_s, made.usage.source) == (45 * 60, "meter")
    seen = settling.compare(made)
    assert [(line.clock.value, line.use.used_s // 60, line.price.fen, line.counts) for line in seen.lines] == [
        ("booked", 120, 96000, False),
        ("present", 120, 96000, False),
        ("metered", 45, 36000, True),
        ("confirmed", 120, 96000, False),
    ]


def test_the_charge_waits_for_the_instrument_and_comes_with_its_reading(scene):
    begin(scene)
    finish(scene)
    assert (again(scene).state, again(scene).charge.state) == ("completed", "held")
    assert settling.compare(again(scene)).waits
    meter(scene, 60, now=scene.end + HOUR)
    assert again(scene).charge.actual_fen == 48000
    meter(scene, 30, now=scene.end + HOUR)  # too late to change what was charged; it is kept beside it
    assert again(scene).charge.actual_fen == 48000
    counted = [line.use.used_s // 60 for line in settling.compare(again(scene)).lines if line.counts]
    assert counted == [60]
    assert UsageRecord.objects.filter(booking=scene.made).count() == 1


def test_what_never_comes_is_not_waited_for_for_ever(scene):
    begin(scene)
    finish(scene, at=scene.start + HOUR)
    ended = scene.start + HOUR
    assert metering.settle_waiting(now=ended + clocks.WAIT - timedelta(seconds=1)) == 0
    assert metering.settle_waiting(now=ended + clocks.WAIT) == 1
    assert metering.settle_waiting(now=ended + clocks.WAIT) == 0
    assert (again(scene).charge.actual_fen, again(scene).charge.measured["clock"]) == (48000, "confirmed")


def test_booked_time_is_charged_where_that_was_agreed_but_the_use_is_recorded_as_it_was(w):
    sem = make.instrument(w)
    metering.set_charge_terms(actor=w.keeper, resource=sem, terms=settling.Agreed(SessionClock.BOOKED), now=make.NOW)
    made = make.booking(w, sem)
    done = make.measured(w, made, end=made.starts_at + HOUR)
    done = Booking.objects.select_related("charge", "usage").get(pk=done.pk)
    assert (done.charge.actual_fen, done.usage.duration_s) == (96000, 3600)


def test_booked_time_is_charged_whole_where_the_rest_was_given_back(w):
    """Who agreed to pay for what is booked cannot check in and give all of it back a minute later."""
    sem = make.instrument(w)
    metering.set_charge_terms(actor=w.keeper, resource=sem, terms=settling.Agreed(SessionClock.BOOKED), now=make.NOW)
    made = make.booking(w, sem)
    services.confirm(actor=w.keeper, booking=made, now=make.NOW)
    services.start_session(actor=w.keeper, booking=made, started_at=made.starts_at, now=made.starts_at)
    soon = made.starts_at + timedelta(minutes=1)
    moving.release_rest(actor=w.researcher, booking=made, now=soon)
    done = services.finish_session(actor=w.keeper, booking=made, ended_at=soon, now=soon)
    assert Booking.objects.select_related("charge").get(pk=done.pk).charge.actual_fen == 96000


def test_checking_out_at_the_bench_waits_for_the_labs_word_where_that_was_agreed(w):
    sem = make.instrument(w)
    metering.set_charge_terms(actor=w.keeper, resource=sem, terms=settling.Agreed(SessionClock.CONFIRMED), now=make.NOW)
    w.made = make.booking(w, sem)
    services.confirm(actor=w.keeper, booking=w.made, now=make.NOW)
    w.start, w.end = w.made.starts_at, w.made.ends_at
    code = benches.renew(actor=w.keeper, resource=sem, now=make.NOW)
    benches.check_in(actor=w.researcher, code=code, now=w.start)
    benches.check_out(actor=w.researcher, code=code, now=w.start + HOUR)
    assert again(w).charge.state == "held"
    meter(w, 50, clock=SessionClock.CONFIRMED)
    assert again(w).charge.actual_fen == 40000


def test_the_same_reading_again_changes_nothing(scene):
    begin(scene)
    assert meter(scene, 60) == meter(scene, 60)
    assert SessionReading.objects.count() == 1


def test_what_no_instrument_can_have_measured_is_refused(scene):
    with pytest.raises(clocks.NoSessionYet):
        meter(scene, 60)
    begin(scene)
    booked = Period(scene.start, scene.end)
    for used, seconds, error in (
        (booked, 7201, clocks.BadReading),
        (booked, -1, clocks.BadReading),
        (Period(scene.start, scene.end + timedelta(seconds=1)), 60, clocks.BadReading),
        (Period(scene.start - timedelta(hours=3), scene.end), 60, clocks.ReadingOutOfReach),
    ):
        with pytest.raises(error):
            metering.record_reading(
                actor=scene.keeper,
                booking=scene.made,
                clock=SessionClock.METERED,
                use=Use(used, seconds),
                now=scene.end,
            )
    with pytest.raises(clocks.BadReading):
        meter(scene, 60, clock=SessionClock.PRESENT)
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    for someone in (other, scene.researcher):
        with pytest.raises(Forbidden):
            metering.record_reading(
                actor=someone, booking=scene.made, clock=SessionClock.METERED, use=Use(booked, 60), now=scene.end
            )
        with pytest.raises(Forbidden):
            metering.set_charge_terms(actor=someone, resource=scene.sem, terms=settling.Agreed(), now=make.NOW)
    for days in (0, 61):
        with pytest.raises(clocks.BadChargeTerms):
            metering.set_charge_terms(
                actor=scene.keeper, resource=scene.sem, terms=settling.Agreed(SessionClock.PRESENT, days), now=make.NOW
            )


def log(w, *rows):
    lines = ["预约号,开始,结束,计时分钟", *(",".join(row) for row in rows)]
    return "\n".join(lines).encode()


def test_a_log_is_taken_whole_or_not_at_all(scene):
    begin(scene)
    finish(scene)
    number = scene.made.number
    bad = log(
        scene,
        (number, "2026-11-26 09:00", "2026-11-26 10:30", "75"),
        ("B0", "2026-11-26 09:00", "2026-11-26 10:00", ""),
    )
    with pytest.raises(reading_lists.BadReadings) as refused:
        reading_lists.take(actor=scene.keeper, raw=bad, name="log.csv", now=scene.end)
    assert [reason.params["row"] for reason in refused.value.reasons] == [3]
    assert SessionReading.objects.filter(clock="metered").count() == 0
    good = log(scene, (number, "2026/11/26 09:00", "2026-11-26T10:30:00+08:00", "75"))
    assert reading_lists.take(actor=scene.keeper, raw=good, name="log.csv", now=scene.end) == reading_lists.Taken(1, 0)
    assert reading_lists.take(actor=scene.keeper, raw=good, name="log.csv", now=scene.end) == reading_lists.Taken(0, 1)
    assert again(scene).charge.actual_fen == 60000
    for row in ((number, "morgen", "2026-11-26 10:30", ""), (number, "2026-11-20 09:00", "2026-11-20 10:00", "")):
        with pytest.raises(reading_lists.BadReadings):
            reading_lists.take(actor=scene.keeper, raw=log(scene, row), name="log.csv", now=scene.end)
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    with pytest.raises(reading_lists.BadReadings):
        reading_lists.take(actor=other, raw=good, name="log.csv", now=scene.end)
