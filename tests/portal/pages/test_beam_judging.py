"""Judging as people see it: reviewer, staff, office, director and team, with every refusal in words."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.translation import override

from portal.organisations import rules as roles
from portal.organisations.models import Member
from portal.pages.actions import Event
from scheduler.beamtime import reporting
from scheduler.beamtime.models import BeamAllocation
from scheduler.panels import grading
from scheduler.panels.models import Assessment, Grading, Panel, Ranking
from scheduler.proposals.models import TeamMember
from tests import beam, make
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.scheduler.panels.test_judging import ask, drafted, graded, proposed

pytestmark = pytest.mark.django_db


@pytest.fixture
def s():
    return beam.site()


def as_(who) -> Client:
    return enter(Client(), who)


def test_navigation_leads_whoever_sits_on_a_panel_to_her_reviews(s):
    seated, other = as_(s.graders[0]), as_(s.leader)
    ask(s, beam.proposal(s), 0)
    assert "机时评审" in text_of(seated.get(reverse("dashboard")))
    assert reverse("beam_reviews") in seated.get(reverse("organisation")).content.decode()
    assert "评审机时申请" in [one.what for one in seated.get(reverse("dashboard")).context["tasks"]]
    assert reverse("beam_reviews") not in other.get(reverse("dashboard")).content.decode()


def test_a_reviewer_grades_and_what_she_typed_stays_where_it_is_off_the_scale(s):
    made = beam.proposal(s)
    (row,) = ask(s, made, 0)
    client, page = as_(s.graders[0]), reverse("beam_review", args=[row.pk])
    listed = text_of(client.get(reverse("beam_reviews")))
    assert made.number in listed
    assert made.title in listed
    shown = text_of(client.get(page))
    assert made.title in shown
    assert "从 0 到 5.5，步长 0.1；5.5 为最好。" in shown
    bad = client.post(page, {"grade": "5.6", "to_team": "实验设计合理。", "to_panel": ""})
    assert bad.status_code == 422
    assert "实验设计合理。" in bad.content.decode()
    assert "评分须在 0 到 5.5 之间" in text_of(bad)
    assert client.post(page, {"grade": "4.5", "to_team": "好", "to_panel": ""}).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.grade_c) == ("graded", 450)
    assert as_(s.graders[1]).get(page).status_code == 404


def test_who_is_of_the_institute_is_told_why_and_shown_nothing_and_steps_back(s):
    made = beam.proposal(s)
    (row,) = ask(s, made, 0)
    Member.objects.create(user_id=s.graders[0].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"])
    client, page = as_(s.graders[0]), reverse("beam_review", args=[row.pk])
    shown = text_of(client.get(page))
    assert "您须回避" in shown
    assert "同一单位" in shown
    assert made.title not in shown
    assert "课题负责人" not in shown
    assert made.title not in text_of(client.get(reverse("beam_reviews")))
    refused = client.post(page, {"grade": "5", "to_team": "好", "to_panel": ""})
    assert refused.status_code == 409
    assert client.post(reverse("beam_review_recuse", args=[row.pk]), {"note": "同一单位"}).status_code == 302
    row.refresh_from_db()
    assert row.state == "recused"


def test_the_director_finds_what_waits_for_her_finding(s):
    assert reverse("assessments") in as_(s.director).get(reverse("dashboard")).content.decode()
    assert reverse("assessments") not in as_(s.planner).get(reverse("dashboard")).content.decode()


def test_a_team_comes_from_its_proposal_to_the_answer_and_back(s):
    made = beam.proposal(s, state="refused", decided_at=make.NOW, decision_note="样品不足。")
    team, page = as_(s.leader), reverse("proposal", args=[made.number])
    answer = reverse("beam_answer", args=[made.number])
    assert answer in team.get(page).content.decode()
    assert page in team.get(answer).content.decode()
    assert answer not in as_(s.office).get(page).content.decode(), "the answer is the team's"


def test_what_was_done_is_written_as_it_reads():
    done = Event(make.NOW, "提交", "某人", ["State: Awaiting the office's check"], "", "")
    assert "the office&#x27;s check" in render_to_string("parts/events.html", {"events": [done]})


def test_the_office_sees_conflicts_with_names_asks_and_is_refused_in_words(s):
    made = beam.proposal(s)
    Member.objects.create(user_id=s.graders[1].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"])
    office, page = as_(s.office), reverse("panel", args=[s.panel.pk])
    shown = text_of(office.get(page))
    assert "评审人与课题组成员属于同一单位：课题负责人" in shown
    act = reverse("panel_act", args=[s.panel.pk])
    seats = {seat.user_id: seat.pk for seat in s.panel.panelists.all()}
    bad = office.post(act, {"act": "ask", "proposal": made.number, "panelist": seats[s.graders[1].user_id]})
    assert bad.status_code == 409
    assert "评审人须回避" in text_of(bad)
    good = office.post(act, {"act": "ask", "proposal": made.number, "panelist": seats[s.graders[0].user_id]})
    assert good.status_code == 302
    asked = Grading.objects.get()
    assert office.post(act, {"act": "take_back", "grading": asked.pk}).status_code == 302
    staff = make.user_of(s.scientist).username
    assert "不能进入评审组" in text_of(office.post(act, {"act": "seat", "person": staff, "name": "线站科学家"}))
    person = make.user_of(s.leader).username
    wrong = office.post(act, {"act": "seat", "person": person, "name": "旁人"})
    assert wrong.status_code == 422
    assert 'value="旁人"' in wrong.content.decode(), "what was typed is still there"
    assert "课题负责人" not in text_of(wrong).partition("聘请评审人")[0].rpartition("解聘")[2]
    said = {"act": "seat", "person": person, "name": "课题负责人", "is_chair": "1"}
    assert office.post(act, said).status_code == 302
    assert s.panel.panelists.get(is_chair=True).user_id == s.leader.user_id
    assert as_(s.leader).get(page).status_code == 200, "the chair sees her panel"
    assert as_(s.graders[2]).get(page).status_code == 404
    form = {"call": s.call.number, "name": "二组", "name_en": "", "targets": "能源 4成"}
    assert "能源 40%" in text_of(office.post(reverse("panel_new"), form))
    assert office.post(reverse("panel_new"), {**form, "targets": "能源 40%\n水 60%"}).status_code == 302


def reported(s, *, title="铁电薄膜", **more):
    """Return an ended visit of the leader's with its report handed in."""
    visit = beam.visit(s, state="done", title=title, **more)
    given = reporting.ReportGiven("测得相变温度。", "", make.REPORT)
    return reporting.hand_in(actor=s.leader, visit=visit, given=given, now=beam.during(20).start)


