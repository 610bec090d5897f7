"""The user office quotes paid beam time: what waits for a quote, and the form for one."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import exports, shell, slots
from portal.pages.fields import YuanField
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from scheduler.beamtime import quote_access, quote_prices, quoting
from scheduler.beamtime.models import BeamQuote
from scheduler.facilities.grid import offered
from scheduler.facilities.shares import Pool
from scheduler.panels import pools
from scheduler.proposals.models import BeamRequest

__all__ = ["beam_quote_new", "beam_quote_requests"]

P = Permission
SORTS = {
    "number": ["proposal__number"],
    "organisation": ["proposal__organisation__name"],
    "line": ["beamline__code"],
    "shifts": ["shifts"],
}
NAMES = ("proposal__number", "proposal__organisation__name", "beamline__code", "cycle__code")
TERMS_DAYS = 14
"""For how long a quote stands where the office says nothing else."""


class RequestFilter(forms.Form):
    """What the list is narrowed to. Titles are nobody's to search."""

    q = forms.CharField(label=_("关键词"), max_length=60, required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("申请编号、单位、线站或周期")})
        self.full_clean()

    def words(self) -> list[str]:
        return str(getattr(self, "cleaned_data", {}).get("q") or "").split()


def narrowed(found: Any, words: list[str], names: tuple[str, ...]) -> Any:
    """Return the rows that have every word in one of the columns."""
    for word in words:
        either = Q()
        for name in names:
            either |= Q(**{f"{name}__icontains": word})
        found = found.filter(either)
    return found


@shell.needs(P.FACILITY_MANAGE)
def beam_quote_requests(request: HttpRequest) -> HttpResponse:
    """List the paid requests that wait for a quote. Neither titles nor work are shown."""
    filters = RequestFilter(request.GET)
    found = quote_access.quotable(shell.actor_of(request), now=timezone.now())
    found = narrowed(found, filters.words(), NAMES)
    if (wanted := request.GET.get("format", "")) in exports.FORMATS:
        head = (
            *(gettext("申请"), gettext("单位"), gettext("课题类别"), gettext("装置"), gettext("线站")),
            *(gettext("运行周期"), gettext("班次数")),
        )
        rows = found.order_by("-pk")[: shell.EXPORT_LIMIT]
        return exports.exported("beam-requests", wanted, head, (_cells(row) for row in rows))
    listing = shell.listing(request, found, sorts=SORTS, default="number")
    return shell.page(request, "beam/quote_requests.html", {"listing": listing, "filters": filters})


def _cells(row: BeamRequest) -> list[Any]:
    proposal = row.proposal
    return [
        *(proposal.number, bilingual(proposal.organisation), label_of("beam_kind", proposal.kind)[1]),
        *(bilingual(proposal.facility), row.beamline.code, row.cycle.code, row.shifts),
    ]


class QuoteForm(forms.Form):
    """What the office offers; the time is wall time of the facility's zone."""

    shifts = forms.IntegerField(label=_("班次数"), min_value=1, max_value=1000)
    by = forms.ChoiceField(label=_("计价方式"), choices=[("shift", _("按班")), ("hour", _("按小时"))])
    price = YuanField(
        label=_("单价（元）"), least_fen=0, required=False, help_text=_("含税。留空即按装置价目表的价格。")
    )
    tax = forms.DecimalField(
        label=_("所含税率（%）"), min_value=0, max_value=100, max_digits=5, decimal_places=2, initial=6
    )
    valid_until = forms.DateTimeField(
        label=_("有效期至"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    terms = forms.CharField(
        label=_("合同条款"), max_length=5000, required=False, widget=forms.Textarea(attrs={"rows": 6})
    )

    def said(self, row: BeamRequest, *, now: datetime) -> quoting.QuoteTerms:
        """Return the quote as it was filled in. Raises NoPrice."""
        typed = self.cleaned_data
        price, hourly = typed["price"], typed["by"] == "hour"
        shift = quote_prices.shift_price(
            row.beamline, shift=None if hourly else price, hour=price if hourly else None, now=now
        )
        until = timezone.make_naive(typed["valid_until"]).replace(tzinfo=ZoneInfo(row.beamline.facility.zone))
        tax_bp = int(Fraction(typed["tax"]) * 100)
        return quoting.QuoteTerms(typed["shifts"], shift, until, tax_bp, typed["terms"])


def _initial(row: BeamRequest, hourly: Money | None, *, now: datetime) -> dict[str, Any]:
    facility = row.beamline.facility
    near = list(offered(row.shifts, multiple=facility.multiple))
    until = (now + timedelta(days=TERMS_DAYS)).astimezone(ZoneInfo(facility.zone))
    return {
        "shifts": row.shifts if row.shifts in near or not near else near[-1],
        "by": "shift",
        "price": quote_prices.of_hour(facility, hourly) if hourly is not None else None,
        "valid_until": until.replace(hour=18, minute=0, second=0, microsecond=0, tzinfo=None),
        "tax": 6,
    }


@shell.needs(P.FACILITY_MANAGE)
def beam_quote_new(request: HttpRequest, number: int) -> HttpResponse:
    """Quote a price for one paid request; what was typed stays where it is refused."""
    actor, now = shell.actor_of(request), timezone.now()
    row = quote_access.get_quotable(actor, number, now=now)
    facility, hourly = row.beamline.facility, quote_prices.listed(row.beamline, now=now)
    posted = request.POST if request.method == "POST" else None
    form = QuoteForm(posted, initial=_initial(row, hourly, now=now))
    form.fields["valid_until"].help_text = gettext("装置当地时间（%(zone)s）。") % {"zone": facility.zone}
    form.fields["shifts"].help_text = gettext("申请 %(asked)s 班；须为 %(multiple)s 的整数倍，或与申请相同。") % {
        "asked": row.shifts,
        "multiple": facility.multiple,
    }
    error = None
    if posted is not None and form.is_valid():
        made, error = shell.attempt(lambda: _offer(actor, row, form, now=now))
        if error is None:
            messages.success(request, gettext("报价已发出，企业确认后合同成立。"))
            return redirect("beam_quote", made.pk)
        error = slots.put_back(form, error, {"shift": "price", "hour": "price", "tax_bp": "tax"})
    context = {
        "row": row,
        "proposal": row.proposal,
        "form": form,
        "error": error,
        "hourly": hourly,
        "shift": quote_prices.of_hour(facility, hourly) if hourly is not None else None,
        "left": pools.left(row.beamline, row.cycle, Pool.INDUSTRY),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "beam/quote_new.html", context, status=status)


def _offer(actor: Actor, row: BeamRequest, form: QuoteForm, *, now: datetime) -> BeamQuote:
    return quoting.offer(actor=actor, request=row, said=form.said(row, now=now), now=now)
