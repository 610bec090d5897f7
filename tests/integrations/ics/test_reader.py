"""What blocks and what does not: one case per rule."""

from datetime import UTC, datetime, timedelta

import pytest

from integrations.ics.reader import first_day, read
from scheduler.calendars.ports import CalendarReport
from tests.integrations.ics.text import (
    HORIZON,
    MONDAY,
    SHANGHAI,
    TAKEN,
    TWO_HOURS,
    block,
    busy,
    calendar,
    event,
    skipped,
)


class TestBlocks:
    @pytest.mark.parametrize(
        "lines",
        [
            ("DTEND:20260302T030000Z",),
            (TWO_HOURS,),
            ("DURATION:P0DT1H60M",),
            ("DTEND;TZID=Asia/Shanghai:20260302T110000",),
            (TWO_HOURS, "STATUS:TENTATIVE"),
            (TWO_HOURS, "STATUS:CONFIRMED", "TRANSP:OPAQUE"),
            (TWO_HOURS, "ATTENDEE;PARTSTAT=DECLINED:mailto:a@x.cn", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:b@x.cn"),
            ("DTEND:20260301T230000Z", "DTSTART:20260302T010000Z"),
        ],
    )
    def test_an_event_with_a_start_and_a_length(self, lines):
        expected = "20260301T2300/20260302T0100" if "DTEND:20260301T230000Z" in lines else TAKEN
        assert busy(event(MONDAY, *lines)) == [expected]

    def test_counts_events_and_keeps_where_a_span_comes_from(self):
        raw = calendar(event(MONDAY, TWO_HOURS, "SUMMARY:样品\\, 测试\\n第二行", uid="a@lab"))
        report = read(raw, zone=SHANGHAI, horizon=HORIZON)
        assert isinstance(report, CalendarReport)
        assert report.events == 1
        (span,) = report.busy
        assert (span.uid, span.summary, span.all_day) == ("a@lab", "样品, 测试 第二行", False)

    def test_only_what_reaches_into_the_horizon(self):
        begin, end = HORIZON.start, HORIZON.end
        touching = event(f"DTSTART:{begin - timedelta(hours=2):%Y%m%dT%H%M%SZ}", TWO_HOURS, uid="1")
        reaching = event(f"DTSTART:{begin - timedelta(hours=1):%Y%m%dT%H%M%SZ}", TWO_HOURS, uid="2")
        after = event(f"DTSTART:{end:%Y%m%dT%H%M%SZ}", TWO_HOURS, uid="3")
        assert busy(touching, reaching, after) == ["20251231T2300/20260101T0100"]

    def test_days_are_the_resources_days(self):
        assert busy(event("DTSTART;VALUE=DATE:20260302")) == ["20260301T1600/20260302T1600"]
        assert busy(event("DTSTART;VALUE=DATE:20260302", "DTEND;VALUE=DATE:20260302")) == [
            "20260301T1600/20260302T1600"
        ]
        several = event("DTSTART;VALUE=DATE:20260302", "DTEND;VALUE=DATE:20260305")
        assert busy(several) == ["20260301T1600/20260304T1600"]
        assert busy(event("DTSTART:20260302", "DURATION:P2D")) == ["20260301T1600/20260303T1600"]
        clocks_change = event("DTSTART;VALUE=DATE:20260329")
        assert busy(clocks_change, zone="Europe/Zurich") == ["20260328T2300/20260329T2200"]

    def test_floating_time_is_the_resources_unless_the_file_names_its_zone(self):
        floating = event("DTSTART:20260302T090000", TWO_HOURS)
        assert busy(floating) == [TAKEN]
        assert busy(floating, zone="Europe/Zurich") == ["20260302T0800/20260302T1000"]
        assert busy("X-WR-TIMEZONE:America/New_York", floating) == ["20260302T1400/20260302T1600"]
        assert busy("X-WR-TIMEZONE:Nowhere/Land", floating) == [TAKEN]

    def test_google_repeats_in_the_zone_it_names_though_it_writes_utc(self):
        weekly = event("DTSTART:20261019T070000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=2")
        assert busy("X-WR-TIMEZONE:Europe/Zurich", weekly) == [
            "20261019T0700/20261019T0800",
            "20261026T0800/20261026T0900",
        ]
        assert busy(weekly) == ["20261019T0700/20261019T0800", "20261026T0700/20261026T0800"]

    def test_published_busy_time(self):
        lines = (
            "FREEBUSY:20260302T010000Z/PT2H,20260303T010000Z/20260303T020000Z",
            "FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260304T010000Z/PT1H",
            "FREEBUSY;FBTYPE=BUSY-UNAVAILABLE:20260305T010000Z/PT1H",
            "FREEBUSY;FBTYPE=X-LUNCH:20260306T010000Z/PT1H",
            "FREEBUSY;FBTYPE=FREE:20260307T010000Z/PT1H",
        )
        published = block("VFREEBUSY", *lines)
        assert [span[6:8] for span in busy(published)] == ["02", "03", "04", "05", "06"]
        assert skipped("BEGIN:VFREEBUSY\r\nFREEBUSY;FBTYPE=FREE:20260307T010000Z/PT1H\r\nEND:VFREEBUSY") == [
            "transparent"
        ]


class TestDoesNotBlock:
    @pytest.mark.parametrize(
        ("reason", "lines"),
        [
            ("cancelled", (MONDAY, TWO_HOURS, "STATUS:CANCELLED")),
            ("transparent", (MONDAY, TWO_HOURS, "TRANSP:TRANSPARENT")),
            ("declined", (MONDAY, TWO_HOURS, "ATTENDEE;PARTSTAT=DECLINED:mailto:lab@x.cn")),
            ("no_time", ("SUMMARY:someday",)),
            ("no_time", (MONDAY,)),
            ("no_time", (MONDAY, "DTEND:20260302T010000Z")),
            ("no_time", (MONDAY, "RDATE:")),
            ("cancelled", ("DTSTART:whenever", "STATUS:CANCELLED", "RRULE:FREQ=SECONDLY")),
        ],
    )
    def test_is_listed_with_the_reason(self, reason, lines):
        assert busy(event(*lines)) == []
        assert skipped(event(*lines)) == [reason]

    def test_a_calendar_named_by_its_owners_address_knows_who_declined(self):
        mine = event(
            MONDAY, TWO_HOURS, "ATTENDEE;PARTSTAT=DECLINED:mailto:Lab@x.cn", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:b@x.cn"
        )
        assert skipped("X-WR-CALNAME:lab@x.cn", mine) == ["declined"]
        assert busy("X-WR-CALNAME:b@x.cn", mine) == [TAKEN]

    def test_a_cancelling_message_cancels_all_it_holds(self):
        assert skipped("METHOD:CANCEL", event(MONDAY, TWO_HOURS)) == ["cancelled"]

    def test_other_components_and_alarms(self):
        alarm = "BEGIN:VALARM\r\nTRIGGER:-PT15M\r\nREPEAT:999999999\r\nDURATION:PT1S\r\nEND:VALARM"
        assert busy(event(MONDAY, TWO_HOURS, alarm)) == [TAKEN]
        for kind in ("VTODO", "VJOURNAL", "VAVAILABILITY"):
            assert skipped(f"BEGIN:{kind}\r\nDTSTART:20260302T010000Z\r\nDURATION:PT1H\r\nEND:{kind}") == ["not_event"]


class TestSeries:
    def test_wall_time_stays_when_the_clocks_change(self):
        weekly = event("DTSTART;TZID=Europe/Zurich:20261019T090000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=4")
        assert [span[9:13] for span in busy(weekly)] == ["0700", "0800", "0800", "0800"]

    def test_a_time_in_the_gap_moves_forward_and_a_doubled_one_is_the_first(self):
        gap = event("DTSTART;TZID=Europe/Zurich:20260328T023000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3")
        assert [span[9:13] for span in busy(gap)] == ["0130", "0130", "0030"]
        fold = event("DTSTART;TZID=Europe/Zurich:20261025T023000", "DURATION:PT1H")
        assert busy(fold) == ["20261025T0030/20261025T0130"]

    @pytest.mark.parametrize(
        "exception",
        [
            "EXDATE:20260303T010000Z",
            "EXDATE;TZID=Asia/Shanghai:20260303T090000",
            "EXDATE;VALUE=DATE:20260303",
        ],
    )
    def test_leaves_out_exceptions(self, exception):
        daily = event("DTSTART;TZID=Asia/Shanghai:20260302T090000", TWO_HOURS, "RRULE:FREQ=DAILY;COUNT=3", exception)
        assert [span[6:8] for span in busy(daily)] == ["02", "04"]

    def test_days_count_on_the_calendar_and_hours_elapse(self):
        def ends(length):
            return busy(event("DTSTART;TZID=Europe/Zurich:20260328T090000", f"DURATION:{length}"))[0][14:]

        assert ends("P1D") == "20260329T0700"
        assert ends("PT24H") == "20260329T0800"
        assert ends("P0DT24H") == "20260329T0800"
        assert ends("-P1DT1H") == "20260328T0800"

    def test_many_who_did_not_decline(self):
        invited = "ATTENDEE;PARTSTAT=ACCEPTED;CN=x:mailto:somebody@x.cn\r\n" * 60_000
        assert busy(event(MONDAY, TWO_HOURS, invited, "ATTENDEE;PARTSTAT=DECLINED:mailto:a@x.cn")) == [TAKEN]

    def test_exrule_removes_what_it_names(self):
        daily = event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;COUNT=7", "EXRULE:FREQ=WEEKLY;BYDAY=SA,SU")
        assert [span[6:8] for span in busy(daily)] == ["02", "03", "04", "05", "06"]

    def test_adds_dates_and_periods(self):
        dates = event(MONDAY, TWO_HOURS, "RDATE:20260310T010000Z,20260302T010000Z")
        assert busy(dates) == [TAKEN, "20260310T0100/20260310T0300"]
        periods = event(MONDAY, "RDATE;VALUE=PERIOD:20260310T010000Z/PT30M,20260311T010000Z/20260311T020000Z")
        assert busy(periods) == ["20260310T0100/20260310T0130", "20260311T0100/20260311T0200"]

    def test_a_changed_instance_replaces_its_original(self):
        series = event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;COUNT=3")
        moved = event("RECURRENCE-ID:20260303T010000Z", "DTSTART:20260303T080000Z", "DURATION:PT1H")
        assert [span[6:13] for span in busy(series, moved)] == ["02T0100", "03T0800", "04T0100"]
        assert busy(moved, series) == busy(series, moved)
        cancelled = event("RECURRENCE-ID:20260303T010000Z", "STATUS:CANCELLED")
        assert [span[6:8] for span in busy(series, cancelled)] == ["02", "04"]

    def test_a_change_of_an_instance_the_newer_series_dropped_is_outdated(self):
        series = event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260303T010000Z", "SEQUENCE:2")
        old = event("RECURRENCE-ID:20260303T010000Z", "DTSTART:20260303T080000Z", TWO_HOURS, "SEQUENCE:1")
        new = event("RECURRENCE-ID:20260303T010000Z", "DTSTART:20260303T080000Z", TWO_HOURS, "SEQUENCE:2")
        assert [span[6:8] for span in busy(series, old)] == ["02", "04"]
        assert [span[6:8] for span in busy(series, new)] == ["02", "03", "04"]

    def test_a_change_may_hold_for_all_that_follow(self):
        series = event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;COUNT=4")
        later = event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260304T010000Z", "DTSTART:20260304T020000Z", "DURATION:PT1H")
        assert [span[6:] for span in busy(series, later)] == [
            "02T0100/20260302T0300",
            "03T0100/20260303T0300",
            "04T0200/20260304T0300",
            "05T0200/20260305T0300",
        ]
        stopped = event("RECURRENCE-ID;RANGE=THISANDFUTURE:20260304T010000Z", MONDAY, "STATUS:CANCELLED")
        assert [span[6:8] for span in busy(series, stopped)] == ["02", "03"]

    def test_a_change_without_its_series_stands_for_itself(self):
        alone = event(
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20260302T010000Z",
            MONDAY,
            TWO_HOURS,
            "RDATE;VALUE=PERIOD:20260309T010000Z/PT2H",
        )
        assert busy(alone) == [TAKEN, "20260309T0100/20260309T0300"]

        assert busy(event("SUMMARY:a series without a time"), alone) == busy(alone)

    def test_a_cancelled_series_takes_its_changes_along(self):
        series = event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;COUNT=3", "STATUS:CANCELLED")
        moved = event("RECURRENCE-ID:20260303T010000Z", "DTSTART:20260303T080000Z", "DURATION:PT1H")
        assert busy(series, moved) == []

    def test_until_is_inclusive_and_a_series_that_ended_before_it_began_takes_nothing(self):
        assert len(busy(event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;UNTIL=20260304T010000Z"))) == 3
        assert len(busy(event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;UNTIL=20260304"))) == 3
        assert busy(event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;UNTIL=20260301T010000Z")) == []
        assert len(busy(event("DTSTART;VALUE=DATE:20260302", "RRULE:FREQ=DAILY;UNTIL=20260304T235959Z"))) == 3

    def test_a_long_instance_from_before_the_horizon_still_blocks(self):
        long = event("DTSTART:20250101T000000Z", "DURATION:P20D", "RRULE:FREQ=MONTHLY;BYMONTHDAY=20")
        assert busy(long)[0] == "20251220T0000/20260109T0000"


class TestVersions:
    def test_the_highest_sequence_wins_then_the_newest_stamp(self):
        old = event("DTSTART:20260301T010000Z", TWO_HOURS, "SEQUENCE:9", "DTSTAMP:20260101T000000Z")
        new = event(MONDAY, TWO_HOURS, "SEQUENCE:10", "DTSTAMP:20250101T000000Z")
        assert busy(old, new) == busy(new, old) == [TAKEN]
        earlier = event("DTSTART:20260301T010000Z", TWO_HOURS, "DTSTAMP:20260101T000000Z")
        later = event(MONDAY, TWO_HOURS, "DTSTAMP:20260102T000000Z")
        assert busy(earlier, later) == busy(later, earlier) == [TAKEN]

    def test_a_tie_frees_nothing(self):
        other = event("DTSTART:20260309T010000Z", TWO_HOURS)
        assert busy(event(MONDAY, TWO_HOURS), other) == [TAKEN, "20260309T0100/20260309T0300"]
        assert busy(event(MONDAY, TWO_HOURS), event(MONDAY, TWO_HOURS)) == [TAKEN]

    def test_events_without_uid_are_each_their_own(self):
        anonymous = "BEGIN:VEVENT\r\n{}\r\nDURATION:PT2H\r\nEND:VEVENT"
        assert len(busy(anonymous.format(MONDAY), anonymous.format("DTSTART:20260309T010000Z"))) == 2


class TestForms:
    def test_folds_anywhere_even_inside_a_character(self):
        raw = calendar(event(MONDAY, TWO_HOURS, "SUMMARY:电子显微镜"))
        place = raw.index("显".encode()) + 1
        folded = (raw[:place] + b"\r\n " + raw[place:]).replace(b"DTSTART:2026", b"DTSTART:\n\t2026")
        (span,) = read(folded, zone=SHANGHAI, horizon=HORIZON).busy
        assert span.summary == "电子显微镜"

    @pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n\r\n"])
    def test_any_line_ending(self, ending):
        raw = b"\xef\xbb\xbf" + calendar(event(MONDAY, TWO_HOURS)).replace(b"\r\n", ending)
        assert len(read(raw, zone=SHANGHAI, horizon=HORIZON).busy) == 1

    def test_several_calendars_in_one_file(self):
        raw = calendar(event(MONDAY, TWO_HOURS)) + calendar(event("DTSTART:20260309T010000Z", TWO_HOURS, uid="two"))
        assert len(read(raw, zone=SHANGHAI, horizon=HORIZON).busy) == 2

    def test_text_cannot_open_a_component(self):
        assert busy(event(MONDAY, TWO_HOURS, "SUMMARY:x\\nEND:VEVENT\\nBEGIN:VEVENT")) == [TAKEN]

    def test_first_day(self):
        raw = calendar(event("DTSTART;TZID=Asia/Shanghai:20080304T090000"), event("DTSTART;VALUE=DATE:20080303"))
        assert first_day(raw) == datetime(2008, 3, 3, tzinfo=UTC)
        assert first_day(calendar()) is None
