"""Tell a provider that an own share it was to get was given up: answers ``vouchers.charges.ports.WriteOffFollower``."""

from __future__ import annotations

from datetime import datetime

from portal.kernel.actors import Permission
from portal.kernel.money import Money
from scheduler.messages import rules, services
from vouchers.charges import queries

__all__ = ["told"]


def told(*, charge_id: int, now: datetime) -> None:
    """Write to those of the provider who handle its refunds how much was given up, of what, and why; once."""
    given_up = queries.given_up(charge_id=charge_id)
    if given_up is None:
        return
    services.tell(
        told=services.Told(
            kind=rules.MessageKind.SHARE_GIVEN_UP,
            organisation_id=given_up.provider_id,
            user_id=None,
            key=f"write_off:{given_up.number}",
            instrument=given_up.payer,
            instrument_en=given_up.payer_en,
            about=given_up.number,
            params={
                "subject": given_up.subject.partition(":")[2],
                "amount": str(Money(given_up.fen)),
                "reason": given_up.reason,
            },
            permission=Permission.CHARGE_REFUND,
        ),
        now=now,
    )
