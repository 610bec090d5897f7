"""The pools a programme states bound what is awarded within their periods, whatever the books hold besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from django.db import connections

from portal.kernel.errors import PortalError, Refused
from portal.kernel.money import Money
from tests import make
from vouchers.issuance import funds
from vouchers.issuance import services as issuance
from vouchers.issuance.models import Application
from vouchers.ledger import queries as ledger
from vouchers.programmes.models import Budget
from vouchers.wallets import expiry

NEXT_YEAR = datetime(2027, 1, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def w(db):
    return make.world()


def case(version, yuan, *, owner=None, number="HT-1", now=make.NOW):
    """Apply for `yuan`, half of a contract, as another enterprise."""
    items = {"compute": Money(2 * Money.from_yuan(yuan).fen)}
    wanted = issuance.Wanted(version=version, contract=make.contract(number, items=items), stated={})
    return issuance.submit(actor=owner or make.applicant(), wanted=wanted, now=now, key=make.key())


def left(version, now=make.NOW):
    return funds.left(version, now=now).yuan()


class TestAPoolOfAYear:
    def test_bounds_the_awards_though_the_budget_holds_more(self, w):
        version = make.programme(w, budget="1000000", pool=[{"period": "year", "amount": 150000}])
        case(version, "100000")
        assert left(version) == "50000.00"
        assert case(version, "100000", number="HT-2").amount_fen == Money.from_yuan("50000").fen
        with pytest.raises(Refused):
            case(version, "100000", number="HT-3")

    def test_leaves_out_what_administration_takes(self, w):
        pool = [{"period": "year", "amount": 100000, "admin_cost_in": True, "admin_share": "0.05"}]
        assert left(make.programme(w, pool=pool)) == "95000.00"

    def test_gets_back_what_was_reserved_in_vain(self, w):
        version = make.programme(w, pool=[{"period": "year", "amount": 150000}])
        make.refused(w, case(version, "100000"), note="不符")
        assert left(version) == "150000.00"

    def test_gets_back_what_expired(self, w):
        version = make.programme(
            w,
            pool=[{"period": "total", "amount": 150000}],
            validity={"length": 1, "from": "issue", "on_expiry": "return"},
        )
        make.approved(w, make.passed(w, case(version, "100000")))
        assert left(version) == "50000.00"
        expiry.expire_overdue(now=make.NOW + timedelta(days=60))
        assert left(version) == "150000.00"

    def test_of_the_next_year_is_opened_by_its_first_award_and_by_no_other(self, w):
        version = make.programme(
            w, budget="30000", pool=[{"period": "2026", "amount": 50000}, {"period": "2027", "amount": 80000}]
        )
        assert (left(version), left(version, NEXT_YEAR)) == ("30000.00", "80000.00")
        old = case(version, "20000")
        new = case(version, "60000", number="HT-2", now=NEXT_YEAR)
        assert (old.fiscal_year, new.fiscal_year) == (2026, 2027)
        assert (left(version), left(version, NEXT_YEAR)) == ("10000.00", "20000.00")
        assert sorted(Budget.objects.values_list("fiscal_year", flat=True)) == [2026, 2027]
        books = ledger.budgets(programmes=[version.programme.code])[version.programme.code]
        assert {year: (one.put_in, one.free) for year, one in books.items()} == {
            2026: (3000000, 1000000),
            2027: (8000000, 2000000),
        }
        voucher = make.approved(w, make.passed(w, new, now=NEXT_YEAR), now=NEXT_YEAR)
        assert voucher.fiscal_year == 2027
        assert ledger.unaccounted_fen() == 0

    def test_that_names_another_year_has_nothing_for_this_one(self, w):
        version = make.programme(w, pool=[{"period": "2025", "amount": 50000}])
        with pytest.raises(Refused):
            case(version, "20000")


class TestAPoolOfAQuarter:
    def test_is_new_each_quarter_within_the_year(self, w):
        version = make.programme(
            w, pool=[{"period": "quarter", "amount": 60000}, {"period": "total", "amount": 100000}]
        )
        case(version, "60000")
        assert left(version) == "0.00"
        later = make.NOW + timedelta(days=45)
        assert left(version, later) == "40000.00"


class TestAPoolOfEachRound:
    def test_bounds_what_a_round_gives(self, w):
        version = make.programme(w, order="ranked", pool=[{"period": "round", "amount": 150000}])
        for _each in range(2):
            make.waiting(w, version, "100000", score=None)
        opened = make.round_of(w, version)
        done = make.decided(w, opened)
        assert done.pool_fen == Money.from_yuan("150000").fen
        assert sorted(Application.objects.values_list("amount_fen", flat=True)) == [5000000, 10000000]
        make.waiting(w, version, "100000", now=opened.closes_at)
        again = make.decided(w, make.round_of(w, version, now=opened.closes_at))
        assert again.pool_fen == Money.from_yuan("150000").fen

    def test_bounds_what_is_applied_for_in_one_intake_window(self, w):
        windows = [{"from": "2026-11-01", "to": "2026-11-30"}, {"from": "2026-12-01", "to": "2026-12-31"}]
        version = make.programme(w, windows=windows, pool=[{"period": "round", "amount": 60000}])
        case(version, "60000")
        assert left(version) == "0.00"
        assert left(version, make.NOW + timedelta(days=10)) == "60000.00"


@pytest.mark.django_db(transaction=True)
def test_rivals_together_never_pass_a_pool():
    w = make.world()
    version = make.programme(w, budget="10000000", pool=[{"period": "quarter", "amount": 250000}])
    owners = [make.applicant() for _each in range(4)]
    got: list[int] = []

    def apply(owner):
        try:
            got.append(case(version, "100000", owner=owner).amount_fen)
        except PortalError:
            got.append(0)
        finally:
            connections.close_all()

    threads = [Thread(target=apply, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [0, 5000000, 10000000, 10000000]
    assert funds.left(version, now=make.NOW) == Money(0)
