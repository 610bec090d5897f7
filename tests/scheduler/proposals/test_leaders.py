"""A team whose leader has left her organisation is not locked: somebody of it takes the lead, or the user office names her."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.errors import Forbidden
from portal.organisations import rules as roles
from portal.organisations.models import Member
from scheduler.messages.models import Message
from scheduler.proposals import services, team
from scheduler.proposals.models import BeamProposal, TeamMember
from tests import beam, make
from tests.calling import Caller
from tests.portal.pages.reading import enter

pytestmark = pytest.mark.django_db


@pytest.fixture
def s():
    return beam.site()


def joined(s, ours: BeamProposal, name: str = "李四"):
    """Return somebody of the leader's organisation who has joined the team, and her place in it."""
    who = make.actor(ours.organisation, roles.Role.RESEARCHER, name=name)
    place = TeamMember.objects.create(
        proposal=ours,
        name=name,
        email=f"{who.user_id}@example.invalid",
        user_id=who.user_id,
        organisation=ours.organisation,
        state="joined",
        invited_at=make.NOW,
        answered_at=make.NOW,
    )
    return who, place


def leave(who) -> None:
    Member.objects.filter(user_id=who.user_id).update(left_at=make.NOW)


def test_nobody_takes_the_lead_while_the_leader_is_there(s):
    ours = beam.proposal(s, state="submitted")
    who, place = joined(s, ours)
    with pytest.raises(services.NotLeader):
        team.lead(actor=who, proposal=ours, member_id=place.pk, now=make.NOW)
    with pytest.raises(Forbidden):
        team.lead(actor=s.office, proposal=ours, member_id=place.pk, now=make.NOW)


@pytest.mark.parametrize("by", ["member", "office"])
def test_where_the_leader_has_left_the_team_or_the_user_office_names_another(s, by):
    ours = beam.proposal(s, state="submitted")
    who, place = joined(s, ours)
    leave(s.leader)
    actor = who if by == "member" else s.office
    with pytest.raises(Forbidden):
        team.lead(actor=s.planner, proposal=ours, member_id=place.pk, now=make.NOW)
    team.lead(actor=actor, proposal=ours, member_id=place.pk, now=make.NOW)
    assert ours.team.get(is_leader=True).user_id == who.user_id
    assert Message.objects.filter(user_id=who.user_id, about=ours.number).exists()
    services.withdraw(actor=who, proposal=ours, now=make.NOW)


def test_who_has_left_too_is_not_named(s):
    ours = beam.proposal(s, state="submitted")
    gone, place = joined(s, ours)
    leave(s.leader)
    leave(gone)
    with pytest.raises(services.NotJoined):
        team.lead(actor=s.office, proposal=ours, member_id=place.pk, now=make.NOW)


def test_page_and_api_offer_it_to_who_may(s):
    ours = beam.proposal(s, state="submitted")
    who, place = joined(s, ours)
    _other, second = joined(s, ours, "王五")
    page = reverse("proposal", args=[ours.number])
    assert 'value="lead"' not in enter(Client(), who).get(page).content.decode()
    leave(s.leader)
    assert 'value="lead"' in enter(Client(), who).get(page).content.decode()
    office = enter(Client(), s.office)
    assert 'value="lead"' in office.get(page).content.decode()
    done = office.post(reverse("proposal_act", args=[ours.number]), {"act": "lead", "member": place.pk})
    assert done.status_code == 302
    assert ours.team.get(is_leader=True).pk == place.pk
    leave(who)
    assert Caller(s.office).post(f"/beam-proposals/{ours.number}/team/{second.pk}/lead").status == 200
    assert ours.team.get(is_leader=True).pk == second.pk
