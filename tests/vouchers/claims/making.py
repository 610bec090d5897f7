"""Reach claims by calling services."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from portal.kernel.money import Money
from tests import make
from vouchers.claims import deciding, services
from vouchers.claims.models import RedemptionClaim
from vouchers.programmes.models import ProgrammeVersion

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000000000500"
    "01a5f645400000000049454e44ae426082"
)


def yuan(text: str) -> Money:
    return Money.from_yuan(text)


def reimbursing(w: make.World, **changes: Any) -> ProgrammeVersion:
    """Publish a programme that pays back half of what was paid in full."""
    terms = {"code": f"back-{next(make._serial)}", "redeem": {"mode": "reimburse"}, **changes}
    return make.programme(w, **terms)


def line(amount: str, *, base: str | None = None, invoice: str = "", **more: Any) -> services.Line:
    return services.Line(
        what="语料采购",
        amount=yuan(amount),
        base=yuan(base) if base else None,
        invoice=invoice or f"{next(make._serial):020d}",
        day=date(2026, 11, 20),
        **more,
    )


def wanted(voucher: Any, total: str, *lines: services.Line) -> services.Wanted:
    twice = str((yuan(total) + yuan(total)).yuan())
    return services.Wanted(amount=yuan(total), voucher=voucher.number, lines=lines or (line(total, base=twice),))


def drafted(w: make.World, voucher: Any, total: str = "1000", *lines: services.Line, **more: Any) -> RedemptionClaim:
    return services.draft(
        actor=more.get("actor", w.owner),
        wanted=wanted(voucher, total, *lines),
        now=more.get("now", make.NOW),
        key=make.key(),
    )


def filed(w: make.World, voucher: Any, total: str = "1000", *lines: services.Line, **more: Any) -> RedemptionClaim:
    claim = drafted(w, voucher, total, *lines, **more)
    return services.file(actor=more.get("actor", w.owner), claim=claim, now=more.get("now", make.NOW))


def approved(w: make.World, claim: RedemptionClaim, *, now: datetime = make.NOW) -> RedemptionClaim:
    checked = deciding.check(actor=w.reviewer, claim=claim, now=now)
    return deciding.approve(actor=w.approver, claim=checked, now=now)


def served(w: make.World, **terms: Any) -> tuple[Any, list[Any]]:
    """Publish a programme paid on claims, issue its voucher, and serve two bookings of 480 and 720 yuan with it."""
    terms = {"evidence": [{"stage": "claim", "doc": "服务发票"}], **terms}
    voucher = make.voucher(w, make.programme(w, code=f"deduct-{next(make._serial)}", **terms))
    resource = make.instrument(w)
    made = [
        make.measured(w, make.booking(w, resource, period=make.slot(start=start, end=end), pay_with=voucher))
        for start, end in (("09:00", "11:00"), ("13:00", "16:00"))
    ]
    return voucher, made
