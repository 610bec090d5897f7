"""Proposals on the pages: a team writes, saves by itself and sends; the office writes calls, checks, brings in a table."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.organisations import rules as roles
from scheduler.proposals import team
from scheduler.proposals.models import BeamProposal, ProposalCall
from tests import beam, make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.scheduler.proposals.test_api import pdf
from tests.scheduler.proposals.test_importing import table

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def site():
    made = beam.site()
    made.call.forms.create(code="method", name="实验方法", kind="pdf", pages=2, size=300_000)
    return made


@pytest.fixture
def firm(site):
    return enter(Client(), site.leader)


@pytest.fixture
def office(site):
    return enter(Client(), site.office)


def begun(site, firm):
    said = {"kind": "standard", "title": "正极材料", "idempotency_key": "begin-form-1"}
    answer = firm.post(f"{reverse('proposal_new')}?call={site.call.number}", said)
    assert answer.status_code == 302
    return BeamProposal.objects.latest("pk")


def written(**more):
    sample = {"s0_name": "电池", "s0_amount": "3 片", "s0_afterwards": "带回"}
    asked = {"r0_beamline": "BL01", "r0_cycle": "2027-I", "r0_shifts": "6", "r0_good": "2027-01-10 2027-01-11"}
    said = {"title": "正极材料", "summary": "结构演化", "version": "1", "samples": "1", "requests": "1", "act": "save"}
    return {**said, **sample, **asked, "idempotency_key": "send-form-01", **more}


def edit(firm, found, **more):
    return firm.post(reverse("proposal_edit", args=[found.number]), written(**more))


def test_a_stranger_reads_the_calls_and_is_asked_to_sign_in_to_propose(site):
    shown = text_of(Client().get(reverse("calls")))
    assert "2027 年第一轮征集" in shown
    page = text_of(Client().get(reverse("call", args=[site.call.number])))
    assert "到这一秒为止" in page
    assert "实验方法" in page
    assert raw_codes(page.replace(site.facility.code, "")) == []
    assert Client().get(reverse("proposal_new")).status_code == 302


def test_a_team_writes_and_sends_a_proposal(site, firm):
    found = begun(site, firm)
    method = SimpleUploadedFile("method.pdf", pdf(2))
    assert edit(firm, found, file_method=method).status_code == 302
    sent = edit(firm, found, act="send", version="2")
    assert sent.status_code == 302, text_of(sent)
    found.refresh_from_db()
    assert (found.state, found.requests.get().good) == ("submitted", ["2027-01-10", "2027-01-11"])
    shown = firm.get(reverse("proposal", args=[found.number]))
    assert "待形式审查" in text_of(shown)
    assert firm.get(reverse("proposal_edit", args=[found.number])).status_code == 302
    assert firm.get(reverse("proposal_file", args=[found.number, "method"])).content == pdf(2)


def test_what_is_typed_is_kept_by_itself_even_where_some_of_it_is_wrong(site, firm):
    found = begun(site, firm)
    kept = edit(firm, found, act="autosave", r0_good="元旦")
    assert (kept.status_code, kept.json()["version"]) == (200, 2)
    assert "有误未保存：希望的日期" in kept.json()["text"]
    found.refresh_from_db()
    assert (found.summary, found.samples.count(), found.requests.count()) == ("结构演化", 1, 0)
    old = edit(firm, found, act="autosave", summary="别人写的")
    assert (old.status_code, "其他成员" in old.json()["text"]) == (409, True)
    found.refresh_from_db()
    assert found.summary == "结构演化"


def test_everything_against_it_is_said_at_its_field_and_nothing_is_lost(site, firm):
    found = begun(site, firm)
    long = SimpleUploadedFile("method.pdf", pdf(3))
    refused = edit(firm, found, file_method=long)
    assert refused.status_code == 409
    assert "3 页，最多 2 页" in text_of(refused)
    assert 'value="电池"' in refused.content.decode()
    refused = edit(firm, found, act="send", version="2", r0_shifts="7", s0_amount="")
    shown = text_of(refused)
    assert refused.status_code == 409
    for said in ("7 个班次", "改为 6、9", "缺少文件", "此项未填写"):
        assert said in shown
    html = refused.content.decode()
    assert 'href="#id_r0_shifts"' in html
    assert 'href="#id_s0_amount"' in html
    assert 'name="version" value="3"' in html
    assert found.requests.get().shifts == 7


def test_rows_are_added_without_a_script(site, firm):
    found = begun(site, firm)
    more = edit(firm, found, act="more_samples")
    assert more.status_code == 200
    assert 'name="s2_name"' in more.content.decode()
    assert found.samples.count() == 1


def test_a_leader_invites_and_the_invited_answers_by_the_link(site, firm):
    found = begun(site, firm)
    acts = reverse("proposal_act", args=[found.number])
    wrong = firm.post(acts, {"act": "invite", "name": "李四", "email": "nobody"})
    assert (wrong.status_code, 'value="李四"' in wrong.content.decode()) == (422, True)
    firm.post(acts, {"act": "invite", "name": "李四", "email": "li@example.com"})
    member = found.team.get(email="li@example.com")
    guest = enter(Client(), make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER))
    link = reverse("team_invitation", args=[team.secret_of(member)])
    assert Client().get(link).status_code == 302
    page = text_of(guest.get(link))
    assert "李四" in page
    assert "正极材料" not in page
    assert guest.post(link, {"act": "join"}).status_code == 302
    assert "正极材料" in text_of(guest.get(reverse("proposal", args=[found.number])))
    assert guest.get(link).status_code == 404
    firm.post(acts, {"act": "remove", "member": member.pk})
    assert guest.get(reverse("proposal", args=[found.number])).status_code == 404


def test_an_office_filters_takes_away_and_checks(site, office):
    rows = [beam.proposal(site, state="submitted") for _n in range(3)]
    desk = reverse("proposal_desk")
    assert "=1+1" not in text_of(office.get(desk))
    shown = text_of(office.get(desk, {"q": rows[0].number}))
    assert (rows[0].title in shown, rows[1].title in shown) == (True, False)
    sheet = office.get(desk, {"format": "csv", "state": "submitted"}).content.decode()
    assert sheet.count("P-") == 3
    assert office.get(desk, {"format": "xlsx"}).content.startswith(b"PK")
    assert office.post(desk, {"number": [rows[0].number, rows[1].number]}).status_code == 302
    assert [BeamProposal.objects.get(pk=row.pk).state for row in rows] == ["admitted", "admitted", "submitted"]
    acts = reverse("proposal_act", args=[rows[2].number])
    assert office.post(acts, {"act": "return", "note": ""}).status_code == 422
    office.post(acts, {"act": "return", "note": "请补充"})
    assert BeamProposal.objects.get(pk=rows[2].pk).return_note == "请补充"


def test_titles_of_confidential_proposals_are_shown_to_no_colleague(site, firm):
    hidden = beam.proposal(
        site, state="submitted", kind="proprietary", call=None, is_confidential=True, title="秘密配方"
    )
    colleague = enter(Client(), make.actor(hidden.organisation, roles.Role.OWNER))
    assert "秘密配方" not in text_of(colleague.get(reverse("proposals")))
    assert "秘密配方" not in colleague.get(reverse("proposals"), {"format": "csv"}).content.decode()
    assert colleague.get(reverse("proposal", args=[hidden.number])).status_code == 404
    assert "秘密配方" in text_of(firm.get(reverse("proposals")))


def test_an_office_writes_and_publishes_a_call(site, office):
    said = {
        "cycle": site.cycle.pk,
        "name": "第二轮",
        "opens_at": "2026-11-25T10:00:00",
        "closes_at": "2026-12-20T17:00:00",
        "kinds": ["standard"],
        "least_shifts": "1",
        "most_shifts": "30",
        "f0_name": "实验方法",
        "f0_code": "method",
        "f0_kind": "pdf",
        "f0_pages": "2",
        "f0_required": "on",
        "rows": "2",
        "act": "save",
    }
    late = office.post(reverse("call_new"), {**said, "closes_at": "2027-02-01T00:00:00"})
    assert (late.status_code, "运行周期 2027-I 开始之前" in text_of(late)) == (409, True)
    assert office.post(reverse("call_new"), said).status_code == 302
    made = ProposalCall.objects.get(name="第二轮")
    assert made.during.upper.isoformat() == "2026-12-20T09:00:00+00:00"
    assert Client().get(reverse("call", args=[made.number])).status_code == 404
    office.post(reverse("call_publish", args=[made.number]))
    assert Client().get(reverse("call", args=[made.number])).status_code == 200
    page = office.get(reverse("call_edit", args=[made.number]))
    assert 'value="2026-12-20T17:00:00"' in page.content.decode()
    assert "第二轮" in text_of(office.get(reverse("call_desk")))


def test_forty_proposals_come_by_a_table_looked_at_first(site, office):
    path = reverse("call_import", args=[site.call.number])
    content = table(site, 40, line3={"班次数": "7"})
    looked = office.post(path, {"file": SimpleUploadedFile("list.csv", content)})
    assert "导入 39 行" in text_of(looked)
    assert "改为 6、9" in text_of(looked)
    assert BeamProposal.objects.count() == 0
    token = looked.context["token"]
    done = office.post(path, {"token": token})
    assert "已导入 39" in text_of(done)
    assert BeamProposal.objects.filter(state="submitted").count() == 39
    assert office.post(path, {"token": token}).status_code == 409
    assert office.get(reverse("call_import_template")).content.startswith(b"PK")
    assert office.post(path, {}).status_code == 422


def test_the_lists_take_the_same_queries_however_long(site, office, firm, django_assert_max_num_queries):
    for _n in range(12):
        beam.proposal(site, state="submitted")
    with django_assert_max_num_queries(24):
        office.get(reverse("proposal_desk"))
    with django_assert_max_num_queries(24):
        firm.get(reverse("proposals"))


def test_the_closing_second_is_late_on_the_page_too(site, firm, monkeypatch):
    found = begun(site, firm)
    site.call.forms.all().delete()
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW + timedelta(days=10))
    late = edit(firm, found, act="send")
    assert (late.status_code, "已于 2026-12-05 10:00:00" in text_of(late)) == (409, True)
    found.refresh_from_db()
    assert (found.state, found.summary) == ("draft", "结构演化")
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW + timedelta(days=10) - timedelta(seconds=1))
    assert edit(firm, found, act="send", version="2").status_code == 302


def test_a_new_proposal_is_offered_to_those_who_may_make_one(client):
    """Found by a crawl: an officer was shown a link she may not follow."""
    site = beam.site()
    for who, shown in ((None, True), (site.leader, True), (site.planner, False)):
        if who is not None:
            enter(client, who)
        for page in (reverse("calls"), reverse("call", args=[site.call.number])):
            assert (reverse("proposal_new") in client.get(page).content.decode()) is shown, (who, page)


def test_beam_time_without_its_number_of_shifts_is_kept_and_never_deletes_what_was_there(site, firm):
    found = begun(site, firm)
    told = edit(firm, found, act="autosave", r0_shifts="", r0_setup="高温").json()
    assert told["text"].startswith("已自动保存")
    row = found.requests.get()
    assert (row.shifts, row.setup, row.good) == (0, "高温", ["2027-01-10", "2027-01-11"])
    page = firm.get(reverse("proposal_edit", args=[found.number]))
    assert page.context["form"]["r0_shifts"].value() is None
    assert firm.get(reverse("proposal", args=[found.number])).status_code == 200
    assert firm.get(reverse("proposals")).status_code == 200
    asked = Caller(site.leader).get(f"/beam-proposals/{found.number}").body["requests"]
    assert [(row["shifts"], row["offers"]) for row in asked] == [(0, [])]
    sent = edit(firm, found, act="send", version="2", r0_shifts="")
    assert "r0_shifts" in sent.context["form"].errors


def test_beam_time_without_a_beamline_or_asked_for_twice_is_said_and_nothing_kept_is_lost(site, firm):
    found = begun(site, firm)
    edit(firm, found)
    told = edit(firm, found, act="autosave", version="2", r0_beamline="").json()
    assert "有误未保存：线站" in told["text"]
    twice = {"requests": "2", "r1_beamline": "BL01", "r1_cycle": "2027-I", "r1_shifts": "9"}
    told = edit(firm, found, act="autosave", version="3", **twice).json()
    assert "有误未保存：线站" in told["text"]
    assert found.requests.get().shifts == 6
    gone = edit(firm, found, version="4", requests="1", r0_beamline="", r0_shifts="", r0_good="")
    assert (gone.status_code, found.requests.count()) == (302, 0)


def test_times_no_calendar_has_are_refused_at_their_field(site, office):
    said = {
        "cycle": str(site.cycle.pk),
        "name": "第二轮",
        "kinds": ["standard"],
        "least_shifts": "1",
        "most_shifts": "0",
    }
    said |= {"rows": "1", "act": "save", "closes_at": "2026-12-20T17:00:00"}
    for moment in ("0001-01-01T00:00:00", "9999-12-31T23:59:59"):
        answer = office.post(reverse("call_new"), {**said, "opens_at": moment})
        assert (answer.status_code, set(answer.context["form"].errors)) == (422, {"opens_at"})
    assert ProposalCall.objects.count() == 1


def test_two_of_the_office_who_change_a_call_on_the_page_overwrite_nothing(site, office):
    page = reverse("call_edit", args=[site.call.number])
    shown = office.get(page).context
    read = shown["form"].initial
    said = {
        "stamp": shown["stamp"],
        **{name: value for name, value in read.items() if value is not None},
        "rows": "1",
        "act": "save",
    }
    said |= {name: f"{said[name]:%Y-%m-%dT%H:%M:%S}" for name in ("opens_at", "closes_at")}
    assert office.post(page, {**said, "notice": "甲"}).status_code == 302
    late = office.post(page, {**said, "notice": "乙"})
    assert (late.status_code, late.context["form"]["notice"].value()) == (409, "乙")
    site.call.refresh_from_db()
    assert site.call.notice == "甲"
