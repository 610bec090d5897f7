"""File and decide objections. One blocks its item, never the notice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from vouchers.evidence import services as evidence
from vouchers.issuance import cases, conflicts
from vouchers.issuance import queries as issuance
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.rules import ApplicationAction, ApplicationState
from vouchers.notices import keeping, rules
from vouchers.notices.models import NoticeItem, Objection
from vouchers.rounds.models import RoundAward

__all__ = ["LEAST_TEXT", "Statement", "Verdict", "decide", "file", "had_part"]

PUBLIC: Final = Actor(user_id=None, organisation_id=None, label=noop("公众"))
LEAST_TEXT: Final = 10
"""Fewer characters say nothing that can be looked into."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody holds against an item, and who they are. `uploads` prove it."""

    name: str
    contact: str
    text: str
    uploads: Sequence[evidence.Upload] = ()


class Verdict(StrEnum):
    """How an objection ends: rejected; upheld and the case refused; upheld and the case reviewed anew."""

    REJECT = "reject"
    REFUSE = "refuse"
    REVIEW = "review"


@transaction.atomic
def file(*, item: NoticeItem, statement: Statement, key: str, now: datetime) -> Objection:
    """File an objection, as anybody may while the notice runs; its item is blocked until it is decided.

    Idempotent on (item, `key`): the receipt is made from them. Raises PeriodOver, ObjectionEmpty, BadFile.
    """
    receipt = hashlib.sha256(f"{item.pk}/{key}".encode()).hexdigest()[:16].upper()
    if existing := Objection.objects.filter(receipt=receipt).first():
        return existing
    name, contact, text = statement.name.strip(), statement.contact.strip(), statement.text.strip()
    if not name or not contact or len(text) < LEAST_TEXT:
        raise rules.ObjectionEmpty(field="text" if name and contact else "name", least=LEAST_TEXT)
    locked = _lock(item)
    application = locked.application
    if not _is_open(locked, now):
        raise rules.PeriodOver
    objection = Objection.objects.create(
        number=next_number(prefix="O", now=now),
        receipt=receipt,
        item=locked,
        name=name[:60],
        contact=contact[:120],
        text=text[:4000],
        filed_at=now,
    )
    for upload in statement.uploads:
        evidence.store(
            actor=PUBLIC, subject=f"objection:{objection.number}", purpose="objection", upload=upload, now=now
        )
    if locked.state == rules.ItemState.NOTICED.value:
        keeping.move_item(locked, rules.ItemAction.OBJECT, now=now)
        cases.move(application, ApplicationAction.OBJECT)
        application.save(update_fields=["state"])
    _record(objection, action="objection.filed", actor=PUBLIC, now=now)
    return objection


def _is_open(item: NoticeItem, now: datetime) -> bool:
    running = {ApplicationState.NOTICED.value, ApplicationState.OBJECTION.value}
    notice = item.notice
    return (
        notice.state == rules.NoticeState.PUBLISHED.value
        and notice.ends_at is not None
        and now < notice.ends_at
        and item.state in keeping.RUNNING
        and item.application.state in running
    )


def _lock(item: NoticeItem) -> NoticeItem:
    """Return the item with its case and notice as they are now; the case is locked before the item."""
    application = issuance.locked(Application(pk=item.application_id))
    locked = (
        NoticeItem.objects.select_for_update(no_key=True, of=("self",))
        .select_related("notice", "notice__version__programme", "notice__round", "notice__drafted_by")
        .select_related("notice__published_by")
        .order_by("pk")
        .get(pk=item.pk)
    )
    locked.application = application
    return locked


def _record(objection: Objection, *, action: str, actor: Actor, now: datetime) -> None:
    notice = objection.item.notice
    audit.record(
        action=action,
        subject=f"objection:{objection.number}",
        actor=actor,
        now=now,
        organisations=[notice.version.programme.department_id],
        data={"state": objection.state, "notice": notice.number, "application": objection.item.application.number},
    )


