"""The clock drafts what was earned before the end of a period, once; a person checks it, another approves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.kernel.money import Money
from tests import make
from tests.vouchers.scenarios.vouchers import bought, granted
from vouchers.charges import services as charges
from vouchers.payments import services as payments
from vouchers.settlements import cadences, drafting, queries, rules, services
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_rules import SettlementCadence, last_period

MONDAY = datetime(2026, 11, 29, 16, 0, tzinfo=UTC)
"""Monday, 30 November, 00:00 in Beijing: the week of `make.NOW` is over."""


@pytest.mark.parametrize(
    ("cadence", "start", "end"),
    [
        (SettlementCadence.WEEKLY, "2026-11-16", "2026-11-23"),
        (SettlementCadence.MONTHLY, "2026-10-01", "2026-11-01"),
        (SettlementCadence.QUARTERLY, "2026-07-01", "2026-10-01"),
    ],
)
def test_the_last_period_ends_in_beijing(cadence, start, end):
    found = last_period(cadence, make.NOW)
    days = [moment.astimezone(make.BEIJING).date().isoformat() for moment in (found.start, found.end)]
    assert days == [start, end]
    assert last_period(SettlementCadence.ON_DEMAND, make.NOW) is None


def test_january_looks_back_into_the_year_before():
    found = last_period(SettlementCadence.QUARTERLY, datetime(2027, 1, 5, tzinfo=UTC))
    assert found.start.astimezone(make.BEIJING).date().isoformat() == "2026-10-01"


def weekly(w, code=""):
    cadences.set_terms(
        actor=w.finance_approver,
        programme_code=code,
        cadence=SettlementCadence.WEEKLY,
        needs_check=False,
        now=make.NOW,
    )


def test_nothing_is_drafted_on_demand(w):
    bought(w, [granted(w, 1000)], 10_000)
    assert drafting.draft_due(now=MONDAY) == []


def test_what_was_earned_before_the_cut_off_is_drafted_once(w):
    voucher = granted(w, 1000)
    weekly(w, voucher.programme_code)
    bought(w, [voucher], 10_000)
    assert drafting.draft_due(now=MONDAY - timedelta(seconds=1)) == [], "the week is not over"
    bought(w, [voucher], 4_000, now=MONDAY, subject="job:J-2")
    [batch] = drafting.draft_due(now=MONDAY + timedelta(hours=1))
    assert (batch.total_fen, batch.created_by) == (5_000, None)
    assert drafting.draft_due(now=MONDAY + timedelta(hours=2)) == []
    [later] = drafting.draft_due(now=MONDAY + timedelta(days=7))
    assert later.total_fen == 2_000


def test_a_batch_of_the_clock_is_checked_by_one_and_approved_by_another(w):
    weekly(w)
    bought(w, [granted(w, 1000)], 10_000)
    [batch] = drafting.draft_due(now=MONDAY)
    with pytest.raises(rules.NotChecked):
        services.approve(actor=w.finance_approver, batch=batch, now=MONDAY)
    services.check(actor=w.finance_approver, batch=batch, now=MONDAY)
    with pytest.raises(rules.CheckerIsAnother):
        services.approve(actor=w.finance_approver, batch=batch, now=MONDAY)
    other = make.actor(w.department, make.roles.Role.FINANCE_APPROVER)
    assert services.approve(actor=other, batch=batch, now=MONDAY).state == "approved"
    services.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=MONDAY)
    assert SettlementBatch.objects.get().state == "paid"


@pytest.mark.parametrize("payees", [1, 4])
def test_a_round_without_anything_to_draft_asks_as_much_for_one_payee_as_for_four(w, payees, django_assert_num_queries):
    weekly(w)
    for at in range(payees):
        provider = make.organisation(make.roles.Kind.PROVIDER)
        bill = charges.Bill(f"job:Q-{at}", "compute", w.enterprise.pk, provider.pk, Money(1_000), {})
        held = charges.hold(bill=bill, vouchers=[], actor=w.researcher, now=MONDAY)
        charge = charges.capture(charge_id=held.pk, actual=Money(1_000), measured={}, actor=w.keeper, now=MONDAY)
        payments.confirm(actor=w.finance, payment=charge.payment, bank_reference=f"B-{at}", now=MONDAY)
    assert len(queries.due_by_payee(now=MONDAY)) == payees
    with django_assert_num_queries(13):
        assert drafting.draft_due(now=MONDAY + timedelta(hours=1)) == []
