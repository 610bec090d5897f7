"""The sections of the editor about how much: lines, ceilings, double subsidy, whose money. See `outline`."""

from __future__ import annotations

from typing import Final

from vouchers.programmes.outline import (
    BENEFITS,
    EACH_LINE,
    LEVELS,
    YUAN,
    Condition,
    Entry,
    Group,
    Kind,
    Pairs,
    Part,
    Table,
    choices,
)
from vouchers.programmes.words import Words

__all__ = ["MONEY"]

T, K, W = Entry, Kind, Words

POOL_PERIODS: Final = W(
    "total、year、quarter、month、round（每批），或 2026、2026-Q1、2026-03、2026-01-01/2026-06-30。",
    "total, year, quarter, month, round; or 2026, 2026-Q1, 2026-03, 2026-01-01/2026-06-30.",
)

LINE: Final = (
    T("id", K.TEXT, W("档次名称", "Name of the line"), required=True),
    T("benefit", K.CHOICE, W("支持方式", "Kind of support"), choices=BENEFITS, shapes=True, required=True),
    T(
        "rate",
        K.RATE,
        W("比例", "Share"),
        unit=W("%", "%"),
        only=("rate", "derived"),
        hint=W("按计入补贴的金额。", "Of the spending that counts."),
    ),
    T("amount", K.AMOUNT, W("金额", "Amount"), unit=YUAN, only=("amount",)),
    T(
        "rate_is_ceiling",
        K.FLAG,
        W("比例为上限，可按批次下调", "At most the share; a batch may lower it"),
        only=("rate",),
    ),
    Group(
        "derived_from",
        (
            T("programme", K.TEXT, W("依据的项目代码", "Code of that programme"), required=True),
            T(
                "measure",
                K.CHOICE,
                W("按其", "Of what it"),
                choices=choices(paid=("实际支付额", "paid"), granted=("核定额", "granted")),
            ),
        ),
        only=("derived",),
    ),
    Group(
        "brackets",
        (
            T(
                "mode",
                K.CHOICE,
                W("计算方式", "How it is computed"),
                choices=choices(
                    marginal=("分段累进，各段按各自比例", "each part at its own rate"),
                    whole=("全额按所在档的比例", "the whole at the rate of its bracket"),
                ),
                required=True,
            ),
            Pairs(
                "table",
                W("各档", "Brackets"),
                T("upper", K.AMOUNT, W("上限（含），最后一档可空", "Up to and including; may be empty in the last")),
                T("rate", K.RATE, W("比例 %", "Share, %")),
            ),
        ),
        only=("brackets",),
    ),
    T("cap", K.AMOUNT, W("本档每次最高", "At most, each time"), unit=YUAN),
    Group(
        "combined",
        (
            T("with", K.LINES, W("合计的其他项目代码", "Codes of those programmes"), hint=EACH_LINE),
            T("rate_cap", K.RATE, W("合计的比例上限", "Ceiling of the share"), unit=W("%", "%")),
            T("amount_cap", K.AMOUNT, W("合计的金额上限", "Ceiling of the amount"), unit=YUAN),
        ),
        W("与其他项目合计", "Together with other programmes"),
        only=("rate",),
    ),
    Condition(
        "when", W("适用条件", "Where this line applies"), W("不设条件则一律适用。", "Without a condition, always.")
    ),
)

