"""A programme in plain words, for officers who publish it and people who apply. Pure.

Everything the engine evaluates is said here; a key nobody could read about would be a hidden rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vouchers.programmes import names
from vouchers.programmes.conditions import condition, join, sentence, sentences, where
from vouchers.programmes.explanations import (
    WINDOWS,
    Catalogue,
    Ground,
    Told,
    explain,
    headline,
    payer,
    reasons,
    title,
)
from vouchers.programmes.schemes import (
    Brackets,
    Cap,
    Choose,
    Cost,
    DoubleSubsidy,
    Line,
    PoolShort,
    Programme,
    Rounding,
    RoundingMode,
    Side,
)
from vouchers.programmes.terms import EvidenceTerm, Terms
from vouchers.programmes.words import Words

__all__ = ["Ground", "Section", "Told", "describe", "explain", "headline", "reasons"]

W = Words
GRADES = {
    "A": W("来源等级：已读官方全文", "Reliability: official text, read in full"),
    "B": W("来源等级：已读官方节选或解读", "Reliability: official text in part, or an official notice"),
    "C": W("来源等级：公开报道", "Reliability: press report"),
    "D": W("来源等级：二手汇编，未与原文核对", "Reliability: secondary compilation, not checked"),
}
"""How much of a programme's document was read (the portal shows it beside every scheme)."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its sentences."""

    title: str
    sentences: tuple[str, ...]


def describe(programme: Programme, language: str, *, catalogue: Catalogue | None = None) -> list[Section]:
    """Return the programme in words. `catalogue` names the other programmes it mentions."""
    known = catalogue or {}
    sections: list[tuple[Words, list[Words]]] = [
        (W("依据与期限", "Basis and term"), _basis(programme, known)),
        (W("谁可以申请", "Who may apply"), _who(programme)),
        (W("服务机构", "Providers"), _providers(programme)),
        (W("支持什么", "What is supported"), _purchase(programme.cost)),
        (W("支持多少", "How much"), _how_much(programme, known)),
        (W("上限与次数", "Ceilings and counts"), _ceilings(programme, known)),
        (W("资金", "Money"), _money(programme)),
        (W("使用与兑付", "Use and redemption"), _terms(programme.terms)),
    ]
    return [
        Section(heading.say(language), tuple(sentence(said).say(language) for said in body))
        for heading, body in sections
        if body
    ]


def _basis(programme: Programme, known: Catalogue) -> list[Words]:
    said = []
    if programme.issuer:
        number = f"（{programme.doc_no}）" if programme.doc_no else ""
        said.append(W(f"发布单位：{programme.issuer}{number}", f"Issued by {programme.issuer}{number}"))
    elif programme.doc_no:
        said.append(W(f"文号：{programme.doc_no}", f"Document number: {programme.doc_no}"))
    if programme.lead and programme.lead != programme.issuer:
        said.append(W(f"牵头单位：{programme.lead}", f"Lead: {programme.lead}"))
    if programme.co_leads:
        said.append(W(f"配合单位：{'、'.join(programme.co_leads)}", f"With: {', '.join(programme.co_leads)}"))
    if programme.level:
        said.append(W("资金级别：%(level)s", "Level: %(level)s").fill(level=names.value(programme.level.value)))
    if programme.source:
        said.append(W(f"来源：{programme.source}", f"Source: {programme.source}"))
    if programme.grade:
        said.append(
            GRADES.get(programme.grade, W(f"来源可靠程度：{programme.grade}", f"Reliability: {programme.grade}"))
        )
    if programme.supersedes:
        replaced = join(title(code, known) for code in programme.supersedes)
        said.append(W("取代%(replaced)s", "Supersedes %(replaced)s").fill(replaced=replaced))
    said += _term(programme)
    if programme.side is Side.SUPPLY:
        said.append(W("支持供给方（服务的建设者）", "Supports the supply side, those who build a service"))
    return said


