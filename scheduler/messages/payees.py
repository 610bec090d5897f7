"""Tell a payee's owners what happens to its bank account: answers ``vouchers.payees.ports.Teller``."""

from __future__ import annotations

from datetime import datetime

from portal.kernel.actors import Permission
from scheduler.messages import rules, services

__all__ = ["told"]

KINDS = {
    "proposed": rules.MessageKind.ACCOUNT_PROPOSED,
    "checked": rules.MessageKind.ACCOUNT_CHECKED,
    "verified": rules.MessageKind.ACCOUNT_VERIFIED,
    "in_force": rules.MessageKind.ACCOUNT_IN_FORCE,
    "replaced": rules.MessageKind.ACCOUNT_REPLACED,
    "rejected": rules.MessageKind.ACCOUNT_REJECTED,
    "withdrawn": rules.MessageKind.ACCOUNT_WITHDRAWN,
}


def told(*, organisation_id: int, account: str, state: str, masked: str, bank: str, now: datetime) -> int:
    """Write to every owner; each is told once of each step of an account."""
    wanted = services.Told(
        kind=KINDS[state],
        organisation_id=organisation_id,
        user_id=None,
        key=f"payee_account:{account}/{state}",
        instrument=f"{bank} {masked}",
        about=account,
        params={"account": masked, "bank": bank},
        permission=Permission.PAYEE_MANAGE,
    )
    return services.tell(told=wanted, now=now)
