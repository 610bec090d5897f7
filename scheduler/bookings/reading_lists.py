"""Read an instrument's log: many readings in one file, all of them or none."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import PortalError, Reason, Refused, noop
from portal.kernel.period import Period
from portal.tables.reading import read_table
from portal.tables.values import Column, Kind, Row
from scheduler.bookings import access, metering, occupying
from scheduler.bookings.clocks import SessionClock, Use
from scheduler.bookings.models import Booking, SessionReading

__all__ = ["COLUMNS", "BadReadings", "Taken", "take"]

_ = noop

COLUMNS: Final = (
    Column("booking", _("预约号"), names=("booking", "booking number", "预约编号"), max_length=24),
    Column("started_at", _("开始"), names=("start", "started at", "开始时间"), max_length=40),
    Column("ended_at", _("结束"), names=("end", "ended at", "结束时间"), max_length=40),
    Column("minutes", _("计时分钟"), Kind.QUANTITY, ("minutes", "used minutes", "机时（分钟）"), required=False),
)
"""What a log may hold; times in the instrument's zone unless they say their own. Without minutes all of it counts."""
MOST: Final = 100


class BadReadings(Refused):
    """The file cannot be taken; nothing was. `reasons` name row and remedy."""

    code = "reading.file"
    message = _("计时记录没有导入，原因如下。")


@dataclass(frozen=True, slots=True)
class Taken:
    """What an import did: readings added, and how many were known as they are."""

    added: int
    known: int


def _fault(row: int, text: str, remedy: str, **params: Any) -> Reason:
    return Reason("reading.row", text, remedy, field="file", params={"row": row, **params})


def _moment(value: str, zone: str) -> datetime | None:
    words = unicodedata.normalize("NFKC", value).strip().replace("/", "-")
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))


def _use(row: Row, booking: Booking) -> Use | Reason:
    said = row.values
    start, end = (_moment(said[key], booking.resource.zone) for key in ("started_at", "ended_at"))
    if start is None or end is None or end <= start:
        return _fault(
            row.number,
            _("第 %(row)s 行的开始或结束时间不对：须为日期和时间，结束晚于开始。"),
            _("请写成 2026-11-26 09:05 的形式，按仪器所在地时间。"),
        )
    used = Period(start, end)
    minutes = said.get("minutes")
    whole = int(used.duration.total_seconds())
    return Use(used, whole if minutes is None else int(timedelta(minutes=float(minutes)).total_seconds()), "file")


@transaction.atomic
def take(*, actor: Actor, raw: bytes, name: str, now: datetime) -> Taken:
    """Take a log (xlsx or CSV) as the lab whose bookings it names: what the instruments measured, all of it or nothing.

    The same file again changes nothing. Raises BadTable for a file that is no such table, BadReadings with every fault,
    Forbidden.
    """
    actor.require(Permission.SESSION_RECORD)
    table = read_table(raw, name, COLUMNS)
    reasons = [problem.reason for problem in table.problems]
    served = access.served_bookings(actor).filter(number__in={row.values["booking"] for row in table.rows})
    known = {booking.number: booking for booking in served}
    occupying.lock(list(known.values()))
    ours = SessionReading.objects.filter(booking__in=known.values())
    before = ours.count()
    reasons += _write(table.rows, known, actor=actor, now=now)
    if reasons:
        raise BadReadings(reasons[:MOST])
    added = ours.count() - before
    return Taken(added, len(table.rows) - added)


def _write(rows: Sequence[Row], known: dict[str, Booking], *, actor: Actor, now: datetime) -> list[Reason]:
    """Record every row, and return what is wrong; with anything wrong, the caller rolls back."""
    reasons = []
    for row in sorted(rows, key=lambda one: str(one.values["booking"])):
        booking = known.get(row.values["booking"])
        if booking is None:
            reasons.append(
                _fault(
                    row.number,
                    _("第 %(row)s 行的预约号“%(number)s”不是本单位仪器上的预约。"),
                    _("请核对预约号。"),
                    number=row.values["booking"],
                )
            )
            continue
        use = _use(row, booking)
        if isinstance(use, Reason):
            reasons.append(use)
            continue
        try:
            metering.record_reading(actor=actor, booking=booking, clock=SessionClock.METERED, use=use, now=now)
        except PortalError as error:
            reasons.append(
                _fault(
                    row.number,
                    _("第 %(row)s 行（%(number)s）的计时与预约或登记的使用不符。"),
                    error.message,
                    number=booking.number,
                )
            )
    return reasons
