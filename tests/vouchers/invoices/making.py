"""Captured charges and tax invoices as tests need them, reached by calling services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, timedelta
from typing import Any

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from tests import make
from vouchers.charges import refunding
from vouchers.charges import services as charges
from vouchers.charges.models import Charge, Refund
from vouchers.evidence.services import Upload
from vouchers.invoices import issuing, rules, services, taxes
from vouchers.invoices.models import Fapiao
from vouchers.payments import arriving
from vouchers.payments.models import Payment
from vouchers.wallets.models import Voucher

LATER = make.NOW + timedelta(hours=1)
PDF = Upload("发票.pdf", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n")
XML = Upload("发票.xml", b'<?xml version="1.0" encoding="UTF-8"?><EInvoice><No>1</No></EInvoice>')
SYSTEM = Actor.system("test")


def taken(
    w: make.World,
    fen: int = 8_800_000,
    *,
    pay_with: Sequence[Voucher] = (),
    provider: Any = None,
    measured: dict[str, Any] | None = None,
    actual: int | None = None,
) -> Charge:
    """Return a captured charge over `fen`, of the world's lab to its enterprise."""
    bill = charges.Bill(
        subject=f"order:T-{make.key()[:12]}",
        service="compute",
        payer_id=w.enterprise.pk,
        provider_id=(provider or w.lab).pk,
        price=Money(fen),
        quote={"unit": "order", "unit_price_fen": fen, "quantity": "1/1"},
    )
    held = charges.hold(bill=bill, vouchers=list(pay_with), actor=w.owner, now=make.NOW)
    told = measured or {"amount_fen": fen, "unit": "card_hour", "unit_price_fen": fen, "quantity": "1/1"}
    charges.capture(
        charge_id=held.pk,
        actual=Money(fen if actual is None else actual),
        measured=told,
        actor=w.keeper,
        now=make.NOW,
    )
    return Charge.objects.select_related("payer", "provider").get(pk=held.pk)


def paid(charge: Charge, *, parts: Sequence[int] = ()) -> Payment:
    """Let the own share of a charge arrive at the bank, in parts where some are named, the rest at the end."""
    payment = Payment.objects.get(charge=charge)
    for amount in [*parts, payment.amount_fen - sum(parts)]:
        arriving.receive(
            payment=payment,
            amount=Money(amount),
            source=f"line:{make.key()[:20]}",
            account="bank:main",
            actor=SYSTEM,
            now=LATER,
        )
    payment.refresh_from_db()
    return payment


def refunded(w: make.World, charge: Charge, fen: int, *, reason: str = "部分未完成") -> Refund:
    return refunding.correct(
        actor=w.keeper, charge_id=charge.pk, amount=Money(fen), reason=reason, now=LATER, key=make.key()
    )


def buyer(w: make.World, **changes: Any) -> rules.Buyer:
    said = {"title": w.enterprise.name, "credit_code": w.enterprise.credit_code, "email": "caiwu@example.com"}
    return rules.Buyer(**{**said, **changes})


def asked(w: make.World, charge: Charge, **changes: Any) -> Fapiao:
    return services.request(actor=w.owner, charge=charge, buyer=buyer(w, **changes), now=LATER)


def taxed(w: make.World, rate: taxes.TaxRate = taxes.TaxRate.SERVICES, service: str = "") -> None:
    services.state_tax(
        actor=w.keeper, service=service, rate=rate, category="3040203000000000000", goods="检验检测服务", now=make.NOW
    )


def number(serial: int, *, year: int = 26) -> str:
    """Return the 20 digits of a 数电发票 of Zhejiang."""
    return f"{year}332{serial:015d}"


def printed(fapiao: Fapiao, serial: int, **changes: Any) -> rules.Printed:
    on = LATER.astimezone(UTC).date()
    said: dict[str, Any] = {"number": number(serial), "issued_on": on, "amount": fapiao.amount_fen}
    return rules.Printed(**{**said, **changes})


def issued(w: make.World, fapiao: Fapiao, serial: int, *, upload: Upload | None = None, **changes: Any) -> Fapiao:
    return issuing.issue(
        actor=w.keeper, fapiao=fapiao, printed=printed(fapiao, serial, **changes), upload=upload, now=LATER
    )


TODAY = date(2026, 11, 25)
