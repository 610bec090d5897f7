"""Several vouchers on one purchase over HTTP, and what a refund does to money a batch already holds."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from tests import make
from tests.calling import Caller, zoned
from tests.vouchers.scenarios import vouchers as walks
from vouchers.charges import refunding, services
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger
from vouchers.settlements import services as settlements
from vouchers.wallets import services as wallets


@pytest.fixture
def two(w):
    version = make.programme(w, per_contract_count=9)
    small = make.voucher(w, version, number="HT-1", items={"compute": Money.from_yuan("200")})
    return small, make.voucher(w, version, number="HT-2")


@pytest.mark.usefixtures("clock")
def test_a_booking_is_paid_by_two_vouchers_and_says_which_paid_what(w, two):
    resource, caller = make.instrument(w), Caller(w.researcher)
    asked = {
        "instrument": resource.number,
        "starts_at": zoned(make.slot().start),
        "ends_at": zoned(make.slot().end),
        "vouchers": [voucher.number for voucher in two],
    }
    quote = caller.post("/bookings/quote", asked)
    assert (quote.body["bookable"], quote.body["voucher_share"]["fen"]) == (True, 48_000)
    made = caller.post("/bookings", {**asked, "title": "观察"}, key="two-vouchers-1")
    parts = [(part["voucher"], part["held"]["fen"]) for part in made.body["charge"]["vouchers"]]
    assert parts == [(two[0].number, 10_000), (two[1].number, 38_000)]
    answer = caller.post("/bookings/quote", {**asked, "vouchers": ["V2611-999999"]})
    assert answer.status == 404


def test_a_refund_after_the_batch_is_owed_by_the_provider_and_leaves_the_batch_alone(w, two):
    charge = walks.bought(w, [two[1]], 100_000)
    batch = settlements.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    refunding.refund(
        actor=w.lab_owner, charge=charge, amount=Money(20_000), reason="返工", now=make.NOW, key="refund-key-1"
    )
    charge.refresh_from_db()
    assert (charge.voucher_refunded_fen, charge.voucher_owed_fen, charge.voucher_payable_fen) == (
        10_000,
        10_000,
        50_000,
    )
    assert walks.of_kind("receivable_provider") == 10_000
    assert walks.of_kind("settlement_clearing") == 50_000
    assert walks.left(two[1]) == 10_000_000 - 50_000 + 10_000
    assert ledger.unaccounted_fen() == 0


@pytest.mark.django_db(transaction=True)
def test_a_freeze_and_sixteen_orders_take_turns(w):
    voucher = walks.granted(w, 10_000, share="1.00")

    def act(at: int) -> str:
        try:
            if at == 8:
                wallets.freeze(actor=w.approver, voucher=voucher, reason="核查", now=make.NOW)
                return "frozen"
            services.hold(
                bill=walks.bill(w, 100, subject=f"job:F-{at}"), vouchers=[voucher], actor=w.researcher, now=make.NOW
            )
        except PortalError as error:
            return error.code
        finally:
            connection.close()
        return "held"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(act, range(17)))
    assert outcomes.count("frozen") == 1
    assert set(outcomes) <= {"frozen", "held", "refused"}
    assert Charge.objects.count() == outcomes.count("held")
    with pytest.raises(PortalError):
        services.hold(bill=walks.bill(w, 100, subject="job:F-99"), vouchers=[voucher], actor=w.researcher, now=make.NOW)
