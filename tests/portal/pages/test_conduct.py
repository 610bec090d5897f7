"""The lab's desk of violations and its rule, and the enterprise's own view."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings import services as bookings
from scheduler.conduct import queries, rules
from scheduler.conduct.models import Violation
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of


@pytest.fixture
def scene(w):
    w.sem = make.instrument(w)
    w.firm, w.desk = enter(Client(), w.researcher), enter(Client(), w.keeper)
    return w


def said(**more):
    usual = {"grace_min": 60, "ratio_percent": 200, "warn_at": 2, "watch_at": 3, "suspend_at": 4}
    weights = {f"points_{kind.value}": 1 for kind in rules.ViolationKind}
    return {**usual, "window_days": 365, "suspend_days": 30, **weights, **more}


def test_the_desk_the_rule_and_an_appeal(scene, monkeypatch):
    desk, page = reverse("conduct"), reverse("conduct_rule")
    assert "现在不计违约" in text_of(scene.desk.get(desk))
    assert scene.desk.post(page, said(warn_at=9)).status_code == 422
    assert scene.firm.get(page).status_code == 403
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    assert scene.desk.post(page, said(points_damage=3)).status_code == 302
    assert queries.rule_of(scene.lab.pk).weighs(rules.ViolationKind.DAMAGE) == 3
    made = bookings.confirm(actor=scene.keeper, booking=make.booking(scene, scene.sem), now=make.NOW)
    bookings.miss(actor=scene.keeper, booking=made, now=made.starts_at)
    monkeypatch.setattr("django.utils.timezone.now", lambda: made.starts_at + timedelta(hours=1))
    form = reverse("booking_violation", args=[made.number])
    assert scene.desk.post(form, {"kind": "no_show", "note": "x"}).status_code == 422
    assert scene.desk.post(form, {"kind": "damage", "note": "探头破损"}).status_code == 302
    text = text_of(scene.firm.get(desk))
    assert "未到场" in text
    assert "探头破损" in text
    assert "预约已暂停" in text
    assert raw_codes(text) == []
    row = Violation.objects.get(kind="damage")
    acts = {act: reverse("violation_act", args=[row.pk, act]) for act in ("appeal", "lift", "uphold")}
    assert scene.firm.post(acts["lift"], {"note": "x"}).status_code == 403
    assert scene.firm.post(acts["appeal"], {"note": ""}).status_code == 422
    assert scene.firm.post(acts["appeal"], {"note": "交接时已坏"}).status_code == 302
    assert "交接时已坏" in text_of(scene.desk.get(desk, {"tab": "appealed"}))
    assert "答复违约申诉" in text_of(scene.desk.get(reverse("dashboard")))
    assert scene.desk.post(acts["lift"], {"note": "核实无误"}).status_code == 302
    assert "答复违约申诉" not in text_of(scene.desk.get(reverse("dashboard")))
    assert "预约已暂停" not in text_of(scene.firm.get(desk))


def test_the_lab_sees_points_where_it_decides(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    scene.desk.post(reverse("conduct_rule"), said(points_no_show=2))
    made = bookings.confirm(actor=scene.keeper, booking=make.booking(scene, scene.sem), now=make.NOW)
    asked = make.booking(scene, scene.sem, period=make.slot(days=3))
    bookings.miss(actor=scene.keeper, booking=made, now=made.starts_at)
    monkeypatch.setattr("django.utils.timezone.now", lambda: made.ends_at)
    page = reverse("booking", args=[asked.number])
    assert "违约记分 2 分" in text_of(scene.desk.get(page))
    assert "违约记分" not in text_of(scene.firm.get(page))


def test_the_api_sets_tells_and_decides(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    lab, firm = Caller(scene.keeper), Caller(scene.researcher)
    assert lab.get("/conduct/rule").status == 404
    assert lab.put("/conduct/rule", {"suspend_at": 2}).status == 422
    assert lab.put("/conduct/rule", {"points": {"other": 5, "damage": 0}}).body["points"]["other"] == 5
    made = make.booking(scene, scene.sem)
    at = f"/bookings/{made.number}/violations"
    assert lab.post(at, {"kind": "damage", "note": "探头破损"}).code == "conduct.no_rule"
    told = lab.post(at, {"kind": "other", "note": "未打扫"}).body
    assert (told["points"], told["state"]) == (5, "counted")
    [stands] = firm.get("/conduct/standings").body
    assert (stands["level"], stands["points"]) == ("suspended", 5)
    assert firm.post(f"/conduct/violations/{told['id']}/appeal", {"note": "已打扫"}).body["state"] == "appealed"
    assert (
        lab.post(f"/conduct/violations/{told['id']}/decide", {"lift": True, "note": "误记"}).body["state"] == "lifted"
    )
    assert firm.get("/conduct/violations").body["items"][0]["answer_note"] == "误记"


@pytest.mark.parametrize("count", [1, 5])
def test_the_list_asks_a_constant_number_of_questions(scene, count, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    scene.desk.post(reverse("conduct_rule"), said(suspend_at=9))
    for day in range(1, count + 1):
        made = make.booking(scene, scene.sem, period=make.slot(days=day))
        bookings.confirm(actor=scene.keeper, booking=made, now=make.NOW)
        bookings.miss(actor=scene.keeper, booking=made, now=made.starts_at)
    with django_assert_num_queries(8):
        assert scene.desk.get(reverse("conduct")).context["listing"].total == count
