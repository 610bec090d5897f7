"""Closing a fiscal year: what stands open is shown, one asks, another approves, refusals are explained."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.kernel.errors import Forbidden
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.ledger.models import Period
from vouchers.ledger.rules import PeriodNotOver, SamePerson, year_ends_at
from vouchers.settlements import closing

OVER = year_ends_at(2026)


def act(client, year, act, **more):
    return client.post(reverse("ledger_year", args=[year]), {"act": act, **more})


def test_what_stands_open_at_the_years_end_is_counted(w):
    voucher = make.voucher(w, make.programme(w, in_force=LONG))
    found = closing.outlook(2026)
    assert (found.vouchers, found.claims, found.batches) == (1, 0, 0)
    balances = {line.kind.value: line.balance_fen for line in found.lines if line.programme}
    assert balances["voucher"] == voucher.face_fen
    assert closing.outlook(2025).lines == []


def test_one_asks_and_another_closes(w):
    with pytest.raises(PeriodNotOver):
        closing.propose_year(actor=w.finance, fiscal_year=2026, now=OVER - timedelta(seconds=1))
    with pytest.raises(closing.NotProposed):
        closing.approve_year(actor=w.finance_approver, fiscal_year=2026, now=OVER)
    closing.propose_year(actor=w.finance, fiscal_year=2026, now=OVER)
    with pytest.raises(closing.ProposedBefore):
        closing.propose_year(actor=w.finance, fiscal_year=2026, now=OVER)
    with pytest.raises(Forbidden):
        closing.approve_year(actor=w.finance, fiscal_year=2026, now=OVER)
    closed = closing.approve_year(actor=w.finance_approver, fiscal_year=2026, now=OVER)
    assert (closed.proposed_by, closed.approved_by) == (w.finance.signature, w.finance_approver.signature)
    assert closing.open_proposal(2026) is None


def test_who_holds_both_roles_does_not_approve_what_they_asked_for(w):
    both = make.actor(w.department, make.roles.Role.FINANCE_OFFICER, make.roles.Role.FINANCE_APPROVER)
    closing.propose_year(actor=both, fiscal_year=2025, now=make.NOW)
    with pytest.raises(SamePerson):
        closing.approve_year(actor=both, fiscal_year=2025, now=make.NOW)
    with pytest.raises(closing.ReturnReasonMissing):
        closing.return_year(actor=both, fiscal_year=2025, reason=" ", now=make.NOW)
    closing.return_year(actor=both, fiscal_year=2025, reason="还要核对", now=make.NOW)
    closing.propose_year(actor=w.finance, fiscal_year=2025, now=make.NOW)


def test_the_page_leads_through_it(w, client):
    last = timezone.localtime().year - 1
    enter(client, w.finance)
    assert reverse("ledger_years") in client.get(reverse("ledger_overview")).content.decode()
    early = act(client, last + 1, "propose")
    assert early.status_code == 409
    assert "尚未结束" in text_of(early)
    assert act(client, last, "propose").status_code == 302
    assert 'value="approve"' not in client.get(reverse("ledger_year", args=[last])).content.decode()
    enter(client, w.finance_approver)
    assert "已提出，待另一人批准" in text_of(client.get(reverse("ledger_years")))
    assert act(client, last, "return", reason="").status_code == 422
    assert act(client, last, "return", reason="尚有一笔未核对").status_code == 302
    assert "尚有一笔未核对" in text_of(enter(client, w.finance).get(reverse("ledger_year", args=[last])))
    act(client, last, "propose")
    enter(client, w.finance_approver)
    assert act(client, last, "approve").status_code == 302
    assert Period.objects.get().fiscal_year == last
    assert act(client, last, "approve").status_code == 409
    assert "已结账的年度" in text_of(client.get(reverse("ledger_years")))


def test_is_for_those_who_read_the_ledger_and_reads_in_english(w, client):
    make.voucher(w, make.programme(w, in_force=LONG))
    assert enter(client, w.reviewer).get(reverse("ledger_years")).status_code == 403
    enter(client, w.auditor)
    for address in (reverse("ledger_years"), reverse("ledger_year", args=[make.NOW.year])):
        page = client.get(f"/en{address}")
        assert page.status_code == 200
        assert raw_codes(text_of(page)) == []
    assert 'value="propose"' not in page.content.decode()
    assert client.get(reverse("ledger_year", args=[9999])).status_code == 404
