"""What the database itself refuses of a facility, whatever the code does."""

import pytest
from django.db import IntegrityError, transaction

from portal.kernel.period import Period
from scheduler.availability.claiming import Ask, Taken, occupy
from scheduler.availability.models import Claim
from scheduler.facilities.models import MachinePeriod, PoolShare, RunCycle
from tests import beam

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    return beam.site()


def refuses(make_row):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_row()


class TestOverlap:
    def test_two_cycles_of_a_facility_do_not_overlap(self, site):
        refuses(
            lambda: RunCycle.objects.create(
                facility=site.facility, code="II", during=(beam.CYCLE.start, beam.CYCLE.end)
            )
        )

    def test_two_spans_of_a_machine_plan_do_not_overlap(self, site):
        span = (beam.REPAIRS.start, beam.REPAIRS.end)
        refuses(lambda: MachinePeriod.objects.create(cycle=site.cycle, mode="study", during=span))

    def test_two_visits_claim_no_shift_twice(self, site):
        line = site.lines[0].resource
        first = Period(beam.CYCLE.start, beam.CYCLE.start.replace(hour=23))
        occupy([Ask(line, first, first)], state=Claim.State.CONFIRMED)
        with pytest.raises(Taken):
            occupy([Ask(line, first, first)], state=Claim.State.CONFIRMED)


def test_a_pool_has_one_share_of_a_beamline(site):
    refuses(lambda: PoolShare.objects.create(facility=site.facility, pool="open", num=1, den=2))


def test_a_share_is_at_most_the_whole(site):
    refuses(lambda: PoolShare.objects.create(facility=site.facility, pool="partner", num=3, den=2))
