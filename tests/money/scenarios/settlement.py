"""Settlement to the bank and back: batches, one payment order, the bank's answer, accounts, two persons at once."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

from django.db import connection

from portal.audit.models import Record
from portal.kernel.errors import InvalidTransition, PortalError
from portal.kernel.money import Money
from portal.organisations.rules import Kind, Role
from tests import make
from tests.money.scenarios import scenario
from tests.scenarios import is_full
from tests.vouchers.payees import making as accounts
from tests.vouchers.scenarios.vouchers import of_kind
from vouchers.charges import refunding
from vouchers.charges import services as charges
from vouchers.charges.models import Charge
from vouchers.payees import services as payees
from vouchers.settlements import access, answering, files, formats, ordering, queries, services
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.order_models import Discrepancy, PaymentOrder
from vouchers.wallets.models import Voucher

PRICE = 1_000
"""Fen of one capture; a voucher bears half."""


def _providers(w: make.World) -> list[Any]:
    return [w.lab, *(make.organisation(Kind.PROVIDER) for _each in range(2))]


def _captures(w: make.World, voucher: Voucher, provider: Any, number: int, *, since: int = 0) -> list[Charge]:
    made = []
    keeper = make.actor(provider, Role.LAB_MANAGER)
    for at in range(since, since + number):
        bill = charges.Bill(
            f"job:{provider.pk}-{at}", "compute", w.enterprise.pk, provider.pk, Money(PRICE), {"unit": "card_hour"}
        )
        held = charges.hold(bill=bill, vouchers=[voucher], actor=w.researcher, now=make.NOW)
        made.append(charges.capture(charge_id=held.pk, actual=Money(PRICE), measured={}, actor=keeper, now=make.NOW))
    return made


def _refund(provider: Any, made: Charge, fen: int) -> None:
    refunding.refund(
        actor=make.actor(provider, Role.LAB_MANAGER),
        charge=made,
        amount=Money(fen),
        reason="服务中断",
        now=make.NOW,
        key=make.key(),
    )


def _approved(w: make.World, providers: list[Any]) -> list[SettlementBatch]:
    batches = [services.draft(actor=w.finance, payee=each, now=make.NOW) for each in providers]
    return [services.approve(actor=w.finance_approver, batch=batch, now=make.NOW) for batch in batches]


def _exported(w: make.World, batches: list[SettlementBatch], code: str = "bank-csv") -> PaymentOrder:
    numbers = [batch.number for batch in batches]
    return ordering.export(actor=w.finance, numbers=numbers, format_code=code, now=make.NOW)


def _answer(order: PaymentOrder, *, failed: set[int] = frozenset(), off: dict[int, int] | None = None) -> bytes:
    """Return what the bank says: the lines at `failed` did not go through, those of `off` differ by so many fen."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["客户流水号", "金额", "处理结果", "失败原因", "银行流水号"])
    for line in order.lines.order_by("position"):
        fen = line.amount_fen + (off or {}).get(line.position, 0)
        bad = line.position in failed
        writer.writerow(
            [line.reference, Money(fen).yuan(), "失败" if bad else "成功", "户名不符" if bad else "", f"BK-{line.pk}"]
        )
    return buffer.getvalue().encode("gb18030")


def _imported(w: make.World, order: PaymentOrder, content: bytes) -> Any:
    return answering.import_answer(
        actor=w.finance, order=order, content=content, name="huipan.csv", format_code="table", now=make.NOW
    )


@scenario("S9", commits=is_full())
def settled_to_the_bank_and_back(w: make.World) -> str:
    """Three providers, 12 refunds of which 4 after the cut-off, one line rejected, one payment failed: each fen once."""
    captures = 1_000 if is_full() else 60
    voucher, providers = make.voucher(w), _providers(w)
    each = captures // 3
    made = {
        provider.pk: _captures(w, voucher, provider, each + (captures - 3 * each if not at else 0))
        for at, provider in enumerate(providers)
    }
    for provider, times in zip(providers, (3, 3, 2), strict=True):
        accounts.in_force(w, provider)
        for row in made[provider.pk][:times]:
            _refund(provider, row, 100)
    batches = [services.draft(actor=w.finance, payee=provider, now=make.NOW) for provider in providers]
    assert sum(batch.total_fen for batch in batches) == captures * PRICE // 2 - 8 * 50
    for provider, times in zip(providers, (2, 1, 1), strict=True):
        for row in made[provider.pk][-times:]:
            _refund(provider, row, 100)
    batches = [services.approve(actor=w.finance_approver, batch=batch, now=make.NOW) for batch in batches]
    rejected = queries.lines_of(batches[0].pk).filter(charge=made[providers[0].pk][4]).get()
    services.reject_line(actor=w.finance, batch=batches[0], line_id=rejected.pk, reason="验收单缺页", now=make.NOW)
    order = _exported(w, batches)
    told = Record.objects.get(action="payment_order.exported", subject=f"payment_order:{order.number}")
    again = access.get_order(w.finance, order.number)
    assert bytes(again.content) == bytes(order.content)
    assert files.digest(bytes(again.content)) == order.sha256 == told.data["sha256"] == order.manifest["file"]["sha256"]
    assert order.total_fen == captures * PRICE // 2 - 8 * 50 - PRICE // 2 == order.manifest["total_fen"]

    done = _imported(w, order, _answer(order, failed={2}))
    assert (done.paid, done.failed, done.discrepancies) == (2, 1, 0)
    assert of_kind("settlement_clearing") == 0
    later = [services.draft(actor=w.finance, payee=provider, now=make.NOW) for provider in providers[:2]]
    assert later[0].total_fen == PRICE // 2 - 2 * 50
    assert later[1].total_fen == batches[1].total_fen - 50
    assert SettlementLine.objects.filter(charge=rejected.charge, active=True).get().batch == later[0]
    assert SettlementLine.objects.filter(batch__in=later, active=True, leg="offset").count() == 2
    second = _exported(w, [services.approve(actor=w.finance_approver, batch=batch, now=make.NOW) for batch in later])
    _imported(w, second, _answer(second))
    paid = of_kind("settled")
    assert paid == captures * PRICE // 2 - 12 * 50 + 50
    assert (of_kind("provider_payable"), of_kind("receivable_provider")) == (0, 50)
    return (
        f"{captures} captures, first order {Money(order.total_fen)}, paid {Money(paid)}, ¥0.50 waits for the next batch"
    )


