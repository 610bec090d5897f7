"""Applications and vouchers over HTTP."""

from __future__ import annotations

import pytest

from tests import make
from tests.calling import CONTRACT, Caller, queries_of
from vouchers.issuance.models import Application
from vouchers.ledger import queries as ledger
from vouchers.wallets.models import Voucher

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

APPLICATION = {"programme": "test-shared-2026", "contract": CONTRACT}


@pytest.fixture
def case(w):
    """A submitted application, as the API shows it."""
    make.programme(w)
    answer = Caller(w.owner).post("/applications", APPLICATION, key="application-1")
    assert answer.status == 201, answer
    return answer.body


class TestApplying:
    def test_reserves_what_the_rules_grant(self, w, case):
        assert (case["state"], case["amount"]["yuan"], case["voucher"]) == ("review", "100000.00", None)
        assert case["decision"]["decision"] == "grant"
        assert case["request"]["contract"]["id"] == CONTRACT["number"]
        (pool,) = Caller(w.owner).get("/programmes/test-shared-2026").body["pools"]
        assert (pool["available"]["yuan"], pool["reserved"]["yuan"]) == ("900000.00", "100000.00")

    def test_needs_a_key(self, w):
        make.programme(w)
        answer = Caller(w.owner).post("/applications", APPLICATION)
        assert (answer.status, answer.body["fields"]) == (422, {"Idempotency-Key": "缺少此项。"})
        assert not Application.objects.exists()

    def test_happens_once_per_key(self, w, case):
        again = Caller(w.owner).post("/applications", APPLICATION, key="application-1")
        assert (again.status, again.body["number"]) == (201, case["number"])
        assert Application.objects.count() == 1

    def test_refuses_another_body_with_the_same_key(self, w, case):
        other = {**APPLICATION, "contract": {**CONTRACT, "number": "HT-2026-002"}}
        answer = Caller(w.owner).post("/applications", other, key="application-1")
        assert (answer.status, answer.code) == (409, "idempotency.mismatch")
        assert Application.objects.count() == 1

    def test_gives_every_reason_of_a_refusal_and_changes_nothing(self, w):
        make.programme(w)
        body = {**APPLICATION, "contract": {**CONTRACT, "related": True, "months": 24}}
        answer = Caller(w.owner).post("/applications", body, key="application-1")
        assert (answer.status, answer.code) == (409, "refused")
        assert answer.reasons == ["R05", "R07"]
        assert answer.body["data"]["decision"]["decision"] == "reject"
        assert not Application.objects.exists()
        assert ledger.unaccounted_fen() == 0

    def test_waits_for_missing_facts_and_decides_when_they_come(self, w):
        make.programme(w, eligibility=["applicant.employees", "<", 500])
        caller = Caller(w.owner)
        case = caller.post("/applications", APPLICATION, key="application-1").body
        assert case["state"] == "supplement"
        path = f"/applications/{case['number']}/complete"
        assert caller.post(path, {"stated": {"applicant.employees": 1.5}}).status == 422
        done = caller.post(path, {"stated": {"applicant.employees": 80}})
        assert (done.status, done.body["state"]) == (200, "review")
        assert caller.post(path, {"stated": {}}).code == "conflict.transition"

    def test_is_refused_while_the_programme_is_suspended(self, w):
        make.programme(w)
        Caller(w.publisher).post("/programmes/test-shared-2026/versions/1/suspend")
        answer = Caller(w.owner).post("/applications", APPLICATION, key="application-1")
        assert (answer.status, answer.code) == (409, "programme.not_open")


class TestDeciding:
    def test_issues_a_voucher_after_two_people(self, w, case):
        path = f"/applications/{case['number']}"
        endorsed = Caller(w.reviewer).post(f"{path}/pass", {"amount": {"yuan": "80000"}, "note": "核减"})
        assert (endorsed.status, endorsed.body["state"], endorsed.body["amount"]["yuan"]) == (
            200,
            "review",
            "80000.00",
        )
        approved = Caller(w.approver).post(f"{path}/pass", {})
        assert (approved.status, approved.body["state"]) == (200, "issued")
        voucher = Caller(w.owner).get(f"/vouchers/{approved.body['voucher']}").body
        assert (voucher["face"]["yuan"], voucher["available"]["yuan"], voucher["share"]) == (
            "80000.00",
            "80000.00",
            "1/2",
        )
        assert Caller(w.approver).post(f"{path}/pass", {}).status in {403, 409}
        assert ledger.unaccounted_fen() == 0

    def test_never_raises_the_amount(self, w, case):
        answer = Caller(w.reviewer).post(f"/applications/{case['number']}/pass", {"amount": {"yuan": "100000.01"}})
        assert (answer.status, answer.code, list(answer.body["fields"])) == (
            422,
            "application.amount_raised",
            ["amount"],
        )

    def test_needs_a_second_person(self, w):
        both = Caller(make.both_roles(w))
        make.programme(w)
        case = Caller(w.owner).post("/applications", APPLICATION, key="application-1").body
        both.post(f"/applications/{case['number']}/pass", {})
        answer = both.post(f"/applications/{case['number']}/pass", {})
        assert (answer.status, answer.code) == (403, "application.same_person")
        assert not Voucher.objects.exists()

    def test_returns_and_refuses_with_a_reason(self, w, case):
        reviewer, path = Caller(w.reviewer), f"/applications/{case['number']}"
        assert reviewer.post(f"{path}/return", {"note": " "}).code == "application.note"
        returned = reviewer.post(f"{path}/return", {"note": "请补充合同盖章页"})
        assert (returned.body["state"], returned.body["note"]) == ("supplement", "请补充合同盖章页")
        assert Caller(w.owner).post(f"{path}/complete", {"stated": {}}).body["state"] == "review"
        refused = reviewer.post(f"{path}/refuse", {"note": "合同不实"})
        assert (refused.status, refused.body["state"]) == (200, "refused")

    def test_releases_the_pool_when_withdrawn(self, w, case):
        answer = Caller(w.owner).post(f"/applications/{case['number']}/withdraw")
        assert (answer.status, answer.body["state"]) == (200, "withdrawn")
        (pool,) = Caller(w.owner).get("/programmes/test-shared-2026").body["pools"]
        assert pool["available"]["yuan"] == "1000000.00"


