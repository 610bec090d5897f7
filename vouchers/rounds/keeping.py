"""What every writer of rounds shares: locking a round, moving it, writing its trail."""

from __future__ import annotations

from datetime import datetime

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.states import next_state
from vouchers.rounds import rules
from vouchers.rounds.models import Round

__all__ = ["lock", "move", "record"]


def lock(round_: Round) -> Round:
    """Return the round as it is now, locked until the transaction ends."""
    return (
        Round.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version", "version__programme", "decided_by")
        .order_by("pk")
        .get(pk=round_.pk)
    )


def move(round_: Round, action: rules.RoundAction) -> None:
    """Take the round to the state `action` leads to. Raises InvalidTransition."""
    round_.state = next_state(rules.TRANSITIONS, rules.RoundState(round_.state), action).value


def record(round_: Round, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write what was done with a round into the trail, for its department."""
    audit.record(
        action=action,
        subject=f"round:{round_.number}",
        actor=actor,
        now=now,
        organisations=[round_.version.programme.department_id],
        data={"state": round_.state, "version": round_.version.number, **data},
    )
