"""Programmes over HTTP."""

from __future__ import annotations

import json

import pytest

from tests import make
from tests.calling import CONTRACT, Caller, queries_of
from vouchers.issuance.models import Application
from vouchers.ledger import queries as ledger
from vouchers.programmes.json_schema import FILE
from vouchers.programmes.models import FairReview, ProgrammeVersion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def file_body(**changes: object) -> dict[str, object]:
    return {
        "document": json.loads(make.programme_file(**changes)),
        "budget": {"yuan": "1000000"},
        "fiscal_year": 2026,
    }


class TestImporting:
    def test_stores_a_draft_and_says_its_rules_in_both_languages(self, w):
        answer = Caller(w.officer).post("/programmes", file_body())
        assert answer.status == 201, answer
        assert (answer.body["code"], answer.body["version"], answer.body["state"]) == ("test-shared-2026", 1, "draft")
        assert answer.body["budget"] == {"fen": 100_000_000, "yuan": "1000000.00"}
        assert set(answer.body["words"]) == {"zh", "en"}
        assert "申请人类型为企业。" in answer.body["words"]["zh"][1]["sentences"]
        assert answer.body["document"] == json.loads(make.programme_file())

    def test_names_every_problem_of_the_file_by_its_path(self, w):
        body = file_body(lines=[{"id": "x", "rate": "1.5"}], colour="red")
        answer = Caller(w.officer).post("/programmes", body)
        assert answer.status == 422
        told = " ".join(reason["text"] for reason in answer.body["reasons"])
        assert "lines[0].rate" in told
        assert "colour" in told
        assert all(reason["remedy"] for reason in answer.body["reasons"])
        assert not ProgrammeVersion.objects.exists()

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"budget": {"yuan": "-1"}}, "budget"),
            ({"budget": {"yuan": "0.001"}}, "budget.yuan"),
            ({"budget": {"yuan": 5}}, "budget.yuan"),
            ({"budget": 5}, "budget"),
            ({"fiscal_year": 1999}, "fiscal_year"),
            ({"fiscal_year": 2026.0}, "fiscal_year"),
            ({"document": {"code": "a\0"}}, "document"),
            ({"document": {"a\ud800": 1}}, "document"),
            ({"document": {"n": 10**30}}, "document"),
            ({"document": []}, "document"),
        ],
    )
    def test_refuses_values_that_cannot_be(self, w, change, field):
        answer = Caller(w.officer).post("/programmes", {**file_body(), **change})
        assert (answer.status, list(answer.body["fields"])) == (422, [field]), answer

    def test_survives_numbers_json_does_not_have(self, w):
        raw = json.dumps({**file_body(), "document": {"code": "x", "caps": [float("nan")], "lines": float("inf")}})
        answer = Caller(w.officer)._call("post", "/programmes", data=raw, content_type="application/json")
        assert answer.status == 422

    def test_refuses_the_same_file_again(self, w):
        caller = Caller(w.officer)
        caller.post("/programmes", file_body())
        answer = caller.post("/programmes", file_body())
        assert (answer.status, answer.code) == (409, "programme.unchanged")


class TestFormat:
    def test_serves_the_json_schema_of_programme_files(self, w):
        answer = Caller(w.owner).get("/programmes/schema")
        assert answer.status == 200
        assert answer.body == json.loads(FILE.read_text(encoding="utf-8"))


class TestDifferences:
    def test_tells_what_changed_since_the_version_before(self, w):
        caller = Caller(w.officer)
        caller.post("/programmes", file_body())
        caller.post("/programmes", file_body(floor=100))
        caller.post("/programmes", file_body(floor=200))
        path = "/programmes/test-shared-2026/versions/3/differences"
        change = {"section": "支持多少", "name": "最低发放额（元）", "path": "floor", "after": "¥200"}
        assert caller.get(path).body == [{**change, "before": "¥100"}]
        assert caller.get(f"{path}?since=1").body == [{**change, "before": ""}]
        assert caller.get(f"{path}?since=3").body == []
        assert caller.get("/programmes/test-shared-2026/versions/1/differences").body == []

    def test_shows_drafts_to_nobody_else(self, w):
        Caller(w.officer).post("/programmes", file_body())
        assert Caller(w.owner).get("/programmes/test-shared-2026/versions/1/differences").status == 404


