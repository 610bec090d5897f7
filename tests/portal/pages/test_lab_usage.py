"""A lab's log of use and its income: what counts when, of whom, and what leaves as a file."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from portal.kernel.money import Money
from portal.organisations import rules as roles
from portal.reports import labs
from scheduler.engagements import delivering
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of
from vouchers.charges import refunding

NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


@pytest.fixture
def scene(w, monkeypatch):
    """Two hours of November, half paid by a voucher, one of them in part given back; half an hour of December."""
    w.sem = make.instrument(w)
    first = make.measured(w, make.booking(w, w.sem, pay_with=make.voucher(w)))
    first.refresh_from_db()
    refunding.refund(
        actor=w.keeper,
        charge=first.charge,
        amount=Money.from_yuan("60"),
        reason="停电",
        now=first.ends_at,
        key=make.key(),
    )
    later = make.booking(w, w.sem, period=make.slot(days=6))
    make.measured(w, later, end=later.starts_at + timedelta(minutes=30))
    w.now = later.ends_at + timedelta(days=1)
    monkeypatch.setattr("django.utils.timezone.now", lambda: w.now)
    w.desk = enter(Client(), w.keeper)
    return w


def done(w):
    return labs.work([w.sem], months=[NOVEMBER, DECEMBER], now=w.now)


def test_accepted_milestones_are_income_of_their_month(w):
    line = make.instrument(w, modes=("self", "technical"))
    found = make.planned(w, make.engagement(w, line))
    delivering.accept(actor=w.researcher, milestone=make.delivered(w, found), now=make.NOW)
    earned = labs.work([line], months=[NOVEMBER, DECEMBER], now=make.NOW)
    assert [earned[line.pk, month].own_fen for month in (NOVEMBER, DECEMBER)] == [100000, 0]


def test_months_add_up(scene):
    found = done(scene)
    first, second = found[scene.sem.pk, NOVEMBER], found[scene.sem.pk, DECEMBER]
    assert (first.uses, first.used_s, first.voucher_fen, first.own_fen) == (1, 7200, 45000, 45000)
    assert (second.uses, second.used_s, second.voucher_fen, second.own_fen) == (1, 1800, 0, 24000)
    assert first.open_s and first.utilisation
    total = labs.totals(found)[scene.sem.pk]
    assert (total.uses, total.used_s, total.income) == (2, 9000, Money(114000))
    assert [one.uses for _month, one in sorted(labs.totals(found, by_month=True).items())] == [1, 1]


def test_what_was_open_long_ago_is_not_made_up(scene):
    old = labs.work([scene.sem], months=[date(2026, 3, 1)], now=scene.now)[scene.sem.pk, date(2026, 3, 1)]
    assert (old.open_s, old.utilisation) == (None, None)


def test_open_hours_count_up_to_now_and_for_every_place(scene):
    whole = labs.work([scene.sem], months=[DECEMBER], now=scene.now + timedelta(days=60))[scene.sem.pk, DECEMBER]
    part = done(scene)[scene.sem.pk, DECEMBER]
    assert 0 < part.open_s < whole.open_s
    scene.sem.capacity = 3
    assert done(scene)[scene.sem.pk, DECEMBER].open_s == 3 * part.open_s


@pytest.mark.parametrize("count", [1, 3])
def test_asks_a_constant_number_of_questions(w, count, django_assert_num_queries):
    many = [make.instrument(w) for _ in range(count)]
    with django_assert_num_queries(6):
        labs.work(many, months=[NOVEMBER, DECEMBER], now=make.NOW)


def test_the_log_narrows_and_leaves_as_a_file(scene):
    page = reverse("lab_usage")
    answer = scene.desk.get(page)
    text = text_of(answer)
    assert (answer.context["listing"].total, raw_codes(text)) == (2, [])
    assert "<svg" in answer.content.decode()
    november = {"first": "2026-11", "last": "2026-11"}
    assert scene.desk.get(page, november).context["listing"].total == 1
    assert scene.desk.get(page, {"first": "nonsense", "last": "9999-01", "instrument": "x"}).status_code == 200
    file = scene.desk.get(page, {**november, "format": "csv"})
    [row] = csv.DictReader(io.StringIO(file.content.decode("utf-8-sig")))
    assert (row["机时（小时）"], row["费用（元）"], row["其中券抵扣（元）"]) == ("2.0", "900.00", "450.00")
    book = load_workbook(io.BytesIO(scene.desk.get(page, {**november, "format": "xlsx"}).content))
    head, line = book.active.iter_rows(values_only=True)
    told = dict(zip(head, line, strict=True))
    assert (told["有效工作机时（小时）"], told["对外服务机时（小时）"], told["服务收入（元）"]) == (2, 2, 900)


def test_income_by_instrument_and_month(scene):
    page = reverse("lab_income")
    text = text_of(scene.desk.get(page))
    assert "¥1,140.00" in text
    assert raw_codes(text) == []
    book = load_workbook(io.BytesIO(scene.desk.get(page, {"format": "xlsx"}).content))
    assert [row[2:] for row in book.active.iter_rows(min_row=2, values_only=True)] == [
        ("2026-11", 450, 450, 900),
        ("2026-12", 0, 240, 240),
    ]


def test_the_api_tells_the_same(scene):
    lab = Caller(scene.keeper)
    rows = lab.get("/reports/work", first="2026-11", last="2026-12").body
    assert [(one["month"], one["used_s"], one["voucher"]["fen"], one["own"]["fen"]) for one in rows] == [
        ("2026-11", 7200, 45000, 45000),
        ("2026-12", 1800, 0, 24000),
    ]
    for first, last in (("2026-12", "2026-11"), ("2020-01", "2026-11"), ("2026-13", "2026-11")):
        assert lab.get("/reports/work", first=first, last=last).status == 422
    assert Caller(scene.researcher).get("/reports/work", first="2026-11", last="2026-11").status == 403


def test_it_is_the_labs_alone(scene):
    other = enter(Client(), make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER))
    for name in ("lab_usage", "lab_income"):
        assert enter(Client(), scene.researcher).get(reverse(name)).status_code == 403
        assert scene.sem.number not in other.get(reverse(name)).content.decode()
    assert other.get(reverse("lab_usage")).context["listing"].total == 0
