"""The rules one by one: what each test of the engine refuses, asks for and lets pass."""

import json

import pytest

from portal.kernel.money import Money
from tests.vouchers.programmes.given import CASES, asked, catalogue, decide, outcome, past, scheme
from vouchers.programmes import cases
from vouchers.programmes.decisions import REASONS, Decision, Test

CATALOGUE = catalogue()
LOADED = cases.load_cases(CASES.read_bytes())


def test_there_are_59_worked_cases():
    assert len(LOADED) == 59


@pytest.mark.parametrize("case", LOADED, ids=lambda case: case.id)
def test_worked_case(case):
    [result] = cases.run((case,), CATALOGUE)

    assert result.is_passed, result.line()


IN_FORCE = scheme(in_force=["2025-01-01", "2025-12-31"])
FIRMS = scheme(eligibility=["applicant.type", "=", "enterprise"])
CLEAN = scheme(
    eligibility={"all": [["applicant.type", "=", "enterprise"], ["applicant.dishonest_years_clean", ">=", 3]]}
)
LISTED = scheme(provider=["provider.recognised", "=", True])
UNRELATED = scheme(related_party="forbidden")
DATED = scheme(cost={"signed_from": "2025-01-01"})
SHORT = scheme(cost={"max_months": 12})
TRAINING = scheme(cost={"when": ["contract.purpose", "=", "training"]})
ONCE = scheme(per_contract_count=1)
NO_CITY_TWICE = scheme(double_subsidy="forbidden", double_levels=["city"])
HIGHEST = scheme(double_subsidy="highest")
TWO_CYCLES = scheme(max_cycles=2)
LARGE = scheme(cost={"min_base": 1000})
TAGGED = scheme(lines=[{"id": "a", "when": ["applicant.tags", "has", "x"], "rate": "0.30"}])
BETTER = scheme(
    lines=[{"id": "a", "when": ["applicant.tags", "has", "x"], "rate": "0.50"}, {"id": "b", "rate": "0.30"}]
)
CAPPED = scheme(caps=[{"window": "year", "amount": 100}])
SOFT = scheme(caps=[{"window": "year", "amount": 200, "soft": 100}])
LIFTED = scheme(caps=[{"window": "year", "amount": 100, "unless": ["applicant.tags", "has", "x"]}])
TEAMS = scheme(caps=[{"window": "year", "amount": 100, "when": ["applicant.type", "=", "team"]}])
ACROSS = scheme(caps=[{"window": "year", "amount": 100, "across": ["q"]}])
LIFETIME = scheme(caps=[{"window": "lifetime", "amount": 100}])
PER_CONTRACT = scheme(caps=[{"window": "contract", "amount": 100}])
PER_APPLICATION = scheme(caps=[{"window": "application", "amount": 100}])
FLOOR = scheme(floor=300)
DERIVED = scheme(lines=[{"id": "a", "derived_from": "q", "rate": "0.20"}])
COMBINED = scheme(lines=[{"id": "a", "rate": "0.30", "combined_rate_cap": "0.40", "combined_with": ["q"]}])
METERED = scheme(cost={"free_quota": {"unit": "card_hours", "amount": 100}})
FIXED = scheme(lines=[{"id": "a", "amount": 500}])


def contract(**changes):
    return asked(contract={"id": "C1", "items": {"compute": 1000}, **changes})


