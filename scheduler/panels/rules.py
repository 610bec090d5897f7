"""Grades, conflicts of interest, ageing and ranking. Pure.

Sources: ESRF grades 0 to 5.5, the highest best, balance between countries as second criterion; APS grades 1 to 5, the
lowest best, a request that got no time improves by 0.2 a cycle, for two cycles at most, and starts again once it was
given some. Scale, direction, step and number of cycles are the facility's own data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Invalid, Refused, noop
from scheduler.facilities.grades import Ageing, Direction, Scale

__all__ = [
    "APPEAL_TRANSITIONS",
    "GRADING_TRANSITIONS",
    "RANKING_TRANSITIONS",
    "AppealAction",
    "AppealState",
    "AssessmentKind",
    "Award",
    "BadGrade",
    "Bonds",
    "Candidate",
    "Conflict",
    "Conflicted",
    "GradingAction",
    "GradingState",
    "Party",
    "Ranked",
    "RankingAction",
    "RankingState",
    "SafetyClass",
    "TieBreak",
    "aged",
    "awards",
    "check_grade",
    "conflicts",
    "mean",
    "moved",
    "rank",
]

_ = noop


class AssessmentKind(StrEnum):
    """What the staff look at; URGENCY and AFTERWARDS are of urgent proposals alone."""

    TECHNICAL = "technical"
    SAFETY = "safety"
    URGENCY = "urgency"
    AFTERWARDS = "afterwards"


class SafetyClass(StrEnum):
    """How dangerous an experiment is: green needs nothing more, amber conditions, red a risk assessment before the beam."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


class GradingState(StrEnum):
    ASKED = "asked"
    GRADED = "graded"
    RECUSED = "recused"


class GradingAction(StrEnum):
    GRADE = "grade"
    RECUSE = "recuse"


GRADING_TRANSITIONS: Final[Mapping[tuple[GradingState, GradingAction], GradingState]] = MappingProxyType(
    {
        (GradingState.ASKED, GradingAction.GRADE): GradingState.GRADED,
        # A reviewer may change her mind until the panel has ranked.
        (GradingState.GRADED, GradingAction.GRADE): GradingState.GRADED,
        (GradingState.ASKED, GradingAction.RECUSE): GradingState.RECUSED,
        (GradingState.GRADED, GradingAction.RECUSE): GradingState.RECUSED,
    }
)


class RankingState(StrEnum):
    DRAFT = "draft"
    PROPOSED = "proposed"
    DECIDED = "decided"


class RankingAction(StrEnum):
    PROPOSE = "propose"
    SEND_BACK = "send_back"
    DECIDE = "decide"


RANKING_TRANSITIONS: Final[Mapping[tuple[RankingState, RankingAction], RankingState]] = MappingProxyType(
    {
        (RankingState.DRAFT, RankingAction.PROPOSE): RankingState.PROPOSED,
        (RankingState.PROPOSED, RankingAction.SEND_BACK): RankingState.DRAFT,
        (RankingState.PROPOSED, RankingAction.DECIDE): RankingState.DECIDED,
    }
)


class AppealState(StrEnum):
    OPEN = "open"
    UPHELD = "upheld"
    DISMISSED = "dismissed"


class AppealAction(StrEnum):
    UPHOLD = "uphold"
    DISMISS = "dismiss"


APPEAL_TRANSITIONS: Final[Mapping[tuple[AppealState, AppealAction], AppealState]] = MappingProxyType(
    {
        (AppealState.OPEN, AppealAction.UPHOLD): AppealState.UPHELD,
        (AppealState.OPEN, AppealAction.DISMISS): AppealState.DISMISSED,
    }
)


class BadGrade(Invalid):
    code = "panel.grade"
    message = _("评分须在 %(lowest)s 到 %(highest)s 之间，且为 %(step)s 的倍数。")


def check_grade(value: Decimal, scale: Scale) -> Decimal:
    """Return a grade that is on the scale. Raises BadGrade naming ends and step (E7: 5.5 and 0 are, 5.6 is not)."""
    if not value.is_finite() or not scale.lowest <= value <= scale.highest or (value - scale.lowest) % scale.step:
        raise BadGrade(field="grade", lowest=f"{scale.lowest:f}", highest=f"{scale.highest:f}", step=f"{scale.step:f}")
    return value


