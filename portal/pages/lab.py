"""A lab's instruments: the list, describing one, its opening hours, its price, opening and suspending it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import acts, shell, slots, weeks
from portal.pages.booking_requests import arrived
from portal.pages.fields import YuanField
from portal.pages.instruments import instrument_page
from portal.pages.templatetags.show import bilingual, label
from scheduler.bookings.models import Booking
from scheduler.resources import access, rules, services
from scheduler.resources import queries as rates
from scheduler.resources.models import Instrument, Resource

__all__ = ["instrument_edit", "instrument_new", "instrument_rate", "instrument_state", "my_instruments"]

SORTS = {"name": ["name"], "number": ["number"], "state": ["state"], "city": ["city"], "waiting": ["waiting"]}


class ListFilter(forms.Form):
    """What the lab's own list may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs["type"] = "search"
        states = self.fields["state"]
        assert isinstance(states, forms.ChoiceField)
        states.choices = [("", gettext("全部")), *Resource.State.choices]
        self.full_clean()

    def narrow(self, found: QuerySet[Resource]) -> QuerySet[Resource]:
        if state := self.cleaned_data.get("state"):
            found = found.filter(state=state)
        for word in (self.cleaned_data.get("q") or "").split():
            found = found.filter(Q(name__icontains=word) | Q(name_en__icontains=word) | Q(number__icontains=word))
        return found


@shell.needs(Permission.INSTRUMENT_MANAGE)
def my_instruments(request: HttpRequest) -> HttpResponse:
    """List the lab's instruments, published or not, with the requests that wait."""
    now = timezone.now()
    filters = ListFilter(request.GET)
    waiting = Count("bookings", filter=Q(bookings__state=Booking.State.REQUESTED.value))
    found = filters.narrow(access.own_instruments(shell.actor_of(request))).annotate(waiting=waiting)
    if shell.wants_csv(request):
        return _csv(found.order_by("name", "pk")[: shell.EXPORT_LIMIT])
    listing = shell.listing(request, found, sorts=SORTS, default="name")
    rows = list(listing.rows)
    prices = rates.rates_of_resources([row.pk for row in rows], at=now)
    lines = [{"resource": row, "price": weeks.price_text(prices.get(row.pk))} for row in rows]
    return shell.page(request, "lab/list.html", {"filters": filters, "listing": listing, "lines": lines})


def _csv(found: QuerySet[Resource]) -> HttpResponse:
    rows = list(found)
    prices = rates.rates_of_resources([row.pk for row in rows], at=timezone.now())
    head = (
        gettext("编号"),
        gettext("名称"),
        gettext("类别"),
        gettext("型号"),
        gettext("所在城市"),
        gettext("放置地点"),
        gettext("状态"),
        gettext("价格"),
        gettext("待确认预约"),
    )
    return shell.csv_response(
        "my-instruments",
        head,
        (
            (
                row.number,
                bilingual(row),
                label(row.instrument.category, "category"),
                row.instrument.model,
                row.city,
                row.site,
                label(row.state, "resource"),
                weeks.price_text(prices.get(row.pk)),
                getattr(row, "waiting", 0),
            )
            for row in rows
        ),
    )


