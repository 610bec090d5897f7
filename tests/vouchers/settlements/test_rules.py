from hypothesis import given
from hypothesis import strategies as st

from vouchers.settlements import rules

FEN = st.integers(0, 10**9)
MONEY = st.tuples(st.sampled_from(["", "p", "q"]), st.sampled_from([2026, 2027]))
PURSES = st.dictionaries(
    st.tuples(st.sampled_from(["provider_payable", "claimant_payable"]), MONEY).map(
        lambda made: rules.Purse(made[0], *made[1])
    ),
    FEN,
)
DEBTS = st.lists(st.tuples(MONEY, st.integers(1, 10**9)), max_size=6).map(
    lambda rows: [rules.Debt(f"Z{at}", *money, fen=fen) for at, (money, fen) in enumerate(rows)]
)


@given(DEBTS, PURSES)
def test_a_set_off_takes_no_more_than_is_owed_or_held_and_only_from_its_own_money(debts, purses):
    found = rules.set_off(debts, purses)
    for debt, purse in found.items():
        assert debt.fen > 0
        assert (debt.programme, debt.fiscal_year) == purse[1:]
    for purse, held in purses.items():
        assert sum(debt.fen for debt, taken in found.items() if taken == purse) <= held
    for debt in debts:
        assert sum(part.fen for part in found if part.case == debt.case) <= debt.fen
    for money in {purse[1:] for purse in purses}:
        owed = sum(debt.fen for debt in debts if (debt.programme, debt.fiscal_year) == money)
        held = sum(fen for purse, fen in purses.items() if purse[1:] == money)
        taken = sum(debt.fen for debt, purse in found.items() if purse[1:] == money)
        assert taken == min(owed, held)


def test_the_oldest_debt_is_set_off_first():
    purse = rules.Purse("claimant_payable", "p", 2026)
    debts = [rules.Debt("Z1", "p", 2026, 70), rules.Debt("Z2", "p", 2026, 70)]
    assert [(debt.case, debt.fen) for debt in rules.set_off(debts, {purse: 100})] == [("Z1", 70), ("Z2", 30)]