def mean(grades: Sequence[Decimal]) -> Decimal:
    """Return the panel's grade to hundredths, half to even. Raises ValueError for none."""
    if not grades:
        raise ValueError("no grades")
    total = sum((Fraction(grade) for grade in grades), Fraction(0)) / len(grades)
    hundredths = total * 100
    return (Decimal(hundredths.numerator) / Decimal(hundredths.denominator)).quantize(
        Decimal(1), rounding=ROUND_HALF_EVEN
    ) / 100


def aged(grade: Decimal, *, waited: int, ageing: Ageing, scale: Scale) -> Decimal:
    """Return the grade after `waited` cycles without time, never past the best end of the scale.

    2.5 where the lowest is best, 0.2 and two cycles: 2.3, 2.1, 2.1; once it was given time `waited` is 0 again (E3).
    """
    bonus = ageing.step * min(max(waited, 0), ageing.cycles)
    if scale.best is Direction.LOW:
        return max(scale.lowest, grade - bonus)
    return min(scale.highest, grade + bonus)


class Party(StrEnum):
    """How a reviewer is bound to a proposal."""

    DECLARED = "declared"
    TEAM = "team"
    INSTITUTE = "institute"
    STAFF = "staff"
    TOGETHER = "together"


CONFLICTS: Mapping[Party, str] = {
    Party.DECLARED: _("评审人自己声明了利益关系"),
    Party.TEAM: _("评审人是课题组成员"),
    Party.INSTITUTE: _("评审人与课题组成员属于同一单位"),
    Party.STAFF: _("评审人负责该线站的可行性或安全审查"),
    Party.TOGETHER: _("评审人与课题组成员近期共同申请过机时"),
}


NAMED: Mapping[Party, str] = {
    Party.DECLARED: _("评审人自己声明了利益关系：%(who)s"),
    Party.TEAM: _("评审人是课题组成员：%(who)s"),
    Party.INSTITUTE: _("评审人与课题组成员属于同一单位：%(who)s"),
    Party.STAFF: _("评审人负责该线站的可行性或安全审查：%(who)s"),
    Party.TOGETHER: _("评审人与课题组成员近期共同申请过机时：%(who)s"),
}
"""The same with the persons, for the user office."""
CHOOSE_ANOTHER: Final = _("请另选评审人。")
STEP_BACK: Final = _("请选择回避；用户办公室会另请他人评审。")


APPEAL_DAYS: Final = 30
"""For how long after a decision a team may appeal against it; once, and whoever is late asks for time in the next call."""


class Conflicted(Refused):
    code = "panel.conflict"
    message = _("评审人须回避，原因如下。")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why a reviewer may not judge a proposal; `with_whom` names persons by their number, for the office only."""

    party: Party
    with_whom: frozenset[int] = frozenset()

    @property
    def words(self) -> str:
        return CONFLICTS[self.party]


@dataclass(frozen=True, slots=True)
class Bonds:
    """What is known of a person, by numbers: organisations now or of late, and whom she proposed together with of late."""

    person: int
    organisations: frozenset[int] = frozenset()
    together: frozenset[int] = frozenset()


def conflicts(
    reviewer: Bonds, team: Iterable[Bonds], *, declared: bool = False, is_staff_of: bool = False
) -> list[Conflict]:
    """Return every reason why `reviewer` has to step back, declared and found out, in the order of `Party`."""
    people = list(team)
    numbers = frozenset(one.person for one in people)
    colleagues = frozenset(one.person for one in people if one.organisations & reviewer.organisations)
    together = numbers & (
        reviewer.together | frozenset(one.person for one in people if reviewer.person in one.together)
    )
    found = {
        Party.DECLARED: (declared, frozenset[int]()),
        Party.TEAM: (reviewer.person in numbers, frozenset({reviewer.person})),
        Party.INSTITUTE: (bool(colleagues - {reviewer.person}), colleagues - {reviewer.person}),
        Party.STAFF: (is_staff_of, frozenset[int]()),
        Party.TOGETHER: (bool(together - {reviewer.person}), together - {reviewer.person}),
    }
    return [Conflict(party, who) for party, (is_so, who) in found.items() if is_so]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A graded request: `grade` with its ageing, the group its balance is counted in, shifts wanted, when it was sent."""

    number: str
    grade: Decimal
    shifts: int
    group: str = ""
    sent_order: int = 0
    """Its place in the order of arrival: whole and different for each."""