def test_earlier_reports_lie_beside_a_new_proposal_and_titles_only_before_who_knows_them(s):
    given = reported(s)
    owed = beam.visit(s, state="done", day=3, title="欠交的课题")
    type(owed).objects.filter(pk=owed.pk).update(report_due=make.NOW - timedelta(days=1))
    hidden = beam.visit(s, state="done", day=6, title="保密课题", is_confidential=True)
    made = beam.proposal(s)
    row = grading.assign(
        actor=s.office, panel=s.panel, proposal=made, panelist=s.panel.panelists.get(is_chair=True), now=make.NOW
    )
    reviewer = as_(s.graders[0])
    said = text_of(reviewer.get(reverse("beam_review", args=[row.pk])))
    assert all(part in said for part in (given.number, "测得相变温度", owed.number, "报告逾期未交"))
    assert not any(part in said for part in ("铁电薄膜", "欠交的课题", hidden.number))
    file = reverse("judged_paper", args=[made.number, given.number])
    assert reviewer.get(file).status_code == 200
    assert reviewer.get(reverse("judged_paper", args=[made.number, owed.number])).status_code == 404
    assert reviewer.get(reverse("judged_paper", args=[made.number, hidden.number])).status_code == 404
    assert as_(s.graders[1]).get(file).status_code == 404, "she was not asked"
    for who in (s.office, s.scientist):
        staff = as_(who)
        assert "铁电薄膜" in text_of(staff.get(reverse("assessment", args=[made.number])))
        assert staff.get(file).status_code == 200
    page = reverse("proposal", args=[made.number])
    own = as_(s.leader).get(page)
    assert "铁电薄膜" in text_of(own)
    assert reverse("beam_answer", args=[made.number]) in own.content.decode()
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.RESEARCHER, name="新成员")
    about = {"user_id": other.user_id, "organisation_id": other.organisation_id, "state": "joined"}
    TeamMember.objects.create(proposal=made, name="新成员", email="n@example.invalid", invited_at=make.NOW, **about)
    new = text_of(as_(other).get(page))
    assert given.number in new
    assert "报告已交" in new
    assert not any(part in new for part in ("铁电薄膜", "测得相变温度")), "she was in no earlier team"


