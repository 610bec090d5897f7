"""What every writer of notices shares: items, the trail, granting, and the round a notice belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from portal.kernel.states import next_state
from vouchers.issuance import issuing
from vouchers.issuance.models import Application
from vouchers.notices import rules
from vouchers.notices.models import Notice, NoticeItem, Objection
from vouchers.notices.queries import RUNNING, waiting
from vouchers.rounds import keeping as rounds
from vouchers.rounds.rules import RoundAction, RoundState

__all__ = ["ACTOR", "RUNNING", "drop", "grant_item", "locked_items", "move_item", "record", "settle_round"]

ACTOR: Final = Actor.system(noop("公示期满"))


def record(notice: Notice, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write what was done with a notice into the trail, for its department."""
    audit.record(
        action=action,
        subject=f"notice:{notice.number}",
        actor=actor,
        now=now,
        organisations=[notice.version.programme.department_id],
        data={"state": notice.state, **data},
    )


def move_item(item: NoticeItem, action: rules.ItemAction, *, now: datetime) -> None:
    """Take an item to the state `action` leads to and save it. Raises InvalidTransition."""
    item.state = next_state(rules.ITEM_TRANSITIONS, rules.ItemState(item.state), action).value
    if item.state in {rules.ItemState.GRANTED.value, rules.ItemState.DROPPED.value}:
        item.settled_at = now
    item.save(update_fields=["state", "settled_at"])


def locked_items(notice: Notice) -> list[NoticeItem]:
    """Return the notice's running items with their cases, both locked, cases first."""
    pks = list(
        notice.items.filter(state__in=RUNNING).order_by("application_id").values_list("application_id", flat=True)
    )
    applications = {
        row.pk: row
        for row in Application.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version", "version__programme", "organisation", "reviewed_by", "submitted_by")
        .filter(pk__in=pks)
        .order_by("pk")
    }
    items = list(notice.items.select_for_update(no_key=True).filter(state__in=RUNNING).order_by("pk"))
    for item in items:
        item.notice = notice
        item.application = applications[item.application_id]
    return sorted(items, key=lambda item: item.position)


def grant_item(item: NoticeItem, *, actor: Actor, now: datetime) -> None:
    """Grant a locked item nobody disputes (any more) and issue its voucher, signed by those who put the notice out."""
    notice = item.notice
    move_item(item, rules.ItemAction.GRANT, now=now)
    issuing.grant(
        item.application,
        actor=actor,
        now=now,
        first=f"{notice.drafted_by} #{notice.drafted_by_id}",
        second=f"{notice.published_by} #{notice.published_by_id}",
    )


def drop(item: NoticeItem, *, now: datetime) -> None:
    """Take an item out whose case has left the notice; objections to it have nothing left to decide."""
    move_item(item, rules.ItemAction.DROP, now=now)
    Objection.objects.filter(item=item, state=rules.ObjectionState.OPEN.value).update(
        state=rules.ObjectionState.MOOT.value
    )


def settle_round(notice: Notice, *, now: datetime) -> None:
    """Take the notice's round to `granted` once nothing of it is disputed, noticed or still to be noticed."""
    if notice.round is None:
        return
    round_ = rounds.lock(notice.round)
    running = NoticeItem.objects.filter(notice__round=round_, state__in=RUNNING).exists()
    if round_.state != RoundState.NOTICED.value or running or waiting(round_.version, round_).exists():
        return
    rounds.move(round_, RoundAction.GRANT)
    round_.save(update_fields=["state"])
    rounds.record(round_, action="round.granted", actor=ACTOR, now=now)
