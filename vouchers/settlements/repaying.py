"""What payees owe us of settlements, and its repayment by bank: what was paid late beside a batch, what was refunded after it.

A batch takes such a debt off what the payee is owed by itself; this is the other way, money of the payee's that came in.
Cases of `recoveries` have accounts of their own and are received there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, noop
from portal.kernel.money import Money
from portal.organisations.models import Organisation
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Account
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.settlements import rules
from vouchers.settlements.models import SettlementLine

__all__ = ["MoreThanOwed", "owed_by", "repay", "serialise"]

_ = noop

Purses = Mapping[tuple[str, int], int]
"""Fen by programme and fiscal year; own shares are of none."""


class MoreThanOwed(Conflict):
    """`left` is what the payee owes and no batch is about to take off."""

    code = "settlement.more_than_owed"
    message = _("%(payee)s 现在应退还 %(left)s（不含批次正在抵扣的部分），少于 %(amount)s。请核对来款的用途。")


def serialise(payee_ids: Iterable[int]) -> None:
    """Let nobody else draft for or receive from payees until the transaction ends: the lock that drafting takes."""
    list(Organisation.objects.select_for_update(no_key=True).filter(pk__in=set(payee_ids)).order_by("pk"))


def owed_by(payee_ids: Iterable[int]) -> dict[int, Purses]:
    """Return what each payee owes and no batch is about to take off, those that owe nothing left out. Three queries."""
    owners = {f"organisation:{pk}": pk for pk in set(payee_ids)}
    accounts = list(
        Account.objects.filter(kind=AccountKind.RECEIVABLE_PROVIDER.value, owner__in=owners, closed_at__isnull=True)
    )
    if not accounts:
        return {}
    held = balances.balances(account_ids=[row.pk for row in accounts])
    left: dict[int, dict[tuple[str, int], int]] = {}
    for row in sorted(accounts, key=lambda each: (each.programme, each.fiscal_year or 0)):
        left.setdefault(owners[row.owner], {})[row.programme, row.fiscal_year or 0] = held[row.pk].posted_fen
    pending = SettlementLine.objects.filter(
        batch__payee__in=left, batch__paid_at__isnull=True, leg=rules.Leg.OFFSET.value, recovery=None, active=True
    )
    for payee_id, programme, year, fen in pending.values_list(
        "batch__payee", "programme_code", "fiscal_year", "amount_fen"
    ):
        left[payee_id][programme, year or 0] = left[payee_id].get((programme, year or 0), 0) + fen
    found = {pk: {purse: fen for purse, fen in purses.items() if fen > 0} for pk, purses in left.items()}
    return {pk: purses for pk, purses in found.items() if purses}


def repay(*, payee: Organisation, amount: Money, source: str, account: str, actor: Actor) -> None:
    """Book that a payee has paid back what it owes, own shares first, then one programme's year after the other.

    `source` keys the journal, `account` is the owner of our bank account. Whoever calls has checked the permission and
    holds `serialise`. Raises MoreThanOwed.
    """
    owed = owed_by([payee.pk]).get(payee.pk, {})
    left = sum(owed.values())
    if amount.fen > left:
        raise MoreThanOwed(field="parts", payee=payee.name, left=Money(left), amount=amount)
    operations, rest = [], amount.fen
    for (programme, year), fen in owed.items():
        taken = min(fen, rest)
        if taken:
            money = (programme, year) if programme else ()
            bank = AccountKey(AccountKind.BANK_CLEARING, account, *money)
            debt = AccountKey(AccountKind.RECEIVABLE_PROVIDER, f"organisation:{payee.pk}", *money)
            operations.append(TransferOp(bank, debt, taken))
        rest -= taken
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_IN,
            key=source,
            operations=operations,
            actor=actor.signature,
            source_type="organisation",
            source_id=str(payee.pk),
        )
    )
