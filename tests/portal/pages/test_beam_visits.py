"""Visits on pages: what a team has to do, what the staff see, and what nobody else does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.organisations import rules as roles
from scheduler.beamtime.models import BeamLoss, BeamTraining, BeamVisit
from tests import beam, make
from tests.portal.pages.reading import enter, raw_codes, text_of

HOUR = timedelta(hours=1)


@pytest.fixture
def s(db, monkeypatch):
    site = beam.site()
    site.now = beam.FIRST
    monkeypatch.setattr("django.utils.timezone.now", lambda: site.now)
    return site


def act(client, visit, name, **said):
    return client.post(reverse("visit_act", args=[visit.number, name]), said)


def test_a_team_sees_what_to_do_until_when_and_does_it(s):
    coming, over = beam.visit(s, day=20), beam.visit(s, state="done", at=1)
    team = enter(Client(), s.leader)
    page = text_of(team.get(reverse("visits")))
    assert "样品单与安全审查获批" in page
    assert "提交实验报告" in page
    assert raw_codes(page) == []
    shown = text_of(team.get(reverse("visit", args=[coming.number])))
    assert "没有确认到场人员" in shown
    assert "确认准备就绪" not in shown
    assert act(team, coming, "confirm", participants=[s.leader.user_id]).status_code == 302
    assert coming.participants.count() == 1
    assert act(team, over, "report", summary="").status_code == 422
    bad = act(team, over, "report", summary="观察到相变。", file=SimpleUploadedFile("a.pdf", b"not a pdf"))
    assert bad.status_code == 409
    assert "观察到相变。" in bad.content.decode()
    good = act(team, over, "report", summary="观察到相变。", file=SimpleUploadedFile("a.pdf", make.REPORT.content))
    assert good.status_code == 302
    over.refresh_from_db()
    assert over.state == "closed"
    assert team.get(reverse("visit_report", args=[over.number])).content == make.REPORT.content
    listed = team.get(reverse("visits") + "?format=csv").content.decode()
    assert over.number in listed
    assert over.allocation.request.proposal.title not in listed


def test_the_staff_of_the_day_take_a_visit_from_missing_forms_to_its_end(s):
    visit = beam.visit(s)
    hall, safe, head = (enter(Client(), who) for who in (s.scientist, s.safety, s.director))
    desk = text_of(hall.get(reverse("beam_desk")))
    assert visit.number in desk
    assert "样品单未在开始前 14 天获批" in desk
    assert raw_codes(desk) == []
    refused = act(hall, visit, "ready")
    assert refused.status_code == 409
    assert "安全审查未在开始前 14 天通过" in text_of(refused)
    asked = reverse("visit_act", args=[visit.number, "ready"])
    inside = hall.post(asked, headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert inside.status_code == 409
    assert "安全审查未在开始前 14 天通过" in text_of(inside)
    assert 'class="top"' not in inside.content.decode(), (
        "a dialog is answered with a dialog, not with the whole page in it"
    )
    act(hall, visit, "sample")
    act(safe, visit, "safety")
    act(hall, visit, "late", reason="快递延误")
    act(enter(Client(), s.leader), visit, "confirm", participants=[s.leader.user_id])
    member = visit.allocation.request.proposal.team.get()
    act(safe, visit, "train", member=member.pk, until="2027-06-01")
    assert BeamTraining.objects.get().until.isoformat() == "2027-06-01"
    assert act(hall, visit, "ready").status_code == 302
    act(hall, visit, "check-in")
    act(hall, visit, "start")
    s.now = beam.FIRST + 30 * HOUR
    lost = {"beamline": s.lines[0].pk, "day": "2027-01-12", "start": "02:00", "end_day": "2027-01-12", "end": "08:00"}
    assert hall.post(reverse("beam_loss_new"), {**lost, "cause": "machine"}).status_code == 302
    assert act(hall, visit, "finish", ended_at="2027-01-12T20:00").status_code == 302
    visit.refresh_from_db()
    assert (visit.had_min, visit.lost_min, visit.own_lost_min) == (840, 360, 240)
    shown = text_of(hall.get(reverse("visit", args=[visit.number])))
    assert raw_codes(shown) == []
    assert "尚未决定；失束不会自动补偿。" in shown
    assert visit.number in text_of(head.get(reverse("beam_compensations")))
    act(head, visit, "compensate", shifts=1, note="机器故障")
    assert visit.made_up_by.get().shifts == 1
    loss = BeamLoss.objects.get()
    assert hall.post(reverse("beam_loss_void", args=[loss.pk])).status_code == 302
    assert "已撤销" in text_of(hall.get(reverse("beam_losses")))


def test_a_loss_typed_wrong_is_told_at_its_field_and_nothing_typed_is_lost(s):
    hall = enter(Client(), s.scientist)
    lost = {"beamline": s.lines[0].pk, "day": "2027-01-12", "start": "08:00", "end_day": "2027-01-12", "end": "02:00"}
    answer = hall.post(reverse("beam_loss_new"), {**lost, "cause": "machine", "note": "真空泄漏"})
    assert answer.status_code == 422
    assert "真空泄漏" in answer.content.decode()
    assert "end" in answer.context["form"].errors


def test_nobody_else_sees_a_visit_its_desk_or_its_figures(s):
    visit = beam.visit(s, kind="proprietary", is_confidential=True, title="秘密配方")
    rival = enter(Client(), make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER))
    other = enter(Client(), beam.site().scientist)
    for client in (rival, other):
        assert client.get(reverse("visit", args=[visit.number])).status_code == 404
    assert rival.get(reverse("beam_desk")).status_code == 403
    assert rival.get(reverse("facility_figures", args=[s.facility.code])).status_code == 403
    assert other.get(reverse("facility_figures", args=[s.facility.code])).status_code == 404
    assert visit.number not in text_of(other.get(reverse("beam_desk")))
    for client in (enter(Client(), s.scientist), enter(Client(), s.director)):
        assert "秘密配方" not in text_of(client.get(reverse("beam_desk")))
        assert "秘密配方" not in client.get(reverse("beam_visits") + "?format=csv").content.decode()


def test_figures_are_for_the_facility_and_the_department_with_a_file(s):
    beam.visit(s, state="closed")
    department = make.actor(make.organisation(roles.Kind.DEPARTMENT), roles.Role.AUDITOR)
    address = reverse("facility_figures", args=[s.facility.code])
    s.now = beam.CYCLE.end
    for who in (s.office, s.director, department):
        page = enter(Client(), who).get(address)
        assert page.status_code == 200
        assert "100%" in text_of(page)
        assert raw_codes(text_of(page)) == []
    rows = enter(Client(), s.director).get(address + "?format=csv").content.decode().splitlines()
    assert rows[1].split(",")[:2] == [s.facility.code, "2027-I"]


def test_the_desk_takes_the_same_queries_however_many_come(s):
    beam.visit(s, state="ready")
    hall = enter(Client(), s.scientist)
    hall.get(reverse("beam_desk"))
    with CaptureQueriesContext(connection) as few:
        hall.get(reverse("beam_desk"))
    for day in (1, 2, 3):
        beam.visit(s, day=day)
        beam.visit(s, day=day, at=1, state="ready")
    with CaptureQueriesContext(connection) as many:
        hall.get(reverse("beam_desk"))
    assert len(many) == len(few)
    assert BeamVisit.objects.count() == 7
