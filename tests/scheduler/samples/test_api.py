"""Sample orders and ratings over HTTP: the whole way, and what strangers get."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.organisations import rules as roles
from tests import make
from tests.calling import Caller, queries_of

pytestmark = pytest.mark.usefixtures("clock")

SAMPLE = {"label": "S-1", "hazards": ["corrosive"], "hazard_note": "20% 硫酸，戴手套"}


def asked(resource, **more):
    return {"instrument": resource.number, "title": "电解液", "wanted": "测酸度", "samples": [SAMPLE], **more}


def test_the_whole_way_from_request_to_rating(w):
    resource = make.instrument(w, modes=("self", "sample"))
    firm, lab = Caller(w.researcher), Caller(w.keeper)
    second = Caller(make.actor(w.lab, roles.Role.LAB_MANAGER))
    path = f"/samples/{firm.post('/samples', asked(resource), key='sample-key-1').body['number']}"
    lab.post(f"{path}/answer", {"feasibility": "can"})
    offer = {"unit": "sample", "unit_price": {"yuan": "260"}, "quantity": 1}
    assert lab.post(f"{path}/quote", offer).body["price"]["fen"] == 26000
    extra = lab.post(f"{path}/quote", {**offer, "surcharge": "数据分析", "surcharge_price": {"yuan": "40"}}).body
    assert (extra["price"]["fen"], extra["surcharge"], extra["surcharge_price"]["fen"]) == (30000, "数据分析", 4000)
    assert lab.post(f"{path}/quote", {**offer, "surcharge": "数据分析"}).code == "refused"
    lab.post(f"{path}/quote", offer)
    assert firm.post(f"{path}/accept", {"price": {"yuan": "250"}}).code == "sample.quote_changed"
    assert firm.post(f"{path}/accept", {"price": {"yuan": "260"}}).body["charge"]["own_held"]["fen"] == 26000
    held = lab.post(f"{path}/samples/1", {"act": "receive", "place": "酸柜"}).body
    assert (held["state"], held["samples"][0]["custody"][0]["place"]) == ("received", "酸柜")
    lab.post(f"{path}/queue")
    lab.post(f"{path}/start")
    report = SimpleUploadedFile(make.REPORT.name, make.REPORT.content)
    assert lab.upload(f"{path}/draft", report=report, counted=1, machine_s=3600).body["state"] == "drafted"
    assert firm.get(path).body["reports"] == []
    assert lab.post(f"{path}/review").code == "sample.same_eyes"
    second.post(f"{path}/review")
    second.post(f"{path}/issue")
    (kept,) = firm.get(path).body["reports"]
    assert firm.get(f"{path}/reports/{kept['id']}").body == make.REPORT.content
    assert firm.post("/ratings", {"sample": path[9:], "stars": 5}).code == "rating.not_over"
    assert firm.post(f"{path}/bill").body["charge"]["actual"]["fen"] == 26000
    rated = firm.post("/ratings", {"sample": path[9:], "stars": 4, "comment": "及时"})
    assert (rated.status, firm.get(path).body["state"]) == (201, "closed")
    assert firm.post("/ratings", {"sample": path[9:], "stars": 1}).code == "rating.given"
    lab.post(f"/ratings/{rated.body['id']}/answer", {"answer": "谢谢"})
    told = Caller(make.applicant()).get("/ratings", instrument=resource.number).body
    assert (told["average"], told["count"], told["items"][0]["answer"]) == ("4.0", 1, "谢谢")


def test_strangers_find_nothing_and_lists_cost_the_same(w):
    resource = make.instrument(w, modes=("self", "sample"))
    order = make.tested(w, resource)
    stranger = Caller(make.applicant())
    for path in ("", "/reports/1"):
        assert stranger.get(f"/samples/{order.number}{path}").status == 404
    assert stranger.post(f"/samples/{order.number}/bill").status == 404
    assert stranger.get("/samples").body["items"] == []
    firm = Caller(w.researcher)
    one = queries_of(lambda: firm.get("/samples"))
    make.accepted(w, make.quoted(w, make.sample_order(w, resource)))
    make.accepted(w, make.quoted(w, make.sample_order(w, resource)))
    assert queries_of(lambda: firm.get("/samples")) == one
