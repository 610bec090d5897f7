"""A lab's instrument time: block it for maintenance."""

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

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.templatetags.show import zone_of
from scheduler.availability import services
from scheduler.availability.models import Claim
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["instrument_maintenance"]


def each_unit(resource: Resource) -> range:
    """Return the numbers of a resource's units."""
    return range(1, resource.capacity + 1)


class MaintenanceForm(forms.Form):
    """A span to block, in the instrument's wall time, and why."""

    day = slots.DayField(label=_("开始日期"))
    start = slots.ClockField(label=_("开始时间"), widget=slots.time_input())
    end_day = slots.DayField(label=_("结束日期"))
    end = slots.ClockField(label=_("结束时间"), widget=slots.time_input())
    units = forms.MultipleChoiceField(
        label=_("维护哪几个"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("不选即全部。"),
    )
    places = forms.IntegerField(label=_("维护的名额"), required=False, min_value=1, help_text=_("不填即全部。"))
    note = forms.CharField(label=_("原因"), max_length=120, help_text=_("仅本单位可见；企业只看到“维护”。"))

    def __init__(self, resource: Resource, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        numbered = resource.counting == Resource.Counting.UNITS.value
        if resource.capacity == 1 or not numbered:
            del self.fields["units"]
        else:
            units = self.fields["units"]
            assert isinstance(units, forms.MultipleChoiceField)
            units.choices = [(str(unit), gettext("%(unit)s 号") % {"unit": unit}) for unit in each_unit(resource)]
        if resource.capacity == 1 or numbered:
            del self.fields["places"]

    def which(self) -> dict[str, Any]:
        """Return which units or how many places, as the service asks."""
        units = [int(unit) for unit in self.cleaned_data.get("units") or ()]
        return {"units": units, "places": self.cleaned_data.get("places")}

    def period(self, zone: str) -> Period:
        """Return the span. Raises LocalTimeMissing, BadPeriod."""
        said = self.cleaned_data
        return slots.local_period(
            (said["day"], said["start"]), (said["end_day"], said["end"]), zone, fields=("start", "end")
        )


NAMES = {"starts_at": "start", "ends_at": "end"}


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_maintenance(request: HttpRequest, number: str) -> HttpResponse:
    """Block time for maintenance, or lift a block."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    lifted = request.POST.get("lift", "")
    if lifted.isascii() and lifted.isdigit() and len(lifted) < 19:
        services.lift_maintenance(actor=actor, resource=resource, claim_id=int(lifted), now=now)
        messages.success(request, gettext("已取消该维护时段，时间重新开放预约。"))
        return redirect("instrument_maintenance", number)
    local = now.astimezone(zone_of(resource.zone)).date()
    initial = {"day": local, "end_day": local, "start": 8 * 60, "end": 18 * 60}
    form = MaintenanceForm(resource, request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        _claim, error = shell.attempt(
            lambda: services.block_for_maintenance(
                actor=actor,
                resource=resource,
                period=form.period(resource.zone),
                note=form.cleaned_data["note"],
                now=now,
                **form.which(),
            )
        )
        if error is None:
            messages.success(request, gettext("维护时段已登记，企业不能预约这段时间。"))
            return arrived(request, reverse("instrument_maintenance", args=[number]))
        error = slots.put_back(form, error, NAMES)
    blocked = Claim.objects.filter(resource=resource, state=Claim.State.OUTAGE, blocked__endswith__gt=now).order_by(
        "blocked", "unit_no"
    )
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "blocks": [
            {
                "id": row.pk,
                "note": row.note,
                "period": Period(row.during.lower, row.during.upper),
                "unit": row.unit_no if resource.capacity > 1 else None,
                "places": row.units if row.unit_no is None else None,
            }
            for row in blocked
        ],
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/maintenance.html", context, status=status)
