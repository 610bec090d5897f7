"""Words for why a bank line may be what is suggested, and for the rows of a statement that is looked at."""

from __future__ import annotations

from typing import Any

from django.utils.translation import pgettext_lazy

from vouchers.banking.models import MatchPart

__all__ = ["PLAIN"]

REASONS: Any = {
    "reference": pgettext_lazy("why", "附言码一致"),
    "look_alike": pgettext_lazy("why", "附言码有形近字，按校验位推断"),
    "payer": pgettext_lazy("why", "付款单位名称一致"),
    "payer_differs": pgettext_lazy("why", "付款户名与付款单位不同"),
    "amount": pgettext_lazy("why", "金额一致"),
    "amount_differs": pgettext_lazy("why", "金额不一致"),
    "number": pgettext_lazy("why", "附言中有单号"),
    "day_differs": pgettext_lazy("why", "日期相隔较远"),
    "account": pgettext_lazy("why", "对方账号是收款账户"),
    "bounce_words": pgettext_lazy("why", "摘要是退票"),
    "order_sum": pgettext_lazy("why", "整份付款指令合计一致"),
    "asked_back": pgettext_lazy("why", "财务已登记退回"),
    "sum": pgettext_lazy("why", "几笔之和等于流水金额"),
    "several": pgettext_lazy("why", "附言中有多个附言码"),
    "rail": pgettext_lazy("why", "对方是支付机构"),
    "by_hand": pgettext_lazy("why", "同一银行流水号已人工登记"),
    "batch_reference": pgettext_lazy("why", "付款凭证号一致"),
    "owed_back": pgettext_lazy("why", "待退还的金额一致"),
    "owes": pgettext_lazy("why", "该单位有应退款项"),
    "sender": pgettext_lazy("why", "退给原付款人"),
    "fee_words": pgettext_lazy("why", "摘要是手续费"),
    "person": pgettext_lazy("why", "人工指定"),
}
VERDICTS: Any = {
    "new": pgettext_lazy("row", "新增"),
    "known": pgettext_lazy("row", "已导入过"),
    "faulty": pgettext_lazy("row", "有问题"),
    "conflict": pgettext_lazy("row", "与已有记录不同"),
}
CLAIMS: Any = {
    "claimed": pgettext_lazy("reference", "已登记"),
    "doubted": pgettext_lazy("reference", "待复核撤销"),
    "released": pgettext_lazy("reference", "已撤销"),
}
PLAIN: Any = {
    "part_kind": dict(MatchPart.Kind.choices),
    "match_reason": REASONS,
    "statement_row": VERDICTS,
    "bank_claim": CLAIMS,
}
