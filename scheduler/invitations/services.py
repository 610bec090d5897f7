"""Tell bookers' calendars of their bookings by mail; the only writer of calendar mails and of who wants them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils.module_loading import import_string
from kombu.exceptions import OperationalError as BrokerAway

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from portal.kernel.states import next_state
from portal.organisations.models import Member, User
from scheduler.invitations import letters, rules
from scheduler.invitations.models import OPEN, CalendarMail, CalendarMailChoice
from scheduler.invitations.ports import Post, Undelivered

logger = structlog.get_logger("invitations")

TASK = "invitations.send"
BATCH = 200


@dataclass(frozen=True, slots=True)
class Told:
    """A booking at the version that is to be told: to `user_id`, who made it for `organisation_id`."""

    booking_id: int
    uid: uuid.UUID
    sequence: int
    user_id: int | None
    organisation_id: int
    period: Period
    content: letters.Content


def enabled() -> bool:
    """Say whether calendar mails are sent at all: not without a mail server."""
    return bool(settings.CALENDAR_MAILS)


def announce(*, told: Told, now: datetime) -> CalendarMail | None:
    """Write into the outbox what the booker's calendar is to be told about this version, if anything.

    Call in the transaction that changes the booking, under its lock: the mail is due if and only if that commits. Mails
    of earlier versions that nobody has begun to send are dropped, since the newest says it all (RFC 5546 §2.1.4).
    Idempotent per version. Nothing is written without a mail server or an address, for who wants no mails or has left
    the organisation, and about what is over.
    """
    if not enabled() or told.user_id is None or told.period.end <= now:
        return None
    user = User.objects.filter(pk=told.user_id).first()
    if user is None or not _may_be_told(user, organisation_id=told.organisation_id):
        return None
    before = list(
        CalendarMail.objects.select_for_update(no_key=True).filter(booking_id=told.booking_id, user=user).order_by("pk")
    )
    if any(mail.sequence >= told.sequence for mail in before):
        return None
    for mail in before:
        if mail.state == rules.MailState.PENDING.value and mail.attempts == 0:
            _settle(mail, rules.MailAction.DROP, problem="superseded")
    heard = [
        mail
        for mail in before
        if mail.state not in {s.value for s in (rules.MailState.DROPPED, rules.MailState.FAILED)}
    ]
    known = bool(heard) and heard[-1].method == rules.Method.REQUEST.value
    method = rules.method_for(rules.Status(told.content.status), known=known)
    if method is None:
        return None
    _name, _address, domain = letters.sender()
    mail = CalendarMail.objects.create(
        booking_id=told.booking_id,
        user=user,
        organisation_id=told.organisation_id,
        recipient=user.email,
        method=method.value,
        sequence=told.sequence,
        content=told.content.as_json(),
        message_id=rules.message_id(told.uid, told.sequence, recipient=user.email, domain=domain),
        references=heard[0].message_id if heard else "",
        created_at=now,
        next_at=now,
    )
    transaction.on_commit(lambda: _hint(mail.pk))
    return mail


def _may_be_told(user: User, *, organisation_id: int) -> bool:
    """Say whether mail about bookings of the organisation may go to a person, who wants it."""
    return (
        bool(user.email)
        and user.is_active
        and Member.objects.filter(user=user, organisation_id=organisation_id, left_at__isnull=True).exists()
        and not CalendarMailChoice.objects.filter(user=user, wanted=False).exists()
    )


def _hint(mail_id: int) -> None:
    """Wake a worker. The row is the outbox: without a broker, the next sweep takes it up."""
    try:
        current_app.send_task(TASK, kwargs={"mail_id": mail_id})
    except BrokerAway as error:
        logger.warning("invitations.broker_away", mail_id=mail_id, error=str(error))


def due(*, now: datetime) -> list[int]:
    """Return the mails to be sent now, those among them whose worker died; the longest due first, 200 at most."""
    found = CalendarMail.objects.filter(state__in=OPEN, next_at__lte=now).order_by("next_at", "pk")
    return list(found.values_list("pk", flat=True)[:BATCH])


def send(*, mail_id: int, now: datetime) -> bool:
    """Send one mail if it is due, with all that the same act wrote for the same person; tell whether it went. No transaction is open while the server is spoken to.

    A worker that dies after the server took the mail leaves the row in the sending: after five minutes the same mail
    goes again, under the same Message-ID, UID and SEQUENCE, by which programs know it for a copy.
    """
    mails = _begin(mail_id=mail_id, now=now)
    if not mails:
        return False
    choice = CalendarMailChoice.objects.filter(user_id=mails[0].user_id).first()
    language = choice.language if choice else settings.LANGUAGE_CODE
    post: Post = import_string(settings.CALENDAR_POST)
    try:
        post(letters.letter(mails, language=language))
    except Undelivered as error:
        final = error.final or mails[0].attempts >= rules.ATTEMPTS
        action = rules.MailAction.FAIL if final else rules.MailAction.POSTPONE
        _end(mails, action, now=now, problem=error.problem)
        return False
    _end(mails, rules.MailAction.SUCCEED, now=now)
    return True


@transaction.atomic
def _begin(*, mail_id: int, now: datetime) -> list[CalendarMail]:
    """Claim what is due of one act: all its mails to one person that stand where this one does, oldest first.

    An act (a series booked, an outage) writes all its rows at one `now`. What must not or need not go any more is
    dropped.
    """
    asked = CalendarMail.objects.filter(pk=mail_id, state__in=OPEN, next_at__lte=now).first()
    if asked is None:
        return []
    act = {name: getattr(asked, name) for name in ("user_id", "organisation_id", "created_at", "method")}
    mails = list(
        CalendarMail.objects.select_for_update(no_key=True, of=("self",))
        .select_related("booking", "user")
        .order_by("pk")
        .filter(**act, state=asked.state, attempts=asked.attempts, next_at__lte=now)
    )
    may = bool(mails) and _may_be_told(mails[0].user, organisation_id=asked.organisation_id)
    newest = _newest(mails)
    claimed = []
    for mail in mails:
        newer = newest[mail.booking_id] > mail.sequence
        if newer or not may:
            _settle(mail, rules.MailAction.DROP, problem="superseded" if newer else "unwanted")
            continue
        mail.state = next_state(rules.TRANSITIONS, rules.MailState(mail.state), rules.MailAction.START).value
        mail.attempts += 1
        mail.next_at = now + rules.STALE
        mail.save(update_fields=["state", "attempts", "next_at"])
        claimed.append(mail)
    return claimed


def _newest(mails: Sequence[CalendarMail]) -> dict[int, int]:
    """Return the newest version told, or to be told, of each booking."""
    told = CalendarMail.objects.filter(
        booking__in=[mail.booking_id for mail in mails], user__in={m.user_id for m in mails}
    )
    return dict(told.order_by().values_list("booking_id").annotate(Max("sequence")))


@transaction.atomic
def _end(mails: Sequence[CalendarMail], action: rules.MailAction, *, now: datetime, problem: str = "") -> None:
    """Write how a try ended, save of mails that somebody else has taken over since."""
    tried = {mail.pk: mail.attempts for mail in mails}
    rows = CalendarMail.objects.select_for_update(no_key=True, of=("self",)).select_related("booking")
    for locked in rows.filter(pk__in=tried).order_by("pk"):
        if locked.attempts == tried[locked.pk]:
            _end_one(locked, action, now=now, problem=problem)


def _end_one(locked: CalendarMail, action: rules.MailAction, *, now: datetime, problem: str) -> None:
    if locked.state != rules.MailState.SENDING.value:
        return
    if action is rules.MailAction.POSTPONE:
        locked.next_at = now + rules.pause(locked.attempts)
    if action is rules.MailAction.SUCCEED:
        locked.sent_at = now
    _settle(locked, action, problem=problem)
    if action is not rules.MailAction.POSTPONE:
        audit.record(
            action="calendar_mail.sent" if action is rules.MailAction.SUCCEED else "calendar_mail.failed",
            subject=f"booking:{locked.booking.number}",
            actor=Actor.system("日历邮件"),
            now=now,
            organisations=[locked.organisation_id],
            data={"method": locked.method, "sequence": locked.sequence, "attempts": locked.attempts},
        )


def _settle(mail: CalendarMail, action: rules.MailAction, *, problem: str = "") -> None:
    mail.state = next_state(rules.TRANSITIONS, rules.MailState(mail.state), action).value
    mail.problem = problem[:200]
    mail.save(update_fields=["state", "problem", "next_at", "sent_at"])


@transaction.atomic
def choose(*, actor: Actor, wanted: bool, language: str, now: datetime) -> CalendarMailChoice:
    """Set whether and in which language one wants calendar mails. Raises LanguageUnknown, Forbidden for who is no person.

    What waits to be sent when they are turned off is not sent any more; feeds go on.
    """
    actor.require(Permission.BOOKING_REQUEST)
    choice, _made = CalendarMailChoice.objects.update_or_create(
        user_id=actor.person, defaults={"wanted": wanted, "language": rules.check_language(language)}
    )
    audit.record(
        action="calendar_mail.chosen",
        subject=f"user:{actor.person}",
        actor=actor,
        now=now,
        data={"wanted": wanted, "language": language},
    )
    return choice
