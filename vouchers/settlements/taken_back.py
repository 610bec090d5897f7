"""What a gateway takes back after it had paid it to a provider: found by its notice or its daily report, booked back once.

A notice and a line of the report are hints: what is true is fetched. Taken back whole, the batch that was paid is returned, as
one that the payee's bank sent back: it waits until a person has looked at the payee's account, and is paid anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import transaction

from portal.kernel.errors import PortalError, noop
from portal.kernel.states import next_state
from vouchers.payments import rails
from vouchers.payments.ports import SeenTransfer
from vouchers.settlements import bouncing, rules
from vouchers.settlements.cases import lock
from vouchers.settlements.paying_out import SYSTEM, as_ordered, keep, lock_payout, look, tell
from vouchers.settlements.payout_models import RailPayout
from vouchers.settlements.payout_rules import RAIL_PAYOUT_TRANSITIONS, RailPayoutAction, RailPayoutState

__all__ = ["look_back", "notice", "reported"]

_ = noop
logger = structlog.get_logger("settlements")


def notice(*, rail: str, provider_id: str, now: datetime) -> bool:
    """See what has become of a transfer that a gateway's notice is about; say whether it is ours. Not in a transaction.

    Raises Unavailable, RailRefused.
    """
    payout = RailPayout.objects.select_related("batch").filter(rail=rail, provider_id=provider_id).first()
    if payout is not None:
        look_back(payout=payout, now=now)
    return payout is not None


def reported(*, rail: str, sources: Iterable[str], now: datetime) -> int:
    """See what has become of transfers of which the gateway's report shows money coming back; return how many were taken back.

    A gateway that does not answer is asked again by the next report: it reaches back days. Not in a transaction.
    """
    paid = RailPayout.objects.filter(rail=rail, provider_id__in=set(sources), state=RailPayoutState.PAID.value)
    done = 0
    for payout in paid.select_related("batch").order_by("pk"):
        try:
            done += look_back(payout=payout, now=now).state == RailPayoutState.REVERSED.value
        except PortalError as error:
            logger.warning("settlements.payout_not_looked_at", payout=payout.number, code=error.code)
    return done


def look_back(*, payout: RailPayout, now: datetime) -> RailPayout:
    """Ask the gateway whether a paid one was taken back since, and book that; idempotent. Raises Unavailable, RailRefused.

    Of one that is open it is found out whether it was paid at all.
    """
    if payout.state == RailPayoutState.OPEN.value:
        return look(payout=payout, now=now)
    if payout.state != RailPayoutState.PAID.value:
        return payout
    seen = rails.rail(payout.rail).find_transfer(payout.number, since=payout.created_at)
    if seen is None or not seen.reversed.fen:
        return payout
    return _book(payout, seen, now=now)


@transaction.atomic
def _book(payout: RailPayout, seen: SeenTransfer, *, now: datetime) -> RailPayout:
    batch, row = lock(payout.batch), lock_payout(payout)
    if row.state != RailPayoutState.PAID.value:
        return row
    whole = as_ordered(row, seen) and seen.reversed == seen.amount and seen.provider_id == row.provider_id
    if not whole or batch.state not in rules.PAID:
        note = f"{seen.provider_id} reversed {seen.reversed.fen} of {seen.amount.fen} {seen.currency}"
        if row.failure_text != note:
            row.failure_code, row.failure_text = "reversed_in_part", note
            row.save(update_fields=["failure_code", "failure_text"])
            tell(_("支付机构撤回了付款的一部分，没有入账，请人工核对。"), row, now=now)
        return row
    row.state = next_state(RAIL_PAYOUT_TRANSITIONS, RailPayoutState(row.state), RailPayoutAction.REVERSE).value
    row.failure_code, row.failure_text, row.reversed_at = "reversed", "", now
    row.save(update_fields=["state", "failure_code", "failure_text", "reversed_at"])
    keep(row, action="settlement.payout_reversed", actor=SYSTEM, now=now)
    tell(_("支付机构撤回了一笔已付的款项，批次已退回，款项仍应付。请核实收款账户后重新付款。"), row, now=now)
    line = f"{row.rail}:{row.provider_id}"
    bouncing.take_back(batch, line=line, by=(SYSTEM.signature, line), actor=SYSTEM, now=now)
    return row
