"""What a programme pays in plain words: what counts, the benefit lines, ceilings, counts, pools. Pure."""

from __future__ import annotations

from typing import Final

from vouchers.programmes import names, phrases
from vouchers.programmes.conditions import condition, join, sentences, where
from vouchers.programmes.explanations import WINDOWS, Catalogue, payer, title
from vouchers.programmes.pools import period_words
from vouchers.programmes.schemes import (
    Basis,
    Brackets,
    Cap,
    Choose,
    Line,
    Measure,
    Period,
    PoolShort,
    Programme,
    Rounding,
    RoundingMode,
    Scope,
    YearBasis,
)
from vouchers.programmes.words import Words, plural

__all__ = ["ceilings", "how_much", "money", "purchase"]

W = Words

BASES: Final = {
    None: W("核定合同额", "the approved contract amount"),
    Basis.CONTRACT: W("合同额", "the contract amount"),
    Basis.APPROVED: W("核定合同额", "the approved contract amount"),
    Basis.ORDER: W("订单金额", "the order amount"),
    Basis.INVOICED: W("开票金额", "the invoiced amount"),
    Basis.PAID: W("实际支付额", "the amount actually paid"),
    Basis.USAGE: W("实际使用费用", "the cost of actual use"),
    Basis.DERIVED: W("其他项目的实际支付额", "what another programme paid"),
}


def purchase(programme: Programme) -> list[Words]:
    """Return what may be bought, through which channel, for which purpose, and which part of it counts."""
    cost = programme.cost
    said = []
    if programme.subject:
        subjects = join(names.kind(kind) for kind in programme.subject)
        said.append(W("支持的服务：%(subjects)s", "Services supported: %(subjects)s").fill(subjects=subjects))
    said += sentences(programme.purpose)
    if programme.channel:
        channels = join(names.value(channel) for channel in programme.channel)
        said.append(W("采购渠道限于：%(channels)s", "To be bought through: %(channels)s").fill(channels=channels))
    kinds = join(names.kind(kind) for kind in cost.include)
    said.append(
        W("计入补贴的费用：%(kinds)s", "Spending that counts: %(kinds)s").fill(kinds=kinds)
        if cost.include
        else W("合同的各项费用均计入补贴", "All items of the contract count")
    )
    if cost.exclude:
        excluded = join(names.kind(kind) for kind in cost.exclude)
        said.append(
            W("不计入补贴的费用：%(excluded)s", "Spending that does not count: %(excluded)s").fill(excluded=excluded)
        )
    said += sentences(cost.when)
    if cost.period:
        said += _period(cost.period)
    if cost.signed_from:
        said.append(
            W(f"合同在 {cost.signed_from}（含）以后签订", f"The contract is signed on or after {cost.signed_from}")
        )
    if cost.max_months:
        said.append(
            W(f"合同期不超过 {cost.max_months} 个月", f"The contract runs at most {plural(cost.max_months, 'month')}")
        )
    if cost.min_base:
        least = names.money(cost.min_base)
        said.append(W(f"计入补贴的金额不低于 {least}（含）", f"The amount that counts is at least {least}"))
    if cost.free_quota:
        about = names.fact(f"usage.{cost.free_quota.unit}")
        free = names.value(str(cost.free_quota.amount), about)
        said.append(
            W(
                "先使用%(period)s免费的 %(free)s，超出部分的用量乘以单价为计入补贴的金额",
                "The first %(free)s%(period)s are free; use beyond them, times the price per unit, is the amount that counts",
            ).fill(free=free, period=QUOTA_PERIODS[cost.free_quota.period])
        )
    return said


QUOTA_PERIODS: Final = {"": W("", ""), "year": W("每年", " of a year"), "lifetime": W("累计", " in all")}


def _period(period: Period) -> list[Words]:
    said = []
    if period.starts and period.ends:
        said.append(
            W(
                f"服务期在 {period.starts} 至 {period.ends} 之间（含首尾两日）",
                f"The service is rendered from {period.starts} to {period.ends}, both days included",
            )
        )
    elif period.starts:
        said.append(W(f"服务自 {period.starts}（含）以后提供", f"The service starts on or after {period.starts}"))
    elif period.ends:
        said.append(W(f"服务至 {period.ends}（含）以前提供", f"The service ends on or before {period.ends}"))
    if period.text:
        text = phrases.phrase(period.text)
        said.append(W(f"服务期：{text.zh}", f"Service period: {text.en}"))
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


