"""Validity in months (Civil Code 201-203; domain.md L2)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from vouchers.wallets.rules import holding_refusals, valid_until

BEIJING = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("issued", "months", "last_day"),
    [
        ("2017-11-30T10:00", 3, "2018-02-28"),
        ("2023-11-30T10:00", 3, "2024-02-29"),
        ("2026-01-31T23:30", 1, "2026-02-28"),
        ("2026-11-25T00:00", 12, "2027-11-25"),
    ],
)
def test_a_voucher_ends_with_the_corresponding_day_or_the_months_last(issued, months, last_day):
    until = valid_until(datetime.fromisoformat(issued).replace(tzinfo=BEIJING), months=months)

    assert until.astimezone(BEIJING).strftime("%H:%M") == "00:00"
    assert (until.astimezone(BEIJING).date() - datetime.fromisoformat(last_day).date()).days == 1


def test_the_day_of_issue_is_the_day_in_beijing():
    assert valid_until(datetime(2026, 11, 24, 17, 0, tzinfo=UTC), months=1).astimezone(BEIJING).day == 26


FEN = st.integers(0, 10**9).map(Money)


@given(FEN, FEN, st.none() | FEN, st.none() | FEN)
def test_every_ceiling_that_would_break_is_told_and_no_other(asked, held, holding, each):
    told = {reason.code for reason in holding_refusals(asked, held=held, holding_max=holding, per_application_max=each)}
    assert ("voucher.holding_max" in told) is (holding is not None and asked + held > holding)
    assert ("voucher.per_application_max" in told) is (each is not None and asked > each)