def test_beside_a_proposal_as_many_queries_however_many_reports(s):
    made = beam.proposal(s)
    page = reverse("assessment", args=[made.number])
    office = as_(s.office)
    office.get(page)
    counts = []
    for at in range(3):
        reported(s, day=3 * at)
        with CaptureQueriesContext(connection) as done:
            office.get(page)
        counts.append(len(done))
    assert counts[0] == counts[2]


def test_staff_find_and_the_team_is_told(s):
    made = beam.proposal(s, state="admitted")
    scientist = as_(s.scientist)
    assert made.number in text_of(scientist.get(reverse("assessments")))
    assert "审查机时申请" in [one.what for one in scientist.get(reverse("dashboard")).context["tasks"]]
    form = reverse("assessment_file", args=[made.number, "technical"])
    bad = scientist.post(form, {"passed": "no", "note": "内部", "to_team": "", "shifts": ""})
    assert "没有告诉课题组不通过的理由" in text_of(bad)
    good = {"passed": "no", "note": "", "to_team": "能量范围不够。", "shifts": ""}
    assert scientist.post(form, good).status_code == 302
    assert scientist.get(reverse("assessment_file", args=[made.number, "safety"])).status_code == 404
    leader = as_(s.leader)
    answer = reverse("beam_answer", args=[made.number])
    assert "能量范围不够。" in text_of(leader.get(answer))
    assert leader.post(reverse("appeal_new", args=[made.number]), {"text": "能量足够。"}).status_code == 302
    director = as_(s.director)
    assert "能量足够。" in text_of(director.get(reverse("appeals")))
    (task,) = [one for one in director.get(reverse("dashboard")).context["tasks"] if one.what == "答复机时申诉"]
    assert task.which == made.number
    reply = reverse("appeal_answer", args=[made.appeals.get().pk])
    assert director.post(reply, {"uphold": "yes", "text": "重新审查。"}).status_code == 302
    made.refresh_from_db()
    assert made.state == "admitted"
    assert "重新审查。" in text_of(leader.get(answer))


def arranged(row: Ranking, **changes: str) -> dict[str, str]:
    data = {"act": "arrange", "version": str(row.version)}
    for one in row.rows.all():
        data |= {f"place-{one.pk}": str(one.place), f"shifts-{one.pk}": str(one.shifts), f"then-{one.pk}": "reserve"}
        data |= {f"moved-{one.pk}": "", f"team-{one.pk}": ""}
    return data | changes


def test_a_chair_bound_to_a_team_sees_its_grade_neither_on_the_list_nor_in_its_table_nor_by_api(s):
    rival, friend = graded(s, "5.0"), graded(s, "1.2")
    row = drafted(s)
    friend.gradings.filter(panelist__user_id=s.graders[0].user_id).update(
        state="recused", grade_c=None, parties=["declared"]
    )
    chair, page = as_(s.graders[0]), reverse("ranking", args=[row.pk])
    shown = text_of(chair.get(page))
    assert "有 1 项申请您须回避" in shown
    assert rival.number in shown
    assert "保存排序" not in shown
    for told in (shown, chair.get(page, {"format": "csv"}).content.decode("utf-8-sig")):
        assert friend.number not in told
        assert "1.20" not in told
    said = chair.get(f"/api/v1/rankings/{row.pk}").json()
    assert ([one["number"] for one in said["rows"]], said["hidden"]) == ([rival.number], 1)
    refused = chair.post(page, arranged(row))
    assert refused.status_code == 409
    assert f"您须回避 {friend.number}" in text_of(refused)
    assert friend.title not in text_of(refused)
    assert friend.number in text_of(as_(s.office).get(page))


