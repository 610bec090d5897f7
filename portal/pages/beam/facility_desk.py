"""The desk of those who run a large facility: how its cycles and shares stand, prices of beamlines, who has which share."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import shell, slots
from portal.pages.beam.facilities import free_runs
from portal.pages.beam_words import POOLS
from portal.pages.fields import YuanField
from scheduler.availability.models import Closure
from scheduler.beamtime import shares as beam_shares
from scheduler.beamtime import visit_access
from scheduler.facilities import access, beamlines, queries, services, standing
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Beamline, DeviceClash, Facility, Partner
from scheduler.facilities.shares import Pool
from scheduler.resources import queries as prices

__all__ = ["facility_board", "facility_desk", "facility_line", "facility_shares"]

P = Permission
HUNDRED = 100


@shell.needs(*access.STAFF)
def facility_desk(request: HttpRequest) -> HttpResponse:
    """Go to the only facility of one's organisation, or list them."""
    actor, now = shell.actor_of(request), timezone.now()
    rows = access.facilities_of(actor).annotate(
        line_count=Count("beamlines", distinct=True),
        device_count=Count("devices", distinct=True),
        cycle_count=Count("cycles", distinct=True),
        open_calls=Count("calls", filter=Q(calls__is_published=True, calls__during__contains=now), distinct=True),
    )
    found = list(rows.order_by("name", "pk")[:200])
    if len(found) == 1 and "all" not in request.GET:
        return redirect("facility_board", found[0].code)
    context = {"facilities": found, "may_manage": actor.may(P.FACILITY_MANAGE)}
    return shell.page(request, "beam/desk.html", context)


@shell.needs(*access.STAFF)
def facility_board(request: HttpRequest, code: str) -> HttpResponse:
    """Show how a facility stands: beamlines, cycles, the shares of the chosen cycle to the shift (F18)."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_own(actor, code)
    lines = _lines(row, now=now)
    rates = prices.rates_of_resources([line.pk for line in lines], at=now)
    cycles = list(row.cycles.order_by("-during")[:24])
    wanted = request.GET.get("cycle", "")
    chosen = next((one for one in cycles if one.code == wanted), None)
    chosen = chosen or next(
        (one for one in cycles if now in queries.period_of_cycle(one)), cycles[0] if cycles else None
    )
    found = beam_shares.standing_of(chosen) if chosen else []
    runs = free_runs(lines, until=now + _days(row), now=now)
    context = {
        "facility": row,
        "lines": [{"line": line, "hourly": rates.get(line.pk), "runs": runs[line.pk]} for line in lines],
        "devices": _devices(row),
        "cycles": [{"row": one, "is_over": queries.period_of_cycle(one).end <= now} for one in cycles],
        "kinds": [kind for kind in ProposalKind if kind in queries.courses_of(row)],
        "shares": queries.shares_of(row).get(None, {}),
        "shift_length": timedelta(minutes=row.length_min),
        "shift_names": gettext("、").join(row.shift_names),
        "chosen": chosen,
        "standing": found,
        "totals": standing.totals(found),
        "may_figures": visit_access.may_read_figures(actor, row),
        "may_manage": actor.may(P.FACILITY_MANAGE),
        "may_plan": actor.may(P.BEAMTIME_PLAN),
        "may_share": actor.may(P.FACILITY_MANAGE) or actor.may(P.FACILITY_DECIDE),
    }
    return shell.page(request, "beam/board.html", context)


def _lines(row: Facility, *, now: datetime) -> list[Beamline]:
    partners = Partner.objects.filter(beamline=OuterRef("pk")).order_by().values("beamline")
    closures = Closure.objects.filter(resource=OuterRef("pk"), during__endswith__gt=now).order_by().values("resource")
    counted = {
        "partner_count": Coalesce(Subquery(partners.annotate(n=Count("pk")).values("n")), 0),
        "closure_count": Coalesce(Subquery(closures.annotate(n=Count("pk")).values("n")), 0),
    }
    return list(row.beamlines.select_related("resource").annotate(**counted).order_by("code"))


def _devices(row: Facility) -> list[dict[str, Any]]:
    devices = list(row.devices.select_related("resource").prefetch_related("fits__beamline").order_by("code"))
    clashes: dict[int, list[str]] = {one.pk: [] for one in devices}
    for pair in DeviceClash.objects.filter(one__facility=row).select_related("one", "two").order_by("pk"):
        clashes[pair.one_id].append(pair.two.code)
        clashes[pair.two_id].append(pair.one.code)
    return [
        {
            "row": one,
            "lines": sorted(fit.beamline.code for fit in one.fits.all()),
            "clashes": sorted(clashes[one.pk]),
        }
        for one in devices
    ]


def _days(row: Facility) -> timedelta:
    return timedelta(days=row.market_days + 1)


class SharesForm(forms.Form):
    """Per cent of each pool; together a hundred."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for pool in Pool:
            self.fields[pool.value] = forms.DecimalField(
                label=POOLS[pool.value], min_value=0, max_value=HUNDRED, max_digits=5, decimal_places=2, required=False
            )

    def said(self) -> dict[Pool, Fraction]:
        return {pool: Fraction(self.cleaned_data[pool.value] or 0) / HUNDRED for pool in Pool}


