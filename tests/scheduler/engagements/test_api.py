"""Engagements over HTTP: the whole way, and what strangers get."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import make
from tests.calling import Caller, queries_of

pytestmark = pytest.mark.usefixtures("clock")

DAY = (make.NOW.date() + timedelta(days=30)).isoformat()


def asked(resource, **more):
    said = {"title": "中试", "description": "放大配方", "wanted": "样品", "wanted_by": DAY}
    return {"instrument": resource.number, **said, **more}


def milestone(name, yuan):
    return {"name": name, "deliverable": "报告", "due_on": DAY, "price": {"yuan": yuan}}


def test_the_whole_way_from_request_to_rating(w):
    resource = make.instrument(w, modes=("self", "technical"))
    firm, lab = Caller(w.researcher), Caller(w.keeper)
    number = firm.post("/engagements", asked(resource), key="engagement-key-1").body["number"]
    path = f"/engagements/{number}"
    offer = {"milestones": [milestone("小试", "1000"), milestone("中试", "2000")], "acceptance_days": 7}
    (quoted,) = lab.post(f"{path}/quote", offer).body["quotes"]
    assert (quoted["price"]["fen"], quoted["acceptance_days"], quoted["state"]) == (300000, 7, "open")
    shown = firm.get(f"{path}/payment").body
    assert (shown["own"]["fen"], shown["voucher"]["fen"], len(shown["milestones"])) == (300000, 0, 2)
    assert firm.post(f"{path}/accept", {"version": 1, "price": {"yuan": "1"}}).code == "engagement.plan_changed"
    begun = firm.post(f"{path}/accept", {"version": 1, "price": {"yuan": "3000"}}).body
    assert (begun["state"], [row["state"] for row in begun["milestones"]]) == ("running", ["planned", "planned"])
    report = SimpleUploadedFile(make.REPORT.name, make.REPORT.content)
    given = lab.upload(f"{path}/milestones/1/deliver", file=report, note="见报告").body["milestones"][0]
    assert (given["state"], given["delivery_note"], len(given["files"])) == ("delivered", "见报告", 1)
    file = firm.get(f"{path}/milestones/1/files/{given['files'][0]['id']}")
    assert file.body == make.REPORT.content
    assert firm.post(f"{path}/milestones/1/return", {"note": " "}).code == "engagement.note"
    taken = firm.post(f"{path}/milestones/1/accept").body["milestones"][0]
    assert (taken["state"], taken["charge"]["actual"]["fen"]) == ("accepted", 100000)
    assert firm.post("/ratings", {"engagement": number, "stars": 5}).code == "rating.not_over"
    assert firm.post(f"{path}/stop", {"note": "够了"}).body["state"] == "stopped"
    assert firm.post("/ratings", {"engagement": number, "stars": 5}).status == 201
    assert firm.get(path).body["state"] == "closed"


def test_a_change_of_plan_is_refused_or_taken(w):
    found = make.planned(w, make.engagement(w, make.instrument(w, modes=("self", "technical"))))
    firm, lab, path = Caller(w.researcher), Caller(w.keeper), f"/engagements/{found.number}"
    change = {"milestones": [milestone("重做", "500")]}
    lab.post(f"{path}/quote", change)
    refused = firm.post(f"{path}/refuse", {"note": "太少"}).body
    assert [row["answer"] for row in refused["quotes"]] == ["", "太少"]
    assert firm.get(f"{path}/payment").status == 404
    lab.post(f"{path}/quote", change)
    taken = firm.post(f"{path}/accept", {"version": 3, "price": {"yuan": "500"}}).body
    assert [row["state"] for row in taken["milestones"]] == ["dropped", "dropped", "planned"]


def test_strangers_find_nothing_and_lists_cost_the_same(w):
    resource = make.instrument(w, modes=("self", "technical"))
    found = make.planned(w, make.engagement(w, resource))
    make.delivered(w, found)
    stranger = Caller(make.applicant())
    for path in ("", "/payment", "/milestones/1/files/1"):
        assert stranger.get(f"/engagements/{found.number}{path}").status == 404
    assert stranger.post(f"/engagements/{found.number}/milestones/1/accept").status == 404
    assert stranger.get("/engagements").body["items"] == []
    firm = Caller(w.researcher)
    one = queries_of(lambda: firm.get("/engagements"))
    make.engagement(w, resource)
    make.engagement(w, resource)
    assert queries_of(lambda: firm.get("/engagements")) == one
    assert len(firm.get("/engagements", state="running").body["items"]) == 1
    few = queries_of(lambda: firm.get(f"/engagements/{found.number}"))
    many = make.planned(w, make.engagement(w, resource), "1", "2", "3", "4", "5", "6")
    assert queries_of(lambda: firm.get(f"/engagements/{many.number}")) == few
