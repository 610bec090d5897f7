"""Rows of the week grid and free time in words, for one instrument or a page of them. Constant query counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.kernel.period import Period, merge
from portal.pages import weekgrid
from portal.pages.templatetags.show import WEEKDAYS, bilingual, is_english, period_text
from scheduler.availability import places
from scheduler.availability import queries as availability
from scheduler.availability.models import OpeningHours
from scheduler.bookings import access as bookings
from scheduler.resources import queries as rates
from scheduler.resources.models import Rate, Resource

__all__ = [
    "Times",
    "clock_in_words",
    "days_in_words",
    "hours_in_words",
    "look",
    "may_book",
    "price_text",
    "rows",
    "week_window",
]

KINDS = {
    "held": weekgrid.Kind.HELD,
    "confirmed": weekgrid.Kind.BOOKED,
    "in_use": weekgrid.Kind.BOOKED,
    "done": weekgrid.Kind.BOOKED,
    "outage": weekgrid.Kind.MAINTENANCE,
    "external": weekgrid.Kind.EXTERNAL,
}


MOVABLE = ("requested", "confirmed")
"""States of a booking that may be moved before it begins."""


@dataclass(frozen=True, slots=True)
class Times:
    """One resource's time: what is taken, and what may be booked now, buffers, notice and horizon kept."""

    taken: Sequence[availability.Block]
    free: Sequence[Period]


def week_window(days: Sequence[date]) -> Period:
    """Return a span that holds the local days of every zone on earth."""
    start = datetime.combine(days[0], time.min, UTC) - timedelta(hours=14)
    return Period(start, datetime.combine(days[-1] + timedelta(days=1), time.min, UTC) + timedelta(hours=12))


def look(resources: Sequence[Resource], *, window: Period, now: datetime) -> Mapping[int, Times]:
    """Return the times of each resource inside `window`. Three queries."""
    opened = availability.open_periods(resources, window=window)
    taken = availability.blocks([resource.pk for resource in resources], window=window, now=now)
    return {
        resource.pk: Times(
            taken=taken.get(resource.pk, []),
            free=_bookable(resource, opened[resource.pk], taken.get(resource.pk, []), now=now),
        )
        for resource in resources
    }


def _bookable(
    resource: Resource, opened: Sequence[Period], taken: Sequence[availability.Block], *, now: datetime
) -> list[Period]:
    """Return the free spans long enough to book that notice and horizon leave; none of an unpublished resource."""
    if resource.state != Resource.State.PUBLISHED.value:
        return []
    free = places.free_places(
        opened,
        [block.place for block in taken if block.blocks],
        places=resource.capacity,
        setup=timedelta(seconds=resource.setup_s),
        cleanup=timedelta(seconds=resource.cleanup_s),
    )
    earliest, latest = now + timedelta(seconds=resource.lead_s), now + timedelta(seconds=resource.horizon_s)
    shortest = timedelta(seconds=resource.min_duration_s)
    cut = [(max(span.start, earliest), min(span.end, latest)) for span in free]
    return [Period(start, end) for start, end in cut if end - start >= shortest]


def may_book(actor: Actor | None, resource: Resource) -> bool:
    """Say whether to offer the booking form: to strangers (who sign in first) and to other organisations' bookers."""
    return actor is None or (actor.may(Permission.BOOKING_REQUEST) and actor.organisation_id != resource.owner_id)


def price_text(rate: Rate | None) -> str:
    """Return ``¥480/小时``, or that no price is published."""
    if rate is None:
        return gettext("价格未公布")
    return gettext("%(price)s/小时") % {"price": str(Money(rate.amount_fen)).removesuffix(".00")}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A booking the reader may know about: whose it is."""

    mine: bool
    organisation: str
    number: str
    state: str
    title: str


def _seen(actor: Actor | None, times: Iterable[Times]) -> dict[int, _Seen]:
    """Return the bookings among `times` that are the actor's own or on its own instruments. One query, or none."""
    if actor is None:
        return {}
    ids = [block.booking_id for each in times for block in each.taken if block.booking_id is not None]
    columns = ("organisation__name_en", "organisation__name", "number", "state", "title")
    found = bookings.visible_to(actor).filter(pk__in=ids).values_list("pk", "organisation_id", *columns)
    english = is_english()
    return {
        pk: _Seen(owner == actor.organisation_id, (english and name_en) or name, *rest)
        for pk, owner, name_en, name, *rest in found
    }


def _block(block: availability.Block, seen: Mapping[int, _Seen]) -> weekgrid.Block:
    """Draw a taken span with its set-up and clean-up. Only who may know learns whose it is."""
    kind = KINDS[block.state]
    known = seen.get(block.booking_id) if block.booking_id is not None else None
    if known is None:
        return weekgrid.Block(block.blocked, kind)
    if known.mine:
        label = gettext("待确认") if kind is weekgrid.Kind.HELD else ""
        return weekgrid.Block(block.blocked, weekgrid.Kind.MINE, label)
    return weekgrid.Block(block.blocked, kind, known.organisation)


