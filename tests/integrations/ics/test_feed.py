"""The feeds, judged by parsers that are not ours: the letters, the privacy levels, and what readers understand."""

import ctypes
import ctypes.util
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import recurring_ical_events
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from integrations.ics.feed import Busy, FeedEvent, Kind, Privacy, Status, digest, events, freebusy
from integrations.ics.reader import read
from portal.kernel.period import Period, merge
from tests.integrations.ics.text import HORIZON, SHANGHAI

CHANGED = datetime(2026, 2, 1, 8, tzinfo=UTC)
MORNING = Period(datetime(2026, 3, 2, 1, tzinfo=UTC), datetime(2026, 3, 2, 3, tzinfo=UTC))
HOSTILE = [
    "普通文字",
    "长" * 300,
    "😀" * 100,
    "a,b;c\\n\\,\\;:\"'",
    "line one\r\nBEGIN:VEVENT\r\nUID:evil\r\nEND:VEVENT",
    "x\rEND:VEVENT\nEND:VCALENDAR",
    "\x00\x07BEGIN:VEVENT\x85BEGIN:VEVENT\u2028BEGIN:VEVENT",
    "=HYPERLINK(1)",
    " \t",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=400))


@st.composite
def periods(draw):
    start = HORIZON.start + timedelta(minutes=draw(st.integers(0, 60 * 24 * 390)))
    return Period(start, start + timedelta(minutes=draw(st.integers(1, 5000))))


feed_events = st.builds(
    FeedEvent,
    uid=st.uuids().map(str),
    sequence=st.integers(0, 99),
    period=periods(),
    summary=texts,
    status=st.sampled_from(Status),
    last_modified=st.just(CHANGED),
    location=texts,
    description=texts,
    contact=texts,
    url=st.sampled_from(["", "https://example.cn/b?x=1;2,3", "https://example.cn/\r\nX-EVIL:1"]),
)


def one(**changes):
    values = {
        "uid": "0b8ad1b1-7f4c-4d0a-8f55-2a4b0d6a1c11",
        "sequence": 2,
        "period": MORNING,
        "summary": "场发射扫描电镜：浙江某材料公司",
        "status": Status.CONFIRMED,
        "last_modified": CHANGED,
        "location": "杭州 3 号楼",
        "description": "纳米粉体，电话 138",
        "contact": "李工 li@example.cn",
        "url": "https://example.cn/bookings/7",
    }
    return FeedEvent(**values | changes)


def feed(*items, privacy=Privacy.FULL):
    return events(items, name="电镜 预约", zone=SHANGHAI, privacy=privacy, source="https://example.cn/f.ics")


def lines(body):
    return body.decode().replace("\r\n ", "").split("\r\n")


def plain(text):
    """What a TEXT property can carry of `text`."""
    text = re.sub(r"\r\n?|\u2028|\u2029|\x85", "\n", text)
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text).strip()


class TestBytes:
    @given(st.lists(feed_events, max_size=4), st.sampled_from(Privacy))
    def test_are_well_formed_whatever_people_write(self, items, privacy):
        body = feed(*items, privacy=privacy)
        assert body.endswith(b"END:VCALENDAR\r\n")
        assert b"\r" not in body.replace(b"\r\n", b"")
        assert b"\n" not in body.replace(b"\r\n", b"")
        for line in body.split(b"\r\n"):
            assert len(line) <= 75
            line.decode()  # a fold never splits a character
        names = [re.split("[:;]", line)[0] for line in lines(body)]
        assert names[:3] == ["BEGIN", "VERSION", "PRODID"]
        assert names.count("VERSION") == names.count("PRODID") == 1
        assert names.count("BEGIN") == names.count("END") == len(items) + 1
        assert "X-EVIL" not in names

    @given(feed_events)
    def test_give_every_text_back_to_another_parser(self, item):
        (found,) = Calendar.from_ical(feed(item)).walk("VEVENT")
        assert str(found["summary"]) == (plain(item.summary) or "已占用")
        for name in ("location", "description", "contact"):
            assert str(found.get(name, "")) == plain(getattr(item, name))
        assert str(found["uid"]) == item.uid
        assert (found["dtstart"].dt, found["dtend"].dt) == (item.period.start, item.period.end)

    def test_do_not_depend_on_the_order_given(self):
        items = [one(), one(uid="b"), one(uid="c", period=MORNING.padded(before=timedelta(1), after=timedelta(0)))]
        assert feed(*items) == feed(*reversed(items))
        assert digest(feed(*items)) == digest(feed(*reversed(items))) != digest(feed(*items[:2]))


