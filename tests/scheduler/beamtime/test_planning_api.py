"""Schedules and offers over HTTP: a draft from order to adoption, two planners, a team's answer."""

from __future__ import annotations

import pytest

from scheduler.beamtime import solving
from scheduler.beamtime.models import ScheduleDraft
from tests import beam, make
from tests.beam_writes import drafting
from tests.calling import Caller, queries_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def s(db):
    return beam.site()


@pytest.fixture
def planner(s):
    return Caller(s.planner)


def test_a_draft_from_order_to_the_teams_answer(s, planner):
    row = beam.granted(s)
    path = f"/beam-schedules/{s.facility.code}.{s.cycle.code}"
    made = planner.post(f"{path}/drafts", {"seconds": 1}, key="draft-key-1")
    assert (made.status, made.body["state"]) == (200, "queued")
    solving.solve(draft_id=made.body["id"], now=make.NOW)
    board = planner.get(path).body
    [place] = board["places"]
    assert (place["allocation"], place["faults"], board["waiting"]) == (row.pk, [], [])
    assert (len(board["shifts"]), [len(one["open"]) for one in board["lines"]]) == (180, [174, 174])
    assert board["draft"]["gap"] == 0
    draft = f"/beam-drafts/{made.body['id']}"
    spot = {"beamline": "BL01", "starts_at": "2027-02-13T00:00:00+08:00"}
    put = planner.post(f"{draft}/places/{row.pk}", {**spot, "version": place["version"]})
    assert (put.status, put.body["is_fixed"]) == (200, True)
    second = planner.post(f"{draft}/places/{row.pk}", {**spot, "version": place["version"]})
    assert (second.status, second.code) == (409, "beamtime.moved_meanwhile")
    assert "排班员" in second.body["detail"]
    assert "BL01 2027-02-13 00:00" in second.body["detail"]
    version = planner.get(draft).body["version"]
    [offer] = planner.post(f"{draft}/adopt", {"version": version}).body
    assert offer["title"] == ""
    leader = Caller(s.leader)
    [mine] = leader.get("/beam-offers").body["items"]
    assert (mine["number"], mine["state"], mine["title"]) == (offer["number"], "offered", row.request.proposal.title)
    accepted = leader.post(f"/beam-offers/{mine['number']}/accept", {"note": "带两名学生"})
    assert (accepted.status, accepted.body["state"]) == (200, "scheduled")
    moved = planner.post(
        f"/beam-offers/{mine['number']}/move",
        {"starts_at": "2027-02-16T00:00:00+08:00", "version": 2, "reason": "检修"},
    )
    assert (moved.status, moved.body["state"]) == (200, "offered")


def test_a_place_outside_user_beam_is_answered_with_what_is_wrong(s, planner):
    row = beam.granted(s)
    draft = drafting.draft(s, key="draft-key-1")
    where = {"beamline": "BL01", "starts_at": "2027-02-02T00:00:00+08:00"}
    looked = planner.get(f"/beam-drafts/{draft.pk}/places/{row.pk}/look", **where)
    assert [one["code"] for one in looked.body["faults"]] == ["beamtime.closed"]
    refused = planner.post(f"/beam-drafts/{draft.pk}/places/{row.pk}", {**where, "version": draft.version})
    assert (refused.status, refused.reasons) == (409, ["beamtime.closed"])
    assert refused.body["reasons"][0]["remedy"]
    for bad in ({"seconds": 0}, {"seconds": 601}, {"seconds": "a"}, {"other": 1}):
        path = f"/beam-schedules/{s.facility.code}.{s.cycle.code}/drafts"
        assert planner.post(path, bad, key="draft-key-3").status == 422


def test_titles_of_proprietary_proposals_are_told_to_no_planner(s, planner):
    row = beam.granted(s, pool="industry", is_confidential=True, kind="proprietary", call=None, title="绝密配方")
    [visit] = drafting.offered(s)
    path = f"/beam-schedules/{s.facility.code}.{s.cycle.code}"
    assert "绝密" not in str(planner.get(path).body)
    moved = planner.post(
        f"/beam-offers/{visit.number}/move",
        {"starts_at": "2027-02-16T00:00:00+08:00", "version": 1, "reason": "检修"},
    )
    assert moved.status == 200
    assert "绝密" not in str(moved.body)
    assert Caller(s.leader).get(f"/beam-offers/{visit.number}").body["title"] == row.request.proposal.title


def test_the_board_takes_as_many_queries_whatever_is_on_it(s, planner):
    path = f"/beam-schedules/{s.facility.code}.{s.cycle.code}"
    beam.granted(s, shifts=3)
    drafting.draft(s, key="draft-key-1")
    one = queries_of(lambda: planner.get(path))
    ScheduleDraft.objects.update(state="discarded")
    for at in range(12):
        beam.granted(s, shifts=3, at=at % 2)
    drafting.draft(s, key="draft-key-2")
    assert queries_of(lambda: planner.get(path)) == one <= 26
