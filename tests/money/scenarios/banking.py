"""Bank transfer by statements: instalments, a long statement with faults, two people at once, by hand and by line."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from tests import make
from tests.money.scenarios import scenario
from tests.scenarios import is_full
from tests.vouchers.banking.sheets import csv_file, row
from vouchers.banking import automatic, importing, services, undoing
from vouchers.banking.models import BankMatch, StatementImport, StatementLine
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.charges import services as charges
from vouchers.evidence.rules import Upload
from vouchers.ledger import queries as balances
from vouchers.ledger.models import Account
from vouchers.payments import services as payments
from vouchers.payments.models import Arrival, Payment

SYSTEM = Actor.system("scenario")


def _due(w: make.World, subject: str, fen: int) -> Payment:
    bill = charges.Bill(f"order:{subject}", "compute", w.enterprise.pk, w.lab.pk, Money(fen), {})
    charge = charges.hold(bill=bill, vouchers=[], actor=w.owner, now=make.NOW)
    charges.capture(charge_id=charge.pk, actual=Money(fen), measured={}, actor=w.keeper, now=make.NOW)
    return Payment.objects.get(charge=charge)


def _take(w: make.World, content: bytes, name: str = "statement.csv") -> StatementImport:
    made = importing.import_file(
        actor=w.finance,
        account=importing.main_account(now=make.NOW),
        upload=Upload(name, content),
        now=make.NOW,
        accept=True,
    )
    automatic.look_through(import_id=made.pk, now=make.NOW)
    made.refresh_from_db()
    return made


def _fen(kind: str, owner: str) -> int:
    found = list(Account.objects.filter(kind=kind, owner=owner).values_list("pk", flat=True))
    return sum(one.posted_fen for one in balances.balances(account_ids=found).values())


@scenario("S15")
def an_order_is_paid_in_three_instalments(w: make.World) -> str:
    """¥88,000.00 by bank transfer in 30,000 + 30,000 + 28,500: paid after the third, ¥500.00 unapplied; imported twice."""
    payment = _due(w, "S15", 8_800_000)
    code = payment.reference
    rows = [
        row("S15-1", "30,000.00", memo=f"算力款 {code[:5]} {code[5:]}", balance="30000.00"),
        row("S15-2", "30,000.00", memo=code.lower(), balance="60000.00"),
        row("S15-3", "28,500.00", memo=f"附言{code}尾款", balance="88500.00"),
    ]
    states = []
    for count in (1, 2, 3, 3):
        _take(w, csv_file(rows[:count], encoding="gb18030"))
        last = StatementLine.objects.select_related("account").get(reference=f"S15-{count}")
        if last.state == "open":  # more than what lacks: a person decides
            services.match(
                actor=w.finance, line=last, parts=[Part(PartKind.PAYMENT, 2_850_000, payment=payment)], now=make.NOW
            )
        payment.refresh_from_db()
        states.append((payment.state, payment.paid_fen))
    again = _take(w, csv_file(rows), "the same as UTF-8.csv")
    payment.refresh_from_db()
    assert states == [("due", 3_000_000), ("due", 6_000_000), ("confirmed", 8_800_000), ("confirmed", 8_800_000)]
    assert (again.lines_new, again.lines_known) == (0, 3)
    unapplied = _fen("unapplied_cash", f"organisation:{w.enterprise.pk}")
    assert (unapplied, _fen("bank_clearing", "bank:main")) == (50_000, 8_850_000)
    assert (Arrival.objects.count(), StatementLine.objects.count()) == (3, 3)
    return f"paid {Money(payment.paid_fen)}, unapplied {Money(unapplied)}"


def _long(w: make.World, size: int) -> tuple[list[list[str]], int, int]:
    """Return rows of a month: four fifths name a payment, the rest is of nobody, each fiftieth is faulty."""
    dice, balance = random.Random(88), 0
    rows, named, faulty = [], 0, 0
    for at in range(size):
        fen = dice.randint(1, 500_000)
        yuan = f"{fen / 100:,.2f}"
        if at % 50 == 7:
            faulty += 1
            rows.append(row(f"B1-{at}", dice.choice(["一万元", "1.2.3", "=1+1", "0.005"])))
            continue
        balance += fen
        memo, name = "", f"某公司{at}"
        if at % 5:
            named += 1
            code = _due(w, f"B1-{at}", fen).reference
            memo = dice.choice([code, code.lower(), f"货款{code}", f"{code[:4]} {code[4:]}", f"（{code}）技术服务"])
            name = w.enterprise.name
        rows.append(row(f"B1-{at}", yuan, memo=memo, name=name, balance=f"{balance / 100:.2f}"))
    return rows, named, faulty


@scenario("B1", commits=True)
def a_long_statement_is_matched(w: make.World) -> str:
    """A month of transfers with faulty rows: each good row is taken once, what names a payment is matched, nothing is lost."""
    size = 10_000 if is_full() else 300
    rows, named, faulty = _long(w, size)
    content = csv_file(rows, encoding="gb18030")
    started = time.perf_counter()
    found = importing.preview(account=importing.main_account(now=make.NOW), upload=Upload("b1.csv", content))
    looked_at = time.perf_counter() - started
    assert (found.new, found.faults, found.statement.gaps) == (size - faulty, faulty, ())
    started = time.perf_counter()
    made = importing.import_file(
        actor=w.finance,
        account=importing.main_account(now=make.NOW),
        upload=Upload("b1.csv", content),
        now=make.NOW,
        accept=True,
    )
    taken = time.perf_counter() - started
    started = time.perf_counter()
    automatic.look_through(import_id=made.pk, now=make.NOW)
    matching = time.perf_counter() - started
    made.refresh_from_db()
    assert (made.lines_new, made.lines_faulty, made.looked, made.matched) == (
        size - faulty,
        faulty,
        size - faulty,
        named,
    )
    assert Payment.objects.filter(state="confirmed").count() == named
    booked = sum(Arrival.objects.values_list("amount_fen", flat=True))
    assert _fen("bank_clearing", "bank:main") == booked
    again = _take(w, csv_file(rows), "again.csv")
    assert (again.lines_new, again.lines_known, Arrival.objects.count()) == (0, size - faulty, named)
    return (
        f"{size} rows, {faulty} faulty, {named} matched of {made.lines_new} ({named * 100 // made.lines_new} %);"
        f" preview {looked_at:.1f} s, import {taken:.1f} s, matching {matching:.1f} s"
        f" ({matching * 1000 / made.lines_new:.1f} ms a line)"
    )


@scenario("B2", commits=True)
def two_people_match_one_line(w: make.World) -> str:
    """Two people match one line at once to two payments, over and over: one of them does, the money is booked once."""
    rounds = 30 if is_full() else 4
    rival = make.actor(w.department, make.roles.Role.FINANCE_OFFICER)
    total = 0
    for at in range(rounds):
        fen = 10_000 + at
        ours = [_due(w, f"B2-{at}-{each}", fen) for each in range(2)]
        _take(w, csv_file([row(f"B2-{at}", f"{fen / 100:.2f}", name="某公司")]), f"{at}.csv")
        line = StatementLine.objects.select_related("account").get(reference=f"B2-{at}")

        def press(pair: tuple[Any, Payment], line: StatementLine = line, fen: int = fen) -> str:
            actor, payment = pair
            try:
                parts = [Part(PartKind.PAYMENT, fen, payment=payment)]
                services.match(actor=actor, line=line, parts=parts, now=make.NOW)
            except PortalError as error:
                return error.code
            finally:
                connection.close()
            return "matched"

        with ThreadPoolExecutor(2) as threads:
            said = sorted(threads.map(press, zip((w.finance, rival), ours, strict=True)))
        assert said == ["conflict.transition", "matched"]
        total += fen
        assert _fen("bank_clearing", "bank:main") == total
    return f"{rounds} races, {Money(total)} booked"


@scenario("B3", commits=True)
def by_hand_and_by_line_at_once(w: make.World) -> str:
    """Finance confirms by hand while the statement line of the same money is matched: whoever wins, it is booked once."""
    rounds = 30 if is_full() else 4
    by_hand, total = 0, 0
    for at in range(rounds):
        fen = 20_000 + at
        payment = _due(w, f"B3-{at}", fen)
        made = importing.import_file(
            actor=w.finance,
            account=importing.main_account(now=make.NOW),
            upload=Upload(f"{at}.csv", csv_file([row(f"B3-{at}", f"{fen / 100:.2f}", memo=payment.reference)])),
            now=make.NOW,
        )

        def confirm(payment: Payment = payment, at: int = at) -> str:
            try:
                payments.confirm(actor=w.finance, payment=payment, bank_reference=f"b3-{at}", now=make.NOW)
            except PortalError as error:
                return error.code
            finally:
                connection.close()
            return "by hand"

        def look(made: StatementImport = made) -> str:
            try:
                automatic.look_through(import_id=made.pk, now=make.NOW)
            finally:
                connection.close()
            return "looked"

        with ThreadPoolExecutor(2) as threads:
            first, second = threads.submit(confirm), threads.submit(look)
            said = first.result(), second.result()
        line = StatementLine.objects.select_related("account").get(reference=f"B3-{at}")
        if line.state == "open":
            automatic.look_again(line=line, now=make.NOW)
            line.refresh_from_db()
        payment.refresh_from_db()
        total += fen
        by_hand += said[0] == "by hand"
        assert (payment.state, line.state, payment.arrivals.count()) == ("confirmed", "matched", 1), said
        assert _fen("bank_clearing", "bank:main") == total
    return f"{rounds} races, {by_hand} won by hand, {Money(total)} booked"


@scenario("B4", commits=is_full())
def wrong_matches_are_reversed(w: make.World) -> str:
    """Random lines matched, reversed by two persons and matched anew: the bank account holds what the lines say."""
    number, dice = (200 if is_full() else 25), random.Random(4)
    expected = 0
    for at in range(number):
        fen = dice.randint(1, 300_000)
        right, wrong = (_due(w, f"B4-{at}-{each}", dice.choice([fen, fen + 5, max(1, fen - 5)])) for each in range(2))
        _take(w, csv_file([row(f"B4-{at}", f"{fen / 100:.2f}", name="某公司")]), f"{at}.csv")
        line = StatementLine.objects.select_related("account").get(reference=f"B4-{at}")
        if at % 3 == 0:
            services.park(actor=w.finance, line=line, now=make.NOW)
        made = services.match(
            actor=w.finance, line=line, parts=[Part(PartKind.PAYMENT, fen, payment=wrong)], now=make.NOW
        )
        undoing.doubt(actor=w.finance, match=made, reason="附言填错", now=make.NOW)
        undoing.reverse(actor=w.finance_approver, match=made, now=make.NOW)
        wrong.refresh_from_db()
        assert (wrong.state, wrong.paid_fen) == ("due", 0)
        parts = [Part(PartKind.PAYMENT, fen, payment=right)]
        services.match(actor=w.finance, line=line, parts=parts, now=make.NOW)
        expected += fen
        assert _fen("bank_clearing", "bank:main") == expected
    assert BankMatch.objects.filter(state="reversed").count() == number
    return f"{number} matches reversed and made anew, {Money(expected)} in the bank"