@pytest.mark.parametrize(
    ("programme", "request_", "expected"),
    [
        # in force: both days inclusive; the day not stated is unknown
        (IN_FORCE, asked(today="2025-01-01"), ("grant", "300.00")),
        (IN_FORCE, asked(today="2025-12-31"), ("grant", "300.00")),
        (IN_FORCE, asked(today="2026-01-01"), ("reject", "R01")),
        (IN_FORCE, asked(), ("supplement", "R01")),
        (scheme(in_force=[None, "2025-12-31"]), asked(today="1999-01-01"), ("grant", "300.00")),
        # dishonesty and bars
        (CLEAN, asked(applicant={"type": "enterprise", "dishonest_years_clean": 2}), ("reject", "R03")),
        (CLEAN, asked(applicant={"type": "team", "dishonest_years_clean": 2}), ("reject", "R03")),
        (CLEAN, asked(applicant={"type": "team", "dishonest_years_clean": 3}), ("reject", "R02")),
        (CLEAN, asked(applicant={"type": "enterprise"}), ("supplement", "R03")),
        (scheme(), asked(applicant={"dishonest": True}), ("reject", "R03")),
        (scheme(), asked(applicant={"barred": True}), ("reject", "R03")),
        (scheme(), asked(today="2025-05-01", applicant={"barred_until": "2025-05-01"}), ("reject", "R03")),
        (scheme(), asked(today="2025-05-02", applicant={"barred_until": "2025-05-01"}), ("grant", "300.00")),
        (scheme(), asked(applicant={"barred_until": "2025-05-01"}), ("supplement", "R03")),
        # applicant, provider, relation, purchase: absent is unknown, null is known to be absent
        (FIRMS, asked(), ("supplement", "R02")),
        (FIRMS, asked(applicant={"type": None}), ("reject", "R02")),
        (FIRMS, asked(applicant=None), ("reject", "R02")),
        (FIRMS, asked(applicant={"type": 5}), ("supplement", "R02")),
        (LISTED, asked(), ("supplement", "R04")),
        (LISTED, asked(provider={"recognised": False}), ("reject", "R04")),
        (UNRELATED, asked(), ("supplement", "R05")),
        (UNRELATED, contract(related=None), ("grant", "300.00")),
        (UNRELATED, contract(related=True), ("reject", "R05")),
        (TRAINING, asked(), ("supplement", "R17")),
        (TRAINING, contract(purpose="inference"), ("reject", "R17")),
        # contract date and term, inclusive
        (DATED, contract(signed="2024-12-31"), ("reject", "R06")),
        (DATED, contract(signed="2025-01-01"), ("grant", "300.00")),
        (DATED, contract(signed=None), ("reject", "R06")),
        (DATED, contract(), ("supplement", "R06")),
        (SHORT, contract(months=12), ("grant", "300.00")),
        (SHORT, contract(months="12.5"), ("reject", "R07")),
        (SHORT, contract(), ("supplement", "R07")),
        # the same contract again
        (ONCE, asked(history=[past(1, contract="C1")]), ("reject", "R09")),
        (ONCE, asked(history=[past(1), past(1, contract=None)]), ("grant", "300.00")),
        (ONCE, asked(history=[{"programme": "p", "amount": 1}]), ("supplement", "R09")),
        (ONCE, asked(contract={"items": {"compute": 1000}}, history=[past(1)]), ("supplement", "R09")),
        (ONCE, asked(contract={"items": {"compute": 1000}}), ("grant", "300.00")),
        (
            ONCE,
            asked(contract={"id": None, "items": {"compute": 1000}}, history=[{"programme": "p", "amount": 1}]),
            ("grant", "300.00"),
        ),
        # double subsidy
        (NO_CITY_TWICE, asked(history=[past(1, "q", contract="C1", level="city")]), ("reject", "R10")),
        (NO_CITY_TWICE, asked(history=[past(1, "q", contract="C1", level="nation")]), ("grant", "300.00")),
        (NO_CITY_TWICE, asked(history=[past(1, "q", contract="C1", level=None)]), ("grant", "300.00")),
        (NO_CITY_TWICE, asked(history=[past(1, "q", contract="C1")]), ("supplement", "R10")),
        (NO_CITY_TWICE, asked(history=[past(1, "q", level="city")]), ("grant", "300.00")),
        (NO_CITY_TWICE, asked(history=[past(0, "q", contract="C1", level="city")]), ("grant", "300.00")),
        (NO_CITY_TWICE, asked(history=[past(1, "p", contract="C1", level="city")]), ("grant", "300.00")),
        (
            NO_CITY_TWICE,
            asked(history=[past(1, "q", contract="C1", level="city", side="supply")]),
            ("grant", "300.00"),
        ),
        (HIGHEST, asked(history=[past(100, "q", contract="C1")]), ("grant", "200.00")),
        (HIGHEST, asked(history=[past(300, "q", contract="C1")]), ("reject", "R10")),
        # cycles: as stated, else the earlier years history shows
        (TWO_CYCLES, asked(applicant={"cycles_used": 1}), ("grant", "300.00")),
        (TWO_CYCLES, asked(applicant={"cycles_used": 2}), ("reject", "R11")),
        (TWO_CYCLES, asked(history=[past(1, year=2023), past(1, year=2024)]), ("reject", "R11")),
        (TWO_CYCLES, asked(history=[past(1, year=2024), past(1), past(1)]), ("grant", "300.00")),
        # the least that must be spent, inclusive
        (LARGE, asked("999.99"), ("reject", "R08")),
        (LARGE, asked(1000), ("grant", "300.00")),
        (LARGE, asked(contract={"id": "C1"}), ("supplement", "R08")),
        # lines
        (TAGGED, asked(applicant={"tags": []}), ("reject", "R16")),
        (TAGGED, asked(), ("supplement", "R16")),
        (BETTER, asked(), ("grant", "300.00")),
        (BETTER, asked(applicant={"tags": ["x"]}), ("grant", "500.00")),
        (scheme(), asked(contract={"id": "C1"}), ("supplement", "R16")),
        (scheme(), asked(contract={"id": "C1", "items": None}), ("reject", "R16")),
        (scheme(), asked("0.03"), ("reject", "R16")),
        (scheme(cost={"include": ["corpus"]}), asked(), ("reject", "R16")),
        (FIXED, asked(contract={}), ("grant", "500.00")),
        (DERIVED, asked(history=[past(1000, "q", contract="C1")]), ("grant", "200.00")),
        (DERIVED, asked(history=[past(1000, "q")]), ("reject", "R16")),
        (DERIVED, asked(history=[{"programme": "q", "amount": 1000}]), ("supplement", "R16")),
        (COMBINED, asked(history=[past(50, "q", contract="C1")]), ("grant", "300.00")),
        (COMBINED, asked(history=[past(250, "q", contract="C1")]), ("grant", "150.00")),
        (COMBINED, asked(history=[past(400, "q", contract="C1")]), ("reject", "R16")),
        (METERED, asked(usage={"card_hours": 150, "price": "3.75"}), ("grant", "56.25")),
        (METERED, asked(usage={"card_hours": 100, "price": "3.75"}), ("reject", "R16")),
        (METERED, asked(usage={"card_hours": 150}), ("supplement", "R16")),
        (METERED, asked(), ("supplement", "R16")),
        # caps
        (CAPPED, asked(), ("grant", "100.00")),
        (CAPPED, asked(history=[past("99.99")]), ("grant", "0.01")),
        (CAPPED, asked(history=[past(100)]), ("reject", "R12")),
        (CAPPED, asked(history=[past(100, year=2024)]), ("grant", "100.00")),
        (CAPPED, asked(history=[past(100, "q")]), ("grant", "100.00")),
        (CAPPED, asked(history=[{"programme": "p", "amount": 100}]), ("supplement", "R12")),
        (CAPPED, asked(year=None, today="2025-03-01", history=[past(60)]), ("grant", "40.00")),
        (ACROSS, asked(history=[past(70, "q")]), ("grant", "30.00")),
        (LIFETIME, asked(history=[past(70, year=1999)]), ("grant", "30.00")),
        (PER_CONTRACT, asked(history=[past(70), past(10, contract="C1")]), ("grant", "90.00")),
        (PER_APPLICATION, asked(history=[past(100, contract="C1")]), ("grant", "100.00")),
        (SOFT, asked(), ("grant", "100.00")),
        (SOFT, asked(approval={"soft_cap_waived": True}), ("grant", "200.00")),
        (SOFT, asked(approval={"soft_cap_waived": False}), ("grant", "100.00")),
        (LIFTED, asked(), ("grant", "100.00")),
        (LIFTED, asked(applicant={"tags": ["x"]}), ("manual", "300.00")),
        (TEAMS, asked(applicant={"type": "enterprise"}), ("grant", "300.00")),
        (TEAMS, asked(), ("grant", "100.00")),
        (TEAMS, asked(history=[past(100)]), ("supplement", "R12")),
        # pool and floor
        (scheme(), asked(pool="299.99"), ("grant", "299.99")),
        (scheme(), asked(pool=0), ("reject", "R13")),
        (scheme(pool_short="reject"), asked(pool="299.99"), ("reject", "R13")),
        (scheme(pool_short="reject"), asked(pool=300), ("grant", "300.00")),
        (scheme(pool_short="queue"), asked(pool=100), ("manual", "300.00")),
        (scheme(pool_short="prorate"), asked(pool=0), ("manual", "300.00")),
        (FLOOR, asked(), ("grant", "300.00")),
        (FLOOR, asked(pool="299.99"), ("reject", "R14")),
        # a fact known to refuse refuses, whatever is unknown
        (scheme(eligibility=["applicant.x", "=", 1], cost={"min_base": 2000}), asked(), ("reject", "R08")),
        (scheme(eligibility=["applicant.x", "=", 1]), asked(pool=0), ("reject", "R13")),
        # the quota of one application, and what may be held at once beside what is held
        (scheme(count={"per_application_max": 10}), asked(), ("grant", "10.00")),
        (scheme(count={"holding_max": 100}), asked(), ("grant", "300.00")),
        (scheme(count={"holding_max": 100}), asked(holding=0), ("grant", "100.00")),
        (scheme(count={"holding_max": 100}), asked(holding="99.99"), ("grant", "0.01")),
        (scheme(count={"holding_max": 100}), asked(holding=100), ("reject", "R12")),
    ],
)
def test_rule(programme, request_, expected):
    assert outcome(decide(programme, request_)) == expected


