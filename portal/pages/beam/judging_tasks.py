"""What waits of judging: grades asked for, findings, lists to decide, appeals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.pages.desk_task import SHOWN, Source, Task
from scheduler.panels import access, authors, queries, rules

__all__ = ["SOURCES", "grades_asked"]

P, K = Permission, rules.AssessmentKind


def grades_asked(actor: Actor, _now: datetime) -> Iterator[Task]:
    """What a reviewer was asked to grade. One query."""
    for row in access.reviews_of(actor).filter(state="asked").order_by("pk")[:SHOWN]:
        yield Task(gettext("评审机时申请"), row.proposal.number, reverse("beam_review", args=[row.pk]))


def _findings(kind: rules.AssessmentKind, actor: Actor) -> Iterator[Task]:
    for row in queries.waiting_for(actor, kind)[:SHOWN]:
        yield Task(gettext("审查机时申请"), row.number, reverse("assessment", args=[row.number]), since=row.sent_at)


def _technical(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _findings(K.TECHNICAL, actor)


def _safety(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _findings(K.SAFETY, actor)


def _urgency(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _findings(K.URGENCY, actor)


def _lists(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = access.rankings_of(actor).filter(state="proposed", panel__facility__owner_id=actor.organisation_id)
    waiting = list(rows.exclude(proposed_by_id=actor.person).order_by("proposed_at", "pk")[:SHOWN])
    known = authors.authors(waiting)
    for row in (one for one in waiting if actor.person not in known[one.pk]):
        which, url = f"{row.panel.name} {row.beamline.code}", reverse("ranking", args=[row.pk])
        yield Task(gettext("批准机时排序"), which, url, since=row.proposed_at)


def _appeals(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = access.appeals_of(actor).filter(state="open", proposal__facility__owner_id=actor.organisation_id)
    for row in rows.order_by("at", "pk")[:SHOWN]:
        yield Task(gettext("答复机时申诉"), row.proposal.number, reverse("appeals"), since=row.at)


SOURCES: tuple[tuple[Permission, Source], ...] = (
    (P.PROPOSAL_ASSESS, _technical),
    (P.PROPOSAL_CLEAR, _safety),
    (P.FACILITY_DECIDE, _urgency),
    (P.FACILITY_DECIDE, _lists),
    (P.FACILITY_DECIDE, _appeals),
    (P.FACILITY_MANAGE, _appeals),
)
