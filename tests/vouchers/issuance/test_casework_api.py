"""Drafts, evidence, appeals and bulk decisions over HTTP."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import make
from tests.calling import CONTRACT, Caller
from vouchers.issuance.models import Application

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
ASKED = [{"stage": "application", "doc": "服务合同", "check": "盖章齐全"}]


def draft(w, **changes):
    make.programme(w, **changes)
    made = Caller(w.owner).post("/applications/drafts", {"programme": "test-shared-2026"}, key="draft-0001")
    assert (made.status, made.body["state"]) == (201, "draft")
    return made.body["number"]


class TestDraft:
    def test_is_filled_in_signed_and_submitted_once(self, w, settings, tmp_path):
        number = draft(w, evidence=ASKED)
        firm, path = Caller(w.owner), f"/applications/{number}"
        assert firm.post(f"{path}/submit").code == "application.incomplete"
        assert firm.put(f"{path}/contract", CONTRACT).body["draft"]["contract"]["number"] == CONTRACT["number"]
        assert firm.post(f"{path}/submit").code == "application.undertaking"
        assert firm.post(f"{path}/sign").body["signed"] is True
        missing = firm.post(f"{path}/submit")
        assert (missing.status, missing.code, missing.reasons) == (
            409,
            "application.evidence_missing",
            ["application.evidence"],
        )
        assert "服务合同" in missing.body["reasons"][0]["text"]
        kept = firm.upload(f"{path}/files", purpose="服务合同", file=SimpleUploadedFile("合同.pdf", PDF))
        assert (kept.status, kept.body["media_type"]) == (201, "application/pdf")
        assert firm.post(f"{path}/submit").code == "application.undertaking", "the file came after the signature"
        firm.post(f"{path}/sign")
        done = firm.post(f"{path}/submit")
        assert (done.status, done.body["state"], done.body["amount"]["yuan"]) == (200, "review", "100000.00")
        assert firm.post(f"{path}/submit").body["submitted_at"] == done.body["submitted_at"]
        assert Application.objects.count() == 1
        assert Caller(w.reviewer).get(f"{path}/files/{kept.body['id']}").body == PDF

    def test_is_nobody_elses_business(self, w):
        number = draft(w)
        for someone in (w.reviewer, w.approver, w.finance):
            assert Caller(someone).get(f"/applications/{number}").status == 404
        listed = Caller(w.reviewer).get("/applications")
        assert listed.body["items"] == []

    def test_gives_a_mistaken_file_back_and_keeps_it_on_record(self, w):
        number = draft(w)
        firm, path = Caller(w.owner), f"/applications/{number}/files"
        kept = firm.upload(path, purpose="服务合同", file=SimpleUploadedFile("a.pdf", PDF)).body
        assert firm.delete(f"{path}/{kept['id']}").status == 204
        assert firm.get(path).body == []
        assert firm.get(f"{path}/{kept['id']}").status == 200

    def test_refused_by_the_rules_stays_a_draft(self, w):
        number = draft(w)
        firm, path = Caller(w.owner), f"/applications/{number}"
        firm.put(f"{path}/contract", {**CONTRACT, "related": True})
        firm.post(f"{path}/sign")
        refused = firm.post(f"{path}/submit")
        assert (refused.status, refused.reasons) == (409, ["R05"])
        assert firm.get(path).body["state"] == "draft"


class TestDeciding:
    def test_several_each_with_its_own_reason_and_its_own_result(self, w):
        version = make.programme(w)
        one, two, three = (
            make.application(w, version, number=f"HT-{at}", items={"compute": make.Money.from_yuan("1000")})
            for at in range(3)
        )
        answer = Caller(w.reviewer).post(
            "/applications/decisions",
            {
                "decisions": [
                    {"number": one.number, "act": "pass", "note": "齐全"},
                    {"number": two.number, "act": "refuse", "note": ""},
                    {"number": three.number, "act": "refuse", "note": "合同不实"},
                    {"number": "A-0", "act": "pass"},
                ]
            },
        )
        assert answer.status == 200
        assert [(each["done"], each["code"] or each["state"]) for each in answer.body] == [
            (True, "review"),
            (False, "application.note"),
            (True, "refused"),
            (False, "not_found"),
        ]
        two.refresh_from_db()
        assert two.state == "review"

    def test_is_closed_to_the_firm(self, w):
        case = make.application(w, make.programme(w))
        body = {"decisions": [{"number": case.number, "act": "pass"}]}
        (told,) = Caller(w.owner).post("/applications/decisions", body).body
        assert (told["done"], told["code"]) == (False, "forbidden")


class TestAppeal:
    def test_goes_back_to_other_people(self, w):
        case = make.refused(w, make.application(w, make.programme(w)), note="合同不实")
        make.actor(w.department, make.roles.Role.REVIEWER)
        path = f"/applications/{case.number}"
        assert Caller(w.owner).post(f"{path}/appeal", {"note": " "}).code == "application.note"
        assert Caller(w.owner).post(f"{path}/appeal", {"note": "合同属实"}).body["state"] == "appeal"
        again = Caller(w.approver).post(f"{path}/appeal/admit", {"note": "受理"})
        assert (again.body["state"], again.body["stage"]) == ("review", "初审")
        assert Caller(w.reviewer).post(f"{path}/pass", {}).code == "application.has_interest"


class TestRecusal:
    def test_by_case_and_by_organisation(self, w):
        case = make.application(w, make.programme(w))
        other = make.actor(w.department, make.roles.Role.REVIEWER)
        body = {"credit_code": w.enterprise.credit_code, "reason": "曾任职"}
        assert Caller(w.reviewer).post("/applications/recusals", body).status == 201
        assert Caller(w.reviewer).post("/applications/recusals", body).code == "application.recused_before"
        assert Caller(w.reviewer).post(f"/applications/{case.number}/pass", {}).code == "application.has_interest"
        assert Caller(other).post(f"/applications/{case.number}/pass", {}).status == 200
        listed = Caller(w.reviewer).get("/applications/recusals").body
        assert [(each["organisation"], each["lifted_at"]) for each in listed] == [(w.enterprise.name, None)]
        assert Caller(other).get("/applications/recusals").body == []
        lift = f"/applications/recusals/{listed[0]['id']}/lift"
        assert Caller(w.approver).post(lift, {"reason": "登记有误"}).body["lifted_reason"] == "登记有误"
        assert Caller(w.approver).post(lift, {"reason": "登记有误"}).code == "application.recusal_lifted"
