"""Reconciliation: a gateway's report against our rows and the ledger, and months closed with figures that stay."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from portal.kernel.money import Money
from portal.kernel.period import Period
from tests import make
from tests.adapters.rails import RailBench, client_of, stripe_rail
from tests.money.scenarios import scenario
from tests.scenarios import is_full
from tests.vouchers.reconciliation import scripted
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments.ports import BalanceKind
from vouchers.reconciliation import closing, queries, services
from vouchers.reconciliation.models import GatewayCheck, MonthFigure
from vouchers.reconciliation.rules import Bucket


def _busy_day(w: make.World, rail: scripted.ScriptedRail, number: int) -> int:
    dice, paid = random.Random(7), 0
    for at in range(number):
        fen = dice.randint(100, 900_000)
        attempt = scripted.paid(w, rail, at, fen, fee=fen * 6 // 1000)
        paid += fen
        if at % 10 == 0:
            scripted.refunded(rail, attempt, fen // 3)
        if at == 7:
            scripted.disputed(rail, attempt, fen, fee=1_500)
    rail.line(BalanceKind.FEE, -2_000, "fee_account")
    rail.line(BalanceKind.PAYOUT, -(rail.balance_now().fen // 2), "po_1")
    return paid


def _pulled(w: make.World, rail: scripted.ScriptedRail) -> GatewayCheck:
    return services.pull(rail=rail, during=scripted.window(), actor=w.finance, now=make.NOW)


@scenario("M61")
def a_day_comes_out_at_zero(w: make.World) -> str:
    """A day of payments, refunds, fees, a payout and a dispute reconciles to 0, once and again."""
    number, rail = 200 if is_full() else 40, scripted.ScriptedRail()
    paid = _busy_day(w, rail, number)
    for _again in range(3):
        check = _pulled(w, rail)
        assert check.in_order
        assert check.held_fen == check.lines_fen == check.ledger_fen
    [day] = queries.days(rail.code, during=scripted.window(), now=make.NOW)
    assert (day.difference_fen, day.open) == (0, 0)
    return (
        f"{number} payments of {Money(paid)}, fees {Money(day.fees_fen)}, payout {Money(day.payouts_fen)}:"
        f" {day.matched} matched, held {Money(check.held_fen)}, difference {Money(day.difference_fen)}"
    )


@scenario("M62")
def each_difference_is_named(w: make.World) -> str:
    """Of such a day one line is missing, one is off by a fen, one is nobody's: each is named, and they explain all."""
    number, rail = 200 if is_full() else 40, scripted.ScriptedRail()
    _busy_day(w, rail, number)
    payments = [at for at, line in enumerate(rail.lines) if line.kind is BalanceKind.PAYMENT]
    off, gone = rail.lines[payments[3]], rail.lines[payments[5]]
    rail.change(payments[3], amount=Money(off.amount.fen + 1), net=Money(off.net.fen + 1))
    del rail.lines[payments[5]]
    rail.line(BalanceKind.PAYMENT, 4_200, "pi_nobody")
    check = _pulled(w, rail)
    found = {entry.bucket: entry for entry in queries.entries(rail.code, during=None, now=make.NOW) if entry.is_open}
    assert check.open_entries == len(found) == 3
    assert (found[Bucket.DIFFERS].source, found[Bucket.DIFFERS].difference_fen) == (off.source, 1)
    assert (found[Bucket.OURS].source, found[Bucket.OURS].difference_fen) == (gone.source, -gone.amount.fen)
    assert (found[Bucket.THEIRS].source, found[Bucket.THEIRS].difference_fen) == ("pi_nobody", 4_200)
    assert check.difference_fen == check.explained_fen == 4_201 - gone.amount.fen
    return f"difference {Money(check.difference_fen)} in 3 lines, unexplained {Money(check.unexplained_fen)}"


@scenario("M63")
def a_closed_month_stays(w: make.World) -> str:
    """A month is closed by two persons; what is recorded afterwards changes none of its figures, though it is dated into it."""
    rail = scripted.ScriptedRail()
    _busy_day(w, rail, 12)
    _pulled(w, rail)
    month, later = date(2026, 11, 1), make.NOW + timedelta(days=10)
    closing.propose(actor=w.finance, month=month, note="一笔争议处理中", rails=[rail.code], now=later)
    closed = closing.approve(actor=w.finance_approver, month=month, now=later)
    fees = AccountKey(AccountKind.FEES, "rail:late")
    late = Posting(
        kind=JournalKind.FEE,
        key="gateway:late:1",
        operations=[TransferOp(fees, AccountKey(AccountKind.GATEWAY_CLEARING, "rail:late"), 700)],
        actor="scenario",
        source_type="gateway",
        source_id="late:1",
        effective_at=make.NOW,
    )
    ledger.post(posting=late, now=later)
    assert closing.verify() == []
    december = closing.shown(date(2026, 12, 1), rails=[], now=later)
    assert [row.debit for row in december.figures if row.owner == fees.owner and row.kind == fees.kind] == [700]
    return f"{MonthFigure.objects.filter(close=closed).count()} figures frozen, {closed.hash[:16]}"


@scenario("M64")
def the_sandbox_comes_out_at_zero_over_http(w: make.World, payserver: Any) -> str:
    """The same over HTTP: payments, refunds, a dispute, an account fee and a payout of the sandbox server; then a foreign one."""
    number, now = 200 if is_full() else 12, datetime.now(UTC)
    rail = stripe_rail(payserver.key, payserver.address)
    bench = RailBench(rail, client_of(payserver.key, payserver.address))
    for at in range(number):
        fen = 10_000 + at
        attempt = scripted.attempted(w, rail.code, at, fen, bench.charge(amount=fen), when=now)
        if at % 4 == 0:
            back = rail.refund(attempt.provider_id, number=f"R{at}", amount=Money(at + 1), reason="", key=f"R{at}")
            scripted.returned(attempt, at + 1, back.provider_id, when=now)
        if at == 1:
            opened = payserver.order("disputes", {"payment_intent": attempt.provider_id, "amount": fen})
            scripted.objected(attempt, fen, opened["id"], when=now)
    payserver.order("fees", {"amount": 700})
    payserver.advance(30 * 86_400)
    bench.client.payouts.create({"amount": 50_000, "currency": "cny"})
    during = Period(now - timedelta(days=1), now + timedelta(days=32))
    for _again in range(2):
        check = services.pull(rail=rail, during=during, actor=w.finance, now=now)
        assert check.in_order, [entry for entry in queries.entries(rail.code, during=None, now=now) if entry.is_open]
    bench.charge(amount=777)
    foreign = services.pull(rail=rail, during=during, actor=w.finance, now=now)
    assert (foreign.open_entries, foreign.unexplained_fen, foreign.missing_fen) == (1, 0, 0)
    [entry] = [entry for entry in queries.entries(rail.code, during=None, now=now) if entry.is_open]
    assert (entry.bucket, entry.theirs_fen) == (Bucket.THEIRS, 777)
    return f"{number} payments: held {Money(check.held_fen)} = lines = ledger, difference 0; one foreign payment named"
