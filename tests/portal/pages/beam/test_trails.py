"""Who reads what of the trail about beam time: no applicant reads who judges, nobody of a confidential proposal."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.audit import queries as audit
from portal.audit.models import Record
from portal.organisations import rules as roles
from portal.organisations.models import Organisation
from scheduler.beamtime import answering, trails
from scheduler.panels import assessing, rules, seating
from scheduler.proposals import services
from tests import beam, make
from tests.portal.pages.reading import enter, text_of
from tests.scheduler.panels.test_judging import ask, give

pytestmark = pytest.mark.django_db


@pytest.fixture
def s():
    return beam.site()


def shown(who, page: str, *args: str) -> str:
    return text_of(enter(Client(), who).get(reverse(page, args=args)))


def judged(s, leader):
    """Return a proposal whose findings are there and that two reviewers graded."""
    made = beam.proposal(s, state="admitted", leader=leader)
    for kind, who in ((rules.AssessmentKind.TECHNICAL, s.scientist), (rules.AssessmentKind.SAFETY, s.safety)):
        passed = assessing.Finding(kind, passed=True, safety_class="green" if kind.value == "safety" else "")
        assessing.assess(actor=who, proposal=made, finding=passed, now=make.NOW)
    made.refresh_from_db()
    for at, row in enumerate(ask(s, made, 0, 1)):
        give(s, row, "4.0", at)
    return made


def test_a_researcher_of_the_facilitys_own_institute_is_not_told_who_judges_her_proposal(s):
    inside = make.actor(s.owner, roles.Role.RESEARCHER, name="所内申请人")
    made = judged(s, inside)
    pages = shown(inside, "proposal", made.number), shown(inside, "dashboard")
    for said in ("评审0", "评审1", "安全员", "线站科学家"):
        assert not any(said in page for page in pages), said
    assert "评审0" in shown(s.office, "proposal", made.number), "the office reads whom it asked"
    seen = shown(s.scientist, "proposal", made.number)
    assert "安全员" in seen, "staff read each other's findings"
    assert "评审0" not in seen, "who grades is the office's and the director's to know"


def test_an_officer_who_is_in_the_team_is_not_told_who_judges_it(s):
    both = make.actor(s.owner, roles.Role.USER_OFFICER, roles.Role.RESEARCHER, name="兼任者")
    made = judged(s, both)
    assert "评审0" not in shown(both, "proposal", made.number)
    assert "评审0" not in shown(both, "dashboard")


def test_seats_of_panels_are_told_to_who_runs_the_facility_alone(s):
    inside = make.actor(s.owner, roles.Role.RESEARCHER, name="所内研究员")
    newcomer = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.RESEARCHER, name="新评审")
    account = make.user_of(newcomer).username
    seating.seat(actor=s.office, panel=s.panel, person=account, name="新评审", is_chair=False, now=make.NOW)
    seats = {
        who.label: [
            one.data["who"] for one in trails.readable(audit.lately(who), who).filter(subject__startswith="panel:")
        ]
        for who in (inside, s.planner, s.director)
    }
    assert seats == {inside.label: [], s.planner.label: [], s.director.label: ["新评审"]}


def test_nobody_but_its_team_and_who_serves_it_reads_the_number_of_a_confidential_proposal(s):
    visit = beam.visit(s, state="offered", kind="proprietary", call=None, is_confidential=True, pool="industry")
    proposal = visit.allocation.request.proposal
    made = beam.proposal(s, state="submitted", kind="proprietary", call=None, is_confidential=True)
    services.admit(actor=s.office, proposal=made, now=make.NOW)
    answering.accept(actor=s.leader, visit=visit, now=make.NOW)
    colleague = make.actor(proposal.organisation, roles.Role.RESEARCHER, name="同事")
    inside = make.actor(s.owner, roles.Role.RESEARCHER, name="所内研究员")
    for who in (colleague, inside, s.planner, s.director):
        page = shown(who, "dashboard")
        assert made.number not in page, who.label
        assert visit.number not in page, who.label
    for who in (s.leader, s.office):
        page = shown(who, "dashboard")
        assert made.number in page, who.label
        assert visit.number in page, who.label


def test_reviewers_colleagues_are_not_told_and_auditors_read_everything(s):
    made = judged(s, s.leader)
    organisation = Organisation.objects.get(pk=s.graders[0].organisation_id)
    colleague = make.actor(organisation, roles.Role.RESEARCHER, name="评审的同事")
    assert made.number not in shown(colleague, "dashboard")
    assert made.number in shown(s.graders[0], "dashboard"), "what one did oneself one may read"
    auditor = make.actor(make.organisation(roles.Kind.DEPARTMENT), roles.Role.AUDITOR)
    assert set(trails.readable(Record.objects.all(), auditor)) == set(Record.objects.all())