class TieBreak(StrEnum):
    """What put a candidate before the next one with the same grade."""

    GRADE = "grade"
    BALANCE = "balance"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate in its place, from 1, and what decided between it and the one before; of the first, its grade."""

    place: int
    candidate: Candidate
    by: TieBreak
    has_had: int = 0
    """Shifts its group had before it in this ranking, where balance decided."""


def rank(
    candidates: Sequence[Candidate], *, scale: Scale, target: Mapping[str, Fraction] | None = None
) -> list[Ranked]:
    """Rank by grade in the scale's direction; equal grades by balance, then by arrival. Each place says why.

    Balance: of equals the one comes first whose group is furthest below its share `target` of what was ranked so far;
    groups without a target come after those with one. Without targets arrival decides.
    """
    sign = -1 if scale.best is Direction.HIGH else 1
    left = sorted(candidates, key=lambda one: (sign * one.grade, one.sent_order))
    had: dict[str, int] = {}
    found: list[Ranked] = []
    while left:
        equals = [one for one in left if one.grade == left[0].grade]
        chosen, by = equals[0], TieBreak.GRADE
        if target and len(equals) > 1:
            chosen = min(equals, key=lambda one: (-_lack(one, had, target), one.sent_order))
            lacks = {_lack(one, had, target) for one in equals}
            by = TieBreak.BALANCE if len(lacks) > 1 else TieBreak.ORDER
        elif len(equals) > 1:
            by = TieBreak.ORDER
        if found and found[-1].candidate.grade == chosen.grade and len(equals) == 1:
            by = found[-1].by
        found.append(Ranked(len(found) + 1, chosen, by, had.get(chosen.group, 0)))
        had[chosen.group] = had.get(chosen.group, 0) + chosen.shifts
        left.remove(chosen)
    return found


def _lack(one: Candidate, had: Mapping[str, int], target: Mapping[str, Fraction]) -> Fraction:
    """Return by how many shifts the candidate's group is below its share of what was given places so far; the largest goes
    first. How much the candidate itself wants counts for nothing: of one group the one that came first goes first.
    """
    if one.group not in target:
        return Fraction(-(10**9))
    return target[one.group] * sum(had.values()) - had.get(one.group, 0)


@dataclass(frozen=True, slots=True)
class Award:
    """What the ranking would give: `shifts` of what was wanted, nothing for the reserve list."""

    ranked: Ranked
    shifts: int
    cut: bool = field(default=False)
    """Whether it is less than what was wanted."""


def awards(ranked: Sequence[Ranked], *, shifts: int, multiple: int = 1) -> list[Award]:
    """Give `shifts` down the list: each what it wants, the last that fits in part whole multiples of what is left.

    A proposal to the panel, which decides: nobody after the one that did not fit wholly gets more than what is left.
    """
    left, found = shifts, []
    for one in ranked:
        wanted = one.candidate.shifts
        given = wanted if wanted <= left else left // multiple * multiple
        left -= given
        found.append(Award(one, given, cut=0 < given < wanted))
    return found


def moved(order: Sequence[str], by_rule: Sequence[str]) -> set[str]:
    """Return who was moved from the order that the rule gives: the fewest whose moves explain `order`. Same members.

    Of two that changed places it is the one that came before the other.
    """
    at = {one: place for place, one in enumerate(by_rule)}
    best: list[list[str]] = []
    for one in order:
        before = max((run for run in best if at[run[-1]] < at[one]), key=len, default=[])
        best.append([*before, one])
    stayed: set[str] = set()
    for run in best:
        stayed = set(run) if len(run) >= len(stayed) else stayed
    return {one for one in order if one not in stayed}
