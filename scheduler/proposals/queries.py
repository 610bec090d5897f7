"""What proposals read of elsewhere: ended visits of a team, run cycles and beamlines one may ask for."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from portal.kernel.errors import NotFound
from scheduler.facilities.models import Beamline, Facility, RunCycle
from scheduler.proposals import rules
from scheduler.proposals.models import BeamProposal
from scheduler.proposals.ports import LeftTeam, PastVisits

__all__ = ["beamlines", "coming_cycles", "get_cycle", "left_team", "past_of"]


def past_of(proposal: BeamProposal) -> list[rules.PastVisit]:
    """Return the ended visits of the people of a team, for reports owed (E9)."""
    joined = proposal.team.filter(state=rules.InvitationState.JOINED.value, user__isnull=False)
    past_visits = cast(PastVisits, import_string(settings.PAST_VISITS))
    return list(past_visits(list(joined.values_list("user_id", flat=True)), facility_id=proposal.facility_id))


def left_team() -> LeftTeam:
    """Return who takes somebody that left a team off its visits."""
    return cast(LeftTeam, import_string(settings.LEFT_TEAM))


def get_cycle(facility: Facility, code: str) -> RunCycle:
    """Return a run cycle of a facility. Raises NotFound, naming the field."""
    found = RunCycle.objects.filter(facility=facility, code=code).first()
    if found is None:
        raise NotFound(field="cycle")
    return found


def coming_cycles(facility: Facility, *, now: datetime) -> QuerySet[RunCycle]:
    """Return the run cycles of a facility that are not over, the next first."""
    return RunCycle.objects.filter(facility=facility, during__endswith__gt=now).order_by("during")


def beamlines(facility: Facility) -> QuerySet[Beamline]:
    """Return the beamlines of a facility with their names."""
    return Beamline.objects.filter(facility=facility).select_related("resource")
