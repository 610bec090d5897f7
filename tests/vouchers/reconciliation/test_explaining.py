"""Differences that persons explain: they stay differences, and are told apart from those nobody has explained."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.money import Money
from portal.kernel.period import Period
from tests import make
from tests.calling import Caller
from tests.vouchers.reconciliation import scripted
from vouchers.payments.ports import BalanceKind
from vouchers.payments.rail_models import PaymentAttempt
from vouchers.reconciliation import closing, explaining, queries, rules, services, standing
from vouchers.reconciliation.models import EntryExplanation
from vouchers.reconciliation.rules import ExplanationKind

pytestmark = pytest.mark.django_db
DAY = make.NOW.date()
NOBODY = "payment:pi_nobody"


@pytest.fixture
def rail(w):
    made = scripted.ScriptedRail()
    scripted.paid(w, made, 1, 10_000, fee=60)
    made.line(BalanceKind.PAYMENT, 4_200, "pi_nobody")
    made.line(BalanceKind.PAYMENT, 300, "pi_other")
    pull(w, made)
    return made


def pull(w, rail, *, now=make.NOW):
    return services.pull(rail=rail, during=scripted.window(now), actor=w.finance, now=now)


def explain(who, rail, entry=NOBODY, *, reason="后台人工收款", now=make.NOW):
    return explaining.explain(
        actor=who, rail=rail.code, day=DAY, entry=entry, kind=ExplanationKind.MANUAL, reason=reason, now=now
    )


def the_day(rail):
    [found] = queries.days(rail.code, during=scripted.window(), now=make.NOW)
    return found


def test_the_day_tells_what_is_explained_from_what_is_not(w, rail):
    made = explain(w.finance, rail)
    day = the_day(rail)
    assert (day.difference_fen, day.accounted_fen, day.unaccounted_fen) == (4_500, 4_200, 300)
    assert (day.open, day.unaccounted) == (2, 1)
    assert (made.state, made.decided_by) == ("accepted", None)
    record = Record.objects.get(action="reconciliation.explained")
    assert record.actor_user_id == w.finance.user_id
    assert record.data["reason"] == "后台人工收款"


def test_a_check_is_in_order_once_everything_is_explained(w, rail):
    explain(w.finance, rail)
    assert not pull(w, rail).in_order
    explain(w.finance, rail, "payment:pi_other")
    check = pull(w, rail)
    assert (check.difference_fen, check.accounted_fen, check.open_entries) == (4_500, 4_500, 2)
    assert check.in_order
    assert standing.open_items(DAY.replace(day=1), rails=[rail.code], now=make.NOW)["gateway"] == (0, 0)


def test_above_the_threshold_another_person_has_to_accept(w, rail, settings):
    settings.EXPLAIN_APPROVAL_FEN = 4_200
    both = make.actor(w.department, make.roles.Role.FINANCE_OFFICER, make.roles.Role.FINANCE_APPROVER)
    made = explain(both, rail)
    assert the_day(rail).accounted_fen == 0
    with pytest.raises(rules.OwnExplanation):
        explaining.accept(actor=both, explanation=made, now=make.NOW)
    with pytest.raises(Forbidden):
        explaining.accept(actor=w.finance, explanation=made, now=make.NOW)
    explaining.accept(actor=w.finance_approver, explanation=made, now=make.NOW)
    assert the_day(rail).accounted_fen == 4_200


def test_what_has_no_sum_in_yuan_needs_a_second_person_too(w, rail):
    foreign = rail.line(BalanceKind.PAYMENT, 9_900_000, "pi_usd", currency="USD")
    pull(w, rail)
    made = explain(w.finance, rail, f"line:{foreign.provider_id}")
    assert (made.difference_fen, made.state, the_day(rail).accounted) == (0, "proposed", 0)
    explaining.accept(actor=w.finance_approver, explanation=made, now=make.NOW)
    assert the_day(rail).accounted == 1


def test_is_undone_with_a_reason_and_may_be_said_anew(w, rail):
    made = explain(w.finance, rail)
    with pytest.raises(rules.ExplanationOpen):
        explain(w.finance, rail)
    with pytest.raises(rules.ReasonMissing):
        explaining.undo(actor=w.finance, explanation=made, note=" ", now=make.NOW)
    explaining.undo(actor=w.finance, explanation=made, note="是另一笔", now=make.NOW)
    assert the_day(rail).unaccounted_fen == 4_500
    with pytest.raises(InvalidTransition):
        explaining.undo(actor=w.finance, explanation=made, note="再撤", now=make.NOW)
    assert explain(w.finance, rail).pk != made.pk


def test_a_word_waiting_is_sent_back_or_taken_back(w, rail, settings):
    settings.EXPLAIN_APPROVAL_FEN = 1
    made = explain(w.finance, rail)
    with pytest.raises(Forbidden):
        explaining.send_back(actor=w.owner, explanation=made, note="x", now=make.NOW)
    assert (
        explaining.send_back(actor=w.finance_approver, explanation=made, note="缺单据", now=make.NOW).note == "缺单据"
    )
    mine = explain(w.finance, rail)
    assert explaining.send_back(actor=w.finance, explanation=mine, note="写错", now=make.NOW).state == "returned"


def test_another_difference_than_was_explained_is_unexplained(w, rail):
    explain(w.finance, rail)
    rail.line(BalanceKind.PAYMENT, 100, "pi_nobody")
    check = pull(w, rail)
    assert (check.difference_fen, check.accounted_fen) == (4_600, 0)
    assert explain(w.finance, rail, now=make.NOW).difference_fen == 4_300
    assert EntryExplanation.objects.filter(state="undone").count() == 1


def test_what_matches_or_is_of_another_day_needs_no_word(w, rail):
    attempt = PaymentAttempt.objects.get()
    for entry in (f"payment:{attempt.provider_id}", "payment:pi_none", ""):
        with pytest.raises(rules.NotOpen):
            explain(w.finance, rail, entry)
    with pytest.raises(rules.ReasonMissing):
        explain(w.finance, rail, reason="  ")


@pytest.mark.parametrize("who", ["auditor", "owner", "keeper", "finance_approver"])
def test_is_for_who_does_the_books(w, rail, who):
    with pytest.raises(Forbidden):
        explain(getattr(w, who), rail)


class TestBoundedCheck:
    def test_looks_at_the_days_that_may_differ_and_says_the_same_as_looking_at_all(self, w, rail, monkeypatch):
        looked = []
        real = queries.entries

        def entries(rail, *, during, now):
            looked.append(during)
            return real(rail, during=during, now=now)

        later = make.NOW + timedelta(days=40)
        scripted.paid(w, rail, 2, 700, when=later)
        monkeypatch.setattr(queries, "entries", entries)
        check = pull(w, rail, now=later)
        assert (check.open_entries, check.explained_fen, check.unexplained_fen) == (2, 4_500, 0)
        assert sum((each.duration for each in looked[0]), timedelta()) <= timedelta(days=8)

    def test_what_changes_on_a_day_long_past_is_seen(self, w, rail):
        attempt = PaymentAttempt.objects.get()
        disputed = scripted.disputed(rail, attempt, 10_000)
        pull(w, rail)
        later = make.NOW + timedelta(days=40)
        type(disputed).objects.filter(pk=disputed.pk).update(taken_fen=0, updated_at=later)
        check = pull(w, rail, now=later)
        assert (check.open_entries, check.explained_fen) == (3, 4_500 - 10_000)
        rail.line(BalanceKind.DISPUTE, 10_000, disputed.provider_id, at=later)
        check = pull(w, rail, now=later)
        assert (check.open_entries, check.explained_fen) == (2, 4_500)

    def test_takes_the_same_queries_however_long_the_past(self, w, rail, django_assert_max_num_queries):
        def days_of(number: int):
            for at in range(number):
                when = make.NOW - timedelta(days=3 * at + 30)
                rail.line(BalanceKind.PAYMENT, 5, f"pi_old_{number}_{at}", at=when)
            during = Period(make.NOW - timedelta(days=95), make.NOW)
            services.pull(rail=rail, during=during, actor=w.finance, now=make.NOW)

        days_of(1)
        days_of(20)
        with django_assert_max_num_queries(45):
            pull(w, rail)
        assert Money(queries.lines_fen(rail.code)) == Money(14_440 + 21 * 5)


def test_the_api_says_it_and_takes_it_back(w, rail):
    finance, approver = Caller(w.finance), Caller(w.finance_approver)
    body = {"rail": rail.code, "day": DAY.isoformat(), "entry": NOBODY, "kind": "manual", "reason": "后台人工收款"}
    said = finance.post("/reconciliation/explanations", body)
    assert (said.status, said.body["state"]) == (201, "accepted")
    day = finance.get(f"/reconciliation/rails/{rail.code}/days/{DAY}").body
    assert (day["accounted"]["fen"], day["unaccounted"]["fen"]) == (4_200, 300)
    [entry] = [each for each in day["entries"] if each["entry"] == NOBODY]
    assert entry["said"]["reason"] == "后台人工收款"
    undone = approver.post(f"/reconciliation/explanations/{said.body['id']}/undo", {"note": "查错"})
    assert (undone.status, undone.body["state"]) == (200, "undone")
    assert [each["state"] for each in finance.get("/reconciliation/explanations").body["items"]] == ["undone"]
    assert Caller(w.owner).get("/reconciliation/explanations").status == 403


def test_closing_a_month_does_not_stand_in_the_way_of_what_is_explained(w, rail):
    later = make.NOW + timedelta(days=10)
    pull(w, rail, now=later)
    for entry in (NOBODY, "payment:pi_other"):
        explain(w.finance, rail, entry)
    assert closing.propose(actor=w.finance, month=DAY.replace(day=1), note="", rails=[rail.code], now=later)
