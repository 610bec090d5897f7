"""Facilities as everybody sees them, and the desk of those who run them."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.beamtime import market, quoting
from scheduler.facilities import beamlines, queries
from scheduler.facilities.models import Facility, RunCycle
from scheduler.facilities.shares import Pool
from scheduler.resources.facility_things import ThingValues
from tests import beam
from tests.portal.pages.reading import enter, text_of

pytestmark = pytest.mark.django_db
NOW = beam.CYCLE.start + timedelta(days=2, hours=1)
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def site(monkeypatch):
    """A facility whose beamline BL11 is open to enterprises; it is two days into the cycle."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    built = beam.site()
    said = ThingValues("硬X射线吸收谱线站", "XAFS beamline", "杭州")
    line = beamlines.enter_beamline(
        actor=built.office, facility=built.facility, code="BL11", said=said, terms=beamlines.LineTerms(), now=NOW
    )
    beamlines.price_beamline(actor=built.office, beamline=line, hourly=Money.from_yuan("1250"), now=NOW)
    beamlines.publish(actor=built.office, beamline=line, shown=True, now=NOW)
    line.resource.refresh_from_db()
    built.lines = [line]
    market.follow(built.facility, [line], now=NOW)
    return built


def url(site: beam.Site, name: str, *more: str) -> str:
    return reverse(name, args=[site.facility.code, *more])


def test_everybody_sees_what_a_shift_costs_and_which_can_be_booked(site):
    stranger = Client()
    assert site.facility.name in text_of(stranger.get(reverse("facilities")))
    text = text_of(stranger.get(url(site, "facility")))
    assert "10,000.00" in text
    assert "一次预订须为 3 班的整数倍" in text
    assert "2027 年第一轮征集" not in text
    said = ThingValues("尚未公布的线站", "Not announced", "杭州")
    beamlines.enter_beamline(
        actor=site.office, facility=site.facility, code="BL99", said=said, terms=beamlines.LineTerms(), now=NOW
    )
    assert "BL99" not in text_of(stranger.get(url(site, "facility")))
    own = Client()
    enter(own, site.office)
    assert "BL99" in text_of(own.get(url(site, "facility")))
    instrument = reverse("instrument", args=[site.lines[0].resource.number])
    assert stranger.get(instrument).status_code == 200
    Facility.objects.filter(pk=site.facility.pk).update(is_published=False)
    assert stranger.get(url(site, "facility")).status_code == 404


def test_an_enterprise_comes_from_the_beamline_to_the_booking_form(site):
    firm = enter(Client(), site.leader)
    page = firm.get(reverse("instrument_book", args=[site.lines[0].resource.number]))
    assert page.status_code == 200


def test_a_page_of_a_facility_takes_as_many_queries_with_five_beamlines_as_with_three(site):
    stranger = Client()

    def queries_of() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert stranger.get(url(site, "facility")).status_code == 200
        return len(captured)

    few = queries_of()
    beam.line(site.owner, site.facility, "BL21")
    beam.line(site.owner, site.facility, "BL22")
    assert queries_of() == few


def test_the_desk_is_the_staffs_alone_and_shows_the_shares_to_the_shift(site):
    assert enter(Client(), site.leader).get(url(site, "facility_board")).status_code == 403
    text = text_of(enter(Client(), site.planner).get(url(site, "facility_board"), {"cycle": "2027-I"}))
    assert "份额执行" in text
    assert "122" in text


def test_shares_that_are_not_a_hundred_are_refused_and_what_was_typed_stays(site):
    office = enter(Client(), site.office)
    answer = office.post(url(site, "facility_shares"), {"open": "70", "industry": "25"})
    assert answer.status_code == 409
    assert "95%" in text_of(answer)
    assert b'value="25"' in answer.content
    assert office.post(url(site, "facility_shares"), {"open": "70", "industry": "30"}).status_code == 302
    assert set(queries.shares_of(site.facility)[None]) == {Pool.OPEN, Pool.INDUSTRY}


def test_the_office_prices_a_beamline_and_takes_it_out_of_the_catalogue(site):
    office = enter(Client(), site.office)
    page = url(site, "facility_line", "BL11")
    assert office.post(page, {"hourly": "-1", "shown": "on"}).status_code == 422
    assert office.post(page, {"hourly": "900", "shown": ""}).status_code == 302
    site.lines[0].resource.refresh_from_db()
    assert site.lines[0].resource.state == "suspended"


def rows(*spans: tuple[str, Period]) -> dict[str, str]:
    found = {}
    for at, (mode, period) in enumerate(spans):
        found[f"mode-{at}"] = mode
        for name, moment in (("start", period.start), ("end", period.end)):
            found[f"{name}-{at}"] = f"{moment.astimezone(ZONE):%Y-%m-%dT%H:%M}"
    return found


