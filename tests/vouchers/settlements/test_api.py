"""Settlement batches over HTTP."""

from __future__ import annotations

import pytest

from tests import make
from tests.calling import Caller, queries_of
from vouchers.ledger import queries as ledger

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def captured(w):
    """The lab has served four hours: 960 yuan from a voucher, 960 of the enterprise's own, not paid yet."""
    booked = make.booking(w, make.instrument(w), period=make.slot(start="09:00", end="13:00"), pay_with=make.voucher(w))
    return make.measured(w, booked)


def test_walks_from_due_to_paid(w, captured):
    finance, approver = Caller(w.finance), Caller(w.finance_approver)
    (due,) = finance.get("/settlements/due").body
    assert (due["payee"]["credit_code"], due["amount"]["yuan"]) == (w.lab.credit_code, "960.00")

    batch = finance.post("/settlements", {"payee": w.lab.credit_code})
    assert (batch.status, batch.body["state"], batch.body["total"]) == (201, "draft", {"fen": 96000, "yuan": "960.00"})
    assert [(line["leg"], line["subject"], line["amount"]["fen"]) for line in batch.body["lines"]] == [
        ("voucher", f"booking:{captured.number}", 96000)
    ]
    path = f"/settlements/{batch.body['number']}"
    assert approver.post(f"{path}/approve").body["state"] == "approved"
    paid = finance.post(f"{path}/pay", {"bank_reference": "TR-1"})
    assert (paid.status, paid.body["state"], paid.body["bank_reference"]) == (200, "paid", "TR-1")
    assert finance.post(f"{path}/pay", {"bank_reference": "TR-1"}).code == "conflict.transition"
    assert finance.get("/settlements/due").body == []
    assert Caller(w.auditor).get("/ledger/check").body == {"unaccounted_fen": 0, "violations": []}


def test_never_settles_twice(w, captured):
    finance = Caller(w.finance)
    first = finance.post("/settlements", {"payee": w.lab.credit_code})
    again = finance.post("/settlements", {"payee": w.lab.credit_code})
    assert (again.status, again.code) == (409, "settlement.nothing")
    assert finance.post(f"/settlements/{first.body['number']}/discard").body["state"] == "discarded"
    assert finance.post("/settlements", {"payee": w.lab.credit_code}).status == 201
    assert ledger.unaccounted_fen() == 0


def test_needs_a_second_person(w, captured):
    both = Caller(make.actor(w.department, make.roles.Role.FINANCE_OFFICER, make.roles.Role.FINANCE_APPROVER))
    batch = both.post("/settlements", {"payee": w.lab.credit_code}).body
    answer = both.post(f"/settlements/{batch['number']}/approve")
    assert (answer.status, answer.code) == (403, "settlement.same_person")


@pytest.mark.parametrize("code", ["", "91330100MA0000000X", "x" * 61])
def test_knows_no_other_provider(w, captured, code):
    assert Caller(w.finance).post("/settlements", {"payee": code}).status in {404, 422}
    assert Caller(w.finance).post("/settlements", {"payee": w.department.credit_code}).status == 404


def test_a_provider_sees_its_own_once_approved(w, captured):
    batch = Caller(w.finance).post("/settlements", {"payee": w.lab.credit_code}).body
    lab, path = Caller(w.lab_owner), f"/settlements/{batch['number']}"
    assert lab.get(path).status == 404
    Caller(w.finance_approver).post(f"{path}/approve")
    assert lab.get(path).body["total"]["yuan"] == "960.00"
    other = make.organisation(make.roles.Kind.PROVIDER)
    stranger = Caller(make.actor(other, make.roles.Role.OWNER))
    assert stranger.get(path).status == 404
    assert stranger.get("/settlements/due").body == []
    assert Caller(w.owner).get("/settlements/due").body == []
    assert Caller(w.researcher).get("/settlements/due").status == 403


def test_takes_as_many_queries_for_one_as_for_many(w, captured):
    finance = Caller(w.finance)
    number = finance.post("/settlements", {"payee": w.lab.credit_code}).body["number"]
    one = queries_of(lambda: finance.get("/settlements"))
    detail = queries_of(lambda: finance.get(f"/settlements/{number}"))
    finance.post(f"/settlements/{number}/discard")
    voucher, resource = captured.charge.voucher, captured.resource
    for day in (2, 3, 4):
        make.measured(w, make.booking(w, resource, period=make.slot(days=day), pay_with=voucher))
    larger = finance.post("/settlements", {"payee": w.lab.credit_code}).body
    assert len(larger["lines"]) == 4
    assert queries_of(lambda: finance.get("/settlements")) == one
    assert queries_of(lambda: finance.get(f"/settlements/{larger['number']}")) == detail