class TestEvents:
    def test_carry_identity_version_and_state(self):
        found = lines(feed(one(status=Status.TENTATIVE)))
        for line in (
            "UID:0b8ad1b1-7f4c-4d0a-8f55-2a4b0d6a1c11",
            "SEQUENCE:2",
            "DTSTART:20260302T010000Z",
            "DTEND:20260302T030000Z",
            "DTSTAMP:20260201T080000Z",
            "LAST-MODIFIED:20260201T080000Z",
            "STATUS:TENTATIVE",
            "TRANSP:OPAQUE",
            "CLASS:PRIVATE",
        ):
            assert line in found

    def test_cancelled_ones_stay_and_take_no_time(self):
        assert {"STATUS:CANCELLED", "TRANSP:TRANSPARENT"} <= set(lines(feed(one(status=Status.CANCELLED))))

    def test_the_feed_says_how_often_to_look_and_what_it_is(self):
        found = lines(feed())
        for line in (
            "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
            "X-PUBLISHED-TTL:PT15M",
            "NAME:电镜 预约",
            "X-WR-CALNAME:电镜 预约",
            "X-WR-TIMEZONE:Asia/Shanghai",
            "SOURCE;VALUE=URI:https://example.cn/f.ics",
        ):
            assert line in found

    def test_the_feed_has_no_method_no_uid_of_its_own_and_events_only(self):
        found = lines(feed(one()))
        assert not [line for line in found if line.startswith("METHOD")]
        assert not [line for line in found[: found.index("BEGIN:VEVENT")] if line.startswith("UID")]
        assert {line for line in found if line.startswith("BEGIN")} == {"BEGIN:VCALENDAR", "BEGIN:VEVENT"}

    def test_privacy_levels(self):
        secrets = ("浙江某材料公司", "杭州", "纳米粉体", "li@example.cn", "example.cn/bookings")
        told = {level: "\n".join(lines(feed(one(), privacy=level))) for level in Privacy}
        assert all(secret in told[Privacy.FULL] for secret in secrets)
        assert [secret in told[Privacy.TITLE] for secret in secrets] == [True, False, False, False, False]
        assert not any(secret in told[Privacy.BUSY] for secret in secrets)
        assert "SUMMARY:已占用" in told[Privacy.BUSY]
        assert "CLASS:PUBLIC" in told[Privacy.BUSY]

    @given(st.lists(feed_events, max_size=6, unique_by=lambda item: item.uid))
    def test_readers_find_the_same_time(self, items):
        body = feed(*items, privacy=Privacy.BUSY)
        expected = sorted(
            item.period for item in items if item.status is not Status.CANCELLED and item.period.overlaps(HORIZON)
        )
        ours = [span.period for span in read(body, zone="Europe/Zurich", horizon=HORIZON).busy]
        found = recurring_ical_events.of(Calendar.from_ical(body)).between(HORIZON.start, HORIZON.end)
        theirs = sorted(Period(each["DTSTART"].dt, each["DTEND"].dt) for each in found if each["STATUS"] != "CANCELLED")
        assert ours == expected
        assert theirs == expected


class TestFreeBusy:
    @given(st.lists(st.builds(Busy, period=periods(), kind=st.sampled_from(Kind)), max_size=8), periods())
    def test_tells_what_is_taken_once_and_only_inside_the_window(self, items, window):
        body = freebusy(items, uid="u", window=window, stamp=CHANGED)
        (component,) = Calendar.from_ical(body).walk("VFREEBUSY")
        values = component.get("freebusy", [])
        told = [
            (value.start, value.end, value.params["FBTYPE"])
            for value in (values if isinstance(values, list) else [values])
        ]
        assert told == sorted(told)
        assert all(one[1] <= two[0] for one, two in pairwise(told))
        spans = [Period(start, end) for start, end, _kind in told]
        taken = [item.period for item in items if item.period.overlaps(window)]
        cut = [Period(max(each.start, window.start), min(each.end, window.end)) for each in taken]
        assert merge(spans) == merge(cut)
        for span, (_start, _end, kind) in zip(spans, told, strict=True):
            strongest = min(list(Kind).index(item.kind) for item in items if item.period.overlaps(span))
            assert list(Kind)[strongest].value == kind

    def test_reads_back_as_busy_time(self):
        body = freebusy([Busy(MORNING)], uid="u", window=HORIZON, stamp=CHANGED)
        assert [span.period for span in read(body, zone=SHANGHAI, horizon=HORIZON).busy] == [MORNING]
        assert b"METHOD" not in body


LIBICAL = ctypes.util.find_library("ical")


@pytest.mark.libical
class TestLibical:
    """libical (Evolution, GNOME, KDE) parses strictly and knows which property belongs where."""

    def setup_method(self):
        self.lib = ctypes.CDLL(LIBICAL)
        self.lib.icalparser_parse_string.restype = ctypes.c_void_p
        self.lib.icalcomponent_get_summary.restype = ctypes.c_char_p
        self.lib.icalcomponent_get_first_component.restype = ctypes.c_void_p
        for name in ("count_errors", "get_summary", "free"):
            getattr(self.lib, f"icalcomponent_{name}").argtypes = [ctypes.c_void_p]
        self.lib.icalcomponent_get_first_component.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.lib.icalrestriction_check.argtypes = [ctypes.c_void_p]

    def verdict(self, body):
        component = self.lib.icalparser_parse_string(body)
        assert component
        try:
            parsed = self.lib.icalcomponent_count_errors(component)
            legal = self.lib.icalrestriction_check(component)
            # The restriction check notes what it finds in the component itself.
            return bool(legal) and parsed == self.lib.icalcomponent_count_errors(component) == 0
        finally:
            self.lib.icalcomponent_free(component)

    def test_notices_mistakes(self):
        assert not self.verdict(feed(one()).replace(b"PRODID", b"X-PRODID"))
        assert not self.verdict(feed(one()).replace(b"DTSTART:2026", b"DTSTART:soon"))

    @pytest.mark.parametrize("privacy", list(Privacy))
    def test_finds_nothing_wrong_with_events(self, privacy):
        items = [one(uid=str(number), summary=text, description=text) for number, text in enumerate(HOSTILE)]
        assert self.verdict(feed(*items, one(status=Status.CANCELLED), one(status=Status.TENTATIVE), privacy=privacy))

    def test_finds_nothing_wrong_with_free_busy(self):
        assert self.verdict(
            freebusy([Busy(MORNING), Busy(MORNING, Kind.UNAVAILABLE)], uid="u", window=HORIZON, stamp=CHANGED)
        )

    @pytest.mark.parametrize("text", HOSTILE[:6])
    def test_reads_the_same_summary(self, text):
        component = self.lib.icalparser_parse_string(feed(one(summary=text)))
        assert self.lib.icalcomponent_get_summary(component).decode() == plain(text)
        self.lib.icalcomponent_free(component)