MONEY: Final = (
    Part(
        "lines",
        W("支持标准", "Benefit lines"),
        (
            Table("lines", W("档次", "Lines"), W("档", "Line"), LINE, has_benefit=True),
            T(
                "choose",
                K.CHOICE,
                W("同时符合多档时", "Where several lines apply"),
                choices=choices(
                    first=("适用第一档", "the first"),
                    max=("适用金额最高的一档", "the highest"),
                    sum=("相加", "their sum"),
                ),
            ),
            T("floor", K.AMOUNT, W("低于此金额不予支持", "Awards below this are refused"), unit=YUAN),
            Group(
                "rounding",
                (
                    T("to", K.AMOUNT, W("取整到", "Rounded to"), unit=YUAN),
                    T(
                        "mode",
                        K.CHOICE,
                        W("取整方式", "Rounding"),
                        choices=choices(down=("向下", "down"), half_up=("四舍五入", "half up"), up=("向上", "up")),
                    ),
                ),
            ),
        ),
    ),
    Part(
        "caps",
        W("上限与次数", "Ceilings"),
        (
            Table(
                "caps",
                W("上限", "Ceilings"),
                W("上限", "Ceiling"),
                (
                    T(
                        "scope",
                        K.CHOICE,
                        W("谁的支持计入", "Whose awards count"),
                        choices=choices(applicant=("申请人", "the applicant's"), group=("集团", "its group's")),
                    ),
                    T(
                        "window",
                        K.CHOICE,
                        W("范围", "Counted"),
                        choices=choices(
                            year=("每年", "a year"),
                            lifetime=("累计", "in all"),
                            cycle=("每个支持周期", "a support cycle"),
                            application=("每次申请", "each application"),
                            contract=("每份合同", "each contract"),
                        ),
                        required=True,
                    ),
                    T("amount", K.AMOUNT, W("最高", "At most"), unit=YUAN, required=True),
                    T("soft", K.AMOUNT, W("一般不超过（经批准可突破）", "Ordinarily; more by approval"), unit=YUAN),
                    T("across", K.LINES, W("与这些项目合并计算", "Counted together with"), hint=EACH_LINE),
                    Condition("when", W("仅适用于", "Only where")),
                    Condition("unless", W("以下情形由人工决定、可突破", "Left to people where")),
                ),
            ),
            Group(
                "count",
                (
                    T("per_contract", K.WHOLE, W("每份合同最多支持", "Awards per contract"), unit=W("次", "times")),
                    T("per_year", K.WHOLE, W("每年最多支持", "Awards a year"), unit=W("次", "times")),
                    T("per_application_max", K.AMOUNT, W("每次最多申领额度", "Quota per application"), unit=YUAN),
                    T("holding_max", K.AMOUNT, W("最多持有额度", "Quota held at a time"), unit=YUAN),
                ),
            ),
            Group(
                "max_cycles",
                (
                    T("total", K.WHOLE, W("最多支持", "Support cycles"), unit=W("个周期", "cycles")),
                    T("consecutive", K.WHOLE, W("连续最多", "In a row"), unit=W("个周期", "cycles")),
                ),
            ),
            T(
                "year_basis",
                K.CHOICE,
                W("年度按", "Years are those of"),
                choices=choices(
                    decision=("审定日期", "the decision"),
                    service=("服务日期", "the service"),
                    policy=("项目生效日起算", "the programme, from its first day"),
                ),
            ),
        ),
    ),
    Part(
        "double",
        W("重复支持", "Double subsidy"),
        (
            Group(
                "double_subsidy",
                (
                    T(
                        "mode",
                        K.CHOICE,
                        W("已获其他财政支持的", "Where other public money was received"),
                        choices=choices(
                            forbidden=("不再支持", "not supported again"),
                            highest=("就高，只补差额", "the higher counts"),
                            allowed=("不限", "no matter"),
                        ),
                    ),
                    T(
                        "same",
                        K.CHOICE,
                        W("按什么认定为重复", "What makes it double"),
                        choices=choices(
                            contract=("同一合同", "the same contract"),
                            project=("同一项目", "the same project"),
                            cost=("同一费用（发票）", "the same cost"),
                        ),
                    ),
                    T(
                        "levels",
                        K.MANY,
                        W("计算哪些级别（不选为全部）", "Levels that count; none = all"),
                        choices=LEVELS,
                    ),
                ),
            ),
        ),
    ),
    Part(
        "money",
        W("资金", "Money"),
        (
            Table(
                "pool",
                W("文件载明的资金规模", "Budgets the text names"),
                W("资金", "Budget"),
                (
                    T("period", K.TEXT, W("期间", "Period"), hint=POOL_PERIODS),
                    T("amount", K.AMOUNT, W("金额", "Amount"), unit=YUAN, required=True),
                    T("admin_cost_in", K.FLAG, W("是否含管理费", "Administration included")),
                    T("admin_share", K.RATE, W("其中管理费占比", "Share for administration"), unit=W("%", "%")),
                ),
            ),
            Table(
                "funding",
                W("出资分担（合计 100 %）", "Funded by; 100 % in all"),
                W("出资方", "Payer"),
                (
                    T("payer", K.TEXT, W("出资方", "Payer"), required=True),
                    T("share", K.RATE, W("份额", "Share"), unit=W("%", "%"), required=True),
                ),
            ),
        ),
    ),
)
