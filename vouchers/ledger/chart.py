"""The chart of accounts: kinds of account, kinds of journal, and which may move value where. Pure.

This module is the single source of the tables the database enforces: the migration seeds `ledger_account_kind`,
`ledger_journal_kind` and `ledger_flow` from it, the constraints of `models` read it, and ``ledger_verify`` compares the database with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from portal.kernel.errors import noop

__all__ = [
    "ACCOUNT_KINDS",
    "CNY",
    "FLOWS",
    "JOURNAL_KINDS",
    "AccountKind",
    "Bound",
    "JournalKind",
    "JournalRule",
    "KindRule",
    "Scope",
    "Side",
]

_ = noop

CNY = "CNY"
"""The only unit there is today; amounts are whole fen. The column exists so that another unit needs no new tables."""


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"


class Bound(StrEnum):
    """Which side may never be overdrawn: `credit` means ``posted_dr + held_dr <= posted_cr``."""

    CREDIT = "credit"
    DEBIT = "debit"
    NONE = "none"


class Scope(StrEnum):
    """Whether an account carries a programme and fiscal year. No transfer ever leaves its programme and year."""

    PROGRAMME = "programme"
    CASH = "cash"
    EITHER = "either"


class AccountKind(StrEnum):
    APPROPRIATION = "appropriation"
    BUDGET = "budget"
    VOUCHER = "voucher"
    PROVIDER_PAYABLE = "provider_payable"
    SETTLEMENT_CLEARING = "settlement_clearing"
    SETTLED = "settled"
    EXPIRED = "expired"
    CLAWED_BACK = "clawed_back"
    RECEIVABLE_ENTERPRISE = "receivable_enterprise"
    RECEIVABLE_PROVIDER = "receivable_provider"
    CASH_DUE = "cash_due"
    BANK_CLEARING = "bank_clearing"
    CASH_PROVIDER_PAYABLE = "cash_provider_payable"
    UNAPPLIED_CASH = "unapplied_cash"
    WRITE_OFF = "write_off"


@dataclass(frozen=True, slots=True)
class KindRule:
    """How an account of one kind reads and what it may never do. `label` is a translatable Chinese name."""

    normal: Side
    bound: Bound
    scope: Scope
    label: str


ACCOUNT_KINDS: Mapping[AccountKind, KindRule] = {
    AccountKind.APPROPRIATION: KindRule(Side.DEBIT, Bound.NONE, Scope.PROGRAMME, _("财政拨款")),
    AccountKind.BUDGET: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("计划资金池")),
    AccountKind.VOUCHER: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("创新券")),
    AccountKind.PROVIDER_PAYABLE: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("应付服务机构（券）")),
    AccountKind.SETTLEMENT_CLEARING: KindRule(Side.CREDIT, Bound.CREDIT, Scope.EITHER, _("兑付在途")),
    AccountKind.SETTLED: KindRule(Side.CREDIT, Bound.NONE, Scope.PROGRAMME, _("已兑付")),
    AccountKind.EXPIRED: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("过期收回")),
    AccountKind.CLAWED_BACK: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("追回")),
    AccountKind.RECEIVABLE_ENTERPRISE: KindRule(Side.DEBIT, Bound.DEBIT, Scope.PROGRAMME, _("应收企业退款")),
    AccountKind.RECEIVABLE_PROVIDER: KindRule(Side.DEBIT, Bound.DEBIT, Scope.PROGRAMME, _("应收服务机构退款")),
    AccountKind.CASH_DUE: KindRule(Side.DEBIT, Bound.NONE, Scope.CASH, _("企业自付应收")),
    AccountKind.BANK_CLEARING: KindRule(Side.DEBIT, Bound.NONE, Scope.EITHER, _("银行账户")),
    AccountKind.CASH_PROVIDER_PAYABLE: KindRule(Side.CREDIT, Bound.CREDIT, Scope.CASH, _("应付服务机构（自付）")),
    AccountKind.UNAPPLIED_CASH: KindRule(Side.CREDIT, Bound.CREDIT, Scope.CASH, _("待核销来款")),
    AccountKind.WRITE_OFF: KindRule(Side.DEBIT, Bound.NONE, Scope.EITHER, _("核销坏账")),
}


class JournalKind(StrEnum):
    APPROPRIATE = "appropriate"
    RESERVE = "reserve"
    ISSUE = "issue"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REFUND = "refund"
    EXPIRE = "expire"
    CLAW_UNUSED = "claw_unused"
    CLAW_SPENT = "claw_spent"
    CHARGE_CASH = "charge_cash"
    CASH_IN = "cash_in"
    CASH_OUT = "cash_out"
    BATCH_OPEN = "batch_open"
    BATCH_PAID = "batch_paid"
    BATCH_REJECTED = "batch_rejected"
    WRITE_OFF = "write_off"
    REVERSE = "reverse"


@dataclass(frozen=True, slots=True)
class JournalRule:
    """What a journal of one kind may consist of. `label` is a translatable Chinese name.

    `two_person`: `approved_by` must be given and differ from `actor`. `reversible`: a `reverse` may mirror it; a
    capture is not, since it is corrected by `refund`, which can never give back more than was taken.
    """

    label: str
    transfers: bool = False
    holds: bool = False
    resolves: bool = False
    two_person: bool = False
    reversible: bool = False


JOURNAL_KINDS: Mapping[JournalKind, JournalRule] = {
    JournalKind.APPROPRIATE: JournalRule(_("拨入资金"), transfers=True, two_person=True, reversible=True),
    JournalKind.RESERVE: JournalRule(_("预留额度"), holds=True),
    JournalKind.ISSUE: JournalRule(_("发放"), transfers=True, resolves=True, two_person=True, reversible=True),
    JournalKind.HOLD: JournalRule(_("冻结"), holds=True),
    JournalKind.CAPTURE: JournalRule(_("核销"), holds=True, resolves=True),
    JournalKind.RELEASE: JournalRule(_("解冻"), resolves=True),
    JournalKind.REFUND: JournalRule(_("退回"), transfers=True),
    JournalKind.EXPIRE: JournalRule(_("过期收回"), transfers=True, reversible=True),
    JournalKind.CLAW_UNUSED: JournalRule(_("追回未用"), transfers=True, two_person=True, reversible=True),
    JournalKind.CLAW_SPENT: JournalRule(_("追缴已用"), transfers=True, two_person=True, reversible=True),
    JournalKind.CHARGE_CASH: JournalRule(_("自付扣款"), resolves=True),
    JournalKind.CASH_IN: JournalRule(_("来款入账"), transfers=True, reversible=True),
    JournalKind.CASH_OUT: JournalRule(_("付款出账"), transfers=True, reversible=True),
    JournalKind.BATCH_OPEN: JournalRule(_("转入兑付批次"), transfers=True, two_person=True, reversible=True),
    JournalKind.BATCH_PAID: JournalRule(_("兑付完成"), transfers=True, reversible=True),
    JournalKind.BATCH_REJECTED: JournalRule(_("兑付退回"), transfers=True),
    JournalKind.WRITE_OFF: JournalRule(_("核销坏账"), transfers=True, two_person=True, reversible=True),
    JournalKind.REVERSE: JournalRule(_("冲正"), two_person=True),
}


def _flows() -> frozenset[tuple[JournalKind, AccountKind, AccountKind]]:
    a, j = AccountKind, JournalKind
    charges = ((a.VOUCHER, a.PROVIDER_PAYABLE), (a.CASH_DUE, a.CASH_PROVIDER_PAYABLE))
    by_kind: dict[JournalKind, tuple[tuple[AccountKind, AccountKind], ...]] = {
        j.APPROPRIATE: ((a.APPROPRIATION, a.BUDGET),),
        j.RESERVE: ((a.BUDGET, a.VOUCHER),),
        j.ISSUE: ((a.BUDGET, a.VOUCHER),),
        j.HOLD: charges,
        j.CAPTURE: charges,
        j.CHARGE_CASH: ((a.CASH_DUE, a.CASH_PROVIDER_PAYABLE),),
        j.REFUND: (
            (a.PROVIDER_PAYABLE, a.VOUCHER),
            (a.PROVIDER_PAYABLE, a.EXPIRED),
            (a.RECEIVABLE_PROVIDER, a.VOUCHER),
            (a.RECEIVABLE_PROVIDER, a.EXPIRED),
            (a.CASH_PROVIDER_PAYABLE, a.CASH_DUE),
        ),
        j.EXPIRE: ((a.VOUCHER, a.EXPIRED),),
        j.CLAW_UNUSED: ((a.VOUCHER, a.CLAWED_BACK),),
        j.CLAW_SPENT: ((a.RECEIVABLE_ENTERPRISE, a.CLAWED_BACK),),
        j.CASH_IN: (
            (a.BANK_CLEARING, a.CASH_DUE),
            (a.BANK_CLEARING, a.UNAPPLIED_CASH),
            (a.UNAPPLIED_CASH, a.CASH_DUE),
            (a.BANK_CLEARING, a.RECEIVABLE_ENTERPRISE),
            (a.BANK_CLEARING, a.RECEIVABLE_PROVIDER),
        ),
        j.CASH_OUT: (
            (a.CASH_DUE, a.BANK_CLEARING),
            (a.UNAPPLIED_CASH, a.BANK_CLEARING),
            (a.CASH_PROVIDER_PAYABLE, a.BANK_CLEARING),
        ),
        j.BATCH_OPEN: (
            (a.PROVIDER_PAYABLE, a.SETTLEMENT_CLEARING),
            (a.CASH_PROVIDER_PAYABLE, a.SETTLEMENT_CLEARING),
            (a.PROVIDER_PAYABLE, a.RECEIVABLE_PROVIDER),
        ),
        j.BATCH_PAID: ((a.SETTLEMENT_CLEARING, a.SETTLED), (a.SETTLEMENT_CLEARING, a.BANK_CLEARING)),
        j.BATCH_REJECTED: (
            (a.SETTLEMENT_CLEARING, a.PROVIDER_PAYABLE),
            (a.SETTLEMENT_CLEARING, a.CASH_PROVIDER_PAYABLE),
        ),
        j.WRITE_OFF: (
            (a.WRITE_OFF, a.CASH_DUE),
            (a.WRITE_OFF, a.RECEIVABLE_ENTERPRISE),
            (a.WRITE_OFF, a.RECEIVABLE_PROVIDER),
        ),
    }
    by_kind[j.REVERSE] = tuple(
        (credit, debit) for kind, rule in JOURNAL_KINDS.items() if rule.reversible for debit, credit in by_kind[kind]
    )
    return frozenset((kind, debit, credit) for kind, pairs in by_kind.items() for debit, credit in pairs)


FLOWS = _flows()
"""Every allowed ``(journal kind, debit kind, credit kind)``. Whatever is not listed is refused by the database."""
