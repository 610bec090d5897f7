"""The days on which an instrument departs from its weekly hours: closures and special openings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.period import Period
from portal.pages import shell, slots
from portal.pages.opening import AUDIENCES, accepted, affected
from portal.pages.templatetags.show import zone_of
from scheduler.availability import deviations, patterns, queries, rules
from scheduler.availability.models import Closure, SpecialOpening
from scheduler.resources import access
from scheduler.resources.models import Resource
from scheduler.resources.rules import ResourceKind

__all__ = ["edit_exceptions", "instrument_exceptions"]

CLOSED, OPEN = "closed", "open"


class ExceptionForm(forms.Form):
    """A span that is closed or specially open, in the instrument's wall time."""

    kind = forms.ChoiceField(
        label=_("类型"), choices=[(CLOSED, pgettext_lazy("calendar", "停用")), (OPEN, _("特别开放"))]
    )
    day = slots.DayField(label=_("开始日期"))
    start = slots.ClockField(label=_("开始时间"), widget=slots.time_input())
    end_day = slots.DayField(label=_("结束日期"))
    end = slots.ClockField(label=_("结束时间"), widget=slots.time_input())
    audience = forms.ChoiceField(
        label=_("对谁开放"), choices=AUDIENCES, required=False, help_text=_("仅用于特别开放。")
    )
    is_automatic = forms.BooleanField(label=_("特别开放期间的预约自动确认"), required=False)
    reason = forms.CharField(label=_("原因"), max_length=120, help_text=_("仅本单位可见。"))

    def speak_of_a_person(self) -> None:
        """Ask for leave and extra duty, which have no audience and confirm nothing."""
        kind = self.fields["kind"]
        assert isinstance(kind, forms.ChoiceField)
        kind.choices = [(CLOSED, gettext("请假")), (OPEN, gettext("加班"))]
        del self.fields["audience"], self.fields["is_automatic"]

    def period(self, zone: str) -> Period:
        """Return the span. Raises LocalTimeMissing, BadPeriod."""
        said = self.cleaned_data
        return slots.local_period(
            (said["day"], said["start"]), (said["end_day"], said["end"]), zone, fields=("start", "end")
        )


NAMES = {"starts_at": "start", "ends_at": "end"}


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_exceptions(request: HttpRequest, number: str) -> HttpResponse:
    """List what is not over, enter a further one, take one back."""
    return edit_exceptions(request, access.get_own_instrument(shell.actor_of(request), number))


def edit_exceptions(request: HttpRequest, resource: Resource) -> HttpResponse:
    """The same for whatever the lab has: an operator is on leave where an instrument is closed, on duty where it is open."""
    actor, now = shell.actor_of(request), timezone.now()
    today = now.astimezone(zone_of(resource.zone)).date()
    initial = {"kind": CLOSED, "day": today, "end_day": today + timedelta(days=1), "start": 0, "end": 0}
    form, error, taken_back = _form(resource, initial=initial), None, ""
    if request.method == "POST":
        act = shell.act_of(request, "save", "lift", "withdraw")
        if act == "save":
            form = _form(resource, request.POST)
            if form.is_valid():
                done, error = shell.attempt(lambda: _save(request, actor, resource, form, now=now))
                error = slots.put_back(form, error, NAMES) if error else None
        else:
            taken_back = request.POST.get("id", "")
            done, error = shell.attempt(lambda: _take_back(request, actor, resource, act, now=now))
        if error is None and not form.errors:
            messages.success(request, done)
            return redirect(request.path)
    return _show(request, resource, form, error, taken_back=taken_back, now=now)


def _form(resource: Resource, data: Any = None, **more: Any) -> ExceptionForm:
    form = ExceptionForm(data, **more)
    if resource.kind == ResourceKind.OPERATOR.value:
        form.speak_of_a_person()
    return form


def _save(request: HttpRequest, actor: Actor, resource: Resource, form: ExceptionForm, *, now: datetime) -> str:
    said, period = form.cleaned_data, form.period(resource.zone)
    person = resource.kind == ResourceKind.OPERATOR.value
    if said["kind"] == CLOSED:
        deviations.close(
            actor=actor, resource=resource, period=period, reason=said["reason"], accepts=accepted(request), now=now
        )
        return (
            gettext("请假已登记，这段时间不再安排。") if person else gettext("停用时段已登记，这段时间不再接受预约。")
        )
    audience = rules.Audience(said.get("audience") or rules.Audience.EVERYBODY.value)
    special = patterns.Special(period, audience, bool(said.get("is_automatic")))
    deviations.open_specially(actor=actor, resource=resource, special=special, reason=said["reason"], now=now)
    return gettext("加班已登记，这段时间可以安排。") if person else gettext("特别开放已登记，这段时间可以预约。")


def _take_back(request: HttpRequest, actor: Actor, resource: Resource, act: str, *, now: datetime) -> str:
    text = request.POST.get("id", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotFound
    if act == "lift":
        deviations.lift_closure(actor=actor, resource=resource, closure_id=int(text), now=now)
        return gettext("已取消。") if resource.kind == ResourceKind.OPERATOR.value else gettext("停用时段已取消。")
    deviations.withdraw_special(
        actor=actor, resource=resource, special_id=int(text), accepts=accepted(request), now=now
    )
    return gettext("已取消。") if resource.kind == ResourceKind.OPERATOR.value else gettext("特别开放已取消。")


def _show(
    request: HttpRequest,
    resource: Resource,
    form: ExceptionForm,
    error: Explained | None,
    *,
    taken_back: str,
    now: datetime,
) -> HttpResponse:
    closures, specials = queries.deviations(resource, now=now)
    rows = sorted([*map(_row, closures), *map(_row, specials)], key=lambda row: row["period"])
    context = {"resource": resource, "form": form, "error": error, "rows": rows, **affected(error)}
    context["person"] = resource.kind == ResourceKind.OPERATOR.value
    # Where a withdrawal needs a second look, the box to tick belongs to that row's form.
    context["asked"] = taken_back
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/exceptions.html", context, status=status)


def _row(row: Closure | SpecialOpening) -> dict[str, Any]:
    words = dict(AUDIENCES)
    special = isinstance(row, SpecialOpening)
    return {
        "id": row.pk,
        "period": queries.period_of(row.during),
        "reason": row.reason,
        "act": "withdraw" if special else "lift",
        "audience": words[row.audience] if isinstance(row, SpecialOpening) else "",
        "is_automatic": isinstance(row, SpecialOpening) and row.is_automatic,
    }
