"""What every writer of recoveries shares: locking a case, moving it, its account, and the words it needs."""

from __future__ import annotations

from datetime import datetime

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.states import next_state
from vouchers.ledger.rules import AccountKey, AccountKind
from vouchers.recoveries import access, queries, rules
from vouchers.recoveries.models import Recovery


def lock(recovery: Recovery) -> Recovery:
    """Return the case as it is now, locked until the transaction ends."""
    return (
        Recovery.objects.select_for_update(no_key=True, of=("self",))
        .select_related(*access.RELATED)
        .order_by("pk")
        .get(pk=recovery.pk)
    )


def move(recovery: Recovery, action: rules.RecoveryAction) -> None:
    """Take the case to the state `action` leads to. Raises InvalidTransition."""
    recovery.state = next_state(rules.TRANSITIONS, rules.RecoveryState(recovery.state), action).value


def record(recovery: Recovery, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write what was done into the trail, for the debtor and the department."""
    audit.record(
        action=action,
        subject=queries.subject_of(recovery),
        actor=actor,
        now=now,
        organisations=[recovery.debtor_id, recovery.version.programme.department_id],
        data={"state": recovery.state, "amount_fen": recovery.receivable_fen, **data},
    )


def said(text: str, field: str, longest: int) -> str:
    """Raises TextMissing."""
    if not text.strip():
        raise rules.TextMissing(field=field)
    return text.strip()[:longest]


def money(recovery: Recovery) -> tuple[str, int]:
    """Return the programme and fiscal year whose money it is."""
    return recovery.version.programme.code, recovery.fiscal_year


def receivable_key(recovery: Recovery) -> AccountKey:
    """Return the account of what the debtor owes in this case."""
    is_provider = recovery.party == rules.Party.PROVIDER.value
    kind = AccountKind.RECEIVABLE_PROVIDER if is_provider else AccountKind.RECEIVABLE_ENTERPRISE
    return AccountKey(kind, queries.subject_of(recovery), *money(recovery))


def may_freeze(actor: Actor) -> bool:
    """Say whether the actor may stop and free vouchers; cases opened by others leave that to a colleague."""
    return actor.may(Permission.VOUCHER_FREEZE)
