"""Bank accounts over HTTP: who sees them, who sees the whole number, and clear answers to bad ones."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.calling import Caller
from tests.vouchers.payees import making

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
GOOD = {"bank": "中国工商银行杭州分行", "cnaps": making.ICBC, "number": "1202020209900012345"}


def send(actor, **fields):
    proof = SimpleUploadedFile("proof.pdf", making.PDF, content_type="application/pdf")
    return Caller(actor).upload("/payees/accounts", **fields, file=proof)


def test_from_proposal_to_force(w):
    made = send(w.lab_owner, holder=w.lab.name, **GOOD)
    assert (made.status, made.body["state"], made.body["number"]) == (201, "proposed", GOOD["number"])
    path = f"/payees/accounts/{made.body['reference']}"
    assert Caller(w.finance).post(f"{path}/check").body["state"] == "checked"
    assert Caller(w.finance).post(f"{path}/verify").code == "payee.same_person"
    done = Caller(w.finance_approver).post(f"{path}/verify").body
    assert (done["state"], done["in_force_from"][:10]) == ("verified", "2026-11-28")
    (listed,) = Caller(w.finance).get("/payees/accounts?state=verified").body["items"]
    assert listed["number"] == "**** 2345"
    assert Caller(w.finance).get(f"{path}/proofs/{done['proofs'][0]}").status == 200


def test_an_iban_is_refused_with_its_field_and_a_remedy(w):
    refused = send(w.lab_owner, holder=w.lab.name, **{**GOOD, "number": "DE89370400440532013000"})
    assert (refused.status, refused.code) == (409, "payee.account")
    (reason,) = refused.body["reasons"]
    assert (reason["code"], reason["field"]) == ("payee.iban", "number")
    assert "IBAN" in reason["text"]
    assert reason["remedy"]


@pytest.mark.parametrize("who", ["keeper", "finance", "officer", "researcher"])
def test_others_propose_nothing(w, who):
    assert send(getattr(w, who), holder=w.lab.name, **GOOD).status == 403


def test_a_stranger_does_not_see_an_account(w):
    account = making.proposed(w.lab)
    path = f"/payees/accounts/{account.reference}"
    assert Caller(w.owner).get(path).status == 404
    assert Caller(w.owner).get("/payees/accounts").body["items"] == []
    assert Caller(w.keeper).get("/payees/accounts").status == 403
    assert Caller(w.lab_owner).get(path).body["number"] == account.number
    assert Client().get(f"/api/v1{path}").status_code == 401
