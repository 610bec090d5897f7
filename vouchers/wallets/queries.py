"""Read what holders hold."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from fractions import Fraction

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


def spendable(*, holder_ids: Collection[int], service: str, at: datetime) -> dict[int, list[tuple[int, Fraction]]]:
    """Return of each holder's vouchers that pay for `service` at purchase what is free, in fen, and the share they pay.

    One that may be used once and has paid before is left out. Two queries.
    """
    usable = Voucher.objects.filter(
        Q(services=[]) | Q(services__contains=[service]),
        holder_id__in=holder_ids,
        state=VoucherState.ACTIVE.value,
        deducts=True,
        valid_from__lte=at,
        valid_until__gt=at,
    ).exclude(multi_use=False, parts__isnull=False)
    rows = list(usable.values_list("account_id", "holder_id", "share_num", "share_den"))
    free = ledger.balances(account_ids=[account_id for account_id, *_rest in rows])
    found: dict[int, list[tuple[int, Fraction]]] = {holder: [] for holder in holder_ids}
    for account_id, holder, num, den in rows:
        found[holder].append((free[account_id].available_fen, Fraction(num, den)))
    return found
