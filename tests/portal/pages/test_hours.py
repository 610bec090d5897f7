"""The editor of weekly hours as a lab uses it: what a change would break, what overlaps, what is copied from where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.period import Period
from portal.pages import opening as page_module
from scheduler.availability import opening, patterns, rules, services
from scheduler.availability.models import OpeningHours
from scheduler.resources.models import Resource
from tests import make
from tests.portal.pages.reading import enter, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
WEEKDAYS = ["1", "2", "3", "4", "5"]


@pytest.fixture
def sem(w):
    return make.instrument(w)


@pytest.fixture
def lab(w):
    return enter(Client(), w.keeper)


def url(resource):
    return reverse("instrument_hours", args=[resource.number])


def row(place, days, opens, closes, **more):
    return {
        f"row{place}-weekdays": days,
        f"row{place}-opens": opens,
        f"row{place}-closes": closes,
        **{f"row{place}-{name}": value for name, value in more.items()},
    }


def test_says_what_would_break_before_it_is_saved(w, lab, sem):
    made = make.booking(w, sem)
    fine = lab.post(url(sem), {"rows": "1", "act": "check", **row(0, WEEKDAYS, "08:00", "18:00")})
    assert "每周开放 50 小时" in text_of(fine)
    later = lab.post(url(sem), {"rows": "1", "act": "check", **row(0, WEEKDAYS, "10:00", "18:00")})
    text = text_of(later)
    assert made.number in text
    assert "09:00–11:00" in text
    assert "仍然有效，不会自动取消" in text
    assert OpeningHours.objects.get().opens_min == 480

    refused = lab.post(url(sem), {"rows": "1", "act": "save", **row(0, WEEKDAYS, "10:00", "18:00")})
    assert refused.status_code == 409
    assert "09:00–11:00" in text_of(refused)
    lab.post(url(sem), {"rows": "1", "accepts": made.number, **row(0, WEEKDAYS, "10:00", "18:00")})
    assert OpeningHours.objects.get().opens_min == 600


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (row(0, WEEKDAYS, "08:00", ""), "请填写开放和关闭的时间"),
        (row(0, [], "08:00", "18:00"), "请至少选择一天。"),
        (
            row(0, WEEKDAYS, "08:00", "18:00", valid_from="2027-01-02", valid_until="2027-01-01"),
            "截止日期不能早于起始日期。",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_said_as_it_is(w, lab, sem, wrong, said):
    refused = lab.post(url(sem), {"rows": "1", "act": "save", **wrong})
    assert refused.status_code == 422
    assert said in text_of(refused)


def test_what_overlaps_is_named_by_days_times_and_audience(w, lab, sem):
    two = {
        "rows": "2",
        **row(0, ["1", "2"], "08:00", "12:00", audience="own"),
        **row(1, ["2", "3"], "11:00", "14:00", audience="own"),
    }
    for act in ("check", "save"):
        text = text_of(lab.post(url(sem), {**two, "act": act}))
        assert "“周一、周二 08:00–12:00 仅本单位人员”与“周二、周三 11:00–14:00 仅本单位人员”重叠" in text


def test_copies_another_instrument_of_the_lab_and_saves_nothing(w, lab, sem):
    other = make.instrument(w, name="透射电镜")
    services.set_opening_hours(
        actor=w.keeper,
        resource=other,
        hours=[rules.WeeklyHours(frozenset({6}), 600, 1500, audience=rules.Audience.OWN, is_automatic=True)],
        now=make.NOW,
    )
    page = lab.get(url(sem), {"copy": other.number})
    first = page.context["rows"][0]
    said = [first[name].value() for name in ("weekdays", "opens", "closes", "audience", "is_automatic")]
    assert said == [[6], "10:00", "01:00", "own", True]
    assert "已填入“透射电镜”的开放时间" in text_of(page)
    assert OpeningHours.objects.get(resource=sem).opens_min == 480
    assert lab.get(url(sem), {"copy": "N0"}).status_code == 404


def test_copies_what_was_really_open_last_week(w, lab, sem, monkeypatch):
    """Closed hours and special openings of last week are in it: a week later the pattern starts from what was."""
    now = make.NOW + timedelta(days=7)
    copied = opening.last_week(Resource.objects.get(pk=sem.pk), now=now)
    assert {(row.opens, row.closes) for row in copied} >= {(480, 1320)}
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)
    assert "已填入上周的实际开放时间" in text_of(lab.get(url(sem), {"copy": "week"}))


def test_a_week_of_openings_becomes_weekly_hours():
    monday = datetime(2026, 11, 23, tzinfo=UTC).date()
    at = lambda day, hour: datetime(2026, 11, 23, tzinfo=UTC) + timedelta(days=day, hours=hour)
    found = [
        patterns.Opening(Period(at(0, 8), at(0, 12)), rules.Audience.EVERYBODY, False),
        patterns.Opening(Period(at(1, 8), at(1, 12)), rules.Audience.EVERYBODY, False),
        patterns.Opening(Period(at(4, 22), at(6, 6)), rules.Audience.OWN, True),
    ]
    rows = patterns.weekly_of(found, zone="UTC", monday=monday)
    assert [(sorted(row.weekdays), row.opens, row.closes, row.audience, row.is_automatic) for row in rows] == [
        ([1, 2], 480, 720, "everybody", False),
        ([5], 1320, 1440, "own", True),
        ([6], 0, 1440, "own", True),
        ([7], 0, 360, "own", True),
    ]


def test_the_preview_counts_time_once_however_many_it_is_open_for():
    day = rules.WeeklyHours(frozenset({1}), 480, 1200)
    own = rules.WeeklyHours(frozenset({1}), 480, 1260, audience=rules.Audience.OWN)
    assert page_module.weekly_s([day, own]) == 13 * 3600


def test_foreseeing_agrees_with_saving(w, sem):
    """What the preview names is what saving refuses over, holidays or none."""
    made = make.booking(w, sem)
    later = [rules.WeeklyHours(frozenset(range(1, 8)), 600, 1200)]
    seen = opening.foresee(sem, hours=later, follows_holidays=False, now=make.NOW)
    assert [row.number for row in seen] == [made.number]
    with pytest.raises(Exception, match="bookings_affected") as caught:
        services.set_opening_hours(actor=w.keeper, resource=sem, hours=later, follows_holidays=False, now=make.NOW)
    assert [row["number"] for row in caught.value.data["bookings"]] == [row.number for row in seen]
