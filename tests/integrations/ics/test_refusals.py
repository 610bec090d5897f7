"""Zones and their names, and every reason to refuse a file."""

import gc
import time as clock
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar, Component
from icalendar.timezone import tzp

from integrations.ics.reader import read
from integrations.ics.syntax import MAX_BYTES, MAX_COMPONENTS
from scheduler.calendars.ports import CalendarRefused
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


def refusal(raw):
    with pytest.raises(CalendarRefused) as caught:
        read(raw, zone=SHANGHAI, horizon=HORIZON)
    error = caught.value
    assert error.code == "calendar.refused"
    assert error.field == "file"
    return error.params["reason"], str(error.message % error.params)


def effort(raw):
    """Read or refuse a file; return the seconds this process itself worked on it, and the reason of the refusal."""
    reason, started = "", clock.process_time()
    try:
        read(raw, zone=SHANGHAI, horizon=HORIZON)
    except CalendarRefused as error:
        reason = error.params["reason"]
    return clock.process_time() - started, reason


@pytest.fixture(scope="module")
def yardstick():
    """What the largest ordinary file costs here and now: 2,000 events."""
    ordinary = calendar(*[event(MONDAY, TWO_HOURS, uid=str(number)) for number in range(2000)])
    return min(effort(ordinary) for _turn in range(2))[0]


def classes_named(start):
    """Component classes the process keeps for names it met in files."""
    gc.collect()
    return [each for each in Component.__subclasses__() if (each.name or "").startswith(start)]


LAB_ZONE = block(
    "VTIMEZONE",
    "TZID:Lab time",
    block(
        "STANDARD",
        "DTSTART:16010101T030000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
    ),
    block(
        "DAYLIGHT",
        "DTSTART:16010101T020000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
    ),
)


class TestZones:
    @pytest.mark.parametrize(
        "name",
        [
            "Asia/Shanghai",
            "asia/shanghai",
            "PRC",
            "China Standard Time",
            '"China Standard Time"',
            "china standard time",
            "China  Standard Time",
            "/Asia/Shanghai",
            "/freeassociation.sourceforge.net/Asia/Shanghai",
            "/mozilla.org/20070129_1/Asia/Shanghai",
            "Asia/Beijing",
        ],
    )
    def test_knows_the_names_software_uses(self, name):
        assert busy(event(f"DTSTART;TZID={name}:20260302T090000", TWO_HOURS), zone="UTC") == [TAKEN]

    def test_reads_a_zone_the_file_defines(self):
        def at(local):
            return busy(LAB_ZONE, event(f"DTSTART;TZID=Lab time:{local}", "DURATION:PT1H"))[0][:13]

        assert at("20260302T090000") == "20260302T0800"
        assert at("20260702T090000") == "20260702T0700"
        assert at("20260329T023000") == "20260329T0130"
        assert at("20261025T023000") == "20261025T0030"

    @given(st.datetimes(datetime(2026, 1, 2), datetime(2027, 1, 30)))
    def test_a_defined_zone_equals_the_real_one(self, moment):
        local = moment.replace(second=0, microsecond=0)
        found = busy(LAB_ZONE, event(f"DTSTART;TZID=Lab time:{local:%Y%m%dT%H%M%S}", "DURATION:PT1H"))
        assert found[0][:13] == f"{local.replace(tzinfo=ZoneInfo('Europe/Zurich')).astimezone(UTC):%Y%m%dT%H%M}"

    def test_an_outdated_copy_does_not_override_the_world(self):
        copy = LAB_ZONE.replace("TZID:Lab time", "TZID:Asia/Shanghai")
        assert busy(copy, event("DTSTART;TZID=Asia/Shanghai:20260302T090000", TWO_HOURS)) == [TAKEN]

    def test_an_abbreviation_means_what_the_file_says_it_does(self):
        """EST is -5 all year in IANA's table; a file that gives it a summer time is believed."""
        own = LAB_ZONE.replace("TZID:Lab time", "TZID:EST")
        summer = event("DTSTART;TZID=EST:20260702T090000", "DURATION:PT1H")
        assert busy(own, summer)[0][:13] == "20260702T0700"
        assert busy(summer)[0][:13] == "20260702T1400"

    def test_refuses_the_file_when_nobody_knows_the_zone(self):
        unknown = event("DTSTART;TZID=Lab time:20260302T090000", TWO_HOURS, "SUMMARY:维护")
        assert busy(LAB_ZONE, unknown)
        reason, text = refusal(calendar(unknown))  # the definition of the file before is forgotten
        assert reason == "unknown_zone"
        assert "“维护”" in text
        assert "“Lab time”" in text

    def test_files_do_not_explain_each_others_zones(self):
        """Two labs call two zones by one name, eight threads read both a hundred times each; nothing is left behind."""
        meeting = event("DTSTART;TZID=Lab time:20260302T090000", TWO_HOURS)
        ahead = LAB_ZONE.replace("+0100", "+0900").replace("+0200", "+1000")

        def read_both(turn):
            first, second = (LAB_ZONE, ahead) if turn % 2 else (ahead, LAB_ZONE)
            strange = block(f"X-STRANGE-{turn}")
            return busy(first, strange, meeting) + busy(second, meeting) if turn % 2 else busy(second, meeting)

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(read_both, range(200)))
        here, there = "20260302T0800/20260302T1000", "20260302T0000/20260302T0200"
        assert found == [[here, there] if turn % 2 else [here] for turn in range(200)]
        assert refusal(calendar(meeting))[0] == "unknown_zone"
        assert tzp.timezone("Lab time") is None
        assert not classes_named("X-STRANGE")

    def test_the_librarys_own_entry_would_let_one_file_explain_another(self):
        """Why we do not call it: when this fails, strike our parser."""
        meeting = event("DTSTART;TZID=Leaking lab:20260302T090000", TWO_HOURS)
        try:
            assert Calendar.from_ical(calendar(meeting)).events[0].start.tzinfo is None
            Calendar.from_ical(calendar(LAB_ZONE.replace("Lab time", "Leaking lab")))
            assert Calendar.from_ical(calendar(meeting)).events[0].start.tzinfo is not None
            Calendar.from_ical(calendar(block("X-KEPT")))
            assert classes_named("X-KEPT")
        finally:
            tzp.use_default()

    @pytest.mark.parametrize("part", ["BEGIN:STANDARD\r\nEND:STANDARD", "", LAB_ZONE.replace("+0200", "+5744")])
    def test_a_definition_that_cannot_be_read_is_none(self, part):
        broken = part if "VTIMEZONE" in part else f"BEGIN:VTIMEZONE\r\nTZID:Lab time\r\n{part}\r\nEND:VTIMEZONE"
        assert refusal(calendar(broken, event("DTSTART;TZID=Lab time:20260302T090000", TWO_HOURS)))[0] == "unknown_zone"

    def test_a_zone_nobody_blocks_with_is_no_reason_to_refuse(self):
        assert skipped(event("DTSTART;TZID=Nowhere:20260302T090000", TWO_HOURS, "STATUS:CANCELLED")) == ["cancelled"]


