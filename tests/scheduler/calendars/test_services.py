"""A lab's calendars on real PostgreSQL: what they block, what a new reading changes, what they never do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, NotFound, Refused
from portal.kernel.period import Period
from portal.organisations import rules as roles
from scheduler.availability import services as availability
from scheduler.availability.models import Claim, FreeGap
from scheduler.availability.queries import period_of
from scheduler.bookings import services as bookings
from scheduler.calendars import access, blocking, queries, services
from scheduler.calendars.models import CalendarImport, ExternalBusy, ExternalCalendar
from scheduler.calendars.ports import CalendarRefused
from scheduler.resources import services as resources
from tests import make
from tests.scheduler.calendars.writing import busy, calendar, event

pytestmark = pytest.mark.django_db

MORNING = make.slot(start="10:00", end="12:00")
NOON = make.slot(start="11:00", end="13:00")
EVENING = make.slot(start="18:00", end="20:00")


def load(w, resource, *events, name="组内日历", now=make.NOW):
    return services.import_calendar(actor=w.keeper, resource=resource, name=name, raw=calendar(*events), now=now)


def blocked(resource):
    claims = Claim.objects.filter(resource=resource, state="external").order_by("unit_no", "blocked")
    return [period_of(claim.blocked) for claim in claims]


class TestImporting:
    def test_blocks_time_and_is_replaced_by_the_next_import(self, w):
        resource = make.instrument(w)
        done = load(w, resource, busy("a", MORNING))
        assert (done.report["blocked"], done.report["hours"], done.report["anew"]) == (1, 2.0, 1)
        with pytest.raises(Refused):
            make.booking(w, resource, period=NOON)

        moved = load(w, resource, busy("a", EVENING))
        assert (moved.report["anew"], moved.report["freed"]) == (1, 1)
        make.booking(w, resource, period=NOON)

    def test_c65_says_which_event_blocks_and_when_it_was_read(self, w):
        resource = make.instrument(w)
        load(w, resource, busy("a", MORNING, "换灯丝"), busy("b", NOON, "组会"), busy("c", EVENING, "值班"))
        rows = queries.blocks_of(resource, now=make.NOW)[ExternalCalendar.objects.get().pk]
        assert [row.summary for row in rows] == ["换灯丝; 组会", "值班"]
        assert ExternalCalendar.objects.get().imported_at == make.NOW

    def test_c65_never_moves_a_booking_but_reports_the_conflict(self, w):
        resource = make.instrument(w)
        made = make.booking(w, resource, period=NOON)
        done = load(w, resource, busy("a", MORNING))
        assert [row["booking"] for row in done.report["conflicts"]] == [made.number]
        assert blocked(resource) == [Period(MORNING.start, NOON.start)]
        made.refresh_from_db()
        assert made.state == "requested"
        (met,) = queries.conflicts_of(resource, now=make.NOW).values()
        assert [row.number for row in met] == [made.number]

    def test_takes_the_time_of_a_booking_that_ends(self, w):
        resource = make.instrument(w)
        made = make.booking(w, resource, period=NOON)
        load(w, resource, busy("a", MORNING))
        bookings.cancel(actor=w.researcher, booking=made, now=make.NOW)
        load(w, resource, busy("a", MORNING))
        assert blocked(resource) == [MORNING]
        assert queries.conflicts_of(resource, now=make.NOW) == {ExternalCalendar.objects.get().pk: []}

    def test_c66_the_same_file_again_changes_nothing(self, w):
        resource = make.instrument(w)
        make.booking(w, resource, period=NOON)
        weekly = busy("b", EVENING, "组会", "RRULE:FREQ=DAILY;COUNT=5")
        load(w, resource, busy("a", MORNING), weekly)

        def state():
            resource.refresh_from_db()
            return (
                list(Claim.objects.order_by("pk").values()),
                list(ExternalBusy.objects.order_by("pk").values()),
                list(FreeGap.objects.order_by("pk").values()),
                resource.calendar_version,
            )

        before = state()
        again = load(w, resource, busy("a", MORNING), weekly, now=make.NOW + timedelta(minutes=7))
        assert state() == before
        assert (again.report["anew"], again.report["freed"], len(again.report["conflicts"])) == (0, 0, 1)

    def test_leaves_what_is_over_as_it_was(self, w):
        resource = make.instrument(w)
        load(w, resource, busy("a", MORNING), busy("b", EVENING))
        later = MORNING.end + timedelta(hours=1)
        load(w, resource, busy("b", EVENING), now=later)
        assert blocked(resource) == [MORNING, EVENING]

    @pytest.mark.parametrize("raw", [b"", b"<html>sign in</html>", calendar(busy("a", MORNING))[:-20]])
    def test_c64_a_file_that_is_refused_leaves_the_last_good_one_in_force(self, w, raw):
        resource = make.instrument(w)
        load(w, resource, busy("a", MORNING))
        with pytest.raises(CalendarRefused):
            services.import_calendar(actor=w.keeper, resource=resource, name="组内日历", raw=raw, now=make.NOW)
        assert blocked(resource) == [MORNING]
        assert CalendarImport.objects.count() == 1

    def test_c61_cancelled_transparent_and_declined_events_do_not_block(self, w):
        resource = make.instrument(w)
        done = load(
            w,
            resource,
            busy("a", MORNING, "取消", "STATUS:CANCELLED"),
            busy("b", NOON, "空闲", "TRANSP:TRANSPARENT"),
            busy("c", EVENING, "谢绝", "ATTENDEE;PARTSTAT=DECLINED:mailto:x@lab.cn"),
        )
        assert blocked(resource) == []
        assert [row["reason"] for row in done.report["skipped"]] == ["cancelled", "transparent", "declined"]

    def test_c62_floating_time_and_days_are_the_instruments_and_windows_zones_are_known(self, w):
        resource = make.instrument(w)
        load(
            w,
            resource,
            event("a", ":20261126T100000", ":20261126T120000"),
            event("b", ";VALUE=DATE:20261128", ";VALUE=DATE:20261129"),
            event("c", ";TZID=China Standard Time:20261130T090000", ";TZID=China Standard Time:20261130T110000"),
            event("d", ";TZID=/x.org/Asia/Shanghai:20261201T090000", ";TZID=/x.org/Asia/Shanghai:20261201T110000"),
        )
        assert blocked(resource) == [
            MORNING,
            Period(make.slot(days=3, start="00:00").start, make.slot(days=4, start="00:00").start),
            make.slot(days=5),
            make.slot(days=6),
        ]

    def test_c62_a_zone_nobody_knows_is_refused_and_named(self, w):
        resource = make.instrument(w)
        load(w, resource, busy("a", MORNING))
        with pytest.raises(CalendarRefused) as refused:
            load(w, resource, event("b", ";TZID=Mars/Olympus:20261130T090000", ";TZID=Mars/Olympus:20261130T110000"))
        assert refused.value.params["reason"] == "unknown_zone"
        assert "Mars/Olympus" in str(refused.value.params["detail"])
        assert blocked(resource) == [MORNING]

    def test_c63_of_two_with_one_uid_the_highest_sequence_then_the_newest_stamp_counts(self, w):
        resource = make.instrument(w)
        load(
            w,
            resource,
            busy("a", MORNING, "新", "SEQUENCE:2"),
            busy("a", NOON, "旧", "SEQUENCE:1"),
            tuple(line.replace("20261101", "20261102") for line in busy("b", EVENING, "新")),
            busy("b", make.slot(days=2), "旧"),
        )
        assert blocked(resource) == [MORNING, EVENING]

    def test_an_exception_takes_the_place_of_its_instance(self, w):
        resource = make.instrument(w)
        first = f"RECURRENCE-ID:{make.slot(days=2, start='10:00').start:%Y%m%dT%H%M%SZ}"
        load(
            w,
            resource,
            busy("a", MORNING, "每天", "RRULE:FREQ=DAILY;COUNT=3"),
            busy("a", make.slot(days=2, start="15:00", end="16:00"), "改期", first),
        )
        assert blocked(resource) == [
            MORNING,
            make.slot(days=2, start="15:00", end="16:00"),
            make.slot(days=3, start="10:00", end="12:00"),
        ]


class TestSeveralUnitsAndCalendars:
    def test_every_unit_is_blocked_save_where_it_is_taken(self, w):
        resource = make.instrument(w)
        type(resource).objects.filter(pk=resource.pk).update(capacity=2)
        resource.refresh_from_db()
        make.booking(w, resource, period=NOON)
        load(w, resource, busy("a", MORNING))
        assert sorted(blocked(resource)) == [Period(MORNING.start, NOON.start), MORNING]

    def test_counted_places_are_filled_up(self, w):
        resource = make.instrument(w)
        type(resource).objects.filter(pk=resource.pk).update(capacity=3, counting="fungible")
        resource.refresh_from_db()
        load(w, resource, busy("a", MORNING))
        assert [claim.units for claim in Claim.objects.filter(state="external")] == [3]

    def test_time_two_calendars_take_is_free_when_both_are_gone(self, w):
        resource = make.instrument(w)
        load(w, resource, busy("a", MORNING), name="一")
        load(w, resource, busy("b", NOON), name="二")
        both = Period(MORNING.start, NOON.end)
        assert blocked(resource)[0].start == both.start
        first, second = access.calendars_of(resource).order_by("pk")
        services.remove_calendar(actor=w.keeper, calendar=first, now=make.NOW)
        assert blocked(resource) == [NOON]
        services.remove_calendar(actor=w.keeper, calendar=second, now=make.NOW)
        assert blocked(resource) == []
        make.booking(w, resource, period=MORNING)

    def test_maintenance_keeps_its_time(self, w):
        resource = make.instrument(w)
        availability.block_for_maintenance(actor=w.keeper, resource=resource, period=NOON, note="", now=make.NOW)
        assert load(w, resource, busy("a", NOON)).report["blocked"] == 0
        assert blocked(resource) == []


class TestPreviewing:
    def test_says_what_would_change_and_writes_nothing(self, w):
        resource = make.instrument(w)
        load(w, resource, busy("a", MORNING, "甲"), busy("b", EVENING, "乙"))
        made = make.booking(w, resource, period=make.slot(days=3))
        counts = (Claim.objects.count(), ExternalBusy.objects.count(), Record.objects.count())
        found = services.preview_calendar(
            actor=w.keeper,
            resource=resource,
            name=" 组内日历 ",
            raw=calendar(
                busy("a", NOON, "甲"),
                busy("c", make.slot(days=3), "丙"),
                busy("d", make.slot(days=4), "丁", "STATUS:CANCELLED"),
            ),
            now=make.NOW,
        )
        assert [(row.period, row.summary) for row in found.anew] == [
            (Period(MORNING.end, NOON.end), "甲"),
            (make.slot(days=3), "丙"),
        ]
        assert [(row.period, row.summary) for row in found.freed] == [
            (Period(MORNING.start, NOON.start), "甲"),
            (EVENING, "乙"),
        ]
        assert [(row.period, row.summary) for row in found.kept] == [(Period(NOON.start, MORNING.end), "甲")]
        assert [row.number for row in found.conflicts] == [made.number]
        assert [row.reason for row in found.report.skipped] == ["cancelled"]
        assert found.replaces == ExternalCalendar.objects.get()
        assert (Claim.objects.count(), ExternalBusy.objects.count(), Record.objects.count()) == counts

    def test_does_not_call_free_what_another_calendar_takes(self, w):
        resource = make.instrument(w)
        load(w, resource, busy("a", MORNING), name="一")
        load(w, resource, busy("a", MORNING), name="二")
        found = services.preview_calendar(actor=w.keeper, resource=resource, name="一", raw=calendar(), now=make.NOW)
        assert (list(found.freed), list(found.anew)) == ([], [])

    def test_needs_a_name(self, w):
        with pytest.raises(services.NameMissing):
            services.preview_calendar(
                actor=w.keeper, resource=make.instrument(w), name=" ", raw=calendar(), now=make.NOW
            )


def test_the_number_of_statements_does_not_grow_with_the_events(w):
    resource = make.instrument(w)

    def statements(count):
        with CaptureQueriesContext(
            connection,
        ) as seen:
            load(w, resource, *(busy(f"{count}-{n}", make.slot(days=2 + n)) for n in range(count)))
        return len(seen)

    statements(1)
    assert statements(5) == statements(25)


def test_only_the_owner_may(w):
    resource = make.instrument(w)
    load(w, resource, busy("a", MORNING))
    (mine,) = access.calendars_of(resource)
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    for someone in (other, w.researcher, w.lab_owner):
        with pytest.raises(Forbidden):
            services.remove_calendar(actor=someone, calendar=mine, now=make.NOW)
        with pytest.raises(Forbidden):
            services.preview_calendar(actor=someone, resource=resource, name="x", raw=calendar(), now=make.NOW)
    with pytest.raises(NotFound):
        access.get_calendar(make.instrument(w, name="另一台"), mine.pk)


def test_nothing_is_done_where_nothing_differs(w):
    resource = make.instrument(w)
    load(w, resource, busy("a", MORNING))
    resources.lock(resource_ids=[resource.pk])
    assert blocking.occupy(resource, now=make.NOW) is False
