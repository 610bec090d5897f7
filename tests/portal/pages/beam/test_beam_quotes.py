"""Quotes by page: the office offers from the price list, the enterprise answers with a reason, lists narrow and export."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.kernel.money import Money
from scheduler.beamtime import quoting
from scheduler.beamtime.models import BeamQuote
from scheduler.facilities import beamlines
from tests import beam, make
from tests.portal.pages.reading import enter, text_of

pytestmark = pytest.mark.django_db
NOW = make.NOW
UNTIL = NOW + timedelta(days=20)
SECRET = "绝密涂层"
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    return beam.site()


def asked(site: beam.Site, **more):
    return beam.request(beam.proposal(site, kind="proprietary", call=None, title=SECRET, **more))


def typed(**changes: str) -> dict[str, str]:
    until = f"{UNTIL.astimezone(ZONE):%Y-%m-%dT%H:%M}"
    return {"shifts": "6", "by": "shift", "price": "10000", "tax": "6", "valid_until": until, "terms": "", **changes}


def offered(site: beam.Site, **more) -> BeamQuote:
    said = quoting.QuoteTerms(6, Money.from_yuan("10000"), UNTIL)
    return quoting.offer(actor=site.office, request=asked(site, **more), said=said, now=NOW)


def test_the_office_offers_what_waits_and_the_enterprise_reads_it(site):
    row, office = asked(site), enter(Client(), site.office)
    listed = office.get(reverse("beam_quote_requests"))
    assert row.proposal.number in text_of(listed)
    assert SECRET not in text_of(listed)
    page = reverse("beam_quote_new", args=[row.pk])
    assert SECRET not in text_of(office.get(page))
    assert office.post(page, typed(terms="结果归委托方。")).status_code == 302
    [made] = BeamQuote.objects.all()
    assert (made.shifts, made.shift_fen, made.tax_bp, made.valid_until) == (6, 1_000_000, 600, UNTIL)
    assert "60,000.00" in text_of(enter(Client(), site.leader).get(reverse("beam_quote", args=[made.pk])))
    assert row.proposal.number not in text_of(office.get(reverse("beam_quote_requests")))
    assert office.get(page).status_code == 404


def test_who_pays_what_is_shown_before_the_contract(site, w):
    """Nothing ticked, all is the enterprise's own; with a voucher its share comes off, and nothing is held by looking."""
    quote, voucher = offered(site, leader=w.researcher), make.voucher(w)
    firm, page = enter(Client(), w.researcher), reverse("beam_quote", args=[quote.pk])
    assert "贵单位自付 ¥60,000.00" in text_of(firm.get(page))
    said = {"act": "look", "vouchers": [voucher.number], "shifts": "6", "shift_fen": "1000000"}
    seen = text_of(firm.post(page, said))
    split = quoting.look(quote=quote, vouchers=[voucher], now=NOW).split
    assert split.voucher.fen > 0
    assert f"其中券抵扣 {split.voucher} 贵单位自付 {split.own}" in seen
    quote.refresh_from_db()
    assert (quote.state, quote.charge_id) == ("offered", None)


def test_by_the_hour_and_by_the_price_list_the_shift_comes_to_the_fen(site):
    line, office = site.lines[0], enter(Client(), site.office)
    first, second = asked(site), asked(site)
    office.post(reverse("beam_quote_new", args=[first.pk]), typed(by="hour", price="1250.01"))
    assert first.quotes.get().shift_fen == 8 * 125_001
    page = reverse("beam_quote_new", args=[second.pk])
    refused = office.post(page, typed(price=""))
    assert (refused.status_code, "没有企业价格" in text_of(refused)) == (422, True)
    beamlines.price_beamline(actor=site.office, beamline=line, hourly=Money.from_yuan("900"), now=NOW)
    assert "7,200.00" in text_of(office.get(page))
    assert office.post(page, typed(price="")).status_code == 302
    assert second.quotes.get().shift_fen == 720_000


def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(site):
    row, office = asked(site), enter(Client(), site.office)
    page = reverse("beam_quote_new", args=[row.pk])
    past = f"{NOW.astimezone(ZONE):%Y-%m-%dT%H:%M}"
    refused = office.post(page, typed(shifts="7", valid_until=past, terms="条款原文"))
    assert refused.status_code == 409
    assert set(refused.context["form"].errors) == {"shifts", "valid_until"}
    assert "条款原文" in text_of(refused)
    assert not BeamQuote.objects.exists()


def test_declining_and_withdrawing_need_a_reason_that_the_other_side_reads(site):
    one, two = offered(site), offered(site)
    firm, office = enter(Client(), site.leader), enter(Client(), site.office)
    page = reverse("beam_quote", args=[one.pk])
    assert firm.post(page, {"act": "decline", "note": " "}).status_code >= 400
    assert firm.post(page, {"act": "decline", "note": "预算已用完"}).status_code == 302
    assert "预算已用完" in text_of(office.get(page))
    page = reverse("beam_quote", args=[two.pk])
    assert office.post(page, {"act": "withdraw", "note": "价格有误"}).status_code == 302
    assert "价格有误" in text_of(firm.get(page))
    assert firm.post(page, {"act": "accept", "shifts": "6", "shift_fen": "1000000"}).status_code == 409
    assert {one.request.proposal.number, two.request.proposal.number} <= set(
        text_of(office.get(reverse("beam_quote_requests"))).split()
    )


def test_only_the_facilitys_own_office_quotes(site):
    row = asked(site)
    page = reverse("beam_quote_new", args=[row.pk])
    assert enter(Client(), site.leader).get(page).status_code == 403
    assert enter(Client(), site.director).post(page, typed()).status_code == 403
    assert enter(Client(), beam.site().office).post(page, typed()).status_code == 404
    assert not BeamQuote.objects.exists()


def test_lists_narrow_sort_and_export_in_as_many_queries_however_long(site):
    made = offered(site)
    office = enter(Client(), site.office)
    page = reverse("beam_quotes")

    def queries_of() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert office.get(page).status_code == 200
        return len(captured)

    few = queries_of()
    others = [offered(site), offered(site)]
    assert queries_of() == few
    for other in others:
        quoting.withdraw(actor=site.office, quote=other, note="=1+1", now=NOW)
    shown = text_of(office.get(page, {"state": "offered", "sort": "-shift"}))
    assert made.request.proposal.number in shown
    assert others[0].request.proposal.number not in shown
    assert others[0].request.proposal.number in text_of(office.get(page, {"q": others[0].request.proposal.number}))
    for kind in ("csv", "xlsx"):
        assert office.get(page, {"format": kind}).status_code == 200
    file = office.get(page, {"format": "csv"}).content.decode()
    assert "60000.00" in file.replace(",", "") or "60,000.00" in file
    assert SECRET not in file
    assert ",=1+1" not in file
    assert office.get(reverse("beam_quote_requests"), {"format": "csv"}).status_code == 200