def _term(programme: Programme) -> list[Words]:
    if programme.in_force is None:
        return []
    start, end = programme.in_force
    if start and end:
        return [W(f"有效期：{start} 至 {end}（含首尾两日）", f"In force from {start} to {end}, both days included")]
    if start:
        return [W(f"自 {start} 起有效", f"In force from {start}")]
    return [W(f"有效至 {end}（含当日）", f"In force until {end}, that day included")] if end else []


def _who(programme: Programme) -> list[Words]:
    said = sentences(programme.eligibility)
    said.append(
        W(
            "被列入失信名单或仍在禁止申报期内的，不予支持",
            "Nobody on the dishonesty list or still barred is supported",
        )
    )
    if programme.double_subsidy is not DoubleSubsidy.ALLOWED:
        levels = join((names.value(level.value) for level in programme.double_levels), "、", " or ")
        other = W("%(levels)s级财政补贴", "public money at %(levels)s level").fill(levels=levels)
        if not programme.double_levels:
            other = W("其他财政补贴", "other public money")
        rule = (
            W("同一合同已获%(other)s的，不再支持", "A contract that received %(other)s is not supported again")
            if programme.double_subsidy is DoubleSubsidy.FORBIDDEN
            else W(
                "同一合同已获%(other)s的，就高不重复，只补足差额",
                "Where a contract received %(other)s, the higher one counts and only the difference is paid",
            )
        )
        said.append(rule.fill(other=other))
    return said


def _providers(programme: Programme) -> list[Words]:
    said = sentences(programme.provider)
    if programme.related_party_forbidden:
        said.append(W("合同双方不得为关联方", "The parties to the contract must not be related"))
    return said


BASES: Final = {
    "": W("核定合同额", "the approved contract amount"),
    "contract": W("合同额", "the contract amount"),
    "approved": W("核定合同额", "the approved contract amount"),
    "order": W("订单金额", "the order amount"),
    "invoiced": W("开票金额", "the invoiced amount"),
    "paid": W("实际支付额", "the amount actually paid"),
    "usage": W("实际使用费用", "the cost of actual use"),
    "derived": W("其他项目的实际支付额", "what another programme paid"),
}


def _purchase(cost: Cost) -> list[Words]:
    kinds = join(names.kind(kind) for kind in cost.include)
    said = [
        W("计入补贴的费用：%(kinds)s", "Spending that counts: %(kinds)s").fill(kinds=kinds)
        if cost.include
        else W("合同的各项费用均计入补贴", "All items of the contract count")
    ]
    said += sentences(cost.when)
    if cost.period:
        said.append(W(f"服务期：{cost.period}", f"Service period: {cost.period}"))
    if cost.signed_from:
        said.append(
            W(f"合同在 {cost.signed_from}（含）以后签订", f"The contract is signed on or after {cost.signed_from}")
        )
    if cost.max_months:
        said.append(W(f"合同期不超过 {cost.max_months} 个月", f"The contract runs at most {cost.max_months} months"))
    if cost.min_base:
        least = names.money(cost.min_base)
        said.append(W(f"计入补贴的金额不低于 {least}（含）", f"The amount that counts is at least {least}"))
    if cost.free_quota:
        about = names.fact(f"usage.{cost.free_quota.unit}")
        free = names.value(str(cost.free_quota.amount), about)
        said.append(
            W(
                "先使用免费的 %(free)s，超出部分的用量乘以单价为计入补贴的金额",
                "The first %(free)s are free; use beyond them, times the price per unit, is the amount that counts",
            ).fill(free=free)
        )
    return said


CHOICES: Final = {
    Choose.FIRST: W("按顺序适用第一个符合条件的档次", "The first line whose conditions are met applies"),
    Choose.MAX: W("同时符合多档的，按金额最高的一档支持", "Where several lines apply, the one that pays most counts"),
    Choose.SUM: W("同时符合多档的，各档金额相加", "Where several lines apply, their amounts are added"),
}

