"""The sections of the editor about who gets what: what the engine evaluates. See `outline`."""

from __future__ import annotations

from typing import Final

from vouchers.programmes import names
from vouchers.programmes.outline import (
    BENEFITS,
    EACH_LINE,
    LEVELS,
    MONTHS,
    YUAN,
    Condition,
    Entry,
    Group,
    Kind,
    Pairs,
    Part,
    Span,
    Table,
    choices,
)
from vouchers.programmes.words import Words

__all__ = ["RULES"]

T, K, W = Entry, Kind, Words

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
    T("derived_from", K.TEXT, W("依据的项目代码", "Code of that programme"), only=("derived",)),
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
    T(
        "combined_rate_cap",
        K.RATE,
        W("与其他项目合计的比例上限", "Ceiling together with other programmes"),
        unit=W("%", "%"),
        only=("rate",),
    ),
    T("combined_with", K.LINES, W("合计的其他项目代码", "Codes of those programmes"), hint=EACH_LINE, only=("rate",)),
    Condition(
        "when", W("适用条件", "Where this line applies"), W("不设条件则一律适用。", "Without a condition, always.")
    ),
)

RULES: Final = (
    Part(
        "provenance",
        W("依据", "Provenance"),
        (
            T(
                "code",
                K.TEXT,
                W("项目代码", "Code"),
                required=True,
                hint=W(
                    "3 到 60 个小写字母、数字或连字符，例如 hz-compute-2026；确定后不再改变。",
                    "3 to 60 lower-case letters, digits or hyphens, such as hz-compute-2026; never changes.",
                ),
            ),
            Group(
                "name",
                (
                    T("zh", K.TEXT, W("中文名称", "Chinese name"), required=True),
                    T("en", K.TEXT, W("英文名称", "English name"), required=True),
                ),
            ),
            T("doc_no", K.TEXT, W("文号", "Document number")),
            T("issuer", K.TEXT, W("发布单位", "Issuer")),
            T("lead", K.TEXT, W("牵头单位", "Lead department")),
            T("co_leads", K.LINES, W("配合单位", "Further departments"), hint=EACH_LINE),
            T("level", K.CHOICE, W("资金级别", "Level of the money"), choices=LEVELS),
            T("source", K.LONG, W("来源", "Source")),
            T(
                "grade",
                K.CHOICE,
                W("来源等级", "Reliability of the source"),
                choices=choices(
                    A=("甲级：官方发布的全文", "A: official text, in full"),
                    B=("乙级：官方解读或部分原文", "B: official notice or extract"),
                    C=("丙级：公开报道", "C: press report"),
                    D=("丁级：二手汇编", "D: secondary compilation"),
                ),
            ),
            Span("in_force", W("有效期（首尾两日均含，可留空）", "In force; both days included, may be open")),
            T("supersedes", K.LINES, W("取代的项目代码", "Codes of programmes it replaces"), hint=EACH_LINE),
            T(
                "side",
                K.CHOICE,
                W("支持对象", "Side supported"),
                choices=choices(
                    demand=("需求方（购买服务者）", "demand: buyers"), supply=("供给方", "supply: builders")
                ),
            ),
        ),
    ),
    Part(
        "eligibility",
        W("申请条件", "Eligibility"),
        (Condition("eligibility", W("谁可以申请", "Who may apply")),),
        W(
            "列入失信名单或仍在禁止申报期内的申请人总被排除，不必另写。",
            "The dishonest and the barred are always refused.",
        ),
    ),
    Part(
        "provider",
        W("服务机构", "Providers"),
        (
            Condition("provider", W("对服务机构的要求", "What is asked of providers")),
            T(
                "related_party",
                K.CHOICE,
                W("合同双方为关联方", "Related parties"),
                choices=choices(forbidden=("不予支持", "not supported"), allowed=("不限", "no matter")),
            ),
        ),
    ),
    Part(
        "cost",
        W("支持的费用", "Spending that counts"),
        (
            Group(
                "cost",
                (
                    T(
                        "include",
                        K.MANY,
                        W("费用种类（不选为全部）", "Kinds; none = all"),
                        choices=tuple(names.KINDS.items()),
                    ),
                    Condition("when", W("对所购服务的要求", "What is asked of the purchase")),
                    T(
                        "basis",
                        K.CHOICE,
                        W("以哪个金额为准", "Which amount is meant"),
                        choices=choices(
                            contract=("合同额", "contract"),
                            approved=("核定合同额", "approved contract"),
                            order=("订单金额", "order"),
                            invoiced=("开票金额", "invoiced"),
                            paid=("实际支付额", "paid"),
                            usage=("实际使用费用", "actual use"),
                            derived=("其他项目的支付额", "another programme's payment"),
                        ),
                    ),
                    T("period", K.TEXT, W("服务期", "Service period")),
                    T("signed_from", K.DAY, W("合同签订不早于", "Signed on or after")),
                    T("max_months", K.WHOLE, W("合同期最长", "Longest term"), unit=MONTHS),
                    T("min_base", K.AMOUNT, W("计入金额最低（含）", "Least amount that counts"), unit=YUAN),
                    Group(
                        "free_quota",
                        (
                            T("unit", K.TEXT, W("免费额度的单位", "Unit of the free quota")),
                            T("amount", K.AMOUNT, W("免费额度", "Free quota")),
                        ),
                        W("免费额度", "Free quota"),
                    ),
                ),
            ),
        ),
    ),
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
                        "window",
                        K.CHOICE,
                        W("范围", "Counted"),
                        choices=choices(
                            year=("每年", "a year"),
                            lifetime=("累计", "in all"),
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
            T("per_contract_count", K.WHOLE, W("每份合同最多支持", "Awards per contract"), unit=W("次", "times")),
            T("max_cycles", K.WHOLE, W("最多支持", "Support cycles"), unit=W("个周期", "cycles")),
            Group(
                "count",
                (
                    T("per_application_max", K.AMOUNT, W("每次最多申领额度", "Quota per application"), unit=YUAN),
                    T("holding_max", K.AMOUNT, W("最多持有额度", "Quota held at a time"), unit=YUAN),
                ),
            ),
        ),
    ),
    Part(
        "double",
        W("重复支持", "Double subsidy"),
        (
            T(
                "double_subsidy",
                K.CHOICE,
                W("同一合同已获其他财政支持", "Other public money on the same contract"),
                choices=choices(
                    forbidden=("不再支持", "not supported again"),
                    highest=("就高，只补差额", "the higher counts"),
                    allowed=("不限", "no matter"),
                ),
            ),
            T(
                "double_levels",
                K.MANY,
                W("计算哪些级别（不选为全部）", "Levels that count; none = all"),
                choices=LEVELS,
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
                    T("period", K.TEXT, W("期间", "Period")),
                    T("amount", K.AMOUNT, W("金额", "Amount"), unit=YUAN, required=True),
                    T("admin_cost_in", K.FLAG, W("是否含管理费", "Administration included")),
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
