"""Unapplied money (挂账资金): what payers paid too much, twice or too late, whose it is, and what is done with it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import exports, shell
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.slots import DayField
from vouchers.banking import access as bank
from vouchers.banking import misapplied, queries
from vouchers.banking.models import StatementLine
from vouchers.payments import access as payments
from vouchers.payments import unapplied
from vouchers.payments import unapplied_access as access

__all__ = ["excess", "unapplied_money"]

SORTS = {"day": ["arrived_at"], "payer": ["payment__payer__name"], "free": ["free_fen"], "excess": ["excess_fen"]}


class ExcessFilters(forms.Form):
    """What the list of unapplied money may be narrowed to."""

    state = forms.ChoiceField(
        label=_("状态"),
        required=False,
        choices=[
            ("", _("尚未办结")),
            ("free", _("可用或可退")),
            ("asked", _("待转账退回")),
            ("rail", _("原路退回中")),
            ("all", _("全部")),
        ],
    )
    since = DayField(label=_("从"), required=False)
    until = DayField(label=_("到"), required=False)
    q = forms.CharField(label=_("付款单位或付款号"), required=False, max_length=60)


def _narrowed(rows: Any, values: dict[str, Any]) -> Any:
    state = values.get("state", "")
    if not state:
        rows = access.waiting(rows)
    elif state != "all":
        rows = rows.filter(**{{"free": "free_fen", "asked": "asked_fen", "rail": "on_rail_fen"}[state] + "__gt": 0})
    if since := values.get("since"):
        rows = rows.filter(arrived_at__date__gte=since)
    if until := values.get("until"):
        rows = rows.filter(arrived_at__date__lte=until)
    if text := values.get("q"):
        rows = rows.filter(Q(payment__payer__name__icontains=text) | Q(payment__number__iexact=text))
    return rows


@shell.needs(*access.READERS)
def unapplied_money(request: HttpRequest) -> HttpResponse:
    """List money of known payers that pays nothing, with the line or attempt it came by."""
    actor = shell.actor_of(request)
    filters = ExcessFilters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    every = access.visible_to(actor)
    rows = _narrowed(every, values)
    if (wanted := request.GET.get("format")) in exports.FORMATS:
        return _exported(str(wanted), list(rows.order_by("arrived_at", "pk")[: shell.EXPORT_LIMIT]))
    listing = shell.listing(request, rows, sorts=SORTS, default="-day")
    sums = (
        access.waiting(every)
        .order_by()
        .aggregate(free=Sum("free_fen"), asked=Sum("asked_fen"), on_rail=Sum("on_rail_fen"))
    )
    parked = bank.lines(actor).filter(state="parked").aggregate(fen=Sum("amount_fen"))["fen"] or 0
    lines = queries.came_by(row.pk for row in listing.rows)
    context = {
        "listing": listing,
        "rows": [(row, lines.get(row.pk)) for row in listing.rows],
        "filters": filters,
        "filtered": any(values.values()),
        "free_fen": sums["free"] or 0,
        "asked_fen": sums["asked"] or 0,
        "on_rail_fen": sums["on_rail"] or 0,
        "parked_fen": parked,
    }
    return shell.page(request, "banking/unapplied.html", context)


def _exported(wanted: str, rows: list[Any]) -> HttpResponse:
    lines = queries.came_by(row.pk for row in rows)
    head = (
        _("付款单位"),
        _("统一社会信用代码"),
        _("付款号"),
        _("到账时间"),
        _("来源"),
        _("来款户名"),
        _("来款账号"),
        _("多付（元）"),
        _("可用（元）"),
        _("待转账退回（元）"),
        _("原路退回中（元）"),
        _("已用于付款（元）"),
        _("已退回（元）"),
    )
    return exports.exported(
        "unapplied-money",
        wanted,
        head,
        (
            (
                row.payment.payer.name,
                row.payment.payer.credit_code,
                row.payment.number,
                timezone.localtime(row.arrived_at).isoformat(timespec="minutes"),
                _source(row, lines.get(row.pk)),
                line.name if (line := lines.get(row.pk)) else "",
                line.counter_account if line else "",
                *(
                    Money(fen)
                    for fen in (
                        row.excess_fen,
                        row.free_fen,
                        row.asked_fen,
                        row.on_rail_fen,
                        row.applied_later_fen,
                        row.returned_fen,
                    )
                ),
            )
            for row in rows
        ),
    )


def _source(row: Any, line: StatementLine | None) -> str:
    return line.reference if line else str(row.source)


@shell.needs(*access.READERS)
def excess(request: HttpRequest, pk: int) -> HttpResponse:
    """Show where unapplied money came from and what was done with it; apply it, or let it go back."""
    actor = shell.actor_of(request)
    found = access.get_excess(actor, pk)
    if request.method != "POST":
        return _page(request, found)
    done, error = _do(request, found)
    if error is not None:
        return _page(request, access.get_excess(actor, pk), error=error)
    messages.success(request, done)
    return redirect("unapplied_excess", pk=pk)


def _do(request: HttpRequest, found: Any) -> tuple[str, Explained | None]:
    actor, now = shell.actor_of(request), timezone.now()
    act = shell.act_of(request, "apply", "confirm", "refuse", "back", "keep", "doubt", "undo")
    if act == "apply":
        payment = payments.get_payment(actor, request.POST.get("payment", "")[:24])
        made, error = attempt_on(
            "payment", lambda: unapplied.apply(actor=actor, arrival=found, payment=payment, now=now)
        )
        said = {"amount": Money(made.amount_fen), "number": payment.number} if made is not None else {}
        if made is not None and made.state == "proposed":
            return gettext("达到限额，已提出，由另一位同事复核。"), error
        return (gettext("已将 %(amount)s 用于付款 %(number)s。") % said if said else ""), error
    if act in {"confirm", "refuse"}:
        number, does = request.POST.get("payment", "")[:24], {"confirm": unapplied.confirm, "refuse": unapplied.refuse}
        _done, error = attempt_on(
            "payment", lambda: does[act](actor=actor, use=access.proposed_for(actor, found.pk, number), now=now)
        )
        return gettext("已复核，款项已用于付款。") if act == "confirm" else gettext("已退回，资金仍可使用。"), error
    if act == "back":
        _done, error = attempt_on("payment", lambda: unapplied.ask_back(actor=actor, arrival=found, now=now))
        return gettext("已登记由银行退回。转账后导入对账单，系统按支出流水核销。"), error
    if act == "doubt":
        return gettext("已提出，由另一位同事复核。"), attempt_on(
            "payment",
            lambda: misapplied.doubt(
                actor=actor,
                use=access.applied_to(actor, found.pk, request.POST.get("payment", "")[:24]),
                reason=request.POST.get("reason", ""),
                now=now,
            ),
        )[1]
    if act == "undo":
        return gettext("已撤销：付款恢复为待付，资金重新挂账。"), attempt_on(
            "payment",
            lambda: misapplied.undo(
                actor=actor, use=access.applied_to(actor, found.pk, request.POST.get("payment", "")[:24]), now=now
            ),
        )[1]
    _done, error = attempt_on("payment", lambda: unapplied.keep(actor=actor, arrival=found, now=now))
    return gettext("已撤销退回登记。"), error


def _page(request: HttpRequest, found: Any, *, error: Explained | None = None) -> HttpResponse:
    actor = shell.actor_of(request)
    may_act = actor.may(Permission.PAYMENT_CONFIRM)
    context = {
        "found": found,
        "line": queries.came_by([found.pk]).get(found.pk),
        "uses": found.uses.select_related("payment").order_by("pk"),
        "due": list(access.payable_by(actor, found.payment.payer_id)[:50]) if found.free_fen and may_act else [],
        "may_apply": may_act and found.free_fen > 0 and found.rail == "bank",
        "may_doubt": actor.may(Permission.BANK_MATCH),
        "may_undo": any(actor.may(each) for each in (Permission.BANK_MATCH, Permission.BANK_APPROVE)),
        "person": actor.person,
        "may_keep": may_act and found.asked_fen > 0,
        "events": events(audit.trail(f"payment:{found.payment.number}", actor=actor)),
        "error": error,
    }
    return shell.page(request, "banking/excess.html", context, status=error.status if error else 200)
