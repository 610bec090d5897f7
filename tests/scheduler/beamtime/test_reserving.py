"""Who moves up from the reserve list, and from whose share."""

from __future__ import annotations

import pytest

from scheduler.beamtime import answering
from scheduler.beamtime.models import BeamAllocation, BeamVisit
from tests import beam, make

pytestmark = pytest.mark.django_db


def test_what_an_enterprise_gives_back_is_not_counted_as_industrys_when_academics_use_it():
    s = beam.site()
    paid = beam.visit(s, kind="proprietary", is_confidential=True, pool="industry", shifts=6)
    waiting = beam.on_reserve(s, place=1, shifts=6)
    answering.decline(actor=s.leader, visit=paid, now=make.NOW)
    given = BeamAllocation.objects.get(request=waiting)
    assert (given.pool, given.visits.get().during) == ("open", paid.during)


def test_nobody_moves_up_whose_own_share_is_used_up():
    s = beam.site()
    paid = beam.visit(s, kind="proprietary", is_confidential=True, pool="industry", shifts=6)
    beam.granted(s, shifts=120)  # the open pool has seventy of a hundred of 174 shifts
    waiting = beam.on_reserve(s, place=1, shifts=6)
    answering.decline(actor=s.leader, visit=paid, now=make.NOW)
    waiting.refresh_from_db()
    assert waiting.state == "reserve"
    assert not BeamVisit.objects.filter(allocation__request=waiting).exists()