@transaction.atomic
def decide(*, actor: Actor, objection: Objection, verdict: Verdict, reason: str, now: datetime) -> Objection:
    """Decide an objection, as somebody who had no part in the case.

    Rejected, the item goes on, and is granted at once when its notice is over and nothing else is held against it.
    Upheld, it leaves the notice: refused, or reviewed anew. Raises HadPart, ReasonMissing, InvalidTransition, Forbidden.
    """
    actor.require(Permission.APPLICATION_APPROVE)
    item = _lock(objection.item)
    application = item.application
    if application.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    locked = Objection.objects.select_for_update(no_key=True).order_by("pk").get(pk=objection.pk)
    action = rules.ObjectionAction.REJECT if verdict is Verdict.REJECT else rules.ObjectionAction.UPHOLD
    locked.state = next_state(rules.OBJECTION_TRANSITIONS, rules.ObjectionState(locked.state), action).value
    if had_part(application, actor.person):
        raise rules.HadPart
    locked.item = item
    locked.decided_by_id, locked.decided_at, locked.reason = actor.person, now, reason.strip()[:500]
    locked.save()
    rejected = verdict is Verdict.REJECT
    _record(locked, action="objection.rejected" if rejected else "objection.upheld", actor=actor, now=now)
    if verdict is Verdict.REJECT:
        _go_on(item, actor=actor, now=now)
    elif verdict is Verdict.REFUSE:
        _refuse(item, actor=actor, reason=locked.reason, now=now)
    else:
        _review_anew(item, actor=actor, reason=locked.reason, now=now)
    keeping.settle_round(item.notice, now=now)
    return locked


def had_part(application: Application, user_id: int) -> bool:
    """Say whether the person reviewed the case, recused themselves, or is close to one of its parties."""
    reviewed = StageDecision.objects.filter(application=application, person_id=user_id).exists()
    return reviewed or user_id in conflicts.found(application, [user_id])


def _go_on(item: NoticeItem, *, actor: Actor, now: datetime) -> None:
    if item.objections.filter(state=rules.ObjectionState.OPEN.value).exists():
        return
    application = item.application
    if application.state != ApplicationState.OBJECTION.value:
        keeping.drop(item, now=now)
        return
    keeping.move_item(item, rules.ItemAction.DISMISS, now=now)
    cases.move(application, ApplicationAction.DISMISS)
    application.save(update_fields=["state"])
    if item.notice.state == rules.NoticeState.CLOSED.value:
        keeping.grant_item(item, actor=actor, now=now)


def _refuse(item: NoticeItem, *, actor: Actor, reason: str, now: datetime) -> None:
    application = item.application
    keeping.drop(item, now=now)
    cases.move(application, ApplicationAction.UPHOLD)
    cases.unreserve(application, actor=actor)
    application.note = reason[: cases.NOTE_MAX]
    application.decided_at = now
    application.save()
    cases.record(application, action="application.refused", actor=actor, now=now, notice=item.notice.number)


def _review_anew(item: NoticeItem, *, actor: Actor, reason: str, now: datetime) -> None:
    """Send the case to its first stage, to other people than before.

    Of a batch its money goes back, and it takes part in a later round.
    """
    application = item.application
    keeping.drop(item, now=now)
    cases.move(application, ApplicationAction.REOPEN)
    if issuance.is_batch(application.version):
        cases.release(application, actor=actor)
        RoundAward.objects.filter(application=application, is_final=True).update(is_final=False)
    application.turn += 1
    application.first_turn = application.turn
    application.amount_fen = application.computed_fen
    application.reviewed_by = application.approved_by = None
    application.decided_at = None
    application.note = reason[: cases.NOTE_MAX]
    cases.enter_stage(application, stage=0, now=now)
    application.save()
    cases.record(application, action="application.reopened", actor=actor, now=now, notice=item.notice.number)
