"""The instrument catalogue with its week grid, and one instrument's page."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from portal.pages import shell, slots, weekgrid, weeks
from portal.pages.templatetags.show import bilingual, label, zone_of
from portal.pages.templatetags.show import city as city_name
from scheduler.availability.models import OpeningHours
from scheduler.availability.rules import ClaimRole
from scheduler.bookings import access as bookings
from scheduler.resources import access
from scheduler.resources import queries as rates
from scheduler.resources.models import Instrument, Resource

PAGE_SIZE = 20
NEXT_FREE = 6
LOOK_AHEAD = timedelta(days=14)
DAY = timedelta(days=1)
TOLD = ("held", "confirmed", "in_use", "done")
"""Claims that take time or took it."""


class CatalogueFilter(forms.Form):
    """What the catalogue may be narrowed to. A value that is not on offer narrows nothing."""

    q = forms.CharField(label=_("关键词"), max_length=80)
    city = forms.ChoiceField(label=_("城市"))
    category = forms.ChoiceField(label=_("类别"))
    day = slots.DayField(label=_("日期"))

    def __init__(self, data: Any, *, cities: list[str]) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs["type"] = "search"
        self.fields["q"].widget.attrs["placeholder"] = gettext("名称、型号、功能或单位")
        every = ("", gettext("全部"))
        choices: dict[str, list[Any]] = {
            "city": [every, *((city, city_name(city)) for city in cities)],
            "category": [every, *Instrument.Category.choices],
        }
        for name, field in self.fields.items():
            field.required = False
            if name in choices and isinstance(field, forms.ChoiceField):
                field.choices = choices[name]
        self.full_clean()

    def value(self, name: str) -> Any:
        return self.cleaned_data.get(name)


def _found(filters: CatalogueFilter) -> QuerySet[Resource]:
    """Return the published instruments the filter leaves, by name."""
    found = access.instruments_visible_to(None)
    if city := filters.value("city"):
        found = found.filter(city=city)
    if category := filters.value("category"):
        found = found.filter(instrument__category=category)
    for word in (filters.value("q") or "").split():
        matches = Q(number__iexact=word)
        for column in (
            *("name", "name_en", "city", "owner__name", "owner__name_en"),
            *("instrument__model", "instrument__manufacturer", "instrument__functions", "instrument__functions_en"),
        ):
            matches |= Q(**{f"{column}__icontains": word})
        found = found.filter(matches)
    return found.order_by("name", "pk")


@shell.guarded
def instruments(request: HttpRequest) -> HttpResponse:
    """Show the catalogue as a week grid: what is free when, twenty instruments to a page."""
    now = timezone.now()
    cities = list(access.instruments_visible_to(None).order_by("city").values_list("city", flat=True).distinct())
    filters = CatalogueFilter(request.GET, cities=cities)
    found = _found(filters)
    if shell.wants_csv(request):
        return _catalogue_csv(found, now=now)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    actor = shell.stranger_or_actor(request)
    whole_day = request.GET.get("hours") == "all"
    grid = _grid(list(page.object_list), actor=actor, day=filters.value("day"), whole_day=whole_day, now=now)
    context = {
        "filters": filters,
        "page": page,
        "grid": grid,
        "hours": "all" if whole_day else "day",
        "narrowed": _narrowed(filters, page),
    }
    return shell.page(request, "instruments/catalogue.html", context)


def _narrowed(filters: CatalogueFilter, page: Page[Resource]) -> bool:
    return any(filters.value(name) for name in ("q", "city", "category")) or page.paginator.num_pages > 1


DAYTIME = (14, 44)
"""07:00 to 22:00, in half hours: what a page of instruments shows unless the whole day is asked for."""


def _grid(resources: list[Resource], *, actor: Actor | None, day: Any, whole_day: bool, now: datetime) -> weekgrid.Grid:
    """Return the week `day` is in, by default this one."""
    local = timezone.localtime(now)
    days = weekgrid.week_of(day or local.date())
    times = weeks.look(resources, window=weeks.week_window(days), now=now)
    window = None if whole_day else DAYTIME
    rows = weeks.rows(resources, times, actor=actor, now=now)
    return weekgrid.shape(rows, days, now=local, chosen=day, window=window)


def _catalogue_csv(found: QuerySet[Resource], *, now: datetime) -> HttpResponse:
    rows = list(found[: shell.EXPORT_LIMIT])
    prices = rates.rates_of_resources([row.pk for row in rows], at=now)
    head = (
        gettext("编号"),
        gettext("名称"),
        gettext("类别"),
        gettext("型号"),
        gettext("所在城市"),
        gettext("提供单位"),
        gettext("价格"),
        gettext("时区"),
    )
    return shell.csv_response(
        "instruments",
        head,
        (
            (
                row.number,
                bilingual(row),
                label(row.instrument.category, "category"),
                row.instrument.model,
                row.city,
                bilingual(row.owner),
                weeks.price_text(prices.get(row.pk)),
                row.zone,
            )
            for row in rows
        ),
    )


@shell.guarded
def instrument(request: HttpRequest, number: str) -> HttpResponse:
    """Show one instrument: what it is, what it costs, when it is open and free."""
    actor = shell.stranger_or_actor(request)
    return instrument_page(request, access.get_instrument(actor, number), now=timezone.now())


def instrument_page(
    request: HttpRequest, resource: Resource, *, now: datetime, error: Explained | None = None
) -> HttpResponse:
    """Render an instrument's page, with what went wrong when an act on it was refused."""
    actor = shell.stranger_or_actor(request)
    local = timezone.localtime(now)
    day = slots.day_of(request.GET.get("day", ""))
    days = weekgrid.week_of(day or local.date())
    shown, ahead = weeks.week_window(days), Period(now, now + LOOK_AHEAD)
    # One look for the week shown and the fortnight ahead, unless they lie far apart.
    near = shown.start <= ahead.end + LOOK_AHEAD and shown.end >= ahead.start - LOOK_AHEAD
    window = Period(min(shown.start, ahead.start), max(shown.end, ahead.end)) if near else shown
    times = weeks.look([resource], window=window, now=now)
    free = times[resource.pk].free if near else weeks.look([resource], window=ahead, now=now)[resource.pk].free
    rows = weeks.rows([resource], times, actor=actor, now=now)
    owned = actor is not None and actor.organisation_id == resource.owner_id
    local_days = Period(*(datetime.combine(day, time.min, zone_of(resource.zone)) for day in (days[0], days[-1] + DAY)))
    context = {
        "resource": resource,
        "rate": rates.rate_of_resource(resource.pk, at=now),
        "hours": weeks.hours_in_words(OpeningHours.objects.filter(resource=resource)),
        "grid": weekgrid.shape(rows, days, now=local, chosen=day),
        "next_free": [
            {"period": span, "url": slots.book_link(resource, _start_of(span, resource))}
            for span in free
            if span.start < ahead.end
        ][:NEXT_FREE],
        "bookable": weeks.may_book(actor, resource) and resource.state == Resource.State.PUBLISHED.value,
        "served": _served(actor, resource, local_days) if owned and actor is not None else [],
        "manages": owned and actor is not None and actor.may(Permission.INSTRUMENT_MANAGE),
        "error": error,
    }
    return shell.page(request, "instruments/instrument.html", context, status=error.status if error else 200)


def _served(actor: Actor, resource: Resource, week: Period) -> list[dict[str, Any]]:
    """Return the bookings of a week on the lab's own instrument, with whose they are and what for."""
    if not actor.may(Permission.BOOKING_DECIDE):
        return []
    found = bookings.served_bookings(actor).filter(
        resource=resource,
        starts_at__lt=week.end,
        ends_at__gt=week.start,
        claims__role=ClaimRole.MAIN.value,
        claims__state__in=TOLD,
    )
    return [{"booking": row, "period": Period(row.starts_at, row.ends_at)} for row in found.order_by("starts_at")]


def _start_of(span: Period, resource: Resource) -> Period:
    """Return the shortest booking at the head of a free span: what a link to it proposes."""
    return Period(span.start, span.start + timedelta(seconds=resource.min_duration_s))
