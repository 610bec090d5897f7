"""Kinds of proposals and how each goes at a facility, and what a missing report does. Pure.

Sources: user guides of ESRF (standard, long-term, block allocation), Diamond (rapid access, partner), APS (rapid requests
do not roll over), SSRF (urgent proposals are evaluated afterwards and filed). All numbers are the facility's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Reason, noop
from scheduler.facilities.shares import Pool

__all__ = ["COURSES", "Course", "ProposalKind", "ReportRule", "refusals"]

_ = noop


class ProposalKind(StrEnum):
    STANDARD = "standard"
    LONG_TERM = "long_term"
    BLOCK = "block"
    URGENT = "urgent"
    RAPID = "rapid"
    PARTNER = "partner"
    PROPRIETARY = "proprietary"


@dataclass(frozen=True, slots=True)
class Course:
    """How a kind of proposal goes.

    `peer_review`: a panel grades it before it gets time. `reviewed_after`: its results are judged afterwards and filed.
    `cycles`: for how many run cycles it stands. `lapses`: what got no time in its cycle is over and does not roll over.
    `own_schedule`: the group gets shifts and says itself which samples use them. `paid`: by price list and contract.
    `confidential`: title and results are told to nobody outside the team and the staff who serve it.
    """

    pool: Pool
    peer_review: bool = True
    reviewed_after: bool = False
    cycles: int = 1
    lapses: bool = False
    own_schedule: bool = False
    report_months: int = 0
    """How often a report is due while it stands; 0: once after each visit."""
    paid: bool = False
    confidential: bool = False


COURSES: Final[Mapping[ProposalKind, Course]] = MappingProxyType(
    {
        ProposalKind.STANDARD: Course(Pool.OPEN),
        ProposalKind.LONG_TERM: Course(Pool.OPEN, cycles=6),
        ProposalKind.BLOCK: Course(Pool.OPEN, cycles=4, own_schedule=True, report_months=6),
        ProposalKind.URGENT: Course(Pool.URGENT, peer_review=False, reviewed_after=True),
        ProposalKind.RAPID: Course(Pool.OPEN, peer_review=False, lapses=True),
        ProposalKind.PARTNER: Course(Pool.PARTNER, peer_review=False),
        ProposalKind.PROPRIETARY: Course(Pool.INDUSTRY, peer_review=False, paid=True, confidential=True),
    }
)
"""What a facility starts from; it may say otherwise in its own data."""


class ReportRule(StrEnum):
    """What a missing report of an earlier visit does: the panel is told, or nothing can be sent (E9)."""

    TELL = "tell"
    BLOCK = "block"


def refusals(courses: Mapping[ProposalKind, Course]) -> list[Reason]:
    """Say what is wrong with kinds of proposals, each at ``kind.field``."""
    found = []
    for kind, course in courses.items():
        for name, least, most in (("cycles", 1, 20), ("report_months", 0, 60)):
            if not least <= getattr(course, name) <= most:
                text, limits = _("数值须在 %(least)s 到 %(most)s 之间。"), {"least": least, "most": most}
                found.append(Reason("facility.number", text, "", f"{kind.value}.{name}", limits))
        if course.peer_review and course.reviewed_after:
            text = _("事先评审与事后评审只能选一种。")
            found.append(Reason("facility.course_review", text, _("请去掉一种。"), f"{kind.value}.reviewed_after"))
        if course.peer_review and course.confidential:
            text = _("保密课题不交评审组，不能设为须经评审。")
            found.append(Reason("facility.course_secret", text, _("请去掉一种。"), f"{kind.value}.confidential"))
        if course.peer_review and course.pool is not Pool.OPEN:
            text = _("评审组的排序只分配开放机时，须经评审的课题不能使用其他机时。")
            remedy = _("请选择开放机时，或设为不经评审。")
            found.append(Reason("facility.course_pool", text, remedy, f"{kind.value}.pool"))
    return found
