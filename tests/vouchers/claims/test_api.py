import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import make
from tests.calling import Caller
from tests.vouchers.claims import making

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def voucher(w):
    return make.voucher(w, making.reimbursing(w, evidence=[{"stage": "claim", "doc": "银行回单"}]))


def body(voucher, total="100", *amounts):
    rows = [
        {"what": "语料", "amount": {"yuan": each}, "base": {"yuan": "200"}, "invoice": f"2544-{at}"}
        for at, each in enumerate(amounts or (total,))
    ]
    return {"amount": {"yuan": total}, "voucher": voucher.number, "lines": rows}


def test_from_draft_to_payable(w, voucher):
    owner = Caller(w.owner)
    made = owner.post("/claims", body(voucher), key="claim-key-1")
    assert (made.status, made.body["state"], made.body["missing"]) == (201, "draft", ["银行回单"])
    path = f"/claims/{made.body['number']}"

    refused = owner.post(f"{path}/file")
    assert (refused.status, [reason["code"] for reason in refused.body["reasons"]]) == (409, ["claim.document"])
    file = SimpleUploadedFile("回单.png", making.PNG)
    kept = owner.upload(f"{path}/files", file=file, document="银行回单")
    assert kept.status == 201
    assert owner.post(f"{path}/file").body["state"] == "checking"

    checked = Caller(w.reviewer).post(f"{path}/check", {"amount": {"yuan": "90"}, "note": "少一页"})
    assert (checked.body["state"], checked.body["checked"]["yuan"]) == ("approval", "90.00")
    approved = Caller(w.approver).post(f"{path}/approve", {})
    assert (approved.body["state"], approved.body["approved"]["yuan"]) == ("payable", "90.00")
    assert [row["number"] for row in Caller(w.approver).get("/claims?desk=true").body["items"]] == [made.body["number"]]


def test_lines_that_do_not_add_up_say_by_how_much(w, voucher):
    owner = Caller(w.owner)
    made = owner.post("/claims", body(voucher, "100", "60", "39.99"), key="claim-key-2").body
    reasons = owner.post(f"/claims/{made['number']}/file").body["reasons"]
    assert {reason["code"] for reason in reasons} == {"claim.sum", "claim.document"}
    assert "¥0.01" in reasons[0]["text"]


def test_a_third_decimal_is_not_an_amount(w, voucher):
    assert Caller(w.owner).post("/claims", body(voucher, "100.005"), key="claim-key-3").status == 422


def test_a_foreign_voucher_is_told_plainly(w, voucher):
    rival = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    answer = Caller(rival).post("/claims", body(voucher), key="claim-key-4")
    assert (answer.status, answer.code) == (404, "claim.foreign_voucher")


def test_nothing_to_run_is_a_conflict(w, voucher):
    programme = voucher.application.version.programme.code
    assert Caller(w.finance).post("/claims/runs", {"programme": programme}).code == "claim.no_claims"
    assert Caller(w.finance).post("/claims/runs", {"programme": "none"}).status == 404
    assert Caller(w.finance).get("/claims/runs").body["items"] == []
