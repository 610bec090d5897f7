"""Tell those who run a cluster, or oversee the books, that something needs a hand: once for each key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.utils.timezone import localdate

from portal.kernel.actors import Permission
from portal.numbers.services import PORTAL_ZONE
from portal.organisations.models import Organisation
from scheduler.messages import rules, services
from scheduler.resources.models import Cluster

__all__ = ["day_of", "tell_finance", "tell_operators", "tell_overseers"]


def day_of(now: datetime) -> str:
    """Return the day in the portal's zone, for a key under which a person is told once a day."""
    return localdate(now, PORTAL_ZONE).isoformat()


def tell_operators(
    *, cluster: Cluster, kind: rules.MessageKind, key: str, params: Mapping[str, str], now: datetime
) -> int:
    """Tell everybody who manages the cluster for its owner; return how many were told just now. Idempotent per `key`."""
    told = services.Told(
        kind=kind,
        organisation_id=cluster.owner_id,
        user_id=None,
        key=f"{kind.value}:{key}",
        instrument=cluster.name,
        instrument_en=cluster.name_en,
        about=cluster.code,
        params=params,
        permission=Permission.CLUSTER_MANAGE,
    )
    return services.tell(told=told, now=now)


def tell_overseers(*, kind: rules.MessageKind, about: str, params: Mapping[str, str], now: datetime) -> int:
    """Tell the departments' people who audit; return how many were told just now. Idempotent per kind and `about`."""
    return sum(
        services.tell(
            told=services.Told(
                kind=kind,
                organisation_id=department.pk,
                user_id=None,
                key=f"{kind.value}:{about}",
                instrument=department.name,
                about=about,
                params=params,
                permission=Permission.AUDIT_READ,
            ),
            now=now,
        )
        for department in Organisation.objects.filter(kind=Organisation.Kind.DEPARTMENT).order_by("pk")
    )


def tell_finance(*, what: str, about: str, now: datetime) -> int:
    """Tell the departments' people who confirm payments; return how many were told just now. Idempotent per sentence and `about`."""
    kind, number = rules.MessageKind.PAYMENT_ALARM, about.partition(":")[2]
    return sum(
        services.tell(
            told=services.Told(
                kind=kind,
                organisation_id=department.pk,
                user_id=None,
                key=f"{kind.value}:{about}:{what}"[:160],
                instrument=department.name,
                about=number[:24],
                params={"what": what, "about": number},
                permission=Permission.PAYMENT_CONFIRM,
            ),
            now=now,
        )
        for department in Organisation.objects.filter(kind=Organisation.Kind.DEPARTMENT).order_by("pk")
    )
