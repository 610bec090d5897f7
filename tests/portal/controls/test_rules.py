"""The twelve patterns: each is noticed at its threshold and not one step before."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.controls import money, parties, use
from portal.controls.money import Award, Contract, OwnShare, Spending
from portal.controls.parties import Acting, Decided, Ties
from portal.controls.use import Call, Hours, Run
from portal.kernel.money import Money

DAY = date(2026, 6, 30)
LIMIT = Money(50_000_000)


def alike(*yuan_prices: int) -> money.Alike:
    return money.Alike(
        "category:analytical", "SU8600", "price_unit:hour", tuple(Fraction(each * 100) for each in yuan_prices)
    )


class TestPriceAboveList:
    def speaks(self, fen, *, list_fen=None, others=()):
        listed = None if list_fen is None else Fraction(list_fen)
        return money.price_above_list(unit_price=Fraction(fen), list_price=listed, alike=alike(*others))

    def test_at_the_list_price_it_is_silent_and_a_fen_above_it_speaks(self):
        assert self.speaks(600, list_fen=600) is None
        assert self.speaks(601, list_fen=600).said == "单价 %(price)s 高于公示价。"

    def test_the_ninetieth_percentile_of_ten_is_the_ninth_and_a_tenth_above_it_is_ordinary(self):
        others = range(1, 11)
        assert self.speaks(990, others=others) is None
        found = self.speaks(991, others=others)
        assert [(row.expected, row.of) for row in found.rows] == [("¥9.00", "SU8600"), ("¥1.00 – ¥10.00", "SU8600")]
        assert found.params == {
            "price": "¥9.91",
            "count": "10",
            "kind": "category:analytical",
            "unit": "price_unit:hour",
        }

    def test_of_five_the_highest_counts_and_four_tell_nothing(self):
        assert self.speaks(550, others=range(1, 6)) is None
        assert self.speaks(551, others=range(1, 6)) is not None
        assert self.speaks(10**6, others=range(1, 5)) is None

    def test_a_price_below_a_fen_is_shown_in_full(self):
        found = money.price_above_list(unit_price=Fraction(3, 1000), list_price=Fraction(1, 1000))
        assert (found.rows[0].expected, found.rows[0].found) == ("¥0.00001", "¥0.00003")


class TestOwnShare:
    SHARE = OwnShare(Money(100), Money(100), DAY, "甲公司", "甲公司")

    def test_paid_in_full_by_the_buyer_is_fine(self):
        assert money.own_share_returned(self.SHARE) is None

    @pytest.mark.parametrize(("days", "speaks"), [(-1, False), (0, True), (30, True), (31, False)])
    def test_money_back_within_thirty_days_speaks(self, days, speaks):
        share = OwnShare(Money(100), Money(100), DAY, "甲", "甲", ((DAY + timedelta(days), Money(60)),))
        assert (money.own_share_returned(share) is not None) is speaks

    def test_somebody_else_paying_speaks(self):
        assert money.own_share_returned(OwnShare(Money(1), Money(1), DAY, "服务商", "甲公司")) is not None


class TestSplitContract:
    def one(self, number="1", amount=30_000_000, signed=DAY, provider="算力中心"):
        return Contract(number, provider, signed, Money(amount))

    def test_two_that_together_pass_the_limit_speak(self):
        others = [self.one("2", 20_000_001)]
        assert money.split_contract(contract=self.one(), others=others, limit=LIMIT) is not None

    def test_far_apart_or_with_another_provider_they_are_two_deals(self):
        far = [self.one("2", 20_000_001, DAY + timedelta(91))]
        other = [self.one("2", 20_000_001, provider="另一家")]
        assert money.split_contract(contract=self.one(), others=far, limit=LIMIT) is None
        assert money.split_contract(contract=self.one(), others=other, limit=LIMIT) is None

    def test_a_yearly_total_just_within_the_limit_speaks(self):
        others = [self.one("2", 17_500_000, date(2026, 1, 5), "另一家")]
        assert money.split_contract(contract=self.one(), others=others, limit=LIMIT) is not None
        assert (
            money.split_contract(
                contract=self.one(), others=[self.one("2", 17_499_999, date(2026, 1, 5), "另一家")], limit=LIMIT
            )
            is None
        )

    def test_one_contract_above_the_limit_splits_nothing(self):
        assert money.split_contract(contract=self.one(amount=50_000_001), others=[self.one("2")], limit=LIMIT) is None


class TestBackdated:
    def test_in_order_is_fine(self):
        assert money.backdated(signed=DAY, e_signed=DAY, first_use=DAY, invoices=[DAY], submitted=DAY) is None

    @pytest.mark.parametrize(
        "late",
        [
            {"e_signed": DAY + timedelta(1)},
            {"first_use": DAY - timedelta(1)},
            {"invoices": [DAY, DAY - timedelta(1)]},
            {"submitted": DAY - timedelta(1)},
        ],
    )
    def test_one_day_out_of_order_speaks(self, late):
        dates = {"e_signed": None, "first_use": None, "invoices": [], "submitted": DAY, **late}
        found = money.backdated(signed=DAY, **dates)
        assert found is not None
        assert len(found.rows) == 1


def test_the_same_contract_elsewhere_speaks_and_the_case_itself_does_not():
    own, other = Award("A1", "p", "甲", Money(1)), Award("A2", "q", "乙", Money(2))
    assert money.double_claim(case="A1", contract="HT-1", others=[own]) is None
    found = money.double_claim(case="A1", contract="HT-1", others=[own, other])
    assert found is not None
    assert [row.of for row in found.rows] == ["A2"]


@pytest.mark.parametrize(("fen", "speaks"), [(60, False), (61, True)])
def test_more_than_sixty_per_cent_in_the_last_ten_days_speaks(fen, speaks):
    spent = [Spending(DAY - timedelta(9), Money(fen)), Spending(DAY - timedelta(10), Money(39))]
    assert (money.last_days_burn(face=Money(100), last_day=DAY, spent=spent) is not None) is speaks


class TestRelatedParty:
    def chain(self, length: int) -> list[Ties]:
        names = [f"企业{n}" for n in range(length + 1)]
        return [
            Ties(name, holders=((names[at + 1], Fraction(1, 4)),) if at < length else ())
            for at, name in enumerate(names)
        ]

    def found(self, ties, buyer="甲", seller="乙"):
        return parties.related_party(buyer=buyer, seller=seller, graph=parties.graph_of(ties))

    @pytest.mark.parametrize(
        ("buyer", "seller"),
        [
            ({"legal_representative": "张三"}, {"legal_representative": "张三"}),
            ({"legal_representative": "张三"}, {"holders": (("张三", Fraction(1, 4)),)}),
            ({"phones": ("13800000000",)}, {"phones": ("13900000000", "13800000000")}),
            ({"address": "文一西路 1 号"}, {"address": "文一西路 1 号"}),
            ({"agent": "某代理"}, {"agent": "某代理"}),
            ({"members": ("李四 #4",)}, {"members": ("李四 #4",)}),
            ({"holders": (("乙", Fraction(1, 4)),)}, {}),
        ],
    )
    def test_each_tie_speaks(self, buyer, seller):
        assert self.found([Ties("甲", **buyer), Ties("乙", **seller)]) is not None

    def test_under_a_quarter_is_no_control(self):
        small = (("张三", Fraction(2499, 10000)),)
        assert self.found([Ties("甲", holders=small), Ties("乙", legal_representative="张三")]) is None

    @pytest.mark.parametrize(("length", "speaks"), [(1, True), (3, True), (6, True), (7, False)])
    def test_a_chain_is_followed_so_far(self, length, speaks):
        assert (self.found(self.chain(length), "企业0", f"企业{length}") is not None) is speaks

    def test_strangers_are_strangers(self):
        assert self.found([Ties("甲", legal_representative="张三"), Ties("乙", legal_representative="李四")]) is None


def test_a_person_behind_two_awarded_applicants_speaks():
    team, firm = Ties("团队", members=("王五",)), Ties("公司", legal_representative="王五")
    assert parties.same_people(applicant=firm, awarded=[("A1", team)]) is not None
    assert parties.same_people(applicant=firm, awarded=[("A1", firm)]) is None
    assert parties.same_people(applicant=firm, awarded=[("A1", Ties("他人", members=("赵六",)))]) is None


def test_spending_by_strangers_or_for_three_holders_speaks():
    three = [Acting("甲", holder, 1) for holder in ("A", "B", "C")]
    assert parties.shared_account(acting=three[:2], named=["甲"], holder="A") is None
    assert parties.shared_account(acting=three, named=["甲"], holder="A") is not None
    assert parties.shared_account(acting=three[:1], named=["乙"], holder="A") is not None


def test_an_official_with_a_tie_or_nearly_all_decisions_speaks():
    def said(*decided):
        return parties.insider(applicant="甲公司", decided=decided)

    assert said(Decided("李", 4), Decided("王", 1)) is not None
    assert said(Decided("李", 3), Decided("王", 2)) is None
    assert said(Decided("李", 4)) is None
    assert said(Decided("李", 1, ("电话 138",))) is not None


class TestEmptyUse:
    def test_idle_cards_speak(self):
        assert use.empty_use(runs=[Run("J1", Fraction(8), 4)]) is not None
        assert (
            use.empty_use(runs=[Run("J1", Fraction(8), 5), Run("J2", Fraction(7), 0), Run("J3", Fraction(99), None)])
            is None
        )

    def test_the_same_call_over_and_over_speaks(self):
        varied = [Call(n, n, 12) for n in range(11)]
        assert use.empty_use(calls=[Call(10, 10, 12)] * 90 + varied[:10]) is not None
        assert use.empty_use(calls=[Call(10, 10, 12)] * 88 + [Call(100 + n, n, 12) for n in range(12)]) is None
        assert use.empty_use(calls=[Call(10, 10, 12)] * 99) is None

    def test_nights_speak(self):
        day = [Call(n, n, 6) for n in range(40)]
        assert use.empty_use(calls=day + [Call(n, 1000, 5) for n in range(60)]) is not None
        assert use.empty_use(calls=[*day, Call(1, 2, 7)] + [Call(n, 1000, 0) for n in range(59)]) is None


class TestInflatedHours:
    OTHERS = tuple(Hours(f"S{n}", Fraction(2), Fraction(2), "manual") for n in range(8))

    def test_hand_written_hours_far_above_the_usual_speak(self):
        far = Hours("S", Fraction(13, 4) + Fraction(1, 100), Fraction(4), "manual")
        assert use.inflated_hours(one=far, others=self.OTHERS) is not None
        assert use.inflated_hours(one=Hours("S", Fraction(13, 4), Fraction(4), "manual"), others=self.OTHERS) is None
        assert use.inflated_hours(one=far, others=self.OTHERS[:7]) is None

    def test_more_than_twice_the_booking_speaks(self):
        assert use.inflated_hours(one=Hours("S", Fraction(41, 10), Fraction(2), "manual"), others=()) is not None
        assert use.inflated_hours(one=Hours("S", Fraction(4), Fraction(2), "manual"), others=()) is None

    def test_what_the_instrument_measured_itself_is_believed(self):
        assert use.inflated_hours(one=Hours("S", Fraction(99), Fraction(2), "agent"), others=self.OTHERS) is None


@given(st.lists(st.integers(1, 10**9), min_size=5, max_size=40), st.integers(1, 10**9))
def test_a_price_is_flagged_from_a_tenth_above_nine_tenths_of_its_peers(peers, price):
    others = money.Alike("service:compute", "A100", "price_unit:card_hour", tuple(Fraction(peer) for peer in peers))
    found = money.price_above_list(unit_price=Fraction(price), list_price=None, alike=others)
    assert (found is not None) == (sum(11 * peer < 10 * price for peer in peers) >= -(-len(peers) * 9 // 10))


def test_a_finding_is_stored_as_plain_json():
    found = money.price_above_list(unit_price=Fraction(601), list_price=Fraction(600))
    assert found is not None
    assert found.as_facts() == {
        "said": "单价 %(price)s 高于公示价。",
        "params": {"price": "¥6.01"},
        "rows": [["公示价", "", "¥6.00", "¥6.01"]],
    }