VERSION = "/programmes/test-shared-2026/versions/1"
REVIEW = {
    "reviewer": "省市场监管局",
    "reviewed_on": "2026-01-05",
    "document_number": "公审〔2026〕1 号",
    "opinion": "经审查，不影响公平竞争。",
}


class TestFairReview:
    def test_is_needed_to_publish_and_says_what_is_exposed(self, w):
        local = {"all": [["applicant.type", "=", "enterprise"], ["applicant.social_insurance_local", "=", True]]}
        made = Caller(w.officer).post(
            "/programmes", file_body(eligibility=local, provider=["provider.region", "=", "杭州"])
        )
        assert [(one["path"], one["condition"]) for one in made.body["exposed"]] == [
            ("eligibility.all[1][0]", "申请人在本地缴纳社保"),
            ("provider[0]", "服务机构所在地为杭州"),
        ]
        assert made.body["fair_review"] is None
        refused = Caller(w.publisher).post(f"{VERSION}/publish")
        assert refused.status == 409
        assert [reason["code"] for reason in refused.body["reasons"]] == ["programme.fair_review"]
        answer = Caller(w.publisher).put(f"{VERSION}/fair-review", REVIEW)
        assert answer.status == 200
        assert {name: answer.body["fair_review"][name] for name in REVIEW} == REVIEW
        assert Caller(w.publisher).post(f"{VERSION}/publish").body["state"] == "published"
        kept = FairReview.objects.get()
        assert [one["path"] for one in kept.exposed] == ["eligibility.all[1][0]", "provider[0]"]

    def test_is_recorded_by_a_second_person_while_a_draft_with_words_and_a_day_that_has_come(self, w):
        both = make.actor(w.department, make.roles.Role.PROGRAMME_OFFICER, make.roles.Role.PROGRAMME_PUBLISHER)
        Caller(both).post("/programmes", file_body())
        answer = Caller(both).put(f"{VERSION}/fair-review", REVIEW)
        assert (answer.status, answer.code) == (403, "programme.same_person")
        caller = Caller(w.publisher)
        assert caller.put(f"{VERSION}/fair-review", {**REVIEW, "opinion": " "}).code == "programme.review_text"
        assert (
            caller.put(f"{VERSION}/fair-review", {**REVIEW, "reviewed_on": "2026-12-31"}).code == "programme.review_day"
        )
        assert caller.put(f"{VERSION}/fair-review", REVIEW).status == 200
        assert caller.put(f"{VERSION}/fair-review", {**REVIEW, "document_number": "2 号"}).status == 200
        assert FairReview.objects.get().document_number == "2 号"
        caller.post(f"{VERSION}/publish")
        assert caller.put(f"{VERSION}/fair-review", REVIEW).code == "programme.not_a_draft"
        assert Caller(w.officer).put(f"{VERSION}/fair-review", REVIEW).status == 403


