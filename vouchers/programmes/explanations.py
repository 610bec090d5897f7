"""A decision in plain words: the answer, its reasons, and every step that led to it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vouchers.programmes import names
from vouchers.programmes.conditions import join, sentence, stated
from vouchers.programmes.decisions import REASONS, Decision, DecisionKind, Outcome, Step
from vouchers.programmes.predicates import SECTIONS
from vouchers.programmes.schemes import Programme
from vouchers.programmes.words import Words

__all__ = ["WINDOWS", "Ground", "Told", "explain", "headline", "payer", "reasons", "title"]

W = Words
Catalogue = Mapping[str, Programme]


@dataclass(frozen=True, slots=True)
class Told:
    """One step in words. `outcome` is that of the step, `test` the id of its test or ""."""

    outcome: Outcome
    test: str
    text: str
    lowers: bool = False
    """It made the award smaller."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Why a request was refused, the facts that made it so, and what would help."""

    message: str
    remedy: str
    details: tuple[str, ...] = ()


HEADLINES: Final = {
    DecisionKind.GRANT: W("准予支持 %(amount)s。", "Granted: %(amount)s."),
    DecisionKind.MANUAL: W("测算金额 %(amount)s，由主管部门人工决定。", "Computed: %(amount)s; people decide."),
    DecisionKind.REJECT: W("不予支持。", "Refused."),
    DecisionKind.SUPPLEMENT: W("需要补充：%(missing)s。", "Please add: %(missing)s."),
}

TESTS: Final = {
    "in_force": W("有效期", "In force"),
    "window": W("受理期", "Intake period"),
    "dishonesty": W("信用", "Honesty"),
    "applicant": W("申请人", "Applicant"),
    "provider": W("服务机构", "Provider"),
    "related_party": W("关联方", "Related party"),
    "contract_date": W("合同日期", "Contract date"),
    "contract_term": W("合同期限", "Contract term"),
    "service_period": W("服务期", "Service period"),
    "subject": W("服务类别", "Kind of service"),
    "purchase": W("采购内容", "Purchase"),
    "duplicate": W("同一合同重复申报", "Same contract again"),
    "double_subsidy": W("重复补贴", "Double subsidy"),
    "highest": W("就高不重复", "Highest, not cumulative"),
    "cycles": W("支持周期", "Support cycles"),
    "per_year": W("每年次数", "Awards a year"),
    "base": W("计入补贴的金额", "Amount that counts"),
    "base_derived": W("计入补贴的金额", "Amount that counts"),
    "base_metered": W("计入补贴的金额", "Amount that counts"),
    "minimum_spend": W("最低金额", "Minimum spend"),
    "line": W("支持档次", "Benefit line"),
    "benefit": W("适用档次", "Lines applied"),
    "no_line": W("适用档次", "Lines applied"),
    "nothing_payable": W("适用档次", "Lines applied"),
    "cap": W("上限", "Ceiling"),
    "cap_not_for": W("上限", "Ceiling"),
    "cap_lifted": W("上限", "Ceiling"),
    "application_quota": W("单次申领额度", "Quota of one application"),
    "holding": W("持有额度", "Quota held"),
    "coefficient": W("批次系数", "Coefficient of the batch"),
    "round": W("取整", "Rounding"),
    "pool": W("资金池", "Pool"),
    "pool_waits": W("资金池", "Pool"),
    "face_values": W("面额", "Face values"),
    "floor": W("最低发放额", "Least award"),
    "funding": W("出资分担", "Funding"),
}

