"""What prices come to, to the fen (the published cases C1 to C7), and what a voucher buys beside time and cards (C8, C9)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction as F

from portal.kernel.money import Money
from tests import make
from tests.vouchers.offers import goods
from tests.vouchers.scenarios import scenario
from vouchers.charges.prices import PriceItem, PriceRounding, PriceUnit, Tier, Tiering, price
from vouchers.offers import importing, orders, usage


def _item(yuan: str, unit: PriceUnit, **more: object) -> PriceItem:
    return PriceItem(code="x", name="x", unit=unit, tiers=(Tier(F(yuan) * 100),), **more)  # type: ignore[arg-type]


CARDS = _item("3.75", PriceUnit.CARD_HOUR)
HOSTED = PriceItem(
    code="x",
    name="x",
    unit=PriceUnit.HOUR,
    tiers=(Tier(F(2050), F(300)), Tier(F(1750), F(1000)), Tier(F(1500), F(2500)), Tier(F(1350))),
)


@scenario("C1")
def card_hours_to_the_second() -> str:
    """8 cards for 1 h 30 min 15 s at 3.75 cost 45.125: half up unless the price list says down."""
    used = 8 * F(5415, 3600)
    up, down = price(CARDS, used).amount, price(replace(CARDS, rounding=PriceRounding.DOWN), used).amount
    assert (up.yuan(), down.yuan()) == ("45.13", "45.12")
    return f"{up} / {down}"


@scenario("C2")
def a_started_day_is_a_day() -> str:
    """26 hours of a node are two node-days."""
    amount = price(_item("720", PriceUnit.NODE_DAY, started=True), F(26, 24)).amount
    assert amount.yuan() == "1440.00"
    return str(amount)


@scenario("C3")
def a_day_of_eight_cards() -> str:
    """8 cards for 24 h cost what a node-day costs."""
    amount = price(CARDS, F(8 * 24)).amount
    assert amount == price(_item("720", PriceUnit.NODE_DAY, started=True), F(1)).amount
    assert amount.yuan() == "720.00"
    return str(amount)


@scenario("C4")
def storage_after_the_free_terabyte() -> str:
    """2.2 TB for one night with 1 TB free are two TB to pay."""
    amount = price(_item("0.50", PriceUnit.TB_DAY, started=True, free=F(1)), F("2.2")).amount
    assert amount.yuan() == "1.00"
    return str(amount)


@scenario("C5")
def whole_volume_and_marginal() -> str:
    """500 h in whole-volume tiers and in marginal tiers."""
    whole = price(HOSTED, F(500)).amount
    marginal = price(replace(HOSTED, tiering=Tiering.MARGINAL), F(500)).amount
    assert (whole.yuan(), marginal.yuan()) == ("8750.00", "9650.00")
    return f"{whole} / {marginal}"


@scenario("C6")
def the_cheaper_extra_hour() -> str:
    """300 h and 301 h in whole-volume tiers: the cheaper extra hour is as published, and stays."""
    before, after = price(HOSTED, F(300)).amount, price(HOSTED, F(301)).amount
    assert (before.yuan(), after.yuan()) == ("6150.00", "5267.50")
    return f"{before} / {after}"


@scenario("C7")
def above_the_years_quota() -> str:
    """2,100 card-hours of a one-person company with 2,000 free a year: 100 are billable, however they are split."""
    opc = replace(CARDS, free=F(2000))
    assert price(opc, F(2100)).billable == 100
    assert price(opc, F(1900)).billable + price(opc, F(200), used=F(1900)).billable == 100
    return "100"


@scenario("C8")
def a_corpus_bought_with_a_voucher(w: make.World) -> str:
    """A corpus of 100,000 records at 0.50 is bought with a voucher of 50 %: list price, half paid, 900 records short."""
    seller, voucher = goods.seller(w), goods.voucher(w)
    made = goods.order(w, goods.offer(w, by=seller), "100000", pay_with=voucher)
    assert (made.charge.price_fen, made.charge.voucher_held_fen) == (5_000_000, 2_500_000)
    done = orders.approve(actor=w.owner, order=goods.delivered(w, made, by=seller, quantity="99100"), now=make.NOW)
    assert (done.charge.actual_fen, done.charge.voucher_captured_fen) == (4_955_000, 2_477_500)
    return f"{Money(done.charge.actual_fen)} = {Money(done.charge.voucher_captured_fen)} + {Money(done.charge.own_captured_fen)}"


@scenario("C9")
def usage_imported_twice(w: make.World) -> str:
    """A usage file imported twice counts once; a changed line is a conflict named, and nothing of its file is taken."""
    seller, voucher = goods.seller(w), goods.voucher(w, "model_api")
    made = goods.delivering(w, goods.order(w, goods.model(w), "10", pay_with=voucher), by=seller)
    upload = goods.usage_file(*goods.ROWS)
    counts = [importing.import_file(actor=seller, order=made, upload=upload, now=make.NOW).added for _ in range(2)]
    assert counts == [2, 0]
    changed = goods.usage_file(
        (goods.DAY, "call-1", 9, "", None, None, None), (goods.DAY, "new", 1, "", None, None, None)
    )
    try:
        importing.import_file(actor=seller, order=made, upload=changed, now=make.NOW)
    except usage.BadUsage as error:
        assert [reason.code for reason in error.reasons] == ["usage.conflict"]
    else:
        raise AssertionError("a changed line was taken")
    orders.deliver(actor=seller, order=made, now=make.NOW)
    done = orders.approve(actor=w.owner, order=made, now=make.NOW)
    assert (done.charge.actual_fen, done.charge.voucher_captured_fen) == (3_000, 1_500)
    return f"{Money(done.charge.actual_fen)}"
