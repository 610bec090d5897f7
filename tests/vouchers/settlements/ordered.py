"""Payment orders for tests: own shares that have arrived, batched, approved and exported."""

from __future__ import annotations

from typing import Any

from portal.kernel.money import Money
from tests import make
from tests.vouchers.payees import making as accounts
from vouchers.charges import services as charges
from vouchers.payments import services as payments
from vouchers.settlements import answering, ordering, services
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrder


def approved(w: make.World, provider: Any = None, fen: int = 10_000) -> SettlementBatch:
    """Return an approved batch of a provider that has earned `fen` and has an account in force."""
    provider = provider or make.organisation(make.roles.Kind.PROVIDER)
    accounts.in_force(w, provider)
    bill = charges.Bill(f"job:J-{provider.pk}", "compute", w.enterprise.pk, provider.pk, Money(fen), {})
    held = charges.hold(bill=bill, vouchers=[], actor=w.researcher, now=make.NOW)
    charge = charges.capture(charge_id=held.pk, actual=Money(fen), measured={}, actor=w.keeper, now=make.NOW)
    payments.confirm(actor=w.finance, payment=charge.payment, bank_reference=f"ICBC-{provider.pk}", now=make.NOW)
    batch = services.draft(actor=w.finance, payee=provider, now=make.NOW)
    return services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)


def exported(w: make.World, *batches: SettlementBatch, code: str = "bank-csv") -> PaymentOrder:
    numbers = [batch.number for batch in batches or (approved(w),)]
    return ordering.export(actor=w.finance, numbers=numbers, format_code=code, now=make.NOW)


def answer(order: PaymentOrder, *rows: tuple[str, str, str, str]) -> bytes:
    """Return a return file of (reference, yuan, outcome, reason); a position stands for that line's reference."""
    named = {str(line.position): line.reference for line in order.lines.all()}
    said = [",".join([named.get(row[0], row[0]), *row[1:], f"BK-{at}"]) for at, row in enumerate(rows)]
    return "\r\n".join(["明细号,金额,处理结果,失败原因,银行流水号", *said, ""]).encode()


def imported(w: make.World, order: PaymentOrder, content: bytes, name: str = "回盘.csv") -> Any:
    return answering.import_answer(
        actor=w.finance, order=order, content=content, name=name, format_code="table", now=make.NOW
    )


def case(w: make.World, order: PaymentOrder | None = None) -> Discrepancy:
    """Return an open case: the bank paid one fen more than the order says."""
    order = order or exported(w)
    imported(w, order, answer(order, ("1", "100.01", "成功", "")))
    return Discrepancy.objects.get(order=order)
