"""The department's cockpit: how each programme's money stands, what waits and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages.pools import named, rooms_of
from portal.pages.shell import actor_of, csv_response, needs, page, wants_csv
from portal.pages.templatetags.show import bilingual, budget
from portal.reports import queries as reports
from portal.reports.standing import Standing
from vouchers.flags import access as flags
from vouchers.flags.rules import FlagState
from vouchers.issuance import access as issuance
from vouchers.issuance import funds
from vouchers.ledger import queries as ledger
from vouchers.programmes.models import Programme, ProgrammeVersion
from vouchers.programmes.states import VersionState

__all__ = ["READERS", "cockpit"]

READERS = (
    Permission.PROGRAMME_DRAFT,
    Permission.PROGRAMME_PUBLISH,
    Permission.APPLICATION_REVIEW,
    Permission.APPLICATION_APPROVE,
    Permission.LEDGER_READ,
)
ENDED = ("issued", "paid", "refused", "withdrawn", "draft")


@dataclass(frozen=True, slots=True)
class Row:
    """One programme and year on the cockpit."""

    name: str
    url: str
    standing: Standing
    bars: dict[str, Any]
    rooms: tuple[tuple[str, int], ...] = ()
    """The pools in force, each with the fen that may still be awarded under it."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Cases in one state: how many, and how long the oldest has waited, in seconds."""

    state: str
    count: int
    oldest: datetime | None
    age_s: int


def _bars(one: Standing) -> dict[str, Any]:
    """Return the stacked bar of a standing, in the cockpit's words."""
    words = {
        "used": gettext("已付"),
        "held": gettext("已承诺"),
        "free": gettext("未动用"),
        "gone": gettext("收回"),
    }
    return named(budget(used=one.paid, held=one.committed, free=one.left, gone=one.returned), words)


def _rows(actor: Actor, now: datetime) -> list[Row]:
    """Return the department's programmes, newest year first. Four queries, and one for each pool shorter than a year."""
    own = list(Programme.objects.filter(department_id=actor.organisation_id).values_list("code", flat=True))
    names: dict[str, ProgrammeVersion] = {}
    found_versions = ProgrammeVersion.objects.filter(programme__code__in=own).select_related("programme")
    versions = list(found_versions.order_by("number"))
    for version in versions:
        names[version.programme.code] = version
    current = [version for version in versions if version.state == VersionState.PUBLISHED.value]
    stands = funds.standings(current, now=now)
    rooms = {(version.programme.code, stands[version.pk].year): rooms_of(stands[version.pk]) for version in current}
    found = [
        Row(
            bilingual(names[one.programme]),
            reverse("programme", args=[one.programme]),
            one,
            _bars(one),
            rooms.get((one.programme, one.fiscal_year), ()),
        )
        for one in reports.standing_of(own)
        if one.programme in names
    ]
    return sorted(found, key=lambda row: (-row.standing.fiscal_year, row.name))


def _queues(actor: Actor, now: datetime) -> list[Queue] | None:
    """Return the department's undecided cases by state, the longest waiting first. One query; None: not for this role."""
    if not any(actor.may(permission) for permission in issuance.DECIDERS):
        return None
    rows: Iterable[Any] = (
        issuance.cases(actor)
        .exclude(state__in=ENDED)
        .order_by()
        .values("state")
        .annotate(count=Count("pk"), oldest=Min("submitted_at"))
    )
    found = [
        Queue(
            state=row["state"],
            count=row["count"],
            oldest=row["oldest"],
            age_s=int((now - row["oldest"]).total_seconds()) if row["oldest"] else 0,
        )
        for row in rows
    ]
    return sorted(found, key=lambda queue: -queue.age_s)


@needs(*READERS)
def cockpit(request: HttpRequest) -> HttpResponse:
    """Show the department where its money stands and what waits for it. A fixed number of queries."""
    actor = actor_of(request)
    now = timezone.now()
    rows = _rows(actor, now)
    if wants_csv(request):
        return _csv(rows)
    return page(
        request,
        "cockpit/cockpit.html",
        {
            "rows": rows,
            "totals": _totals(rows),
            "queues": _queues(actor, now),
            "flags": _open_flags(actor),
            "audit": ledger.last_audit() if actor.may(Permission.LEDGER_READ) else None,
            "now": now,
        },
    )


def _open_flags(actor: Actor) -> int | None:
    if not actor.may(Permission.FLAG_DECIDE):
        return None
    return flags.visible_to(actor).filter(state=FlagState.OPEN.value).count()


def _totals(rows: Iterable[Row]) -> dict[str, int]:
    sums = {"budget": 0, "committed": 0, "paid": 0, "returned": 0, "left": 0}
    for row in rows:
        for name in sums:
            sums[name] += getattr(row.standing, name)
    return sums


def _csv(rows: Iterable[Row]) -> HttpResponse:
    header = [
        gettext("项目"),
        gettext("年度"),
        gettext("预算"),
        gettext("审核中预留"),
        gettext("已发券未用"),
        gettext("应付"),
        gettext("已付"),
        gettext("收回"),
        gettext("应收退款"),
        gettext("未动用"),
    ]
    return csv_response(
        "cockpit",
        header,
        (
            [
                row.name,
                row.standing.fiscal_year,
                *(
                    Money(fen)
                    for fen in (
                        row.standing.budget,
                        row.standing.reserved,
                        row.standing.issued,
                        row.standing.owed,
                        row.standing.paid,
                        row.standing.returned,
                        row.standing.owed_back,
                        row.standing.left,
                    )
                ),
            ]
            for row in rows
        ),
    )
