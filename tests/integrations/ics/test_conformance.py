"""What the portal writes, judged by readers that are not ours: libical (Evolution, KDE) and ical.js (Thunderbird).

`make test` installs both; where one is missing these tests fail. RFC 5545, 7953, 7986.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import re
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from integrations.ics.availability import availability
from integrations.ics.feed import Busy, FeedEvent, Kind, Privacy, Status, events, freebusy
from portal.kernel.period import Period, merge, subtract
from scheduler.availability.rules import Closure, WeeklyHours, open_periods

READERS = Path(__file__).parents[2] / "readers"
START = datetime(2026, 11, 26, tzinfo=UTC)
WINDOW = Period(START, START + timedelta(days=400))
ZONES = ("Asia/Shanghai", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe")
HOURS = {
    "week": [WeeklyHours(frozenset({1, 2, 3, 4, 5}), 480, 1200)],
    "nights": [
        WeeklyHours(frozenset({1, 3, 6}), 1320, 1800),
        WeeklyHours(frozenset({7}), 120, 240, date(2027, 1, 1), date(2027, 6, 1)),
    ],
}
CLOSED = Closure(Period(datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 3, 9, 5, tzinfo=UTC)))
TEXTS = [
    "长" * 300,
    "😀" * 100,
    "a,b;c\\n\\,\\;:\"'",
    "一\r\nBEGIN:VEVENT\r\nUID:evil\r\nEND:VEVENT",
    "x\rEND:VEVENT\nEND:VCALENDAR",
]


def items(count=500):
    for number in range(count):
        begin = START + timedelta(hours=3 * number)
        yield FeedEvent(
            uid=f"00000000-0000-4000-8000-{number:012}",
            sequence=number % 3,
            period=Period(begin, begin + timedelta(hours=2)),
            summary=f"机密课题{number} {TEXTS[number % len(TEXTS)]}",
            status=list(Status)[number % 3],
            last_modified=START,
            description=f"预约单位 {number} {TEXTS[number % len(TEXTS)]}",
            location="杭州 3 号楼",
            url="https://example.cn/b?x=1;2,3",
        )


def feed(privacy=Privacy.FULL, count=500):
    return events(items(count), name="电镜", zone="Asia/Shanghai", privacy=privacy, source="https://example.cn/f.ics")


def busy():
    spans = [Busy(Period(i.period.start, i.period.end), list(Kind)[n % 3]) for n, i in enumerate(items(60))]
    return freebusy(spans, uid="u", window=WINDOW, stamp=START)


def opening(zone, name):
    opened = open_periods(HOURS[name], zone=zone, window=WINDOW, closures=[CLOSED])
    return availability(HOURS[name], opened, zone=zone, window=WINDOW, identity="R-1"), list(merge(opened))


def libical(body):
    """Return the number of errors libical finds, while parsing and by its table of what belongs where."""
    found = ctypes.util.find_library("ical")
    assert found, "libical 3 is missing: make test installs it (apt-get install libical3)"
    lib = ctypes.CDLL(found)
    lib.icalparser_parse_string.restype = ctypes.c_void_p
    for name in ("icalcomponent_count_errors", "icalrestriction_check", "icalcomponent_free"):
        getattr(lib, name).argtypes = [ctypes.c_void_p]
    component = lib.icalparser_parse_string(body)
    assert component
    try:
        legal = lib.icalrestriction_check(component)
        return lib.icalcomponent_count_errors(component) + (not legal)
    finally:
        lib.icalcomponent_free(component)


def ical_js(body):
    """Return what ical.js reads."""
    assert (READERS / "node_modules" / "ical.js").is_dir(), "ical.js is missing: make test installs it (npm ci)"
    done = subprocess.run(
        ["node", "read.mjs", WINDOW.end.isoformat()], cwd=READERS, input=body, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def period(start, end):
    return Period(datetime.fromisoformat(start), datetime.fromisoformat(end))


def plain(text):
    return re.sub(r"\r\n?", "\n", text).strip()


def right_to_the_byte(body):
    """Assert what every document of ours is, whatever it says: lines C1 to C4 of docs/calendars.md, and C29."""
    body.decode("utf-8")
    assert not body.startswith(b"\xef\xbb\xbf")
    assert body.endswith(b"\r\n")
    lines = body.split(b"\r\n")
    for line in lines:
        assert b"\r" not in line
        assert b"\n" not in line
        assert b"\x00" not in line
        assert len(line) <= 75
        line.decode("utf-8")
    assert lines[:3] == [b"BEGIN:VCALENDAR", b"VERSION:2.0", lines[2]]
    assert [line.startswith(b"PRODID:") for line in lines].count(True) == 1
    assert b"METHOD" not in body


DOCUMENTS = {
    **{privacy.value: lambda privacy=privacy: feed(privacy) for privacy in Privacy},
    "freebusy": busy,
    **{f"{zone} {name}": lambda zone=zone, name=name: opening(zone, name)[0] for zone in ZONES for name in HOURS},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_legal_to_libical_and_right_to_the_byte(name):
    body = DOCUMENTS[name]()
    assert libical(body) == 0
    right_to_the_byte(body)
    kinds = {line[6:] for line in body.split(b"\r\n") if line.startswith(b"BEGIN:V")}
    if name in {p.value for p in Privacy}:
        assert kinds == {b"VCALENDAR", b"VEVENT"}, "programs stop at what else they meet"


def test_libical_notices_mistakes():
    body = feed(count=3)
    assert libical(body.replace(b"PRODID", b"X-PRODID"))
    assert libical(body.replace(b"DTSTART:2026", b"DTSTART:soon"))
    assert libical(busy().replace(b"DTSTAMP", b"X-DTSTAMP"))


def test_ical_js_reads_500_events_letter_by_letter():
    read = {event["uid"]: event for event in ical_js(feed())["events"]}
    assert len(read) == 500
    for item in items():
        event = read[item.uid]
        assert (event["sequence"], event["status"]) == (item.sequence, item.status.value)
        assert (event["summary"], event["description"]) == (plain(item.summary), plain(item.description))
        assert [period(*span) for span in event["spans"]] == [item.period]


def test_a_busy_feed_holds_none_of_500_names():
    body = feed(Privacy.BUSY).replace(b"\r\n ", b"").decode()
    for secret in ("机密", "预约单位", "杭州", "example.cn/b", "长", "evil"):
        assert secret not in body
    assert {event["summary"] for event in ical_js(feed(Privacy.BUSY))["events"]} == {"已占用"}


def test_ical_js_finds_the_same_time_taken():
    read = ical_js(busy())["busy"]
    spans = [period(start, end) for _kind, start, end in read]
    assert spans == sorted(spans)
    assert {kind for kind, _start, _end in read} == {kind.value for kind in Kind}
    assert merge(spans) == merge(item.period for item in items(60))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("name", HOURS)
def test_ical_js_finds_the_same_time_open_for_400_days(zone, name):
    body, opened = opening(zone, name)
    found = []
    for layer in sorted(ical_js(body)["layers"], key=lambda layer: -layer["priority"]):
        span = period(*layer["span"])
        inside = [each for each in (period(*part) for part in layer["available"]) if each.overlaps(span)]
        found = [
            *subtract(found, [span]),
            *(Period(max(each.start, span.start), min(each.end, span.end)) for each in inside),
        ]
    assert list(merge(found)) == opened
