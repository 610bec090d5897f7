"""Keep the accounts on clusters at what they should be held to: plan, apply, read back, compare; the only writer.

A cluster is never asked inside a transaction. One that is away changes nothing here and is tried again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import Count

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, PortalError, Unavailable, noop
from portal.organisations.models import Organisation
from scheduler.jobs import access as jobs
from scheduler.jobs.capabilities import AccountLimits
from scheduler.jobs.models import Job
from scheduler.jobs.rules import ACTIVE
from scheduler.limits import guarding, queries, rules
from scheduler.limits.models import ClusterAccount, LimitDrift, LimitPolicy
from scheduler.limits.rules import AccountState, Difference, LimitMode
from scheduler.messages import alarms
from scheduler.messages.rules import MessageKind
from scheduler.resources.models import Cluster

__all__ = ["Planned", "ask_sync", "enrol", "identity", "plan", "set_policy", "sync"]

_ = noop
logger = structlog.get_logger("limits")

SYSTEM = Actor.system(_("集群对账"))
LOCK_SPACE = 76
"""First key of the advisory locks on clusters' limits; the second is the cluster."""
ACCOUNT = re.compile(r"e-[a-z0-9][a-z0-9-]{0,37}")
POSIX_USER = re.compile(r"[a-z][a-z0-9_-]{2,31}")


class AccountTaken(Conflict):
    code = "limits.account_taken"
    message = _("该企业在这个集群上已有账户，或账户名已被使用。")


class UserTaken(Conflict):
    code = "limits.user_taken"
    message = _("这个集群用户已属于另一家企业。共用用户的企业能看到彼此的文件，请另开一个用户。")


class JobsUnderWay(Conflict):
    code = "limits.jobs_under_way"
    message = _("该企业在这个集群上还有未结束的作业，现在不能更换集群用户。")


@dataclass(frozen=True, slots=True)
class Planned:
    """An account, what it should be held to, what the cluster says, and where the two differ."""

    account: ClusterAccount
    wanted: AccountLimits
    found: AccountLimits | None
    differences: Sequence[Difference]


@transaction.atomic
def set_policy(*, actor: Actor, cluster: Cluster, mode: LimitMode, now: datetime) -> LimitPolicy:
    """Say what bounds the accounts of one's own cluster; the next `sync` brings it there. Idempotent. Raises Forbidden."""
    _own(actor, cluster)
    policy, _made = LimitPolicy.objects.select_for_update(no_key=True).get_or_create(cluster=cluster)
    if policy.mode != mode.value:
        before, policy.mode = policy.mode, mode.value
        policy.save(update_fields=["mode"])
        _record(cluster, action="limits.policy_set", actor=actor, now=now, before=before, mode=mode.value)
    return policy


@transaction.atomic
def enrol(
    *, actor: Actor, cluster: Cluster, organisation: Organisation, name: str = "", posix_user: str = "", now: datetime
) -> ClusterAccount:
    """Give an enterprise an account on a cluster, or change the user its jobs run as; the next `sync` makes it there.

    By default ``e-<id>`` and the cluster's own user. The name stays for good. Raises BadAccount, AccountTaken, Forbidden.
    """
    _own(actor, cluster)
    return _enrol(actor, cluster, organisation, name=name, posix_user=posix_user, now=now)


def _enrol(
    actor: Actor, cluster: Cluster, organisation: Organisation, *, name: str, posix_user: str, now: datetime
) -> ClusterAccount:
    wanted = name or str(cluster.config.get("account") or f"e-{organisation.pk}")
    user = posix_user or cluster.posix_user
    if not ACCOUNT.fullmatch(wanted):
        raise rules.BadAccount(field="name")
    if re.fullmatch(r"e-[0-9]+", wanted) and wanted != f"e-{organisation.pk}":
        raise AccountTaken(field="name")  # another organisation's, whether or not it has one yet
    if not POSIX_USER.fullmatch(user) or user in _privileged(cluster):
        raise rules.BadAccount(field="posix_user")
    if posix_user and not _is_free(cluster, organisation, user):
        raise UserTaken(field="posix_user")
    person = actor.user_id
    try:
        with transaction.atomic():
            row, made = ClusterAccount.objects.get_or_create(
                cluster=cluster,
                organisation=organisation,
                defaults={"name": wanted, "posix_user": user, "created_by_id": person, "created_at": now},
            )
    except IntegrityError:
        raise AccountTaken(field="name") from None
    if name and row.name != name:
        raise AccountTaken(field="name")
    changed = bool(posix_user) and row.posix_user != posix_user
    if (
        changed
        and Job.objects.filter(
            partition__cluster=cluster, organisation=organisation, state__in=[state.value for state in ACTIVE]
        ).exists()
    ):
        raise JobsUnderWay(field="posix_user")
    if changed:
        row.posix_user, row.state = posix_user, AccountState.NEW.value
        row.save(update_fields=["posix_user", "state"])
    if made or changed:
        _record(
            cluster,
            action="limits.account_enrolled",
            actor=actor,
            now=now,
            account=row.name,
            organisation=organisation.name,
            posix_user=row.posix_user,
        )
    return row


