"""Gateways against our rows and the ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Forbidden
from portal.kernel.money import Money
from portal.kernel.period import Period
from tests import make
from tests.vouchers.reconciliation import scripted
from vouchers.ledger import verification
from vouchers.ledger.models import Journal, Transfer
from vouchers.payments.ports import BalanceKind
from vouchers.payments.rail_models import PaymentAttempt
from vouchers.reconciliation import queries, rules, services
from vouchers.reconciliation.models import GatewayLine
from vouchers.reconciliation.rules import Bucket, Cause


@pytest.fixture
def rail():
    return scripted.ScriptedRail()


def pull(w, rail, *, now=make.NOW):
    return services.pull(rail=rail, during=scripted.window(now), actor=w.finance, now=now)


def entries(rail, now=make.NOW):
    return queries.entries(rail.code, during=None, now=now)


@pytest.mark.django_db
class TestPull:
    def test_a_day_in_order_has_no_difference(self, w, rail):
        attempt = scripted.paid(w, rail, 1, 10_000, fee=60)
        scripted.refunded(rail, attempt, 2_500)
        scripted.disputed(rail, scripted.paid(w, rail, 2, 500), 500, fee=150)
        rail.line(BalanceKind.FEE, -30, "fee_1")
        rail.line(BalanceKind.PAYOUT, -5_000, "po_1")
        check = pull(w, rail)
        assert (check.held_fen, check.lines_fen, check.ledger_fen) == (2_260, 2_260, 2_260)
        assert check.in_order
        assert (check.new_lines, check.booked) == (6, 4)
        [day] = queries.days(rail.code, during=scripted.window(), now=make.NOW)
        assert (day.matched, day.open, day.difference_fen, day.fees_fen, day.payouts_fen) == (8, 0, 0, 240, 5_000)
        assert verification.verify() == []

    def test_pulling_again_changes_nothing(self, w, rail):
        scripted.paid(w, rail, 1, 10_000, fee=60)
        rail.line(BalanceKind.PAYOUT, -5_000, "po_1")
        first = pull(w, rail)
        journals = Journal.objects.count()
        again = pull(w, rail)
        assert (first.new_lines, again.new_lines, again.booked) == (2, 0, 0)
        assert (Journal.objects.count(), GatewayLine.objects.count()) == (journals, 2)

    def test_a_payout_is_booked_under_the_name_a_bank_line_looks_for(self, w, rail):
        rail.line(BalanceKind.PAYOUT, -5_000, "po_1")
        rail.line(BalanceKind.PAYOUT, 5_000, "po_1", at=make.NOW + timedelta(minutes=1))
        pull(w, rail)
        keys = list(Journal.objects.filter(kind="gateway_payout").order_by("pk").values_list("key", flat=True))
        assert keys == ["payout:scripted:po_1", "payout:scripted:po_1/returned"]
        assert queries.ledger_fen(rail.code) == 0

    def test_a_fee_given_back_is_booked(self, w, rail):
        rail.line(BalanceKind.FEE, -150, "fee_1")
        rail.line(BalanceKind.FEE, 150, "fee_1")
        assert pull(w, rail).in_order
        assert queries.ledger_fen(rail.code) == 0

    def test_a_line_reported_otherwise_than_before_is_named_and_not_taken(self, w, rail):
        scripted.paid(w, rail, 1, 10_000)
        pull(w, rail)
        rail.change(0, amount=Money(9_999), net=Money(9_999))
        check = pull(w, rail)
        assert check.changed == ["txn_000000"]
        assert not check.in_order
        assert GatewayLine.objects.get().amount_fen == 10_000

    def test_a_window_that_was_never_pulled_is_seen(self, w, rail):
        scripted.paid(w, rail, 1, 10_000, when=make.NOW - timedelta(days=20))
        check = pull(w, rail)
        assert (check.missing_fen, check.difference_fen, check.unexplained_fen) == (10_000, -10_000, 0)

    def test_only_finance_pulls(self, w, rail):
        with pytest.raises(Forbidden):
            services.pull(rail=rail, during=scripted.window(), actor=w.owner, now=make.NOW)
        assert rail.asked == 0

    def test_a_window_of_a_year_is_too_long(self, w, rail):
        during = Period(make.NOW - timedelta(days=365), make.NOW)
        with pytest.raises(services.WindowTooLong):
            services.pull(rail=rail, during=during, actor=w.finance, now=make.NOW)


@pytest.mark.django_db
class TestDifferences:
    def open_of(self, w, rail, now=make.NOW):
        check = pull(w, rail, now=now)
        assert check.unexplained_fen == 0
        return [(entry.bucket, entry.cause, entry.difference_fen) for entry in entries(rail, now) if entry.is_open]

    def test_a_line_that_is_missing(self, w, rail):
        scripted.paid(w, rail, 1, 10_000)
        rail.lines.clear()
        assert self.open_of(w, rail) == [(Bucket.OURS, Cause.NOT_REPORTED, -10_000)]
        later = make.NOW + timedelta(days=4)
        assert [entry.cause for entry in entries(rail, later)] == [Cause.NEVER_REPORTED]

    def test_an_amount_off_by_a_fen(self, w, rail):
        scripted.paid(w, rail, 1, 10_000)
        rail.change(0, amount=Money(10_001), net=Money(10_001))
        assert self.open_of(w, rail) == [(Bucket.DIFFERS, Cause.AMOUNT, 1)]

    def test_a_payment_of_somebody_elses(self, w, rail):
        rail.line(BalanceKind.PAYMENT, 700, "pi_foreign")
        assert self.open_of(w, rail) == [(Bucket.THEIRS, Cause.FOREIGN, 700)]

    def test_an_attempt_whose_answer_was_lost(self, w, rail):
        rail.line(BalanceKind.PAYMENT, 700, "pi_1")
        attempt = scripted.paid(w, scripted.ScriptedRail(code="other"), 1, 700)
        PaymentAttempt.objects.filter(pk=attempt.pk).update(rail=rail.code, state="unknown")
        assert self.open_of(w, rail) == [(Bucket.THEIRS, Cause.OPEN, 700)]

    def test_another_currency_is_never_booked(self, w, rail):
        rail.line(BalanceKind.FEE, -700, "fee_1", currency="USD")
        assert self.open_of(w, rail) == [(Bucket.THEIRS, Cause.CURRENCY, 0)]
        assert not Transfer.objects.exists()

    def test_a_move_of_a_kind_nobody_knows(self, w, rail):
        rail.line(BalanceKind.OTHER, 5, "adj_1")
        assert self.open_of(w, rail) == [(Bucket.THEIRS, Cause.UNKNOWN_KIND, 5)]

    def test_the_ledger_moved_without_a_row_is_not_explained(self, w, rail):
        attempt = scripted.paid(w, rail, 1, 10_000)
        PaymentAttempt.objects.filter(pk=attempt.pk).update(state="failed", amount_fen=1)
        rail.lines.clear()
        check = pull(w, rail)
        assert (check.difference_fen, check.unexplained_fen) == (-10_000, -10_000)

    def test_a_match_over_midnight_belongs_to_the_day_it_began(self, w, rail):
        attempt = scripted.paid(w, rail, 1, 10_000)
        late = make.NOW + timedelta(hours=20)
        PaymentAttempt.objects.filter(pk=attempt.pk).update(ended_at=late)
        pull(w, rail)
        found = queries.days(rail.code, during=scripted.window(), now=late)
        assert [(day.day, day.matched, day.difference_fen) for day in found] == [(rules.day_of(make.NOW), 1, 0)]

    def test_days_take_the_same_queries_however_much_moved(self, w, rail, django_assert_num_queries):
        for at in range(6):
            attempt = scripted.paid(w, rail, at, 1_000, fee=6)
            scripted.refunded(rail, attempt, 100)
        pull(w, rail)
        with django_assert_num_queries(7):
            queries.days(rail.code, during=scripted.window(), now=make.NOW)


KINDS = st.sampled_from([BalanceKind.PAYMENT, BalanceKind.REFUND, BalanceKind.DISPUTE])
LINES = st.lists(
    st.builds(
        rules.Theirs,
        st.uuids().map(str),
        st.sampled_from(list(BalanceKind)),
        st.integers(-10_000, 10_000),
        st.integers(-50, 50),
        st.integers(0, 6).map(str),
        st.just(make.NOW),
    ),
    max_size=12,
)
ROWS = st.lists(
    st.builds(
        rules.Ours,
        KINDS,
        st.text("R", min_size=1),
        st.integers(0, 6).map(str),
        st.integers(-10_000, 10_000),
        st.just(make.NOW),
    ),
    max_size=12,
    unique_by=lambda row: (row.kind, row.provider_id),
)


@given(theirs=LINES, ours=ROWS, some=st.integers(0, 12))
def test_every_fen_of_both_sides_is_in_exactly_one_entry(theirs, ours, some):
    booked = {
        line.provider_id: line.amount_fen
        for line in theirs[:some]
        if line.kind in {BalanceKind.FEE, BalanceKind.PAYOUT}
    }
    found = rules.compare(theirs, ours, booked=booked, now=make.NOW)
    assert sum(entry.theirs_fen for entry in found) == sum(line.amount_fen - line.fee_fen for line in theirs)
    assert sum(entry.ours_fen for entry in found) == sum(row.amount_fen for row in ours) + sum(booked.values())
    assert all(entry.difference_fen == 0 for entry in found if entry.bucket is Bucket.MATCHED)
