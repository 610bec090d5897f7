"""Which runs are billed, and why one cannot be priced. Pure.

The refund table: what the cluster itself failed at is not the user's to pay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeAlias

from portal.kernel.errors import noop
from scheduler.jobs.rules import JobState

__all__ = [
    "BY_INCIDENT",
    "DOUBTS",
    "INFRASTRUCTURE",
    "NOT_BILLED",
    "RAW",
    "Allocation",
    "Spans",
    "doubts",
    "why_not_billed",
    "within",
]

_ = noop
S = JobState

NOT_BILLED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "never_ran": _("没有运行"),
        "node_fail": _("节点故障"),
        "boot_fail": _("节点启动失败"),
        "launch_failed": _("作业启动失败"),
        "preempted": _("被调度策略抢占"),
        "interrupted": _("集群中断"),
        "incident": _("集群控制器故障期间失败"),
        "lost": _("集群丢失作业"),
        "ruled": _("运维人员裁定不计费"),
    }
)
"""Why a run is not billed: the refund table, and what was ruled."""

DOUBTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "allocation_unknown": _("集群没有给出分配的资源数量"),
        "allocation_none": _("集群记录的分配数量为零"),
        "card_type": _("分配的加速卡型号与分区不同"),
        "no_rate": _("分区没有当时有效的价格"),
    }
)
"""Why a run cannot be priced. It goes to quarantine with an alarm, is never priced 0 and never passed over."""

RAW: Final[Mapping[str, str]] = MappingProxyType(
    {
        "NODE_FAIL": "node_fail",
        "BOOT_FAIL": "boot_fail",
        "LAUNCH_FAILED": "launch_failed",
        "RECONFIG_FAIL": "launch_failed",
        "PREEMPTED": "preempted",
    }
)
"""The scheduler's own words that decide, before the portal's state does."""

INFRASTRUCTURE: Final[Mapping[JobState, str]] = MappingProxyType(
    {S.INTERRUPTED: "interrupted", S.LAUNCH_FAILED: "launch_failed", S.LOST: "lost"}
)
"""States in which a run ended by the cluster's doing."""

Spans: TypeAlias = Sequence[tuple[datetime, datetime | None]]
BY_INCIDENT: Final = frozenset({S.FAILED, S.CANCELLED})
"""How a run ends that an incident of the controller may have ended."""


def within(at: datetime | None, spans: Spans) -> bool:
    """Say whether a moment lies in one of the half-open spans; one without an end is still open."""
    return at is not None and any(start <= at and (end is None or at < end) for start, end in spans)


def why_not_billed(*, state: JobState, raw_state: str, started: bool, elapsed_s: int, in_incident: bool = False) -> str:
    """Return the code of the ground on which a run is not billed, or "" for one that is.

    A run that failed, or was cancelled by nobody who owns it, within an incident of the controller is not billed either
    (`in_incident`): Whoever cancels a job themselves pays for what it used.
    """
    if not started or not elapsed_s:
        return "never_ran"
    if state in INFRASTRUCTURE:
        words = re.split(r"[^A-Z_]+", raw_state.upper())
        found = next((RAW[word] for word in words if word in RAW), "")
        # Put back without the cluster's own failure: whoever owns the job did it, and pays for what it used.
        by_user = not found and state is S.INTERRUPTED and "REQUEUED" in words
        return "" if by_user else found or INFRASTRUCTURE[state]
    if in_incident and state in BY_INCIDENT:
        return "incident"
    return ""


@dataclass(frozen=True, slots=True)
class Allocation:
    """What a run held, as the cluster says; None while unknown."""

    cards: int | None
    cpus: int | None
    card_type: str


def doubts(held: Allocation, *, by_cards: bool, asked_cards: int, card_type: str) -> Sequence[str]:
    """Return every ground on which a run cannot be priced by cards, or by cores where not `by_cards`."""
    count = held.cards if by_cards else held.cpus
    found = []
    if count is None:
        found.append("allocation_unknown")
    elif count == 0 and (asked_cards or not by_cards):
        found.append("allocation_none")
    if by_cards and count and held.card_type and card_type and held.card_type.casefold() != card_type.casefold():
        found.append("card_type")
    return found
