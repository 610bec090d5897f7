"""Write a calendar mail: its words in the recipient's language, its invitation from what the outbox kept."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
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
    portal: str = ""
    """The portal's public address; a mail without one has no link."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def sender() -> tuple[str, str, str]:
    """Return the portal's own mailbox: name, address, and the domain its Message-IDs are made in."""
    name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    return name, address, address.rpartition("@")[2] or "localhost"


def letter(mails: Sequence[CalendarMail], *, language: str) -> Letter:
    """Return the one mail of rows of the outbox that one act wrote for one person.

    The same rows in the same language are the same mail, letter by letter; its Message-ID is the first row's.
    """
    first = mails[0]
    name, address, _domain = sender()
    with translation.override(language):
        told = [_invitation(mail, language=language, organiser=address) for mail in mails]
        if len(mails) == 1:
            headline = _headline(first, Content(**first.content), told[0].summary)
            facts = told[0].description.split("\n")
        else:
            headline = _headline_of_many(mails, told[0].summary)
            facts = [_line(Content(**mail.content), one.summary) for mail, one in zip(mails, told, strict=True)]
        return Letter(
            sender=address,
            sender_name=name or settings.SITE_NAME[language],
            recipient=first.recipient,
            recipient_name=str(first.user),
            subject=headline,
            text="\n".join([headline, "", *facts, "", *_footer(mails)]) + "\n",
            message_id=first.message_id,
            references=first.references,
            sent_at=first.created_at,
            invitations=tuple(told),
        )


def _invitation(mail: CalendarMail, *, language: str, organiser: str) -> Invitation:
    content = Content(**mail.content)
    instrument = _either(content.instrument, content.instrument_en, language)
    lab = _either(content.lab, content.lab_en, language)
    return Invitation(
        method=Method(mail.method),
        status=Status(content.status),
        uid=mail.booking.uid,
        sequence=mail.sequence,
        period=_period(content),
        summary=instrument,
        location=" ".join(part for part in (content.place, lab) if part),
        description="\n".join(_facts(content, instrument, lab)),
        stamp=mail.created_at,
        organiser=Attendee(f"mailto:{organiser}", lab),
        attendees=_attendees(mail, content, instrument),
        url=_url(content),
    )


def _headline_of_many(mails: Sequence[CalendarMail], instrument: str) -> str:
    first = min((Content(**mail.content) for mail in mails), key=_period)
    told = {"count": len(mails), "instrument": instrument, "when": _when(first)}
    if mails[0].method == Method.CANCEL.value:
        return gettext("%(count)s 次预约已取消：%(instrument)s，%(when)s 起") % told
    if any(mail.references for mail in mails):
        return gettext("%(count)s 次预约有变更：%(instrument)s，%(when)s 起") % told
    return gettext("%(count)s 次预约已确认：%(instrument)s，%(when)s 起") % told


def _line(content: Content, instrument: str) -> str:
    said = f"{content.number} {instrument} {_when(content)} ({content.zone})"
    return f"{said} {url}" if (url := _url(content)) else said


def _url(content: Content) -> str:
    """Return where the booking is read and changed, in the language that is active."""
    return content.portal + reverse("booking", args=[content.number]) if content.portal else ""


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


def _footer(mails: Sequence[CalendarMail]) -> list[str]:
    """Say where to act: at the booking, where the mail is about one, and it was told with its address."""
    url = _url(Content(**mails[0].content)) if len(mails) == 1 else ""
    return [
        *([gettext("查看和办理：%(url)s") % {"url": url}] if url else []),
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
