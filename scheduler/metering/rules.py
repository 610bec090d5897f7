"""Whose run a row of accounting is, how far a sweep may go, and what the nightly audit compares. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "ACCOUNT",
    "OVERLAP",
    "TRANSITIONS",
    "AlreadyRuled",
    "Difference",
    "Figures",
    "NoReason",
    "QuarantineAction",
    "QuarantineState",
    "Ruling",
    "SamePerson",
    "compare",
    "marker_of",
    "organisation_of",
    "watermark",
]

_ = noop

OVERLAP: Final = timedelta(hours=72)
"""How far a sweep looks back behind its watermark: accounting records come late (compute.md §3.7)."""
MARKER: Final = re.compile(r"zj[a-z2-7]{26}")
"""A portal job's name on the cluster."""
ACCOUNT: Final = re.compile(r"e-([1-9][0-9]{0,17})")
"""An enterprise's account on a cluster, ``e-<organisation id>``."""


class SamePerson(Forbidden):
    code = "quarantine.same_person"
    message = _("提出处理意见的人不能自己复核。请由另一位运维人员复核。")


class AlreadyRuled(Conflict):
    code = "quarantine.ruled"
    message = _("这条记录已处理完毕。")


class NoReason(Invalid):
    code = "quarantine.reason"
    message = _("请写明处理理由（5 字以上），审计时会看到。")


class BadRuling(Invalid):
    code = "quarantine.ruling"
    message = _("请填写计费数量（大于零），或选择不计费。")


class QuarantineState(StrEnum):
    OPEN = "open"
    PROPOSED = "proposed"
    RESOLVED = "resolved"


class QuarantineAction(StrEnum):
    """CLEAR: what was missing has come meanwhile."""

    PROPOSE = "propose"
    APPROVE = "approve"
    REJECT = "reject"
    CLEAR = "clear"


S, A = QuarantineState, QuarantineAction

TRANSITIONS: Final[Mapping[tuple[QuarantineState, QuarantineAction], QuarantineState]] = MappingProxyType(
    {
        (S.OPEN, A.PROPOSE): S.PROPOSED,
        (S.PROPOSED, A.APPROVE): S.RESOLVED,
        (S.PROPOSED, A.REJECT): S.OPEN,
        (S.OPEN, A.CLEAR): S.RESOLVED,
        (S.PROPOSED, A.CLEAR): S.RESOLVED,
    }
)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an operator says of a run that cannot be priced: `count` cards or cores, or None: it is not billed."""

    count: int | None
    reason: str

    def check(self) -> None:
        """Raises NoReason, BadRuling."""
        if len(self.reason.strip()) < 5:
            raise NoReason(field="reason")
        if self.count is not None and not 0 < self.count <= 1_000_000:
            raise BadRuling(field="count")


def marker_of(name: str) -> str:
    """Return the portal's marker a job's name begins with, or ""."""
    words = name.split()
    return words[0] if words and MARKER.fullmatch(words[0]) else ""


def organisation_of(account: str) -> int | None:
    """Return whose account it is by its name, or None."""
    found = ACCOUNT.fullmatch(account)
    return int(found.group(1)) if found else None


def watermark(*, until: datetime, unpriced: Iterable[datetime]) -> datetime:
    """Return how far a sweep to `until` has come: never past the end of a run that has no price yet."""
    return min([until, *unpriced])


@dataclass(frozen=True, slots=True)
class Figures:
    """One job by three books. Seconds are card- or core-seconds, as it is priced; fen as taken and not given back."""

    subject: str
    portal_units_s: int
    scheduler_units_s: int | None
    """None: accounting does not know it."""
    lines_fen: int
    ledger_fen: int
    written_off_fen: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What does not agree: `kind` is ``seconds``, ``money``, ``missing`` or ``unsettled``."""

    subject: str
    kind: str
    portal: int
    other: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(figures: Figures) -> list[Difference]:
    """Return every difference between the three books; tolerance 0."""
    found = []
    if figures.scheduler_units_s is None:
        found.append(Difference(figures.subject, "missing", figures.portal_units_s, 0))
    elif figures.scheduler_units_s != figures.portal_units_s:
        found.append(Difference(figures.subject, "seconds", figures.portal_units_s, figures.scheduler_units_s))
    if figures.lines_fen != figures.ledger_fen + figures.written_off_fen:
        found.append(
            Difference(figures.subject, "money", figures.lines_fen, figures.ledger_fen + figures.written_off_fen)
        )
    return found
