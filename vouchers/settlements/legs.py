"""Which accounts of the ledger a batch's lines move value between."""

from __future__ import annotations

from collections import defaultdict

from vouchers.claims.cases import payable_of
from vouchers.ledger.rules import AccountKey, AccountKind
from vouchers.payments.arriving import in_account, rail_account
from vouchers.recoveries.cases import receivable_key
from vouchers.recoveries.models import Recovery
from vouchers.settlements import queries, rules
from vouchers.settlements.models import SettlementBatch, SettlementLine

__all__ = ["Leg", "debt_of", "leg_of", "offset_line", "purse_of", "sums"]

Leg = tuple[AccountKey, AccountKey, AccountKey]
"""From what the payee is owed, through the batch's clearing account, to where money that was paid ends."""


def purse_of(line: SettlementLine) -> rules.Purse:
    """Return which of the payee's accounts a line is paid, or taken, from."""
    if line.claim is not None:
        key = payable_of(line.claim)
        return rules.Purse(key.kind.value, key.programme, key.fiscal_year)
    if line.leg == rules.Leg.OFFSET.value:
        return rules.Purse(line.payable, line.programme_code, line.fiscal_year or 0)
    if line.voucher is not None:
        return rules.Purse(AccountKind.PROVIDER_PAYABLE.value, line.voucher.programme_code, line.voucher.fiscal_year)
    return rules.OWN_SHARES


def _payable(purse: rules.Purse, payee_id: int) -> AccountKey:
    return AccountKey(AccountKind(purse.kind), f"organisation:{payee_id}", purse.programme, purse.fiscal_year)


def leg_of(line: SettlementLine, batch: SettlementBatch) -> Leg:
    """Return the accounts a line moves through."""
    purse = purse_of(line)
    money = (purse.programme, purse.fiscal_year)
    clearing = AccountKey(AccountKind.SETTLEMENT_CLEARING, f"batch:{batch.number}", *money)
    if purse == rules.OWN_SHARES and batch.account is not None and batch.account.rail:
        end = in_account(rail_account(batch.account.rail))
    elif purse == rules.OWN_SHARES:
        end = AccountKey(AccountKind.BANK_CLEARING, "bank:main")
    else:
        end = AccountKey(AccountKind.SETTLED, f"programme:{money[0]}/{money[1]}", *money)
    return _payable(purse, batch.payee_id), clearing, end


def sums(batch: SettlementBatch) -> dict[Leg, int]:
    """Return the batch's fen per (payable, clearing, final) accounts: one row a programme and year, one for cash."""
    found: dict[Leg, int] = defaultdict(int)
    for line in queries.lines_of(batch.pk).filter(active=True):
        found[leg_of(line, batch)] += line.amount_fen
    assert sum(found.values()) == batch.total_fen
    return {leg: fen for leg, fen in found.items() if fen}


def debt_of(line: SettlementLine, batch: SettlementBatch) -> tuple[AccountKey, AccountKey]:
    """Return of an offset what the payee is owed and what it owes."""
    payable = _payable(purse_of(line), batch.payee_id)
    if line.recovery is not None:
        return payable, receivable_key(line.recovery)
    debt = AccountKey(AccountKind.RECEIVABLE_PROVIDER, payable.owner, payable.programme, payable.fiscal_year)
    return payable, debt


def offset_line(
    batch: SettlementBatch, purse: rules.Purse, fen: int, *, recovery: Recovery | None = None
) -> SettlementLine:
    """Return the line, not yet saved, that takes `fen` off what a purse owes."""
    return SettlementLine(
        batch=batch,
        leg=rules.Leg.OFFSET.value,
        amount_fen=-fen,
        programme_code=purse.programme,
        fiscal_year=purse.fiscal_year or None,
        payable=purse.kind,
        recovery=recovery,
    )
