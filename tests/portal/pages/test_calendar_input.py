"""Everything a lab may bring by mistake or malice, through the page and the API: one clear answer, and nothing lost."""

from __future__ import annotations

import gzip

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from scheduler.availability.models import Claim
from scheduler.calendars import services
from scheduler.calendars.models import ExternalCalendar
from scheduler.calendars.ports import CalendarRefused
from tests import make
from tests.calling import Caller
from tests.integrations.ics.serving import said, serving
from tests.portal.pages.reading import enter, text_of
from tests.scheduler.calendars.writing import busy, calendar, event

pytestmark = pytest.mark.usefixtures("clock")

GOOD = calendar(busy("standing", make.slot(days=1), "长期排班"))
START, END = ";TZID=Asia/Shanghai:20261127T090000", ";TZID=Asia/Shanghai:20261127T110000"
ZONE = [
    "BEGIN:VTIMEZONE",
    "TZID:实验室夏令",
    "BEGIN:STANDARD",
    "DTSTART:19700101T000000",
    "TZOFFSETFROM:+0900",
    "TZOFFSETTO:+0900",
    "END:STANDARD",
    "END:VTIMEZONE",
]
BAD = {
    "c59 over 5 MiB": (GOOD + b"X" * 5 * 1024 * 1024, "too_large", ["5 MB"]),
    "c59 over 5,000 components": (calendar(*[("BEGIN:VTODO", "END:VTODO")] * 5001), "too_many_components", ["5000"]),
    "c60 every second": (
        calendar(event("u", START, END, "心跳", "RRULE:FREQ=SECONDLY")),
        "too_frequent",
        ["“心跳”", "FREQ=SECONDLY"],
    ),
    "c60 a rule that asks for ever more": (
        calendar(*[event(f"u{n}", START, END, "炸弹", "RRULE:FREQ=HOURLY;BYSETPOS=366;BYDAY=MO") for n in range(900)]),
        "too_frequent",
        ["“炸弹”"],
    ),
    "c60 over 2,000 instances": (
        calendar(event("u", START, ";TZID=Asia/Shanghai:20261127T093000", "巡检", "RRULE:FREQ=HOURLY")),
        "too_many_instances",
        ["2000"],
    ),
    "c62 a zone nobody knows": (
        calendar(event("u", ";TZID=Mars/Olympus:20261127T090000", END, "登月")),
        "unknown_zone",
        ["“登月”", "Mars/Olympus"],
    ),
    "c64 nothing": (b"", "empty", ["空的"]),
    "c64 a page to sign in": (b"<!DOCTYPE html><html></html>", "html", ["网页"]),
    "c64 cut off": (GOOD[:-40], "broken", ["没有下载完整"]),
    "c64 something else": (b"PK\x03\x04" + bytes(100), "not_calendar", ["BEGIN:VCALENDAR"]),
    "c64 a day that is none": (
        calendar(event("u", ":20260231T090000", END, "二月末")),
        "broken",
        ["“二月末”", "DTSTART", "20260231T090000"],
    ),
    "c64 two starts that contradict": (
        calendar(event("u", START, END, "两个开始", "DTSTART:20261128T010000Z")),
        "broken",
        ["“两个开始”", "DTSTART"],
    ),
}
READ = {
    "c60 a series of three years": (
        calendar(event("u", START, END, "周例", "RRULE:FREQ=WEEKLY;UNTIL=20291130T000000Z")),
        57,
        "2026-11-27 09:00",
        "周例",
    ),
    "c62 a zone the file defines": (
        calendar(
            tuple(ZONE), event("u", ";TZID=实验室夏令:20261127T100000", ";TZID=实验室夏令:20261127T120000", "自定义")
        ),
        1,
        "2026-11-27 09:00",
        "自定义",
    ),
    "c64 written in GB 18030": (
        calendar(event("u", START, END, "组内实验")).decode().encode("gb18030"),
        1,
        "2026-11-27 09:00",
        "组内实验",
    ),
    "c64 written in UTF-16": (
        calendar(event("u", START, END, "组内实验")).decode().encode("utf-16"),
        1,
        "2026-11-27 09:00",
        "组内实验",
    ),
}


@pytest.fixture
def sem(w):
    resource = make.instrument(w)
    services.import_calendar(actor=w.keeper, resource=resource, name="排班", raw=GOOD, now=make.NOW)
    return resource


def state(resource):
    claims = Claim.objects.filter(resource=resource, state="external").values_list("during", "note")
    return list(claims), list(ExternalCalendar.objects.filter(resource=resource).values("name", "digest", "url"))