def test_a_supply_side_award_is_no_double_subsidy_of_the_buyer():
    builder = scheme(code="q", side="supply", level="city")
    request = asked(history=[past(1, "q", contract="C1", level="city")])

    assert outcome(decide(NO_CITY_TWICE, request, builder)) == ("grant", "300.00")


def test_the_level_of_a_past_award_is_known_from_its_programme():
    request = asked(history=[past(1, "q", contract="C1")])

    assert outcome(decide(NO_CITY_TWICE, request, scheme(code="q", level="city"))) == ("reject", "R10")
    assert outcome(decide(NO_CITY_TWICE, request, scheme(code="q", level="nation"))) == ("grant", "300.00")


@pytest.mark.parametrize(
    ("mode", "base", "expected"),
    [
        ("marginal", 100, "50.00"),
        ("marginal", 150, "60.00"),
        ("marginal", 1000, "230.00"),
        ("whole", 100, "50.00"),
        ("whole", "100.01", "20.00"),
        ("whole", 1000, "200.00"),
    ],
)
def test_brackets_include_their_upper_bound(mode, base, expected):
    line = {"id": "a", "brackets": {"mode": mode, "table": [[100, "0.50"], [None, "0.20"]]}}

    assert outcome(decide(scheme(lines=[line]), asked(base))) == ("grant", expected)


