"""Put a paid visit's bill right after its beam was counted again: downwards by a refund, never upwards by itself.

Less beam than was billed goes back by the refund path of every charge. More than was billed (a loss was logged in error) is
never billed afterwards: the bill is final upwards, the user office is told and may quote it, which the enterprise accepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from portal.kernel.money import Money
from scheduler.beamtime import billing, quote_news, rules
from scheduler.beamtime.models import BeamQuote
from scheduler.proposals.models import BeamRequest
from vouchers.charges import lowering, refunding

__all__ = ["Bill", "bill_of", "correct", "due_of"]

_ = noop
S = rules.BeamQuoteState
WORDS: Final = _("供束记录更正：实际交付的机时少于已结算的机时。")


def due_of(quote: BeamQuote) -> Money:
    """Return what a quote comes to by the minutes as they are counted now. One query."""
    return billing.amount_of(quote, min(billing.had_of(quote.request), Fraction(quote.shifts)))


@dataclass(frozen=True, slots=True)
class Bill:
    """How the money of an accepted quote stands: what is held, or what was billed of it and went back.

    `due` is what it comes to by the minutes as they are counted now; `less` how much more that is than what was billed;
    `asked` the number of a refund that waits for approval.
    """

    held: Money
    voucher: Money
    own: Money
    billed: Money | None
    refunded: Money
    due: Money
    less: Money
    asked: str


def bill_of(quote: BeamQuote) -> Bill | None:
    """Return how the money of a quote stands; None where nobody accepted it. Three queries at most."""
    charge = quote.charge
    if charge is None:
        return None
    if charge.state == "held":
        nothing = Money(0)
        shares = Money(charge.voucher_held_fen), Money(charge.own_held_fen)
        return Bill(Money(charge.price_fen), *shares, None, nothing, nothing, nothing, "")
    due = due_of(quote)
    back = Money(lowering.unserved_fen(charge))
    billed = Money(charge.actual_fen or 0)
    waiting = charge.proposals.filter(kind="refund", state="proposed").first()
    return Bill(
        held=Money(0),
        voucher=Money(charge.voucher_captured_fen),
        own=Money(charge.own_captured_fen),
        billed=billed,
        refunded=Money(charge.refunded_fen),
        due=due,
        less=max(Money(0), due - (billed - back)),
        asked=waiting.number if waiting else "",
    )


@transaction.atomic
def correct(*, request: BeamRequest, actor: Actor, now: datetime) -> lowering.Lowered | None:
    """Bring the bill of a request in line with its minutes; None where none was written. Again changes nothing.

    Above the threshold of refunds another person approves it. Locks the quote, the provider, the charge.
    """
    quote = (
        BeamQuote.objects.select_for_update(no_key=True, of=("self",))
        .select_related("request__cycle", "request__beamline", "request__proposal__facility")
        .filter(request=request, charge__isnull=False)
        .order_by("-pk")
        .first()
    )
    if quote is None or quote.charge_id is None or quote.state == S.ACCEPTED.value:
        return None
    done = lowering.lower(
        charge_id=quote.charge_id,
        to=due_of(quote),
        grounds=refunding.Grounds(WORDS, "served_in_part"),
        key=f"beam_quote:{quote.pk}",
        actor=actor,
        now=now,
    )
    if done.outcome is lowering.Outcome.AS_BILLED:
        return done
    billing.record(
        quote,
        action="beam_quote.corrected",
        actor=actor,
        now=now,
        outcome=done.outcome.value,
        amount_fen=done.amount.fen,
    )
    quote_news.corrected(quote, done, now=now)
    return done
