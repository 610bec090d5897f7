"""What an account on a cluster may use, and where the cluster says otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from portal.kernel.errors import Invalid, noop
from scheduler.jobs.capabilities import AccountLimits

__all__ = [
    "BOUNDS",
    "AccountState",
    "BadAccount",
    "Bounds",
    "Difference",
    "LimitMode",
    "OpenJob",
    "Purse",
    "as_json",
    "bounds_from",
    "covered",
    "differences",
    "from_json",
    "is_too_tight",
    "least",
    "planned_minutes",
    "quota",
    "still_payable",
]

_ = noop

BOUNDS: Final = ("running_card_minutes", "running_cpu_minutes", "cards", "cpus", "submitted")
AGAIN_WITHIN: Final = timedelta(hours=24)
"""A limit repaired twice within this is being set otherwise by somebody."""
STEP_S: Final = 300
"""Running time is taken off what is planned in steps of this, so that an account is not rewritten every half minute."""


class LimitMode(StrEnum):
    """What bounds the accounts of a cluster: nothing of ours, what was granted, or that and what can be paid for."""

    OFF = "off"
    QUOTA = "quota"
    COVERED = "covered"


class AccountState(StrEnum):
    """How an account on a cluster stands: not made yet, as it should be, not, or not taken over by the cluster."""

    NEW = "new"
    IN_STEP = "in_step"
    DRIFTED = "drifted"
    REFUSED = "refused"


class BadAccount(Invalid):
    code = "limits.account"
    message = _(
        "集群账户名须以“e-”开头，其后为小写字母、数字和连字符，共不超过 40 字符；集群用户名为 3–32 位小写字母、数字、- 或 _。"
    )


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is bounded, in minutes, cards, cpus and jobs; None is no bound (`capabilities.AccountLimits`)."""

    running_card_minutes: int | None = None
    running_cpu_minutes: int | None = None
    cards: int | None = None
    cpus: int | None = None
    submitted: int | None = None


@dataclass(frozen=True, slots=True)
class Purse:
    """What a voucher still has free, and the share of each bill it pays."""

    available_fen: int
    share: Fraction


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job of the portal that has not ended, each task's resources; `ran_s` since its start, None before."""

    cards: int
    cpus: int
    time_limit_s: int
    tasks: int = 1
    ran_s: int | None = None


def still_payable(purses: Iterable[Purse], *, unit_price_fen: int, owed_fen: int = 0) -> int | None:
    """Return how many card- or cpu-minutes the purses can pay their share of, at a price an hour; None where it is free.

    `owed_fen`: what was used past the portal and is not paid for comes off first.
    """
    if unit_price_fen <= 0:
        return None
    bills = sum((max(0, purse.available_fen) / purse.share for purse in purses), Fraction(0))
    return max(0, int((bills - owed_fen) / Fraction(unit_price_fen, 60)))


def planned_minutes(jobs: Iterable[OpenJob], what: str) -> int:
    """Return the minutes of ``cards`` or ``cpus`` that open jobs may still use, each rounded up to whole minutes.

    What a running job used is taken off in steps of five minutes: never less than the cluster itself counts.
    """
    total = 0
    for job in jobs:
        ran = 0 if job.ran_s is None or job.tasks > 1 else job.ran_s // STEP_S * STEP_S
        left_s = max(0, job.time_limit_s - ran)
        total += -(-left_s // 60) * int(getattr(job, what)) * job.tasks
    return total


def least(*bounds: int | None) -> int | None:
    """Return the tightest bound, None where there is none."""
    known = [bound for bound in bounds if bound is not None]
    return min(known) if known else None


def quota(*, left_minutes: int | None, cards: int | None, jobs: Sequence[OpenJob]) -> Bounds:
    """Bound an account by what was granted: what is left of it, and what open jobs of the portal may still use."""
    minutes = None if left_minutes is None else left_minutes + planned_minutes(jobs, "cards")
    stop = left_minutes == 0 or cards == 0
    return Bounds(running_card_minutes=minutes, cards=cards, submitted=_submitted(jobs) if stop else None)


def covered(*, card_minutes: int | None, cpu_minutes: int | None, jobs: Sequence[OpenJob]) -> Bounds:
    """Bound an account by what can still be paid for, beside what is held for open jobs of the portal.

    With less than a minute of everything that has a price, nothing more comes in: only the portal's own jobs.
    """
    priced = [minutes for minutes in (card_minutes, cpu_minutes) if minutes is not None]
    return Bounds(
        running_card_minutes=None if card_minutes is None else card_minutes + planned_minutes(jobs, "cards"),
        running_cpu_minutes=None if cpu_minutes is None else cpu_minutes + planned_minutes(jobs, "cpus"),
        submitted=_submitted(jobs) if priced and not any(priced) else None,
    )


def _submitted(jobs: Sequence[OpenJob]) -> int:
    """Return how many jobs the portal itself has there: whoever is at the end of the money gets no more in."""
    return sum(job.tasks for job in jobs)


def bounds_from(*several: Bounds) -> Bounds:
    """Return the tightest of every bound."""
    return Bounds(**{name: least(*(getattr(each, name) for each in several)) for name in BOUNDS})


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the cluster holds something else than it should; `what` is a bound, ``users`` or ``account``."""

    what: str
    wanted: int | None
    found: int | None


def differences(wanted: AccountLimits, found: AccountLimits | None) -> list[Difference]:
    """Return where `found` is not what is wanted. Users beyond the wanted ones are no difference."""
    if found is None:
        return [Difference("account", 1, 0)]
    result = [
        Difference(name, getattr(wanted, name), getattr(found, name))
        for name in BOUNDS
        if getattr(wanted, name) != getattr(found, name)
    ]
    missing = set(wanted.users) - set(found.users)
    if missing:
        result.append(Difference("users", len(wanted.users), len(wanted.users) - len(missing)))
    return result


def is_too_tight(differences: Iterable[Difference]) -> bool:
    """Say whether the cluster would refuse what it should take: something is missing, or a bound is lower than wanted."""
    return any(
        each.what in {"account", "users"}
        or (each.found is not None and (each.wanted is None or each.wanted > each.found))
        for each in differences
    )


def as_json(limits: AccountLimits) -> dict[str, Any]:
    """Return limits as they are kept; the account is the row's."""
    return {"users": list(limits.users), **{name: getattr(limits, name) for name in BOUNDS}}


def from_json(account: str, kept: Mapping[str, Any]) -> AccountLimits:
    """Return what was kept."""
    return AccountLimits(account, tuple(kept.get("users", ())), **{name: kept.get(name) for name in BOUNDS})
