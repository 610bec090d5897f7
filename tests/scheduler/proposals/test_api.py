"""Proposals over HTTP: the way of a team from a call to the office's check, and every clear no."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from pypdf import PdfWriter

from portal.kernel.errors import PortalError
from portal.organisations import rules as roles
from scheduler.messages.models import Message
from scheduler.proposals import continuing, services, team
from scheduler.proposals.models import BeamProposal, TeamMember
from tests import beam, make
from tests.calling import Caller, queries_of, zoned

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SAMPLE = {"name": "正极片", "amount": "3 片", "afterwards": "带回"}


def pdf(pages: int, *, password: str = "") -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    for _n in range(pages):
        writer.add_blank_page(width=200, height=200)
    if password:
        writer.encrypt(password)
    writer.write(out)
    return out.getvalue()


def file(content: bytes, name: str = "method.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


@pytest.fixture
def site():
    made = beam.site()
    made.call.forms.create(code="method", name="实验方法", kind="pdf", pages=2, size=300_000, place=0)
    made.call.forms.create(code="impact", name="预期影响", kind="text", letters=10, required=False, place=1)
    return made


def begun(s, caller, key="begin-key-1", **more):
    said = {"facility": s.facility.code, "kind": "standard", "title": "正极材料", "call": s.call.number, **more}
    return caller.post("/beam-proposals", said, key=key)


def complete(s, caller, number, **more):
    """Fill a draft in: everything is there but what `more` says."""
    request = {"beamline": "BL01", "cycle": s.cycle.code, "shifts": 6}
    said = {"version": 1, "summary": "充放电中的结构。", "samples": [SAMPLE], "requests": [request], **more}
    answer = caller.put(f"/beam-proposals/{number}", said)
    caller.upload(f"/beam-proposals/{number}/files/method", file=file(pdf(2)))
    return answer


def sent(s, caller, number, key="send-key-1"):
    return caller.post(f"/beam-proposals/{number}/submit", key=key)


def test_the_whole_way_from_a_call_to_the_check_of_the_office(site):
    firm, office = Caller(site.leader), Caller(site.office)
    assert [row["state"] for row in firm.get("/calls").body["items"]] == ["open"]
    draft = begun(site, firm)
    assert (draft.status, draft.body["state"], draft.body["version"]) == (201, "draft", 1)
    number = draft.body["number"]
    assert begun(site, firm).body["number"] == number
    assert office.get(f"/beam-proposals/{number}").status == 404
    lacking = {reason["code"] for reason in draft.body["wanting"]}
    assert lacking == {"proposal.empty", "proposal.form_missing", "proposal.shifts", "proposal.samples"}
    whole = complete(site, firm, number).body
    assert (whole["version"], whole["requests"][0]["offers"]) == (2, [6])
    done = sent(site, firm, number)
    assert (done.body["state"], done.body["wanting"]) == ("submitted", [])
    assert sent(site, firm, number).body["state"] == "submitted"
    assert firm.put(f"/beam-proposals/{number}", {"version": 2, "title": "x"}).code == "proposal.closed"
    (row,) = office.get("/proposal-desk", state="submitted").body["items"]
    assert (row["number"], row["shifts"]) == (number, 6)
    assert office.post(f"/proposal-desk/{number}/return", {"note": " "}).code == "proposal.note"
    back = office.post(f"/proposal-desk/{number}/return", {"note": "请补充样品数量"}).body
    assert (back["state"], back["return_note"]) == ("returned", "请补充样品数量")
    assert BeamProposal.objects.get(number=number).sent_order == 1
    assert sent(site, firm, number, key="send-key-2").body["state"] == "submitted"
    assert office.post(f"/proposal-desk/{number}/admit").body["state"] == "admitted"
    assert Message.objects.filter(about=number, user_id=site.leader.user_id).count() == 2


def test_a_second_late_is_late_and_the_draft_stays(site):
    number = begun(site, Caller(site.leader)).body["number"]
    complete(site, Caller(site.leader), number)
    found = BeamProposal.objects.get(number=number)
    closes = site.call.during.upper
    said = {"actor": site.leader, "proposal": found, "past": [], "key": "late-key-1"}
    with pytest.raises(PortalError) as late:
        services.submit(now=closes, **said)
    assert late.value.code == "proposal.late"
    assert "2026-12-05 10:00:00" in late.value.params["closed_at"]
    found.refresh_from_db()
    assert (found.state, found.summary) == ("draft", "充放电中的结构。")
    services.submit(now=closes - timedelta(seconds=1), **said)
    with pytest.raises(PortalError) as again:
        services.submit(now=closes, **{**said, "actor": site.planner})
    assert again.value.code == "forbidden"


def test_what_was_returned_may_be_sent_after_the_call_has_closed(site):
    found = beam.proposal(site, state="submitted")
    site.call.forms.all().delete()
    services.send_back(actor=site.office, proposal=found, note="请改", now=make.NOW)
    later = site.call.during.upper + timedelta(days=3)
    again = services.submit(actor=site.leader, proposal=found, past=[], now=later, key="again-key-1")
    assert (again.state, again.sent_at) == ("submitted", make.NOW)


@pytest.mark.parametrize(
    ("content", "name", "codes"),
    [
        (pdf(3), "method.pdf", ["proposal.file_pages"]),
        (b"GIF89a no pdf", "method.pdf", ["proposal.file_kind"]),
        (b"%PDF-1.7 broken", "method.pdf", ["proposal.file_kind"]),
        (pdf(1, password="secret"), "method.pdf", ["proposal.file_kind"]),
        (pdf(3) + b" " * 300_000, "method.pdf", ["proposal.file_size", "proposal.file_pages"]),
        (pdf(2), "method.txt", ["evidence.wrong_extension"]),
    ],
    ids=["three pages", "no PDF", "broken", "encrypted", "too large and long", "wrong name"],
)
def test_a_file_that_does_not_do_is_refused_at_upload_with_all_that_is_wrong(site, content, name, codes):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    refused = firm.upload(f"/beam-proposals/{number}/files/method", file=file(content, name))
    assert (refused.status, refused.reasons) == (409, codes)
    assert firm.get(f"/beam-proposals/{number}").body["answers"] == []


def test_a_file_is_kept_replaced_read_and_taken_back(site):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    path = f"/beam-proposals/{number}/files/method"
    (first,) = firm.upload(path, file=file(pdf(1))).body["answers"]
    assert (first["pages"], first["name"]) == (1, "method.pdf")
    (second,) = firm.upload(path, file=file(pdf(2))).body["answers"]
    assert second["pages"] == 2
    assert firm.get(path).body == pdf(2)
    assert Caller(site.graders[0]).get(path).status == 404
    assert firm.upload(f"/beam-proposals/{number}/files/impact", file=file(pdf(2))).status == 404
    assert firm.delete(path).body["answers"] == []
    assert firm.delete(path).status == 200


def test_seven_shifts_where_they_come_in_threes_are_six_or_nine_or_have_a_reason(site):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    request = {"beamline": "BL01", "cycle": site.cycle.code, "shifts": 7}
    kept = complete(site, firm, number, requests=[request]).body
    assert (kept["requests"][0]["shifts"], kept["requests"][0]["offers"]) == (7, [6, 9])
    refused = sent(site, firm, number)
    (reason,) = refused.body["reasons"]
    assert (reason["code"], reason["field"]) == ("proposal.shifts_multiple", "requests.0.shifts")
    assert "6、9" in reason["remedy"]
    firm.put(f"/beam-proposals/{number}", {"version": 2, "requests": [{**request, "reason": "七个温度点"}]})
    assert sent(site, firm, number).status == 200


def test_all_that_is_wrong_is_said_at_once(site):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    day = date(2027, 1, 10).isoformat()
    request = {
        "beamline": "BL01",
        "cycle": site.cycle.code,
        "shifts": 40,
        "reason": "大样",
        "good": [day],
        "bad": [day, "2028-01-01"],
    }
    sample = {"name": "电解液", "hazards": ["flammable"]}
    said = {"version": 1, "samples": [sample], "requests": [request], "texts": {"impact": "一二三四五六七八九十一"}}
    assert firm.put(f"/beam-proposals/{number}", said).status == 200
    firm.post(f"/beam-proposals/{number}/team", {"name": "李四", "email": "li@example.com"})
    found = {(reason["code"], reason["field"]) for reason in sent(site, firm, number).body["reasons"]}
    assert found == {
        *{("proposal.empty", f"samples.0.{name}") for name in ("amount", "afterwards", "handling")},
        ("proposal.empty", "summary"),
        ("proposal.form_missing", "forms.method"),
        ("proposal.unanswered", "team"),
        ("proposal.shifts", "shifts"),
        ("proposal.dates_both", "requests.0.bad"),
        ("proposal.dates_outside", "requests.0.bad"),
        ("proposal.text_long", "forms.impact"),
    }
    assert firm.get(f"/beam-proposals/{number}").body["requests"][0]["shifts"] == 40


def test_a_suspended_enterprise_keeps_its_draft_and_cannot_send(site):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    complete(site, firm, number)
    organisation = BeamProposal.objects.get(number=number).organisation
    organisation.facts = {"barred_until": make.NOW.date().isoformat()}
    organisation.save()
    refused = sent(site, firm, number)
    assert refused.reasons == ["proposal.barred"]
    assert firm.get(f"/beam-proposals/{number}").body["state"] == "draft"
    organisation.facts = {"barred_until": (make.NOW.date() - timedelta(days=1)).isoformat()}
    organisation.save()
    assert sent(site, firm, number).status == 200


def test_who_saves_over_a_colleague_is_told_and_nothing_is_lost(site):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    path = f"/beam-proposals/{number}"
    assert firm.put(path, {"version": 1, "summary": "甲"}).status == 200
    assert firm.put(path, {"version": 1, "summary": "乙"}).code == "proposal.changed_since"
    assert firm.get(path).body["summary"] == "甲"
    assert firm.put(path, {"version": 2, "requests": [{"beamline": "XX", "cycle": "2027-I", "shifts": 3}]}).code == (
        "proposal.unknown"
    )


def test_an_invitation_is_mailed_answered_ended_and_sent_anew(site):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    path = f"/beam-proposals/{number}/team"
    person = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    first = firm.post(path, {"name": "李四", "email": "Li@Example.com"}).body["team"][1]
    assert firm.post(path, {"name": "李四", "email": "li@example.com"}).body["team"][1]["id"] == first["id"]
    assert firm.post(path, {"name": "李四", "email": "nobody"}).code == "team.person"
    assert team.send_due(now=make.NOW) == 1
    assert team.send_due(now=make.NOW + timedelta(days=1)) == 0
    (letter,) = mail.outbox
    assert (letter.to, "正极材料" in letter.body) == (["li@example.com"], False)
    member = TeamMember.objects.get(pk=first["id"])
    secret, other = team.secret_of(member), Caller(person)
    assert other.post("/beam-proposals/invitations/decline", {"secret": secret}).status == 204
    assert other.post("/beam-proposals/invitations/accept", {"secret": secret}).status == 404
    later = make.NOW + timedelta(hours=1)
    team.invite_again(actor=site.leader, proposal=member.proposal, member_id=member.pk, now=later)
    assert other.post("/beam-proposals/invitations/accept", {"secret": secret}).status == 404
    member.refresh_from_db()
    assert member.digest != secret
    joined = other.post("/beam-proposals/invitations/accept", {"secret": team.secret_of(member)})
    assert [one["state"] for one in joined.body["team"]] == ["joined", "joined"]
    leader_id = joined.body["team"][0]["id"]
    assert firm.delete(f"{path}/{leader_id}").code == "team.leader"
    assert firm.post(f"{path}/{member.pk}/lead").status == 200
    assert sent(site, firm, number).code == "proposal.not_leader"
    assert firm.delete(f"{path}/{member.pk}").code == "proposal.not_leader"


def test_a_link_nobody_answered_for_a_month_leads_into_no_team(site, monkeypatch):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    found = BeamProposal.objects.get(number=number)
    member = team.invite(actor=site.leader, proposal=found, name="王五", email="wang@example.com", now=make.NOW)
    other, body = Caller(site.graders[0]), {"secret": team.secret_of(member)}
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW + team.LASTS)
    assert other.post("/beam-proposals/invitations/accept", body).code == "team.lapsed"
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW + team.LASTS - timedelta(seconds=1))
    assert other.post("/beam-proposals/invitations/accept", body).status == 200


def test_who_was_removed_sees_nothing_more(site):
    firm = Caller(site.leader)
    number = begun(site, firm).body["number"]
    found = BeamProposal.objects.get(number=number)
    member = team.invite(actor=site.leader, proposal=found, name="王五", email="wang@example.com", now=make.NOW)
    other = Caller(site.graders[0])
    assert other.post("/beam-proposals/invitations/accept", {"secret": team.secret_of(member)}).status == 200
    assert firm.delete(f"/beam-proposals/{number}/team/{member.pk}").status == 200
    assert other.get(f"/beam-proposals/{number}").status == 404


def test_a_confidential_proposal_is_seen_by_its_team_and_the_staff_who_serve_it_only(site):
    firm = Caller(site.leader)
    number = begun(site, firm, kind="proprietary", call=None).body["number"]
    colleague = Caller(make.actor(BeamProposal.objects.get(number=number).organisation, roles.Role.OWNER))
    assert colleague.get(f"/beam-proposals/{number}").status == 404
    assert colleague.get("/beam-proposals").body["items"] == []
    open_one = begun(site, firm, key="begin-key-2").body["number"]
    assert [row["number"] for row in colleague.get("/beam-proposals").body["items"]] == [open_one]
    assert colleague.put(f"/beam-proposals/{open_one}", {"version": 1, "title": "x"}).status == 403
    complete(site, firm, number)
    assert sent(site, firm, number).body["is_confidential"] is True
    assert Caller(site.scientist).get(f"/beam-proposals/{number}").status == 200
    assert Caller(site.graders[0]).get(f"/beam-proposals/{number}").status == 404


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        ({"call": None}, ["proposal.needs_call"]),
        ({"kind": "rapid"}, ["proposal.kind"]),
        ({"kind": "partner", "call": None}, ["proposal.no_partner"]),
    ],
)
def test_a_kind_that_is_not_offered_so_is_not_begun(site, said, codes):
    assert begun(site, Caller(site.leader), **said).reasons == codes


def test_a_partner_says_which_part_of_its_time_is_used(site):
    from scheduler.facilities.models import Partner

    held = Partner.objects.create(
        beamline=site.lines[0],
        organisation_id=site.leader.organisation_id,
        num=35,
        den=100,
        valid=(date(2026, 1, 1), date(2030, 1, 1)),
    )
    held.parts.create(code="grant", name="项目机时", num=60, den=100)
    firm = Caller(site.leader)
    wanted = {"kind": "partner", "call": None}
    assert begun(site, firm, **wanted).reasons == ["proposal.partner_part"]
    assert begun(site, firm, **wanted, partner_part="grant").body["partner_part"] == "grant"


def test_an_urgent_proposal_says_why(site):
    firm = Caller(site.leader)
    number = begun(site, firm, kind="urgent", call=None).body["number"]
    complete(site, firm, number)
    assert [reason["field"] for reason in sent(site, firm, number).body["reasons"]] == ["urgency"]
    firm.put(f"/beam-proposals/{number}", {"version": 2, "urgency": "疫情样品三天内失效。"})
    assert sent(site, firm, number).body["state"] == "submitted"


def test_reports_owed_are_told_to_the_panel_or_keep_the_proposal_from_being_sent(site):
    from scheduler.proposals.rules import PastVisit

    site.call.forms.all().delete()
    past = [PastVisit("V-1", make.NOW - timedelta(days=1), False), PastVisit("V-2", make.NOW, True)]
    found = beam.proposal(site, state="draft")
    site.facility.report_rule = "block"
    site.facility.save()
    with pytest.raises(PortalError) as refused:
        services.submit(actor=site.leader, proposal=found, past=past, now=make.NOW, key="owed-key-1")
    assert [reason.code for reason in refused.value.reasons] == ["proposal.report_owed"]
    site.facility.report_rule = "tell"
    site.facility.save()
    assert services.submit(actor=site.leader, proposal=found, past=past, now=make.NOW, key="owed-key-2").owed == ["V-1"]


def test_withdrawing_ends_what_was_asked_but_not_what_has_time(site):
    firm = Caller(site.leader)
    found = beam.proposal(site, state="admitted")
    assert firm.post(f"/beam-proposals/{found.number}/withdraw", {}).body["state"] == "withdrawn"
    assert firm.post(f"/beam-proposals/{found.number}/withdraw", {}).status == 200
    assert beam.request(found).state == "withdrawn"
    accepted = beam.proposal(site, state="accepted")
    assert firm.post(f"/beam-proposals/{accepted.number}/withdraw", {}).code == "proposal.has_time"


def test_a_long_term_proposal_goes_on_in_the_next_cycle_and_waiting_is_counted(site):
    from portal.kernel.period import Period

    found = beam.proposal(site, state="accepted", kind="long_term")
    asked = beam.request(found)
    asked.state = "reserve"
    asked.save()
    end = beam.CYCLE.end
    later = [
        beam.cycle(
            site.facility, f"2027-{n}", Period(end + timedelta(days=60 * n), end + timedelta(days=60 * n + 60)), None
        )
        for n in range(6)
    ]
    firm = Caller(site.leader)
    path = f"/beam-proposals/{found.number}/carry-over"
    body = firm.post(path, {"cycle": "2027-0"}).body
    assert sorted((row["cycle"], row["waited"]) for row in body["requests"]) == [("2027-0", 1), ("2027-I", 0)]
    assert len(firm.post(path, {"cycle": "2027-0"}).body["requests"]) == 2
    assert firm.post(path, {"cycle": "2029"}).status == 404
    assert firm.post(path, {"cycle": "2027-1"}).code == "proposal.not_decided"
    for cycle in later[1:5]:
        cycle.refresh_from_db()
        found.requests.filter(state="open").update(state="refused")
        continuing.carry_over(actor=site.office, proposal=found, cycle=cycle, now=make.NOW)
    assert firm.post(path, {"cycle": "2027-5"}).code == "proposal.all_cycles"
    standard = beam.proposal(site, state="accepted")
    assert firm.post(f"/beam-proposals/{standard.number}/carry-over", {"cycle": "2027-0"}).code == (
        "proposal.not_continued"
    )


def test_a_rapid_request_that_got_no_time_lapses_with_its_cycle(site):
    found = beam.proposal(site, state="feasible", kind="rapid", call=None)
    kept = beam.proposal(site, state="feasible")
    assert continuing.lapse_due(now=beam.CYCLE.end - timedelta(seconds=1)) == 0
    assert continuing.lapse_due(now=beam.CYCLE.end) == 1
    assert continuing.lapse_due(now=beam.CYCLE.end) == 0
    found.refresh_from_db()
    kept.refresh_from_db()
    assert (beam.request(found).state, found.state, kept.state) == ("lapsed", "refused", "feasible")


def call_of(s, **more):
    said = {
        "name": "第二轮",
        "opens_at": zoned(make.NOW),
        "closes_at": zoned(make.NOW + timedelta(days=20)),
        "kinds": ["standard"],
        "facility": s.facility.code,
        "cycle": s.cycle.code,
        "forms": [{"code": "method", "name": "实验方法", "kind": "pdf", "pages": 2}],
    }
    return {**said, **more}


def test_an_office_writes_a_call_publishes_it_and_only_adds_to_it_once_it_is_used(site):
    office, firm = Caller(site.office), Caller(site.leader)
    made = office.post("/calls", call_of(site)).body
    assert (made["state"], made["forms"][0]["pages"]) == ("draft", 2)
    assert office.post("/calls", call_of(site)).body["number"] == made["number"]
    path = f"/calls/{made['number']}"
    assert (firm.get(path).status, office.get(path).status) == (404, 200)
    assert firm.post(f"{path}/publish").status == 403
    assert office.post(f"{path}/publish").body["state"] == "open"
    assert begun(site, firm, call=made["number"]).status == 201
    changed = {name: value for name, value in call_of(site).items() if name not in {"facility", "cycle"}}
    assert office.put(path, {**changed, "closes_at": zoned(make.NOW + timedelta(days=19))}).code == "call.in_use"
    assert office.put(path, {**changed, "forms": []}).code == "call.in_use"
    assert office.put(path, {**changed, "closes_at": zoned(make.NOW + timedelta(days=21))}).status == 200


def test_a_call_with_faults_is_refused_with_all_of_them(site):
    late = zoned(beam.CYCLE.start + timedelta(days=1))
    faults = call_of(site, closes_at=late, kinds=["rapid"], least_shifts=9, most_shifts=3)
    refused = Caller(site.office).post("/calls", faults)
    assert set(refused.reasons) == {"call.deadline", "call.kinds", "call.shifts"}


def test_no_list_takes_more_queries_for_more_rows(site):
    office, firm = Caller(site.office), Caller(site.leader)
    beam.proposal(site, state="submitted")

    def asked() -> list[int]:
        return [queries_of(lambda: office.get("/proposal-desk")), queries_of(lambda: firm.get("/beam-proposals"))]

    before = asked()
    for _n in range(5):
        beam.proposal(site, state="submitted")
    assert asked() == before