def test_nothing_is_paid_beyond_a_closed_table():
    table = [[100, "0.50"]]
    marginal = scheme(lines=[{"id": "a", "brackets": {"mode": "marginal", "table": table}}])
    whole = scheme(lines=[{"id": "a", "brackets": {"mode": "whole", "table": table}}])

    assert outcome(decide(marginal, asked(1000))) == ("grant", "50.00")
    assert outcome(decide(whole, asked(1000))) == ("reject", "R16")


@pytest.mark.parametrize(("choose", "expected"), [("first", "100.00"), ("max", "300.00"), ("sum", "600.00")])
def test_choose(choose, expected):
    lines = [{"id": str(rate), "rate": rate} for rate in ("0.10", "0.30", "0.20")]

    assert outcome(decide(scheme(lines=lines, choose=choose), asked())) == ("grant", expected)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ({}, "333.33"),
        ({"to": 1}, "333.00"),
        ({"to": 100}, "300.00"),
        ({"to": 10, "mode": "up"}, "340.00"),
        ({"to": "0.01", "mode": "half_up"}, "333.33"),
        ({"to": 10, "mode": "half_up"}, "330.00"),
    ],
)
def test_rounding(rounding, expected):
    assert outcome(decide(scheme(rounding=rounding), asked("1111.11"))) == ("grant", expected)


