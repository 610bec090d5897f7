"""Controls on who stands behind the parties of a case. Pure: facts in, a finding or None out."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from portal.controls.findings import Finding, Row
from portal.kernel.errors import noop
from vouchers.flags.rules import Pattern

__all__ = [
    "Acting",
    "Decided",
    "Graph",
    "Ties",
    "graph_of",
    "insider",
    "related_party",
    "same_people",
    "shared_account",
]

_ = noop

DEPTH: Final = 3
"""How many steps of control are followed. Each step is one tie between an organisation and a person or another one."""
CONTROL: Final = Fraction(25, 100)
"""A holding of a quarter or more is a tie (beneficial owner threshold, 反洗钱 受益所有人 rules)."""
HOLDERS_PER_PERSON: Final = 3
LEAST_CASES: Final = 5
CONCENTRATION: Final = Fraction(80, 100)


@dataclass(frozen=True, slots=True)
class Ties:
    """What the registry and the portal know of one organisation. Names are as registered; empty = not known."""

    organisation: str
    legal_representative: str = ""
    holders: tuple[tuple[str, Fraction], ...] = ()
    phones: tuple[str, ...] = ()
    address: str = ""
    agent: str = ""
    members: tuple[str, ...] = ()

    def nodes(self) -> Iterable[tuple[str, str]]:
        """Yield (tie, node) for everything this organisation hangs together with."""
        if self.legal_representative:
            yield _("法定代表人"), f"person:{self.legal_representative}"
        for name, share in self.holders:
            if share >= CONTROL:
                yield _("持股 25 % 以上"), f"holder:{name}"
        for phone in self.phones:
            yield _("联系电话"), f"phone:{phone}"
        if self.address:
            yield _("地址"), f"address:{self.address}"
        if self.agent:
            yield _("代理机构"), f"agent:{self.agent}"
        for member in self.members:
            yield _("平台成员"), f"member:{member}"


Graph = Mapping[str, list[tuple[str, str]]]


def graph_of(ties: Sequence[Ties]) -> Graph:
    """Return who hangs together with whom, by (tie, other). A holder that is itself known is that organisation."""
    known = {tie.organisation for tie in ties}
    graph: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for tie in ties:
        for label, node in tie.nodes():
            kind, _colon, name = node.partition(":")
            other = name if kind == "holder" and name in known else f"person:{name}" if kind == "holder" else node
            graph[tie.organisation].append((label, other))
            graph[other].append((label, tie.organisation))
    return graph


def related_party(*, buyer: str, seller: str, graph: Graph) -> Finding | None:
    """Flag a chain of control or shared contact between buyer and seller: at most three organisations long.

    Follows legal representatives, holdings of 25 % or more, shared telephone, address, agent and people.
    """
    if buyer == seller:
        same = Row(_("买方与卖方"), buyer, seller)
        return Finding(Pattern.RELATED_PARTY, _("买卖双方是同一单位。"), {}, (same,))
    trails: deque[tuple[str, tuple[tuple[str, str], ...]]] = deque([(buyer, ())])
    seen = {buyer}
    while trails:
        node, path = trails.popleft()
        if node == seller:
            rows = tuple(Row(label, "", shown.partition(":")[2] or shown) for label, shown in path)
            return Finding(Pattern.RELATED_PARTY, _("买卖双方之间存在控制或共用联系方式的关系链。"), {}, rows)
        if len(path) >= 2 * DEPTH:
            continue
        for label, other in graph.get(node, ()):
            if other not in seen:
                seen.add(other)
                trails.append((other, (*path, (label, other))))
    return None


def same_people(*, applicant: Ties, awarded: Sequence[tuple[str, Ties]]) -> Finding | None:
    """Flag core people of an applicant who already stand behind another awarded applicant of the same programme.

    A team that becomes a company, or one group in several shells, would so reach a second ceiling.
    """
    own = {applicant.legal_representative, *applicant.members} - {""}
    rows = []
    for case, other in awarded:
        shared = own & ({other.legal_representative, *other.members} - {""})
        if other.organisation != applicant.organisation and shared:
            rows.append(Row(_("案件"), other.organisation, "、".join(sorted(shared)), case))
    if not rows:
        return None
    said = _("申请人的核心人员也出现在同一项目下其他已获支持的单位中。")
    return Finding(Pattern.SAME_PEOPLE, said, {}, tuple(rows))


@dataclass(frozen=True, slots=True)
class Acting:
    """One person spending vouchers of one holder."""

    person: str
    holder: str
    times: int


def shared_account(*, acting: Sequence[Acting], named: Iterable[str], holder: str) -> Finding | None:
    """Flag spending of one holder's vouchers by people who are not its members, or who spend for three holders or more."""
    members = set(named)
    holders: dict[str, set[str]] = defaultdict(set)
    for act in acting:
        holders[act.person].add(act.holder)
    rows = []
    for act in acting:
        if act.holder != holder:
            continue
        if act.person not in members:
            rows.append(Row(_("非本单位成员用券"), "0", f"{act.person} × {act.times}"))
        elif len(holders[act.person]) >= HOLDERS_PER_PERSON:
            rows.append(Row(_("同一人代多家单位用券"), act.person, "、".join(sorted(holders[act.person]))))
    if not rows:
        return None
    return Finding(Pattern.SHARED_ACCOUNT, _("用券人员与持券单位不符，可能出借账号。"), {}, tuple(rows))


@dataclass(frozen=True, slots=True)
class Decided:
    """How many of an applicant's favourable decisions one official made, and what ties the two."""

    official: str
    decisions: int
    shared: tuple[str, ...] = ()


def insider(*, applicant: str, decided: Sequence[Decided]) -> Finding | None:
    """Flag an official with a tie to the applicant, or who made 80 % or more of at least five of its decisions."""
    total = sum(item.decisions for item in decided)
    rows = []
    for item in decided:
        if item.shared:
            rows.append(Row(_("经办人与申请人的共同点"), item.official, "、".join(item.shared)))
        elif total >= LEAST_CASES and item.decisions >= total * CONCENTRATION:
            rows.append(Row(_("同一经办人办理"), item.official, f"{item.decisions} / {total}"))
    if not rows:
        return None
    said = _("%(applicant)s 的案件与经办人之间需要核查。")
    return Finding(Pattern.INSIDER, said, {"applicant": applicant}, tuple(rows))