def _privileged(cluster: Cluster) -> frozenset[str]:
    """Return the users the portal itself reads and sets limits as: no enterprise's job runs as them."""
    return frozenset({str(cluster.config.get("reader") or ""), str(cluster.config.get("operator") or "portal-ops")})


def _is_free(cluster: Cluster, organisation: Organisation, user: str) -> bool:
    """Say whether no other enterprise's jobs run as `user`, or the cluster lets them share."""
    shares = cluster.adapter not in guarding.BY_POSIX_USER or cluster.config.get("shared_user") is True
    return shares or not cluster.accounts.exclude(organisation=organisation).filter(posix_user=user).exists()


@transaction.atomic
def ask_sync(*, actor: Actor, cluster: Cluster, now: datetime) -> None:
    """Record that somebody wants a cluster brought into step now; a worker does it. Raises Forbidden."""
    _own(actor, cluster)
    _record(cluster, action="limits.apply_asked", actor=actor, now=now)


def plan(*, cluster: Cluster, now: datetime) -> list[Planned]:
    """Return what a `sync` would change now, by what was last read: the cluster is not asked."""
    accounts = list(cluster.accounts.select_related("organisation").order_by("name"))
    wanted = queries.desired(cluster, queries.mode_of(cluster), accounts, now=now)
    result = []
    for account in accounts:
        found = rules.from_json(account.name, account.found) if account.found else None
        managed = _is_managed(account, queries.mode_of(cluster))
        differences = rules.differences(wanted[account.pk], found) if managed else []
        result.append(Planned(account, wanted[account.pk], found, differences))
    return result


def _is_managed(account: ClusterAccount, mode: LimitMode) -> bool:
    """Say whether an account is ours to keep in step: without a policy only until it is made and our bounds are off."""
    if mode is not LimitMode.OFF:
        return True
    bounds = [account.desired.get(name) for name in rules.BOUNDS]
    return account.state == AccountState.NEW.value or any(bound is not None for bound in bounds)


def sync(*, cluster_id: int, now: datetime, only: Collection[int] | None = None, wait: bool = False) -> bool:
    """Bring the accounts of a cluster to what they should be held to; return whether the cluster was in step then.

    One at a time per cluster: another returns at once with False, or with `wait` comes after. `only` those accounts.
    Idempotent. What changed there without us is recorded as drift and repaired.
    """
    with _alone(cluster_id, wait=wait) as mine:
        return mine and _sync(Cluster.objects.select_related("limit_policy").get(pk=cluster_id), only=only, now=now)


@contextlib.contextmanager
def _alone(cluster_id: int, *, wait: bool) -> Iterator[bool]:
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_SPACE, cluster_id])
            mine = True
        else:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_SPACE, cluster_id])
            (mine,) = cursor.fetchone()
        try:
            yield mine
        finally:
            if mine:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_SPACE, cluster_id])


def _sync(cluster: Cluster, *, only: Collection[int] | None, now: datetime) -> bool:
    mode = queries.mode_of(cluster)
    rows = cluster.accounts.all() if only is None else cluster.accounts.filter(pk__in=only)
    accounts = [account for account in rows.order_by("name") if _is_managed(account, mode)]
    if not accounts:
        return True
    wanted = queries.desired(cluster, mode, accounts, now=now)
    try:
        adapter = jobs.connect(cluster)
        before = {each.account: each for each in adapter.read_limits(accounts=[row.name for row in accounts])}
        wanted |= {row.pk: _left_alone(row, wanted[row.pk], before.get(row.name), mode) for row in accounts}
        differing = [wanted[row.pk] for row in accounts if rules.differences(wanted[row.pk], before.get(row.name))]
        after = before | {each.account: each for each in (adapter.apply_limits(differing) if differing else ())}
    except PortalError as error:
        _note_failure(cluster, error, now=now)
        return False
    fine = [_write(row.pk, wanted[row.pk], before.get(row.name), after.get(row.name), now=now) for row in accounts]
    LimitPolicy.objects.filter(cluster=cluster).update(tried_at=now, synced_at=now, error="")
    return all(fine)


def _left_alone(
    row: ClusterAccount, wanted: AccountLimits, before: AccountLimits | None, mode: LimitMode
) -> AccountLimits:
    """Return what is wanted of an account; without a policy, one that is there already keeps what others set."""
    if mode is LimitMode.OFF and before is not None and not row.desired:
        return replace(before, users=wanted.users)
    return wanted


def _note_failure(cluster: Cluster, error: PortalError, *, now: datetime) -> None:
    """Keep why a cluster was not brought into step. The accounts stay as they were last read."""
    detail = str(error.params.get("detail") or error.params.get("reason") or error.code)
    level = logger.warning if isinstance(error, Unavailable) else logger.error
    level("limits.not_synced", cluster=cluster.code, detail=detail)
    LimitPolicy.objects.filter(cluster=cluster).update(tried_at=now, error=detail[:300])