def file_of(raw):
    return SimpleUploadedFile("lab.ics", raw, content_type="text/calendar")


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_answered_in_words_and_frees_nothing(w, sem, case):
    raw, reason, words = BAD[case]
    before = state(sem)
    page = enter(Client(), w.keeper).post(
        reverse("instrument_calendar", args=[sem.number]), {"name": "排班", "file": file_of(raw)}
    )
    assert page.status_code == 422
    for word in words:
        assert word in text_of(page)
    for verb in ("", "/preview"):
        answer = Caller(w.keeper).upload(f"/instruments/{sem.number}/calendars{verb}", file=file_of(raw), name="排班")
        assert (answer.status, answer.code) == (422, "calendar.refused")
        for word in words:
            assert word in str(answer.body)
    with pytest.raises(CalendarRefused) as refused:
        services.import_calendar(actor=w.keeper, resource=sem, name="排班", raw=raw, now=make.NOW)
    assert refused.value.params["reason"] == reason
    assert state(sem) == before


@pytest.mark.parametrize("case", READ)
def test_an_unusual_file_is_read_for_what_it_means(w, sem, case):
    raw, spans, first, summary = READ[case]
    client, url = enter(Client(), w.keeper), reverse("instrument_calendar", args=[sem.number])
    page = client.post(url, {"name": "新日历", "file": file_of(raw)})
    assert page.status_code == 200
    assert summary in text_of(page)
    done = client.post(url, {"token": page.context["token"]})
    assert done.status_code == 302
    made = [row for row in state(sem)[0] if row[1] == summary]
    assert len(made) == spans
    local = min(span.lower for span, _note in made).astimezone(make.BEIJING)
    assert f"{local:%Y-%m-%d %H:%M}" == first


def test_an_event_without_a_start_is_named_and_the_rest_is_read(w, sem):
    broken = ("BEGIN:VEVENT", "UID:x", "DTSTAMP:20261101T000000Z", "SUMMARY:忘了时间", "END:VEVENT")
    raw = calendar(broken, busy("u", make.slot(days=3), "正常"))
    answer = Caller(w.keeper).upload(f"/instruments/{sem.number}/calendars", file=file_of(raw), name="新日历")
    assert answer.status == 201
    assert answer.body["skipped"] == [{"summary": "忘了时间", "reason": "no_time"}]
    assert answer.body["blocked"] == 1
    page = enter(Client(), w.keeper).get(
        f"{reverse('instrument_calendar', args=[sem.number])}?import={ExternalCalendar.objects.get(name='新日历').imports.get().pk}"
    )
    assert "忘了时间" in text_of(page)
    assert "没有时间" in text_of(page)


def ring(web):
    web.answers["/lab.ics"] = said(status=302, Location=web.url("/round.ics"))
    web.answers["/round.ics"] = said(status=302, Location=web.url("/lab.ics"))


ADDRESSES = {
    "c59 redirects in a ring": (ring, "calendar.unreachable", "多次转到别处"),
    "c59 a redirect inside": (
        lambda web: web.answers.update({"/lab.ics": said(status=302, Location="http://10.0.0.8/lab.ics")}),
        "calendar.unreachable",
        "内部网络",
    ),
    "c59 a gzip bomb": (
        lambda web: web.answers.update(
            {"/lab.ics": said(gzip.compress(bytes(50 * 1024 * 1024), 1), Content_Encoding="gzip")}
        ),
        "calendar.unreachable",
        "5 MB",
    ),
    "c64 gone": (lambda web: web.answers.update({"/lab.ics": said(status=410)}), "calendar.unreachable", "410"),
    "c64 a page": (lambda web: web.answers.update({"/lab.ics": said(b"<html></html>")}), "calendar.refused", "网页"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_a_bad_address_is_answered_in_words_and_subscribes_to_nothing(w, sem, settings, case):
    settings.CALENDAR_FETCH_LOOPBACK = True
    settings.CALENDAR_CAPPED_READER = "integrations.ics.reader.read"
    answers, code, words = ADDRESSES[case]
    before = state(sem)
    with serving() as web:
        answers(web)
        page = enter(Client(), w.keeper).post(
            reverse("instrument_calendar", args=[sem.number]), {"calendar_name": "远程", "url": web.url()}
        )
        assert page.status_code == 422
        assert words in text_of(page)
        for verb in ("", "/preview"):
            answer = Caller(w.keeper).post(
                f"/instruments/{sem.number}/calendars/subscription{verb}", {"name": "远程", "url": web.url()}
            )
            assert (answer.status, answer.code) == (422, code)
            assert words in str(answer.body)
    assert state(sem) == before


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/lab.ics", "http://[::1]/", "http://169.254.169.254/latest", "http://192.168.1.1/a.ics"]
)
def test_c59_an_address_inside_is_never_asked(w, sem, url):
    page = enter(Client(), w.keeper).post(
        reverse("instrument_calendar", args=[sem.number]), {"calendar_name": "内网", "url": url}
    )
    assert page.status_code == 422
    assert "内部网络" in text_of(page)
