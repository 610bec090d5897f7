"""The sections of the editor about who may have something for what. See `outline`."""

from __future__ import annotations

from typing import Final

from vouchers.programmes import names
from vouchers.programmes.keys import APPLICANT_KINDS, RELATED_TESTS, SUBJECTS
from vouchers.programmes.outline import (
    EACH_LINE,
    LEVELS,
    MONTHS,
    YUAN,
    Condition,
    Entry,
    Group,
    Kind,
    Part,
    Span,
    Table,
    called,
    choices,
)
from vouchers.programmes.words import Words

__all__ = ["RULES"]

T, K, W = Entry, Kind, Words

RELATIONS: Final = {
    "control": W("一方控制另一方", "one controls the other"),
    "common_control": W("受同一方控制", "both are under common control"),
    "legal_representative": W("法定代表人相同", "the same legal representative"),
    "shareholder": W("有共同的主要股东", "a common major shareholder"),
    "contact": W("地址、电话或代理人相同", "the same address, phone or agent"),
}

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
            Table(
                "co_leads",
                W("配合单位", "Further departments"),
                W("单位", "Department"),
                (
                    T("name", K.TEXT, W("名称", "Name"), required=True),
                    T("credit_code", K.TEXT, W("统一社会信用代码", "Unified social credit code")),
                    T("level", K.CHOICE, W("办理哪一级的环节", "Acts at the stages of level"), choices=LEVELS),
                    T(
                        "regions",
                        K.LINES,
                        W("只办理这些地区（不填为其余）", "Only these regions; none = all others"),
                        hint=EACH_LINE,
                    ),
                ),
            ),
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
        (
            Table(
                "applicant_kinds",
                W("申请人类型（不设为不限）", "Kinds of applicant; none = any"),
                W("类型", "Kind"),
                (
                    T(
                        "kind",
                        K.CHOICE,
                        W("类型", "Kind"),
                        choices=called(APPLICANT_KINDS, names.VALUES),
                        required=True,
                    ),
                    Condition("when", W("对这类申请人的要求", "What is asked of this kind")),
                ),
            ),
            Condition("eligibility", W("申请条件", "Conditions")),
        ),
        W(
            "列入失信名单或仍在禁止申报期内的申请人总被排除，不必另写。",
            "The dishonest and the barred are always refused.",
        ),
    ),
    Part(
        "provider",
        W("服务机构", "Providers"),
        (
            Group(
                "provider",
                (
                    Condition("when", W("对服务机构的要求", "What is asked of providers")),
                    T("roster", K.TEXT, W("须在名录", "Must be on the roster")),
                    T("documents", K.LINES, W("入库材料", "Documents to get on it"), hint=EACH_LINE),
                ),
            ),
            T("channel", K.LINES, W("采购渠道（不填为不限）", "Purchase channels; none = any"), hint=EACH_LINE),
            Group(
                "related_party",
                (
                    T(
                        "mode",
                        K.CHOICE,
                        W("合同双方为关联方", "Related parties"),
                        choices=choices(forbidden=("不予支持", "not supported"), allowed=("不限", "no matter")),
                    ),
                    T(
                        "tests",
                        K.MANY,
                        W("视为关联的情形", "What makes them related"),
                        choices=called(RELATED_TESTS, RELATIONS),
                    ),
                ),
            ),
        ),
    ),
    Part(
        "cost",
        W("支持的费用", "Spending that counts"),
        (
            T(
                "subject",
                K.MANY,
                W("服务类别（不选为全部）", "Classes of service; none = all"),
                choices=called(SUBJECTS, names.KINDS),
            ),
            Condition("purpose", W("用途", "Purpose")),
            Group(
                "cost",
                (
                    T(
                        "include",
                        K.MANY,
                        W("费用种类（不选为全部）", "Kinds; none = all"),
                        choices=tuple(names.KINDS.items()),
                    ),
                    T(
                        "exclude",
                        K.MANY,
                        W("不计入的费用", "Kinds that never count"),
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
                    Group(
                        "period",
                        (
                            T("from", K.DAY, W("服务自", "Service from")),
                            T("to", K.DAY, W("服务至", "Service to")),
                            T("note", K.TEXT, W("服务期说明", "Note on the period")),
                        ),
                    ),
                    T("signed_from", K.DAY, W("合同签订不早于", "Signed on or after")),
                    T("max_months", K.WHOLE, W("合同期最长", "Longest term"), unit=MONTHS),
                    T("min_base", K.AMOUNT, W("计入金额最低（含）", "Least amount that counts"), unit=YUAN),
                    Group(
                        "free_quota",
                        (
                            T("unit", K.TEXT, W("免费额度的单位", "Unit of the free quota")),
                            T("amount", K.AMOUNT, W("免费额度", "Free quota")),
                            T(
                                "period",
                                K.CHOICE,
                                W("多久一次", "Given"),
                                choices=choices(year=("每年", "each year"), lifetime=("一次", "once")),
                            ),
                        ),
                        W("免费额度", "Free quota"),
                    ),
                ),
            ),
        ),
    ),
)
