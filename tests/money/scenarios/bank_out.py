"""Money out over the bank's statement: excess sent back, payouts shown by their lines, payments that bounce and are paid anew."""

from __future__ import annotations

import random
from datetime import timedelta

from portal.kernel.money import Money
from portal.organisations.rules import Kind
from tests import make
from tests.money.scenarios import scenario
from tests.money.scenarios.banking import _due, _fen, _take
from tests.scenarios import is_full
from tests.vouchers.banking.sheets import csv_file, row
from tests.vouchers.scenarios.vouchers import of_kind
from tests.vouchers.settlements import ordered
from vouchers.banking import services
from vouchers.banking.models import BankMatch, StatementLine
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.payments import unapplied
from vouchers.payments.models import Arrival
from vouchers.settlements import bouncing
from vouchers.settlements.models import SettlementBatch


def _line(reference: str) -> StatementLine:
    return StatementLine.objects.select_related("account").get(reference=reference)


@scenario("B5", commits=is_full())
def what_was_paid_too_much_goes_back_once(w: make.World) -> str:
    """Random overpayments by bank, sent back whole, in parts or applied to another payment; each statement comes twice."""
    number, dice = (100 if is_full() else 12), random.Random(5)
    kept = back = applied = 0
    for at in range(number):
        fen, more = dice.randint(100, 500_000), dice.randint(2, 50_000)
        payment = _due(w, f"B5-{at}", fen)
        _take(w, csv_file([row(f"B5-{at}", f"{(fen + more) / 100:.2f}", name="某公司")]), f"{at}.csv")
        parts = [Part(PartKind.PAYMENT, fen + more, payment=payment)]
        services.match(actor=w.finance, line=_line(f"B5-{at}"), parts=parts, now=make.NOW)
        arrival = Arrival.objects.get(payment=payment)
        kept += fen + more
        if at % 3 == 0:
            other = _due(w, f"B5-{at}-other", more)
            unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
            other.refresh_from_db()
            assert other.state == "confirmed"
            applied += more
            continue
        if at % 3 == 1:
            unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW)
        sums = [more] if at % 3 == 1 else [more // 2, more - more // 2]
        rows = [row(f"B5-{at}-{nth}", f"-{each / 100:.2f}") for nth, each in enumerate(sums)]
        for name in ("out.csv", "out again.csv"):
            _take(w, csv_file([*rows, row(f"B5-{at}-{name}", "0.01", name="无名")]), f"{at} {name}")
        for nth, each in enumerate(sums):
            found = _line(f"B5-{at}-{nth}")
            assert (found.state == "matched") == (at % 3 == 1)
            if found.state == "open":
                services.match(
                    actor=w.finance, line=found, parts=[Part(PartKind.EXCESS, each, payer=w.enterprise)], now=make.NOW
                )
        back += more
    assert _fen("unapplied_cash", f"organisation:{w.enterprise.pk}") == 0
    assert _fen("bank_clearing", "bank:main") == kept - back
    return (
        f"{number} overpayments: {Money(back)} went back by bank, {Money(applied)} paid other payments, nothing is left"
    )


@scenario("B6")
def a_payout_bounces_and_is_paid_anew(w: make.World) -> str:
    """Payment orders are shown by one line each; every third payment bounces, is booked back by two and paid anew."""
    orders, size = (6, 5) if is_full() else (2, 3)
    bounced = 0
    for at in range(orders):
        batches = [ordered.approved(w, make.organisation(Kind.PROVIDER), 10_000 + at) for _each in range(size)]
        order = ordered.exported(w, *batches)
        yuan = f"{(10_000 + at) / 100:.2f}"
        ordered.imported(w, order, ordered.answer(order, *((str(nth), yuan, "成功", "") for nth in range(1, size + 1))))
        total = f"-{(10_000 + at) * size / 100:.2f}"
        rows = [row(f"B6-{at}", total, name="代发", memo=f"批量代发 {order.number}")]
        for name in ("payout.csv", "payout again.csv"):
            _take(w, csv_file([*rows, row(f"B6-{at}-{name}", "0.01", name="无名")]), f"{at} {name}")
        assert BankMatch.objects.filter(line__reference=f"B6-{at}").count() == 1
        for nth, batch in enumerate(batches):
            batch.refresh_from_db()
            assert (batch.state, batch.bank_line) == ("reconciled", f"B6-{at}")
            if nth % 3:
                continue
            _bounce(w, batch, f"B6-{at}-{nth}", yuan)
            bounced += 1
            batch.refresh_from_db()
            assert (batch.state, batch.returns) == ("reconciled", 1)
    paid = sum((10_000 + at) * size for at in range(orders))
    assert (of_kind("settlement_clearing"), of_kind("cash_provider_payable")) == (0, 0)
    return f"{orders * size} payments of {orders} orders, {Money(paid)} paid, {bounced} bounced and were paid anew"


def _bounce(w: make.World, batch: SettlementBatch, reference: str, yuan: str) -> None:
    """Let a payment come back, be booked back by two persons, and go out again, shown by a line of its own."""
    before = of_kind("settlement_clearing")
    _take(w, csv_file([row(f"{reference}-T", yuan, name=batch.payee.name, memo="退票")]), f"{reference}-T.csv")
    made = services.match(
        actor=w.finance,
        line=_line(f"{reference}-T"),
        parts=[Part(PartKind.BOUNCE, batch.total_fen, batch=batch)],
        now=make.NOW,
    )
    services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    assert of_kind("settlement_clearing") == before + batch.total_fen
    bouncing.release(actor=w.finance, batch=batch, text="电话核实户名", now=make.NOW + timedelta(hours=1))
    again = ordered.exported(w, batch)
    ordered.imported(w, again, ordered.answer(again, ("1", yuan, "成功", "")), f"{reference}.csv")
    memo = again.lines.get().reference
    _take(w, csv_file([row(f"{reference}-N", f"-{yuan}", name="x", memo=memo)]), f"{reference}-N.csv")