PASSES: Final = {
    "in_force": W("%(today)s 在有效期（%(period)s）内", "%(today)s lies within %(period)s"),
    "window": W("%(today)s 在受理期内", "%(today)s lies within an intake period"),
    "dishonesty": W("符合", "met"),
    "applicant": W("符合申报条件", "the conditions are met"),
    "provider": W("符合要求", "the requirements are met"),
    "related_party": W("合同双方不是关联方", "the parties are not related"),
    "contract_date": W("%(signed)s 签订，不早于 %(signed_from)s", "signed %(signed)s, not before %(signed_from)s"),
    "contract_term": W(
        "%(months)s 个月，不超过 %(max_months)s 个月", "%(months)s months, at most %(max_months)s allowed"
    ),
    "service_period": W(
        "%(service)s 在可计入的期间（%(period)s）内", "%(service)s lies within the period that counts, %(period)s"
    ),
    "subject": W("属于支持的服务类别", "a kind of service that is supported"),
    "purchase": W("在支持范围内", "eligible"),
    "duplicate": W("已支持 %(count)s 次，最多 %(limit)s 次", "supported %(count)s of at most %(limit)s times"),
    "double_subsidy": W("同一合同没有其他财政补贴", "no other public money on this contract"),
    "highest": W("扣除同一合同已获的 %(paid)s", "less %(paid)s already paid on this contract"),
    "cycles": W("已用 %(used)s 个，最多 %(limit)s 个", "%(used)s used of at most %(limit)s"),
    "per_year": W("本年度已支持 %(count)s 次，最多 %(limit)s 次", "%(count)s of at most %(limit)s this year"),
    "application_quota": W("每次最多 %(limit)s", "at most %(limit)s per application"),
    "holding": W("最多持有 %(limit)s，现持有 %(used)s", "at most %(limit)s held, %(used)s held now"),
    "coefficient": W("比例为上限，本批系数 %(k)s", "the rate is a ceiling; the batch pays %(k)s of it"),
    "minimum_spend": W("%(base)s，不低于 %(min_base)s", "%(base)s, at least %(min_base)s"),
    "floor": W("%(amount)s，不低于 %(floor)s", "%(amount)s, at least %(floor)s"),
    "cap_not_for": W("%(window)s %(limit)s 的上限不适用", "the ceiling of %(limit)s %(window)s does not apply"),
    "cap_lifted": W(
        "%(window)s %(limit)s 的上限可酌情突破，转人工决定",
        "the ceiling of %(limit)s %(window)s may be lifted; left to people",
    ),
    "pool_waits": W("余额 %(pool)s 不足，按项目规定%(policy)s", "only %(pool)s left; under the programme: %(policy)s"),
    "round": W("%(mode)s到 %(to)s 的整数倍", "%(mode)s to a multiple of %(to)s"),
    "pool": W("余额 %(pool)s", "%(pool)s left"),
    "no_line": W("没有适用的档次", "no line applies"),
    "nothing_payable": W("可支持金额为零", "nothing is payable"),
}

WINDOWS: Final = {
    "year": W("每自然年", "per calendar year"),
    "cycle": W("每个支持周期", "per support cycle"),
    "lifetime": W("累计", "in total"),
    "application": W("每次申请", "per application"),
    "contract": W("每份合同", "per contract"),
}
POLICIES: Final = {
    "queue": W("排队等候", "the application waits in line"),
    "prorate": W("待截止后按比例分配", "the pool is shared in proportion after the deadline"),
}
MODES: Final = {
    "down": W("向下取整", "rounded down"),
    "up": W("向上取整", "rounded up"),
    "half_up": W("四舍五入", "rounded"),
}


def headline(decision: Decision, language: str) -> str:
    """Return the answer in one sentence."""
    amount = names.money(decision.amount) if decision.amount is not None else ""
    missing = join((fact.name for fact in decision.missing), "；", "; ")
    return HEADLINES[decision.decision].fill(amount=amount, missing=missing).say(language)


def reasons(decision: Decision, language: str) -> list[Ground]:
    """Return every ground of a refusal, the deciding one first; empty unless refused."""
    grounds = []
    for failure in decision.failures:
        message, remedy = REASONS[failure.code]
        with names.declared(decision.facts):
            details = tuple(stated(found).say(language) for found in failure.params.get("conditions", ()))
        params = dict(failure.params)
        grounds.append(Ground(message.fill(**params).say(language), remedy.fill(**params).say(language), details))
    return grounds


def explain(decision: Decision, language: str, *, catalogue: Catalogue | None = None) -> list[Told]:
    """Return every step in words, tests the programme does not make left out. `catalogue` names other programmes."""
    with names.declared(decision.facts):
        return [
            Told(step.outcome, step.test, sentence(_say(step, catalogue or {})).say(language), _lowers(step))
            for step in decision.trace
            if step.outcome is not Outcome.SKIPPED or step.params
        ]


