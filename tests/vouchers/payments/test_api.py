"""Payments over HTTP."""

from __future__ import annotations

import pytest

from tests import make
from tests.calling import Caller, queries_of
from vouchers.ledger import queries as ledger
from vouchers.payments.models import Payment

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def owed(w) -> Payment:
    """960 yuan, after two hours of use paid without a voucher."""
    make.measured(w, make.booking(w, make.instrument(w)))
    return Payment.objects.get()


def test_walks_from_due_to_confirmed(w, owed):
    payer, finance, path = Caller(w.owner), Caller(w.finance), f"/payments/{owed.number}"
    due = payer.get(path)
    assert (due.status, due.body["state"], due.body["amount"]) == (200, "due", {"fen": 96000, "yuan": "960.00"})
    assert due.body["subject"] == owed.charge.subject

    declared = payer.post(f"{path}/declare", {"bank_reference": "ICBC-1"})
    assert (declared.status, declared.body["state"]) == (200, "declared")
    returned = finance.post(f"{path}/return", {"note": "未到账"})
    assert (returned.body["state"], returned.body["note"]) == ("due", "未到账")
    payer.post(f"{path}/declare", {"bank_reference": "ICBC-2"})
    confirmed = finance.post(f"{path}/confirm", {})
    assert (confirmed.status, confirmed.body["state"], confirmed.body["bank_reference"]) == (200, "confirmed", "ICBC-2")
    assert finance.post(f"{path}/confirm", {}).code == "conflict.transition"
    assert ledger.unaccounted_fen() == 0


def test_does_not_confirm_two_payments_with_one_bank_line(w, owed):
    resource = owed.charge.provider and make.instrument(w)
    make.measured(w, make.booking(w, resource))
    other = Payment.objects.exclude(pk=owed.pk).get()
    finance = Caller(w.finance)
    assert finance.post(f"/payments/{owed.number}/confirm", {"bank_reference": "ICBC-1"}).status == 200
    answer = finance.post(f"/payments/{other.number}/confirm", {"bank_reference": "ICBC-1"})
    assert (answer.status, answer.code) == (409, "banking.reference_claimed")
    assert finance.get(f"/payments/{other.number}").body["state"] == "due"


@pytest.mark.parametrize("reference", ["", "  ", "x" * 61, "a\nb", 5])
def test_needs_a_bank_reference(w, owed, reference):
    answer = Caller(w.owner).post(f"/payments/{owed.number}/declare", {"bank_reference": reference})
    assert (answer.status, list(answer.body["fields"])) == (422, ["bank_reference"])


def test_is_seen_by_its_payer_and_finance_only(w, owed):
    rival = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    for stranger in (rival, w.keeper, w.reviewer, w.auditor):
        caller = Caller(stranger)
        assert caller.get(f"/payments/{owed.number}").status == 404
        assert caller.get("/payments").body["items"] == []
    assert Caller(w.finance).get("/payments", state="due").body["items"][0]["payer"] == w.enterprise.name


def test_takes_as_many_queries_for_one_as_for_many(w, owed):
    caller = Caller(w.finance)
    one = queries_of(lambda: caller.get("/payments"))
    resource = make.instrument(w)
    for day in (2, 3, 4):
        make.measured(w, make.booking(w, resource, period=make.slot(days=day)))
    assert queries_of(lambda: caller.get("/payments")) == one
