"""The scale of grades stays while anything graded on it waits for time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from scheduler.facilities import services
from scheduler.facilities.values import FacilityValues
from scheduler.panels import grading
from scheduler.proposals.models import BeamRequest
from tests import beam, make

pytestmark = pytest.mark.django_db


def said(site: beam.Site) -> FacilityValues:
    names = FacilityValues.__dataclass_fields__
    return FacilityValues(**{name: getattr(site.facility, name) for name in names})


def test_the_scale_stays_while_grades_on_it_wait_for_time():
    """Turned round it would rank the worst first."""
    site = beam.site()
    proposal = beam.proposal(site)
    seat = site.panel.panelists.get(user_id=site.graders[0].user_id)
    row = grading.assign(actor=site.office, panel=site.panel, proposal=proposal, panelist=seat, now=make.NOW)
    turned = replace(said(site), best="low")
    services.change_facility(actor=site.office, facility=site.facility, said=said(site), now=make.NOW)
    grading.grade(
        actor=site.graders[0], grading=row, given=grading.GradeGiven(Decimal(5), to_team="已评。"), now=make.NOW
    )
    with pytest.raises(services.ScaleInUse) as refused:
        services.change_facility(actor=site.office, facility=site.facility, said=turned, now=make.NOW)
    assert (refused.value.field, refused.value.params["number"]) == ("best", 1)
    other = replace(said(site), summary="新的简介")
    services.change_facility(actor=site.office, facility=site.facility, said=other, now=make.NOW)
    BeamRequest.objects.update(state="refused")
    services.change_facility(actor=site.office, facility=site.facility, said=turned, now=make.NOW)


def test_what_was_graded_for_a_cycle_that_is_over_keeps_no_scale():
    site = beam.site()
    proposal = beam.proposal(site)
    seat = site.panel.panelists.get(user_id=site.graders[0].user_id)
    row = grading.assign(actor=site.office, panel=site.panel, proposal=proposal, panelist=seat, now=make.NOW)
    grading.grade(
        actor=site.graders[0], grading=row, given=grading.GradeGiven(Decimal(5), to_team="已评。"), now=make.NOW
    )
    over = beam.CYCLE.end + timedelta(seconds=1)
    turned = replace(said(site), best="low")
    assert services.change_facility(actor=site.office, facility=site.facility, said=turned, now=over).best == "low"
