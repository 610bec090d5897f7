"""Disputed milestones: who asks, who rules, what is captured and freed, and what stays shut meanwhile."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound
from portal.kernel.money import Money
from portal.organisations import rules as roles
from scheduler.engagements import access, delivering, rules, services
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from vouchers.ledger import queries as ledger


@pytest.fixture
def running(w):
    return make.planned(w, make.engagement(w, make.instrument(w, modes=("self", "technical"))))


@pytest.fixture
def paid(w):
    """Return a running project that a voucher pays half of."""
    cost = {"include": ["compute", "instrument_use", "rd_service"], "max_months": 12}
    voucher = make.voucher(w, make.programme(w, cost=cost))
    found = make.engagement(w, make.instrument(w, modes=("self", "technical")))
    return make.planned(w, found, pay_with=[voucher])


def rule(w, milestone, counted=None, *, by=None, note="核对了交付文件"):
    amount = None if counted is None else Money(counted)
    return delivering.rule(actor=by or w.approver, milestone=milestone, counted=amount, note=note, now=make.NOW)


def foreign():
    """Return who rules in another department."""
    return make.actor(make.organisation(roles.Kind.DEPARTMENT), roles.Role.APPROVER)


@pytest.mark.parametrize(
    ("counted", "state", "charge", "taken"),
    [
        (None, "accepted", "captured", (100000, 50000, 50000)),
        (100000, "accepted", "captured", (100000, 50000, 50000)),
        (40000, "accepted", "captured", (40000, 20000, 20000)),
        (0, "dropped", "released", (None, 0, 0)),
    ],
)
def test_what_counts_is_captured_and_the_rest_is_free(w, paid, counted, state, charge, taken):
    done = rule(w, make.disputed(w, paid), counted)
    done.charge.refresh_from_db()
    money = done.charge
    assert (done.state, money.state) == (state, charge)
    assert (money.actual_fen, money.voucher_captured_fen, money.own_captured_fen) == taken
    assert (done.ruled_by_id, done.ruling_note) == (w.approver.person, "核对了交付文件")
    assert ledger.unaccounted_fen() == 0
    with pytest.raises(InvalidTransition):
        rule(w, done, counted)


def test_the_ruling_on_the_last_milestone_completes(w, running):
    rule(w, make.disputed(w, running, 1))
    rule(w, make.disputed(w, running, 2), 0)
    running.refresh_from_db()
    assert running.state == "completed"


def test_more_than_the_price_or_less_than_nothing_or_no_reason_is_refused(w, running):
    row = make.disputed(w, running)
    for wrong in (100001, -1):
        with pytest.raises(rules.BadAmount):
            rule(w, row, wrong)
    with pytest.raises(rules.NoteMissing):
        rule(w, row, note=" ")
    row.refresh_from_db()
    assert (row.state, row.ruled_at) == ("disputed", None)


def test_only_what_was_returned_is_disputed_and_only_by_a_party(w, running):
    sent = make.delivered(w, running)
    with pytest.raises(InvalidTransition):
        delivering.dispute(actor=w.researcher, milestone=sent, note="不符", now=make.NOW)
    back = delivering.send_back(actor=w.researcher, milestone=sent, note="缺数据", now=make.NOW)
    for stranger in (make.applicant(), w.approver):
        with pytest.raises(Forbidden):
            delivering.dispute(actor=stranger, milestone=back, note="不符", now=make.NOW)
    with pytest.raises(rules.NoteMissing):
        delivering.dispute(actor=w.keeper, milestone=back, note="", now=make.NOW)
    assert delivering.dispute(actor=w.researcher, milestone=back, note="不符", now=make.NOW).state == "disputed"


def test_nothing_moves_beneath_a_dispute_but_the_enterprise_may_accept(w, running):
    row = make.disputed(w, running)
    for party in (w.researcher, w.keeper):
        with pytest.raises(rules.AwaitsRuling):
            services.stop(actor=party, engagement=running, note="停", now=make.NOW)
    with pytest.raises(InvalidTransition):
        make.delivered(w, running)
    assert delivering.accept(actor=w.researcher, milestone=row, now=make.NOW).state == "accepted"
    with pytest.raises(NotFound):
        rule(w, row, 0)


def test_nobody_rules_but_the_department_whose_voucher_pays(w, paid):
    row, other = make.disputed(w, paid), foreign()
    with pytest.raises(NotFound):
        rule(w, row, by=other)
    for party in (w.researcher, w.keeper, w.officer):
        with pytest.raises(Forbidden):
            rule(w, row, by=party)
    assert [list(access.disputed(one)) for one in (w.approver, other)] == [[row], []]


def test_a_member_of_a_party_does_not_rule(w, running):
    row = make.disputed(w, running)
    make.Member.objects.create(user=make.user_of(w.approver), organisation=w.lab, roles=["owner"])
    with pytest.raises(rules.Involved):
        rule(w, row)


def test_a_department_sees_only_what_is_disputed(w, running):
    sent = make.delivered(w, running)
    file = access.files_of_all([sent])[sent.subject][0]
    with pytest.raises(NotFound):
        access.get_file(w.approver, running.number, 1, file.pk)
    back = delivering.send_back(actor=w.researcher, milestone=sent, note="缺数据", now=make.NOW)
    delivering.dispute(actor=w.keeper, milestone=back, note="已按约交付", now=make.NOW)
    assert access.get_file(w.approver, running.number, 1, file.pk) == file
    with pytest.raises(NotFound):
        access.get_disputed(w.approver, running.number, 2)
    with pytest.raises(NotFound):
        access.get_engagement(w.approver, running.number)


@pytest.mark.usefixtures("clock")
def test_the_way_through_the_pages(w, running, django_assert_max_num_queries):
    firm, desk = enter(Client(), w.researcher), enter(Client(), w.approver)
    make.sent_back(w, running)
    page, url = reverse("engagement", args=[running.number]), reverse("milestone_ruling", args=[running.number, 1])
    assert desk.get(url).status_code == 404
    ask = reverse("milestone_act", args=[running.number, 1, "dispute"])
    assert ask in firm.get(page).content.decode()
    assert "主管部门" in text_of(firm.get(ask))
    assert firm.post(ask, {"note": "样品不合格"}).status_code == 302
    with django_assert_max_num_queries(14):
        listed = text_of(desk.get(reverse("milestone_rulings")))
    assert f"{running.number}.1" in listed
    shown = text_of(desk.get(url))
    assert "样品不合格" in shown
    assert raw_codes(shown.replace(".pdf", "")) == []
    assert desk.post(url, {"amount": "5000", "note": "部分"}).status_code == 422
    assert desk.post(url, {"amount": "400", "note": ""}).status_code == 422
    assert desk.post(url, {"amount": "400", "note": "部分符合"}).status_code == 302
    assert "认可 ¥400.00" in text_of(desk.get(url))
    assert "部分符合" in text_of(firm.get(page))
    assert firm.get(url).status_code == 403
