"""Who may read which records of the trail about beam time: as who may read what they are about, judged at each reading.

A record is given to organisations; an organisation that runs a facility has people who propose there, too.
"""

from __future__ import annotations

from typing import Final

from django.db.models import CharField, Exists, Func, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from portal.audit.models import Record
from portal.kernel.actors import Actor, Permission
from scheduler.beamtime.models import BeamVisit
from scheduler.panels import access as panels
from scheduler.panels import rounds
from scheduler.proposals import access as proposals

__all__ = ["readable"]

PROPOSAL: Final = "beam_proposal:"
QUOTE: Final = "beam_quote:"
PANEL: Final = "panel:"
VISIT: Final = "beam_visit:"


def readable(records: QuerySet[Record], actor: Actor) -> QuerySet[Record]:
    """Return what of `records` the actor may read; what is about no beam time stays as it is.

    Proposals, their quotes and visits: who may see the proposal. Who grades and what staff found: the staff whose task
    that is, none of whom is in the team. Panels: who runs or decides. What one did oneself always; auditors everything.
    One query for staff, none for others.
    """
    if actor.may(Permission.AUDIT_READ):
        return records
    key = _part(_part(OuterRef("subject"), ":", 2), ".", 1)
    seen = proposals.visible_to(actor).order_by().filter(number=key)
    visits = BeamVisit.objects.order_by().filter(number=key)
    of_visit = visits.filter(allocation__request__proposal__in=proposals.visible_to(actor).order_by().values("pk"))
    run = panels.panels_of(actor) if panels.heads(actor) else panels.panels_of(actor).none()
    of_panel = (
        run.order_by().annotate(key=Cast("pk", CharField())).filter(facility__owner_id=actor.organisation_id, key=key)
    )
    kept = ~Q(_about(PROPOSAL, QUOTE, PANEL, VISIT))
    kept |= _about(PROPOSAL) & ~rounds.hidden() & Q(Exists(seen))
    kept |= _about(PROPOSAL) & rounds.hidden() & _judged(actor, key)
    kept |= _about(QUOTE) & Q(Exists(seen))
    kept |= _about(VISIT) & Q(Exists(of_visit))
    kept |= _about(PANEL) & Q(Exists(of_panel))
    return records.filter(kept | Q(actor_user_id=actor.user_id or 0))


def _about(*kinds: str) -> Q:
    found = Q()
    for kind in kinds:
        found |= Q(subject__startswith=kind)
    return found


def _judged(actor: Actor, key: Combinable) -> Q:
    """Match what is about proposals the actor judges: findings for staff, who grades for who runs or decides."""
    if not any(actor.may(one) for one in panels.STAFF):
        return Q(pk__in=[])
    theirs = panels.proposals_of(actor).order_by().filter(number=key)
    theirs = theirs.exclude(pk__in=rounds.teams(actor).values("proposal"))
    is_told = Q() if panels.heads(actor) else ~Q(action__startswith="grading.")
    return is_told & Q(Exists(theirs))


def _part(text: Combinable, mark: str, at: int) -> Func:
    return Func(text, Value(mark), Value(at), function="split_part", output_field=CharField())
