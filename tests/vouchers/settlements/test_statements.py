"""A payee's statement of a month: opening, what changed it, closing; it is the ledger's own, and the audit says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from portal.kernel.period import Period
from tests import make
from tests.calling import Caller
from tests.vouchers.scenarios.vouchers import bought, granted
from tests.vouchers.settlements.test_parts import paid, refund
from vouchers.ledger import auditing
from vouchers.settlements import checking, services, statements
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.statements import MovementKind as M

NOVEMBER = Period(datetime(2026, 10, 31, 16, tzinfo=UTC), datetime(2026, 11, 30, 16, tzinfo=UTC))


@pytest.fixture
def lived(w):
    """Return a voucher whose provider earned 1,000 yuan, was paid 500, gave 200 back, and earned 100 more."""
    voucher = granted(w, 10_000)
    charge = bought(w, [voucher], 100_000)
    paid(w, services.draft(actor=w.finance, payee=w.lab, now=make.NOW))
    refund(w, charge, "200")
    bought(w, [voucher], 10_000, subject="job:J-2")
    return voucher


def now_of(w):
    """Ledger entries of tests carry the database's clock: return the month they are in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return cursor.fetchone()[0]


def month(w):
    local = now_of(w).astimezone(make.BEIJING)
    return statements.month_of(local.year, local.month, now=now_of(w))


def test_opening_and_lines_come_to_the_closing(w, lived):
    found = statements.statement(w.lab.pk, month(w))
    assert found.opening_fen == 0
    assert found.total_fen(M.CAPTURED) == 110_000
    assert found.total_fen(M.PAID) == -50_000
    assert found.total_fen(M.REFUNDED) == -20_000
    assert found.closing_fen == 40_000
    assert {line.subject for line in found.lines} >= {"job:J-1", "job:J-2"}
    later = Period(month(w).end, month(w).end + timedelta(days=30))
    assert (statements.statement(w.lab.pk, later).opening_fen, later.start) == (40_000, month(w).end)


def test_a_batch_on_its_way_changes_nothing(w, lived):
    before = statements.statement(w.lab.pk, month(w)).closing_fen
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    assert statements.statement(w.lab.pk, month(w)).closing_fen == before


def test_the_last_month_of_the_chart_is_the_statements(w, lived):
    last = statements.monthly(w.lab.pk, now=now_of(w))[-1]
    assert (last.earned_fen, last.paid_fen) == (90_000, 50_000)
    assert len(statements.monthly(w.lab.pk, now=now_of(w))) == 12


@pytest.mark.parametrize(("year", "month"), [(1999, 1), (2026, 0), (2026, 13), (2199, 1)])
def test_a_month_that_is_none_is_refused(year, month):
    with pytest.raises(statements.BadMonth):
        statements.month_of(year, month, now=make.NOW)


def test_december_ends_with_the_year():
    found = statements.month_of(2025, 12, now=make.NOW)
    assert found.end.astimezone(make.BEIJING).date().isoformat() == "2026-01-01"


def test_the_audit_finds_a_batch_that_is_not_what_its_clearing_holds(w, lived):
    assert checking.violations() == []
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    SettlementBatch.objects.filter(pk=batch.pk).update(total_fen=1)
    found = auditing.audit(now=make.NOW)
    assert {one.check for one in found.violations} == {"batch_is_in_clearing", "batch_is_sum_of_lines"}
    assert not found.clean


def test_over_http_a_payee_reads_its_own_and_finance_anybodys(w, lived):
    at = now_of(w).astimezone(make.BEIJING)
    path = f"/settlements/statements/{at.year}/{at.month}"
    own = Caller(w.lab_owner).get(path)
    assert (own.status, own.body["closing"]["fen"], own.body["totals"]["paid"]["fen"]) == (200, 40_000, -50_000)
    assert Caller(w.finance).get(path, payee=w.lab.credit_code).body == own.body
    assert Caller(w.owner).get(path, payee=w.lab.credit_code).body["closing"]["fen"] == 0
    assert Caller(w.keeper).get(path).status == 403
    assert Caller(w.lab_owner).get("/settlements/statements/2026/13").status == 422