def _lowers(step: Step) -> bool:
    return bool(step.params.get("lowered"))


def _say(step: Step, catalogue: Catalogue) -> Words:
    body = _body(step, catalogue)
    if step.missing and step.kind != "line":
        missing = join((names.fact(path).name for path in step.missing), "、", ", ")
        said = W("需要补充%(missing)s", "please state %(missing)s").fill(missing=missing)
        body = join([body, said], "；", "; ") if body.zh else said
    if step.after is not None and step.outcome is not Outcome.SKIPPED:
        body = join([body, W(f"金额 {names.money(step.after)}", f"amount {names.money(step.after)}")], "；", "; ")
    return W("%(test)s：%(body)s", "%(test)s: %(body)s").fill(test=TESTS[step.kind], body=body)


def _body(step: Step, catalogue: Catalogue) -> Words:
    if step.kind in TELLERS:
        return TELLERS[step.kind](step, catalogue)
    params = _worded(step.params)
    if step.outcome is Outcome.FAIL and step.kind not in PASSES_WHEN_FAILING:
        said = REASONS[step.test][0].fill(**params)
        return join(
            [W(said.zh.rstrip("。"), said.en[:1].lower() + said.en[1:].rstrip(".")), *_conditions(step)], "；", "; "
        )
    if step.outcome is Outcome.UNKNOWN and step.kind not in PASSES_WHEN_FAILING:
        return join(_conditions(step), "；", "; ")
    return join([PASSES[step.kind].fill(**params), *_conditions(step)], "；", "; ")


PASSES_WHEN_FAILING: Final = frozenset({"no_line", "nothing_payable"})


def _worded(params: Mapping[str, Any]) -> dict[str, Any]:
    tables = {"window": WINDOWS, "policy": POLICIES, "mode": MODES}
    return {key: tables[key].get(value, W("", "")) if key in tables else value for key, value in params.items()}


def _conditions(step: Step) -> list[Words]:
    return [stated(found) for found in step.params.get("conditions", ())]


def _tell_base(step: Step, _catalogue: Catalogue) -> Words:
    counted = _priced(step.params.get("counted", ()))
    left = _priced(step.params.get("not_counted", ()))
    said = [join(counted)] if counted else []
    if not counted and not step.missing:
        said.append(W("没有计入的费用", "nothing counts"))
    if cut := _priced(step.params.get("cut", ())):
        said.append(W("按核定金额计，核减前：%(cut)s", "as approved; before the cut: %(cut)s").fill(cut=join(cut)))
    if "source" in step.params:
        said.append(W("依据：%(name)s", "taken from: %(name)s").fill(name=names.fact(step.params["source"]).name))
    if left:
        said.append(W("不计入：%(left)s", "not counted: %(left)s").fill(left=join(left)))
    return join(said, "；", "; ")


def _tell_derived(step: Step, catalogue: Catalogue) -> Words:
    others = join(title(code, catalogue) for code in step.params["derived_from"])
    return W("%(others)s已支付 %(paid)s", "%(paid)s paid under %(others)s").fill(
        others=others, paid=step.params["paid"]
    )


def _tell_subject(step: Step, _catalogue: Catalogue) -> Words:
    kinds = join(names.kind(kind) for kind in step.params["subject"])
    if step.outcome is Outcome.FAIL:
        return W("合同中没有%(kinds)s", "the contract buys none of these: %(kinds)s").fill(kinds=kinds)
    return W("支持%(kinds)s", "supported: %(kinds)s").fill(kinds=kinds)


def _priced(pairs: Iterable[Sequence[str]]) -> list[Words]:
    return [W(f"{names.kind(kind).zh} {price}", f"{names.kind(kind).en} {price}") for kind, price in pairs]


def _tell_metered(step: Step, _catalogue: Catalogue) -> Words:
    if step.missing:
        return W("", "")
    path, used = step.params["used"]
    about = names.fact(path)
    return W(
        "用量 %(used)s，减去免费 %(free)s，单价 ¥%(price)s", "%(used)s used, less %(free)s free, at ¥%(price)s each"
    ).fill(used=names.value(used, about), free=names.value(step.params["free"][1], about), price=step.params["price"])


