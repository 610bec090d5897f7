"""A lab's calendars over HTTP."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from scheduler.availability.models import Claim
from scheduler.calendars.models import ExternalCalendar
from tests import make
from tests.calling import Caller
from tests.integrations.ics.serving import said, serving

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


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


def upload(w, resource, raw: bytes, name: str = "课题组日历", *, to: str = ""):
    file = SimpleUploadedFile("lab.ics", raw, content_type="text/calendar")
    return Caller(w.keeper).upload(f"/instruments/{resource.number}/calendars{to}", file=file, name=name)


class TestImporting:
    def test_block_the_instrument_and_report_what_met_a_booking(self, w):
        resource = make.instrument(w)
        booked = make.booking(w, resource, period=make.slot(start="10:00", end="12:00"))
        answer = upload(w, resource, ICS)
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
        upload(w, resource, ICS)
        answer = upload(w, resource, raw)
        assert (answer.status, answer.code) == (422, "calendar.refused")
        assert Claim.objects.filter(resource=resource, state="external").count() == 1

    def test_over_five_mebibytes_are_refused(self, w):
        answer = upload(w, make.instrument(w), ICS + b"X" * (10 * 1024 * 1024))
        assert (answer.status, answer.code) == (422, "calendar.refused")

    @pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\0b"])
    def test_need_a_name(self, w, name):
        answer = upload(w, make.instrument(w), ICS, name)
        assert (answer.status, list(answer.body["fields"])) == (422, ["name"])

    def test_need_a_file(self, w):
        answer = Caller(w.keeper).upload(f"/instruments/{make.instrument(w).number}/calendars", name="x")
        assert (answer.status, list(answer.body["fields"])) == (422, ["file"])


def test_a_look_says_what_would_change(w):
    resource = make.instrument(w)
    seen = upload(w, resource, ICS, to="/preview")
    assert seen.status == 200, seen
    assert not Claim.objects.filter(resource=resource, state="external").exists()
    period = make.slot()
    row = {
        "starts_at": f"{period.start:%Y-%m-%dT%H:%M:%SZ}",
        "ends_at": f"{period.end:%Y-%m-%dT%H:%M:%SZ}",
        "summary": "组内实验",
    }
    assert (seen.body["anew"], seen.body["freed"], seen.body["kept"]) == ([row], [], [])
    assert seen.body["replaces"] is None
    upload(w, resource, ICS)
    again = upload(w, resource, ICS, to="/preview")
    assert (again.body["anew"], again.body["freed"], again.body["kept"]) == ([], [], [row])
    assert again.body["replaces"] is not None


def test_are_listed_and_removed_by_the_lab_only(w):
    resource = make.instrument(w)
    made = upload(w, resource, ICS).body["id"]
    path = f"/instruments/{resource.number}/calendars"
    (row,) = Caller(w.keeper).get(path).body
    assert (row["id"], row["name"], [block["summary"] for block in row["blocks"]]) == (
        made,
        "课题组日历",
        ["组内实验"],
    )
    assert Caller(w.researcher).get(path).status == 403
    assert Caller(w.researcher).delete(f"{path}/{made}").status == 403
    assert Caller(w.keeper).delete(f"{path}/{made + 1}").status == 404
    assert Caller(w.keeper).delete(f"{path}/{made}").status == 204
    assert not Claim.objects.filter(resource=resource, state="external").exists()
    assert Caller(w.keeper).delete(f"{path}/{made}").status == 404


class TestSubscribing:
    @pytest.fixture
    def server(self, settings):
        settings.CALENDAR_FETCH_LOOPBACK = True
        settings.CALENDAR_CAPPED_READER = settings.CALENDAR_READER
        with serving() as made:
            made.answers["/secret.ics"] = said(ICS, ETag='"1"')
            yield made

    def test_looks_takes_over_polls_and_never_tells_the_address(self, w, server, clock):
        resource, caller = make.instrument(w), Caller(w.keeper)
        path = f"/instruments/{resource.number}/calendars"
        wanted = {"name": "订阅", "url": server.url("/secret.ics")}
        seen = caller.post(f"{path}/subscription/preview", wanted)
        assert (seen.status, [row["summary"] for row in seen.body["anew"]]) == (200, ["组内实验"])
        assert caller.get(path).body == []
        made = caller.post(f"{path}/subscription", wanted)
        assert (made.status, made.body["blocked"]) == (201, 1)
        (row,) = caller.get(path).body
        assert (row["host"], row["problem"], row["stale_since"]) == ("127.0.0.1", "", None)
        assert "secret" not in str(row)
        again = f"{path}/{row['id']}/poll"
        assert (caller.post(again, {}).status, caller.post(again, {}).code) == (409, "calendar.polled")
        ExternalCalendar.objects.update(polled_at=None)
        server.answers["/secret.ics"] = said(b"", 500)
        polled = caller.post(again, {"accept_empty": False})
        assert (polled.status, polled.body["problem"], polled.body["failures"]) == (200, "status", 1)
        assert len(polled.body["blocks"]) == 1
        assert Caller(w.researcher).post(again, {}).status == 403

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "http://169.254.169.254/", "http://10.0.0.1/x.ics", "x"])
    def test_refuses_addresses_of_the_inside(self, w, url):
        resource = make.instrument(w)
        for verb in ("subscription", "subscription/preview"):
            answer = Caller(w.keeper).post(
                f"/instruments/{resource.number}/calendars/{verb}", {"name": "x", "url": url}
            )
            assert (answer.status, answer.code, list(answer.body["fields"])) == (422, "calendar.unreachable", ["url"])