def test_a_list_is_drafted_arranged_with_reasons_proposed_and_decided_by_another(s):
    one, two = graded(s, "4.0"), graded(s, "3.0", waited=1)
    chair, director = as_(s.graders[0]), as_(s.director)
    rank = reverse("panel_rank", args=[s.panel.pk, "BL01"])
    assert "共 122 个班次，剩余 122 个" in text_of(chair.get(rank))
    assert chair.post(rank, {"shifts": "12", "without": ""}).status_code == 302
    row = Ranking.objects.get()
    page = reverse("ranking", args=[row.pk])
    shown = text_of(chair.get(page))
    assert "3.20" in shown
    assert "原 3.00，等待 1 个周期" in shown
    assert "按评分" in shown
    first, second = row.rows.order_by("place")
    swapped = arranged(row, **{f"place-{first.pk}": "2", f"place-{second.pk}": "1"})
    bad = chair.post(page, swapped)
    assert bad.status_code == 409
    assert f"{two.number} 的次序或班次与规则不同" in text_of(bad)
    assert chair.post(page, {**swapped, f"moved-{second.pk}": "国家任务"}).status_code == 302
    row.refresh_from_db()
    propose = reverse("ranking_act", args=[row.pk, "propose"])
    assert chair.post(propose, {"version": row.version, "note": ""}).status_code == 302
    row.refresh_from_db()
    decide = reverse("ranking_act", args=[row.pk, "decide"])
    assert as_(s.office).post(decide, {"version": row.version}).status_code == 403
    assert "批准机时排序" in [task.what for task in director.get(reverse("dashboard")).context["tasks"]]
    assert director.post(decide, {"version": row.version}).status_code == 302
    assert sorted(BeamAllocation.objects.values_list("shifts", flat=True)) == [6, 6]
    told = text_of(as_(s.leader).get(reverse("beam_answer", args=[one.number])))
    assert "获得 6 个班次（申请 6 个）" in told
    assert "第 2 位，评分 4.00" in told
    assert "很好。" in told
    csv = director.get(page, {"format": "csv"}).content.decode()
    assert "国家任务" in csv


def test_who_proposed_is_told_that_another_decides(s):
    both = make.actor(s.owner, roles.Role.USER_OFFICER, roles.Role.FACILITY_DIRECTOR)
    graded(s)
    row = drafted(s)
    client = as_(both)
    client.post(reverse("ranking_act", args=[row.pk, "propose"]), {"version": row.version, "note": ""})
    assert "须由另一人决定" in text_of(client.get(reverse("ranking", args=[row.pk])))
    refused = client.post(reverse("ranking_act", args=[row.pk, "decide"]), {"version": row.version + 1})
    assert refused.status_code == 403
    assert "这份排序由您草拟、编排或提出" in text_of(refused)


def test_a_list_that_somebody_else_changed_is_not_overwritten(s):
    graded(s)
    row = drafted(s)
    stale = arranged(row)
    drafted(s)
    answer = as_(s.office).post(reverse("ranking", args=[row.pk]), stale)
    assert answer.status_code == 409
    assert "已有他人修改" in text_of(answer)


def test_an_urgent_one_is_decided_directly_and_evaluated_afterwards(s):
    made = beam.proposal(s, kind="urgent", call=None, shifts=3)
    director = as_(s.director)
    assert made.number in text_of(director.get(reverse("grants")))
    form = reverse("grant", args=[made.number, "BL01"])
    shown = text_of(director.get(form))
    assert "紧急，剩余 9 个班次" in shown
    assert s.cycle.code in shown
    said = {"shifts": "3", "pool": "urgent", "to_team": "应急。", "cycle": s.cycle.code}
    assert director.post(form, said).status_code == 302
    office = as_(s.office)
    assert made.number not in text_of(office.get(reverse("assessments"), {"kind": "afterwards"}))
    made.refresh_from_db()
    beam.visit(s, of=made, state="done")
    assert made.number in text_of(office.get(reverse("assessments"), {"kind": "afterwards"}))
    after = reverse("assessment_file", args=[made.number, "afterwards"])
    assert office.post(after, {"passed": "yes", "note": "已发表", "to_team": ""}).status_code == 302
    assert Assessment.objects.get().kind == "afterwards"


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_no_page_shows_a_code(s, language):
    made = graded(s, waited=1)
    refused = beam.proposal(s, state="refused", at=1)
    refused.appeals.create(text="再看", by_id=s.leader.person, at=make.NOW)
    urgent = beam.proposal(s, kind="urgent", call=None)
    waiting = beam.proposal(s, state="admitted", at=1)
    row = proposed(s)
    (asked,) = ask(s, beam.proposal(s, at=1), 0)
    prefix = "" if language == "zh-hans" else "/en"
    for who, name, args in (
        (s.graders[0], "beam_reviews", []),
        (s.graders[0], "beam_review", [asked.pk]),
        (s.scientist, "assessments", []),
        (s.scientist, "assessment", [waiting.number]),
        (s.scientist, "assessment_file", [waiting.number, "technical"]),
        (s.office, "panels", []),
        (s.office, "panel", [s.panel.pk]),
        (s.office, "panel_new", []),
        (s.office, "panel_rank", [s.panel.pk, "BL02"]),
        (s.office, "ranking", [row.pk]),
        (s.director, "ranking_act", [row.pk, "decide"]),
        (s.director, "grants", []),
        (s.director, "grant", [urgent.number, "BL01"]),
        (s.office, "appeals", []),
        (s.leader, "beam_answer", [made.number]),
        (s.leader, "beam_answer", [refused.number]),
    ):
        with override("zh-hans"):
            path = reverse(name, args=args)
        answer = as_(who).get(prefix + path)
        assert answer.status_code == 200, name
        assert raw_codes(text_of(answer).replace("invalid", "")) == [], name