class TestPeriods:
    """The clock of these tests stands in November 2026."""

    def refused(self, w, **changes):
        version = make.draft(w, **changes)
        make.fair_review(w, version)
        answer = Caller(w.publisher).post(f"/programmes/{version.programme.code}/versions/{version.number}/publish")
        return [reason["code"] for reason in answer.body.get("reasons", [])]

    def test_a_version_whose_time_is_over_is_not_published(self, w):
        assert self.refused(w, in_force=["2025-01-01", "2026-10-31"]) == ["programme.ended"]

    def test_a_version_that_starts_later_does_not_interrupt_the_one_in_force(self, w):
        make.programme(w)
        assert self.refused(w, in_force=["2027-01-01", None]) == ["programme.starts_later"]

    def test_vouchers_in_card_hours_are_not_published(self, w):
        assert self.refused(w, voucher={"unit": "card_hours", "face_values": [100]}) == ["programme.unit"]

    def test_a_first_version_may_be_published_before_it_starts(self, w):
        assert self.refused(w, in_force=["2027-01-01", None]) == []

    def test_a_version_supersedes_the_one_whose_period_it_shares(self, w):
        old = make.programme(w)
        assert self.refused(w, in_force=["2026-06-01", None]) == []
        old.refresh_from_db()
        assert old.state == "superseded"

    def test_a_programme_is_not_opened_beside_the_one_it_replaces(self, w):
        make.programme(w, code="older-2026")
        assert self.refused(w, supersedes=["older-2026"]) == ["programme.overlap"]
        Caller(w.publisher).post("/programmes/older-2026/versions/1/suspend")
        assert self.refused(w, supersedes="older-2026", floor=1) == []

    def test_a_programme_may_follow_the_one_it_replaces(self, w):
        make.programme(w, code="older-2026", in_force=["2026-01-01", "2026-12-31"])
        assert self.refused(w, supersedes=["older-2026"], in_force=["2027-01-01", None]) == []


class TestPublishing:
    def test_puts_the_version_in_force_and_its_budget_into_the_pool(self, w):
        Caller(w.officer).post("/programmes", file_body())
        Caller(w.publisher).put(f"{VERSION}/fair-review", REVIEW)
        answer = Caller(w.publisher).post("/programmes/test-shared-2026/versions/1/publish")
        assert (answer.status, answer.body["state"]) == (200, "published")
        assert answer.body["pools"] == [
            {
                "fiscal_year": 2026,
                "available": {"fen": 100_000_000, "yuan": "1000000.00"},
                "reserved": {"fen": 0, "yuan": "0.00"},
            }
        ]

    def test_needs_a_second_person(self, w):
        both = make.actor(w.department, make.roles.Role.PROGRAMME_OFFICER, make.roles.Role.PROGRAMME_PUBLISHER)
        caller = Caller(both)
        caller.post("/programmes", file_body())
        answer = caller.post("/programmes/test-shared-2026/versions/1/publish")
        assert (answer.status, answer.code) == (403, "programme.same_person")

    def test_happens_once(self, w):
        make.programme(w)
        answer = Caller(w.publisher).post("/programmes/test-shared-2026/versions/1/publish")
        assert (answer.status, answer.code) == (409, "conflict.transition")
        assert ledger.unaccounted_fen() == 0

    def test_can_be_suspended_and_resumed(self, w):
        make.programme(w)
        caller, path = Caller(w.publisher), "/programmes/test-shared-2026/versions/1"
        assert caller.post(f"{path}/suspend").body["state"] == "suspended"
        assert caller.post(f"{path}/suspend").status == 409
        assert caller.post(f"{path}/resume").body["state"] == "published"

    def test_is_not_another_departments(self, w):
        other = make.organisation(make.roles.Kind.DEPARTMENT)
        stranger = Caller(make.actor(other, make.roles.Role.PROGRAMME_PUBLISHER))
        Caller(w.officer).post("/programmes", file_body())
        assert stranger.post("/programmes/test-shared-2026/versions/1/publish").status == 404
        make.programme(w, code="other-2026")
        assert stranger.post("/programmes/other-2026/versions/1/suspend").status == 403


