"""How banks lay their statements out, as data: which heading stands for what. Pure.

A further bank is one more entry of `LAYOUTS`. The headings are those of the banks' exports for enterprises as far as they
are publicly known; a bank that renames one is a line here. Headings are compared without width, case, spaces and what
stands in brackets. A bank books from its own side: its *credit* (贷方) is what came in to us, its *debit* (借方) what went.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import noop

__all__ = ["BY_CODE", "LAYOUTS", "TITLES", "Layout", "folded", "missing"]

_ = noop

TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "booked_on": _("交易日期"),
        "value_on": _("起息日"),
        "reference": _("流水号"),
        "amount": _("金额"),
        "direction": _("借贷标志"),
        "debit": _("借方金额（支出）"),
        "credit": _("贷方金额（收入）"),
        "balance": _("余额"),
        "currency": _("币种"),
        "own_account": _("本方账号"),
        "name": _("对方户名"),
        "account": _("对方账号"),
        "bank": _("对方开户行"),
        "payer_name": _("付款人名称"),
        "payer_account": _("付款人账号"),
        "payer_bank": _("付款人开户行"),
        "payee_name": _("收款人名称"),
        "payee_account": _("收款人账号"),
        "payee_bank": _("收款人开户行"),
        "memo": _("摘要、用途或附言"),
    }
)
"""What a column may be, in the words people are told."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One bank's layout: `headings` by what they stand for. Of `memo` all that are there are read, of others the first.

    `title` is the bank as people know it.
    """

    code: str
    title: str
    headings: Mapping[str, tuple[str, ...]]

    def places(self, cells: Mapping[int, str]) -> dict[int, str]:
        """Return which place of a row of folded headings holds what: the first of a kind, all of `memo`."""
        wanted = {folded(text): key for key, texts in self.headings.items() for text in texts}
        found: dict[int, str] = {}
        for at, text in sorted(cells.items()):
            key = wanted.get(text)
            if key is not None and (key == "memo" or key not in found.values()):
                found[at] = key
        return found


def missing(keys: frozenset[str]) -> list[str]:
    """Return what a row of headings lacks to be a statement, as keys of `TITLES`."""
    lacks = [] if "booked_on" in keys else ["booked_on"]
    if "amount" not in keys and not {"debit", "credit"} <= keys:
        lacks.append("amount")
    return lacks


def folded(text: Any) -> str:
    """Return a heading as it is compared."""
    plain = unicodedata.normalize("NFKC", str(text or "")).casefold()
    return re.sub(r"\(.*?\)|\[.*?\]|\s|[*:_\"'=]", "", plain)


LAYOUTS: Final[tuple[Layout, ...]] = (
    Layout(
        "icbc",
        _("中国工商银行"),
        {
            "booked_on": ("交易时间", "交易日期", "入账日期"),
            "reference": ("交易流水号", "流水号", "凭证号"),
            "direction": ("借/贷",),
            "debit": ("借方发生额",),
            "credit": ("贷方发生额",),
            "balance": ("余额",),
            "own_account": ("本方账号",),
            "name": ("对方单位名称", "对方单位"),
            "account": ("对方账号",),
            "bank": ("对方行名", "对方行号"),
            "memo": ("摘要", "用途", "附言", "个性化信息"),
        },
    ),
    Layout(
        "ccb",
        _("中国建设银行"),
        {
            "booked_on": ("记账日期", "交易时间"),
            "reference": ("账户明细编号-交易流水号", "交易流水号", "企业流水号"),
            "debit": ("借方发生额",),
            "credit": ("贷方发生额",),
            "balance": ("余额",),
            "currency": ("币种",),
            "own_account": ("账号",),
            "name": ("对方户名",),
            "account": ("对方账号",),
            "bank": ("对方开户机构",),
            "memo": ("摘要", "备注"),
        },
    ),
    Layout(
        "abc",
        _("中国农业银行"),
        {
            "booked_on": ("交易时间", "交易日期"),
            "reference": ("交易流水号", "日志号", "流水号"),
            "debit": ("支出金额",),
            "credit": ("收入金额",),
            "balance": ("账户余额", "本次余额"),
            "name": ("对方户名",),
            "account": ("对方账号",),
            "bank": ("对方开户行", "交易行名"),
            "memo": ("交易用途", "摘要", "交易附言"),
        },
    ),
    Layout(
        "boc",
        _("中国银行"),
        {
            "booked_on": ("交易日期",),
            "value_on": ("起息日期",),
            "reference": ("交易流水号",),
            "direction": ("交易类型",),
            "amount": ("交易金额",),
            "balance": ("交易后余额",),
            "currency": ("交易货币",),
            "payer_name": ("付款人名称",),
            "payer_account": ("付款人账号",),
            "payer_bank": ("付款人开户行名",),
            "payee_name": ("收款人名称",),
            "payee_account": ("收款人账号",),
            "payee_bank": ("收款人开户行名",),
            "memo": ("用途", "附言", "摘要", "备注"),
        },
    ),
    Layout(
        "cmb",
        _("招商银行"),
        {
            "booked_on": ("交易日",),
            "value_on": ("起息日",),
            "reference": ("流水号",),
            "debit": ("借方金额",),
            "credit": ("贷方金额",),
            "balance": ("余额",),
            "currency": ("币种",),
            "name": ("收(付)方名称", "收/付方名称"),
            "account": ("收(付)方账号", "收(付)方帐号", "收/付方账号"),
            "bank": ("收(付)方开户行名", "收/付方开户行名"),
            "memo": ("摘要", "用途", "业务摘要", "其它摘要"),
        },
    ),
    Layout(
        "bocom",
        _("交通银行"),
        {
            "booked_on": ("交易时间", "记账日期"),
            "reference": ("核心流水号", "流水号"),
            "direction": ("借贷标志",),
            "amount": ("发生额",),
            "balance": ("余额",),
            "currency": ("币种",),
            "name": ("对方户名",),
            "account": ("对方账号",),
            "bank": ("对方行名",),
            "memo": ("摘要", "附言", "用途"),
        },
    ),
    Layout(
        "generic",
        _("通用格式"),
        {
            "booked_on": ("交易日期", "记账日期", "入账日期", "交易日", "交易时间", "日期", "date", "bookingdate"),
            "value_on": ("起息日", "起息日期", "valuedate"),
            "reference": ("交易流水号", "银行流水号", "流水号", "参考号", "回单编号", "交易序号", "reference"),
            "direction": ("借贷标志", "借/贷", "收/支", "收支", "方向", "direction"),
            "debit": ("借方金额", "借方发生额", "支出金额", "支出", "付款金额", "debit"),
            "credit": ("贷方金额", "贷方发生额", "收入金额", "收入", "收款金额", "credit"),
            "amount": ("交易金额", "发生额", "金额", "amount"),
            "balance": ("余额", "账户余额", "交易后余额", "balance"),
            "currency": ("币种", "货币", "currency"),
            "own_account": ("本方账号", "ownaccount"),
            "name": ("对方户名", "对方名称", "对方单位名称", "付款人名称", "counterparty", "name"),
            "account": ("对方账号", "付款人账号", "counterpartyaccount"),
            "bank": ("对方开户行", "对方行名", "counterpartybank"),
            "memo": ("摘要", "用途", "附言", "备注", "memo", "remittanceinformation"),
        },
    ),
)
"""In the order they are tried: of two that answer equally many headings the first is taken."""
BY_CODE: Final[Mapping[str, Layout]] = MappingProxyType({layout.code: layout for layout in LAYOUTS})
