"""Visits over HTTP: the whole way of one, by those whose part it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.organisations import rules as roles
from scheduler.beamtime.models import BeamVisit
from tests import beam, make
from tests.calling import Caller, queries_of

HOUR = timedelta(hours=1)


@pytest.fixture
def s(db):
    return beam.site()


def at(monkeypatch, moment):
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)


def test_the_whole_way_of_a_visit(s, monkeypatch):
    at(monkeypatch, make.NOW)
    visit = beam.visit(s)
    team, hall, safe, head = Caller(s.leader), Caller(s.scientist), Caller(s.safety), Caller(s.director)
    path = f"/visits/{visit.number}"
    refused = hall.post(f"{path}/ready")
    assert (refused.status, refused.code) == (409, "visit.not_ready")
    assert refused.reasons == ["visit.sample", "visit.safety", "visit.participants"]
    assert all(one["remedy"] for one in refused.body["reasons"])
    (me,) = team.get(path).body["team"]
    assert (me["is_leader"], me["comes"], me["trained_until"]) == (True, False, None)
    team.post(f"{path}/participants", {"participants": [me["user"]]})
    hall.post(f"{path}/approve", {"form": "sample"})
    safe.post(f"{path}/approve", {"form": "safety"})
    left = safe.post(f"{path}/training", {"email": me["email"], "until": "2027-03-01"}).body
    assert (left["missing"], left["team"][0]["trained_until"]) == ([], "2027-03-01")
    assert hall.post(f"{path}/ready").body["state"] == "ready"
    at(monkeypatch, beam.FIRST)
    assert hall.post(f"{path}/check-in").status == 200
    assert hall.post(f"{path}/start").body["state"] == "running"
    at(monkeypatch, beam.FIRST + 24 * HOUR)
    span = {"starts_at": "2027-01-12T02:00:00+08:00", "ends_at": "2027-01-12T08:00:00+08:00"}
    losses = f"/facilities/{s.facility.code}/losses"
    made = hall.post(losses, {"beamline": "BL01", **span, "cause": "machine", "note": "真空泄漏"})
    assert (made.status, made.body["cause_label"]) == (201, "加速器故障")
    done = hall.post(f"{path}/finish", {}).body
    assert (done["state"], done["had_min"], done["lost_min"], done["own_lost_min"]) == ("done", 1080, 360, 0)
    (listed,) = head.get(f"/facilities/{s.facility.code}/compensations").body["items"]
    assert (listed["visit"], listed["lost_min"], listed["state"], listed["shifts"]) == (
        visit.number,
        360,
        "listed",
        None,
    )
    team.post(f"{path}/compensation/ask", {"note": "还差一个温度点"})
    given = head.post(f"{path}/compensation", {"shifts": 1, "note": "机器故障"}).body
    assert (given["state"], given["shifts"], given["asked_note"]) == ("granted", 1, "还差一个温度点")
    assert head.post(f"{path}/compensation", {"shifts": 0, "note": "不"}).code == "conflict.transition"
    file = SimpleUploadedFile(make.REPORT.name, make.REPORT.content)
    closed = team.upload(f"{path}/report", summary="观察到相变。", publications="Nature 2027", file=file).body
    assert (closed["state"], closed["report"], closed["report_file"]) == ("closed", "观察到相变。", make.REPORT.name)
    for reader in (team, hall):
        assert reader.get(f"{path}/report/file").body == make.REPORT.content
    voided = hall.post(f"{losses}/{made.body['id']}/void").body
    assert voided["void_at"] is not None
    assert team.get(path).body["had_min"] == 1440
    assert [one["id"] for one in hall.get(losses).body["items"]] == [made.body["id"]]


def test_strangers_find_nothing_and_lists_take_the_same_queries_however_long(s, monkeypatch):
    at(monkeypatch, make.NOW)
    one = beam.visit(s, kind="proprietary", is_confidential=True, title="秘密配方")
    firm = Caller(make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER))
    for path in ("", "/report/file", "/compensation"):
        assert firm.get(f"/visits/{one.number}{path}").status == 404
    assert firm.get("/visits").body["items"] == []
    hall = Caller(s.scientist)
    few = queries_of(lambda: hall.get("/visits"))
    for day in range(2, 8):
        beam.visit(s, day=day)
    assert queries_of(lambda: hall.get("/visits")) == few
    assert len(hall.get("/visits", state="scheduled", facility=s.facility.code).body["items"]) == 7
    assert hall.get("/visits", state="closed").body["items"] == []
    assert BeamVisit.objects.count() == 7


def test_a_loss_that_is_no_span_or_of_another_facility_is_refused(s, monkeypatch):
    at(monkeypatch, beam.FIRST + HOUR)
    hall, other = Caller(s.scientist), beam.site()
    span = {"starts_at": "2027-01-12T02:00:00+08:00", "ends_at": "2027-01-12T01:00:00+08:00"}
    answer = hall.post(f"/facilities/{s.facility.code}/losses", {"beamline": "BL01", **span, "cause": "machine"})
    assert (answer.status, answer.code) == (422, "invalid.period")
    span["ends_at"] = "2027-01-12T03:00:00+08:00"
    theirs = hall.post(f"/facilities/{other.facility.code}/losses", {"beamline": "BL01", **span, "cause": "machine"})
    assert theirs.status == 404
    unknown = hall.post(f"/facilities/{s.facility.code}/losses", {"beamline": "BL99", **span, "cause": "machine"})
    assert unknown.status == 404


def test_figures_are_read_by_the_facility_and_the_department_and_nobody_else(s, monkeypatch):
    at(monkeypatch, beam.CYCLE.end)
    beam.visit(s, state="closed")
    address = f"/facilities/{s.facility.code}/figures/2027-I"
    department = make.actor(make.organisation(roles.Kind.DEPARTMENT), roles.Role.AUDITOR)
    for who in (s.director, s.office, department):
        found = Caller(who).get(address).body
        assert (found["availability"], found["oversubscription"], found["used"]) == ("1.0000", "1.0000", 3)
        assert found["delivered_min"] == found["planned_min"] == 2 * 174 * 480
    for who in (s.leader, beam.site().director, s.graders[0]):
        assert Caller(who).get(address).status == 404
    assert Caller(s.director).get(f"/facilities/{s.facility.code}/figures/none").status == 404