class TestRefused:
    @pytest.mark.parametrize(
        ("reason", "raw"),
        [
            ("empty", b""),
            ("empty", b"\xef\xbb\xbf \r\n\r\n"),
            ("html", b"<!DOCTYPE html><html><body>Sign in</body></html>"),
            ("html", b"\n  <html>"),
            ("not_calendar", b'{"events": []}'),
            ("not_calendar", b"PK\x03\x04\x00\x00"),
            ("not_calendar", b"BEGIN:VCARD\r\nEND:VCARD\r\n"),
            ("not_calendar", b"BEGIN:VEVENT\r\nDTSTART:20260302T010000Z\r\nDURATION:PT1H\r\nEND:VEVENT\r\n"),
            ("not_calendar", b"BEGIN:VCALENDAR\r\n\x00\r\nEND:VCALENDAR"),
            ("broken", calendar(event(MONDAY, TWO_HOURS))[:-20]),
            ("broken", calendar("BEGIN:VEVENT")),
            ("broken", calendar("END:VEVENT")),
            ("broken", calendar() + b"BEGIN:VEVENT\r\nEND:VEVENT\r\n"),
            ("broken", b"BEGIN:VCALENDAR\r\n" + b"BEGIN:X\r\n" * 30),
            ("broken", calendar(event("DTSTART:soon", TWO_HOURS))),
            ("broken", calendar(event("DTSTART;;VALUE=DATE-TIME:20260302T010000", TWO_HOURS))),
            ("broken", calendar(event("DTSTART:00010101T000000", TWO_HOURS))),
            ("broken", calendar(event("DTSTART:20260231T000000", TWO_HOURS))),
            ("broken", calendar(event(MONDAY, "DTSTART:20260303T010000Z", TWO_HOURS))),
            ("broken", calendar(event(MONDAY, "DURATION:PT"))),
            ("broken", calendar(event(MONDAY, "DURATION:P999999999999W"))),
            ("broken", calendar(event(MONDAY, TWO_HOURS, "RRULE:FREQ=SOMETIMES"))),
            ("broken", calendar(event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;UNTIL=never"))),
            ("broken", calendar(event(MONDAY, TWO_HOURS, "RDATE:2026"))),
            ("broken", calendar(event(MONDAY, TWO_HOURS, "RDATE;VALUE=DATE"))),
            ("broken", calendar(event("DTSTART:2026 302T010000", TWO_HOURS))),
            ("broken", calendar(event("DTSTART:2_260302T010000", TWO_HOURS))),
            ("broken", calendar(event(MONDAY, TWO_HOURS, "RDATE;VALUE=DATE:20260310"))),
            ("broken", calendar(event(MONDAY, TWO_HOURS, "EXDATE:2026"))),
            ("broken", calendar(event(MONDAY, TWO_HOURS, "RECURRENCE-ID:x"))),
            ("broken", calendar("BEGIN:VFREEBUSY\r\nFREEBUSY:20260302T010000Z\r\nEND:VFREEBUSY")),
            ("too_large", b"BEGIN:VCALENDAR\r\n" + b"X" * MAX_BYTES),
            ("too_many_components", calendar("BEGIN:VTODO\r\nEND:VTODO\r\n" * MAX_COMPONENTS)),
            ("too_frequent", calendar(event(MONDAY, TWO_HOURS, "RRULE:FREQ=SECONDLY"))),
            ("too_frequent", calendar(event(MONDAY, TWO_HOURS, "RRULE:FREQ=MINUTELY;COUNT=2"))),
            ("too_frequent", calendar(event(MONDAY, TWO_HOURS, "RRULE:FREQ=HOURLY;BYMINUTE=0,20,40"))),
            ("too_many_instances", calendar(event(MONDAY, TWO_HOURS, "RRULE:FREQ=HOURLY"))),
        ],
    )
    def test_with_a_stable_code_and_words_for_people(self, reason, raw):
        found, text = refusal(raw)
        assert found == reason
        assert text.startswith("日历文件无法导入：")
        assert "{" not in text

    def test_names_the_event_and_the_line(self):
        reason, text = refusal(calendar(event("DTSTART:soon", TWO_HOURS, "SUMMARY:XRD 维护")))
        assert reason == "broken"
        assert "“XRD 维护”的 DTSTART 无法识别（soon）" in text

    def test_names_the_rule_that_repeats_too_often(self):
        _reason, text = refusal(calendar(event(MONDAY, TWO_HOURS, "SUMMARY:心跳", "RRULE:FREQ=SECONDLY;COUNT=10")))
        assert "“心跳”" in text
        assert "FREQ=SECONDLY;COUNT=10" in text

    def test_user_text_is_never_a_template(self):
        _reason, text = refusal(calendar(event("DTSTART:{0.__class__}%(detail)s", TWO_HOURS, "SUMMARY:{event} %s")))
        assert "“{event} %s”" in text

    def test_exactly_at_the_limits_is_read(self):
        many = [event(MONDAY, TWO_HOURS, uid=str(number)) for number in range(2000)]
        assert len(busy(*many)) == 2000
        assert refusal(calendar(*many, event(MONDAY, TWO_HOURS, uid="last")))[0] == "too_many_instances"
        todos = "BEGIN:VTODO\r\nEND:VTODO\r\n" * (MAX_COMPONENTS - 1)
        assert len(skipped(todos)) == MAX_COMPONENTS - 1

    @pytest.mark.parametrize(
        "part",
        [
            event("DTSTART:19700101T000000Z", TWO_HOURS, "RRULE:FREQ=HOURLY;COUNT=999999999"),
            event(MONDAY, TWO_HOURS, "UID:x\r\n" * 700_000),
            event(MONDAY, TWO_HOURS, "ATTENDEE;PARTSTAT=DECLINED;CN=x y z:mailto:somebody@x.cn\r\n" * 80_000),
            event(MONDAY, TWO_HOURS, "RDATE;" + "X=1;" * 1_200_000 + "X=1:20260302T010000Z"),
            event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;BYDAY=" + "MO," * 1_600_000 + "MO"),
            event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY;COUNT=1\r\n" * 60_000),
            event("DTSTART:16010101T000000Z", TWO_HOURS, "RRULE:FREQ=HOURLY;COUNT=3;BYMONTH=2;BYMONTHDAY=30"),
            event("DTSTART:19000101T000000Z", "DTEND:20990101T000000Z", "RRULE:FREQ=DAILY"),
            event(MONDAY, TWO_HOURS, "RDATE:" + ",".join(["20300101T000000Z"] * 250_000)),
            event(MONDAY, TWO_HOURS, "RRULE:FREQ=DAILY", "EXDATE:" + ",".join(["20300101T000000Z"] * 250_000)),
            "\r\n".join(
                event("DTSTART:19700101T000000Z", TWO_HOURS, "RRULE:FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO", uid=str(number))
                for number in range(4900)
            ),
        ],
        ids=[
            "hours counted",
            "lines",
            "declined",
            "parameters",
            "weekdays",
            "rules",
            "hours never",
            "overlapping",
            "dates",
            "exceptions",
            "weeks",
        ],
    )
    def test_work_is_bounded(self, part, yardstick):
        """No file costs 8 times what the largest ordinary one does: the worst costs 4, and 9 to 20 without the limits.

        Measured in the same run, so that a slow machine is slow at both, and again where one attempt was disturbed.
        """
        costs = []
        for _turn in range(3):
            cost, reason = effort(calendar(part))
            assert reason in {"too_frequent", "too_many_instances", "too_many_components"}
            costs.append(cost)
            if cost < 8 * yardstick:
                break
        assert min(costs) < 8 * yardstick
