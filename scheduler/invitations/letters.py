"""Write a calendar mail: its words in the recipient's language, its invitation from what the outbox kept."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext

from portal.kernel.period import Period
from scheduler.invitations.models import CalendarMail
from scheduler.invitations.ports import Attendee, Invitation, Letter
from scheduler.invitations.rules import Method, Status

__all__ = ["Content", "letter", "sender"]


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail tells of a booking: to its booker, so its purpose, too; nothing of others and of no sample.

    Times are ISO 8601 in UTC, `zone` is the instrument's; `*_en` may be empty.
    """

    number: str
    starts_at: str
    ends_at: str
    zone: str
    status: str
    instrument: str
    instrument_en: str
    instrument_no: str
    place: str
    lab: str
    lab_en: str
    title: str
    operator: str = ""
    operator_no: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def sender() -> tuple[str, str, str]:
    """Return the portal's own mailbox: name, address, and the domain its Message-IDs are made in."""
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return name, address, address.rpartition("@")[2] or "localhost"


def letter(mail: CalendarMail, *, language: str) -> Letter:
    """Return the mail of a row of the outbox. The same row in the same language is the same mail, letter by letter."""
    content = Content(**mail.content)
    name, address, _domain = sender()
    with translation.override(language):
        instrument = _either(content.instrument, content.instrument_en, language)
        lab = _either(content.lab, content.lab_en, language)
        headline = _headline(mail, content, instrument)
        lines = _facts(content, instrument, lab)
        return Letter(
            sender=address,
            sender_name=name or settings.SITE_NAME[language],
            recipient=mail.recipient,
            recipient_name=str(mail.user),
            subject=headline,
            text="\n".join([headline, "", *lines, "", *_footer(mail, content)]) + "\n",
            message_id=mail.message_id,
            references=mail.references,
            sent_at=mail.created_at,
            invitation=Invitation(
                method=Method(mail.method),
                status=Status(content.status),
                uid=mail.booking.uid,
                sequence=mail.sequence,
                period=_period(content),
                summary=instrument,
                location=" ".join(part for part in (content.place, lab) if part),
                description="\n".join(lines),
                stamp=mail.created_at,
                organiser=Attendee(f"mailto:{address}", lab),
                attendees=_attendees(mail, content, instrument),
            ),
        )


def _period(content: Content) -> Period:
    return Period(datetime.fromisoformat(content.starts_at), datetime.fromisoformat(content.ends_at))


def _either(chinese: str, english: str, language: str) -> str:
    return english if language == "en" and english else chinese


def _headline(mail: CalendarMail, content: Content, instrument: str) -> str:
    """Say what happened in one line: no purpose, because subjects are shown on locked screens."""
    told = {"instrument": instrument, "when": _when(content), "number": content.number}
    if mail.method == Method.CANCEL.value:
        return gettext("预约已取消：%(instrument)s，%(when)s（%(number)s）") % told
    if content.status == Status.TENTATIVE.value:
        return gettext("预约已改期，待实验室确认：%(instrument)s，%(when)s（%(number)s）") % told
    if mail.references:
        return gettext("预约有变更：%(instrument)s，%(when)s（%(number)s）") % told
    return gettext("预约已确认：%(instrument)s，%(when)s（%(number)s）") % told


def _facts(content: Content, instrument: str, lab: str) -> list[str]:
    facts = [
        gettext("预约号：%(number)s") % {"number": content.number},
        gettext("仪器：%(name)s") % {"name": instrument},
        gettext("时间：%(when)s（%(zone)s）") % {"when": _when(content), "zone": content.zone},
        gettext("地点：%(place)s") % {"place": " ".join(part for part in (content.place, lab) if part)},
        gettext("用途：%(title)s") % {"title": content.title},
    ]
    if content.operator:
        facts.append(gettext("操作人员：%(name)s") % {"name": content.operator})
    if content.note:
        facts.append(gettext("说明：%(note)s") % {"note": content.note})
    return facts


def _footer(mail: CalendarMail, content: Content) -> list[str]:  # noqa: ARG001
    return [
        gettext("日历软件会按附件更新您的日程。改期或取消请登录平台办理，回复本邮件不会改变预约。"),
        gettext("不想再收到日历邮件，可在“我的预约”的“日历订阅”页关闭。"),
    ]


def _when(content: Content) -> str:
    zone, period = ZoneInfo(content.zone), _period(content)
    start, end = period.start.astimezone(zone), period.end.astimezone(zone)
    last = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d} {date_format(start, 'D')} {start:%H:%M}–{last}"


def _attendees(mail: CalendarMail, content: Content, instrument: str) -> tuple[Attendee, ...]:
    """Return the booker, the instrument, and who runs it. Only the booker has an address mail goes to."""
    found = [
        Attendee(f"mailto:{mail.recipient}", str(mail.user)),
        Attendee(_urn(content.instrument_no), instrument, "RESOURCE"),
    ]
    if content.operator:
        found.append(Attendee(_urn(content.operator_no), content.operator))
    return tuple(found)


def _urn(number: str) -> str:
    """Return a calendar address of a thing that has no mailbox: answers of careless programs then go nowhere."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'resource/{number}')}"