def test_a_planner_sees_what_a_shutdown_breaks_before_anything_is_saved(site):
    planner = enter(Client(), site.planner)
    begins = beam.CYCLE.start + timedelta(days=9)
    visit = beam.visit(site, period=Period(begins, begins + timedelta(days=1)))
    gone = Period(begins, begins + timedelta(days=2))
    said = rows(
        ("user", Period(beam.CYCLE.start, gone.start)),
        ("shutdown", gone),
        ("user", Period(gone.end, beam.CYCLE.end)),
    )
    page = url(site, "machine_plan", "2027-I")
    assert planner.get(page).status_code == 200
    answer = planner.post(page, {**said, "version": "1"})
    assert answer.status_code == 409
    assert visit.number in text_of(answer)
    assert b'value="shutdown" selected' in answer.content
    assert RunCycle.objects.get(pk=site.cycle.pk).version == 1
    agreed = {**said, "version": "1", "accepts": [visit.number], "reason": "真空事故"}
    assert planner.post(page, agreed).status_code == 302
    visit.refresh_from_db()
    assert (visit.state, visit.cancel_reason) == ("cancelled", "真空事故")
    late = planner.post(page, agreed)
    assert late.status_code == 409
    assert "已被他人修改" in text_of(late)


def test_a_row_without_a_time_is_named(site):
    planner = enter(Client(), site.planner)
    answer = planner.post(
        url(site, "machine_plan", "2027-I"),
        {"mode-0": "user", "start-0": "2027-01-05T00:00", "end-0": "", "version": "1"},
    )
    assert answer.status_code == 409
    assert "第 1 段" in text_of(answer)


def test_an_enterprise_accepts_a_quote_by_click_and_nobody_else_sees_it(site):
    site.lines = list(site.facility.beamlines.filter(code="BL01"))
    asked = beam.request(beam.proposal(site, kind="proprietary", call=None, title="绝密涂层"))
    said = quoting.QuoteTerms(6, Money.from_yuan("10000"), NOW + timedelta(days=20))
    made = quoting.offer(actor=site.office, request=asked, said=said, now=NOW)
    firm, office, stranger = (enter(Client(), who) for who in (site.leader, site.office, site.planner))
    page = reverse("beam_quote", args=[made.pk])
    assert stranger.get(page).status_code == 403
    for reader in (firm, office):
        assert "绝密" not in text_of(reader.get(page)) + text_of(reader.get(reverse("beam_quotes")))
    assert "60,000.00" in text_of(firm.get(page))
    stale = firm.post(page, {"act": "accept", "shifts": "6", "shift_fen": "900000"})
    assert (stale.status_code, "报价与您看到的不同" in text_of(stale)) == (409, True)
    assert firm.post(page, {"act": "accept", "shifts": "6", "shift_fen": "1000000"}).status_code == 302
    made.refresh_from_db()
    assert made.state == "accepted"


def test_saving_a_long_plan_keeps_every_span_to_the_second(site):
    planner, page = enter(Client(), site.planner), url(site, "machine_plan", "2027-I")
    site.cycle.periods.all().delete()
    cut = [beam.CYCLE.start + timedelta(hours=8 * at, seconds=30 if at else 0) for at in range(131)]
    for at in range(130):
        site.cycle.periods.create(mode="user" if at % 2 else "study", during=(cut[at], cut[at + 1]))
    before = list(queries.plan_of(site.cycle))
    posted = {"version": "1"}
    for row in planner.get(page).context["rows"]:
        posted |= {f"mode-{row.at}": row.mode, f"start-{row.at}": row.start, f"end-{row.at}": row.end}
    assert planner.post(page, posted).status_code == 302
    assert list(queries.plan_of(RunCycle.objects.get(pk=site.cycle.pk))) == before


def test_a_plan_too_long_for_the_page_is_refused_and_stays_whole(site, monkeypatch):
    monkeypatch.setattr("portal.pages.beam.machine_plans.MOST_ROWS", 2)
    planner = enter(Client(), site.planner)
    answer = planner.post(
        url(site, "machine_plan", "2027-I"),
        {"mode-0": "user", "start-0": "2027-01-05T00:00", "end-0": "2027-01-06T00:00", "version": "1"},
    )
    assert answer.status_code == 409
    assert "请通过接口修改" in text_of(answer)
    assert site.cycle.periods.count() == 3


def test_a_row_with_a_time_no_calendar_has_is_named(site):
    planner = enter(Client(), site.planner)
    for start in ("0001-01-01T00:00", "9999-12-31T23:59"):
        said = {"mode-0": "user", "start-0": start, "end-0": "2027-01-05T00:00", "version": "1"}
        answer = planner.post(url(site, "machine_plan", "2027-I"), said)
        assert answer.status_code == 409
        assert "第 1 段：请填写有效的日期" in text_of(answer)