def _percent(share: Fraction) -> Decimal:
    exact = Decimal(share.numerator * HUNDRED) / Decimal(share.denominator)
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP).normalize()


@shell.needs(P.FACILITY_MANAGE, P.FACILITY_DECIDE)
def facility_shares(request: HttpRequest, code: str) -> HttpResponse:
    """Say who has which share of a facility's time."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    stands = queries.shares_of(row).get(None, {})
    posted = request.POST if request.method == "POST" else None
    form = SharesForm(posted, initial={pool.value: f"{_percent(share):f}" for pool, share in stands.items()})
    error = None
    if posted is not None and form.is_valid():
        _done, error = shell.attempt(
            lambda: services.set_shares(actor=actor, facility=row, said=form.said(), now=timezone.now())
        )
        if error is None:
            messages.success(request, gettext("机时份额已保存。"))
            return redirect("facility_board", code)
        error = slots.put_back(form, error)
    context = {"facility": row, "form": form, "error": error, "heading": gettext("机时份额")}
    return shell.page(request, "beam/form.html", context, status=error.status if error else 422 if form.errors else 200)


class LineForm(forms.Form):
    """What an hour costs enterprises, and whether the beamline is in the catalogue."""

    hourly = YuanField(label=_("企业每小时价格（元）"), least_fen=0, required=False)
    shown = forms.BooleanField(label=_("在目录中公开，未分配的班次自动开放给企业"), required=False)


def _save_line(actor: Actor, line: Any, form: LineForm, fen: int | None) -> None:
    now, said = timezone.now(), form.cleaned_data
    if said["hourly"] is not None and said["hourly"].fen != fen:
        beamlines.price_beamline(actor=actor, beamline=line, hourly=said["hourly"], now=now)
    beamlines.publish(actor=actor, beamline=line, shown=said["shown"], now=now)


@shell.needs(P.FACILITY_MANAGE)
def facility_line(request: HttpRequest, code: str, line: str) -> HttpResponse:
    """Price a beamline and put it in the catalogue."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE)
    found = access.get_beamline(row, line)
    rate = prices.rates_of_resources([found.pk], at=timezone.now()).get(found.pk)
    stands = {"hourly": Money(rate.amount_fen) if rate else None, "shown": found.resource.state == "published"}
    posted = request.POST if request.method == "POST" else None
    form = LineForm(posted, initial=stands)
    error = None
    if posted is not None and form.is_valid():
        fen = rate.amount_fen if rate else None
        _done, error = shell.attempt(lambda: _save_line(actor, found, form, fen))
        if error is None:
            messages.success(request, gettext("已保存，对新预订生效。"))
            return redirect("facility_board", code)
        error = slots.put_back(form, error)
    heading = gettext("线站 %(code)s") % {"code": found.code}
    context = {"facility": row, "form": form, "error": error, "heading": heading}
    return shell.page(request, "beam/form.html", context, status=error.status if error else 422 if form.errors else 200)
