"""The chart of accounts: kinds of account, kinds of journal, and which may move value where. Pure.

This module is the single source of the tables the database enforces: the migration seeds `ledger_account_kind`,
`ledger_journal_kind`, `ledger_flow` and `ledger_unit` from it, the constraints of `models` read it, and ``manage.py audit`` compares the
database with it.
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
    "UNITS",
    "AccountKind",
    "Bound",
    "JournalKind",
    "JournalRule",
    "KindRule",
    "Scope",
    "Side",
    "Unit",
    "UnitRule",
]

_ = noop


class Unit(StrEnum):
    """What an account counts. Amounts are whole smallest steps of it; no transfer ever joins two units."""

    CNY = "CNY"
    MCH = "MCH"
    IMIN = "IMIN"
    TOK = "TOK"
    REC = "REC"
    MB = "MB"


@dataclass(frozen=True, slots=True)
class UnitRule:
    """`scale` smallest steps are one of `label` (Chinese, translatable): 100 fen one yuan, 1,000 MCH one card-hour."""

    scale: int
    label: str


UNITS: Mapping[Unit, UnitRule] = {
    Unit.CNY: UnitRule(100, _("元")),
    Unit.MCH: UnitRule(1000, _("卡时")),
    Unit.IMIN: UnitRule(60, _("机时")),
    Unit.TOK: UnitRule(1, _("词元")),
    Unit.REC: UnitRule(1, _("条")),
    Unit.MB: UnitRule(1, _("MB 数据")),
}
"""Milli-card-hours, instrument minutes (shown as hours and minutes), tokens, records and megabytes of a corpus."""

CNY = Unit.CNY.value
"""The unit of money: whole fen."""


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
    CLAIMANT_PAYABLE = "claimant_payable"
    SETTLEMENT_CLEARING = "settlement_clearing"
    SETTLED = "settled"
    EXPIRED = "expired"
    CLAWED_BACK = "clawed_back"
    RECEIVABLE_ENTERPRISE = "receivable_enterprise"
    RECEIVABLE_PROVIDER = "receivable_provider"
    CASH_DUE = "cash_due"
    BANK_CLEARING = "bank_clearing"
    GATEWAY_CLEARING = "gateway_clearing"
    FEES = "fees"
    CASH_PROVIDER_PAYABLE = "cash_provider_payable"
    UNAPPLIED_CASH = "unapplied_cash"
    WRITE_OFF = "write_off"
    QUOTA_GRANT = "quota_grant"
    QUOTA_POOL = "quota_pool"
    QUOTA_USED = "quota_used"


@dataclass(frozen=True, slots=True)
class KindRule:
    """How an account of one kind reads and what it may never do. `label` is a translatable Chinese name.

    `hot`: many journals at once share such an account, so it is locked after all others, for the shortest time.
    """

    normal: Side
    bound: Bound
    scope: Scope
    label: str
    hot: bool = False


ACCOUNT_KINDS: Mapping[AccountKind, KindRule] = {
    AccountKind.APPROPRIATION: KindRule(Side.DEBIT, Bound.NONE, Scope.PROGRAMME, _("财政拨款"), hot=True),
    AccountKind.BUDGET: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("计划资金池"), hot=True),
    AccountKind.VOUCHER: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("创新券")),
    AccountKind.PROVIDER_PAYABLE: KindRule(
        Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("应付服务机构（券）"), hot=True
    ),
    AccountKind.CLAIMANT_PAYABLE: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("应付申领单位"), hot=True),
    AccountKind.SETTLEMENT_CLEARING: KindRule(Side.CREDIT, Bound.CREDIT, Scope.EITHER, _("兑付在途"), hot=True),
    AccountKind.SETTLED: KindRule(Side.CREDIT, Bound.NONE, Scope.PROGRAMME, _("已兑付"), hot=True),
    AccountKind.EXPIRED: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("过期收回"), hot=True),
    AccountKind.CLAWED_BACK: KindRule(Side.CREDIT, Bound.CREDIT, Scope.PROGRAMME, _("追回"), hot=True),
    AccountKind.RECEIVABLE_ENTERPRISE: KindRule(Side.DEBIT, Bound.DEBIT, Scope.PROGRAMME, _("应收企业退款")),
    AccountKind.RECEIVABLE_PROVIDER: KindRule(Side.DEBIT, Bound.DEBIT, Scope.EITHER, _("应收服务机构退款")),
    AccountKind.CASH_DUE: KindRule(Side.DEBIT, Bound.NONE, Scope.CASH, _("企业自付应收")),
    AccountKind.BANK_CLEARING: KindRule(Side.DEBIT, Bound.NONE, Scope.EITHER, _("银行账户"), hot=True),
    AccountKind.GATEWAY_CLEARING: KindRule(Side.DEBIT, Bound.NONE, Scope.CASH, _("支付机构账户"), hot=True),
    AccountKind.FEES: KindRule(Side.DEBIT, Bound.NONE, Scope.CASH, _("支付手续费"), hot=True),
    AccountKind.CASH_PROVIDER_PAYABLE: KindRule(
        Side.CREDIT, Bound.CREDIT, Scope.CASH, _("应付服务机构（自付）"), hot=True
    ),
    AccountKind.UNAPPLIED_CASH: KindRule(Side.CREDIT, Bound.CREDIT, Scope.CASH, _("待核销来款")),
    AccountKind.WRITE_OFF: KindRule(Side.DEBIT, Bound.NONE, Scope.EITHER, _("核销坏账"), hot=True),
    AccountKind.QUOTA_GRANT: KindRule(Side.DEBIT, Bound.NONE, Scope.EITHER, _("配额来源"), hot=True),
    AccountKind.QUOTA_POOL: KindRule(Side.CREDIT, Bound.CREDIT, Scope.EITHER, _("可用配额")),
    AccountKind.QUOTA_USED: KindRule(Side.CREDIT, Bound.CREDIT, Scope.EITHER, _("已用配额"), hot=True),
}


class JournalKind(StrEnum):
    APPROPRIATE = "appropriate"
    RESERVE = "reserve"
    ISSUE = "issue"
    AWARD = "award"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REFUND = "refund"
    EXPIRE = "expire"
    CLAW_UNUSED = "claw_unused"
    CLAW_SPENT = "claw_spent"
    RECYCLE = "recycle"
    RETURN_UNUSED = "return_unused"
    CHARGE_CASH = "charge_cash"
    CASH_IN = "cash_in"
    CASH_OUT = "cash_out"
    FEE = "fee"
    GATEWAY_PAYOUT = "gateway_payout"
    CHARGEBACK = "chargeback"
    BATCH_OPEN = "batch_open"
    BATCH_PAID = "batch_paid"
    BATCH_REJECTED = "batch_rejected"
    WRITE_OFF = "write_off"
    QUOTA_GRANT = "quota_grant"
    QUOTA_LAPSE = "quota_lapse"
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
    JournalKind.AWARD: JournalRule(_("核定奖补"), transfers=True, resolves=True, two_person=True, reversible=True),
    JournalKind.HOLD: JournalRule(_("冻结"), holds=True),
    JournalKind.CAPTURE: JournalRule(_("核销"), holds=True, resolves=True),
    JournalKind.RELEASE: JournalRule(_("解冻"), resolves=True),
    JournalKind.REFUND: JournalRule(_("退回"), transfers=True),
    JournalKind.EXPIRE: JournalRule(_("过期收回"), transfers=True, reversible=True),
    JournalKind.CLAW_UNUSED: JournalRule(_("追回未用"), transfers=True, two_person=True, reversible=True),
    JournalKind.CLAW_SPENT: JournalRule(_("追缴已用"), transfers=True, two_person=True, reversible=True),
    JournalKind.RECYCLE: JournalRule(_("转回资金池"), transfers=True, two_person=True, reversible=True),
    JournalKind.RETURN_UNUSED: JournalRule(_("结余上缴"), transfers=True, two_person=True, reversible=True),
    JournalKind.CHARGE_CASH: JournalRule(_("自付扣款"), resolves=True),
    JournalKind.CASH_IN: JournalRule(_("来款入账"), transfers=True, reversible=True),
    JournalKind.CASH_OUT: JournalRule(_("付款出账"), transfers=True, reversible=True),
    JournalKind.FEE: JournalRule(_("支付手续费"), transfers=True, reversible=True),
    JournalKind.GATEWAY_PAYOUT: JournalRule(_("支付机构划款"), transfers=True, reversible=True),
    JournalKind.CHARGEBACK: JournalRule(_("争议扣款"), transfers=True, reversible=True),
    JournalKind.BATCH_OPEN: JournalRule(_("转入兑付批次"), transfers=True, two_person=True, reversible=True),
    JournalKind.BATCH_PAID: JournalRule(_("兑付完成"), transfers=True, reversible=True),
    JournalKind.BATCH_REJECTED: JournalRule(_("兑付退回"), transfers=True),
    JournalKind.WRITE_OFF: JournalRule(_("核销坏账"), transfers=True, two_person=True, reversible=True),
    JournalKind.QUOTA_GRANT: JournalRule(_("授予配额"), transfers=True, reversible=True),
    JournalKind.QUOTA_LAPSE: JournalRule(_("收回配额"), transfers=True, reversible=True),
    JournalKind.REVERSE: JournalRule(_("冲正"), two_person=True),
}


_a, _j = AccountKind, JournalKind
_CHARGES = (
    (_a.VOUCHER, _a.PROVIDER_PAYABLE),
    (_a.VOUCHER, _a.CLAIMANT_PAYABLE),
    (_a.CASH_DUE, _a.CASH_PROVIDER_PAYABLE),
    (_a.QUOTA_POOL, _a.QUOTA_USED),
)
_MOVES: dict[JournalKind, tuple[tuple[AccountKind, AccountKind], ...]] = {
    _j.APPROPRIATE: ((_a.APPROPRIATION, _a.BUDGET),),
    _j.RESERVE: ((_a.BUDGET, _a.VOUCHER), (_a.BUDGET, _a.CLAIMANT_PAYABLE)),
    _j.ISSUE: ((_a.BUDGET, _a.VOUCHER),),
    _j.AWARD: ((_a.BUDGET, _a.CLAIMANT_PAYABLE),),
    _j.HOLD: _CHARGES,
    _j.CAPTURE: _CHARGES,
    _j.CHARGE_CASH: ((_a.CASH_DUE, _a.CASH_PROVIDER_PAYABLE),),
    _j.REFUND: (
        (_a.PROVIDER_PAYABLE, _a.VOUCHER),
        (_a.PROVIDER_PAYABLE, _a.EXPIRED),
        (_a.RECEIVABLE_PROVIDER, _a.VOUCHER),
        (_a.RECEIVABLE_PROVIDER, _a.EXPIRED),
        (_a.CLAIMANT_PAYABLE, _a.VOUCHER),
        (_a.CLAIMANT_PAYABLE, _a.EXPIRED),
        (_a.RECEIVABLE_ENTERPRISE, _a.VOUCHER),
        (_a.RECEIVABLE_ENTERPRISE, _a.EXPIRED),
        (_a.CASH_PROVIDER_PAYABLE, _a.CASH_DUE),
        (_a.RECEIVABLE_PROVIDER, _a.CASH_DUE),
        (_a.QUOTA_USED, _a.QUOTA_POOL),
    ),
    _j.EXPIRE: ((_a.VOUCHER, _a.EXPIRED),),
    _j.CLAW_UNUSED: ((_a.VOUCHER, _a.CLAWED_BACK),),
    _j.CLAW_SPENT: ((_a.RECEIVABLE_ENTERPRISE, _a.CLAWED_BACK), (_a.RECEIVABLE_PROVIDER, _a.CLAWED_BACK)),
    _j.RECYCLE: ((_a.EXPIRED, _a.BUDGET), (_a.CLAWED_BACK, _a.BUDGET)),
    _j.RETURN_UNUSED: (
        (_a.BUDGET, _a.APPROPRIATION),
        (_a.EXPIRED, _a.APPROPRIATION),
        (_a.CLAWED_BACK, _a.APPROPRIATION),
    ),
    _j.CASH_IN: (
        (_a.BANK_CLEARING, _a.CASH_DUE),
        (_a.BANK_CLEARING, _a.UNAPPLIED_CASH),
        (_a.UNAPPLIED_CASH, _a.CASH_DUE),
        (_a.UNAPPLIED_CASH, _a.UNAPPLIED_CASH),
        (_a.BANK_CLEARING, _a.RECEIVABLE_ENTERPRISE),
        (_a.BANK_CLEARING, _a.RECEIVABLE_PROVIDER),
        (_a.GATEWAY_CLEARING, _a.CASH_DUE),
        (_a.GATEWAY_CLEARING, _a.UNAPPLIED_CASH),
    ),
    _j.CASH_OUT: (
        (_a.CASH_DUE, _a.GATEWAY_CLEARING),
        (_a.UNAPPLIED_CASH, _a.GATEWAY_CLEARING),
        (_a.CASH_DUE, _a.BANK_CLEARING),
        (_a.UNAPPLIED_CASH, _a.BANK_CLEARING),
        (_a.CASH_PROVIDER_PAYABLE, _a.BANK_CLEARING),
    ),
    _j.FEE: (
        (_a.FEES, _a.GATEWAY_CLEARING),
        (_a.FEES, _a.BANK_CLEARING),
        (_a.GATEWAY_CLEARING, _a.FEES),
    ),
    _j.GATEWAY_PAYOUT: ((_a.BANK_CLEARING, _a.GATEWAY_CLEARING), (_a.GATEWAY_CLEARING, _a.BANK_CLEARING)),
    _j.CHARGEBACK: ((_a.CASH_DUE, _a.GATEWAY_CLEARING), (_a.UNAPPLIED_CASH, _a.GATEWAY_CLEARING)),
    _j.BATCH_OPEN: (
        (_a.PROVIDER_PAYABLE, _a.SETTLEMENT_CLEARING),
        (_a.CASH_PROVIDER_PAYABLE, _a.SETTLEMENT_CLEARING),
        (_a.PROVIDER_PAYABLE, _a.RECEIVABLE_PROVIDER),
        (_a.PROVIDER_PAYABLE, _a.RECEIVABLE_ENTERPRISE),
        (_a.CASH_PROVIDER_PAYABLE, _a.RECEIVABLE_PROVIDER),
        (_a.CLAIMANT_PAYABLE, _a.SETTLEMENT_CLEARING),
        (_a.CLAIMANT_PAYABLE, _a.RECEIVABLE_ENTERPRISE),
        (_a.CLAIMANT_PAYABLE, _a.RECEIVABLE_PROVIDER),
    ),
    _j.BATCH_PAID: (
        (_a.SETTLEMENT_CLEARING, _a.SETTLED),
        (_a.SETTLEMENT_CLEARING, _a.BANK_CLEARING),
        (_a.SETTLEMENT_CLEARING, _a.GATEWAY_CLEARING),
        (_a.RECEIVABLE_PROVIDER, _a.SETTLED),
        (_a.RECEIVABLE_PROVIDER, _a.BANK_CLEARING),
    ),
    _j.BATCH_REJECTED: (
        (_a.SETTLEMENT_CLEARING, _a.PROVIDER_PAYABLE),
        (_a.SETTLEMENT_CLEARING, _a.CASH_PROVIDER_PAYABLE),
        (_a.SETTLEMENT_CLEARING, _a.CLAIMANT_PAYABLE),
    ),
    _j.WRITE_OFF: (
        (_a.WRITE_OFF, _a.CASH_DUE),
        (_a.WRITE_OFF, _a.RECEIVABLE_ENTERPRISE),
        (_a.WRITE_OFF, _a.RECEIVABLE_PROVIDER),
        (_a.CASH_PROVIDER_PAYABLE, _a.WRITE_OFF),
    ),
    _j.QUOTA_GRANT: ((_a.QUOTA_GRANT, _a.QUOTA_POOL),),
    _j.QUOTA_LAPSE: ((_a.QUOTA_POOL, _a.QUOTA_GRANT),),
}


def _flows() -> frozenset[tuple[JournalKind, AccountKind, AccountKind]]:
    mirrored = {
        JournalKind.REVERSE: tuple(
            (credit, debit) for kind, rule in JOURNAL_KINDS.items() if rule.reversible for debit, credit in _MOVES[kind]
        )
    }
    return frozenset((kind, *pair) for kind, pairs in (_MOVES | mirrored).items() for pair in pairs)


FLOWS = _flows()
"""Every allowed ``(journal kind, debit kind, credit kind)``. Whatever is not listed is refused by the database."""
