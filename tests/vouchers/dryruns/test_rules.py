"""What a dry run says of cases, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from tests import make
from vouchers.dryruns import drawing, rules, uploads
from vouchers.programmes import documents
from vouchers.programmes.allocation import Claim
from vouchers.programmes.decisions import DecisionKind
from vouchers.programmes.schemes import PoolShort
from vouchers.programmes.terms import AwardOrder, Leftovers, Terms

SCHEME = documents.load(make.programme_file())
AT = datetime(2026, 1, 1, tzinfo=UTC)
amounts = st.integers(0, 10**9)


def request(compute="200000", **more):
    return {
        "applicant": {"type": "enterprise", "region": "杭州"},
        "contract": {"id": "HT-1", "items": {"compute": compute}, "related": False, "months": 6},
        "year": 2026,
        "today": "2026-03-01",
        **more,
    }


@given(amounts, amounts)
def test_a_shift_says_what_the_amounts_say(before, after):
    found = rules.shift(before, after)
    assert (found in (rules.Shift.NEW, rules.Shift.MORE)) == (after > before)
    assert (found in (rules.Shift.LOST, rules.Shift.LESS)) == (after < before)
    assert (found in (rules.Shift.NEW, rules.Shift.NONE)) == (before == 0)
    assert (found in (rules.Shift.LOST, rules.Shift.NONE)) == (after == 0)


answers = st.builds(
    rules.Answer,
    st.sampled_from(list(DecisionKind)),
    amounts,
    st.just(""),
    st.sampled_from([(), ("a",), ("a", "b")]),
    st.just(()),
)


@given(st.lists(st.tuples(amounts, answers), max_size=20))
def test_totals_add_up(pairs):
    found = rules.totals(pairs)
    assert found.cases == len(pairs) == sum(found.shifts.values()) == sum(found.decisions.values())
    assert found.before_fen == sum(before for before, _answer in pairs)
    assert found.after_fen == sum(answer.after_fen for _before, answer in pairs)
    assert sum(found.lines.values()) == sum(answer.after_fen for _before, answer in pairs if answer.lines)


def test_a_case_is_judged_without_the_pool_and_outside_the_term():
    late = request(today="2030-05-05", pool=1)
    question = rules.Question("1", "甲", late)
    assert rules.judge(SCHEME, question, {}).decision is DecisionKind.REJECT
    answer = rules.judge(rules.timeless(SCHEME), question, {})
    assert (answer.decision, answer.after_fen, answer.lines) == (DecisionKind.GRANT, 100_000_00, ("50%",))


def test_missing_facts_are_named():
    bare = request()
    del bare["contract"]["related"]
    answer = rules.judge(rules.timeless(SCHEME), rules.Question("1", "甲", bare), {})
    assert (answer.decision, answer.missing) == (DecisionKind.SUPPLEMENT, ("contract.related",))


def claims(*yuan):
    return [Claim(str(at), Money(fen * 100), AT + timedelta(days=at), region="杭州") for at, fen in enumerate(yuan)]


def test_a_pool_is_divided_as_a_round_would():
    kept = {"pool": Money.from_yuan("300"), "terms": Terms(), "seed": ""}
    first = rules.simulate(claims(200, 200), order=AwardOrder.FIRST_COME, short=PoolShort.PARTIAL, **kept)
    assert [award.amount.yuan() for award in first.awards] == ["200.00", "100.00"]
    even = rules.simulate(claims(200, 400), order=AwardOrder.ALL_THEN_PRORATE, short=PoolShort.PARTIAL, **kept)
    assert even.coefficient == Fraction(1, 2)
    drawn = rules.simulate(claims(200, 200), order=AwardOrder.LOTTERY, short=PoolShort.REJECT, **kept)
    assert drawn.total == Money.from_yuan("200")
    with pytest.raises(rules.NoQuotas):
        rules.simulate(claims(1), order=AwardOrder.REGION_QUOTA, short=PoolShort.PARTIAL, **kept)
    regional = {"order": AwardOrder.REGION_QUOTA, "short": PoolShort.REJECT, "pool": Money.from_yuan("300"), "seed": ""}
    quotas = {"杭州": Fraction(1, 3), "宁波": Fraction(2, 3)}
    for leftovers, total in ((Leftovers.STAY, "0.00"), (Leftovers.SHARE, "200.00")):
        terms = Terms(region_quotas=quotas, region_leftovers=leftovers)
        assert rules.simulate(claims(200), terms=terms, **regional).total.yuan() == total


def test_a_table_is_read_by_the_names_of_facts():
    table = (
        "编号,单位,申请日期,申请人类型,the applicant's place of registration,合同中算力金额,contract.related,申请人资质\n"
        "A-1,甲公司,2026-03-01,企业,Hangzhou,200000,否,科技型企业、OPC\n"
    )
    [case] = uploads.read_cases(table.encode(), "cases.csv")
    assert (case["number"], case["name"]) == ("A-1", "甲公司")
    assert case["request"] == {
        "today": "2026-03-01",
        "applicant": {"type": "enterprise", "region": "杭州", "tags": ["tech_enterprise", "OPC"]},
        "contract": {"items": {"compute": "200000.00"}, "related": False},
    }


def test_json_is_read_as_requests_or_as_cases():
    import json

    one = json.dumps(request()).encode()
    assert [case["number"] for case in uploads.read_cases(one, "x.json")] == ["1"]
    many = json.dumps([{"id": "a", "request": request()}, {"id": "a", "request": request()}]).encode()
    assert [case["number"] for case in uploads.read_cases(many, "x.json")] == ["a", "a (2)"]
    with pytest.raises(uploads.BadCaseFile) as caught:
        uploads.read_cases(b'[{"contract": {"items": 3}}]', "x.json")
    assert "contract.items" in caught.value.problems[0].path


@pytest.mark.parametrize("language", ["zh", "en"])
def test_charts_are_drawn_in_the_readers_language(language):
    answer = rules.Answer(DecisionKind.GRANT, 5_000_00, "", ("50%",), ())
    found = rules.totals([(0, answer), (10_000_00, answer), (5_000_00, replace(answer, after_fen=0))])
    drawn = drawing.drawings(found, [5_000_00, 5_000_00], language)
    assert len(drawn) == 4
    assert ("新获支持" in drawn[0]["svg"]) == (language == "zh")
    assert ("Newly supported" in drawn[0]["svg"]) == (language == "en")