def test_rounding_up_never_passes_a_ceiling():
    programme = scheme(rounding={"to": 100, "mode": "up"}, caps=[{"window": "year", "amount": 250}])

    assert outcome(decide(programme, asked())) == ("grant", "200.00")


def test_an_award_is_rounded_once():
    """A third of a fen lost at each of two steps would be two fen short here."""
    lines = [{"id": str(at), "rate": "0.333333"} for at in range(3)]

    assert outcome(decide(scheme(lines=lines, choose="sum"), asked("0.10"))) == ("grant", "0.09")
    assert outcome(decide(scheme(lines=lines, choose="sum"), asked("10000.00"))) == ("grant", "9999.99")


def test_a_better_line_left_out_is_reported():
    decision = decide(BETTER, asked())

    assert [(left.line, left.number, left.missing) for left in decision.left_out] == [("a", 1, ("applicant.tags",))]
    assert decision.lines == ("b",)
    assert str(decision.share) == "3/10"
    assert decision.missing == ()


def test_a_line_left_out_that_would_pass_the_floor_is_asked_for():
    programme = BETTER | {"floor": 400}

    assert outcome(decide(programme, asked())) == ("supplement", "R14")
    assert outcome(decide(programme | {"floor": 600}, asked())) == ("reject", "R14")


def test_every_failing_test_is_reported_in_order():
    programme = scheme(
        in_force=["2025-01-01", None],
        related_party="forbidden",
        cost={"max_months": 12, "min_base": 5000},
        floor=1000,
    )
    decision = decide(programme, contract(related=True, months=13) | {"today": "2024-01-01", "pool": 0})

    assert decision.rule == "R01"
    assert decision.rule_ids == ("R01", "R05", "R07", "R08", "R13")
    assert [failure.code for failure in decision.failures] == list(decision.rule_ids)
    for failure in decision.failures:
        assert failure.message % failure.params
        assert failure.remedy % failure.params


def test_every_test_that_can_fail_has_its_reason():
    assert set(REASONS) == set(Test) - {Test.DISCRETION}


def test_missing_facts_are_named_in_both_languages():
    decision = decide(FIRMS, asked())

    assert [(fact.path, fact.name.zh, fact.name.en) for fact in decision.missing] == [
        ("applicant.type", "申请人类型", "the type of applicant")
    ]


FUNDED = scheme(funding=[{"payer": "province", "share": "0.5"}, {"payer": "applicant.city", "share": "0.5"}])


@pytest.mark.parametrize(
    ("amount", "request_changes", "expected"),
    [
        ("333333.35", {"applicant": {"city": "郑州"}}, {"province": "50000.00", "郑州": "50000.00"}),
        ("0.10", {"applicant": {"city": "郑州"}}, {"province": "0.02", "郑州": "0.01"}),
        ("1000", {}, {"province": "150.00", "applicant.city": "150.00"}),
        ("1000", {"applicant": {"city": "province"}}, {"province": "300.00"}),
    ],
)
def test_funding_is_half_up_and_the_last_takes_the_remainder(amount, request_changes, expected):
    decision = decide(FUNDED, asked(amount, **request_changes))

    assert {payer: part.yuan() for payer, part in decision.funding} == expected


def test_many_small_funders_never_pay_more_than_the_award():
    funding = [{"payer": str(at), "share": "0.2"} for at in range(5)]
    decision = decide(scheme(funding=funding), asked("0.10"))

    assert decision.amount == Money(3)
    assert [part.fen for _payer, part in decision.funding] == [1, 1, 1, 0, 0]


def test_a_grant_says_what_lowered_it():
    assert decide(CAPPED, asked()).rule_ids == ("R12",)
    assert decide(CAPPED, asked(pool=5)).rule_ids == ("R12", "R13")
    assert decide(scheme(), asked()).rule_ids == ()