@scenario("SP1", commits=True)
def two_approve_at_once() -> str:
    """Two approvers press at the same moment, ten times: one wins, the other is told; the ledger has one opening."""
    w = make.world()
    voucher, wins, told = make.voucher(w), 0, 0
    rivals = [w.finance_approver, make.actor(w.department, Role.FINANCE_APPROVER)]
    for at in range(10):
        _captures(w, voucher, w.lab, 1, since=at)
        batch, gate = services.draft(actor=w.finance, payee=w.lab, now=make.NOW), Barrier(2)

        def press(actor: Any, batch: SettlementBatch = batch, gate: Barrier = gate) -> str:
            try:
                gate.wait(10)
                services.approve(actor=actor, batch=batch, now=make.NOW)
            except InvalidTransition as error:
                return error.code
            except PortalError as error:
                return f"other: {error.code}"
            finally:
                connection.close()
            return "won"

        with ThreadPoolExecutor(2) as pool:
            outcomes = sorted(pool.map(press, rivals))
        assert outcomes == ["conflict.transition", "won"]
        wins, told = wins + 1, told + 1
        assert of_kind("settlement_clearing") == batch.total_fen * (at + 1)
    return f"{wins} won, {told} told"


@scenario("SP2")
def a_return_file_twice(w: make.World) -> str:
    """A bank pays 6 of 9, fails 2 and is 1 fen off once; the file is imported three times: money moves once."""
    voucher = make.voucher(w)
    providers = [w.lab, *(make.organisation(Kind.PROVIDER) for _each in range(8))]
    for provider in providers:
        _captures(w, voucher, provider, 2)
        accounts.in_force(w, provider)
    order = _exported(w, _approved(w, providers), "bank-txt")
    content = _answer(order, failed={3, 7}, off={5: 1})
    first = _imported(w, order, content)
    assert (first.paid, first.failed, first.discrepancies) == (6, 2, 1)
    figures = (of_kind("settled"), of_kind("provider_payable"), of_kind("settlement_clearing"))
    assert figures == (6 * PRICE, 2 * PRICE, PRICE)
    assert _imported(w, order, content).pk == first.pk
    other = _imported(w, order, content + b"\r\n")
    assert (other.paid, other.failed, other.unchanged, other.discrepancies) == (0, 0, 8, 0)
    assert (of_kind("settled"), of_kind("provider_payable"), of_kind("settlement_clearing")) == figures
    assert Discrepancy.objects.count() == 1
    again = [services.draft(actor=w.finance, payee=providers[at - 1], now=make.NOW) for at in (3, 7)]
    assert [batch.total_fen for batch in again] == [PRICE, PRICE]
    assert {line.reason for line in SettlementLine.objects.filter(active=False)} == {"户名不符"}
    return f"paid {Money(figures[0])}, back {Money(figures[1])}, one case of {Money(figures[2])} open"


@scenario("SP3")
def an_account_changes_under_an_approved_batch(w: make.World) -> str:
    """A payee changes its account while a batch is approved: that batch goes to the old one, the next to the new."""
    voucher = make.voucher(w)
    old = accounts.in_force(w, w.lab)
    _captures(w, voucher, w.lab, 2)
    [batch] = _approved(w, [w.lab])
    new = accounts.in_force(
        w, w.lab, now=make.NOW, number="33050161510012345678", cnaps="105100000017", bank="建设银行"
    )
    later = make.NOW + timedelta(days=4)
    order = ordering.export(actor=w.finance, numbers=[batch.number], format_code="bank-csv", now=later)
    assert old.number in bytes(order.content).decode("gb18030")
    assert new.number not in bytes(order.content).decode("gb18030")
    _captures(w, voucher, w.lab, 1, since=2)
    second = services.draft(actor=w.finance, payee=w.lab, now=later)
    services.approve(actor=w.finance_approver, batch=second, now=later)
    after = ordering.export(actor=w.finance, numbers=[second.number], format_code="bank-csv", now=later)
    assert new.number in bytes(after.content).decode("gb18030")
    assert payees.enforce_due(now=later) == 0
    assert formats.format_of(after.format).encoding == "gb18030"
    return f"{old.masked} then {new.masked}"
