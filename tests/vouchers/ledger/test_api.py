"""The ledger's check over HTTP."""

from __future__ import annotations

import pytest
from django.db import connection

from tests import make
from tests.calling import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_finds_every_fen_after_a_walk(w):
    make.measured(w, make.booking(w, make.instrument(w), pay_with=make.voucher(w)))
    for reader in (w.auditor, w.finance, w.finance_approver):
        answer = Caller(reader).get("/ledger/check")
        assert (answer.status, answer.body) == (200, {"unaccounted_fen": 0, "violations": []})


def test_tells_what_is_missing(w):
    voucher = make.voucher(w)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE ledger_balance SET posted_cr = posted_cr + 7 WHERE account_id = %s", [voucher.account_id]
        )
    body = Caller(w.auditor).get("/ledger/check").body
    assert body["unaccounted_fen"] == 14
    assert {found["check"] for found in body["violations"]} >= {"books_balance", "balance_is_sum_of_transfers"}


def test_is_for_auditors_and_finance_only(w):
    for stranger in (w.owner, w.reviewer, w.keeper, w.officer):
        assert Caller(stranger).get("/ledger/check").status == 403
