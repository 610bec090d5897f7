"""Read what holders hold."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q

from portal.kernel.money import Money
from vouchers.ledger import queries as ledger
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

LIVE = (VoucherState.ACTIVE.value, VoucherState.FROZEN.value)


def held_by_each(*, holder_ids: Collection[int], programme: str) -> dict[int, Money]:
    """Return the unspent value of each holder's live vouchers of a programme, held parts included. Two queries."""
    live = Voucher.objects.filter(Q(state__in=LIVE), holder_id__in=holder_ids, programme_code=programme)
    holders = dict(live.values_list("account_id", "holder_id"))
    sums = dict.fromkeys(holder_ids, 0)
    for account_id, balance in ledger.balances(account_ids=holders).items():
        sums[holders[account_id]] += balance.posted_fen
    return {holder: Money(fen) for holder, fen in sums.items()}


def held_by(*, holder_id: int, programme: str) -> Money:
    """Return the same of one holder."""
    return held_by_each(holder_ids=[holder_id], programme=programme)[holder_id]
