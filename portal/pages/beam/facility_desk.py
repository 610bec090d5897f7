"""The desk of those who run a large facility: how its cycles and shares stand, prices of beamlines, who has which share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import sentences
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import shell, slots
from portal.pages.beam import setup
from portal.pages.beam.facilities import free_runs
from portal.pages.beam.setup_forms import Layout, SetupForm, points
from portal.pages.fields import YuanField
from portal.pages.labels import label_of
from scheduler.availability.models import Closure
from scheduler.beamtime import shares as beam_shares
from scheduler.beamtime import visit_access
from scheduler.facilities import access, beamlines, queries, seen, services, standing
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
    shares, courses = queries.shares_of(row), queries.courses_of(row)
    runs = free_runs(lines, until=now + _days(row), now=now)
    context = {
        "facility": row,
        "lines": [
            {"line": line, "hourly": rates.get(line.pk), "runs": runs[line.pk], "has_shares": line.pk in shares}
            for line in lines
        ],
        "devices": _devices(row),
        "cycles": [{"row": one, "is_over": queries.period_of_cycle(one).end <= now} for one in cycles],
        "kinds": [kind for kind in ProposalKind if kind in courses],
        "shares": shares.get(None, {}),
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


class SharesForm(SetupForm):
    """Per cent of each pool; together a hundred."""

    QUIET = True
    UNITS: ClassVar[Mapping[str, Promise | str]] = {pool.value: "%" for pool in Pool}
    LAYOUT: ClassVar[Layout] = ((_("各类机时的份额"), [(pool.value,) for pool in Pool]),)

    def __init__(self, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        for pool in Pool:
            label = label_of("pool", pool.value)[1]
            self.fields[pool.value] = points(label, Decimal(0), Decimal(HUNDRED), required=False)

    def said(self) -> dict[Pool, Fraction]:
        return {pool: Fraction(self.cleaned_data[pool.value] or 0) / HUNDRED for pool in Pool}


def _percent(share: Fraction) -> Decimal:
    exact = Decimal(share.numerator * HUNDRED) / Decimal(share.denominator)
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP).normalize()


@shell.needs(P.FACILITY_MANAGE, P.FACILITY_DECIDE)
def facility_shares(request: HttpRequest, code: str, line: str = "") -> HttpResponse:
    """Say who has which share of the time: of all beamlines, or of one by itself (empty: it follows the facility)."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    found = access.get_beamline(row, line) if line else None
    shares = queries.shares_of(row).get(found.pk if found else None, {})
    stands = {pool.value: f"{_percent(share):f}" for pool, share in shares.items()}
    heading = gettext("线站 %(code)s 的机时份额") % {"code": found.code} if found else gettext("机时份额")
    intro = gettext("全部空着，这条线站随装置的份额。") if found else gettext("用于没有另设份额的线站。")
    about: dict[str, Any] = {"facility": row, "heading": heading, "stands": stands, "intro": intro}
    about["intro"] = sentences(intro, gettext("合计须为 100%。"))
    about["opened_on"] = seen.of_shares(row, found)
    form = SharesForm(request.POST if request.method == "POST" else None, initial=stands)
    if request.method != "POST" or not form.is_valid():
        return setup.setup_page(request, form, **about)
    said = {} if found and not any(form.said().values()) else form.said()
    opened_on = request.POST.get("opened_on", "")
    _done, error = setup.save(
        form,
        lambda: services.set_shares(
            actor=actor, facility=row, said=said, beamline=found, now=timezone.now(), opened_on=opened_on
        ),
    )
    if error is not None:
        return setup.setup_page(request, form, error=error, **about)
    messages.success(request, gettext("机时份额已保存。"))
    return redirect("facility_board", code)


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
