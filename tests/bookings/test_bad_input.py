"""What nobody may ask for, asked over the API in both languages: refused with code, field and remedy, and nothing written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from django.apps import apps

from portal.audit.models import Record
from scheduler.availability.models import OpenPeriod
from scheduler.bookings import services as bookings
from tests import make
from tests.calling import Answer, Caller, zoned

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.django_db]

MONDAY = {"weekdays": [1], "opens": "08:00", "closes": "12:00"}


@dataclass(frozen=True)
class Bad:
    """One request that is refused: who asks, what, and the answer. `said`: part of the remedy in both languages."""

    name: str
    ask: Callable[[Any], Answer]
    status: int
    code: str
    field: str
    said: tuple[str, str]


def body(resource: Any, **more: Any) -> dict[str, Any]:
    slot = make.slot(days=4)
    times = {"starts_at": zoned(slot.start), "ends_at": zoned(slot.end)}
    return {"instrument": resource.number, **times, "title": "截面观察", **more}


def book(**more: Any) -> Callable[[Any], Answer]:
    return lambda s: s.reader.post("/bookings", body(s.sem, **more), key=make.key())


def between(start: str, end: str) -> Callable[[Any], Answer]:
    return book(starts_at=start, ends_at=end)


def weekly(resource: Any, **more: Any) -> dict[str, Any]:
    rule = {"first": "2026-11-30", "start": "09:00", "minutes": 60, "frequency": "weekly", "count": 3}
    return {"instrument": resource.number, **rule, **more}


CASES = [
    Bad(
        "booking for another organisation",
        lambda s: s.reader.post("/bookings", body(s.sem, organisation=s.w.lab.credit_code), key=make.key()),
        422,
        "extra_forbidden",
        "organisation",
        ("请检查拼写", "check the spelling"),
    ),
    Bad(
        "an operator without the skill",
        lambda s: s.reader.post("/bookings", body(s.sem, operator=s.unskilled.number), key=make.key()),
        409,
        "booking.operator_unskilled",
        "operator",
        ("请改为不指定人员", "Name nobody in particular"),
    ),
    Bad(
        "an operator whose skill has expired",
        lambda s: s.reader.post("/bookings", body(s.sem, operator=s.expired.number), key=make.key()),
        409,
        "booking.operator_unskilled",
        "operator",
        ("请改为不指定人员", "Name nobody in particular"),
    ),
    Bad(
        "a price item below zero",
        lambda s: s.keeper.post(f"/instruments/{s.sem.number}/prices", {"unit": "hour", "amount": {"yuan": "-0.01"}}),
        409,
        "rate.amount",
        "amount",
        ("请填写不小于 0 的金额", "Enter an amount of 0 or more"),
    ),
    Bad(
        "an hourly rate below zero",
        lambda s: s.keeper.put(f"/instruments/{s.sem.number}/rate", {"amount": {"yuan": "-0.01"}}),
        422,
        "rate.negative",
        "amount",
        ("请填写不小于 0 的金额", "Enter an amount of 0 or more"),
    ),
    Bad(
        "a price with a minimum, which no price has",
        lambda s: s.keeper.post(
            f"/instruments/{s.sem.number}/prices",
            {"unit": "hour", "amount": {"yuan": "1"}, "minimum": {"yuan": "-1"}},
        ),
        422,
        "extra_forbidden",
        "minimum",
        ("请检查拼写", "check the spelling"),
    ),
    Bad(
        "opening rules that overlap",
        lambda s: s.keeper.put(
            f"/instruments/{s.sem.number}/hours", {"hours": [MONDAY, {**MONDAY, "opens": "11:30", "closes": "14:00"}]}
        ),
        409,
        "hours.overlap",
        "hours",
        ("或合并为一行", "make them one row"),
    ),
    Bad(
        "moving a session that has started",
        lambda s: s.reader.post(
            f"/bookings/{s.running.number}/move", {k: v for k, v in body(s.sem).items() if k.endswith("_at")}
        ),
        409,
        "booking.move_started",
        "starts_at",
        ("请提前释放", "Release the remaining time"),
    ),
    Bad(
        "a weekly series of three years",
        lambda s: s.reader.post("/series", weekly(s.sem, count=156, title="每周观察"), key=make.key()),
        422,
        "series.too_long",
        "count",
        ("之后的另建一个系列", "make another series for what comes later"),
    ),
    Bad(
        "fewer places than are booked",
        lambda s: s.keeper.put(f"/instruments/{s.pool.number}", {**s.pool_values, "capacity": 1}),
        409,
        "instrument.capacity_booked",
        "capacity",
        ("改期或取消", "move or cancel these first"),
    ),
    Bad(
        "withdrawing without seeing what is booked",
        lambda s: s.keeper.post(f"/instruments/{s.pool.number}/withdraw", {"reason": "仪器报废，停止服务。"}),
        409,
        "withdrawal.changed",
        "seen",
        ("请核对后再确认", "Look at them, then confirm"),
    ),
    Bad(
        "the past",
        between("2026-11-20T09:00:00+08:00", "2026-11-20T11:00:00+08:00"),
        409,
        "booking.past",
        "starts_at",
        ("请选择现在之后的时间", "Choose a time from now on"),
    ),
    Bad(
        "no length",
        between("2026-11-26T09:00:00+08:00", "2026-11-26T09:00:00+08:00"),
        422,
        "invalid.period",
        "ends_at",
        ("必须晚于", "must be later"),
    ),
    Bad(
        "the end before the start",
        between("2026-11-26T09:00:00+08:00", "2026-11-26T08:00:00+08:00"),
        422,
        "invalid.period",
        "ends_at",
        ("必须晚于", "must be later"),
    ),
    Bad(
        "400 days",
        between("2026-11-29T09:00:00+08:00", "2028-01-03T09:00:00+08:00"),
        409,
        "booking.too_long",
        "ends_at",
        ("请缩短时段", "Shorten the slot"),
    ),
    Bad(
        "a time without its offset",
        book(starts_at="2026-11-26T09:00:00"),
        422,
        "timezone_aware",
        "starts_at",
        ("例如 +08:00", "such as +08:00"),
    ),
    Bad(
        "a local time the clock jumps over, without an offset",
        lambda s: s.reader.post(
            "/bookings",
            body(s.zurich, starts_at="2027-03-28T02:30:00", ends_at="2027-03-28T04:30:00+02:00"),
            key=make.key(),
        ),
        422,
        "timezone_aware",
        "starts_at",
        ("例如 +08:00", "such as +08:00"),
    ),
    Bad(
        "the hour the clock jumps over, with the offsets on both sides",
        lambda s: s.reader.post(
            "/bookings",
            body(s.zurich, starts_at="2027-03-28T02:00:00+01:00", ends_at="2027-03-28T03:00:00+02:00"),
            key=make.key(),
        ),
        422,
        "invalid.period",
        "ends_at",
        ("必须晚于", "must be later"),
    ),
    Bad(
        "an offset no zone has",
        book(starts_at="2026-11-26T09:00:00+99:00"),
        422,
        "datetime_from_date_parsing",
        "starts_at",
        ("的格式填写", "Write it like"),
    ),
    Bad(
        "the name of a zone that does not exist",
        lambda s: s.keeper.put(f"/instruments/{s.pool.number}", {**s.pool_values, "zone": "Mars/Olympus_Mons"}),
        409,
        "instrument.zone",
        "zone",
        ("请填写 IANA 时区名", "Enter an IANA time zone"),
    ),
]


@dataclass
class Scene:
    w: Any
    reader: Caller
    keeper: Caller


@pytest.fixture
def scene(w):
    s: Any = Scene(w, Caller(w.researcher), Caller(w.keeper))
    s.sem, s.pool = make.instrument(w), make.instrument(w, capacity=2)
    s.zurich = make.instrument(w, zone="Europe/Zurich", opens=(0, 1440), horizon_s=400 * 86400)
    s.pool_values = {"name": "冷冻电镜", "category": "analytical", "city": "杭州", "capacity": 2}
    for _unit in range(2):
        make.booking(w, s.pool)
    s.expired = make.operator(w, s.sem, until=date(2026, 11, 26))
    s.unskilled = make.operator(w)
    s.running = make.booking(w, s.sem)
    bookings.confirm(actor=w.keeper, booking=s.running, now=make.NOW)
    start = s.running.starts_at
    bookings.start_session(actor=w.keeper, booking=s.running, started_at=start, now=start)
    return s


DERIVED = {"OpenPeriod", "FreeGap"}
"""Written from what is stated, thousands of rows; a test of their own proves that they follow."""


def written() -> dict[str, Sequence[Any]]:
    """Return every row of the scheduler, of what is charged and of what is recorded."""
    models = [*apps.get_app_config("scheduler").get_models(), *apps.get_app_config("vouchers").get_models(), Record]
    return {
        model.__name__: list(model.objects.order_by("pk").values_list())
        for model in models
        if model.__name__ not in DERIVED
    }


def test_bad_input_is_refused_with_field_and_remedy_and_writes_nothing(scene, subtests):
    before = written()
    for bad in CASES:
        with subtests.test(bad.name):
            for language, said in zip(("zh-hans", "en"), bad.said, strict=True):
                scene.reader.language = scene.keeper.language = language
                answer = bad.ask(scene)
                assert answer.status == bad.status, answer
                assert "." in answer.code or answer.code == "refused"
                [reason] = [row for row in answer.body["reasons"] if row["code"] == bad.code]
                assert reason["field"] == bad.field
                assert said in answer.body["fields"][bad.field]
            assert [name for name, rows in written().items() if rows != before[name]] == []


def test_a_local_time_that_does_not_exist_or_exists_twice_is_said_for_every_use_of_a_series(scene):
    spring = scene.reader.post("/series/quote", weekly(scene.zurich, first="2027-03-21", start="02:30")).body["uses"]
    autumn = scene.reader.post("/series/quote", weekly(scene.zurich, first="2027-10-24", start="02:30")).body["uses"]
    assert [(use["clock"], use["starts_at"]) for use in spring] == [
        ("", "2027-03-21T01:30:00Z"),
        ("missing", "2027-03-28T01:30:00Z"),
        ("", "2027-04-04T00:30:00Z"),
    ]
    assert [(use["clock"], use["starts_at"]) for use in autumn] == [
        ("", "2027-10-24T00:30:00Z"),
        ("doubled", "2027-10-31T00:30:00Z"),
        ("", "2027-11-07T01:30:00Z"),
    ]


def test_of_an_hour_that_exists_twice_the_offset_says_which(scene):
    for start, end in (
        ("2027-10-31T02:00:00+02:00", "2027-10-31T02:00:00+01:00"),
        ("2027-10-31T02:00:00+01:00", "2027-10-31T03:00:00+01:00"),
    ):
        asked = body(scene.zurich, starts_at=start, ends_at=end)
        assert scene.reader.post("/bookings", asked, key=make.key()).status == 201
        assert scene.reader.post("/bookings", asked, key=make.key()).reasons == ["booking.taken"]


def test_an_opening_rule_in_the_night_the_clock_changes_opens_what_there_is_of_it(scene):
    rules = [{"weekdays": [7], "opens": "02:30", "closes": "04:00"}]
    assert scene.keeper.put(f"/instruments/{scene.zurich.number}/hours", {"hours": rules}).status == 200
    opened = OpenPeriod.objects.filter(resource=scene.zurich)
    spans = {
        day: [(row.during.lower.hour * 60 + row.during.lower.minute, row.during.upper.hour * 60) for row in rows]
        for day in (date(2027, 3, 28), date(2027, 10, 31))
        if (rows := opened.filter(during__startswith__date=day))
    }
    # In spring 02:30 is read an hour later: 03:30-04:00 summer time. In autumn the first 02:30: two hours and a half.
    assert spans == {date(2027, 3, 28): [(90, 120)], date(2027, 10, 31): [(30, 180)]}


def test_a_series_may_begin_on_a_day_without_a_midnight(w):
    """Cairo's clock jumps from 00:00 to 01:00 on 30 April 2027: nine o'clock is there all the same."""
    cairo = make.instrument(w, zone="Africa/Cairo", opens=(0, 1440), horizon_s=300 * 86400)
    answer = Caller(w.researcher).post("/series/quote", weekly(cairo, first="2027-04-30"))
    assert [use["verdict"] for use in answer.body["uses"]] == ["free"] * 3, answer


def test_owners_read_why_their_bookings_went_with_the_instrument(scene):
    path = f"/instruments/{scene.pool.number}"
    numbers = [row["number"] for row in scene.keeper.get(f"{path}/withdrawal").body["bookings"]]
    sent = {"reason": "仪器报废，停止服务。", "seen": numbers}
    assert scene.keeper.post(f"{path}/withdraw", sent).status == 200
    told = [scene.reader.get(f"/bookings/{number}").body for number in numbers]
    assert [(one["state"], one["note"], one["charge"]["state"]) for one in told] == [
        ("cancelled", sent["reason"], "released")
    ] * 2