class TestSeeing:
    def test_hides_a_case_from_everybody_it_is_not_for(self, w, case):
        rival = make.organisation(make.roles.Kind.ENTERPRISE)
        other = make.organisation(make.roles.Kind.DEPARTMENT)
        for stranger in (
            make.actor(rival, make.roles.Role.OWNER),
            make.actor(other, make.roles.Role.REVIEWER),
            w.keeper,
            w.finance,
        ):
            caller = Caller(stranger)
            assert caller.get(f"/applications/{case['number']}").status == 404
            listed = caller.get("/applications")
            assert listed.status == 403 or listed.body["items"] == []

    def test_is_a_queue_for_reviewers(self, w, case):
        caller = Caller(w.reviewer)
        assert [row["number"] for row in caller.get("/applications", state="review").body["items"]] == [case["number"]]
        assert caller.get("/applications", state="issued").body["items"] == []

    def test_takes_as_many_queries_for_one_as_for_many(self, w, case):
        caller = Caller(w.owner)
        one = queries_of(lambda: caller.get("/applications"))
        for at in range(3):
            contract = {**CONTRACT, "number": f"HT-{at}", "items": {"compute": {"yuan": "1000"}}}
            made = caller.post("/applications", {**APPLICATION, "contract": contract}, key=f"application-{at}x")
            assert made.status == 201
        assert queries_of(lambda: caller.get("/applications")) == one


class TestVouchers:
    def test_show_what_is_held_and_what_is_left(self, w):
        voucher = make.voucher(w)
        make.booking(w, make.instrument(w), period=make.slot(start="09:00", end="13:00"), pay_with=voucher)
        (shown,) = Caller(w.researcher).get("/vouchers").body["items"]
        assert (shown["face"]["yuan"], shown["held"]["yuan"], shown["available"]["yuan"]) == (
            "100000.00",
            "960.00",
            "99040.00",
        )
        assert (shown["state_label"], shown["valid_until"]) == ("可用", "2027-11-25T16:00:00Z")

    def test_tell_every_movement_with_the_balance_after_it(self, w):
        voucher = make.voucher(w)
        booked = make.booking(w, make.instrument(w), period=make.slot(start="09:00", end="13:00"), pay_with=voucher)
        make.measured(w, booked)
        caller, path = Caller(w.owner), f"/vouchers/{voucher.number}/movements"
        lines = caller.get(path).body["items"]
        assert [(line["kind"], line["amount"]["yuan"], line["balance"]["yuan"]) for line in lines] == [
            ("capture", "-960.00", "99040.00"),
            ("issue", "100000.00", "100000.00"),
        ]
        assert (lines[0]["kind_label"], lines[0]["subject"]) == ("核销", f"charge:{booked.charge.number}")
        first = caller.get(path, limit=1).body
        assert [line["kind"] for line in first["items"]] == ["capture"]
        rest = caller.get(path, limit=1, before=first["next_before"]).body
        assert ([line["kind"] for line in rest["items"]], rest["next_before"]) == (["issue"], None)

    def test_of_others_do_not_exist(self, w):
        voucher = make.voucher(w)
        rival = Caller(make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER))
        assert rival.get(f"/vouchers/{voucher.number}").status == 404
        assert rival.get(f"/vouchers/{voucher.number}/movements").status == 404
        assert rival.get("/vouchers").body["items"] == []
        assert Caller(w.keeper).get("/vouchers").status == 403

    def test_take_as_many_queries_for_one_as_for_many(self, w):
        caller = Caller(w.owner)
        version = make.programme(w)
        make.voucher(w, version)
        one = queries_of(lambda: caller.get("/vouchers"))
        for at in range(3):
            make.voucher(w, version, number=f"HT-{at}", items={"compute": make.Money.from_yuan("1000")})
        assert queries_of(lambda: caller.get("/vouchers")) == one