ROUNDINGS: Final = {
    RoundingMode.DOWN: W("金额向下取整到 %(to)s 的整数倍", "The amount is rounded down to a multiple of %(to)s"),
    RoundingMode.UP: W("金额向上取整到 %(to)s 的整数倍", "The amount is rounded up to a multiple of %(to)s"),
    RoundingMode.HALF_UP: W(
        "金额四舍五入到 %(to)s 的整数倍", "The amount is rounded to a multiple of %(to)s, halves up"
    ),
}


def _how_much(programme: Programme, known: Catalogue) -> list[Words]:
    basis = BASES[programme.cost.basis]
    said = []
    for number, line in enumerate(programme.lines, 1):
        benefit = _line(line, basis, known)
        if len(programme.lines) > 1:
            benefit = W("第 %(number)s 档：%(benefit)s", "Line %(number)s: %(benefit)s").fill(
                number=number, benefit=benefit
            )
        said.append(benefit)
    if len(programme.lines) > 1:
        said.append(CHOICES[programme.choose])
    if programme.floor:
        floor = names.money(programme.floor)
        said.append(W(f"可支持金额低于 {floor} 的，不予支持", f"An award below {floor} is refused"))
    said.append(_rounding(programme.rounding))
    return said


def _rounding(rounding: Rounding) -> Words:
    if rounding == Rounding():
        return W("金额计算到分，不足一分的舍去", "The amount is computed to the fen; fractions of a fen are dropped")
    return ROUNDINGS[rounding.mode].fill(to=names.money(rounding.to))


def _line(line: Line, basis: Words, known: Catalogue) -> Words:
    said = [_benefit(line, basis, known)]
    if line.when is not None:
        said.insert(0, where(line.when))
    if line.cap:
        most = names.money(line.cap)
        said.append(W(f"最高 {most}", f"at most {most}"))
    if line.combined_rate_cap is not None:
        others = join((title(code, known) for code in line.combined_with), "、", " and ")
        share = names.percent(line.combined_rate_cap)
        said.append(
            W(
                f"与{others.zh}合计不超过{basis.zh}的 {share}",
                f"together with {others.en} at most {share} of {basis.en}",
            )
        )
    return join(said, "，", ", ")


def _benefit(line: Line, basis: Words, known: Catalogue) -> Words:
    if line.amount is not None:
        fixed = names.money(line.amount)
        return W(f"定额支持 {fixed}", f"a fixed {fixed}")
    if line.brackets is not None:
        return _brackets(line.brackets, basis)
    assert line.rate is not None, "a line has a rate, an amount or brackets"
    rate = names.percent(line.rate)
    if line.derived_from:
        other = title(line.derived_from, known)
        return W(
            f"按{other.zh}对同一合同实际支付额的 {rate} 支持",
            f"{rate} of what {other.en} paid on the same contract",
        )
    return W(f"按{basis.zh}的 {rate} 支持", f"{rate} of {basis.en}")


def _brackets(brackets: Brackets, basis: Words) -> Words:
    steps = []
    for upper, rate in brackets.table:
        share, to = names.percent(rate), names.money(upper) if upper else ""
        steps.append(
            W(f"不超过 {to} 的 {share}", f"{share} up to {to}") if to else W(f"以上 {share}", f"{share} above that")
        )
    if brackets.marginal:
        how = W(f"按{basis.zh}分段累进支持：", f"by brackets of {basis.en}, each part at its own rate: ")
    else:
        how = W(f"按{basis.zh}所在档次的比例支持：", f"by brackets of {basis.en}, the whole at one rate: ")
    return join([how, join(steps, "，", ", ")], "", "")


