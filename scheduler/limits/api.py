"""Endpoints of accounts on clusters and their limits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.organisations import access as people
from portal.wire import ActorRequest, Cursor, Line, Number, PageOut, StrictIn, paged, problems
from scheduler.limits import access, services, tasks
from scheduler.limits.models import ClusterAccount
from scheduler.limits.rules import AccountState, LimitMode
from scheduler.resources.models import Cluster

router = Router(tags=["clusters"])


class LimitPolicyIn(StrictIn):
    """``off``, ``quota`` (what was granted) or ``covered`` (that, and what can still be paid for)."""

    mode: LimitMode


class LimitPolicyOut(Schema):
    """What bounds a cluster's accounts and when it was last in step; `error` in the cluster's own words."""

    cluster: str
    mode: LimitMode
    tried_at: datetime | None
    synced_at: datetime | None
    error: str


class ClusterAccountIn(StrictIn):
    """Whom to give an account; `name` begins with ``e-``; blank takes what the portal would."""

    credit_code: Annotated[Line, Field(min_length=1, max_length=30)]
    name: Annotated[Line, Field(max_length=40)] = ""
    posix_user: Annotated[Line, Field(max_length=32)] = ""


class AccountBoundsOut(Schema):
    """Bounds of an account; null is none. Minutes are planned ones of all running jobs together."""

    running_card_minutes: int | None = None
    running_cpu_minutes: int | None = None
    cards: int | None = None
    cpus: int | None = None
    submitted: int | None = None
    users: list[str] = []


class ClusterAccountOut(Schema):
    """An enterprise's account on a cluster: what was last asked for, and what was read back at `as_of`."""

    name: str
    organisation: str
    posix_user: str
    state: AccountState
    desired: AccountBoundsOut
    found: AccountBoundsOut
    applied_at: datetime | None
    as_of: datetime | None


def _policy(cluster: Cluster) -> dict[str, Any]:
    policy = getattr(cluster, "limit_policy", None)
    return {
        "cluster": cluster.code,
        "mode": policy.mode if policy else LimitMode.OFF,
        "tried_at": policy and policy.tried_at,
        "synced_at": policy and policy.synced_at,
        "error": policy.error if policy else "",
    }


def _account(row: ClusterAccount) -> dict[str, Any]:
    return {
        "name": row.name,
        "organisation": row.organisation.name,
        "posix_user": row.posix_user,
        "state": row.state,
        "desired": row.desired,
        "found": row.found,
        "applied_at": row.applied_at,
        "as_of": row.as_of,
    }


@router.get("/{code}/limits", response={200: LimitPolicyOut, **problems(404)})
def get_limits(request: ActorRequest, code: Number) -> dict[str, Any]:
    """Return what bounds the accounts of one's cluster."""
    return _policy(access.get_cluster(request.actor, code))


@router.put("/{code}/limits", response={200: LimitPolicyOut, **problems(404)})
def set_limits(request: ActorRequest, code: Number, payload: LimitPolicyIn) -> dict[str, Any]:
    """Say what bounds the accounts of one's cluster; a worker brings the cluster there at once."""
    cluster = access.get_cluster(request.actor, code)
    services.set_policy(actor=request.actor, cluster=cluster, mode=payload.mode, now=timezone.now())
    tasks.hint(cluster.pk)
    return _policy(access.get_cluster(request.actor, code))


@router.post("/{code}/limits/apply", response={202: LimitPolicyOut, **problems(404)})
def apply_limits(request: ActorRequest, code: Number) -> Status[dict[str, Any]]:
    """Bring the cluster into step now, instead of within the half minute."""
    cluster = access.get_cluster(request.actor, code)
    services.ask_sync(actor=request.actor, cluster=cluster, now=timezone.now())
    tasks.hint(cluster.pk)
    return Status(202, _policy(cluster))


@router.get("/{code}/accounts", response={200: PageOut[ClusterAccountOut], **problems(404)})
def list_accounts(request: ActorRequest, code: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the enterprises' accounts on one's cluster."""
    cluster = access.get_cluster(request.actor, code)
    return paged(access.on_cluster(request.actor, cluster), wanted, _account)


@router.post("/{code}/accounts", response={201: ClusterAccountOut, **problems(404, 409)})
def enrol_account(request: ActorRequest, code: Number, payload: ClusterAccountIn) -> Status[dict[str, Any]]:
    """Give an enterprise an account, or its jobs another user; a worker makes it on the cluster."""
    cluster = access.get_cluster(request.actor, code)
    row = services.enrol(
        actor=request.actor,
        cluster=cluster,
        organisation=people.by_credit_code(payload.credit_code),
        name=payload.name,
        posix_user=payload.posix_user,
        now=timezone.now(),
    )
    tasks.hint(cluster.pk)
    return Status(201, _account(row))