def test_a_decision_survives_json():
    for result in cases.run(LOADED, CATALOGUE):
        stored = json.loads(json.dumps(result.decision.as_json()))
        assert Decision.from_json(stored) == result.decision


@pytest.mark.parametrize(
    ("programme", "request_", "missing"),
    [
        (NO_CITY_TWICE, asked(history=[past(1, "q", contract="C1")]), ["history.level"]),
        (
            NO_CITY_TWICE,
            asked(contract={"items": {"x": 1000}}, history=[past(1, "q", level="city")]),
            ["contract.id"],
        ),
        (NO_CITY_TWICE, asked(history=[{"programme": "q", "amount": 1, "level": "city"}]), ["history.contract"]),
        (ONCE, asked(contract={"items": {"x": 1000}}, history=[past(1)]), ["contract.id"]),
        (CAPPED, asked(history=[{"programme": "p", "amount": 100}]), ["history.year"]),
        (CAPPED, asked(year=None, history=[past(100)]), ["year"]),
        (TEAMS, asked(history=[past(100)]), ["applicant.type"]),
        (METERED, asked(usage={"price": "x"}), ["usage.card_hours", "usage.price"]),
        (TAGGED, asked(), ["applicant.tags"]),
        (TAGGED, asked(contract={}, applicant={"tags": ["x"]}), ["contract.items"]),
        (
            scheme(eligibility=["applicant.x", "=", 1], related_party="forbidden"),
            asked(contract={"id": "C1"}),
            [
                "applicant.x",
                "contract.related",
                "contract.items",
            ],
        ),
    ],
)
def test_what_is_asked_for(programme, request_, missing):
    assert [fact.path for fact in decide(programme, request_).missing] == missing


def test_the_step_of_a_line_says_how_it_came_out():
    kinds = {step.params.get("number"): (step.outcome.value, step.missing) for step in decide(BETTER, asked()).trace}

    assert kinds[1] == ("unknown", ("applicant.tags",))
    assert kinds[2] == ("pass", ())
    no_items = decide(BETTER, asked(contract={}, applicant={"tags": []})).trace
    assert [(step.outcome.value, step.missing) for step in no_items if step.kind == "line"] == [
        ("skipped", ()),
        ("unknown", ("contract.items",)),
    ]


def test_the_last_funder_takes_what_rounding_left():
    funding = [{"payer": payer, "share": share} for payer, share in (("a", "0.333"), ("b", "0.333"), ("c", "0.334"))]
    decision = decide(scheme(funding=funding), asked("0.34"))

    assert decision.amount == Money(10)
    assert [part.fen for _payer, part in decision.funding] == [3, 3, 4]


def test_an_exception_nobody_showed_is_told():
    [step] = [step for step in decide(LIFTED, asked()).trace if step.kind == "cap"]
    [known] = [step for step in decide(LIFTED, asked(applicant={"tags": []})).trace if step.kind == "cap"]

    assert step.params["exception"] == [["applicant.tags", "has", "x", None, False, False]]
    assert "exception" not in known.params


def test_a_ceiling_that_is_just_reached_lowered_nothing():
    programme = scheme(caps=[{"window": "year", "amount": 300}])

    assert outcome(decide(programme, asked())) == ("grant", "300.00")
    assert decide(programme, asked()).rule_ids == ()


def test_what_may_count_against_a_cap_is_shown_as_used():
    decision = decide(CAPPED, asked(history=[past(30), {"programme": "p", "amount": 40}]))

    assert outcome(decision) == ("grant", "30.00")
    assert [step.params["used"] for step in decision.trace if step.kind == "cap"] == ["¥70"]


def test_no_use_is_no_benefit_not_an_open_question():
    assert outcome(decide(METERED, asked(usage={"card_hours": 0, "price": 3}))) == ("reject", "R16")
    assert outcome(decide(METERED, asked(usage={"card_hours": None, "price": 3}))) == ("reject", "R16")
    assert outcome(decide(METERED, asked(usage={"card_hours": -1, "price": 3}))) == ("supplement", "R16")
