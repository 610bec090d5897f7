"""The clocks on a booking's page, readings by hand and from a log, and what an instrument is charged by."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from scheduler.bookings import services, settling
from scheduler.bookings.clocks import SessionClock
from scheduler.bookings.models import Booking, SessionReading
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of


@pytest.fixture
def scene(w, monkeypatch):
    """A use of tomorrow 09:00-10:30 that has ended, its charge waiting for the instrument's own time."""
    w.sem = make.instrument(w)
    lab = enter(Client(), w.keeper)
    said = {"clock": "metered", "dispute_days": "5"}
    assert lab.post(reverse("instrument_charge_terms", args=[w.sem.number]), said).status_code == 302
    w.made = make.booking(w, w.sem)
    services.confirm(actor=w.keeper, booking=w.made, now=make.NOW)
    services.start_session(actor=w.keeper, booking=w.made, started_at=w.made.starts_at, now=w.made.starts_at)
    w.now = w.made.starts_at + timedelta(minutes=90)
    services.finish_session(actor=w.keeper, booking=w.made, ended_at=w.now, now=w.now)
    monkeypatch.setattr("django.utils.timezone.now", lambda: w.now)
    return w


def reading(**more):
    said = {"source": "metered", "day": "2026-11-26", "clock": "09:00", "end_day": "2026-11-26", "end_clock": "10:30"}
    return {**said, "minutes": "60", **more}


def test_both_sides_see_the_clocks_side_by_side(scene):
    page = reverse("booking", args=[scene.made.number])
    for someone in (scene.researcher, scene.keeper):
        text = text_of(enter(Client(), someone).get(page))
        assert "约定按仪器计时结算" in text
        assert "等待仪器计时" in text
        assert raw_codes(text) == []
    lab = enter(Client(), scene.keeper)
    form = reverse("booking_reading", args=[scene.made.number])
    assert 'value="09:00"' in lab.get(form).content.decode()
    assert lab.post(form, reading(end_clock="08:00")).status_code == 422
    assert lab.post(form, reading(minutes="91")).status_code == 422
    assert lab.post(form, reading()).status_code == 302
    text = text_of(enter(Client(), scene.researcher).get(page))
    assert "已按仪器计时结算" in text
    assert Booking.objects.get(pk=scene.made.pk).charge.actual_fen == 48000
    assert enter(Client(), scene.researcher).post(form, reading()).status_code == 403


def test_a_log_is_taken_or_says_which_rows_are_wrong(scene):
    lab, page = enter(Client(), scene.keeper), reverse("readings_import")
    assert page in lab.get(reverse("booking_queue")).content.decode()

    def send(row):
        file = SimpleUploadedFile("log.csv", f"预约号,开始,结束,计时分钟\n{row}\n".encode())
        return lab.post(page, {"file": file})

    refused = send("B1,2026-11-26 09:00,2026-11-26 10:00,")
    assert refused.status_code == 409
    assert "第 2 行的预约号“B1”不是本单位仪器上的预约。" in text_of(refused)
    assert send(f"{scene.made.number},2026-11-26 09:00,2026-11-26 10:30,45").status_code == 302
    assert SessionReading.objects.get(clock="metered").used_s == 45 * 60
    assert lab.post(page, {}).status_code == 422


def test_terms_are_the_labs_own_and_say_what_is_wrong(scene):
    page = reverse("instrument_charge_terms", args=[scene.sem.number])
    lab = enter(Client(), scene.keeper)
    assert lab.post(page, {"clock": "metered", "dispute_days": "0"}).status_code == 422
    assert lab.post(page, {"clock": "x", "dispute_days": "5"}).status_code == 422
    assert enter(Client(), scene.researcher).get(page).status_code == 403
    assert settling.terms_of(scene.sem) == settling.Agreed(SessionClock.METERED, 5)


def test_an_interlock_tells_its_time_over_the_api(scene):
    lab = Caller(scene.keeper)
    said = {"started_at": scene.made.starts_at.isoformat(), "ended_at": scene.now.isoformat(), "used_s": 1800}
    told = lab.post(f"/bookings/{scene.made.number}/readings", said)
    assert told.status == 200
    assert (told.body["charged"], [one["counts"] for one in told.body["clocks"]]) == (
        "metered",
        [False, False, True, False],
    )
    assert Caller(scene.researcher).get(f"/bookings/{scene.made.number}/clocks").body == told.body
    assert lab.get(f"/instruments/{scene.sem.number}/charge-terms").body == {"clock": "metered", "dispute_days": 5}
