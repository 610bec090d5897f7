"""A lab's instruments: the list, describing one, its opening hours, its price, opening and suspending it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.pages import acts, shell, slots, weeks
from portal.pages.instruments import instrument_page
from portal.pages.lab_forms import NAMES, InstrumentForm, initial
from portal.pages.templatetags.show import bilingual, label
from scheduler.bookings.models import Booking
from scheduler.resources import access, rules, services
from scheduler.resources import queries as rates
from scheduler.resources.models import Resource

__all__ = ["instrument_edit", "instrument_new", "instrument_state", "my_instruments"]

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
    form = InstrumentForm(request.POST if request.method == "POST" else None, initial=initial(resource))
    return _describe(request, form, resource)


ACTIONS: Mapping[str, rules.PublishAction] = {action.value: action for action in services.OWN_ACTIONS}
REMEDIES: Mapping[str, str] = {
    "hours": "instrument_hours",
    "rate": "instrument_rate",
    "share_mode": "instrument_edit",
    "running_state": "instrument_edit",
    "review": "instrument_review",
}
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
            rules.PublishAction.RESTORE: gettext("已恢复为草稿，只有本单位可见。"),
            rules.PublishAction.SUSPEND: gettext("已暂停，不再接受新预约；已有预约不受影响。"),
        }
        messages.success(request, said[action])
        return redirect("instrument", number)
    return instrument_page(request, resource, now=now, error=slots.renamed(error, dict.fromkeys(REMEDIES, "")))
