"""Reconciliation: gateways day by day with the difference that must be 0, and closing months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import exports
from portal.pages.acts import attempt_on
from portal.pages.fields import DayInput
from portal.pages.labels import label_of
from portal.pages.rail_words import rail_name
from portal.pages.shell import act_of, actor_of, needs, page
from vouchers.ledger import units
from vouchers.ledger.chart import CNY, UNITS, Unit
from vouchers.ledger.figures import Figure
from vouchers.payments.rails import rails
from vouchers.reconciliation import access, closing, queries, rules, services
from vouchers.reconciliation.models import MonthClose, MonthProposal

__all__ = ["SHOWN_DAYS", "Window", "month", "months", "overview", "pull", "span"]

SHOWN_DAYS = 31
SHOWN_MONTHS = 12


class Window(forms.Form):
    """Which days, both included."""

    since = forms.DateField(label=_("从"), required=False, widget=DayInput())
    until = forms.DateField(label=_("到"), required=False, widget=DayInput())


def span(form: Window, *, days: int) -> Period:
    """Return the days a form asks for, both included; what it does not say ends today."""
    values = form.cleaned_data if form.is_valid() else {}
    last: date = values.get("until") or rules.day_of(timezone.now())
    first: date = values.get("since") or last - timedelta(days=days - 1)
    first, last = min(first, last), max(first, last)
    first = max(first, last - services.LONGEST + timedelta(days=1))
    return Period(rules.day_period(first).start, rules.day_period(last).end)


@needs(Permission.LEDGER_READ)
def overview(request: HttpRequest) -> HttpResponse:
    """Show each gateway's latest check, and one gateway's days."""
    return _overview(request)


def _overview(request: HttpRequest, *, error: Explained | None = None) -> HttpResponse:
    actor, now = actor_of(request), timezone.now()
    known = access.rails_visible_to(actor, configured=settings.PAYMENT_RAILS)
    checks = queries.latest_checks(known)
    asked = request.GET.get("rail", "")
    code = asked if asked in known else next(iter(known), "")
    form = Window(request.GET if request.method == "GET" else None)
    during = span(form, days=SHOWN_DAYS)
    days = queries.days(code, during=during, now=now) if code else []
    if (wanted := request.GET.get("format")) in exports.FORMATS and code:
        return _days_exported(code, days, wanted)
    context = {
        "rails": [(each, checks.get(each)) for each in known],
        "code": code,
        "days": days,
        "during": during,
        "last": rules.day_of(during.end - timedelta(seconds=1)),
        "ties": queries.ties(),
        "difference_fen": sum(found.difference_fen for found in days),
        "unaccounted_fen": sum(found.unaccounted_fen for found in days),
        "open": sum(found.unaccounted for found in days),
        "form": form,
        "may_pull": actor.may(Permission.PAYMENT_CONFIRM) and bool(settings.PAYMENT_RAILS),
        "error": error,
    }
    return page(request, "reconciliation/overview.html", context, status=error.status if error else 200)


def _days_exported(code: str, days: Sequence[queries.DayOfRail], wanted: str) -> HttpResponse:
    head = (
        *(_("日期（北京时间）"), _("已核对"), _("金额不符"), _("仅本平台有"), _("仅支付机构有")),
        *(_("支付机构（元）"), _("本平台（元）"), _("手续费（元）"), _("划款（元）"), _("差额（元）")),
        *(_("已说明（元）"), _("未说明（元）")),
    )
    rows = (
        [
            found.day.isoformat(),
            found.matched,
            found.differs,
            found.ours,
            found.theirs,
            Money(found.theirs_fen),
            Money(found.ours_fen),
            Money(found.fees_fen),
            Money(found.payouts_fen),
            Money(found.difference_fen),
            Money(found.accounted_fen),
            Money(found.unaccounted_fen),
        ]
        for found in days
    )
    return exports.exported(f"reconciliation-{code}", wanted, head, rows)


@require_POST
@needs(Permission.PAYMENT_CONFIRM)
def pull(request: HttpRequest) -> HttpResponse:
    """Pull what gateways report for some days, now."""
    actor, now = actor_of(request), timezone.now()
    during = span(Window(request.POST), days=services.OVERLAP.days)
    for each in rails():
        check, error = attempt_on(
            "proposal",
            lambda each=each: services.pull(rail=each, during=during, actor=actor, now=now),  # type: ignore[misc]
        )
        if error:
            return _overview(request, error=error)
        told = {"rail": rail_name(check.rail), "new": check.new_lines, "booked": check.booked}
        messages.success(request, gettext("%(rail)s：新增 %(new)s 条，记账 %(booked)s 笔。") % told)
    return redirect("reconciliation")


@needs(Permission.LEDGER_READ)
def months(request: HttpRequest) -> HttpResponse:
    """List the closed months, and those that may be closed with what is asked for already."""
    now = timezone.now()
    closed = list(MonthClose.objects.all())
    known = {each.month for each in closed}
    asked = {each.month: each for each in MonthProposal.objects.filter(ended_at__isnull=True)}
    first = timezone.localtime(now).date().replace(day=1)
    found = []
    for _each in range(SHOWN_MONTHS):
        if first not in known:
            is_over = now >= rules.month_period(first).end
            found.append({"month": first, "is_over": is_over, "proposal": asked.get(first)})
        first = (first - timedelta(days=1)).replace(day=1)
    return page(request, "reconciliation/months.html", {"closed": closed, "open": found})


@needs(Permission.LEDGER_READ)
def month(request: HttpRequest, year: int, number: int) -> HttpResponse:
    """Show a month's figures and what stands open; ask for its closing, approve it or send it back."""
    if not (2000 <= year <= 2099 and 1 <= number <= 12):
        raise NotFound
    actor, now = actor_of(request), timezone.now()
    first = closing.check_month(year, number)
    known = access.rails_visible_to(actor, configured=settings.PAYMENT_RAILS)
    error: Explained | None = None
    if request.method == "POST":
        error = _acted(request, first, act_of(request, "propose", "approve", "return"), known)
        if error is None:
            return redirect("month", year, number)
    shown = closing.shown(first, rails=known, now=now)
    if (wanted := request.GET.get("format")) in exports.FORMATS:
        return _figures_exported(shown, wanted)
    proposal = shown.proposal
    is_own = proposal is not None and proposal.proposed_by_id == actor.user_id
    context = {
        "shown": shown,
        "month": first,
        "ends_at": rules.month_period(first).end,
        "is_over": now >= rules.month_period(first).end,
        "items": [(name, count, fen) for name, (count, fen) in shown.items.items()],
        "figures": [_figure(row) for row in shown.figures],
        "is_own": is_own,
        "returned": MonthProposal.objects.filter(month=first).exclude(reason="").order_by("-pk").first(),
        "may_propose": actor.may(Permission.SETTLEMENT_DRAFT),
        "may_approve": actor.may(Permission.SETTLEMENT_APPROVE) and not is_own,
        "may_return": actor.may(Permission.SETTLEMENT_APPROVE) or is_own,
        "note": request.POST.get("note", ""),
        "reason": request.POST.get("reason", ""),
        "error": error,
    }
    return page(request, "reconciliation/month.html", context, status=error.status if error else 200)


