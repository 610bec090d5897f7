"""What capabilities above jobs have a say in: grounds against a job, whom it runs as, when its cluster was away, what is free.

Settings name who answers, so that nothing here depends on them: ``JOB_GUARDS``, ``JOB_IDENTITY``, ``JOB_ACCOUNTS``,
``JOB_OUTAGES``, ``JOB_ROOM``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from portal.kernel.errors import Reason
from scheduler.jobs.models import Job
from scheduler.resources.models import Cluster, Partition

__all__ = [
    "Accounts",
    "Asked",
    "Guard",
    "Identity",
    "Outages",
    "Room",
    "Rooms",
    "accounts",
    "identity",
    "outages",
    "refusals",
    "rooms",
    "user_of",
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an enterprise asks for; `vouchers` are ``vouchers.Voucher``, the ones that would pay.

    `cards` are those of one task; `array` is canonical and says how many tasks there are and how many run at once.
    """

    organisation_id: int
    partition: Partition
    cards: int
    time_limit_s: int
    array: str = ""
    vouchers: Sequence[Any] = ()


class Guard(Protocol):
    def __call__(self, asked: Asked, *, lock: bool, now: datetime) -> Sequence[Reason]:
        """Return every ground against the job. With `lock`, in a transaction, it stays true until that is committed."""


class Identity(Protocol):
    def __call__(self, *, cluster: Cluster, organisation_id: int, ready_at: datetime | None) -> tuple[str, str] | None:
        """Return the account and the POSIX user of an enterprise's jobs on a cluster; None for the cluster's own.

        With `ready_at`, a job is about to be sent then: the account is made ready for it, outside any transaction.
        """


class Accounts(Protocol):
    def __call__(self, *, cluster: Cluster, organisation_ids: Collection[int]) -> Mapping[int, str]:
        """Return the accounts enterprises' jobs run under on a cluster, of those that have one of their own. One query."""


class Outages(Protocol):
    def __call__(
        self, *, cluster_id: int, since: datetime, until: datetime
    ) -> Sequence[tuple[datetime, datetime | None]]:
        """Return when the cluster's controller was away, as half-open spans that touch [`since`, `until`]; None is open."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a reading of a cluster counted as free in one partition at `as_of`, on whose behalf ever."""

    cards: int
    cpus: int
    waiting: int
    """Jobs in its queue: they come first."""
    is_open: bool
    as_of: datetime


class Rooms(Protocol):
    def __call__(self, partitions: Sequence[Partition], *, now: datetime) -> Mapping[int, Room]:
        """Return what is free, by partition; nothing for those whose last reading is old or failed. One query."""


def refusals(asked: Asked, *, now: datetime, lock: bool = False) -> list[Reason]:
    """Return the grounds of every guard, in order."""
    guards: list[Guard] = [import_string(name) for name in settings.JOB_GUARDS]
    return [reason for guard in guards for reason in guard(asked, lock=lock, now=now)]


def identity(cluster: Cluster, organisation_id: int, *, ready_at: datetime | None = None) -> tuple[str, str]:
    """Return the account and user an enterprise's jobs run under: its own, as `JOB_IDENTITY` keeps them.

    Else ``e-<organisation id>``, unless the cluster's configuration names one ``account`` for all, and the cluster's user.
    With `ready_at` it may talk to the cluster: call it outside any transaction then.
    """
    answer: Identity = import_string(settings.JOB_IDENTITY)
    found = answer(cluster=cluster, organisation_id=organisation_id, ready_at=ready_at)
    return found or (_without(cluster, organisation_id), cluster.posix_user)


def accounts(cluster: Cluster, organisation_ids: Collection[int]) -> dict[int, str]:
    """Return the account of each enterprise's jobs on a cluster, as `identity` gives it for one. One query."""
    answer: Accounts = import_string(settings.JOB_ACCOUNTS)
    found = answer(cluster=cluster, organisation_ids=organisation_ids)
    return {pk: found.get(pk) or _without(cluster, pk) for pk in organisation_ids}


def _without(cluster: Cluster, organisation_id: int) -> str:
    return str(cluster.config.get("account", f"e-{organisation_id}"))


def outages(*, cluster_id: int, since: datetime, until: datetime) -> Sequence[tuple[datetime, datetime | None]]:
    """Return when the cluster's controller was away, as `JOB_OUTAGES` knows it. One query."""
    answer: Outages = import_string(settings.JOB_OUTAGES)
    return answer(cluster_id=cluster_id, since=since, until=until)


def rooms(partitions: Sequence[Partition], *, now: datetime) -> Mapping[int, Room]:
    """Return what is free by the last readings, as `JOB_ROOM` knows it. One query."""
    answer: Rooms = import_string(settings.JOB_ROOM)
    return answer(partitions, now=now)


def user_of(job: Job) -> str:
    """Return the POSIX user a job on its cluster runs as."""
    return identity(job.partition.cluster, job.organisation_id)[1]
