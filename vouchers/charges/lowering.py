"""Take a captured charge down to what turns out to have been delivered: at once, or as a refund another person approves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.db import transaction
from django.db.models import Sum

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.organisations.models import Organisation
from vouchers.charges import proposal_rules, proposing, refunding, rules, services
from vouchers.charges.models import Charge, ChargeProposal

__all__ = ["UNSERVED", "Lowered", "Outcome", "lower", "unserved_fen"]

UNSERVED: Final = ("not_served", "served_in_part", "equipment", "miscounted")
"""Codes of refunds for what was not delivered: they count towards a later correction, others (quality, …) do not."""
OPEN: Final = proposal_rules.ProposalState.PROPOSED.value


class Outcome(StrEnum):
    AS_BILLED = "as_billed"
    REFUNDED = "refunded"
    ASKED = "asked"
    """A second person has to approve."""
    BLOCKED = "blocked"
    """Another refund waits for approval; it has to be decided first."""
    LESS = "less"
    """Less was billed than was delivered: nothing is ever billed afterwards."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """What became of a correction; `amount` is what goes or is to go back, or, of LESS, what was not billed."""

    outcome: Outcome
    amount: Money


def unserved_fen(charge: Charge) -> int:
    """Return what was given back of a charge for what was not delivered. One query."""
    return charge.refunds.filter(reason_code__in=UNSERVED).aggregate(fen=Sum("amount_fen"))["fen"] or 0


@transaction.atomic
def lower(*, charge_id: int, to: Money, grounds: refunding.Grounds, key: str, actor: Actor, now: datetime) -> Lowered:
    """Take a captured charge down to `to`, for a verb that has made sure that it may: asks for no permission itself.

    `key` begins the keys of all corrections of one kind; what waits of them is replaced where the amount is another now.
    The same again changes nothing. Locks the provider, the charge.
    """
    provider_id = Charge.objects.values_list("provider_id", flat=True).get(pk=charge_id)
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=provider_id)
    charge = services.lock(charge_id)
    if charge.state != rules.ChargeState.CAPTURED.value:
        return Lowered(Outcome.LESS, to) if to else Lowered(Outcome.AS_BILLED, to)
    excess = (charge.actual_fen or 0) - to.fen - unserved_fen(charge)
    wanted = max(0, min(excess, charge.refundable_fen))
    waiting = charge.proposals.filter(kind=proposal_rules.ChargeProposalKind.REFUND.value, state=OPEN).first()
    if waiting is not None and waiting.key.startswith(key):
        if waiting.amount_fen == wanted:
            return Lowered(Outcome.ASKED, Money(wanted))
        proposing.supersede(proposal=waiting, actor=actor, note=grounds.text, now=now)
        waiting = None
    if waiting is not None and waiting.reason_code in UNSERVED:
        wanted = max(0, wanted - waiting.amount_fen)
    if not wanted:
        return Lowered(Outcome.LESS, Money(-excess)) if excess < 0 else Lowered(Outcome.AS_BILLED, Money(0))
    return _give(charge, Money(wanted), waiting, grounds=grounds, key=key, actor=actor, now=now)


def _give(
    charge: Charge,
    amount: Money,
    waiting: ChargeProposal | None,
    *,
    grounds: refunding.Grounds,
    key: str,
    actor: Actor,
    now: datetime,
) -> Lowered:
    asked = charge.proposals.filter(key__startswith=key).count()
    key = f"{key}:{charge.refunds.filter(key__startswith=key).count()}.{asked}"
    if not refunding.above_limit(charge, amount):
        refunding.correct(actor=actor, charge_id=charge.pk, amount=amount, reason=grounds, now=now, key=key)
        return Lowered(Outcome.REFUNDED, amount)
    if waiting is not None:
        return Lowered(Outcome.BLOCKED, amount)
    proposing.propose_correction(actor=actor, charge=charge, amount=amount, grounds=grounds, now=now, key=key)
    return Lowered(Outcome.ASKED, amount)