def _tell_line(step: Step, catalogue: Catalogue) -> Words:
    params = step.params
    said = [W("第 %(number)s 档", "line %(number)s").fill(number=params["number"]), _rate_words(params, catalogue)]
    if step.outcome is Outcome.SKIPPED:
        said.append(W("不适用", "does not apply"))
    elif step.outcome is Outcome.UNKNOWN:
        said.append(W("条件未明，暂不计入", "left out while facts are missing"))
    if params.get("cap"):
        said.append(W(f"本档最高 {params['cap']}", f"at most {params['cap']}"))
    said += [
        W(f"合计不超过 {most}，已获 {params['paid']}", f"together at most {most}, {params['paid']} paid so far")
        for most in (params.get("combined"), params.get("combined_amount"))
        if most
    ]
    return join([*said, *_conditions(step)], "；", "; ")


def _rate_words(params: Mapping[str, Any], catalogue: Catalogue) -> Words:
    if "amount" in params:
        return W(f"定额 {params['amount']}", f"fixed {params['amount']}")
    if "derived_from" in params:
        other, paid, rate = title(params["derived_from"], catalogue), params["paid"], params["rate"]
        return W(f"按{other.zh}已支付 {paid} 的 {rate}", f"{rate} of the {paid} paid under {other.en}")
    if "rate" in params:
        return W(params["rate"], params["rate"])
    return W("分档累进", "by brackets")


def _tell_benefit(step: Step, _catalogue: Catalogue) -> Words:
    numbers = join([W(f"第 {number} 档", f"line {number}") for number in step.params["lines"]])
    return W("按%(numbers)s", "%(numbers)s applied").fill(numbers=numbers)


def _tell_cap(step: Step, _catalogue: Catalogue) -> Words:
    params, window = step.params, WINDOWS[step.params["window"]]
    said = [
        W(
            f"{window.zh}最高 {params['limit']}，已使用 {params['used']}",
            f"at most {params['limit']} {window.en}, {params['used']} used",
        )
    ]
    if params.get("waived"):
        said.append(W(f"已批准突破一般上限 {params['soft']}", f"the ordinary ceiling of {params['soft']} is waived"))
    elif "soft" in params:
        said.append(W("未获批准，按一般上限", "the ordinary ceiling, not waived"))
    if params.get("lowered"):
        said.append(W("金额因此减少", "this lowers the amount"))
    if step.outcome is Outcome.FAIL:
        said.append(W("额度已用完", "used up"))
    said += [
        W(f"例外未证明：{told.zh}", f"exception not shown: {told.en}")
        for told in map(stated, params.get("exception", ()))
    ]
    return join([*said, *_conditions(step)], "；", "; ")


def _tell_pieces(step: Step, _catalogue: Catalogue) -> Words:
    return join([W(f"{value} {count} 张", f"{count} of {value}") for value, count in step.params["pieces"]])


def _tell_funding(step: Step, _catalogue: Catalogue) -> Words:
    return join([W(f"{payer(name).zh} {part}", f"{payer(name).en} {part}") for name, part in step.params["parts"]])


def payer(name: str) -> Words:
    """Return how a payer is called: a level, a fact not stated, or the name itself."""
    if name.partition(".")[0] in SECTIONS and "." in name:
        return names.fact(name).name
    return names.VALUES.get(name) or W(name, name)


def title(code: str, catalogue: Catalogue) -> Words:
    """Return how the programme `code` is called: its name, or its code in quotes where it is not known."""
    known = catalogue.get(code)
    if known is None or known.name is None:
        return W(f"“{code}”", f"“{code}”")
    return W(f"《{known.name.zh}》", f"“{known.name.en}”")


TELLERS: Final[Mapping[str, Callable[[Step, Catalogue], Words]]] = {
    "base": _tell_base,
    "base_derived": _tell_derived,
    "subject": _tell_subject,
    "base_metered": _tell_metered,
    "line": _tell_line,
    "benefit": _tell_benefit,
    "cap": _tell_cap,
    "face_values": _tell_pieces,
    "funding": _tell_funding,
}
