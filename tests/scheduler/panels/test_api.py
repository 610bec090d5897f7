"""Judging over HTTP: whose each write is, what a reviewer and a team read, and the refusals of the issue in words."""

from __future__ import annotations

import json

import pytest

from portal.organisations.models import Member
from tests import beam, make
from tests.beam_writes import BEAM_ROLES, panels
from tests.calling import Caller, queries_of
from tests.scheduler.panels.test_judging import ask, drafted, give, graded, seat_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def s():
    return beam.site()


def test_each_write_is_for_whose_it_is(s, monkeypatch):
    monkeypatch.setattr("portal.throttling.WRITES_PER_MINUTE", 10_000)
    numbers = panels.things(s)
    callers = {role: Caller(s.graders[1] if role == "grader" else getattr(s, role)) for role in BEAM_ROLES}
    wrong = []
    for write in panels.WRITES:
        for role in BEAM_ROLES:
            if role in write.roles:
                continue
            text = json.dumps([write.operation, write.body])
            for name, number in numbers.items():
                text = text.replace(f"{{{name}}}", number)
            operation, body = json.loads(text)
            method, path = operation.split()
            answer = getattr(callers[role], method.lower())(path, body)
            if answer.status not in {403, 404}:
                wrong.append((operation, role, answer.status, answer.body))
    assert wrong == []