class InstrumentForm(forms.Form):
    """What a lab says of an instrument, in the units people think in."""

    name = forms.CharField(label=_("名称"), max_length=120)
    name_en = forms.CharField(label=_("英文名称"), max_length=160, required=False)
    category = forms.ChoiceField(label=_("类别"), choices=[("", _("请选择")), *Instrument.Category.choices])
    model = forms.CharField(label=_("型号"), max_length=80, required=False)
    manufacturer = forms.CharField(label=_("生产厂商"), max_length=120, required=False)
    value = YuanField(label=_("原值"), least_fen=0, required=False)
    functions = forms.CharField(
        label=_("主要功能"), max_length=900, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    functions_en = forms.CharField(
        label=_("英文功能说明"), max_length=1500, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    city = forms.CharField(label=_("所在城市"), max_length=40)
    site = forms.CharField(label=_("放置地点"), max_length=120, required=False)
    zone = forms.CharField(
        label=_("时区"), max_length=40, initial="Asia/Shanghai", help_text=_("IANA 名称；国内仪器均为 Asia/Shanghai。")
    )
    contact = forms.CharField(label=_("联系人"), max_length=60, required=False)
    phone = forms.CharField(label=_("联系电话"), max_length=40, required=False)
    granularity = forms.TypedChoiceField(
        label=_("时间格（分钟）"),
        coerce=int,
        initial=30,
        choices=[(minutes, minutes) for minutes in (5, 10, 15, 20, 30, 60, 120, 240)],
        help_text=_("起止时间须为它的整数倍。"),
    )
    shortest = forms.DecimalField(
        label=_("每次最短"), initial=1, min_value=0, max_value=744, max_digits=6, decimal_places=2
    )
    longest = forms.DecimalField(
        label=_("每次最长"), initial=8, min_value=0, max_value=744, max_digits=6, decimal_places=2
    )
    lead = forms.DecimalField(
        label=_("至少提前"), initial=0, min_value=0, max_value=2400, max_digits=6, decimal_places=2
    )
    horizon = forms.IntegerField(label=_("最多提前"), initial=60, min_value=1, max_value=400)
    setup = forms.IntegerField(
        label=_("使用前准备"), initial=0, min_value=0, max_value=1440, help_text=_("占用时间，不计费。")
    )
    cleanup = forms.IntegerField(
        label=_("使用后清理"), initial=0, min_value=0, max_value=1440, help_text=_("占用时间，不计费。")
    )

    def values(self) -> services.InstrumentValues:
        """Return the form as the service's values: seconds and fen."""
        said: dict[str, Any] = self.cleaned_data
        text = ("name", "name_en", "category", "city", "site", "zone", "model", "manufacturer", "functions")
        return services.InstrumentValues(
            **{name: said[name] for name in (*text, "functions_en", "contact", "phone")},
            original_value_fen=(said["value"] or Money(0)).fen,
            granularity_s=said["granularity"] * 60,
            min_duration_s=int(said["shortest"] * 3600),
            max_duration_s=int(said["longest"] * 3600),
            lead_s=int(said["lead"] * 3600),
            horizon_s=said["horizon"] * 86400,
            setup_s=said["setup"] * 60,
            cleanup_s=said["cleanup"] * 60,
        )


NAMES = {
    "original_value_fen": "value",
    "granularity_s": "granularity",
    "max_duration_s": "longest",
    "horizon_s": "horizon",
    "setup_s": "setup",
}
"""What the domain calls a value, and what the form calls it."""


def _initial(resource: Resource) -> dict[str, Any]:
    facts = resource.instrument
    return {
        **{name: getattr(resource, name) for name in ("name", "name_en", "city", "site", "zone")},
        **{
            name: getattr(facts, name)
            for name in ("category", "model", "manufacturer", "functions", "functions_en", "contact", "phone")
        },
        "value": Money(facts.original_value_fen),
        "granularity": resource.granularity_s // 60,
        "shortest": _hours(resource.min_duration_s),
        "longest": _hours(resource.max_duration_s),
        "lead": _hours(resource.lead_s),
        "horizon": resource.horizon_s // 86400,
        "setup": resource.setup_s // 60,
        "cleanup": resource.cleanup_s // 60,
    }


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:.2f}".rstrip("0").rstrip(".")


def _describe(request: HttpRequest, form: InstrumentForm, resource: Resource | None) -> HttpResponse:
    """Show the form, or do what it asks: enter a draft or change an instrument."""
    actor, now = shell.actor_of(request), timezone.now()
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        values = form.values()
        if resource is None:
            made, error = shell.attempt(lambda: services.create_instrument(actor=actor, values=values, now=now))
        else:
            known = resource
            made, error = shell.attempt(
                lambda: services.change_instrument(actor=actor, resource=known, values=values, now=now)
            )
        if error is None:
            acts.remember(request)
            said = gettext("已保存。接下来请设置开放时间和价格。") if resource is None else gettext("已保存。")
            messages.success(request, said)
            return redirect("instrument", made.number)
        error = slots.put_back(form, error, NAMES)
    status = error.status if error else 422 if form.errors else 200
    context = {
        "form": form,
        "resource": resource,
        "error": error,
        "key": request.POST.get("idempotency_key") or shell.new_key(),
    }
    return shell.page(request, "lab/edit.html", context, status=status)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_new(request: HttpRequest) -> HttpResponse:
    """Enter an instrument as a draft. A form sent twice enters it once."""
    if request.method == "POST" and acts.was_sent(request):
        messages.info(request, gettext("这张表单已提交过，仪器已在列表中。"))
        return redirect("my_instruments")
    return _describe(request, InstrumentForm(request.POST if request.method == "POST" else None), None)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_edit(request: HttpRequest, number: str) -> HttpResponse:
    """Change an instrument's description and limits."""
    resource = access.get_own_instrument(shell.actor_of(request), number)
    form = InstrumentForm(request.POST if request.method == "POST" else None, initial=_initial(resource))
    return _describe(request, form, resource)


class RateForm(forms.Form):
    """The price of an hour."""

    rate = YuanField(
        label=_("每小时价格"), least_fen=0, help_text=_("自保存起对新预约生效；已有预约仍按预约时的价格。")
    )


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_rate(request: HttpRequest, number: str) -> HttpResponse:
    """Show the prices so far and set the one from now on."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    current = rates.rate_of_resource(resource.pk, at=now)
    initial = {"rate": Money(current.amount_fen)} if current else {}
    form = RateForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        amount = form.cleaned_data["rate"]
        _rate, error = shell.attempt(
            lambda: services.set_hourly_rate(actor=actor, resource=resource, amount=amount, now=now)
        )
        if error is None:
            messages.success(request, gettext("新价格已生效。"))
            return arrived(request, reverse("instrument", args=[number]))
        error = slots.put_back(form, error)
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "rates": resource.rates.order_by("-valid")[:20],
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/rate.html", context, status=status)


ACTIONS: Mapping[str, rules.PublishAction] = {action.value: action for action in rules.PublishAction}
REMEDIES: Mapping[str, str] = {"hours": "instrument_hours", "rate": "instrument_rate"}
"""Where what lacks for publishing is set."""


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_state(request: HttpRequest, number: str) -> HttpResponse:
    """Publish or suspend; a refusal says what lacks, on the instrument's page."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    action = ACTIONS.get(request.POST.get("action", ""))
    if request.method != "POST" or action is None:
        return redirect("instrument", number)
    _done, error = acts.attempt_on(
        "resource", lambda: services.change_state(actor=actor, resource=resource, action=action, now=now)
    )
    if error is None:
        said = {
            rules.PublishAction.PUBLISH: gettext("已发布，企业现在可以预约。"),
            rules.PublishAction.SUSPEND: gettext("已暂停，不再接受新预约；已有预约不受影响。"),
        }
        messages.success(request, said[action])
        return redirect("instrument", number)
    return instrument_page(request, resource, now=now, error=slots.renamed(error, dict.fromkeys(REMEDIES, "")))
