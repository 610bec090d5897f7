"""Reading in a process of its own: the same answer, and an end for what takes too long."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from integrations.ics import capped, reader
from portal.kernel.period import Period
from scheduler.calendars.ports import CalendarRefused
from tests.scheduler.calendars.writing import busy, calendar, event

START = datetime(2026, 11, 25, tzinfo=UTC)
HORIZON = Period(START, START + timedelta(days=400))
SPAN = Period(START + timedelta(days=1), START + timedelta(days=1, hours=2))


def test_the_answer_is_that_of_the_reader():
    raw = calendar(
        busy("a", SPAN, "换灯丝 🔬", "RRULE:FREQ=WEEKLY;COUNT=3"),
        event("b", ";VALUE=DATE:20261201", ";VALUE=DATE:20261202", "整天"),
        busy("c", SPAN, "取消", "STATUS:CANCELLED"),
    )
    here = reader.read(raw, zone="Asia/Shanghai", horizon=HORIZON)
    assert capped.read(raw, zone="Asia/Shanghai", horizon=HORIZON) == here
    assert len(here.busy) == 4


def test_a_refusal_is_that_of_the_reader():
    raw = calendar(event("b", ";TZID=Mars/Olympus:20261130T090000", ";TZID=Mars/Olympus:20261130T110000", "登陆"))
    with pytest.raises(CalendarRefused) as error:
        capped.read(raw, zone="Asia/Shanghai", horizon=HORIZON)
    assert error.value.params["reason"] == "unknown_zone"
    assert error.value.params["values"] == {"event": "登陆", "zone": "Mars/Olympus"}


def test_what_takes_too_much_processor_time_is_ended(monkeypatch):
    monkeypatch.setattr(capped, "CPU_S", 0.05)
    lines = calendar(*(("BEGIN:VEVENT", *["X:y"] * 40_000, "END:VEVENT") for _ in range(10)))
    began = time.monotonic()
    with pytest.raises(CalendarRefused) as error:
        capped.read(lines, zone="Asia/Shanghai", horizon=HORIZON)
    assert error.value.params["reason"] == "too_slow"
    assert time.monotonic() - began < 10


def test_what_takes_too_long_by_the_clock_is_ended(monkeypatch):
    monkeypatch.setattr(capped, "WALL_S", 0.01)
    with pytest.raises(CalendarRefused) as error:
        capped.read(calendar(), zone="Asia/Shanghai", horizon=HORIZON)
    assert error.value.params["reason"] == "too_slow"
