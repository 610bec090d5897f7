"""Read what holders hold."""

from __future__ import annotations

from django.db.models import Q

from portal.kernel.money import Money
from vouchers.ledger import queries as ledger
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

LIVE = (VoucherState.ACTIVE.value, VoucherState.FROZEN.value)


def held_by(*, holder_id: int, programme: str) -> Money:
    """Return the unspent value of the holder's live vouchers of a programme, held parts included. Two queries."""
    live = Voucher.objects.filter(Q(state__in=LIVE), holder_id=holder_id, programme_code=programme)
    found = ledger.balances(account_ids=live.values_list("account_id", flat=True))
    return Money(sum(balance.posted_fen for balance in found.values()))
