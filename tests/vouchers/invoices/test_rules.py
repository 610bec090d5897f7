"""Tax that adds up, buyers, numbers, lines of a document."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from vouchers.invoices import lines, rules, taxes

FEN = st.integers(0, 10**12)
RATES = st.sampled_from(list(taxes.TaxRate))


@given(FEN, RATES)
def test_net_and_tax_are_the_price_and_tax_is_right_to_half_a_fen(gross, rate):
    found = taxes.split_tax(gross, rate)
    assert found.net + found.tax == gross
    exact = Fraction(gross) * taxes.SHARES[rate] / (1 + taxes.SHARES[rate])
    assert abs(found.tax - exact) <= Fraction(1, 2)
    assert taxes.split_tax(-gross, rate) == taxes.Taxed(-gross, -found.net, -found.tax)


@given(st.lists(st.integers(-(10**9), 10**9), max_size=20), RATES)
def test_lines_add_up_whatever_they_are(amounts, rate):
    found = taxes.taxed_lines(amounts, rate)
    assert sum(line.net for line in found) + sum(line.tax for line in found) == sum(amounts)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), RATES)
def test_a_price_given_back_in_any_parts_gives_back_exactly_its_tax(parts, rate):
    gross = sum(parts)
    tax, before, back = taxes.split_tax(gross, rate).tax, 0, 0
    for part in parts:
        piece = taxes.tax_between(before, before + part, gross=gross, tax=tax)
        assert 0 <= piece <= part
        back, before = back + piece, before + part
    assert back == tax


def test_known_sums_of_tax():
    assert taxes.split_tax(8_800_000, taxes.TaxRate.SERVICES) == taxes.Taxed(8_800_000, 8_301_887, 498_113)
    assert taxes.split_tax(11_300, taxes.TaxRate.GOODS) == taxes.Taxed(11_300, 10_000, 1_300)
    assert taxes.split_tax(10_100, taxes.TaxRate.SMALL_REDUCED).tax == 100
    assert taxes.split_tax(99, taxes.TaxRate.EXEMPT).tax == 0


CODE = make.credit_code(7)


def buyer(**changes):
    return rules.Buyer(**{"title": "浙江某某科技有限公司", "credit_code": CODE, **changes})


def test_a_buyer_is_kept_in_one_form():
    found = rules.check_buyer(buyer(title="  浙江 某某　", credit_code=CODE.lower()), payer_code=CODE)
    assert (found.title, found.credit_code) == ("浙江 某某", CODE)
    account = rules.check_buyer(buyer(account="6222 0212-3456"), payer_code=CODE).account
    assert account == "622202123456"


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"title": " "}, ["title"]),
        ({"credit_code": CODE[:-1] + ("0" if CODE[-1] != "0" else "1")}, ["credit_code"]),
        ({"credit_code": make.credit_code(8)}, ["credit_code"]),
        ({"kind": rules.FapiaoKind.SPECIAL}, ["address", "phone", "bank", "account"]),
        ({"phone": "call me", "account": "12", "email": "a@b"}, ["phone", "account", "email"]),
        ({"address": "长" * 201}, ["address"]),
    ],
)
def test_every_fault_of_a_buyer_is_told_at_its_field(changes, fields):
    with pytest.raises(rules.BadBuyer) as caught:
        rules.check_buyer(buyer(**changes), payer_code=CODE)
    assert [reason.field for reason in caught.value.reasons] == fields
    assert all(reason.message for reason in caught.value.reasons)


def printed(number, code="", on=date(2026, 11, 25)):
    return rules.Printed(number=number, code=code, issued_on=on, amount=1)


@pytest.mark.parametrize(
    ("given_", "codes"),
    [
        (printed("26332000000123456789"), []),
        (printed("２６３３ 2000000123456789"), []),
        (printed("12345678", "033002300111"), []),
        (printed("12345678", "3300230011"), []),
        (printed("2633200000012345678"), ["fapiao.number"]),
        (printed("2633200000012345678X"), ["fapiao.number"]),
        (printed("25332000000123456789"), ["fapiao.number_year"]),
        (printed("12345678"), ["fapiao.number"]),
        (printed("1234567", "0330023001"), ["fapiao.number"]),
        (printed("12345678", "03300"), ["fapiao.code"]),
        (printed("26332000000123456789", on=date(2026, 11, 26)), ["fapiao.future"]),
        (printed(""), ["fapiao.number"]),
        (printed("²⁶³³²⁰⁰⁰⁰⁰⁰¹²³⁴⁵⁶⁷⁸⁹"), []),
        (printed("٢٦٣٣٢٠٠٠٠٠٠١٢٣٤٥٦٧٨٩"), ["fapiao.number"]),
    ],
)
def test_numbers_are_those_the_tax_office_prints(given_, codes):
    assert [reason.code for reason in rules.number_faults(given_, today=date(2026, 11, 25))] == codes


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**8), max_size=12))
def test_reds_never_exceed_the_blue_and_cover_what_was_given_back(blue, refunds):
    owed, red = blue, 0
    for refund in refunds:
        owed = max(0, owed - refund)
        red += rules.red_due(blue=blue, owed=owed, red=red)
        assert red == blue - owed <= blue


MEASURED = {"amount_fen": 7500, "unit": "card_hour", "unit_price_fen": 3000, "quantity": "5/2"}


def amounts(found):
    return [(line.what.value, line.quantity, line.unit_price_yuan, line.amount_fen) for line in found]


def test_a_line_is_quantity_times_unit_price():
    found = lines.lines_of(quote={}, measured=MEASURED, actual_fen=7500)
    assert amounts(found) == [("use", "2.5", "30.00", 7500)]


def test_use_above_the_agreed_price_shows_as_waived():
    found = lines.lines_of(quote={}, measured=MEASURED, actual_fen=6000)
    assert amounts(found) == [("use", "2.5", "30.00", 7500), ("waived", "1", "-15.00", -1500)]


def test_a_surcharge_a_fee_and_a_bare_price_have_lines_of_their_own():
    told = {**MEASURED, "amount_fen": 8500, "surcharge_fen": 1000}
    assert [row[0] for row in amounts(lines.lines_of(quote={}, measured=told, actual_fen=8500))] == ["use", "surcharge"]
    fee = lines.lines_of(quote={}, measured={"amount_fen": 900, "sold_s": 60}, actual_fen=900)
    assert amounts(fee) == [("fee", "1", "9.00", 900)]
    assert amounts(lines.lines_of(quote={"unit": "hour"}, measured={}, actual_fen=5)) == [("use", "1", "0.05", 5)]


def test_tiers_and_minimum_of_a_price_list():
    item = {"code": "t", "name": "词元", "name_en": "Tokens", "unit": "million_tokens", "minimum": False}
    parts = [{"quantity": "10", "price_yuan": "8.00"}, {"quantity": "2.5", "price_yuan": "3.333"}]
    tiers = {"priced": [{**item, "amount_fen": 8833, "parts": parts}]}
    found = lines.lines_of(quote={}, measured=tiers, actual_fen=8833)
    assert amounts(found) == [("item", "10", "8.00", 8000), ("item", "2.5", "3.333", 833)]
    least = {"priced": [{**item, "amount_fen": 9000, "minimum": True, "parts": parts[:1]}]}
    assert [row[3] for row in amounts(lines.lines_of(quote={}, measured=least, actual_fen=9000))] == [1000, 8000]


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 999), st.integers(0, 10**9))
def test_lines_add_up_to_what_was_taken(amount, price, top, bottom, actual):
    told = {"amount_fen": amount, "unit": "hour", "unit_price_fen": price, "quantity": f"{top}/{bottom}"}
    found = lines.lines_of(quote={}, measured=told, actual_fen=actual)
    assert sum(line.amount_fen for line in found) == actual
    assert Fraction(found[0].quantity) == Fraction(top, bottom)
