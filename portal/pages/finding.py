"""Find an instrument: one search, shown as a list of next free slots or as day, week and month of the same hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import monthgrid, searching, shell, slots, weekgrid, weeks
from portal.pages.templatetags.show import bilingual, label, period_text, zone_of
from scheduler.catalogue.access import covers
from scheduler.catalogue.models import InstrumentFile
from scheduler.resources.models import Resource
from scheduler.search import queries
from scheduler.search.offers import Offer, offers, payable_until
from scheduler.search.rules import Requirement

__all__ = ["instruments"]

PAGE_SIZE: Final = 20


VIEWS: Final = ("list", "day", "week", "month")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the list. `url` books the slot shown; empty where the reader cannot."""

    offer: Offer
    url: str
    cover: InstrumentFile | None = None
    """The first picture of the thing, if its lab shows any."""


def _view(request: HttpRequest) -> str:
    """Return how the hits are shown. An address that names a day means the calendar."""
    asked = request.GET.get("view", "")
    return asked if asked in VIEWS else "week" if request.GET.get("day") else "list"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page of what was found."""

    found: queries.Found
    page: Page[int]


def _sheet(request: HttpRequest, wanted: Requirement, *, now: datetime) -> Sheet:
    """Look once; twice where the address names a page beyond the last."""
    text = request.GET.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 6 else 1
    number = max(number, 1)
    found = queries.find(wanted, now=now, limit=PAGE_SIZE, offset=(number - 1) * PAGE_SIZE)
    page = Paginator(range(found.total), PAGE_SIZE).get_page(number)
    if page.number != number:
        found = queries.find(wanted, now=now, limit=PAGE_SIZE, offset=(page.number - 1) * PAGE_SIZE)
    return Sheet(found, page)


@shell.guarded
def instruments(request: HttpRequest) -> HttpResponse:
    """Show what is free for what is asked, twenty to a page."""
    now = timezone.now()
    actor = shell.stranger_or_actor(request)
    has_vouchers = actor is not None and actor.may(Permission.BOOKING_REQUEST)
    payable = (lambda: payable_until(actor, now=now)) if has_vouchers else None
    form = searching.SearchForm(request.GET, now=now, payable=payable)
    wanted = form.requirement()
    if shell.wants_csv(request):
        return _csv(wanted, actor=actor, now=now)
    sheet = _sheet(request, wanted, now=now)
    view = _view(request)
    context: dict[str, Any] = {
        "form": form,
        "wanted": wanted,
        "page": sheet.page,
        "total": sheet.found.total,
        "facets": searching.facets(form, sheet.found.facets),
        "view": view,
    }
    if not sheet.found.total:
        context["helps"] = searching.helps(form, wanted, queries.would_help(wanted, now=now))
    elif view != "list":
        context |= _calendar(request, view, sheet.found.hits, actor=actor, now=now)
    else:
        made = offers(sheet.found.hits, actor=actor, now=now)
        shown = covers([offer.resource.pk for offer in made])
        context["lines"] = [Line(offer, _book_url(offer, actor), shown.get(offer.resource.pk)) for offer in made]
        context["shares"] = any(offer.paid for offer in made)
    return shell.page(request, "instruments/catalogue.html", context)


def _book_url(offer: Offer, actor: Actor | None) -> str:
    if offer.period is None or offer.hourly is None or not weeks.may_book(actor, offer.resource):
        return ""
    return slots.book_link(
        offer.resource,
        offer.period,
        voucher=offer.paid.number if offer.paid else None,
        needs={"operator": offer.operator.number} if offer.operator else None,
    )


def _calendar(
    request: HttpRequest, view: str, hits: Sequence[queries.Hit], *, actor: Actor | None, now: datetime
) -> dict[str, Any]:
    """Return the day, week or month `?day=` is in, by default today's, for the hits in their order. Six queries."""
    known = Resource.objects.select_related("owner", "instrument").in_bulk([hit.resource_id for hit in hits])
    resources = [known[hit.resource_id] for hit in hits]
    local = timezone.localtime(now)
    chosen = slots.day_of(request.GET.get("day", ""))
    day = chosen or local.date()
    days = {"day": [day], "week": weekgrid.week_of(day), "month": monthgrid.days_of(day)}[view]
    times = weeks.look(resources, window=weeks.week_window(days), now=now)
    rows = weeks.rows(resources, times, actor=actor, now=now)
    if view == "month":
        return {"month": monthgrid.shape(rows, day, now=local)}
    whole_day = request.GET.get("hours") == "all"
    grid = weekgrid.shape(rows, days, now=local, chosen=chosen, window=None if whole_day else weekgrid.DAYTIME)
    return {"grid": grid, "hours": "all" if whole_day else "day"}


def _csv(wanted: Requirement, *, actor: Actor | None, now: datetime) -> HttpResponse:
    found = queries.find(wanted, now=now, limit=shell.EXPORT_LIMIT)
    head = (
        *(gettext("编号"), gettext("名称"), gettext("类别"), gettext("型号"), gettext("所在城市"), gettext("提供单位")),
        *(gettext("每小时价格"), gettext("最近空闲"), gettext("时区"), gettext("价格"), gettext("券抵扣")),
    )
    made = offers(found.hits, actor=actor, now=now)
    return shell.csv_response("instruments", head, (_cells(offer) for offer in made))


def _cells(offer: Offer) -> tuple[Any, ...]:
    resource = offer.resource
    return (
        resource.number,
        bilingual(resource),
        label(resource.instrument.category, "category"),
        resource.instrument.model,
        resource.city,
        bilingual(resource.owner),
        _yuan(offer.hourly),
        period_text(offer.period, zone_of(resource.zone)) if offer.period else "",
        resource.zone,
        _yuan(offer.price),
        _yuan(offer.paid.amount if offer.paid else None),
    )


def _yuan(amount: Money | None) -> str:
    return amount.yuan() if amount is not None else ""
