"""A seeded random walk over one programme, compared step by step with the model.

Amounts are drawn at the limit, one below and one above, and time jumps to a deadline, just before and just after:
uniform draws never meet the mistakes that hide at boundaries. The sweeper is one of the steps, so time also passes
without it. The model must predict *which* error: a constraint behind the function would otherwise hide its mistakes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from portal.kernel.errors import PortalError
from tests.vouchers.ledger.model import Model, ModelAccount, ModelHold
from tests.vouchers.ledger.world import Programme, open_account, posting, sums
from vouchers.ledger import queries, services
from vouchers.ledger.chart import AccountKind, JournalKind
from vouchers.ledger.models import Account
from vouchers.ledger.rules import HoldOp, Operation, Outcome, Posting, ResolveOp, TransferOp

Post = Callable[..., services.PostingResult]
START = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = (
    *("issue", "reserve", "award", "hold", "hold", "hold", "capture", "capture", "capture", "release", "expire_hold"),
    *("refund", "refund", "expire", "claw_unused", "claw_spent", "recycle", "cash_in", "batch_open", "batch_paid"),
    *("batch_rejected", "reverse", "replay", "again", "other_content", "astray", "close", "tick", "sweep"),
)


class Diverged(AssertionError):
    """The ledger and the model disagree."""


class Walk:
    """Steps over one programme of few vouchers: many operations each, so that they meet."""

    def __init__(self, seed: int, post: Post = services.post) -> None:
        self.dice, self.post, self.now = random.Random(seed), post, START
        self.model, self.taken = Model(), 0
        self.closed: list[int] = []
        first, second = Programme(budget_fen=10_000, code=f"W{seed}"), Programme(budget_fen=10_000, code=f"X{seed}")
        self.home, self.other = first, second
        self.vouchers = [open_account(AccountKind.VOUCHER, f"W{seed}/{n}", f"W{seed}") for n in range(3)]
        self.foreign = open_account(AccountKind.VOUCHER, f"X{seed}/0", f"X{seed}")
        self.hours = services.account(
            kind=AccountKind.VOUCHER, owner=f"W{seed}/hours", programme=f"W{seed}", fiscal_year=2026, unit="MCH"
        )
        for account in Account.objects.filter(pk__in=self._ids()):
            self.model.accounts[account.pk] = ModelAccount(
                AccountKind(account.kind), account.programme, unit=account.unit
            )
        for programme in (first, second):
            self.model.accounts[programme.appropriation].dr = 10_000
            self.model.accounts[programme.budget].cr = 10_000
        self.weights = [self.dice.choice((0, 1, 1, 4)) for _ in STEPS]

    def _ids(self) -> list[int]:
        plain = [value for p in (self.home, self.other) for value in vars(p).values() if type(value) is int]
        return [number for number in {*plain, *self.vouchers, self.foreign, self.hours} if number != 10_000]

    def run(self, steps: int) -> None:
        for number in range(steps):
            if number % 60 == 0:
                self.weights = [self.dice.choice((0, 1, 1, 4)) for _ in STEPS]
                self.weights[STEPS.index("hold")] = 4
            self.step(self.dice.choices(STEPS, self.weights)[0])
        if broken := queries.verify():
            raise Diverged(broken)

    def step(self, name: str) -> None:
        self.taken += 1
        if name == "tick":
            self._tick()
        elif name == "sweep":
            self._sweep()
        elif name == "close":
            self._close()
        elif (asked := self._draw(name)) is not None and (self.sensible(asked) or self.dice.random() < 0.2):
            self.submit(asked)

    def sensible(self, asked: Posting) -> bool:
        """Say whether every account that gives has something to give: most steps should do something."""
        return all(isinstance(op, ResolveOp) or self._left(op.debit) > 0 for op in asked.operations)

    def submit(self, asked: Posting) -> None:
        expected = self.model.predict(asked, self.now)
        result = None
        try:
            result = self.post(posting=asked, now=self.now)
            got = "replayed" if result.replayed else "ok"
        except PortalError as error:
            got = error.code
        if got != expected:
            raise Diverged(f"step {self.taken}: {asked} gave {got}, expected {expected}")
        if got not in {"ok", "replayed"}:
            self.model.refuse(asked, got)
        if got == "ok":
            self.model.accept(asked, self.now, result.journal_id, result.hold_ids)
        if got == "replayed" and list(result.hold_ids) != self.model.journals[asked.key].hold_ids:
            raise Diverged(f"step {self.taken}: replay of {asked.key} gave other holds")
        self.compare()

    def compare(self) -> None:
        expected = {number: account.sums() for number, account in self.model.accounts.items()}
        if (got := sums(list(expected))) != expected:
            wrong = {n: (got.get(n), expected[n]) for n in expected if got.get(n) != expected[n]}
            raise Diverged(f"step {self.taken}: balances (got, expected) {wrong}")

    # Steps that are not postings

    def _tick(self) -> None:
        deadlines = [h.deadline for h in self.model.holds.values() if h.outcome is None and h.deadline]
        ahead = sorted(deadline for deadline in deadlines if deadline > self.now)
        target = ahead[0] if ahead and self.dice.random() < 0.8 else self.now + timedelta(seconds=60)
        self.now = max(self.now, target + self.dice.choice((-1, 0, 0, 1)) * timedelta(microseconds=1))

    def _sweep(self) -> None:
        due = {n for n, h in self.model.holds.items() if h.outcome is None and h.deadline and h.deadline <= self.now}
        ended = services.release_overdue(now=self.now)
        if set(ended) != due:
            raise Diverged(f"step {self.taken}: the sweeper ended {ended}, due were {due}")
        for number in ended:
            hold = self.model.holds[number]
            hold.outcome = Outcome.EXPIRED
            self.model.accounts[hold.debit].held_dr -= hold.amount
            self.model.accounts[hold.credit].held_cr -= hold.amount
        self.compare()

    def _close(self) -> None:
        if self.dice.random() < 0.7:
            return
        number = self.dice.choice([*self.vouchers, self.home.receivable])
        account = self.model.accounts[number]
        empty = account.dr == account.cr and not account.held_dr and not account.held_cr
        try:
            services.close_account(account_id=number, now=self.now)
            closed = True
        except PortalError as error:
            closed = error.code != "ledger.not_empty"
        if closed != empty:
            raise Diverged(f"step {self.taken}: closing account {number} gave {closed}, expected {empty}")
        account.closed = account.closed or closed
        if account.closed and number in self.vouchers:
            fresh = open_account(AccountKind.VOUCHER, f"{self.home.code}/{self.taken}/new", self.home.code)
            self.vouchers[self.vouchers.index(number)] = fresh
            self.closed.append(number)
            self.model.accounts[fresh] = ModelAccount(AccountKind.VOUCHER, self.home.code)

    # Postings

    def _amount(self, limit: int) -> int:
        choices = (1, limit - 1, limit, limit, limit + 1, self.dice.randint(1, max(1, limit)))
        return max(1, self.dice.choice(choices))

    def _left(self, account: int) -> int:
        return self.model.accounts[account].left() if account in self.model.accounts else 0

    def _a_hold(self, *, captured: bool) -> int | None:
        """Return a recent hold of a charge in the state that fits, now and then one that does not."""
        odd = self.dice.random() < 0.15
        found = [
            number
            for number, hold in self.model.holds.items()
            if odd
            or ((hold.outcome is Outcome.CAPTURED if captured else hold.outcome is None) and self._of_charge(hold))
        ]
        return self.dice.choice(found[-12:]) if found else None

    def _of_charge(self, hold: ModelHold) -> bool:
        return hold.debit != self.home.budget

    def _draw(self, name: str) -> Posting | None:
        drawn: Posting | None = getattr(self, f"_{name}")()
        return drawn

    def _move(self, kind: JournalKind, debit: int, credit: int, limit: int, **more: object) -> Posting:
        return posting(kind, TransferOp(debit, credit, self._amount(limit)), **more)

    def _issue(self) -> Posting:
        return self._move(
            JournalKind.ISSUE, self.home.budget, self.dice.choice(self.vouchers), self._left(self.home.budget) // 4
        )

    def _reserve(self) -> Posting:
        amount = self._amount(min(self._left(self.home.budget), 900))
        credit = self.dice.choice((*self.vouchers, self.home.claimant))
        return posting(JournalKind.RESERVE, HoldOp(self.home.budget, credit, amount))

    def _award(self) -> Posting | None:
        open_ = [n for n, h in self.model.holds.items() if h.debit == self.home.budget and h.outcome is None]
        if not open_:
            return None
        number = self.dice.choice(open_)
        amount = self._amount(self.model.holds[number].amount)
        kind = JournalKind.AWARD if self.model.holds[number].credit == self.home.claimant else JournalKind.ISSUE
        return posting(kind, ResolveOp(number, Outcome.CAPTURED, amount))

    def _hold(self) -> Posting:
        voucher = self.dice.choice(self.vouchers)
        owed = self.dice.choice((self.home.payable, self.home.payable, self.home.claimant))
        legs = [HoldOp(voucher, owed, self._amount(self._left(voucher)), self.dice.choice((None, 5, 60)))]
        if self.dice.random() < 0.4:
            legs.append(HoldOp(self.home.cash_due, self.home.cash_payable, self.dice.randint(1, 500)))
        return posting(JournalKind.HOLD, *legs)

    def _capture(self) -> Posting | None:
        numbers = {self._a_hold(captured=False), self._a_hold(captured=False)} - {None}
        operations = [
            ResolveOp(n, Outcome.CAPTURED, self._amount(self.model.holds[n].amount))
            if self.dice.random() < 0.9
            else ResolveOp(n, Outcome.RELEASED)
            for n in sorted(numbers)
        ]
        return posting(JournalKind.CAPTURE, *operations) if operations else None

    def _release(self) -> Posting | None:
        number = self._a_hold(captured=False)
        return posting(JournalKind.RELEASE, ResolveOp(number, Outcome.RELEASED)) if number else None

    def _expire_hold(self) -> Posting | None:
        number = self._a_hold(captured=False)
        return posting(JournalKind.RELEASE, ResolveOp(number, Outcome.EXPIRED)) if number else None

    def _refund(self) -> Posting | None:
        number = self._a_hold(captured=True)
        if number is None:
            return None
        hold = self.model.holds[number]
        credit = self.dice.choice((hold.debit, hold.debit, hold.debit, self.home.expired, self.vouchers[0]))
        debts = (self.home.receivable, self.home.receivable_enterprise)
        debit = self.dice.choice((hold.credit, hold.credit, hold.credit, *debts))
        amount = self._amount(hold.captured - hold.refunded)
        return posting(JournalKind.REFUND, TransferOp(debit, credit, amount, refunds_hold=number))

    def _expire(self) -> Posting:
        voucher = self.dice.choice(self.vouchers)
        return self._move(JournalKind.EXPIRE, voucher, self.home.expired, self._left(voucher))

    def _claw_unused(self) -> Posting:
        voucher = self.dice.choice(self.vouchers)
        return self._move(JournalKind.CLAW_UNUSED, voucher, self.home.clawed_back, self._left(voucher) // 3)

    def _claw_spent(self) -> Posting:
        debt = self.dice.choice((self.home.receivable_enterprise, self.home.receivable))
        return self._move(JournalKind.CLAW_SPENT, debt, self.home.clawed_back, 300)

    def _recycle(self) -> Posting:
        source = self.dice.choice((self.home.expired, self.home.clawed_back))
        target = self.dice.choice((self.home.budget, self.home.budget, self.home.appropriation))
        kind = JournalKind.RECYCLE if target == self.home.budget else JournalKind.RETURN_UNUSED
        return self._move(kind, source, target, min(self._left(source), 300))

    def _cash_in(self) -> Posting:
        return self._move(JournalKind.CASH_IN, self.home.bank, self.home.cash_due, 200)

    def _batch_open(self) -> Posting:
        debit = self.dice.choice((self.home.payable, self.home.claimant, self.home.cash_payable))
        if debit == self.home.claimant and self.dice.random() < 0.3:
            debt = self.home.receivable_enterprise
            return self._move(JournalKind.BATCH_OPEN, debit, debt, self._left(debt))
        if debit == self.home.payable and self.dice.random() < 0.3:
            return self._move(JournalKind.BATCH_OPEN, debit, self.home.receivable, self._left(self.home.receivable))
        if debit == self.home.cash_payable:
            return self._move(JournalKind.BATCH_OPEN, debit, self.home.clearing, 100)
        return self._move(JournalKind.BATCH_OPEN, debit, self.home.clearing, self._left(debit))

    def _batch_paid(self) -> Posting:
        limit = self._left(self.home.clearing)
        return self._move(JournalKind.BATCH_PAID, self.home.clearing, self.home.settled, limit)

    def _batch_rejected(self) -> Posting:
        limit = self._left(self.home.clearing)
        owed = self.dice.choice((self.home.payable, self.home.claimant))
        return self._move(JournalKind.BATCH_REJECTED, self.home.clearing, owed, limit)

    def _reverse(self) -> Posting | None:
        if not self.model.by_id:
            return None
        number = self.dice.choice(list(self.model.by_id)[-25:])
        return posting(JournalKind.REVERSE, reverses=number)

    def _replay(self) -> Posting | None:
        known = list(self.model.journals.values())
        return (
            replace(self.dice.choice(known[-20:]).posting, actor="another hand", approved_by="third") if known else None
        )

    def _again(self) -> Posting | None:
        """Send a refused key again: money may have come in since, or a deadline passed."""
        known = list(self.model.refused.values())
        return replace(self.dice.choice(known[-20:])[0], actor="another hand", approved_by="third") if known else None

    def _other_content(self) -> Posting | None:
        known = [journal.posting for journal in self.model.journals.values()][-20:]
        known += [posting for posting, _answer in self.model.refused.values()][-5:]
        if not known:
            return None
        asked = self.dice.choice(known)
        if self.dice.random() < 0.3 or not asked.operations:
            return replace(asked, source_id="2")
        return replace(asked, operations=(*asked.operations[:-1], self._changed(asked.operations[-1])))

    @staticmethod
    def _changed(operation: Operation) -> Operation:
        if isinstance(operation, ResolveOp):
            return ResolveOp(operation.hold + 1, operation.outcome, operation.captured_fen)
        return replace(operation, amount_fen=operation.amount_fen + 1)

    def _astray(self) -> Posting:
        """A movement that no rule allows: another programme, another unit, a flow not listed, a closed account, or none."""
        debit, credit = self.dice.choice(
            (
                (self.home.budget, self.foreign),
                (self.home.budget, self.hours),
                (self.home.budget, self.home.settled),
                (self.home.budget, 2**40),
                (self.vouchers[0], self.vouchers[1]),
                (self.home.budget, self.dice.choice(self.closed or self.vouchers)),
            )
        )
        return self._move(JournalKind.ISSUE, debit, credit, 10)
