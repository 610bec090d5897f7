"""The bank's balance against the ledger's, day by day, and what the difference consists of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import exports, payments, recoveries, settlements
from portal.pages.reconciliation import SHOWN_DAYS, Window, span
from portal.pages.shell import actor_of, needs, page
from vouchers.banking import access as bank
from vouchers.reconciliation import access, bank_days

__all__ = ["days"]

KINDS = (
    ("arrival:", _("人工确认的到账")),
    ("payment:", _("人工登记的退款")),
    ("refund-attempt:", _("改由银行办理的退款")),
    ("settlement:", _("已付的兑付批次")),
    ("payout:", _("支付机构划款")),
    ("recovery:", _("追缴来款")),
)
"""What a booking on the bank's account is, by how its key begins."""
READERS = {"payment": payments.READERS, "settlement": settlements.READERS, "recovery": recoveries.READERS}
"""Who may follow the link to what was booked, by its kind, which is also the name of its page."""
SHOWN = 200
"""How many lines or bookings of a day are shown; the export of the day's lines is that of the bank lines."""


@needs(Permission.LEDGER_READ)
def days(request: HttpRequest) -> HttpResponse:
    """Show an account's days; with ``?day=``, what that day's difference consists of, line by line."""
    accounts = list(access.bank_accounts(actor_of(request)))
    codes = [one.code for one in accounts]
    asked = request.GET.get("account", "")
    account = next((one for one in accounts if one.code == asked), accounts[0] if accounts else None)
    form = Window(request.GET)
    found = bank_days.books(account, during=span(form, days=SHOWN_DAYS)) if account else None
    if found is not None and account is not None and (wanted := request.GET.get("format")) in exports.FORMATS:
        return _exported(account.code, found.days, wanted)
    day = _day(request.GET.get("day", ""), found.days if found else ())
    shown = next((one for one in found.days if one.day == day), None) if found else None
    context = {
        "accounts": codes,
        "account": account,
        "form": form,
        "books": found,
        "shown": shown,
        "is_finance": bank.is_finance(actor_of(request)),
        "lines": bank_days.unbooked(account, until=shown.day)[:SHOWN] if account and shown else [],
        "bookings": [_booking(actor_of(request), one) for one in found.unproved if one.day <= shown.day][:SHOWN]
        if found and shown
        else [],
    }
    return page(request, "reconciliation/bank_days.html", context)


def _booking(actor: Actor, one: bank_days.Unproved) -> dict[str, Any]:
    """Return what a booking no line proves is, in words, with its number and, for who may read it, its page."""
    kind = next((words for begins, words in KINDS if one.key.startswith(begins)), _("其他记账"))
    if one.key.startswith("payment:") and one.fen > 0:
        kind = _("人工确认的到账")
    if one.source_type == "settlement" and "/late/" in one.key:
        kind = _("银行补付的批次")
    is_linked = any(actor.may(permission) for permission in READERS.get(one.source_type, ()))
    number = one.key.split(":")[2] if one.key.startswith("payout:") else one.source_id
    reference = one.key.removeprefix("arrival:manual:") if one.key.startswith("arrival:manual:") else ""
    return {
        "kind": kind,
        "number": number,
        "reference": reference,
        "url": reverse(one.source_type, args=[one.source_id]) if is_linked else "",
        "day": one.day,
        "fen": one.fen,
    }


def _day(text: str, known: Sequence[bank_days.BankDay]) -> date | None:
    """Return the day asked for, else the newest."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return known[0].day if known else None


def _exported(code: str, found: Sequence[bank_days.BankDay], wanted: str) -> HttpResponse:
    head = (
        *(_("日期（北京时间）"), _("银行对账单余额（元）"), _("本平台总账（元）"), _("差额（元）")),
        *(_("启用前余额（元）"), _("未入账流水（条）"), _("未入账流水（元）")),
        *(_("银行未达（笔）"), _("银行未达（元）"), _("不能说明（元）")),
    )
    rows = (
        [
            one.day.isoformat(),
            Money(one.closing_fen),
            Money(one.ledger_fen),
            Money(one.difference_fen),
            Money(one.opening_fen),
            one.lines,
            Money(one.lines_fen),
            one.unproved,
            Money(one.unproved_fen),
            Money(one.unexplained_fen),
        ]
        for one in found
    )
    return exports.exported(f"bank-{code}", wanted, head, rows)
