"""Tell people once what happened to what they booked or wait for; the only writer of messages."""

from __future__ import annotations

import smtplib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason
from portal.organisations.models import Member
from portal.organisations.rules import PERMISSIONS
from scheduler.invitations.models import CalendarMailChoice
from scheduler.messages import access, rules
from scheduler.messages.models import Message
from scheduler.messages.wording import worded

__all__ = ["Told", "mark_seen", "said", "send_due", "tell"]

logger = structlog.get_logger("messages")

BATCH: Final = 50


def _roles_with(permission: Permission) -> list[str]:
    """Return the roles that give a permission, in whatever kind of organisation."""
    return sorted({role.value for (_kind, role), may in PERMISSIONS.items() if permission in may})


@dataclass(frozen=True, slots=True)
class Told:
    """What is told, of whom: `user_id` booked or waits for `organisation_id`. `key`: what a person is told but once.

    Times among `params` are written in the instrument's zone already.
    """

    kind: rules.MessageKind
    organisation_id: int
    user_id: int | None
    key: str
    instrument: str
    instrument_en: str = ""
    about: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    reasons: Sequence[Mapping[str, Any]] = ()
    permission: Permission = Permission.BOOKING_REQUEST
    """Who is told where no one person is: the members who hold it."""
    only_person: bool = False
    """Nobody else is told, whoever has left: a team's business is not its colleagues'."""


def said(*, reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    """Return reasons as a message keeps them: worded in its reader's language when it is read."""
    return [
        {"code": one.code, "message": one.message, "remedy": one.remedy, "params": dict(one.params)} for one in reasons
    ]


def tell(*, told: Told, now: datetime) -> int:
    """Write what a person is to be told; return how many people are. Call in the transaction in which it happens.

    Who made the booking is told while still a member; otherwise, and where a system of the organisation's made it, all
    its members who hold the permission, by default to book; `only_person`: nobody else. Idempotent per person and `key`.
    """
    members = Member.objects.filter(organisation_id=told.organisation_id, left_at__isnull=True, user__is_active=True)
    people = set(members.filter(user_id=told.user_id or 0).values_list("user_id", flat=True))
    if not people and not told.only_person:
        people = set(members.filter(roles__overlap=_roles_with(told.permission)).values_list("user_id", flat=True))
    known = set(Message.objects.filter(user_id__in=people, key=told.key).values_list("user_id", flat=True))
    made = [
        Message(
            user_id=pk,
            organisation_id=told.organisation_id,
            kind=told.kind.value,
            about=told.about,
            instrument=told.instrument[:200],
            instrument_en=told.instrument_en[:200],
            params=dict(told.params),
            reasons=[dict(reason) for reason in told.reasons],
            key=told.key,
            created_at=now,
            next_at=now,
        )
        for pk in sorted(people - known)
    ]
    Message.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


@transaction.atomic
def mark_seen(*, actor: Actor, now: datetime) -> int:
    """Take all one's messages for seen; returns how many were not. Raises Forbidden."""
    rows = access.own(actor).filter(seen_at__isnull=True)
    seen = rows.update(seen_at=now)
    if seen:
        audit.record(action="messages.seen", subject=f"user:{actor.person}", actor=actor, now=now, data={"count": seen})
    return seen


def send_due(*, now: datetime) -> int:
    """Send the mails that are due, 50 at most; return how many went. No transaction is open while the server is spoken to.

    A worker that dies in the sending is made up for after five minutes, by a mail with the same Message-ID. One mail that
    does not go through holds up no other. Who has left the organisation, or has no address, gets none.
    """
    due = Message.objects.filter(next_at__lte=now).order_by("next_at", "pk").values_list("pk", flat=True)[:BATCH]
    return sum(_send(pk, now=now) for pk in list(due))


def _send(pk: int, *, now: datetime) -> bool:
    message = _begin(pk, now=now)
    if message is None:
        return False
    try:
        _mail(message).send()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        logger.warning("messages.not_sent", message_id=pk, attempts=message.attempts, error=str(error))
        # No mail can be written to an address that raises ValueError: trying again does not help.
        given_up = isinstance(error, ValueError) or message.attempts >= rules.ATTEMPTS
        _mine(message).update(next_at=None if given_up else now + rules.pause(message.attempts))
        return False
    _mine(message).update(next_at=None, sent_at=now)
    return True


@transaction.atomic
def _begin(pk: int, *, now: datetime) -> Message | None:
    """Claim a mail for this worker; None where another has it, or nobody is to get it any more."""
    rows = Message.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("user")
    message = rows.filter(pk=pk, next_at__lte=now).order_by("pk").first()
    if message is None:
        return None
    member = Member.objects.filter(
        user_id=message.user_id, organisation_id=message.organisation_id, left_at__isnull=True
    )
    if not (message.user.email and message.user.is_active and member.exists()):
        message.next_at = None
        message.save(update_fields=["next_at"])
        return None
    message.attempts += 1
    message.next_at = now + rules.STALE
    message.save(update_fields=["attempts", "next_at"])
    return message


def _mine(message: Message) -> Any:
    return Message.objects.filter(Q(pk=message.pk, attempts=message.attempts))


def _mail(message: Message) -> EmailMessage:
    choice = CalendarMailChoice.objects.filter(user_id=message.user_id).first()
    with translation.override(choice.language if choice else settings.LANGUAGE_CODE):
        said = worded(message)
        url = settings.PUBLIC_URL and gettext("查看和办理：%(url)s") % {"url": settings.PUBLIC_URL + said.path}
        lines = [said.text, *(f"· {reason}" for reason in said.reasons), *([url] if url else [])]
    return EmailMessage(
        subject=" ".join(said.headline.split()),
        body="\n".join(lines),
        to=[message.user.email],
        headers={"Message-ID": f"<message.{message.pk}@gongxiang>", "Auto-Submitted": "auto-generated"},
    )
