"""Raise and decide flags; the only writer of their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, noop
from portal.kernel.states import next_state
from portal.organisations import access as people
from vouchers.flags import rules
from vouchers.flags.models import Flag

ACTOR = Actor.system(noop("风险核查"))


@transaction.atomic
def raise_flag(
    *,
    subject: str,
    pattern: rules.Pattern,
    facts: Mapping[str, Any],
    organisations: Iterable[int],
    department_id: int | None,
    now: datetime,
) -> Flag:
    """Flag a case for a person to look at. Idempotent on (subject, pattern, department): an older flag keeps its decision.

    Where the money of several departments is concerned, each is told by a flag of its own and decides it by itself. While the flag is open, newer facts replace the older; once decided they do not.
    """
    about = sorted(set(organisations))
    flag, created = Flag.objects.select_for_update(no_key=True).get_or_create(
        subject=subject,
        pattern=pattern.value,
        department_id=department_id,
        defaults={"facts": dict(facts), "about": about, "raised_at": now},
    )
    if created:
        audit.record(
            action="flag.raised",
            subject=subject,
            actor=ACTOR,
            now=now,
            organisations=[department_id],
            data={"pattern": pattern.value},
        )
    elif flag.state == rules.FlagState.OPEN.value and flag.facts != dict(facts):
        flag.facts, flag.about = dict(facts), about
        flag.save(update_fields=["facts", "about"])
    return flag


@transaction.atomic
def decide(*, actor: Actor, flag: Flag, action: rules.FlagAction, reason: str, now: datetime) -> Flag:
    """Clear, confirm or reopen a flag, with the reason. Raises ReasonMissing, InvolvedPerson, InvalidTransition, Forbidden."""
    actor.require(Permission.FLAG_DECIDE)
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    locked = Flag.objects.select_for_update(no_key=True).order_by("pk").get(pk=flag.pk)
    if locked.department_id != actor.organisation_id:
        raise Forbidden
    if any(people.belongs(user_id=actor.person, organisation_id=pk) for pk in locked.about):
        raise rules.InvolvedPerson
    locked.state = next_state(rules.TRANSITIONS, rules.FlagState(locked.state), action).value
    locked.decided_by_id, locked.decided_at, locked.reason = actor.person, now, reason.strip()[:500]
    locked.save()
    audit.record(
        action=f"flag.{locked.state}",
        subject=locked.subject,
        actor=actor,
        now=now,
        organisations=[locked.department_id],
        data={"pattern": locked.pattern, "reason": locked.reason},
    )
    return locked
