"""End vouchers whose time is over. Run by the clock; correctness never depends on it having run."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from portal.kernel.states import next_state
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Balance
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.programmes.models import Budget, ProgrammeVersion
from vouchers.wallets import rules, services
from vouchers.wallets.models import Voucher

ACTOR = Actor.system(noop("到期处理"))
OVER = (rules.VoucherState.EXPIRED.value, rules.VoucherState.RECOVERED.value)


def expire_overdue(*, now: datetime, limit: int = 200) -> int:
    """Expire vouchers past their validity, or carry them where their programme says so; return how many were touched.

    What is held stays held for its booking or job; once that ends, a later run takes the remainder. The same for what
    comes back to a recovered voucher. Each voucher is its own transaction; those that ended before and hold nothing take
    nobody's place among the `limit`.
    """
    due = Voucher.objects.filter(valid_until__lte=now).exclude(state__in=OVER)
    left = Balance.objects.filter(pk=OuterRef("account_id"), posted_cr__gt=F("posted_dr") + F("held_dr"))
    lately = Voucher.objects.filter(
        Exists(left), state__in=OVER, parts__charge__resolved_at__gte=now - timedelta(days=2)
    ).distinct()
    touched = 0
    for vouchers in (due, lately):
        for voucher_id in list(vouchers.order_by("pk").values_list("pk", flat=True)[:limit]):
            touched += end_if_over(voucher_id=voucher_id, now=now)
    return touched


@transaction.atomic
def end_if_over(*, voucher_id: int, now: datetime) -> int:
    """Expire or carry one voucher if its time is over, and take back what an ended one holds; return 1 if it changed.

    Whoever must know how a voucher stands at this moment calls it first, whether or not the clock's run has come.
    """
    [voucher] = services.lock(voucher_ids=[voucher_id])
    if voucher.state == rules.VoucherState.RECOVERED.value:
        taken = services.take_back(voucher=voucher, now=now)
        if taken:
            _record(voucher, action="voucher.recovered", now=now, taken_fen=taken)
        return int(taken > 0)
    if voucher.state != rules.VoucherState.EXPIRED.value and voucher.valid_until > now:
        return 0
    left = balances.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen
    if voucher.state == rules.VoucherState.EXPIRED.value and not left:
        return 0
    if voucher.state != rules.VoucherState.EXPIRED.value:
        if left and _carry(voucher, left=left, now=now):
            return 1
        _move(voucher, rules.VoucherAction.EXPIRE)
        voucher.save(update_fields=["state"])
    if left:
        _return(voucher, left=left, now=now)
    _record(voucher, action="voucher.expired", now=now, returned_fen=left)
    return 1


def _move(voucher: Voucher, action: rules.VoucherAction) -> None:
    voucher.state = next_state(rules.TRANSITIONS, rules.VoucherState(voucher.state), action).value


def _carry(voucher: Voucher, *, left: int, now: datetime) -> bool:
    """Lengthen a voucher's time once, if its programme carries unused money; return whether it was."""
    until = rules.carried_until(voucher.valid_until, fiscal_year=voucher.fiscal_year)
    if voucher.on_expiry != rules.OnExpiry.CARRY.value or voucher.carried_at or until is None or until <= now:
        return False
    _move(voucher, rules.VoucherAction.CARRY)
    voucher.grace_until += until - voucher.valid_until
    voucher.valid_until = until
    voucher.carried_at = now
    voucher.save(update_fields=["state", "valid_until", "grace_until", "carried_at"])
    _record(voucher, action="voucher.carried", now=now, carried_fen=left)
    return True


def _return(voucher: Voucher, *, left: int, now: datetime) -> None:
    code, year = voucher.programme_code, voucher.fiscal_year
    lapsed = AccountKey(AccountKind.EXPIRED, f"programme:{code}/{year}", code, year)
    ledger.post(
        posting=Posting(
            kind=JournalKind.EXPIRE,
            key=f"voucher:{voucher.number}/expire/{now.isoformat()}",
            operations=[TransferOp(voucher.account_id, lapsed, left)],
            actor=ACTOR.signature,
            source_type="voucher",
            source_id=voucher.number,
        )
    )
    if voucher.on_expiry == rules.OnExpiry.RETURN.value:
        _recycle(voucher, lapsed, left=left, now=now)


def _recycle(voucher: Voucher, lapsed: AccountKey, *, left: int, now: datetime) -> None:
    """Put lapsed value back into the pool it came from, signed by who published that it returns (浙江科技创新券 2.0)."""
    version = ProgrammeVersion.objects.select_related("programme", "published_by").get(
        applications=voucher.application_id
    )
    pool = Budget.objects.get(programme=version.programme, fiscal_year=voucher.fiscal_year)
    ledger.post(
        posting=Posting(
            kind=JournalKind.RECYCLE,
            key=f"voucher:{voucher.number}/recycle/{now.isoformat()}",
            operations=[TransferOp(lapsed, pool.account_id, left)],
            actor=ACTOR.signature,
            approved_by=f"{version.published_by} #{version.published_by_id}",
            source_type="voucher",
            source_id=voucher.number,
        )
    )


def _record(voucher: Voucher, *, action: str, now: datetime, **data: int) -> None:
    audit.record(
        action=action,
        subject=f"voucher:{voucher.number}",
        actor=ACTOR,
        now=now,
        organisations=[voucher.holder_id],
        data=dict(data),
    )