class TestReading:
    def test_shows_drafts_to_their_department_only(self, w):
        Caller(w.officer).post("/programmes", file_body())
        assert len(Caller(w.publisher).get("/programmes").body["items"]) == 1
        assert Caller(w.owner).get("/programmes").body["items"] == []
        assert Caller(w.owner).get("/programmes/test-shared-2026").status == 404

    def test_returns_an_older_version_when_asked(self, w):
        make.programme(w)
        make.programme(w, budget="5", lines=[{"id": "40%", "rate": "0.40"}])
        caller = Caller(w.owner)
        assert caller.get("/programmes/test-shared-2026").body["version"] == 2
        old = caller.get("/programmes/test-shared-2026", version=1)
        assert (old.body["version"], old.body["state"]) == (1, "superseded")
        assert caller.get("/programmes/test-shared-2026", version=3).status == 404
        assert [row["version"] for row in caller.get("/programmes", state="published").body["items"]] == [2]
        assert caller.get("/programmes", state="nonsense").status == 422

    def test_pages_through_all_without_gaps(self, w):
        codes = [make.programme(w, code=f"programme-{at}-2026").programme.code for at in range(5)]
        caller, seen, before = Caller(w.owner), [], {}
        while True:
            page = caller.get("/programmes", limit=2, **before).body
            seen += [row["code"] for row in page["items"]]
            if page["next_before"] is None:
                break
            before = {"before": page["next_before"]}
        assert seen == codes[::-1]

    def test_takes_as_many_queries_for_one_as_for_many(self, w):
        caller = Caller(w.owner)
        make.programme(w)
        one = queries_of(lambda: caller.get("/programmes"))
        for at in range(4):
            make.programme(w, code=f"programme-{at}-2026")
        assert queries_of(lambda: caller.get("/programmes")) == one


class TestAssessing:
    def test_says_what_would_be_granted_and_changes_nothing(self, w):
        make.programme(w)
        answer = Caller(w.owner).post("/programmes/test-shared-2026/assess", {"contract": CONTRACT})
        assert answer.status == 200, answer
        assert (answer.body["decision"], answer.body["amount"]["yuan"]) == ("grant", "100000.00")
        assert answer.body["headline"] == "准予支持 ¥100,000。"
        assert answer.body["share"] == "1/2"
        assert [step["kind"] for step in answer.body["trace"]][:4] == [
            "in_force",
            "window",
            "dishonesty",
            "applicant",
        ]
        assert not Application.objects.exists()

    def test_speaks_english(self, w):
        make.programme(w)
        body = Caller(w.owner, language="en").post("/programmes/test-shared-2026/assess", {"contract": CONTRACT}).body
        assert "100,000" in body["headline"]
        assert body["headline"].isascii() or "¥" in body["headline"]

    def test_names_every_failing_test_of_a_refusal(self, w):
        make.programme(w)
        contract = {**CONTRACT, "related": True, "months": 24}
        body = Caller(w.owner).post("/programmes/test-shared-2026/assess", {"contract": contract}).body
        assert body["decision"] == "reject"
        assert body["rule_ids"] == ["R05", "R07"]
        assert [reason["rule"] for reason in body["reasons"]] == ["R05", "R07"]
        assert all(reason["message"] for reason in body["reasons"])

    def test_asks_for_missing_facts_by_name(self, w):
        make.programme(w, eligibility=["applicant.employees", "<", 500])
        caller = Caller(w.owner)
        body = caller.post("/programmes/test-shared-2026/assess", {"contract": CONTRACT}).body
        assert (body["decision"], [fact["path"] for fact in body["missing"]]) == ("supplement", ["applicant.employees"])
        stated = {"contract": CONTRACT, "stated": {"applicant.employees": 80}}
        assert caller.post("/programmes/test-shared-2026/assess", stated).body["decision"] == "grant"

    def test_refuses_a_contract_that_is_none(self, w):
        make.programme(w)
        contract = {**CONTRACT, "number": " ", "signed": "2027-01-01", "months": 0, "items": {}}
        answer = Caller(w.owner).post("/programmes/test-shared-2026/assess", {"contract": contract})
        assert answer.status == 409
        assert answer.reasons == ["contract.number", "contract.signed", "contract.months", "contract.items"]

    @pytest.mark.parametrize(
        "stated",
        [
            {"applicant.rd_share": 0.05},
            {"applicant.name": "\0"},
            {"applicant.\ud800": 1},
            {"applicant.n": 10**40},
            {"applicant.deep": json.loads("[" * 40 + "]" * 40)},
            {f"applicant.fact{at}": at for at in range(201)},
        ],
    )
    def test_refuses_facts_nothing_could_keep(self, w, stated):
        make.programme(w)
        answer = Caller(w.owner).post("/programmes/test-shared-2026/assess", {"contract": CONTRACT, "stated": stated})
        assert (answer.status, list(answer.body["fields"])) == (422, ["stated"])
