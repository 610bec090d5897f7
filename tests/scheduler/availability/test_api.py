"""Opening hours, free time, calendars and maintenance over HTTP."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from scheduler.availability.models import Claim
from tests import make
from tests.calling import Caller, zoned

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def day(at: int, **clock: str) -> dict[str, str]:
    period = make.slot(days=at, **clock)
    return {"starts_at": zoned(period.start), "ends_at": zoned(period.end)}


class TestHours:
    def test_are_read_as_they_were_set(self, w):
        resource = make.instrument(w)
        rows = [
            {"weekdays": [1, 2, 3], "opens": "09:00", "closes": "17:30", "valid_from": None, "valid_until": None},
            {
                "weekdays": [6],
                "opens": "22:00",
                "closes": "06:00",
                "valid_from": "2026-12-01",
                "valid_until": "2026-12-31",
            },
        ]
        answer = Caller(w.keeper).put(f"/instruments/{resource.number}/hours", {"hours": rows})
        assert (answer.status, answer.body) == (200, {"zone": "Asia/Shanghai", "hours": rows})
        assert Caller(w.owner).get(f"/instruments/{resource.number}/hours").body["hours"] == rows

    @pytest.mark.parametrize(
        "row",
        [
            {"weekdays": []},
            {"weekdays": [0]},
            {"weekdays": [8]},
            {"weekdays": ["1"]},
            {"opens": "24:00"},
            {"opens": "9:00"},
            {"closes": "17:60"},
            {"closes": "17:00\n"},
            {"opens": 540},
            {"valid_from": "0001-01-01"},
            {"valid_from": "2027-01-01", "valid_until": "2026-01-01"},
        ],
    )
    def test_that_cannot_be_are_refused(self, w, row):
        resource = make.instrument(w)
        good = {"weekdays": [1], "opens": "09:00", "closes": "17:00"}
        answer = Caller(w.keeper).put(f"/instruments/{resource.number}/hours", {"hours": [{**good, **row}]})
        assert answer.status == 422, answer
        assert resource.opening_hours.get().opens_min == 480


class TestFree:
    def test_is_open_time_less_what_is_taken_and_its_buffers(self, w):
        resource = make.instrument(w, setup_s=1800, cleanup_s=1800)
        make.booking(w, resource, period=make.slot(start="10:00", end="12:00"))
        window = make.slot(start="00:00", end="23:59")
        answer = Caller(w.owner).get(
            f"/instruments/{resource.number}/free", starts_at=zoned(window.start), ends_at=zoned(window.end)
        )
        assert answer.status == 200
        assert [(row["starts_at"][11:16], row["ends_at"][11:16]) for row in answer.body["free"]] == [
            ("00:30", "01:00"),
            ("05:00", "13:30"),
        ], "08:30-09:00 and 13:00-21:30 in Beijing"

    def test_reaches_62_days_and_no_further(self, w):
        resource, caller = make.instrument(w), Caller(w.owner)
        path, start = f"/instruments/{resource.number}/free", "2026-11-26T00:00:00+08:00"
        assert caller.get(path, starts_at=start, ends_at="2027-01-27T00:00:00+08:00").status == 200
        long = caller.get(path, starts_at=start, ends_at="2027-01-27T00:00:01+08:00")
        assert (long.status, long.code, list(long.body["fields"])) == (422, "window.too_long", ["ends_at"])

    @pytest.mark.parametrize(
        "window",
        [
            {},
            {"starts_at": "2026-11-26T00:00:00+08:00"},
            {"starts_at": "tomorrow", "ends_at": "2026-11-26T00:00:00+08:00"},
            {"starts_at": "2026-11-26T00:00:00", "ends_at": "2026-11-27T00:00:00+08:00"},
            {"starts_at": "2026-11-27T00:00:00+08:00", "ends_at": "2026-11-26T00:00:00+08:00"},
            {"starts_at": "0001-01-01T00:00:00+14:00", "ends_at": "0001-01-02T00:00:00+14:00"},
            {"starts_at": "9999-12-30T00:00:00-12:00", "ends_at": "9999-12-31T23:59:59-12:00"},
        ],
    )
    def test_needs_a_window_that_can_be(self, w, window):
        assert Caller(w.owner).get(f"/instruments/{make.instrument(w).number}/free", **window).status == 422


ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//lab//EN
BEGIN:VEVENT
UID:group-meeting
DTSTAMP:20261101T000000Z
DTSTART;TZID=Asia/Shanghai:20261126T090000
DTEND;TZID=Asia/Shanghai:20261126T110000
SUMMARY:组内实验
END:VEVENT
BEGIN:VEVENT
UID:cancelled
DTSTAMP:20261101T000000Z
DTSTART:20261127T010000Z
DTEND:20261127T020000Z
STATUS:CANCELLED
SUMMARY:已取消
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n").encode()


class TestCalendars:
    def upload(self, w, resource, raw: bytes, name: str = "课题组日历"):
        file = SimpleUploadedFile("lab.ics", raw, content_type="text/calendar")
        return Caller(w.keeper).upload(f"/instruments/{resource.number}/calendars", file=file, name=name)

    def test_block_the_instrument_and_report_what_met_a_booking(self, w):
        resource = make.instrument(w)
        booked = make.booking(w, resource, period=make.slot(start="10:00", end="12:00"))
        answer = self.upload(w, resource, ICS)
        assert answer.status == 201, answer
        assert (answer.body["name"], answer.body["events"], answer.body["blocked"]) == ("课题组日历", 2, 1)
        assert answer.body["skipped"] == [{"summary": "已取消", "reason": "cancelled"}]
        assert [row["booking"] for row in answer.body["conflicts"]] == [booked.number]
        assert Claim.objects.filter(resource=resource, state="external").count() == 1

    @pytest.mark.parametrize(
        "raw",
        [b"", b"<html><body>Sign in</body></html>", b"hello", b"\x00\xff" * 50, b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT"],
    )
    def test_that_are_none_are_refused_and_change_nothing(self, w, raw):
        resource = make.instrument(w)
        self.upload(w, resource, ICS)
        answer = self.upload(w, resource, raw)
        assert (answer.status, answer.code) == (422, "calendar.refused")
        assert Claim.objects.filter(resource=resource, state="external").count() == 1

    def test_over_five_mebibytes_are_refused(self, w):
        answer = self.upload(w, make.instrument(w), ICS + b"X" * (10 * 1024 * 1024))
        assert (answer.status, answer.code) == (422, "calendar.refused")

    @pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\0b"])
    def test_need_a_name(self, w, name):
        answer = self.upload(w, make.instrument(w), ICS, name)
        assert (answer.status, list(answer.body["fields"])) == (422, ["name"])

    def test_need_a_file(self, w):
        answer = Caller(w.keeper).upload(f"/instruments/{make.instrument(w).number}/calendars", name="x")
        assert (answer.status, list(answer.body["fields"])) == (422, ["file"])


class TestMaintenance:
    def test_blocks_time_until_it_is_lifted(self, w):
        resource, lab = make.instrument(w), Caller(w.keeper)
        path = f"/instruments/{resource.number}/maintenance"
        made = lab.post(path, {**day(1), "note": "更换灯丝"})
        assert (made.status, made.body["note"]) == (201, "更换灯丝")
        quote = Caller(w.researcher).post("/bookings/quote", {**day(1), "instrument": resource.number})
        assert [reason["code"] for reason in quote.body["reasons"]] == ["booking.taken"]
        for _ in range(2):
            assert lab.delete(f"{path}/{made.body['id']}").status == 204
        quote = Caller(w.researcher).post("/bookings/quote", {**day(1), "instrument": resource.number})
        assert quote.body["bookable"]

    def test_never_displaces_a_booking(self, w):
        resource = make.instrument(w)
        make.booking(w, resource)
        answer = Caller(w.keeper).post(f"/instruments/{resource.number}/maintenance", day(1))
        assert (answer.status, answer.code) == (409, "outage.taken")

    def test_lifts_nothing_of_another_lab(self, w):
        resource = make.instrument(w)
        made = Caller(w.keeper).post(f"/instruments/{resource.number}/maintenance", day(1)).body
        lab = make.organisation(make.roles.Kind.PROVIDER)
        other = Caller(make.actor(lab, make.roles.Role.LAB_MANAGER))
        assert other.delete(f"/instruments/{resource.number}/maintenance/{made['id']}").status == 403
        assert Claim.objects.get(pk=made["id"]).state == "outage"
