"""Take expired vouchers' unused value back. Run by the clock; correctness never depends on it having run."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from vouchers.ledger import queries as ledger_queries
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.wallets import rules
from vouchers.wallets.models import Voucher

ACTOR = Actor.system(noop("到期处理"))


def expire_overdue(*, now: datetime, limit: int = 200) -> int:
    """Expire vouchers past their validity and return how many were touched.

    What is held stays held for its booking or job; once that ends, a later run takes the remainder. Each voucher is
    its own transaction.
    """
    lately = Q(charges__resolved_at__gte=now - timedelta(days=2))
    due = Voucher.objects.filter(Q(state=rules.VoucherState.ACTIVE.value) | lately, valid_until__lte=now)
    touched = 0
    for voucher_id in list(due.distinct().order_by("pk").values_list("pk", flat=True)[:limit]):
        touched += _expire(voucher_id=voucher_id, now=now)
    return touched


@transaction.atomic
def _expire(*, voucher_id: int, now: datetime) -> int:
    voucher = Voucher.objects.select_for_update(no_key=True).order_by("pk").get(pk=voucher_id)
    left = ledger_queries.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen
    if voucher.state == rules.VoucherState.EXPIRED.value and not left:
        return 0
    voucher.state = rules.VoucherState.EXPIRED.value
    voucher.save(update_fields=["state"])
    if left:
        code, year = voucher.programme_code, voucher.fiscal_year
        ledger.post(
            posting=Posting(
                kind=JournalKind.EXPIRE,
                key=f"voucher:{voucher.number}/expire/{now.isoformat()}",
                operations=[
                    TransferOp(
                        voucher.account_id,
                        AccountKey(AccountKind.EXPIRED, f"programme:{code}/{year}", code, year),
                        left,
                    )
                ],
                actor=ACTOR.signature,
                source_type="voucher",
                source_id=voucher.number,
            )
        )
    audit.record(
        action="voucher.expired",
        subject=f"voucher:{voucher.number}",
        actor=ACTOR,
        now=now,
        organisations=[voucher.holder_id],
        data={"returned_fen": left},
    )
    return 1