def _acted(request: HttpRequest, first: date, act: str, known: list[str]) -> Explained | None:
    actor, now = actor_of(request), timezone.now()
    said = {
        "propose": gettext("已提出月结，等待另一人批准。"),
        "approve": gettext("已月结，数字已固定。"),
        "return": gettext("已退回月结。"),
    }

    def do() -> object:
        if act == "propose":
            note = request.POST.get("note", "")
            return closing.propose(actor=actor, month=first, note=note, rails=known, now=now)
        if act == "approve":
            return closing.approve(actor=actor, month=first, now=now)
        return closing.send_back(actor=actor, month=first, reason=request.POST.get("reason", ""), now=now)

    _done, error = attempt_on("proposal", do)
    if error is None:
        messages.success(request, said[act])
    return error


def _figure(row: Figure) -> dict[str, Any]:
    amounts = {name: units.show(row.unit, getattr(row, name)) for name in ("opening", "debit", "credit", "closing")}
    return {
        "kind": row.kind.value,
        "owner": row.owner,
        "programme": f"{row.programme} {row.fiscal_year}" if row.programme else "",
        "unit": "" if row.unit == CNY else gettext(UNITS[Unit(row.unit)].label),
        **amounts,
    }


def _figures_exported(shown: closing.Shown, wanted: str) -> HttpResponse:
    head = (
        *(_("政策"), _("年度"), _("科目"), _("账户"), _("记账单位")),
        *(_("期初"), _("本月借方"), _("本月贷方"), _("期末余额"), _("校验值（SHA-256）")),
    )

    def amount(row: Figure, fen: int) -> object:
        return Money(fen) if row.unit == CNY else units.show(row.unit, fen)

    rows = (
        [
            row.programme,
            str(row.fiscal_year or ""),
            label_of("account", row.kind.value)[1],
            row.owner,
            row.unit,
            *(amount(row, fen) for fen in (row.opening, row.debit, row.credit, row.closing)),
            shown.hash,
        ]
        for row in shown.figures
    )
    return exports.exported(f"month-{shown.month:%Y-%m}", wanted, head, rows)
