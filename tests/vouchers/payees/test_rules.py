"""What a bank account must be like; every fault at once, each with its field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn
from stdnum.iso7064 import mod_11_10

from tests.vouchers.payees.making import ICBC, details
from vouchers.payees import rules

NAME = "之江分析测试中心"


def faults(**changes):
    with pytest.raises(rules.BadAccount) as refused:
        rules.checked(details(changes.pop("holder", NAME), **changes), payee=NAME)
    return [(reason.code, reason.field) for reason in refused.value.reasons]


@pytest.mark.parametrize(
    "cnaps",
    [
        "102100099996",
        "103100000026",
        "104100000004",
        "105100000017",
        "301290000007",
        "308584000013",
        "305100000013",
        "302100011000",
        "303100000006",
        "309391000011",
        "310290000013",
        "403100000004",
        "306581000003",
        "307584007998",
    ],
)
def test_clearing_numbers_of_the_banks_head_offices_are_taken(cnaps):
    bank = rules.BANKS[cnaps[:3]]
    assert rules.checked(details(NAME, cnaps=cnaps, bank=bank), payee=NAME).cnaps == cnaps


@given(st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_of_a_clearing_number_is_found(at, add):
    wrong = ICBC[:at] + str((int(ICBC[at]) + add) % 10) + ICBC[at + 1 :]
    assert not mod_11_10.is_valid(wrong)
    assert faults(cnaps=wrong, bank="某银行")[0] == ("payee.cnaps_check", "cnaps")


def test_a_clearing_number_of_another_bank_than_named_is_refused():
    assert faults(bank="中国建设银行杭州分行") == [("payee.cnaps_bank", "cnaps")]


@pytest.mark.parametrize(
    "number", ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "fr1420041010050500013M02606"]
)
def test_an_iban_is_told_to_be_one(number):
    assert faults(number=number) == [("payee.iban", "number")]


@pytest.mark.parametrize("number", ["", "1234567", "1" * 33, "12020202O99000", "=12345678", "1202/0202"])
def test_other_than_8_to_32_digits_is_no_account(number):
    assert faults(number=number) == [("payee.number", "number")]


def test_cards_are_checked_by_luhn_and_account_books_are_not():
    body = "622202120801234567"
    right = luhn.calc_check_digit(body)
    assert rules.checked(details(NAME, number=body + right), payee=NAME)
    assert faults(number=body + str((int(right) + 1) % 10)) == [("payee.card", "number")]
    assert rules.checked(details(NAME, number="1202020209900012345"), payee=NAME)


def test_spaces_hyphens_and_full_width_digits_are_read():
    done = rules.checked(details(NAME, number="１２０２ 0202-0990 0012 345", cnaps="1021 0009 9996"), payee=NAME)
    assert (done.number, done.cnaps) == ("1202020209900012345", ICBC)


def test_another_holder_needs_an_explanation():
    assert faults(holder="某大学") == [("payee.other_holder", "holder")]
    assert rules.checked(details("某大学", note="由学校财务处统一收款"), payee=NAME).note
    assert rules.checked(details("之江分析测试中心 "), payee=NAME).holder == NAME


def test_every_fault_is_told_at_once():
    assert {field for _code, field in faults(holder="", bank="", cnaps="12", number="DE89370400440532013000")} == {
        "holder",
        "bank",
        "cnaps",
        "number",
    }


def test_four_digits_are_shown():
    assert rules.masked("1202020209900012345") == "**** 2345"