def _ceilings(programme: Programme, known: Catalogue) -> list[Words]:
    said = [_cap(cap, known) for cap in programme.caps]
    if programme.per_contract_count:
        said.append(
            W("每份合同最多支持 %(zh)s 次", "A contract is supported at most %(en)s").fill(
                zh=programme.per_contract_count, en=_plural(programme.per_contract_count, "time")
            )
        )
    if programme.max_cycles:
        cycles = programme.max_cycles
        said.append(W(f"最多支持 {cycles} 个周期", f"At most {_plural(cycles, 'support cycle')}"))
    if programme.count.per_application_max:
        most = names.money(programme.count.per_application_max)
        said.append(W(f"每次最多申领 {most} 额度", f"At most {most} of quota per application"))
    if programme.count.holding_max:
        most = names.money(programme.count.holding_max)
        said.append(W(f"持有的额度最多 {most}", f"At most {most} of quota held at a time"))
    return said


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _cap(cap: Cap, known: Catalogue) -> Words:
    window, most = WINDOWS[cap.window.value], names.money(cap.amount)
    said = [W(f"{window.zh}最高 {most}", f"at most {most} {window.en}")]
    if cap.soft:
        soft = names.money(cap.soft)
        said.append(W(f"一般不超过 {soft}，经批准方可突破", f"ordinarily {soft}, more only by approval"))
    if cap.across:
        others = join(title(code, known) for code in cap.across)
        said.append(W("与%(others)s合并计算", "counted together with %(others)s").fill(others=others))
    if cap.when is not None:
        said.insert(0, where(cap.when))
    if cap.unless is not None:
        exception = W(
            "但%(unless)s的，可酌情突破，由主管部门人工决定",
            "except where %(unless)s: then it may be lifted and people decide",
        )
        said.append(exception.fill(unless=condition(cap.unless)))
    return join(said, "，", ", ")


POOL_SHORT: Final = {
    PoolShort.PARTIAL: W("资金池余额不足时，按余额支持", "If the pool falls short, what is left is granted"),
    PoolShort.REJECT: W("资金池余额不足时，不予支持", "If the pool falls short, the request is refused"),
    PoolShort.QUEUE: W("资金池余额不足时，排队等候", "If the pool falls short, the request waits in line"),
    PoolShort.PRORATE: W(
        "资金池余额不足时，截止后按比例分配", "If the pool falls short, it is shared in proportion after the deadline"
    ),
}


def _money(programme: Programme) -> list[Words]:
    said = []
    for pool in programme.pool:
        amount, period = names.money(pool["amount"]), pool.get("period", "")
        said.append(
            W(f"资金池 {amount}{f'（{period}）' if period else ''}", f"Pool {amount}{f' ({period})' if period else ''}")
        )
    said.append(POOL_SHORT[programme.pool_short])
    if programme.funding:
        parts = [
            W(
                f"{payer(part.payer).zh} {names.percent(part.share)}",
                f"{payer(part.payer).en} {names.percent(part.share)}",
            )
            for part in programme.funding
        ]
        said.append(W("出资分担：%(parts)s", "Funded by: %(parts)s").fill(parts=join(parts)))
    return said


REDEMPTIONS: Final = {
    "deduct": W("购买时直接抵扣", "The voucher is deducted at purchase"),
    "reimburse": W("先付款，后兑付", "The buyer pays first and is reimbursed"),
    "award": W("以奖补方式发放", "Paid as an award"),
}
AUTOMATION: Final = {
    "none": W("须提出申请", "An application is needed"),
    "no_application": W("免申即享", "No application is needed"),
    "instant": W("即申即享", "Enjoyed at once on application"),
}


def _terms(terms: Terms) -> list[Words]:
    said: list[Words] = []
    if "automation" in terms.stated:
        said.append(AUTOMATION[terms.automation])
    if months := terms.validity.length:
        said.append(W(f"券有效期 {months} 个月", f"A voucher is valid for {months} months"))
    if "redeem" in terms.stated:
        said.append(REDEMPTIONS[terms.redeem.mode])
    if terms.redeem.max_share is not None:
        share = names.percent(terms.redeem.max_share)
        said.append(W(f"每笔账单最多抵扣 {share}", f"At most {share} of one bill"))
    if days := terms.notice.min_working_days:
        said.append(W(f"公示不少于 {days} 个工作日", f"Public notice of at least {days} working days"))
    said += _needed(terms.evidence)
    return said


def _needed(evidence: Iterable[EvidenceTerm]) -> list[Words]:
    documents = [item.doc for item in evidence]
    if not documents:
        return []
    return [W(f"须提供：{'、'.join(documents)}", f"Evidence: {', '.join(documents)}")]
