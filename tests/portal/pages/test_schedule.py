"""The schedule board and a team's offers as pages: without a script, in both languages, and who is let in."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from scheduler.beamtime import adopting, solving
from scheduler.beamtime.models import BeamVisit, DraftPlace, ScheduleDraft
from tests import beam
from tests.beam_writes import drafting
from tests.portal.pages.reading import enter, raw_codes, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

FREE = "2027-02-13T00:00:00+08:00"
SHUT = "2027-02-02T00:00:00+08:00"


@pytest.fixture
def s(db):
    return beam.site()


@pytest.fixture
def planner(s):
    return enter(Client(), s.planner)


def path(s):
    return reverse("schedule", args=[s.facility.code, s.cycle.code])


def act(client, s, name, **said):
    draft = ScheduleDraft.objects.order_by("-pk").first()
    known = {"draft": draft.pk, "version": draft.version, "seconds": 1} if draft else {"seconds": 1}
    return client.post(path(s), {"act": name, **known, **said}, follow=True)


def test_a_planner_goes_from_order_to_adoption_without_a_script(s, planner):
    row = beam.granted(s, bad=["2027-01-04"])
    assert "待排 1 项" in text_of(planner.get(path(s)))
    busy = act(planner, s, "order", idempotency_key="draft-key-1")
    assert "等待开始计算" in text_of(busy)
    draft = ScheduleDraft.objects.get()
    progress = reverse("schedule_progress", args=[draft.pk])
    assert planner.get(progress).status_code == 200
    solving.solve(draft_id=draft.pk, now=draft.made_at)
    assert planner.get(progress).headers["HX-Refresh"] == "true"
    page = planner.get(path(s), {"pick": f"A{row.pk}"})
    assert "任何排法最多再好 0%" in text_of(page)
    assert "课题组不能到场" in text_of(page)
    assert raw_codes(text_of(page)) == []
    seen = DraftPlace.objects.get().version
    put = act(planner, s, "put", number=f"A{row.pk}", line="BL01", at=FREE, seen=seen)
    assert "已移动并固定。" in text_of(put)
    again = act(planner, s, "put", number=f"A{row.pk}", line="BL01", at=FREE, seen=seen)
    assert again.status_code == 409
    assert "排班员 已先改动了这项安排" in text_of(again)
    seen = DraftPlace.objects.get().version
    assert "已解开" in text_of(act(planner, s, "unfix", number=f"A{row.pk}", seen=seen))
    assert "已发给课题组答复" in text_of(act(planner, s, "adopt"))
    visit = BeamVisit.objects.get()
    moved = act(
        planner, s, "move", number=f"V{visit.pk}", visit=visit.number, line="BL01", at=SHUT, seen=1, reason="检修"
    )
    assert "不全在用户束流时间内" in text_of(moved)


def test_what_is_dropped_outside_user_beam_is_refused_and_kept_in_the_form(s, planner):
    row = beam.granted(s)
    draft = drafting.draft(s, key="draft-key-1")
    refused = act(planner, s, "put", number=f"A{row.pk}", line="BL01", at=SHUT, seen=draft.version)
    assert refused.status_code == 409
    assert "不全在用户束流时间内" in text_of(refused)
    assert 'id="pick"' in refused.content.decode()
    look = reverse("schedule_look", args=[draft.pk])
    asked = {"number": f"A{row.pk}", "line": "BL01"}
    assert len(planner.get(look, {**asked, "at": SHUT}).json()["faults"]) == 1
    assert planner.get(look, {**asked, "at": FREE}).json() == {"faults": []}
    for bad in ({**asked, "at": "x"}, {**asked, "at": "2027-99-99T00:00:00+08:00"}, {}, {"number": "A", "at": FREE}):
        assert len(planner.get(look, bad).json()["faults"]) == 1
    for bad in ({"at": "nonsense"}, {"at": "2027-99-99T00:00:00Z"}, {"seen": "x"}, {"number": "B1"}, {"line": ""}):
        said = {"number": f"A{row.pk}", "line": "BL01", "at": FREE, "seen": draft.version, **bad}
        assert act(planner, s, "put", **said).status_code in {404, 409, 422}
    assert act(planner, s, "explode").status_code == 422


def test_what_ended_meanwhile_can_still_be_picked_and_taken_out(s, planner):
    row = beam.granted(s)
    draft = drafting.draft(s, key="draft-key-1")
    assert draft.places.count() == 1
    row.ended_at = draft.made_at
    row.save()
    assert 'id="pick"' in planner.get(path(s), {"pick": f"A{row.pk}"}).content.decode()
    assert act(planner, s, "take_out", number=f"A{row.pk}", seen=draft.places.get().version).status_code == 200
    assert not draft.places.exists()


def test_a_visit_beside_user_beam_can_be_picked_and_moved(s, planner):
    visit = beam.visit(s)
    s.cycle.periods.filter(mode="user").update(mode="study")
    assert 'id="pick"' in planner.get(path(s), {"pick": f"V{visit.pk}"}).content.decode()


def test_who_works_there_reads_and_others_are_told_it_is_not_theirs(s):
    beam.granted(s)
    drafting.draft(s, key="draft-key-1")
    for who in (s.office, s.scientist, s.director):
        client = enter(Client(), who)
        page = client.get(path(s))
        assert page.status_code == 200
        assert 'value="adopt"' not in page.content.decode()
        assert act(client, s, "adopt").status_code == 403
    assert enter(Client(), s.leader).get(path(s)).status_code == 403
    assert enter(Client(), beam.site().planner).get(path(s)).status_code == 404
    assert reverse("account_login") in Client().get(path(s)).headers["Location"]


def test_the_board_hides_whose_proprietary_work_it_is(s, planner):
    row = beam.granted(s, pool="industry", is_confidential=True, kind="proprietary", call=None, title="绝密配方")
    drafting.draft(s, key="draft-key-1")
    for more in ({}, {"pick": f"A{row.pk}"}, {"format": "csv"}):
        html = planner.get(path(s), more).content.decode()
        assert "绝密" not in html
        assert row.request.proposal.organisation.name not in html
        assert row.request.proposal.number in html


def test_the_board_is_a_table_of_shifts_and_asks_as_many_queries_whatever_is_on_it(s, planner):
    beam.granted(s, shifts=3)
    drafting.draft(s, key="draft-key-1")
    planner.get(path(s))
    with CaptureQueriesContext(connection) as one:
        html = planner.get(path(s)).content.decode()
    spans = [int(found) for found in re.findall(r'<td[^>]*colspan="(\d+)"', html)]
    assert html.count('data-at="') - len(spans) + sum(spans) == 2 * 180
    ScheduleDraft.objects.update(state="discarded")
    for at in range(12):
        beam.granted(s, shifts=3, at=at % 2)
    drafting.draft(s, key="draft-key-2")
    with CaptureQueriesContext(connection) as many:
        planner.get(path(s))
    assert len(one) == len(many)


def test_cycles_and_the_table_to_take_away(s, planner):
    beam.granted(s)
    listed = planner.get(reverse("schedules"))
    assert s.cycle.code in text_of(listed)
    drafting.draft(s, key="draft-key-1")
    file = planner.get(path(s), {"format": "csv"}).content.decode()
    assert "BL01" in file


class TestOffers:
    @pytest.fixture
    def visit(self, s):
        beam.granted(s)
        draft = drafting.draft(s, key="draft-key-1")
        [made] = adopting.adopt(actor=s.planner, draft=draft, version=draft.version, now=draft.made_at)
        return made

    @pytest.fixture
    def team(self, s):
        return enter(Client(), s.leader)

    def test_the_team_reads_and_accepts(self, s, visit, team):
        assert visit.number in text_of(team.get(reverse("beam_offers")))
        url = reverse("beam_offer", args=[visit.number])
        page = team.get(url)
        assert visit.allocation.request.proposal.title in text_of(page)
        assert raw_codes(text_of(page)) == []
        done = team.post(url, {"act": "accept", "note": "两人到场"}, follow=True)
        assert "已接受，机时已排定。" in text_of(done)
        again = team.post(url, {"act": "accept"}, follow=True)
        assert again.status_code == 200, "the same answer twice is one answer"
        assert team.get(reverse("beam_offers"), {"state": "scheduled", "format": "xlsx"}).status_code == 200

    def test_the_team_declines_with_its_reason_kept(self, s, visit, team):
        url = reverse("beam_offer", args=[visit.number])
        assert team.post(url, {"act": "decline", "note": "x" * 501}).status_code in {409, 422}
        done = team.post(url, {"act": "decline", "note": "样品未到"}, follow=True)
        assert "样品未到" in text_of(done)
        assert "谢绝" in text_of(done)

    def test_strangers_find_nothing(self, s, visit):
        other = beam.site()
        url = reverse("beam_offer", args=[visit.number])
        assert enter(Client(), other.leader).get(url).status_code == 404
        assert enter(Client(), s.planner).get(url).status_code == 403
