"""The stages of a case: which comes next, who may act there, and when it is due. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.organisations.rules import Role
from vouchers.programmes.terms import Stage

__all__ = [
    "APPEAL_STAGE",
    "ASSIGNED",
    "DEFAULT",
    "PERMISSION",
    "RECHECK_STAGE",
    "Partner",
    "ReviewAction",
    "StageRole",
    "desk_of",
    "is_carried",
    "is_last",
    "target_of",
]

_ = noop


class StageRole(StrEnum):
    """Who acts at a stage."""

    REVIEWER = "reviewer"
    EXPERT = "expert"
    APPROVER = "approver"
    COLLECTIVE = "collective"


class ReviewAction(StrEnum):
    """What one person did at a stage."""

    PASS = "pass"  # noqa: S105  no secret
    SCORE = "score"
    RETURN = "return"
    SEND_BACK = "send_back"
    REFUSE = "refuse"
    ADMIT = "admit"
    DISMISS = "dismiss"


PERMISSION: Final[Mapping[StageRole, Permission]] = MappingProxyType(
    {
        StageRole.REVIEWER: Permission.APPLICATION_REVIEW,
        StageRole.EXPERT: Permission.APPLICATION_SCORE,
        StageRole.APPROVER: Permission.APPLICATION_APPROVE,
        StageRole.COLLECTIVE: Permission.APPLICATION_APPROVE,
    }
)


ASSIGNED: Final[Mapping[StageRole, Role]] = MappingProxyType(
    {StageRole.REVIEWER: Role.REVIEWER, StageRole.EXPERT: Role.EXPERT}
)
"""Stages whose people are drawn by lot, and among whom. Approvers act as a body: whoever is free, or all by quorum."""

APPEAL_STAGE: Final = 100
"""The stage number under which the decision about an appeal is kept: it belongs to no stage of the programme."""

RECHECK_STAGE: Final = 101
"""The stage number under which the check afterwards of a sampled case is kept."""

DEFAULT: Final[tuple[Stage, ...]] = (
    Stage(_("初审"), StageRole.REVIEWER.value, action="check"),
    Stage(_("审批"), StageRole.APPROVER.value, action="decide"),
)
"""What a programme that names no stages has: a check and a decision by another person."""


@dataclass(frozen=True, slots=True)
class Partner:
    """A co-lead department, and at the stages of which level, for applicants of which regions (none = all others)."""

    organisation_id: int
    level: str
    regions: tuple[str, ...] = ()


def desk_of(stage: Stage, partners: Sequence[Partner], places: Collection[str]) -> int | None:
    """Return the co-lead department that acts at a stage, for an applicant at `places`; None = the programme's own.

    Source: reviewed first by the district, then by the city (青岛市 2024 年度申报指南; 武汉市垂类模型算力支持).
    """
    if not stage.level:
        return None
    at_level = [one for one in partners if one.level == stage.level]
    near = [one for one in at_level if set(one.regions) & set(places)]
    found = near or [one for one in at_level if not one.regions]
    return found[0].organisation_id if found else None


def is_last(stages: Sequence[Stage], at: int) -> bool:
    """Say whether the stage at index `at` is the last."""
    return at >= len(stages) - 1


def is_carried(stage: Stage, persons: Iterable[int | None]) -> bool:
    """Say whether enough different persons have passed the stage."""
    return len(set(persons)) >= stage.quorum


def target_of(stages: Sequence[Stage], at: int) -> int | None:
    """Return the index of the earlier stage a return goes to; None when it goes to the applicant."""
    wanted = stages[at].returns_to
    return next((index for index, stage in enumerate(stages[:at]) if stage.stage == wanted), None)
