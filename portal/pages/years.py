"""Closing fiscal years: which are closed, what stands open at a year's end, asking for it and approving it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.pages.acts import attempt_on
from portal.pages.shell import act_of, actor_of, needs, page
from vouchers.ledger import units
from vouchers.ledger.chart import CNY, UNITS, Unit
from vouchers.ledger.models import Period
from vouchers.ledger.queries import TrialBalanceLine
from vouchers.ledger.rules import year_ends_at
from vouchers.programmes.models import ProgrammeVersion
from vouchers.settlements import closing
from vouchers.settlements.models import YearProposal

__all__ = ["year", "years"]

SHOWN = 6
"""How many years back a year may still be chosen from the list; an older one by its address."""


@needs(Permission.LEDGER_READ)
def years(request: HttpRequest) -> HttpResponse:
    """List the closed years, and those that may be closed with what is asked for already."""
    now = timezone.now()
    this_year = timezone.localtime(now).year
    closed = list(Period.objects.order_by("-fiscal_year"))
    known = {period.fiscal_year for period in closed}
    asked = {each.fiscal_year: each for each in YearProposal.objects.filter(ended_at__isnull=True)}
    open_years = [
        {"year": each, "is_over": now >= year_ends_at(each), "proposal": asked.get(each)}
        for each in range(this_year, this_year - SHOWN, -1)
        if each not in known
    ]
    return page(request, "settlements/years.html", {"closed": closed, "open": open_years})


@needs(Permission.LEDGER_READ)
def year(request: HttpRequest, fiscal_year: int) -> HttpResponse:
    """Show what stands open at a year's end; ask for its closing, approve it or send it back."""
    if not 1 <= fiscal_year <= 9998:
        raise NotFound
    actor, now = actor_of(request), timezone.now()
    error: Explained | None = None
    if request.method == "POST":
        act = act_of(request, "propose", "approve", "return")
        error = _acted(request, fiscal_year, act)
        if error is None:
            return redirect("ledger_years") if act == "approve" else redirect("ledger_year", fiscal_year)
    found = closing.outlook(fiscal_year)
    proposal = closing.open_proposal(fiscal_year)
    is_own = proposal is not None and proposal.proposed_by_id == actor.user_id
    return page(
        request,
        "settlements/year.html",
        {
            "outlook": found,
            "parts": _parts(found.lines),
            "closed": Period.objects.filter(pk=fiscal_year).first(),
            "is_over": now >= found.ends_at,
            "proposal": proposal,
            "is_own": is_own,
            "returned": YearProposal.objects.filter(fiscal_year=fiscal_year).exclude(reason="").order_by("-pk").first(),
            "may_propose": actor.may(Permission.SETTLEMENT_DRAFT),
            "may_approve": actor.may(Permission.SETTLEMENT_APPROVE) and not is_own,
            "may_return": actor.may(Permission.SETTLEMENT_APPROVE) or is_own,
            "reason": request.POST.get("reason", ""),
            "error": error,
        },
        status=error.status if error else 200,
    )


def _acted(request: HttpRequest, fiscal_year: int, act: str) -> Explained | None:
    actor, now = actor_of(request), timezone.now()
    said = {
        "propose": gettext("已提出 %(year)s 年度结账，等待另一人批准。"),
        "approve": gettext("%(year)s 年度已结账。"),
        "return": gettext("已退回 %(year)s 年度结账。"),
    }

    def do() -> object:
        if act == "propose":
            return closing.propose_year(actor=actor, fiscal_year=fiscal_year, now=now)
        if act == "approve":
            return closing.approve_year(actor=actor, fiscal_year=fiscal_year, now=now)
        reason = request.POST.get("reason", "")
        return closing.return_year(actor=actor, fiscal_year=fiscal_year, reason=reason, now=now)

    _done, error = attempt_on("year", do)
    if error is None:
        messages.success(request, said[act] % {"year": fiscal_year})
    return error


def _parts(lines: Iterable[TrialBalanceLine]) -> list[dict[str, Any]]:
    """Return the open balances programme by programme, in words; a unit that is no money is named. One query."""
    titles = {
        version.programme.code: version
        for version in ProgrammeVersion.objects.select_related("programme").order_by("number")
    }
    return [
        {"version": titles.get(code), "code": code, "year": of, "rows": [_row(line) for line in group]}
        for (code, of), group in itertools.groupby(lines, key=lambda line: (line.programme, line.fiscal_year))
    ]


def _row(line: TrialBalanceLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "accounts": line.accounts,
        "unit": "" if line.unit == CNY else gettext(UNITS[Unit(line.unit)].label),
        "balance": units.show(line.unit, line.balance_fen),
        "held": units.show(line.unit, max(line.held_debit_fen, line.held_credit_fen)),
    }
