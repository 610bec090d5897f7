"""What the words a key may take are called: options of forms, of the JSON Schema and of differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vouchers.programmes import names
from vouchers.programmes.words import Words

__all__ = ["OPTIONS", "option"]

W = Words

OPTIONS: Final[Mapping[str, Mapping[str, Words]]] = {
    "side": {
        "demand": W("需求方（购买者）", "demand: the buyer"),
        "supply": W("供给方（建设者）", "supply: the builder"),
    },
    "related_party.mode": {"forbidden": W("不允许", "forbidden"), "allowed": W("允许", "allowed")},
    "related_party.tests": {
        "control": W("一方控制另一方", "one controls the other"),
        "common_control": W("受同一方控制", "common control"),
        "legal_representative": W("法定代表人相同", "same legal representative"),
        "shareholder": W("有共同的主要股东", "common major shareholder"),
        "contact": W("地址、电话或代理人相同", "same address, phone or agent"),
    },
    "double_subsidy.mode": {
        "forbidden": W("不得重复", "forbidden"),
        "highest": W("就高不重复", "the higher one counts"),
        "allowed": W("可以叠加", "allowed"),
    },
    "double_subsidy.same": {
        "contract": W("同一合同", "the same contract"),
        "project": W("同一项目", "the same project"),
        "cost": W("同一费用（同一发票）", "the same cost (invoice)"),
    },
    "cost.basis": {
        "contract": W("合同额", "contract amount"),
        "approved": W("核定合同额", "approved contract amount"),
        "order": W("订单金额", "order amount"),
        "invoiced": W("开票金额", "invoiced amount"),
        "paid": W("实际支付额", "amount actually paid"),
        "usage": W("实际使用费用", "cost of actual use"),
        "derived": W("其他项目的支持额", "another programme's award"),
    },
    "cost.free_quota.period": {"year": W("每年", "each year"), "lifetime": W("累计", "once for all")},
    "year_basis": {
        "decision": W("决定所在年度", "year of the decision"),
        "service": W("服务年度", "year of the service"),
        "policy": W("政策年度", "year of the policy"),
    },
    "lines.brackets.mode": {
        "marginal": W("分段累进", "each part at its rate"),
        "whole": W("整体适用所在档", "all at one rate"),
    },
    "lines.derived_from.measure": {
        "paid": W("实际支付额", "what was paid"),
        "granted": W("核定额", "what was granted"),
    },
    "choose": {
        "first": W("取第一个符合的档次", "the first that applies"),
        "max": W("取金额最高的档次", "the one that pays most"),
        "sum": W("各档相加", "all together"),
    },
    "caps.scope": {"applicant": W("本单位", "the applicant"), "group": W("所在集团", "its group")},
    "caps.window": {
        "year": W("每自然年", "per calendar year"),
        "cycle": W("每个支持周期", "per support cycle"),
        "lifetime": W("累计", "in total"),
        "application": W("每次申请", "per application"),
        "contract": W("每份合同", "per contract"),
    },
    "pool_short": {
        "partial": W("按余额支持", "grant what is left"),
        "reject": W("不予支持", "refuse"),
        "queue": W("排队等候", "wait in line"),
        "prorate": W("截止后按比例分配", "share in proportion after the deadline"),
    },
    "rounding.mode": {
        "down": W("向下取整", "down"),
        "half_up": W("四舍五入", "half up"),
        "up": W("向上取整", "up"),
    },
    "validity.from": {"issue": W("发放之日", "the day of issue"), "contract": W("合同签订之日", "the contract")},
    "validity.on_expiry": {
        "return": W("收回资金池", "returns to the pool"),
        "carry": W("结转下一年度", "is carried over"),
    },
    "redeem.mode": {
        "deduct": W("购买时抵扣", "deducted at purchase"),
        "reimburse": W("先付款后兑付", "reimbursed"),
        "award": W("以奖补方式发放", "paid as an award"),
    },
    "redeem.claimant": {"applicant": W("申请人", "applicant"), "provider": W("服务机构", "provider")},
    "redeem.payee": {"applicant": W("申请人", "applicant"), "provider": W("服务机构", "provider")},
    "redeem.cadence": {
        "on_claim": W("随时", "at once"),
        "month": W("每月", "monthly"),
        "quarter": W("每季度", "quarterly"),
        "year": W("每年", "yearly"),
        "batch": W("按批次", "in batches"),
    },
    "redeem.invoice": {
        "own": W("只开企业自付部分", "the own share only"),
        "whole": W("自付和券抵扣部分都开", "the own share and what the voucher pays"),
    },
    "order": {
        "first_come": W("先到先得", "first come"),
        "all_then_prorate": W("截止后统一核定、按比例分配", "all after the deadline, in proportion"),
        "ranked": W("择优", "by score"),
        "lottery": W("抽签", "by lot"),
        "region_quota": W("按地区额度", "by region"),
    },
    "region_leftovers": {
        "stay": W("留在资金池", "stays in the pool"),
        "share": W("支持其他地区", "serves other regions"),
    },
    "workflow.role": {
        "reviewer": W("审核人", "reviewer"),
        "expert": W("专家", "expert"),
        "approver": W("审批人", "approver"),
        "collective": W("集体决策", "collective decision"),
    },
    "workflow.action": {
        "check": W("初审", "first check"),
        "recheck": W("复核", "second check"),
        "score": W("评分", "scoring"),
        "decide": W("作出决定", "decision"),
    },
    "notice.fields": {
        "number": W("受理编号", "number"),
        "applicant": W("申请人", "applicant"),
        "programme": W("政策项目", "programme"),
        "provider": W("服务机构", "provider"),
        "project": W("项目名称", "project"),
        "base": W("计入补贴的金额", "amount that counts"),
        "amount": W("拟支持金额", "proposed amount"),
    },
    "evidence.stage": {
        "application": W("申请时", "with the application"),
        "contract": W("签订合同时", "with the contract"),
        "delivery": W("交付时", "on delivery"),
        "claim": W("兑付时", "with the claim"),
        "redeem": W("兑付时", "with the claim"),
        "onboarding": W("服务机构入库时", "when a provider joins"),
    },
    "sanctions.party": {
        "applicant": W("申请人", "applicant"),
        "provider": W("服务机构", "provider"),
        "agency": W("第三方机构", "agency"),
    },
    "automation": {
        "none": W("须提出申请", "an application is needed"),
        "no_application": W("免申即享", "no application is needed"),
        "instant": W("即申即享", "enjoyed at once on application"),
    },
}
"""By path of the key, without indices."""


def option(path: str, value: str) -> Words:
    """Return what `value` is called as a value of the key at `path`."""
    path = {"related_party": "related_party.mode", "double_subsidy": "double_subsidy.mode"}.get(path, path)
    known = OPTIONS.get(path, {}).get(value)
    if known is not None:
        return known
    if path.startswith(("cost.include", "cost.exclude", "subject")):
        return names.kind(value)
    return names.VALUES.get(value) or W(value, value)