def test_a_reviewer_of_the_teams_institute_is_told_why_and_shown_nothing(s):
    made = beam.proposal(s)
    (row,) = ask(s, made, 1)
    Member.objects.create(user_id=s.graders[1].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"])
    caller = Caller(s.graders[1], language="en")
    shown = caller.get(f"/reviews/{row.pk}").body
    assert (shown["title"], shown["summary"]) == ("", "")
    assert [one["code"] for one in shown["conflicts"]] == ["panel.conflict_institute"]
    answer = caller.post(f"/reviews/{row.pk}/grade", {"grade": "4.0", "to_team": "好"})
    assert (answer.status, answer.reasons) == (409, ["panel.conflict_institute"])
    assert "课题负责人" not in json.dumps(answer.body, ensure_ascii=False)


def test_the_office_is_told_with_whom(s):
    made = beam.proposal(s)
    Member.objects.create(user_id=s.graders[1].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"])
    office = Caller(s.office)
    seat = seat_of(s, 1).pk
    answer = office.post(f"/panels/{s.panel.pk}/ask", {"proposal": made.number, "panelist": seat})
    assert (answer.status, answer.code) == (409, "panel.conflict")
    assert answer.body["reasons"][0]["text"] == "评审人与课题组成员属于同一单位：课题负责人"
    (judged,) = office.get(f"/panels/{s.panel.pk}").body["proposals"]
    assert [one["panelist"] for one in judged["conflicts"]] == [seat]


def test_a_chair_from_elsewhere_is_told_of_bonds_but_no_person(s):
    made = beam.proposal(s)
    Member.objects.create(user_id=s.graders[1].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"])
    (judged,) = Caller(s.graders[0]).get(f"/panels/{s.panel.pk}").body["proposals"]
    assert [one["code"] for one in judged["conflicts"][0]["reasons"]] == ["panel.conflict_institute"]
    assert "课题负责人" not in json.dumps(judged, ensure_ascii=False)
    elsewhere = make.actor(make.organisation(beam.roles.Kind.PROVIDER), beam.roles.Role.USER_OFFICER)
    s.panel.panelists.filter(is_chair=True).update(user_id=elsewhere.user_id)
    (judged,) = Caller(elsewhere).get(f"/panels/{s.panel.pk}").body["proposals"]
    assert judged["number"] == made.number
    assert "课题负责人" not in json.dumps(judged, ensure_ascii=False), "another facility's office is a stranger here"


def test_who_reviews_the_own_teams_proposal_and_how_is_shown_to_nobody_of_it(s):
    mine, other = graded(s), graded(s)
    page = f"/panels/{s.panel.pk}"
    for who in (s.graders[0], s.office):
        mine.team.update(user_id=who.user_id)
        shown = {one["number"]: one for one in Caller(who).get(page).body["proposals"]}
        assert (shown[mine.number]["gradings"], shown[mine.number]["is_hidden"]) == ([], True)
        assert len(shown[other.number]["gradings"]) == 2


def test_a_grade_off_the_scale_names_field_and_ends(s):
    (row,) = ask(s, beam.proposal(s), 0)
    answer = Caller(s.graders[0]).post(f"/reviews/{row.pk}/grade", {"grade": "5.6", "to_team": "好"})
    assert (answer.status, answer.code) == (422, "panel.grade")
    assert "5.5" in answer.body["detail"]
    assert list(answer.body["fields"]) == ["grade"]


def test_who_proposed_a_list_does_not_decide_it(s):
    both = make.actor(s.owner, beam.roles.Role.USER_OFFICER, beam.roles.Role.FACILITY_DIRECTOR)
    graded(s)
    row, caller = drafted(s), Caller(both)
    assert caller.post(f"/rankings/{row.pk}/propose", {"version": row.version}).status == 200
    answer = caller.post(f"/rankings/{row.pk}/decide", {"version": row.version + 1})
    assert (answer.status, answer.code) == (403, "panel.same_person")
    given = Caller(s.director).post(f"/rankings/{row.pk}/decide", {"version": row.version + 1}).body["given"]
    assert [(one["pool"], one["shifts"]) for one in given] == [("open", 6)]


def test_a_team_reads_reasons_and_no_reviewer(s):
    made = graded(s)
    leader = Caller(s.leader)
    assert leader.get(f"/beam-answers/{made.number}").body["comments"] == [], "nothing before it is decided"
    row = drafted(s)
    step = Caller(s.office).post(f"/rankings/{row.pk}/propose", {"version": row.version}).body
    Caller(s.director).post(f"/rankings/{row.pk}/decide", {"version": step["version"]})
    body = leader.get(f"/beam-answers/{made.number}").body
    assert body["comments"] == ["很好。", "很好。"]
    assert [(one["place"], one["shifts"], one["by"]) for one in body["places"]] == [(1, 6, "grade")]
    assert not any(str(make.user_of(one)) in json.dumps(body, ensure_ascii=False) for one in s.graders)
    assert Caller(s.graders[0]).get(f"/beam-answers/{made.number}").status == 404


def test_a_panel_is_read_with_constant_queries(s):
    caller = Caller(s.office)
    for at, row in enumerate(ask(s, beam.proposal(s), 0, 1)):
        give(s, row, "4", at)
    few = queries_of(lambda: caller.get(f"/panels/{s.panel.pk}"))
    for _ in range(4):
        ask(s, beam.proposal(s), 0, 1)
    assert queries_of(lambda: caller.get(f"/panels/{s.panel.pk}")) == few


def test_reviews_are_listed_with_constant_queries(s):
    caller = Caller(s.graders[1])
    ask(s, beam.proposal(s), 1)
    few = queries_of(lambda: caller.get("/reviews"))
    for _ in range(4):
        ask(s, beam.proposal(s), 1)
    assert queries_of(lambda: caller.get("/reviews")) == few
    assert len(caller.get("/reviews").body["items"]) == 5


def test_what_waits_for_whom(s):
    made = beam.proposal(s, state="admitted", kind="urgent", call=None)
    scientist, safety = Caller(s.scientist), Caller(s.safety)

    def waits(caller, kind):
        return [one["number"] for one in caller.get("/assessments", kind=kind).body["items"]]

    assert waits(scientist, "technical") == waits(safety, "safety") == [made.number]
    assert waits(safety, "technical") == []
    assert waits(Caller(s.director), "urgency") == [made.number]
    answer = scientist.post(f"/assessments/{made.number}", {"kind": "technical", "passed": True, "shifts": 3})
    assert (answer.status, answer.body["findings"][0]["kind"]) == (201, "technical")
    assert waits(scientist, "technical") == []