@transaction.atomic
def _write(
    account_id: int, wanted: AccountLimits, before: AccountLimits | None, after: AccountLimits | None, *, now: datetime
) -> bool:
    """Write down what an account was and is on its cluster; return whether it is as it should be."""
    row = ClusterAccount.objects.select_for_update(no_key=True).select_related("cluster").get(pk=account_id)
    if row.state in {AccountState.IN_STEP.value, AccountState.DRIFTED.value}:
        _note_drift(row, rules.differences(rules.from_json(row.name, row.desired), before), now=now)
    left = rules.differences(wanted, after)
    row.desired, row.found = rules.as_json(wanted), rules.as_json(after) if after else {}
    row.as_of = now
    if not left:
        row.applied_at, row.state = now, AccountState.IN_STEP.value
        repaired = row.drifts.filter(repaired_at__isnull=True).update(repaired_at=now)
        if repaired:
            _record(
                row.cluster,
                action="limits.drift_repaired",
                actor=SYSTEM,
                now=now,
                account=row.name,
                differences=repaired,
            )
            _tell_of_drift(row, now=now)
    else:
        if row.state != AccountState.REFUSED.value:
            _tell(row, MessageKind.LIMITS_REFUSED, now=now)
        row.state = AccountState.REFUSED.value
        logger.error("limits.not_taken", account=row.name, left=[each.what for each in left])
    row.save(update_fields=["desired", "found", "as_of", "applied_at", "state"])
    return not left


def _tell_of_drift(row: ClusterAccount, *, now: datetime) -> None:
    """Tell the operators where the same limit had to be repaired again: somebody on the cluster sets it otherwise."""
    since = now - rules.AGAIN_WITHIN
    repaired = row.drifts.filter(repaired_at__gt=since).order_by().values("what").annotate(times=Count("pk"))
    times = max((each["times"] for each in repaired), default=0)
    if times > 1:
        _tell(row, MessageKind.LIMITS_DRIFTED, now=now, times=str(times))


def _tell(row: ClusterAccount, kind: MessageKind, *, now: datetime, **params: str) -> None:
    alarms.tell_operators(
        cluster=row.cluster,
        kind=kind,
        key=f"{row.pk}:{alarms.day_of(now)}",
        params={"account": row.name, **params},
        now=now,
    )


def _note_drift(row: ClusterAccount, found: Sequence[Difference], *, now: datetime) -> None:
    """Record what somebody else changed since we last read it back, and raise the alarm."""
    for each in found:
        _drift, made = LimitDrift.objects.get_or_create(
            account=row,
            what=each.what,
            repaired_at=None,
            defaults={"wanted": each.wanted, "found": each.found, "seen_at": now},
        )
        if made:
            logger.error("limits.drift", account=row.name, what=each.what, wanted=each.wanted, found=each.found)
            details: Mapping[str, object] = {"what": each.what, "wanted": each.wanted, "found": each.found}
            _record(row.cluster, action="limits.drift_seen", actor=SYSTEM, now=now, account=row.name, **details)


def identity(*, cluster: Cluster, organisation_id: int, ready_at: datetime | None) -> tuple[str, str] | None:
    """Return the account and user an enterprise's job runs under; answers ``scheduler.jobs.guards.Identity``.

    With `ready_at` a job is about to be sent: its enterprise's first on a cluster with a policy makes the account there, and
    where more is wanted by now than was last read back, for the hold of this very job say, the cluster is told first.
    """
    row = cluster.accounts.filter(organisation_id=organisation_id).first()
    if ready_at is None:
        return (row.name, row.posix_user) if row else None
    mode = queries.mode_of(cluster)
    if row is None and mode is LimitMode.OFF:
        return None
    if row is None:
        organisation = Organisation.objects.get(pk=organisation_id)
        with transaction.atomic():
            row = _enrol(SYSTEM, cluster, organisation, name="", posix_user="", now=ready_at)
    if _is_managed(row, mode):
        wanted = queries.desired(cluster, mode, [row], now=ready_at)[row.pk]
        found = rules.from_json(row.name, row.found) if row.found else None
        if rules.is_too_tight(rules.differences(wanted, found)):
            sync(cluster_id=cluster.pk, now=ready_at, only=[row.pk], wait=True)
    return row.name, row.posix_user


def _own(actor: Actor, cluster: Cluster) -> None:
    actor.require(Permission.ALLOCATION_MANAGE)
    if cluster.owner_id != actor.organisation_id:
        raise Forbidden


def _record(cluster: Cluster, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    audit.record(
        action=action,
        subject=f"cluster:{cluster.code}",
        actor=actor,
        now=now,
        organisations=[cluster.owner_id],
        data=data,
    )
