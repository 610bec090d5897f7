"""Wait for time on an instrument; accept or pass on what is offered."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.bookings import acted
from portal.pages.purses import purses_of
from portal.pages.templatetags.show import city, zone_of
from scheduler.bookings import twins
from scheduler.resources import access as resources
from scheduler.resources.models import Resource
from scheduler.waitlist import access, queries, rules, services
from scheduler.waitlist.models import WaitlistEntry

__all__ = ["days_of", "instrument_wait", "waitlist", "waitlist_act"]

WEEKDAYS = [
    ("1", _("周一")),
    ("2", _("周二")),
    ("3", _("周三")),
    ("4", _("周四")),
    ("5", _("周五")),
    ("6", _("周六")),
    ("7", _("周日")),
]
SORTS = {"created": ["created_at"], "instrument": ["resource__name"], "state": ["state"]}


class WaitForm(forms.Form):
    """What to wait for, in the instrument's wall time."""

    since = slots.DayField(label=_("最早日期"))
    until = slots.DayField(label=_("最晚日期"))
    hours = forms.DecimalField(label=_("时长（小时）"), min_value=0, max_digits=6, decimal_places=2)
    part = forms.ChoiceField(label=_("一天中的时段"), choices=WaitlistEntry.Part.choices)
    weekdays = forms.MultipleChoiceField(
        label=_("星期"),
        choices=WEEKDAYS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("不选表示每天都可以。"),
    )
    takes_twins = forms.BooleanField(label=_("同一实验室的同类仪器也可以"), required=False)
    anywhere = forms.BooleanField(
        label=_("其他单位的同类仪器也可以"), required=False, help_text=_("价格以空出的那台仪器为准，接受前会显示。")
    )
    cities = forms.MultipleChoiceField(
        label=_("城市"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("仅用于其他单位的仪器；不选表示不限。"),
    )
    attended = forms.BooleanField(label=_("由实验室人员操作"), required=False)
    named = forms.BooleanField(
        label=_("让实验室看到是本单位在候补"),
        required=False,
        help_text=_("不选的，实验室只看到有单位在候补和等候的时间。"),
    )
    title = forms.CharField(label=_("用途"), max_length=120, help_text=_("仅贵单位和实验室可见。"))
    voucher = forms.ChoiceField(label=_("用券支付"), required=False, help_text=_("接受空位时按当时的价格冻结。"))

    def asked(self, resource: Resource, vouchers: list[Any]) -> services.Asked:
        """Return what the form says. Raises BadPeriod."""
        said, zone = self.cleaned_data, zone_of(resource.zone)
        start = datetime.combine(said["since"], time.min, zone)
        end = datetime.combine(said["until"] + timedelta(days=1), time.min, zone)
        return services.Asked(
            resource=resource,
            window=Period(start, end),
            length=timedelta(hours=float(said["hours"])),
            title=said["title"],
            weekdays=[int(day) for day in said["weekdays"]],
            part=rules.PartOfDay(said["part"]),
            takes_twins=said["takes_twins"],
            anywhere=said["anywhere"],
            cities=said["cities"],
            attended=said["attended"],
            vouchers=vouchers,
            named=said["named"],
        )


@shell.needs(Permission.BOOKING_REQUEST)
def instrument_wait(request: HttpRequest, number: str) -> HttpResponse:
    """Join the waiting list of an instrument."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_instrument(actor, number)
    today = now.astimezone(zone_of(resource.zone)).date()
    day = request.GET.get("day", "") or today.isoformat()
    usual = min(max(2 * 3600, resource.min_duration_s), resource.max_duration_s)
    initial = {"hours": f"{usual / 3600:g}", "since": day, "until": (today + timedelta(days=14)).isoformat()}
    form = WaitForm(request.POST if request.method == "POST" else None, initial=initial)
    purses = [purse for purse in purses_of(actor, now=now) if purse.voucher.deducts]
    cities = form.fields["cities"]
    assert isinstance(cities, forms.MultipleChoiceField)
    cities.choices = [(name, city(name)) for name in twins.alike_cities(resource)]
    voucher = form.fields["voucher"]
    assert isinstance(voucher, forms.ChoiceField)
    voucher.choices = [("", gettext("全部自付")), *((purse.voucher.number, purse.label) for purse in purses)]
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        paying = [purse.voucher for purse in purses if purse.voucher.number == form.cleaned_data["voucher"]]
        _made, error = shell.attempt(lambda: services.join(actor=actor, asked=form.asked(resource, paying), now=now))
        if error is None:
            messages.success(request, gettext("已加入候补。有空位时会为贵单位保留，并通知您。"))
            return redirect("waitlist")
        error = slots.put_back(form, error, {"starts_at": "since", "ends_at": "until", "length": "hours"})
    context = {"resource": resource, "form": form, "error": error, "path": request.path}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "bookings/wait.html", context, status=status)


@shell.needs(Permission.BOOKING_REQUEST)
def waitlist(request: HttpRequest) -> HttpResponse:
    """List the organisation's entries with what is offered."""
    return _page(request)


def _page(request: HttpRequest, *, error: Explained | None = None) -> HttpResponse:
    now = timezone.now()
    listing = shell.listing(request, access.mine(shell.actor_of(request)), sorts=SORTS, default="-created")
    context = {
        "listing": listing,
        "lines": [_line(entry, now=now) for entry in listing.rows],
        "error": error,
    }
    return shell.page(request, "bookings/waitlist.html", context, status=error.status if error else 200)


def days_of(entry: WaitlistEntry) -> list[str]:
    """Return the weekdays somebody can come, in the language that is active; none for any."""
    return [str(dict(WEEKDAYS)[str(day)]) for day in entry.weekdays]


def _line(entry: WaitlistEntry, *, now: datetime) -> dict[str, Any]:
    offers = list(entry.offers.all())
    offer = next((one for one in offers if one.state == rules.TimeOfferState.OPEN.value and now < one.answer_by), None)
    period = Period(offer.starts_at, offer.ends_at) if offer else None
    return {
        "entry": entry,
        "window": Period(entry.since, entry.until),
        "length": timedelta(seconds=entry.length_s),
        "days": days_of(entry),
        "cities": [city(name) for name in entry.cities],
        "offer": offer,
        "period": period,
        "reasons": [explain_reason(queries.reason_of(kept)) for kept in entry.skipped],
        "waits": entry.state in access.WAITS,
    }


@require_POST
@shell.needs(Permission.BOOKING_REQUEST)
def waitlist_act(request: HttpRequest, entry_id: int) -> HttpResponse:
    """Accept or refuse what is offered, or stop waiting: one press."""
    actor, now, act = shell.actor_of(request), timezone.now(), request.POST.get("act", "")
    entry = access.get_mine(actor, entry_id)
    verbs: dict[str, Any] = {"accept": services.accept, "refuse": services.refuse, "withdraw": services.withdraw}
    if act not in verbs:
        return redirect("waitlist")
    done, error = acts.attempt_on("waiting", lambda: verbs[act](actor=actor, entry=entry, now=now))
    if error is not None:
        return _page(request, error=error)
    said = {
        "accept": gettext("已预约，时间和费用已为贵单位保留。"),
        "refuse": gettext("已谢绝，时段转给下一位；候补仍然有效。"),
        "withdraw": gettext("已撤回候补。"),
    }
    messages.success(request, said[act])
    return acted(request, done.number, None) if act == "accept" else redirect("waitlist")