def how_much(programme: Programme, known: Catalogue) -> list[Words]:
    """Return the benefit lines, the choice among them, the least award and the rounding."""
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
    others = join((title(code, known) for code in line.combined_with), "、", " and ")
    if line.combined_rate_cap is not None:
        share = names.percent(line.combined_rate_cap)
        said.append(
            W(
                f"与{others.zh}合计不超过{basis.zh}的 {share}",
                f"together with {others.en} at most {share} of {basis.en}",
            )
        )
    if line.combined_amount_cap is not None:
        most = names.money(line.combined_amount_cap)
        said.append(W(f"与{others.zh}合计不超过 {most}", f"together with {others.en} at most {most}"))
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
        if line.measure is Measure.GRANTED:
            return W(
                f"按{other.zh}对同一合同核定额的 {rate} 支持",
                f"{rate} of what {other.en} granted on the same contract",
            )
        return W(
            f"按{other.zh}对同一合同实际支付额的 {rate} 支持",
            f"{rate} of what {other.en} paid on the same contract",
        )
    if line.rate_is_ceiling:
        return W(f"按不超过{basis.zh}的 {rate} 支持", f"up to {rate} of {basis.en}")
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


def ceilings(programme: Programme, known: Catalogue) -> list[Words]:
    """Return what one applicant may get at most, how often, and for how many years."""
    said = [_cap(cap, known) for cap in programme.caps]
    if programme.year_basis is not YearBasis.DECISION:
        said.append(YEARS[programme.year_basis])
    if programme.count.per_contract:
        said.append(
            W("每份合同最多支持 %(zh)s 次", "A contract is supported at most %(en)s").fill(
                zh=programme.count.per_contract, en=plural(programme.count.per_contract, "time")
            )
        )
    if cycles := programme.max_cycles.total:
        said.append(W(f"最多支持 {cycles} 个周期", f"At most {plural(cycles, 'support cycle')}"))
    if in_a_row := programme.max_cycles.consecutive:
        said.append(W(f"最多连续支持 {in_a_row} 个周期", f"At most {plural(in_a_row, 'support cycle')} in a row"))
    if often := programme.count.per_year:
        said.append(W(f"每年最多支持 {often} 次", f"Supported at most {plural(often, 'time')} a year"))
    if programme.count.per_application_max:
        most = names.money(programme.count.per_application_max)
        said.append(W(f"每次最多申领 {most} 额度", f"At most {most} of quota per application"))
    if programme.count.holding_max:
        most = names.money(programme.count.holding_max)
        said.append(W(f"持有的额度最多 {most}", f"At most {most} of quota held at a time"))
    return said


YEARS: Final = {
    YearBasis.SERVICE: W("年度按服务年度计算", "Years are counted by the year of service"),
    YearBasis.POLICY: W(
        "年度按政策年度（自施行日起每满一年）计算", "Years are counted from the day the policy came into force"
    ),
}


def _cap(cap: Cap, known: Catalogue) -> Words:
    window, most = WINDOWS[cap.window.value], names.money(cap.amount)
    said = [W(f"{window.zh}最高 {most}", f"at most {most} {window.en}")]
    if cap.soft:
        soft = names.money(cap.soft)
        said.append(W(f"一般不超过 {soft}，经批准方可突破", f"ordinarily {soft}, more only by approval"))
    if cap.scope is Scope.GROUP:
        said.append(W("同一集团的企业合并计算", "companies of one group are counted together"))
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


def money(programme: Programme) -> list[Words]:
    """Return the pools, what happens when they fall short, and who pays which share."""
    said = []
    for pool in programme.pool:
        amount, period = names.money(pool.amount), period_words(pool.period)
        gap = W(f"（{period.zh}）", f" ({period.en})") if pool.period else W("", "")
        said.append(W("资金池 %(amount)s%(gap)s", "Pool %(amount)s%(gap)s").fill(amount=amount, gap=gap))
        if pool.admin_cost_in is not None:
            said.append(
                W("工作经费从资金池列支", "Administration is paid from the pool")
                if pool.admin_cost_in
                else W("工作经费不在资金池内列支", "Administration is paid outside the pool")
            )
        if pool.admin_share is not None:
            share = names.percent(pool.admin_share)
            said.append(
                W(f"其中 {share} 为工作经费，不用于支持", f"{share} of it is for administration, and not awarded")
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
