"""Words for reconciliation: what an entry that does not match probably is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import noop
from vouchers.reconciliation.rules import Bucket, Cause

__all__ = ["BUCKETS", "PLAIN"]

_ = noop

BUCKETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Bucket.MATCHED.value: _("已核对"),
        Bucket.DIFFERS.value: _("金额不符"),
        Bucket.OURS.value: _("仅本平台有"),
        Bucket.THEIRS.value: _("仅支付机构有"),
    }
)
CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Cause.NONE.value: _("已核对"),
        Cause.NOT_REPORTED.value: _("支付机构还没有出账"),
        Cause.NEVER_REPORTED.value: _("支付机构一直没有出账"),
        Cause.AMOUNT.value: _("两边金额不同"),
        Cause.OPEN.value: _("本平台这一笔还没有办结"),
        Cause.FOREIGN.value: _("不是从本平台发起的"),
        Cause.CURRENCY.value: _("不是人民币"),
        Cause.NOT_BOOKED.value: _("手续费或划款还没有记账"),
        Cause.UNKNOWN_KIND.value: _("账单上的其他变动"),
    }
)
REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Cause.NONE.value: _("不需要处理。"),
        Cause.NOT_REPORTED.value: _("等下一次取账单；三天内通常会出现。"),
        Cause.NEVER_REPORTED.value: _("按编号到支付机构后台查这一笔；查不到的，联系支付机构。"),
        Cause.AMOUNT.value: _("对照支付机构后台的金额，查明后退款或补记。"),
        Cause.OPEN.value: _("系统会再向支付机构查询；超过一天没有结果的，到付款页面处理。"),
        Cause.FOREIGN.value: _("到支付机构后台查是谁发起的；不属于本平台的，退回或转出。"),
        Cause.CURRENCY.value: _("平台只收人民币：到支付机构后台退回，并关闭该币种。"),
        Cause.NOT_BOOKED.value: _("再取一次账单，会自动记账。"),
        Cause.UNKNOWN_KIND.value: _("到支付机构后台查明用途，由财务说明。"),
    }
)
OPEN_ITEMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bank": _("银行流水未匹配"),
        "bank_proposed": _("银行流水待复核"),
        "bank_parked": _("银行流水暂挂"),
        "bank_doubted": _("银行流水核销待冲正"),
        "statements": _("对账单没有导入到月底的银行账户"),
        "gateway": _("支付机构账单未核对"),
        "pulls": _("账单没有取到月底的支付机构"),
        "attempts": _("结果待定的网上支付"),
        "refunds": _("未完成的原路退款"),
        "disputes": _("未了结的争议"),
        "notices": _("待人工核对的支付通知"),
        "proposals": _("待批准的退款与核销"),
        "unapplied": _("待核销来款"),
        "discrepancies": _("结算付款差异未结案"),
    }
)
PLAIN: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {"cause": CAUSES, "cause_remedy": REMEDIES, "open_item": OPEN_ITEMS}
)
