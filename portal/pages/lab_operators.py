"""A lab's operators: who they are, when they work, which instruments they can run until when."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.pages import exceptions, opening, shell, slots, weeks
from portal.pages.templatetags.show import bilingual, zone_of
from scheduler.availability.models import OpeningHours
from scheduler.qualifications import access, services
from scheduler.resources import access as resources
from scheduler.resources.models import Resource, Skill

__all__ = ["operator", "operator_absences", "operator_hours", "operator_new", "operators"]

SORTS = {"name": ["name", "pk"], "number": ["number"]}
YEAR = timedelta(days=365)


class OperatorForm(forms.Form):
    """Who, and where."""

    name = forms.CharField(label=_("姓名"), max_length=60)
    city = forms.CharField(label=_("所在城市"), max_length=40)
    zone = forms.CharField(
        label=_("时区"), max_length=40, initial="Asia/Shanghai", help_text=_("IANA 名称；国内均为 Asia/Shanghai。")
    )


class SkillForm(forms.Form):
    """An instrument, and from which day to which the operator can run it."""

    instrument = forms.ChoiceField(label=_("仪器"))
    since = slots.DayField(label=_("从"))
    until = slots.DayField(label=_("到（含）"))

    def __init__(self, known: list[Resource], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.known = {row.number: row for row in known}
        field = self.fields["instrument"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", gettext("请选择")), *((number, bilingual(row)) for number, row in self.known.items())]


@shell.needs(Permission.INSTRUMENT_MANAGE)
def operators(request: HttpRequest) -> HttpResponse:
    """List the lab's operators and what they can run."""
    found = access.own_operators(shell.actor_of(request)).prefetch_related("skills__instrument", "opening_hours")
    listing = shell.listing(request, found, sorts=SORTS, default="name")
    today = timezone.localdate()
    lines = [
        {
            "person": row,
            "skills": [skill.instrument for skill in row.skills.all() if _holds(skill, today)],
            "works": bool(row.opening_hours.all()),
        }
        for row in listing.rows
    ]
    return shell.page(request, "lab/operators.html", {"listing": listing, "lines": lines})


def _holds(skill: Skill, day: date) -> bool:
    return bool(skill.valid.lower <= day and (skill.valid.upper is None or day < skill.valid.upper))


@shell.needs(Permission.INSTRUMENT_MANAGE)
def operator_new(request: HttpRequest) -> HttpResponse:
    """Enter an operator; hours and skills come next."""
    actor, now = shell.actor_of(request), timezone.now()
    form = OperatorForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        made, error = shell.attempt(lambda: services.enter_operator(actor=actor, now=now, **said))
        if error is None:
            messages.success(request, gettext("已登记。接下来请设置工作时间和能操作的仪器。"))
            return redirect("operator", made.number)
        error = slots.put_back(form, error)
    context = {"form": form, "error": error}
    return shell.page(
        request, "lab/operator_new.html", context, status=error.status if error else 422 if form.errors else 200
    )


@shell.needs(Permission.INSTRUMENT_MANAGE)
def operator_hours(request: HttpRequest, number: str) -> HttpResponse:
    """Edit when an operator works: the same rows as an instrument's opening hours."""
    return opening.edit_hours(request, access.get_own_operator(shell.actor_of(request), number), back="operator")


@shell.needs(Permission.INSTRUMENT_MANAGE)
def operator_absences(request: HttpRequest, number: str) -> HttpResponse:
    """Enter leave or extra duty; the bookings it would leave without their operator are named before it is saved."""
    return exceptions.edit_exceptions(request, access.get_own_operator(shell.actor_of(request), number))


@shell.needs(Permission.INSTRUMENT_MANAGE)
def operator(request: HttpRequest, number: str) -> HttpResponse:
    """Show an operator; say what they can run (``grant``), or end that from today on (``end``)."""
    actor, now = shell.actor_of(request), timezone.now()
    person = access.get_own_operator(actor, number)
    today = now.astimezone(zone_of(person.zone)).date()
    known = list(resources.own_instruments(actor).order_by("name", "pk"))
    form, error = SkillForm(known, initial={"since": today, "until": today + YEAR}), None
    if request.method == "POST":
        act = shell.act_of(request, "grant", "end")
        if act == "end":
            return _end(request, actor, person, today=today, now=now)
        form = SkillForm(known, request.POST)
        if form.is_valid():
            _done, error = shell.attempt(lambda: _grant(actor, person, form, now=now))
            if error is None:
                messages.success(request, gettext("已保存，对新预约生效。"))
                return redirect("operator", number)
            error = slots.put_back(form, error)
    skills = Skill.objects.filter(operator=person, valid__endswith__gt=today).select_related("instrument")
    context = {
        "person": person,
        "hours": weeks.hours_in_words(OpeningHours.objects.filter(resource=person)),
        "skills": [
            {"instrument": row.instrument, "since": row.valid.lower, "until": row.valid.upper - timedelta(days=1)}
            for row in skills.order_by("instrument__name", "valid")
        ],
        "form": form,
        "error": error,
    }
    return shell.page(
        request, "lab/operator.html", context, status=error.status if error else 422 if form.errors else 200
    )


def _grant(actor: Actor, person: Resource, form: SkillForm, *, now: datetime) -> Skill:
    said = form.cleaned_data
    days = services.Days(said["since"], said["until"] + timedelta(days=1))
    instrument = form.known[said["instrument"]]
    return services.grant_skill(actor=actor, operator=person, instrument=instrument, days=days, now=now)


def _end(request: HttpRequest, actor: Actor, person: Resource, *, today: date, now: datetime) -> HttpResponse:
    instrument = resources.get_own_instrument(actor, request.POST.get("instrument", ""))
    services.end_skill(actor=actor, operator=person, instrument=instrument, on=today, now=now)
    messages.success(request, gettext("从今天起不再安排；已有预约不受影响。"))
    return redirect("operator", person.number)
