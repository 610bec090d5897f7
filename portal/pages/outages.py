"""An outage: the lab declares it and follows it; an enterprise chooses for its displaced bookings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.bookings import acted
from portal.pages.templatetags.show import zone_of
from scheduler.displacements import access, queries, rules, services
from scheduler.displacements.models import Displacement
from scheduler.resources import access as resources

__all__ = ["booking_choose", "displaced", "instrument_outage", "outage", "outage_end", "outages"]

SORTS = {"number": ["number"], "start": ["starts_at"], "instrument": ["resource__name"], "declared": ["declared_at"]}
NAMES = {"starts_at": "start", "ends_at": "end"}


class OutageForm(forms.Form):
    """When an instrument is out of use, in its wall time, why, and how long people may choose."""

    day = slots.DayField(label=_("开始日期"))
    start = slots.ClockField(label=_("开始时间"), widget=slots.time_input())
    end_day = slots.DayField(label=_("预计恢复日期"))
    end = slots.ClockField(label=_("预计恢复时间"), widget=slots.time_input())
    reason = forms.CharField(label=_("停机原因"), max_length=120, help_text=_("受影响的预约单位会看到。"))
    answer_hours = forms.IntegerField(
        label=_("答复期限（小时）"),
        min_value=rules.ANSWER_HOURS[0],
        max_value=rules.ANSWER_HOURS[2],
        initial=rules.ANSWER_HOURS[1],
        help_text=_("逾期未选的，预约取消，费用全部退回。"),
    )

    def period(self, zone: str) -> Period:
        """Return the span. Raises LocalTimeMissing, BadPeriod."""
        said = self.cleaned_data
        return slots.local_period(
            (said["day"], said["start"]), (said["end_day"], said["end"]), zone, fields=("start", "end")
        )


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_outage(request: HttpRequest, number: str) -> HttpResponse:
    """Say when an instrument fails, see whom it meets, then declare it."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_own_instrument(actor, number)
    local = now.astimezone(zone_of(resource.zone))
    initial = {
        "day": local.date(),
        "end_day": local.date(),
        "start": local.hour * 60 + local.minute,
        "end": 24 * 60 - 60,
    }
    form = OutageForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    met: Any = None
    if request.method == "POST" and form.is_valid():
        period, error = shell.attempt(lambda: form.period(resource.zone))
        if error is None and request.POST.get("act") == "declare":
            said = services.Declared(period, form.cleaned_data["reason"], form.cleaned_data["answer_hours"])
            made, error = acts.attempt_on(
                "displacement",
                lambda: services.declare(
                    actor=actor, resource=resource, declared=said, now=now, key=shell.key_of(request)
                ),
            )
            if error is None:
                messages.success(request, gettext("停机已申报，受影响的单位会收到一份通知。"))
                return redirect("outage", made.number)
        if error is None:
            met = queries.affected(resource, period=period, now=now)
        else:
            error = slots.put_back(form, error, NAMES)
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "met": met,
        "previewed": met is not None,
        "path": request.path,
        "key": request.POST.get("idempotency_key") or shell.new_key(),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/outage_declare.html", context, status=status)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def outages(request: HttpRequest) -> HttpResponse:
    """List the lab's outages with how far their people have chosen."""
    found = queries.with_progress(access.declared_by(shell.actor_of(request)))
    listing = shell.listing(request, found, sorts=SORTS, default="-declared")
    context = {"listing": listing, "lines": [{"row": row, "period": _span(row)} for row in listing.rows]}
    return shell.page(request, "lab/outages.html", context)


def _span(row: Any) -> Period:
    return Period(row.starts_at, row.ends_at)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def outage(request: HttpRequest, number: str) -> HttpResponse:
    """Show one outage: every booking it displaced and what became of it."""
    return _desk(request, number)


def _desk(request: HttpRequest, number: str, *, error: Explained | None = None) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    found = queries.with_progress(access.declared_by(actor)).get(pk=access.get_outage(actor, number).pk)
    rows = (
        Displacement.objects.filter(outage=found)
        .select_related("booking__resource", "booking__organisation")
        .prefetch_related("options__resource")
        .order_by("was_from", "pk")
    )
    context = {
        "outage": found,
        "period": _span(found),
        "lines": [_line(row) for row in rows],
        "told": found.notices.count(),
        "can_end": found.ended_at is None and found.ends_at > now,
        "error": error,
    }
    return shell.page(request, "lab/outage.html", context, status=error.status if error else 200)


def _line(row: Displacement) -> dict[str, Any]:
    options: list[dict[str, Any]] = [
        {"option": one, "period": Period(one.starts_at, one.ends_at) if one.starts_at and one.ends_at else None}
        for one in row.options.all()
    ]
    return {
        "row": row,
        "was": Period(row.was_from, row.was_to),
        "options": options,
        "chosen": next((one for one in options if one["option"].is_chosen), None),
    }


@require_POST
@shell.needs(Permission.INSTRUMENT_MANAGE)
def outage_end(request: HttpRequest, number: str) -> HttpResponse:
    """End an outage early: one press on its page."""
    actor = shell.actor_of(request)
    found = access.get_outage(actor, number)
    _done, error = shell.attempt(lambda: services.end_outage(actor=actor, outage=found, now=timezone.now()))
    if error is not None:
        return _desk(request, number, error=error)
    messages.success(request, gettext("停机已结束，余下的时间重新开放预约。"))
    return redirect("outage", number)


@shell.needs(Permission.BOOKING_REQUEST)
def displaced(request: HttpRequest) -> HttpResponse:
    """List the enterprise's displaced bookings, those still to be chosen for first."""
    return _choices(request)


def _choices(request: HttpRequest, *, error: Explained | None = None) -> HttpResponse:
    found = access.of_mine(shell.actor_of(request))
    now = timezone.now()
    open_ = found.filter(state=Displacement.State.OPEN).order_by("outage__answer_by", "was_from", "pk")
    context = {
        "lines": [_line(row) | {"late": now >= row.outage.answer_by} for row in open_],
        "done": [_line(row) for row in found.exclude(state=Displacement.State.OPEN).order_by("-answered_at")[:20]],
        "error": error,
        "now": now,
    }
    return shell.page(request, "bookings/displaced.html", context, status=error.status if error else 200)


@require_POST
@shell.needs(Permission.BOOKING_REQUEST)
def booking_choose(request: HttpRequest, number: str) -> HttpResponse:
    """Choose for one displaced booking: one press."""
    actor, said = shell.actor_of(request), request.POST.get("choice", "")
    found = access.get_mine(actor, number)
    if said not in {kind.value for kind in rules.OptionKind}:
        return redirect("displaced")
    _done, error = shell.attempt(
        lambda: services.choose(actor=actor, displacement=found, kind=rules.OptionKind(said), now=timezone.now())
    )
    if error is not None:
        return _choices(request, error=error)
    if rules.OptionKind(said) is rules.OptionKind.REFUND:
        messages.success(request, gettext("预约已取消，费用全部退回。"))
        return redirect(reverse("displaced"))
    messages.success(request, gettext("已改到所选时段，价格不变。"))
    return acted(request, number, None)
