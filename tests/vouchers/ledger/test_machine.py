"""The same model, driven by Hypothesis: fewer steps than the walk, but a failure shrinks to the shortest story."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.vouchers.ledger.walk import Walk
from tests.vouchers.ledger.world import posting
from vouchers.ledger import queries
from vouchers.ledger.chart import JournalKind
from vouchers.ledger.rules import HoldOp, Outcome, ResolveOp, TransferOp

near = st.sampled_from((-1, 0, 1))
vouchers = st.integers(0, 2)


class LedgerMachine(RuleBasedStateMachine):
    holds = Bundle("holds")
    captured = Bundle("captured")

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.walk = Walk(0)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    def _left(self, account: int, by: int) -> int:
        return max(1, self.walk.model.accounts[account].left() + by)

    @rule(number=vouchers, amount=st.integers(1, 3_000))
    def issue(self, number: int, amount: int) -> None:
        op = TransferOp(self.walk.home.budget, self.walk.vouchers[number], amount)
        self.walk.submit(posting(JournalKind.ISSUE, op))

    @rule(target=holds, number=vouchers, share=st.sampled_from((1, 2)), by=near, ttl=st.sampled_from((None, 5)))
    def hold(self, number: int, share: int, by: int, ttl: int | None) -> object:
        voucher = self.walk.vouchers[number]
        before = set(self.walk.model.holds)
        op = HoldOp(voucher, self.walk.home.payable, max(1, self._left(voucher, by) // share), ttl)
        self.walk.submit(posting(JournalKind.HOLD, op))
        return multiple(*(set(self.walk.model.holds) - before))

    @rule(target=captured, hold=consumes(holds), by=near)
    def capture(self, hold: int, by: int) -> object:
        held = self.walk.model.holds[hold]
        self.walk.submit(posting(JournalKind.CAPTURE, ResolveOp(hold, Outcome.CAPTURED, max(1, held.amount + by))))
        return hold if held.outcome is Outcome.CAPTURED else multiple()

    @rule(hold=st.one_of(holds, captured), outcome=st.sampled_from((Outcome.RELEASED, Outcome.EXPIRED)))
    def end(self, hold: int, outcome: Outcome) -> None:
        self.walk.submit(posting(JournalKind.RELEASE, ResolveOp(hold, outcome)))

    @rule(hold=captured, by=near, lapsed=st.booleans())
    def refund(self, hold: int, by: int, lapsed: bool) -> None:
        held = self.walk.model.holds[hold]
        amount = max(1, held.captured - held.refunded + by)
        to = self.walk.home.expired if lapsed else held.debit
        self.walk.submit(posting(JournalKind.REFUND, TransferOp(held.credit, to, amount, refunds_hold=hold)))

    @rule(number=vouchers, by=near)
    def expire(self, number: int, by: int) -> None:
        voucher = self.walk.vouchers[number]
        self.walk.submit(
            posting(JournalKind.EXPIRE, TransferOp(voucher, self.walk.home.expired, self._left(voucher, by)))
        )

    @rule(
        name=st.sampled_from(
            ("replay", "other_content", "reverse", "astray", "batch_open", "batch_paid", "sweep", "tick")
        )
    )
    def other(self, name: str) -> None:
        self.walk.step(name)

    @rule(seconds=st.sampled_from((1, 5)))
    def wait(self, seconds: int) -> None:
        self.walk.now += timedelta(seconds=seconds)

    @invariant()
    def whole(self) -> None:
        assert queries.unaccounted_fen() == 0


@pytest.mark.django_db
def test_no_story_makes_ledger_and_model_disagree() -> None:
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
