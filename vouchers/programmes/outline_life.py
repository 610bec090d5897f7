"""The sections of the editor about the time after the decision; see `outline` and `terms`."""

from __future__ import annotations

from typing import Final

from vouchers.programmes.options import OPTIONS
from vouchers.programmes.outline import (
    EACH_LINE,
    LEVELS,
    MONTHS,
    PARTIES,
    WORKING_DAYS,
    Condition,
    Entry,
    Group,
    Kind,
    Pairs,
    Part,
    Table,
    called,
    choices,
)
from vouchers.programmes.terms import EVIDENCE_STAGES, NOTICE_FIELDS, InvoiceScope
from vouchers.programmes.words import Words

__all__ = ["LIFE"]

T, K, W = Entry, Kind, Words

WHEN: Final = W(
    "2026-03-01，或 2026-03-01T17:00（北京时间）；只写日期指当天全天。",
    "2026-03-01, or 2026-03-01T17:00 (Beijing time); a bare date is the whole day.",
)

LIFE: Final = (
    Part(
        "order",
        W("发放次序", "Order of awards"),
        (
            T(
                "order",
                K.CHOICE,
                W("资金不足时按什么次序", "Who is served when money is short"),
                choices=choices(
                    first_come=("先到先得", "first come"),
                    all_then_prorate=("截止后全部按比例", "all in proportion"),
                    ranked=("按评分择优", "by score"),
                    lottery=("抽签", "by lot"),
                    region_quota=("按地区配额", "by region"),
                ),
                shapes=True,
            ),
            Pairs(
                "region_quotas",
                W("地区配额（合计 100 %）", "Shares of regions; 100 % in all"),
                T("region", K.TEXT, W("地区", "Region")),
                T("share", K.RATE, W("份额 %", "Share, %")),
                is_map=True,
            ),
            T(
                "region_leftovers",
                K.CHOICE,
                W("地区未用完的额度", "What a region does not use"),
                choices=choices(
                    stay=("留在资金池", "stays in the pool"),
                    share=("按提交先后支持其他地区", "serves other regions, by submission"),
                ),
            ),
            T(
                "pool_short",
                K.CHOICE,
                W("余额不够支付一笔时", "When the pool is short of an award"),
                choices=choices(
                    partial=("按余额支持", "what is left is granted"),
                    reject=("不予支持", "refused"),
                    queue=("排队等候", "waits in line"),
                    prorate=("截止后按比例", "shared in proportion"),
                ),
            ),
        ),
    ),
    Part(
        "windows",
        W("受理时间", "Intake"),
        (
            Table(
                "windows",
                W("受理窗口（不设为长期受理）", "Windows; none = always open"),
                W("窗口", "Window"),
                (
                    T("from", K.MOMENT, W("开始", "From"), hint=WHEN, required=True),
                    T("to", K.MOMENT, W("截止", "To"), hint=WHEN),
                    T("note", K.TEXT, W("说明", "Note")),
                ),
            ),
        ),
    ),
    Part(
        "workflow",
        W("审核环节", "Review"),
        (
            Table(
                "workflow",
                W("环节（不设为初审、审批两步）", "Stages; none = check, then decide"),
                W("环节", "Stage"),
                (
                    T("stage", K.TEXT, W("名称", "Name"), required=True),
                    T(
                        "role",
                        K.CHOICE,
                        W("由谁", "By whom"),
                        choices=choices(
                            reviewer=("审核人", "reviewer"),
                            expert=("专家", "expert"),
                            approver=("审批人", "approver"),
                            collective=("集体决策", "collective"),
                        ),
                    ),
                    T("level", K.CHOICE, W("级别", "Level"), choices=LEVELS),
                    T(
                        "action",
                        K.CHOICE,
                        W("做什么", "Does"),
                        choices=choices(
                            check=("审核", "checks"),
                            recheck=("复核", "checks again"),
                            score=("评分", "scores"),
                            decide=("决定（最后一个环节）", "decides; the last stage"),
                        ),
                    ),
                    T("sla_days", K.WHOLE, W("时限", "Time limit"), unit=WORKING_DAYS),
                    T("quorum", K.WHOLE, W("至少几人", "At least"), unit=W("人", "people")),
                    T(
                        "returns_to",
                        K.TEXT,
                        W("可退回到", "May be returned to"),
                        hint=W("前面环节的名称；空为申请人。", "The name of an earlier stage; empty = the applicant."),
                    ),
                ),
            ),
            T("supplement_days", K.WHOLE, W("补正期限", "Time to supplement"), unit=WORKING_DAYS),
            T("appeal_days", K.WHOLE, W("申诉期限", "Time to appeal"), unit=WORKING_DAYS),
        ),
    ),
    Part(
        "notice",
        W("公示", "Public notice"),
        (
            Group(
                "notice",
                (
                    T("min_working_days", K.WHOLE, W("不少于", "At least"), unit=WORKING_DAYS),
                    T(
                        "fields",
                        K.MANY,
                        W("公示内容（不选为全部）", "What is shown; none = all"),
                        choices=called(NOTICE_FIELDS, OPTIONS["notice.fields"]),
                    ),
                    T("objection_to", K.TEXT, W("异议受理单位", "Objections go to")),
                ),
            ),
            T("confidential_fields", K.LINES, W("不公开的内容", "Kept confidential"), hint=EACH_LINE),
        ),
    ),
    Part(
        "voucher",
        W("券与有效期", "Voucher"),
        (
            T(
                "automation",
                K.CHOICE,
                W("申领方式", "How it is obtained"),
                choices=choices(
                    none=("提出申请", "on application"),
                    no_application=("免申即享", "without application"),
                    instant=("即申即享", "at once on application"),
                ),
            ),
            Group(
                "voucher",
                (
                    T(
                        "unit",
                        K.CHOICE,
                        W("面额单位", "Unit"),
                        choices=choices(
                            CNY=("人民币元", "yuan"), card_hours=("卡时", "card-hours"), tokens=("词元", "tokens")
                        ),
                    ),
                    T("face_values", K.AMOUNTS, W("固定面额（不填为任意）", "Face values; none = any"), hint=EACH_LINE),
                    T("multi_use", K.FLAG, W("可分次使用", "May be used in parts")),
                    T(
                        "transferable",
                        K.FLAG,
                        W("可转让", "Transferable"),
                        hint=W("券一律不得转让。", "No voucher is."),
                    ),
                ),
            ),
            Group(
                "validity",
                (
                    T("length", K.WHOLE, W("有效期", "Valid for"), unit=MONTHS),
                    T(
                        "from",
                        K.CHOICE,
                        W("起算", "Counted from"),
                        choices=choices(issue=("发券日", "issue"), contract=("合同签订日", "contract")),
                    ),
                    T(
                        "on_expiry",
                        K.CHOICE,
                        W("到期未用部分", "The unused rest"),
                        choices=choices(
                            **{
                                "return": ("退回资金池", "returns to the pool"),
                                "carry": ("结转下一年度", "is carried over"),
                            }
                        ),
                    ),
                    T("grace", K.WHOLE, W("到期后仍可兑付", "May still be claimed for"), unit=MONTHS),
                    T("roll_forward", K.FLAG, W("末日遇休息日顺延", "A last day on a rest day moves on")),
                ),
            ),
        ),
    ),
    Part(
        "redeem",
        W("兑付", "Redemption"),
        (
            Group(
                "redeem",
                (
                    T(
                        "mode",
                        K.CHOICE,
                        W("方式", "How"),
                        choices=choices(
                            deduct=("购买时抵扣", "deducted at purchase"),
                            reimburse=("先付款后兑付", "paid back afterwards"),
                            award=("以奖补方式发放", "paid as an award"),
                        ),
                    ),
                    T("claimant", K.CHOICE, W("由谁申请兑付", "Claimed by"), choices=PARTIES),
                    T("payee", K.CHOICE, W("付给", "Paid to"), choices=PARTIES),
                    T(
                        "cadence",
                        K.CHOICE,
                        W("多久兑付一次", "Paid"),
                        choices=choices(
                            on_claim=("随时", "on each claim"),
                            month=("每月", "monthly"),
                            quarter=("每季度", "quarterly"),
                            year=("每年", "yearly"),
                            batch=("按批次", "in batches"),
                        ),
                    ),
                    T("max_share", K.RATE, W("每笔账单最多", "At most of one bill"), unit=W("%", "%")),
                    T(
                        "invoice",
                        K.CHOICE,
                        W("发票开具范围", "The tax invoice covers"),
                        choices=called(tuple(InvoiceScope), OPTIONS["redeem.invoice"]),
                    ),
                ),
            ),
        ),
    ),
    Part(
        "evidence",
        W("证明材料", "Evidence"),
        (
            Table(
                "evidence",
                W("材料", "Documents"),
                W("材料", "Document"),
                (
                    T("doc", K.TEXT, W("名称", "Name"), required=True),
                    T(
                        "stage",
                        K.CHOICE,
                        W("何时提交", "When"),
                        choices=called(EVIDENCE_STAGES, OPTIONS["evidence.stage"]),
                    ),
                    T("check", K.LONG, W("核对什么", "What to look at")),
                    Condition("required_when", W("仅在以下情形要求", "Only where")),
                ),
            ),
        ),
    ),
    Part(
        "audit",
        W("核查与处理", "Checks and sanctions"),
        (
            Group(
                "audit",
                (
                    T("sample_rate", K.RATE, W("抽查比例", "Share drawn for a check"), unit=W("%", "%")),
                    T("third_party", K.FLAG, W("委托第三方", "By a third party")),
                    T("on_site", K.FLAG, W("现场核查", "On site")),
                ),
            ),
            Table(
                "sanctions",
                W("违规处理", "Sanctions"),
                W("处理", "Sanction"),
                (
                    T("breach", K.TEXT, W("违规情形", "Breach"), required=True),
                    T(
                        "party",
                        K.CHOICE,
                        W("违规方", "By"),
                        choices=(*PARTIES, ("agency", W("管理机构", "agency"))),
                    ),
                    T("recover", K.FLAG, W("追回资金", "Money recovered")),
                    T("bar_years", K.WHOLE, W("禁止申报", "Barred for"), unit=W("年", "years")),
                    T("publish", K.FLAG, W("公开通报", "Published")),
                ),
            ),
        ),
    ),
    Part(
        "metrics",
        W("指标与自有事实", "Metrics, own facts"),
        (
            T("metrics", K.LINES, W("绩效指标", "Metrics"), hint=EACH_LINE),
            Table(
                "facts",
                W("本项目特有的事实", "Facts this programme alone asks for"),
                W("事实", "Fact"),
                (
                    T(
                        "path",
                        K.TEXT,
                        W("标识", "Path"),
                        hint=W("例如 applicant.floor_area。", "Such as applicant.floor_area."),
                        required=True,
                    ),
                    Group(
                        "name",
                        (
                            T("zh", K.TEXT, W("中文名称", "Chinese name"), required=True),
                            T("en", K.TEXT, W("英文名称", "English name"), required=True),
                        ),
                    ),
                    Group(
                        "unit",
                        (
                            T("zh", K.TEXT, W("单位（中文）", "Unit, Chinese")),
                            T("en", K.TEXT, W("单位（英文）", "Unit, English")),
                        ),
                    ),
                    T("money", K.FLAG, W("是金额", "Is an amount of money")),
                ),
            ),
        ),
    ),
)
