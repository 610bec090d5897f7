"""Disputes as both parties and the department see and act on them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.organisations import rules as roles
from scheduler.disputes import services
from scheduler.disputes.models import Dispute
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of


@pytest.fixture
def scene(w, monkeypatch):
    """Two hours charged half to a voucher; it is the end of the use."""
    w.made = make.measured(w, make.booking(w, make.instrument(w), pay_with=make.voucher(w)))
    w.second = make.actor(w.lab, roles.Role.OWNER)
    w.end = w.made.ends_at
    monkeypatch.setattr("django.utils.timezone.now", lambda: w.end)
    return w


def tasks(client):
    return [one for one in client.get(reverse("dashboard")).context["tasks"] if "异议" in one.what]


def test_what_the_lab_upheld_waits_for_the_organisation_and_then_for_the_department(scene):
    row = services.open_dispute(actor=scene.researcher, booking=scene.made, claimed_s=60, reason="多计", now=scene.end)
    services.answer(actor=scene.keeper, dispute=row, counted_s=None, note="无误", now=scene.end)
    services.decide(actor=scene.second, dispute=row, counted_s=None, note="无误", now=scene.end)
    firm, department = enter(Client(), scene.researcher), enter(Client(), scene.approver)
    assert [task.what for task in tasks(firm)] == ["异议被维持收费，可请主管部门裁定"]
    assert tasks(department) == []
    services.appeal(actor=scene.researcher, dispute=row, note="有视频", now=scene.end)
    assert (tasks(firm), [task.what for task in tasks(department)]) == ([], ["裁定计时异议"])


def test_the_walk_from_the_booking_to_the_money(scene):
    firm, lab, head = (enter(Client(), who) for who in (scene.researcher, scene.keeper, scene.second))
    booking = reverse("booking", args=[scene.made.number])
    assert "对计时提出异议" in text_of(firm.get(booking))
    assert "对计时提出异议" not in text_of(lab.get(booking))
    form = reverse("booking_dispute", args=[scene.made.number])
    assert "已按 120 分钟收费" in text_of(firm.get(form))
    assert firm.post(form, {"minutes": "120", "note": "x"}).status_code == 422
    assert firm.post(form, {"minutes": "90", "note": ""}).status_code == 422
    assert firm.post(form, {"minutes": "90", "note": "十点半就结束了"}).status_code == 302
    row = Dispute.objects.get()
    page = reverse("dispute", args=[row.number])
    assert row.number in text_of(firm.get(booking))
    assert "撤回异议" in text_of(firm.get(page))
    assert [task.what for task in tasks(lab)] == ["答复计时异议"]
    answer, decide = (reverse("dispute_act", args=[row.number, act]) for act in ("answer", "decide"))
    assert lab.post(answer, {"minutes": "90", "note": "日志如此"}).status_code == 302
    assert "须由本单位另一位负责人裁定" in text_of(lab.get(page))
    assert (tasks(lab), [task.what for task in tasks(head)]) == ([], ["裁定计时异议"])
    assert lab.post(decide, {"minutes": "90", "note": "x"}).status_code == 403
    assert 'value="90"' in head.get(decide).content.decode()
    assert head.post(decide, {"minutes": "90", "note": "同意更正"}).status_code == 302
    text = text_of(firm.get(page))
    assert "已退回 ¥240.00" in text
    assert raw_codes(text) == []
    assert "这里没有异议" in text_of(firm.get(reverse("disputes")))
    assert row.number in text_of(lab.get(reverse("disputes"), {"tab": "over"}))
    assert firm.get(reverse("dispute_act", args=[row.number, "nonsense"])).status_code == 404


def test_the_api_tells_and_does_the_same(scene):
    firm, lab, department = (Caller(who) for who in (scene.researcher, scene.keeper, scene.approver))
    said = {"booking": scene.made.number, "used_s": 3600, "reason": "只用了一小时"}
    made = firm.post("/disputes", said)
    assert (made.status, made.body["state"], made.body["charged_s"]) == (201, "open", 7200)
    at = f"/disputes/{made.body['number']}"
    assert lab.post(f"{at}/answer", {"note": "时间无误"}).body["state"] == "answered"
    assert department.post(f"{at}/decide", {"note": "无相反证据"}).body["state"] == "settled"
    assert firm.get("/disputes").body["items"][0]["by_department"] is True
    assert firm.post(f"{at}/appeal", {"note": "x"}).status == 409
    assert firm.post(f"{at}/withdraw").status == 409


@pytest.mark.parametrize("count", [1, 6])
def test_the_list_asks_a_constant_number_of_questions(scene, count, django_assert_num_queries):
    for day in range(2, count + 2):
        made = make.measured(scene, make.booking(scene, scene.made.resource, period=make.slot(days=day)))
        services.open_dispute(actor=scene.researcher, booking=made, claimed_s=60, reason="多计了时间", now=made.ends_at)
    lab = enter(Client(), scene.keeper)
    with django_assert_num_queries(5):
        assert lab.get(reverse("disputes")).context["listing"].total == count
