"""What is decided of a list is what holds: its order for the reserve list, by somebody who wrote nothing of it."""

from __future__ import annotations

from datetime import date

import pytest

from portal.organisations import rules as roles
from scheduler.beamtime import granting, reserving
from scheduler.beamtime.models import BeamAllocation
from scheduler.facilities.models import Partner
from scheduler.facilities.shares import Pool
from scheduler.panels import deciding, ranking
from scheduler.proposals import partners
from tests import beam, make
from tests.scheduler.panels.test_judging import decided, drafted, graded

pytestmark = pytest.mark.django_db


@pytest.fixture
def s():
    return beam.site()


def arranged(s, row, actor, *rows: ranking.Row):
    return ranking.arrange(actor=actor, ranking=row, rows=rows, version=row.version, now=make.NOW)


def proposed(row, actor):
    return ranking.propose(actor=actor, ranking=row, note="", version=row.version, now=make.NOW)


def test_time_that_comes_free_goes_down_the_reserve_list_as_the_director_decided_it(s):
    better, worse = graded(s, "4.0"), graded(s, "3.0")
    rows = [ranking.Row(worse.number, 0, moved_note="样品只在本周期有"), ranking.Row(better.number, 0)]
    row = arranged(s, drafted(s, shifts=0), s.office, *rows)
    decided(s, proposed(row, s.office))
    asked = [one.proposal.number for one in reserving.waiting(s.cycle, s.lines[0])]
    assert asked == [worse.number, better.number]


def test_a_later_draft_that_is_thrown_away_changes_no_place_that_was_decided(s):
    first = graded(s, "4.0")
    decided(s, proposed(drafted(s, shifts=0), s.office))
    graded(s, "5.0")
    row = drafted(s, shifts=0)
    ranking.discard(actor=s.office, ranking=row, version=row.version, now=make.NOW)
    assert [one.proposal.number for one in reserving.waiting(s.cycle, s.lines[0])] == [first.number]
    assert beam.request(first).place == 1


@pytest.mark.parametrize("how", ["drafted", "arranged"])
def test_who_wrote_a_list_does_not_decide_it_whoever_proposes_it(s, how):
    made = graded(s, shifts=6)
    both = make.actor(s.owner, roles.Role.USER_OFFICER, roles.Role.FACILITY_DIRECTOR)
    row = ranking.draft(actor=both if how == "drafted" else s.office, panel=s.panel, beamline=s.lines[0], now=make.NOW)
    if how == "arranged":
        row = arranged(s, row, both, ranking.Row(made.number, 3, moved_note="我定"))
    row = proposed(row, s.office)
    with pytest.raises(deciding.SameDecider):
        granting.decide_list(actor=both, ranking=row, version=row.version, now=make.NOW)
    assert not BeamAllocation.objects.exists()
    assert len(decided(s, row)) == 1, "another one decides it"


def test_a_direct_decision_gives_whole_multiples_or_all_that_was_asked(s):
    def direct(made, shifts):
        choice = deciding.Direct(s.lines[0].code, shifts, "理由", pool=Pool.DIRECTOR)
        return granting.decide_directly(actor=s.director, proposal=made, choice=choice, now=make.NOW)

    made = beam.proposal(s, kind="urgent", call=None, shifts=8)
    with pytest.raises(deciding.BadDecision) as refused:
        direct(made, 7)
    assert [one.code for one in refused.value.reasons] == ["panel.multiple"]
    assert [one.shifts for one in direct(made, 6)] == [6]


@pytest.mark.parametrize(("end", "most"), [(date(2026, 12, 1), 0), (date(2027, 1, 14), 10), (None, 58)])
def test_a_partner_keeps_its_share_of_the_days_its_agreement_covers(s, end, most):
    firm = s.leader.organisation_id
    partner = Partner.objects.create(
        beamline=s.lines[0], organisation_id=firm, num=1, den=3, valid=(date(2026, 1, 1), end)
    )
    partner.refresh_from_db()
    assert partners.kept(partner, s.cycle) == most