def test_pages_ask_the_same_however_much_there_is(s, django_assert_max_num_queries):
    for _ in range(3):
        graded(s)
    row, office = drafted(s), as_(s.office)
    with django_assert_max_num_queries(26):
        office.get(reverse("panel", args=[s.panel.pk]))
    with django_assert_max_num_queries(20):
        office.get(reverse("ranking", args=[row.pk]))


def lists_of(s):
    """Return each list of judging with who reads it: clients, addresses."""
    return {
        "panels": (as_(s.office), reverse("panels")),
        "assessments": (as_(s.scientist), reverse("assessments")),
        "reviews": (as_(s.graders[0]), reverse("beam_reviews")),
    }


def test_lists_of_judging_are_narrowed_and_taken_away_without_formulas(s):
    made = beam.proposal(s)
    ask(s, made, 0)
    waits = beam.proposal(s, state="admitted", title="=HYPERLINK(1)")
    other = beam.proposal(s, state="admitted", title="铁电薄膜", kind="long_term")
    s.panel.name = "+结构组"
    s.panel.save()
    shown = {"panels": "结构组", "assessments": waits.number, "reviews": made.number}
    for name, (client, path) in lists_of(s).items():
        for wanted in ("csv", "xlsx"):
            file = client.get(path, {"format": wanted})
            assert file["Content-Disposition"] == f'attachment; filename="{name}.{wanted}"'
        table = client.get(path, {"format": "csv"}).content.decode()
        assert shown[name] in table
        assert not any(line.startswith(("=", "+")) for line in table.replace(",", "\n").splitlines())
        assert shown[name] in text_of(client.get(path, {"q": shown[name], "pick": "nonsense", "page": "99"}))
        nothing = client.get(path, {"q": "没有这样的"})
        assert shown[name] not in text_of(nothing)
        assert nothing.status_code == 200
    client, path = lists_of(s)["assessments"]
    picked = text_of(client.get(path, {"pick": "long_term"}))
    assert other.number in picked
    assert waits.number not in picked


def test_a_ranking_is_taken_away_in_either_format(s):
    for grade in ("4", "3"):
        graded(s, grade)
    row = drafted(s, shifts=6)
    for wanted in ("csv", "xlsx"):
        file = as_(s.office).get(reverse("ranking", args=[row.pk]), {"format": wanted})
        assert file["Content-Disposition"] == f'attachment; filename="ranking-{row.pk}.{wanted}"'


@pytest.mark.parametrize("format_", ["", "csv"])
def test_lists_of_judging_ask_as_many_queries_whatever_is_on_them(s, format_):
    counts = {}
    for count in (1, 3):
        for at in range(count):
            ask(s, beam.proposal(s), 0)
            beam.proposal(s, state="admitted", at=at % 2)
            Panel.objects.create(facility=s.facility, call=s.call, name=f"{count}-{at}", created_at=make.NOW)
        for name, (client, path) in lists_of(s).items():
            client.get(path, {"format": format_})
            with CaptureQueriesContext(connection) as done:
                client.get(path, {"format": format_})
            counts.setdefault(name, []).append(len(done))
    assert all(first == last for first, last in counts.values()), counts
