"""Several vouchers on one bill, and refunds that telescope (ledger design S1, S7)."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.charges import rules

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def lot(number="V1", *, share="1/2", left=10**9, programme="p", days=10, **more):
    valid = Period(NOW - timedelta(days=1), NOW + timedelta(days=days))
    terms = rules.Terms(number, programme, Fraction(share), valid, frozenset(), **more)
    return rules.Lot(terms, Money(left))


def codes(price, *lots, **more):
    reasons = rules.voucher_refusals(Money(price), lots=lots, service="compute", at=NOW, **more)
    return [reason.code for reason in reasons]


LOTS = st.lists(
    st.builds(
        lambda share, left, programme, days: (share, left, programme, days),
        st.fractions(min_value="1/100", max_value=1, max_denominator=100),
        st.integers(0, 2 * 10**6),
        st.sampled_from("pqr"),
        st.integers(1, 9),
    ),
    max_size=5,
).map(
    lambda rows: [
        lot(f"V{at}", share=share, left=left, programme=programme, days=days)
        for at, (share, left, programme, days) in enumerate(rows)
    ]
)


class TestSplit:
    def test_s1_the_voucher_rounds_down_and_the_payer_takes_the_odd_fen(self):
        split = rules.split(Money(1_234_567), lots=[lot()])
        assert (split.voucher.fen, split.own.fen) == (617_283, 617_284)

    def test_burns_the_first_to_end_first_then_the_lower_number(self):
        lots = [lot("V3", days=9, left=7), lot("V2", days=3, left=20), lot("V1", days=3, left=20)]
        split = rules.split(Money(100), lots=lots)
        assert [(part.number, part.amount.fen) for part in split.parts] == [("V1", 20), ("V2", 20), ("V3", 7)]

    def test_vouchers_of_one_programme_together_pay_no_more_than_its_share(self):
        split = rules.split(Money(100), lots=[lot("V1"), lot("V2")])
        assert [(part.number, part.amount.fen) for part in split.parts] == [("V1", 50)]

    def test_vouchers_of_two_programmes_add_up_but_never_beyond_the_bill(self):
        split = rules.split(Money(100), lots=[lot("V1", share="7/10"), lot("V2", programme="q", share="6/10")])
        assert [part.amount.fen for part in split.parts] == [70, 30]
        assert split.own.fen == 0

    @given(st.integers(0, 10**6), LOTS)
    def test_parts_add_up_and_stay_within_every_ceiling(self, price, lots):
        split = rules.split(Money(price), lots=lots)
        known = {each.terms.number: each for each in lots}
        assert split.voucher + split.own == Money(price)
        assert sum(part.amount.fen for part in split.parts) == split.voucher.fen
        for part in split.parts:
            assert 0 < part.amount.fen <= known[part.number].available.fen
            assert Fraction(part.amount.fen) <= price * known[part.number].terms.share
        for programme in "pqr":
            paid = sum(p.amount.fen for p in split.parts if known[p.number].terms.programme == programme)
            shares = [each.terms.share for each in lots if each.terms.programme == programme]
            assert paid <= price * max(shares, default=Fraction(0))

    @given(st.integers(0, 10**5), st.integers(0, 10**5), LOTS)
    def test_using_less_never_takes_more_of_a_voucher_and_little_more_of_the_payer(self, price, used, lots):
        held = rules.split(Money(max(price, used)), lots=lots)
        amounts = {part.number: part.amount for part in held.parts}
        again = [rules.Lot(each.terms, amounts.get(each.terms.number, Money(0))) for each in lots]
        due = rules.split(Money(min(price, used)), lots=again)
        assert all(part.amount <= amounts[part.number] for part in due.parts)
        assert due.own.fen <= held.own.fen + max(0, len(lots) - 1)


class TestRefusals:
    def test_a_voucher_that_cannot_pay_its_share_is_refused_with_both_amounts(self):
        [reason] = rules.voucher_refusals(Money(100), lots=[lot(left=49)], service="compute", at=NOW)
        assert (reason.code, reason.params) == ("voucher.too_small", {"available": "¥0.49", "needed": "¥0.50"})

    def test_another_voucher_may_pay_what_the_first_lacks(self):
        assert codes(100, lot("V1", left=10), lot("V2", left=40)) == []
        assert codes(100, lot("V1", left=10), lot("V2", left=39)) == ["voucher.too_small"]

    def test_says_every_ground_at_once(self):
        over = lot("V1", days=-0.5, is_active=False, used_once=True, is_exclusive=True)
        assert codes(100, over, lot("V2", programme="q")) == [
            "voucher.not_valid",
            "voucher.not_active",
            "voucher.used_once",
            "voucher.not_together",
        ]

    def test_a_voucher_that_pays_back_pays_no_bill_and_says_what_to_do(self):
        later = lot(deducts=False)
        reasons = rules.voucher_refusals(Money(100), lots=[later, lot("V2")], service="compute", at=NOW)
        assert [(reason.code, reason.params) for reason in reasons] == [("voucher.pays_back", {"number": "V1"})]
        assert "申领" in reasons[0].remedy

    def test_exclusive_vouchers_of_one_programme_may_pay_together(self):
        assert codes(100, lot("V1", is_exclusive=True), lot("V2", is_exclusive=True)) == []

    def test_what_is_ordered_in_time_must_end_within_the_grace(self):
        grace = NOW + timedelta(days=40)
        assert codes(100, lot(grace=grace), ends_at=grace) == []
        assert codes(100, lot(grace=grace), ends_at=grace + timedelta(seconds=1)) == ["voucher.grace"]
        assert codes(100, lot(), ends_at=grace + timedelta(days=99)) == []

    def test_ten_vouchers_are_enough(self):
        assert "voucher.too_many" in codes(100, *[lot(f"V{at}") for at in range(11)])


class TestRefund:
    def test_a_share_written_off_after_a_refund_takes_no_part_below_nothing(self):
        """Of 100, half by voucher: 40 refunded, the payer's other 30 written off, then 1 refunded."""
        assert rules.refund_split(1, actual=70, voucher=50, refunded=40, voucher_refunded=20) == (1, 0)
        assert rules.refund_split(30, actual=70, voucher=50, refunded=40, voucher_refunded=20) == (30, 0)

    def test_s7_three_parts_restore_the_original_split(self):
        actual, voucher = 1_234_567, 617_283
        refunded = back = 0
        seen = []
        for amount in (411_522, 411_522, 411_523):
            share, own = rules.refund_split(
                amount, actual=actual, voucher=voucher, refunded=refunded, voucher_refunded=back
            )
            seen.append((share, own))
            refunded, back = refunded + amount, back + share
        assert seen == [(205_760, 205_762), (205_761, 205_761), (205_762, 205_761)]
        assert (refunded, back) == (actual, voucher)

    @given(st.data(), st.integers(1, 10**9))
    def test_however_it_is_cut_the_whole_restores_the_split(self, data, actual):
        voucher = data.draw(st.integers(0, actual))
        refunded = back = 0
        while refunded < actual:
            amount = data.draw(st.integers(max(1, (actual - refunded) // 5), actual - refunded))
            share, own = rules.refund_split(
                amount, actual=actual, voucher=voucher, refunded=refunded, voucher_refunded=back
            )
            assert share >= 0
            assert own >= 0
            refunded, back = refunded + amount, back + share
        assert back == voucher

    @given(st.data(), st.integers(1, 10**6))
    def test_after_a_cut_nobody_gets_less_than_nothing_or_more_than_was_paid(self, data, actual):
        voucher = data.draw(st.integers(0, actual))
        back = refunded = data.draw(st.integers(0, voucher))
        while refunded < actual:
            amount = data.draw(st.integers(max(1, (actual - refunded) // 4), actual - refunded))
            share, own = rules.refund_split(
                amount, actual=actual, voucher=voucher, refunded=refunded, voucher_refunded=back
            )
            assert share >= 0
            assert own >= 0
            refunded, back = refunded + amount, back + share
            assert back <= voucher
            assert refunded - back <= actual - voucher
        assert back == voucher

    def test_the_largest_remainder_gets_the_odd_fen_and_ties_go_to_the_earlier(self):
        assert rules.apportion(10, [1, 1, 1]) == [4, 3, 3]
        assert rules.apportion(10, [1, 2, 3]) == [2, 3, 5]
        assert rules.apportion(0, [0, 0]) == [0, 0]

    @given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8), st.data())
    def test_no_part_is_above_its_weight(self, weights, data):
        amount = data.draw(st.integers(0, sum(weights)))
        parts = rules.apportion(amount, weights)
        assert sum(parts) == amount
        assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))


class TestBestPart:
    def part(self, price, *lots):
        best = rules.best_part(Money(price), lots=lots, service="compute", at=NOW)
        return best and (best.number, best.amount.fen)

    def test_is_of_the_voucher_that_pays_most_and_of_equals_the_first_to_end(self):
        lots = [lot("V1", share="3/10", days=2), lot("V2", days=9), lot("V3", days=5)]
        assert self.part(101, *lots) == ("V3", 50)

    def test_none_where_none_may_pay(self):
        assert self.part(100) is None
        assert self.part(100, lot(left=49), lot("V2", is_active=False), lot("V3", deducts=False)) is None
        assert self.part(0, lot()) is None

    @given(st.integers(0, 10**7), LOTS)
    def test_no_voucher_alone_may_pay_more(self, price, lots):
        best = rules.best_part(Money(price), lots=lots, service="compute", at=NOW)
        alone = [
            rules.split(Money(price), lots=[one]).voucher.fen
            for one in lots
            if not rules.voucher_refusals(Money(price), lots=[one], service="compute", at=NOW)
        ]
        assert (best.amount.fen if best else 0) == max(alone, default=0)
