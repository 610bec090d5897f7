"""Send the one message each person gets about an outage. The row is the outbox: sent outside any transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from django.core.mail import EmailMessage
from django.utils.translation import gettext

from portal import links
from portal.mails import handed_in
from portal.organisations import access as people
from scheduler.displacements.models import Displacement, DisplacementOption, OutageNotice

__all__ = ["send_due", "text_of"]

BATCH: Final = 50


def _span(start: datetime, end: datetime, zone: str) -> str:
    tz = ZoneInfo(zone)
    return f"{start.astimezone(tz):%Y-%m-%d %H:%M} – {end.astimezone(tz):%Y-%m-%d %H:%M}"


def text_of(notice: OutageNotice, rows: Iterable[Displacement]) -> str:
    """Return the message: what is out of use and why, every booking of the person's, what happens if nobody chooses."""
    outage = notice.outage
    zone = outage.resource.zone
    said = {"instrument": outage.resource.name, "reason": outage.reason, "zone": zone}
    lines = [
        gettext("%(instrument)s 停机，原因：%(reason)s") % said,
        gettext("停机时间：%(time)s（%(zone)s）") % {**said, "time": _span(outage.starts_at, outage.ends_at, zone)},
        "",
    ]
    mine = list(rows)
    for row in mine:
        lines.append(
            gettext("预约 %(number)s，原定 %(time)s")
            % {"number": row.booking.number, "time": _span(row.was_from, row.was_to, zone)}
        )
        lines += [f"  · {option.get_kind_display()}" + _when(option, zone) for option in row.options.all()]
    if mine:
        by = outage.answer_by.astimezone(ZoneInfo(zone))
        lines += [
            "",
            gettext("请在 %(by)s（%(zone)s）之前登录平台，在“受停机影响”中选择；逾期未选的，预约取消，费用全部退回。")
            % {"by": f"{by:%Y-%m-%d %H:%M}", "zone": zone},
            *links.line("displaced"),
        ]
    else:
        lines += [
            gettext("您正在进行的使用已经结束或将在停机开始时结束，费用按实际用量结算。"),
            *links.line("bookings"),
        ]
    return "\n".join(lines)


def _when(option: DisplacementOption, zone: str) -> str:
    if option.starts_at is None or option.ends_at is None:
        return ""
    return f"：{option.resource.name if option.resource else ''} {_span(option.starts_at, option.ends_at, zone)}"


def send_due(*, now: datetime) -> int:
    """Send what has not been sent; returns how many are done with. A message sent twice has the same Message-ID.

    Who has left an organisation is told nothing of its bookings any more.
    """
    waiting = OutageNotice.objects.filter(sent_at__isnull=True).select_related("outage__resource", "person")
    sent = 0
    for notice in waiting.order_by("pk")[:BATCH]:
        message = _message(notice)
        if message is None or handed_in(message, since=notice.created_at, now=now):
            OutageNotice.objects.filter(pk=notice.pk, sent_at__isnull=True).update(sent_at=now)
            sent += 1
    return sent


def _message(notice: OutageNotice) -> EmailMessage | None:
    """Return the mail, None where there is nobody to tell."""
    person = notice.person
    rows = list(
        Displacement.objects.filter(
            outage=notice.outage,
            booking__booked_by=person,
            booking__organisation__members__user=person,
            booking__organisation__members__left_at__isnull=True,
        )
        .select_related("booking")
        .prefetch_related("options__resource")
    )
    belongs = people.belongs(user_id=person.pk, organisation_id=notice.organisation_id)
    if not (person.email and person.is_active and (rows or belongs)):
        return None
    return EmailMessage(
        subject=gettext("停机通知：%(instrument)s") % {"instrument": notice.outage.resource.name},
        body=text_of(notice, rows),
        to=[person.email],
        headers={"Message-ID": f"<{notice.outage.number}.{notice.pk}@outages.gongxiang>"},
    )
