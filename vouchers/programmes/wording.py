"""A programme in plain words, for officers who publish it and people who apply. Pure.

Everything the engine evaluates is said here; a key nobody could read about would be a hidden rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vouchers.programmes import names, phrases, wording_money, wording_terms
from vouchers.programmes.conditions import condition, join, sentence, sentences
from vouchers.programmes.explanations import Catalogue, Ground, Told, explain, headline, reasons, title
from vouchers.programmes.schemes import CoLead, DoubleSubsidy, Kind, Programme, Same, Side
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
    with names.declared(programme.facts):
        return [
            Section(heading.say(language), tuple(sentence(said).say(language) for said in body))
            for heading, body in _sections(programme, catalogue or {})
            if body
        ]


def _sections(programme: Programme, known: Catalogue) -> list[tuple[Words, list[Words]]]:
    return [
        (W("依据与期限", "Basis and term"), _basis(programme, known)),
        (W("谁可以申请", "Who may apply"), _who(programme)),
        (W("服务机构", "Providers"), _providers(programme)),
        (W("支持什么", "What is supported"), wording_money.purchase(programme)),
        (W("支持多少", "How much"), wording_money.how_much(programme, known)),
        (W("上限与次数", "Ceilings and counts"), wording_money.ceilings(programme, known)),
        (W("资金", "Money"), wording_money.money(programme)),
        (W("受理与评审", "Intake and review"), wording_terms.intake(programme.terms)),
        (W("使用与兑付", "Use and redemption"), wording_terms.use(programme.terms)),
        (W("公示与监督", "Notice and control"), wording_terms.control(programme.terms)),
    ]


def _co_lead(one: CoLead) -> Words:
    """Return a further department in words, with the stages it acts at and for whom."""
    if one.level is None:
        return W(one.name, one.name)
    regions = (f"，{'、'.join(one.regions)}", f" for {', '.join(one.regions)}") if one.regions else ("", "")
    said = W(f"{one.name}（办理%(level)s级环节{regions[0]}）", f"{one.name} (acts at %(level)s level{regions[1]})")
    return said.fill(level=names.value(one.level.value))


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
        said.append(
            W("配合单位：%(who)s", "With: %(who)s").fill(who=join(map(_co_lead, programme.co_leads), "、", ", "))
        )
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
    said = _kinds(programme.applicant_kinds)
    said += sentences(programme.eligibility)
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
            W("%(same)s已获%(other)s的，不再支持", "A %(same)s that received %(other)s is not supported again")
            if programme.double_subsidy is DoubleSubsidy.FORBIDDEN
            else W(
                "%(same)s已获%(other)s的，就高不重复，只补足差额",
                "Where a %(same)s received %(other)s, the higher one counts and only the difference is paid",
            )
        )
        said.append(rule.fill(other=other, same=SAMES[programme.same]))
    return said


SAMES: Final = {
    Same.CONTRACT: W("同一合同", "contract"),
    Same.PROJECT: W("同一项目", "project"),
    Same.COST: W("同一费用（同一发票）", "cost (the same invoice)"),
}


def _kinds(kinds: Sequence[Kind]) -> list[Words]:
    """Return who may apply, by kind, and what is asked of each kind."""
    if not kinds:
        return []
    listed = join(names.value(kind.kind) for kind in kinds)
    said = [W("申请人可为：%(kinds)s", "Open to: %(kinds)s").fill(kinds=listed)]
    if without := [kind for kind in kinds if kind.kind in ("team", "maker")]:
        those = join(names.value(kind.kind) for kind in without)
        said.append(W("%(kinds)s无须具有法人资格", "No legal personality is needed of: %(kinds)s").fill(kinds=those))
    for kind in kinds:
        if kind.when is not None:
            asked = W("对%(kind)s的要求：%(when)s", "Asked of a %(kind)s: %(when)s")
            said.append(asked.fill(kind=names.value(kind.kind), when=condition(kind.when)))
    return said


def _providers(programme: Programme) -> list[Words]:
    said = sentences(programme.provider)
    if programme.provider_roster:
        roster = phrases.phrase(programme.provider_roster)
        said.append(
            W("服务机构须在名录“%(roster)s”内", "The provider is on the roster “%(roster)s”").fill(roster=roster)
        )
    if programme.provider_documents:
        papers = join(phrases.phrase(paper) for paper in programme.provider_documents)
        said.append(W("服务机构入库须提供：%(papers)s", "To join, a provider brings: %(papers)s").fill(papers=papers))
    if programme.related_party_forbidden:
        said.append(W("合同双方不得为关联方", "The parties to the contract must not be related"))
    if programme.related_tests:
        tests = join(RELATIONS[test] for test in programme.related_tests)
        said.append(W("关联关系包括：%(tests)s", "Related means: %(tests)s").fill(tests=tests))
    return said


RELATIONS: Final = {
    "control": W("一方控制另一方", "one controls the other"),
    "common_control": W("受同一方控制", "both are under common control"),
    "legal_representative": W("法定代表人相同", "the same legal representative"),
    "shareholder": W("有共同的主要股东", "a common major shareholder"),
    "contact": W("地址、电话或代理人相同", "the same address, phone or agent"),
}