def _drawn(resource: Resource, taken: Sequence[availability.Block], seen: Mapping[int, _Seen]) -> list[weekgrid.Block]:
    """Draw what is taken; of several units or places what the reader may know, and for the rest when none is left."""
    if resource.capacity == 1:
        return [_block(block, seen) for block in taken]
    full = places.full([block.place for block in taken], places=resource.capacity)
    known = [block for block in taken if block.booking_id in seen]
    return [*(weekgrid.Block(span, weekgrid.Kind.BOOKED) for span in full), *(_block(block, seen) for block in known)]


def _handles(
    resource: Resource, taken: Iterable[availability.Block], seen: Mapping[int, _Seen], *, now: datetime
) -> list[weekgrid.Handle]:
    """Return the bookings the reader may open, and drag where they are its own and have not begun."""
    handles = []
    for block in taken:
        known = seen.get(block.booking_id) if block.booking_id is not None else None
        if known is None:
            continue
        kind = KINDS[block.state]
        movable = known.mine and known.state in MOVABLE and block.period.start > now
        label = (gettext("待确认") if kind is weekgrid.Kind.HELD else known.title) if known.mine else known.organisation
        told = {
            "number": known.number,
            "what": known.title if known.mine else known.organisation,
            "when": period_text(block.period, ZoneInfo(resource.zone)),
        }
        text = (
            gettext("预约 %(number)s，%(what)s，%(when)s，可改期")
            if movable
            else gettext("预约 %(number)s，%(what)s，%(when)s")
        )
        handles.append(
            weekgrid.Handle(
                period=block.period,
                kind=weekgrid.Kind.MINE if known.mine and kind is not weekgrid.Kind.HELD else kind,
                label=label,
                words=text % told,
                url=reverse("booking", args=[known.number]),
                move_url=reverse("booking_move", args=[known.number]) if movable else "",
                step_min=resource.granularity_s // 60,
            )
        )
    return handles


def rows(
    resources: Sequence[Resource], times: Mapping[int, Times], *, actor: Actor | None, now: datetime
) -> list[weekgrid.Row]:
    """Return one grid row for each resource. Two queries: prices, and the bookings the actor may know."""
    prices = rates.rates_of_resources([resource.pk for resource in resources], at=now)
    seen = _seen(actor, times.values())
    return [
        weekgrid.Row(
            name=bilingual(resource),
            sub=format_html(
                '{} · <span class="nowrap">{}</span>', bilingual(resource.owner), price_text(prices.get(resource.pk))
            ),
            url=reverse("instrument", args=[resource.number]),
            zone=resource.zone,
            blocks=[
                *(weekgrid.Block(span, weekgrid.Kind.FREE) for span in merge(times[resource.pk].free)),
                *_drawn(resource, times[resource.pk].taken, seen),
            ],
            book_url=reverse("instrument_book", args=[resource.number]) if may_book(actor, resource) else "",
            handles=_handles(resource, times[resource.pk].taken, seen, now=now),
        )
        for resource in resources
    ]


def days_in_words(weekdays: Iterable[int]) -> str:
    """Return ``周一至周五、周日`` or ``Mon–Fri, Sun`` for ISO weekdays."""
    days = sorted(set(weekdays))
    if len(days) == 7:
        return gettext("每天")
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    names = [WEEKDAYS["en"][n] if is_english() else f"周{WEEKDAYS['zh'][n]}" for n in range(7)]
    comma, to = (", ", "–") if is_english() else ("、", "至")
    return comma.join(
        names[run[0] - 1]
        if len(run) == 1
        else f"{names[run[0] - 1]}{to}{names[run[-1] - 1]}"
        if len(run) > 2
        else comma.join(names[day - 1] for day in run)
        for run in runs
    )


def clock_in_words(opens: int, closes: int) -> str:
    if closes - opens == 24 * 60 and opens == 0:
        return gettext("全天")
    start = f"{opens // 60:02d}:{opens % 60:02d}"
    if closes <= 24 * 60:
        return f"{start}–{closes // 60:02d}:{closes % 60:02d}"
    closes -= 24 * 60
    return gettext("%(start)s–次日 %(end)s") % {"start": start, "end": f"{closes // 60:02d}:{closes % 60:02d}"}


def hours_in_words(hours: Iterable[OpeningHours]) -> list[str]:
    """Return one line for each weekly rule, with its dates where it has any."""
    lines = []
    for row in hours:
        line = f"{days_in_words(row.weekdays)} {clock_in_words(row.opens_min, row.closes_min)}"
        values: dict[str, Any] = {"line": line, "first": row.valid_from, "last": row.valid_until}
        if row.valid_from and row.valid_until:
            line = gettext("%(line)s（%(first)s 至 %(last)s）") % values
        elif row.valid_from:
            line = gettext("%(line)s（%(first)s 起）") % values
        elif row.valid_until:
            line = gettext("%(line)s（至 %(last)s）") % values
        lines.append(line)
    return lines
