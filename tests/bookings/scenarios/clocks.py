"""Series where clocks change: what is booked, what calendars are told, and what readers that are not ours make of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import icalendar
import recurring_ical_events
from django.test import Client
from django.urls import reverse

from portal.kernel.period import Period
from portal.pages import feeds
from scheduler.bookings import series, series_preview
from scheduler.bookings.models import BookingSeries
from scheduler.bookings.series_preview import SeriesWanted
from scheduler.bookings.series_rules import Frequency, Pattern
from scheduler.resources.models import Resource
from tests import make
from tests.bookings.scenarios import scenario
from tests.integrations.ics.test_conformance import ical_js
from tests.portal.pages.reading import enter, text_of
from vouchers.charges.models import Charge

HOUR = timedelta(hours=1)


def booked(w: make.World, zone: str, now: datetime, **rule: Any) -> tuple[Resource, BookingSeries, list[Any]]:
    """Look at a series of one hour on an instrument in `zone` that never closes, then book all of it."""
    resource = make.instrument(w, now=now, zone=zone, opens=(0, 1440))
    pattern = Pattern(duration=HOUR, zone=zone, **rule)
    like = series_preview.Wanted(resource=resource, period=Period(now, now + HOUR), title="变时试验")
    wanted = SeriesWanted(like=like, pattern=pattern)
    seen = series_preview.preview(wanted, organisation_id=w.enterprise.pk, now=now)
    assert not seen.conflicts
    made = series.book(actor=w.researcher, wanted=wanted, now=now, key=make.key())
    assert Charge.objects.filter(subject__in=[f"booking:{use.number}" for use in made.bookings.all()]).count() == len(
        seen.rows
    )
    return resource, made, list(seen.rows)


def told(w: make.World, resource: Resource, made: BookingSeries, now: datetime) -> list[list[datetime]]:
    """Return when the uses begin, by the database, two readers of the calendar file, and the free/busy document."""
    rows = [use.starts_at for use in made.bookings.order_by("planned_at")]
    window = Period(now, now + timedelta(days=60))
    client = enter(Client(), w.researcher)
    body = client.get(reverse("series_ics", args=[made.number])).content
    expanded = recurring_ical_events.of(icalendar.Calendar.from_ical(body)).between(window.start, window.end)
    assert all(event["dtend"].dt - event["dtstart"].dt == HOUR for event in expanded)
    javascript = [span for event in ical_js(body)["events"] for span in event["spans"]]
    token, _secret = make.feed(w.keeper, resource, kind="freebusy", now=now)
    (busy,) = icalendar.Calendar.from_ical(feeds._freebusy(token, window, "")).walk("VFREEBUSY")
    taken = busy["freebusy"] if isinstance(busy["freebusy"], list) else [busy["freebusy"]]
    assert resource.zone.replace("_", " ") in text_of(client.get(reverse("series", args=[made.number])))
    return [
        rows,
        sorted(event["dtstart"].dt.astimezone(UTC) for event in expanded),
        sorted(datetime.fromisoformat(start) for start, _end in javascript),
        sorted(line.start.astimezone(UTC) for line in taken),
    ]


@scenario("S7", commits=True)
def clocks_that_change() -> str:
    """A weekly series over the end of summer time, a daily one over a night without 02:30: all readers find the same."""
    w = make.world()
    autumn = datetime(2026, 10, 12, 8, tzinfo=UTC)
    resource, made, _rows = booked(
        w, "Europe/Zurich", autumn, first=date(2026, 10, 19), clock=time(9), frequency=Frequency.WEEKLY, count=4
    )
    zurich = [datetime(2026, 10, 19, 7, tzinfo=UTC), datetime(2026, 10, 26, 8, tzinfo=UTC)]
    zurich += [datetime(2026, 11, day, 8, tzinfo=UTC) for day in (2, 9)]
    assert told(w, resource, made, autumn) == [zurich] * 4

    spring = datetime(2027, 3, 1, 8, tzinfo=UTC)
    resource, made, rows = booked(
        w,
        "America/New_York",
        spring,
        first=date(2027, 3, 13),
        clock=time(2, 30),
        frequency=Frequency.DAILY,
        count=3,
    )
    assert [row.occurrence.clock.value for row in rows] == ["", "missing", ""]
    york = [datetime(2027, 3, 13, 7, 30, tzinfo=UTC), datetime(2027, 3, 14, 7, 30, tzinfo=UTC)]
    york.append(datetime(2027, 3, 15, 6, 30, tzinfo=UTC))
    assert told(w, resource, made, spring) == [york] * 4
    return "Zurich 07:00Z then 08:00Z three times; New York 07:30Z, 07:30Z (03:30 EDT, said so), 06:30Z"
