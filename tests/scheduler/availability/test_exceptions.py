"""Closures, special openings and holidays: what is written agrees everywhere, and no booking is broken unseen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden, NotFound
from portal.kernel.period import Period
from portal.workdays import rules as days
from portal.workdays import services as workdays
from scheduler.availability import deviations, impacts, opening, patterns, queries, rules, services
from scheduler.availability.models import Closure, FreeGap, OpeningHours, OpenPeriod, SpecialOpening
from scheduler.bookings import queries as bookings
from scheduler.bookings.bundles import Wanted
from tests import make
from tests.calling import Caller, zoned

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

EVERY_DAY = frozenset(range(1, 8))


def hours(*clock: int, **more: object) -> rules.WeeklyHours:
    return rules.WeeklyHours(EVERY_DAY, *clock, **more)


def set_hours(w, resource, *rows, **more):
    services.set_opening_hours(actor=w.keeper, resource=resource, hours=rows, now=make.NOW, **more)


def close(w, resource, period, **more):
    return deviations.close(actor=w.keeper, resource=resource, period=period, reason="搬迁", now=make.NOW, **more)


def opened(resource, window):
    return queries.open_periods([resource], window=window)[resource.pk]


class TestOneSource:
    def test_search_quote_and_calendar_read_the_same_time(self, w):
        resource = make.instrument(w)
        asked = make.slot(days=2, start="09:00", end="11:00")
        close(w, resource, make.slot(days=2, start="10:00", end="12:00"))
        wanted = Wanted(resource=resource, period=asked)
        quote = bookings.quote(wanted, organisation_id=w.owner.organisation_id, now=make.NOW)
        assert [reason.code for reason in quote.reasons if reason.code.startswith("avail")] == ["availability.closed"]
        gaps = FreeGap.objects.filter(resource=resource, during__overlap=(asked.start, asked.end))
        assert [queries.period_of(gap.during).end for gap in gaps] == [make.slot(days=2, end="10:00").end]
        whole = make.slot(days=2, start="00:00", end="23:00")
        assert opened(resource, whole) == [
            make.slot(days=2, start="08:00", end="10:00"),
            make.slot(days=2, start="12:00", end="22:00"),
        ]

    def test_a_special_opening_can_be_booked_and_asks_nobody_if_automatic(self, w):
        resource = make.instrument(w)
        night = make.slot(days=2, start="22:00", end="23:30")
        assert not queries.is_automatic(resource, night)
        row = deviations.open_specially(
            actor=w.keeper,
            resource=resource,
            special=patterns.Special(night, is_automatic=True),
            reason="通宵实验",
            now=make.NOW,
        )
        assert queries.is_automatic(resource, night)
        assert not queries.is_automatic(resource, night.padded(before=timedelta(minutes=30), after=timedelta(0)))
        assert opened(resource, night) == [night]
        deviations.withdraw_special(actor=w.keeper, resource=resource, special_id=row.pk, now=make.NOW)
        assert opened(resource, night) == []

    def test_own_staffs_time_is_not_the_enterprises(self, w):
        resource = make.instrument(w)
        set_hours(w, resource, hours(480, 720, audience=rules.Audience.OWN), hours(720, 1200, is_automatic=True))
        whole = make.slot(days=2, start="00:00", end="23:00")
        assert opened(resource, whole) == [make.slot(days=2, start="12:00", end="20:00")]
        own = queries.open_periods([resource], window=whole, audience=rules.Audience.OWN)[resource.pk]
        assert own == [make.slot(days=2, start="08:00", end="20:00")]
        assert FreeGap.objects.filter(resource=resource).order_by("starts_at").first().secs == 8 * 3600

    def test_holidays_close_and_make_up_days_open(self, w):
        resource = make.instrument(w)
        week = rules.WeeklyHours(frozenset({1, 2, 3, 4, 5}), 8 * 60, 20 * 60)
        set_hours(w, resource, week, follows_holidays=True)
        workdays.set_days(
            actor=w.publisher,
            days=days.read_days("2026-12-03,休,\n2026-12-05,班,调休,周四"),
            source="通知",
            now=make.NOW,
        )
        opening.rebuild([resource], now=make.NOW)
        thursday, saturday = (make.slot(days=at, start="00:00", end="23:59") for at in (8, 10))
        assert opened(resource, thursday) == []
        assert opened(resource, saturday) == [make.slot(days=10, start="08:00", end="20:00")]
        assert FreeGap.objects.filter(resource=resource, during__overlap=(thursday.start, thursday.end)).count() == 0

    def test_what_was_open_stays_written_when_the_future_changes(self, w):
        resource = make.instrument(w)
        later = make.NOW + timedelta(days=30)
        services.set_opening_hours(actor=w.keeper, resource=resource, hours=[hours(600, 700)], now=later)
        past = make.slot(days=2, start="00:00", end="23:00")
        assert opened(resource, past) == [make.slot(days=2, start="08:00", end="22:00")]
        assert OpenPeriod.objects.filter(during__contains=later + timedelta(days=300)).count() <= 1


class TestRefusals:
    def test_overlapping_rows_for_one_audience_are_named(self, w):
        resource = make.instrument(w)
        with pytest.raises(services.HoursOverlap) as caught:
            set_hours(w, resource, hours(480, 720), hours(700, 800), hours(0, 60))
        (reason,) = caught.value.reasons
        assert (reason.params["one"], reason.params["two"]) == (1, 2)
        assert OpeningHours.objects.get(resource=resource).closes_min == 1320

    def test_closures_and_special_openings_do_not_overlap(self, w):
        resource = make.instrument(w)
        noon = make.slot(days=2, start="10:00", end="14:00")
        close(w, resource, noon)
        with pytest.raises(deviations.DeviationTaken) as caught:
            deviations.open_specially(
                actor=w.keeper, resource=resource, special=patterns.Special(noon), reason="", now=make.NOW
            )
        assert caught.value.params["reason"] == "搬迁"
        with pytest.raises(deviations.DeviationTaken):
            close(w, resource, noon)
        assert (Closure.objects.count(), SpecialOpening.objects.count()) == (1, 0)

    def test_what_is_over_or_endless_is_refused(self, w):
        resource = make.instrument(w)
        with pytest.raises(deviations.DeviationOver):
            close(w, resource, Period(make.NOW - timedelta(days=1), make.NOW))
        with pytest.raises(deviations.DeviationTooLong):
            close(w, resource, Period(make.NOW, make.NOW + timedelta(days=401)))

    def test_only_the_owner_may(self, w):
        resource = make.instrument(w)
        with pytest.raises(Forbidden):
            deviations.close(actor=w.owner, resource=resource, period=make.slot(days=2), reason="", now=make.NOW)
        with pytest.raises(NotFound):
            deviations.lift_closure(actor=w.keeper, resource=resource, closure_id=1, now=make.NOW)


class TestImpact:
    def test_names_the_bookings_a_change_breaks_and_changes_nothing(self, w):
        resource = make.instrument(w)
        booking = make.booking(w, resource, period=make.slot(days=2, start="09:00", end="11:00"))
        make.booking(w, resource, period=make.slot(days=2, start="15:00", end="16:00"))
        before = list(
            FreeGap.objects.filter(resource=resource).values_list("starts_at", "ends_at").order_by("starts_at")
        )
        with pytest.raises(impacts.BookingsAffected) as caught:
            set_hours(w, resource, hours(600, 1320))
        assert [row["number"] for row in caught.value.data["bookings"]] == [booking.number]
        assert caught.value.data["bookings"][0]["organisation"] == booking.organisation.name
        assert OpeningHours.objects.get(resource=resource).opens_min == 480
        after = list(
            FreeGap.objects.filter(resource=resource).values_list("starts_at", "ends_at").order_by("starts_at")
        )
        assert after == before
        set_hours(w, resource, hours(600, 1320), accepts=[booking.number])
        assert OpeningHours.objects.get(resource=resource).opens_min == 600

    def test_does_not_count_what_lay_outside_before(self, w):
        resource = make.instrument(w)
        booking = make.booking(w, resource, period=make.slot(days=2, start="09:00", end="11:00"))
        set_hours(w, resource, hours(600, 1320), accepts=[booking.number])
        set_hours(w, resource, hours(600, 1300))

    def test_counts_buffers_and_only_what_is_to_come(self, w):
        resource = make.instrument(w, setup_s=1800)
        booking = make.booking(w, resource, period=make.slot(days=2, start="09:00", end="11:00"))
        lost = [make.slot(days=2, start="08:00", end="08:45")]
        assert [row.number for row in impacts.impact(resource, lost=lost, now=make.NOW)] == [booking.number]
        assert impacts.impact(resource, lost=lost, now=make.NOW + timedelta(days=5)) == []
        assert impacts.impact(resource, lost=[], now=make.NOW) == []

    def test_a_closure_over_a_booking_asks_first(self, w):
        resource = make.instrument(w)
        booking = make.booking(w, resource, period=make.slot(days=2))
        with pytest.raises(impacts.BookingsAffected):
            close(w, resource, make.slot(days=2))
        close(w, resource, make.slot(days=2), accepts=[booking.number])
        assert Closure.objects.count() == 1


class TestApi:
    def test_closures_and_special_openings_come_and_go(self, w):
        resource = make.instrument(w)
        caller, base = Caller(w.keeper), f"/instruments/{resource.number}"
        night = make.slot(days=2, start="22:00", end="23:30")
        span = {"starts_at": zoned(night.start), "ends_at": zoned(night.end)}
        made = caller.post(f"{base}/special-openings", {**span, "audience": "enterprises", "is_automatic": True})
        assert (made.status, made.body["audience"], made.body["is_automatic"]) == (201, "enterprises", True)
        noon = make.slot(days=2, start="10:00", end="12:00")
        closed = caller.post(f"{base}/closures", {"starts_at": zoned(noon.start), "ends_at": zoned(noon.end)})
        assert closed.status == 201
        listed = caller.get(f"{base}/exceptions").body
        assert [row["id"] for row in listed["closures"]] == [closed.body["id"]]
        assert [row["id"] for row in listed["special_openings"]] == [made.body["id"]]
        assert caller.delete(f"{base}/closures/{closed.body['id']}").status == 204
        assert caller.delete(f"{base}/special-openings/{made.body['id']}").status == 204
        assert caller.delete(f"{base}/special-openings/{made.body['id']}").status == 404
        assert Caller(w.owner).get(f"{base}/exceptions").status == 403

    def test_bookings_in_the_way_are_named_and_can_be_accepted(self, w):
        resource = make.instrument(w)
        booking = make.booking(w, resource, period=make.slot(days=2))
        caller, path = Caller(w.keeper), f"/instruments/{resource.number}/closures"
        span = {"starts_at": zoned(make.slot(days=2).start), "ends_at": zoned(make.slot(days=2).end)}
        refused = caller.post(path, span)
        assert (refused.status, refused.code) == (409, "availability.bookings_affected")
        assert booking.number in str(refused.body)
        assert caller.post(path, {**span, "accepts": [booking.number]}).status == 201
