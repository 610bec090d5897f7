"""The calendar of working days: what the portal knows, and the days a department fixes itself."""

from __future__ import annotations

from datetime import date

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.pages.acts import attempt_on
from portal.pages.fields import DayInput
from portal.pages.opening import accepted, affected
from portal.pages.shell import act_of, actor_of, listing, needs, page
from portal.workdays import queries, rules, services
from portal.workdays.models import CalendarDay

READERS = (
    Permission.PROGRAMME_DRAFT,
    Permission.PROGRAMME_PUBLISH,
    Permission.APPLICATION_REVIEW,
    Permission.APPLICATION_APPROVE,
)


class ImportForm(forms.Form):
    """Days to fix, one a line, and the document they rest on."""

    text = forms.CharField(
        label=_("日期"),
        widget=forms.Textarea(attrs={"rows": 8, "class": "code", "spellcheck": "false"}),
        help_text=_(
            "每行一天：日期,班或休,名称,按周几。例如 2027-02-06,班,春节调休,周四。“按周几”决定仪器按哪天的开放时间开放，可不写。同一天以最后一行为准。"
        ),
    )
    source = forms.CharField(label=_("依据的文件"), max_length=120)


class CountForm(forms.Form):
    """A period to count."""

    start = forms.DateField(label=_("发布日期"), widget=DayInput())
    days = forms.IntegerField(label=_("工作日"), min_value=1, max_value=366)


@needs(*READERS)
def calendar(request: HttpRequest) -> HttpResponse:
    """Show the days fixed here, count a period, and import days."""
    actor, now = actor_of(request), timezone.now()
    form, error = ImportForm(), None
    if request.method == "POST":
        act = act_of(request, "import", "remove")
        form = ImportForm(request.POST) if act == "import" else form
        if not form.is_bound or form.is_valid():
            done, error = attempt_on("workdays", lambda: _do(request, act, form))
            if error is None:
                messages.success(request, done)
                return redirect("workdays")
    known = queries.official().known_years
    counted = CountForm(request.GET if "start" in request.GET else None)
    return page(
        request,
        "workdays/calendar.html",
        {
            "listing": listing(request, CalendarDay.objects.all(), sorts={"date": ["date"]}, default="date"),
            "form": form,
            "count": counted,
            "last": _last(counted),
            "first_year": min(known),
            "last_year": max(known),
            "is_short": timezone.localdate(now).year >= max(known),
            "may_change": actor.may(Permission.PROGRAMME_PUBLISH),
            "may_notice_desk": actor.may(Permission.APPLICATION_REVIEW) or actor.may(Permission.APPLICATION_APPROVE),
            "tab": "workdays",
            "error": error,
            "day": request.POST.get("day", ""),
            **affected(error),
        },
        status=_status(form, error),
    )


def _status(form: ImportForm, error: Explained | None) -> int:
    if error:
        return error.status
    return 422 if form.is_bound and not form.is_valid() else 200


def _last(form: CountForm) -> tuple[date, bool] | None:
    """Return the last day of the period asked for, and whether part of it is only estimated."""
    if not (form.is_bound and form.is_valid()):
        return None
    days = queries.workdays()
    start = form.cleaned_data["start"]
    last = days.add_working_days(start, form.cleaned_data["days"])
    return last, days.estimated_within(start, last)


def _do(request: HttpRequest, act: str, form: ImportForm) -> str:
    actor, now = actor_of(request), timezone.now()
    if act == "remove":
        try:
            day = date.fromisoformat(request.POST.get("day", ""))
        except ValueError:
            raise NotFound from None
        services.remove_day(actor=actor, day=day, accepts=accepted(request), now=now)
        return gettext("该日已恢复按法定安排计算。")
    days = rules.read_days(form.cleaned_data["text"])
    count = services.set_days(
        actor=actor, days=days, source=form.cleaned_data["source"], accepts=accepted(request), now=now
    )
    return gettext("已设定 %(count)s 天。") % {"count": count}
