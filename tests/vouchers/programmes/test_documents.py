"""Bad files: each problem is named by its path, with what is wrong and what is allowed there."""

import json
import pickle
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from tests.vouchers.programmes.given import CASES, DATA, asked, decide, outcome, scheme
from vouchers.programmes import cases, documents
from vouchers.programmes.parsing import MAX_BYTES, MAX_DEPTH
from vouchers.programmes.terms import Cadence, Redeem, RedeemMode, Stage, Terms

LINE = {"id": "a", "rate": "0.30"}
AMOUNT = "yuan as a number or decimal text from 0.01 to 10000000000000.00, at most two decimals"
FROM_ZERO = AMOUNT.replace("0.01 to", "0.00 to")
RATE = 'decimal text from 0 to 1, at most six decimals, such as "0.30"'
OPERATORS = "=, !=, in, has, has_any, >=, <=, >, <, exists"
SHAPE = '{"all":[…]}, {"any":[…]}, {"not":…} or [path, operator, value]'
PATH = (
    "a path starting at applicant / provider / contract / instrument / request / usage / approval, "
    "such as applicant.region"
)
ONE_BENEFIT = "exactly one of rate, amount, brackets; derived_from goes with rate"
NUMBERS = "a finite number of at most 40 digits"


def line(**changes):
    return scheme(lines=[LINE, LINE | {"id": "b"}, {**LINE, "id": "c", **changes}])


def capped(**changes):
    return scheme(caps=[{"window": "year", "amount": 1, **changes}])


def problems(load, document, refusal):
    with pytest.raises(refusal) as caught:
        load(document)
    return [(problem.path, problem.message.en, problem.allowed.en) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("document", "path", "message", "allowed"),
    [
        ([], "$", "The value [] will not do.", "an object with the keys code, name,"),
        ({}, "code", "This is missing.", "code is required"),
        ({"code": "p"}, "lines", "This is missing.", "lines is required"),
        (scheme(capz=[]), "capz", "There is no such key; did you mean “caps”?", "these keys: code, name, doc_no"),
        (scheme(zzz=1), "zzz", "There is no such key.", "these keys: code, name, doc_no"),
        (scheme(**{"a b": 1}), '["a b"]', "There is no such key.", "these keys: code, name, doc_no"),
        (scheme(code=" "), "code", 'The value " " will not do.', "text of 1 to 60 characters"),
        (scheme(code=7), "code", "The value 7 will not do.", "text of 1 to 60 characters"),
        (scheme(name={"zh": "名"}), "name.en", "This is missing.", "en is required"),
        (scheme(level="town"), "level", 'The value "town" will not do.', "nation / province / city / district / park"),
        (scheme(side="both"), "side", 'The value "both" will not do.', "demand / supply"),
        (scheme(related_party=True), "related_party", "The value true will not do.", "forbidden / allowed"),
        (scheme(in_force=["2025-01-01"]), "in_force", "The value […] will not do.", "a list of 2 to 2 items"),
        (scheme(in_force=["2025-1-1", None]), "in_force[0]", 'The value "2025-1-1" will not do.', "a date YYYY-MM-DD"),
        (scheme(in_force=["2025-02-30", None]), "in_force[0]", 'The value "2025-02-30"', "a date YYYY-MM-DD"),
        (
            scheme(in_force=["2025-02-01", "2025-01-31"]),
            "in_force",
            "The value […] will not do.",
            "a first day not after the last day",
        ),
        (
            scheme(in_force=[None, "2025-01-31"], cost={"signed_from": "2025-02-01"}),
            "cost.signed_from",
            'The value "2025-02-01" will not do.',
            "not after the programme's last day 2025-01-31",
        ),
        # conditions
        (scheme(eligibility="x"), "eligibility", 'The value "x" will not do.', SHAPE),
        (scheme(eligibility={"all": [], "any": []}), "eligibility", "The value {…} will not do.", SHAPE),
        (scheme(eligibility={"all": []}), "eligibility.all", "The value [] will not do.", "at least one condition"),
        (scheme(eligibility={"none": []}), "eligibility", "The value {…} will not do.", SHAPE),
        (
            scheme(eligibility={"all": [["applicant.x", "=", 1], ["applicant.x", "~", 1]]}),
            "eligibility.all[1][1]",
            'The value "~" will not do.',
            OPERATORS,
        ),
        (scheme(eligibility=["region", "=", 1]), "eligibility[0]", 'The value "region" will not do.', PATH),
        (scheme(eligibility=["applicant", "=", 1]), "eligibility[0]", 'The value "applicant" will not do.', PATH),
        (scheme(eligibility=["history.x", "=", 1]), "eligibility[0]", 'The value "history.x" will not do.', PATH),
        (
            scheme(provider={"not": ["provider.x", "in", "a"]}),
            "provider.not[2]",
            'The value "a" will not do.',
            "a non-empty list of texts, numbers or true/false",
        ),
        (
            scheme(eligibility=["applicant.x", ">=", "many"]),
            "eligibility[2]",
            'The value "many" will not do.',
            "a number, decimal text or a date YYYY-MM-DD",
        ),
        (scheme(eligibility=["applicant.x", "exists", 1]), "eligibility[2]", "The value 1", "true / false"),
        (scheme(eligibility=["applicant.x", "=", None]), "eligibility[2]", "The value null", "text, a number or"),
        (scheme(eligibility=["applicant.x", "="]), "eligibility", "The value […] will not do.", SHAPE),
        # rates
        (line(rate="1.01"), "lines[2].rate", 'The value "1.01" will not do.', RATE),
        (line(rate="-0.1"), "lines[2].rate", 'The value "-0.1" will not do.', RATE),
        (line(rate="30%"), "lines[2].rate", 'The value "30%" will not do.', RATE),
        (line(rate=True), "lines[2].rate", "The value true will not do.", RATE),
        (line(rate=0.1 + 0.2), "lines[2].rate", "The value 0.30000000000000004 will not do.", RATE),
        (line(rate=float("nan")), "lines[2].rate", "The number NaN cannot be used.", NUMBERS),
        # lines
        (scheme(lines=[]), "lines", "The value [] will not do.", "a list of 1 to 100 items"),
        (line(id="a"), "lines[2].id", 'The value "a" will not do.', "a value no other item has"),
        (line(amount=5), "lines[2]", "The value […] will not do.", ONE_BENEFIT),
        (scheme(lines=[{"id": "a"}]), "lines[0]", "The value [] will not do.", ONE_BENEFIT),
        (scheme(lines=[{"id": "a", "derived_from": "q"}]), "lines[0]", "The value […] will not do.", ONE_BENEFIT),
        (
            line(derived_from="p"),
            "lines[2].derived_from",
            'The value "p" will not do.',
            "the code of another programme",
        ),
        (line(combined_with=["q"]), "lines[2]", "The value […] will not do.", "combined_rate_cap and combined_with"),
        (
            line(brackets={"mode": "whole", "table": [[None, "1"]]}),
            "lines[2]",
            "The value […] will not do.",
            ONE_BENEFIT,
        ),
        (
            scheme(lines=[{"id": "a", "brackets": {"mode": "whole", "table": [[5, "0.1"], [5, "0.2"]]}}]),
            "lines[0].brackets.table",
            "The value […] will not do.",
            "ascending bounds, null only in the last",
        ),
        (
            scheme(lines=[{"id": "a", "brackets": {"mode": "some", "table": [[None, "0.1"]]}}]),
            "lines[0].brackets.mode",
            'The value "some" will not do.',
            "marginal / whole",
        ),
        (
            scheme(lines=[{"id": "a", "brackets": {"mode": "whole", "table": [[None]]}}]),
            "lines[0].brackets.table[0]",
            "The value […] will not do.",
            "[upper bound or null, rate]",
        ),
        # amounts
        (capped(amount=True), "caps[0].amount", "The value true will not do.", AMOUNT),
        (capped(amount=0), "caps[0].amount", "The value 0 will not do.", AMOUNT),
        (capped(amount=-1), "caps[0].amount", "The value -1 will not do.", AMOUNT),
        (capped(amount="0.125"), "caps[0].amount", 'The value "0.125" will not do.', AMOUNT),
        (capped(amount=0.1 + 0.2), "caps[0].amount", "The value 0.30000000000000004 will not do.", AMOUNT),
        (capped(amount="1,000"), "caps[0].amount", 'The value "1,000" will not do.', AMOUNT),
        (capped(amount=10**13 + 1), "caps[0].amount", "The value 10000000000001 will not do.", AMOUNT),
        (capped(amount=10**50), "caps[0].amount", "The number 100000000000000", NUMBERS),
        (capped(amount=float("inf")), "caps[0].amount", "The number Infinity cannot be used.", NUMBERS),
        (scheme(floor=-1), "floor", "The value -1 will not do.", FROM_ZERO),
        # caps
        (
            capped(window="month"),
            "caps[0].window",
            'The value "month"',
            "year / cycle / lifetime / application / contract",
        ),
        (capped(soft=2), "caps[0].soft", "The value 2 will not do.", "at most amount (1.00)"),
        (capped(scope="x"), "caps[0].scope", 'The value "x" will not do.', "applicant / group"),
        (capped(scopes="x"), "caps[0].scopes", "There is no such key; did", "these keys: scope, window, amount, soft"),
        # counts, funding and the rest
        (scheme(max_cycles=0), "max_cycles", "The value 0 will not do.", "a whole number from 1 to 100"),
        (scheme(max_cycles="3"), "max_cycles", 'The value "3" will not do.', "a whole number from 1 to 100"),
        (scheme(per_contract_count=1.5), "per_contract_count", "The value 1.5 will not do.", "a whole number from 1"),
        (
            scheme(funding=[{"payer": "a", "share": "0.5"}, {"payer": "b", "share": "0.4"}]),
            "funding",
            "The shares add up to 0.9.",
            "shares that add up to 1",
        ),
        (
            scheme(funding=[{"payer": "a", "share": "0.5"}, {"payer": "a", "share": "0.5"}]),
            "funding[1].payer",
            'The value "a" will not do.',
            "a value no other item has",
        ),
        (scheme(cost={"include": []}), "cost.include", "The value [] will not do.", "a list of 1 to 100 items"),
        (scheme(cost={"max_months": 12.5}), "cost.max_months", "The value 12.5 will not do.", "a whole number from 1"),
        (
            scheme(cost={"basis": "guess"}),
            "cost.basis",
            'The value "guess" will not do.',
            "contract / approved / order",
        ),
        (
            scheme(cost=None),
            "cost",
            "The value null will not do.",
            "an object with the keys include, exclude, when, basis",
        ),
        (scheme(rounding={"to": 0}), "rounding.to", "The value 0 will not do.", AMOUNT),
        (scheme(order="fast"), "order", 'The value "fast" will not do.', "first_come / all_then_prorate / ranked"),
        (scheme(redeem={"mode": "gift"}), "redeem.mode", 'The value "gift"', "deduct / reimburse / award"),
        (scheme(name="\ud800"), "name", "The text holds a character", "text without NUL or lone surrogates"),
        (scheme(source="a\0b"), "source", "The text holds a character", "text without NUL or lone surrogates"),
    ],
)
def test_a_bad_programme_names_path_and_what_is_allowed(document, path, message, allowed):
    [problem] = problems(documents.load, json.dumps(document), documents.BadProgramme)[:1]

    assert problem[0] == path
    assert problem[1].startswith(message)
    assert allowed in problem[2]


@pytest.mark.parametrize(
    ("raw", "path", "message"),
    [
        ('{"code": "p",\n  "lines": }', "$", "Not JSON at line 2, column 12."),
        ("", "$", "Not JSON at line 1, column 1."),
        (b"\xff{}", "$", "Byte 1 is not UTF-8."),
        ('{"code": "p", "lines": [{"id": "a", "id": "b", "rate": "0.1"}]}', "lines[0].id", "This key is given twice."),
        ('{"caps": [{"amount": NaN}]}', "caps[0].amount", "The number NaN cannot be used."),
        ('{"floor": 1e999999999}', "floor", "The number 1e999999999 cannot be used."),
        ('{"floor": ' + "9" * 5000 + "}", "floor", "The number 9999999"),
        ("[" * 100_000, "$", "Nested too deeply."),
        (" " * (MAX_BYTES + 1), "$", f"The file is too large ({MAX_BYTES + 1} bytes)."),
    ],
)
def test_a_file_that_is_no_json_object(raw, path, message):
    [problem] = problems(documents.load, raw, documents.BadProgramme)

    assert problem[0] == path
    assert problem[1].startswith(message)


def test_deep_nesting_is_refused_where_it_starts():
    condition = ["applicant.x", "=", 1]
    for _ in range(MAX_DEPTH):
        condition = {"not": condition}
    [problem] = problems(documents.load, json.dumps(scheme(eligibility=condition)), documents.BadProgramme)

    assert problem[0].startswith("eligibility.not.not")
    assert problem[1:] == ("Nested too deeply.", f"at most {MAX_DEPTH} levels")


def test_all_problems_are_reported_at_once_in_both_languages():
    document = scheme(capz=1, lines=[{"id": "a", "rate": "2"}, {"id": "a", "rate": "x", "cap": -1}], floor="x")
    with pytest.raises(documents.BadProgramme) as caught:
        documents.load(document)

    assert [problem.path for problem in caught.value.problems] == [
        "capz",
        "lines[0].rate",
        "lines[1].rate",
        "lines[1].cap",
        "lines[1].id",
        "floor",
    ]
    assert caught.value.problems[1].say("zh") == (
        'lines[0].rate：值 "2" 不可用。允许：0 到 1 的十进制文本，最多六位小数，例如 "0.30"'
    )
    assert caught.value.field == "capz"
    assert "6" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def test_numbers_and_texts_read_the_same_and_no_float_survives():
    as_text = documents.load('{"code": "p", "lines": [{"id": "a", "rate": "0.30"}], "floor": "0.10"}')
    as_number = documents.load('{"code": "p", "lines": [{"id": "a", "rate": 0.30}], "floor": 0.10}')
    as_mapping = documents.load({"code": "p", "lines": [{"id": "a", "rate": 0.30}], "floor": 0.10})

    assert as_text.lines == as_number.lines == as_mapping.lines
    assert as_text.floor == as_number.floor == as_mapping.floor
    assert "float" not in repr([type(value) for value in (as_number.document["floor"], as_mapping.document["floor"])])


def test_a_utf8_mark_is_tolerated():
    assert documents.load(b"\xef\xbb\xbf" + json.dumps(scheme()).encode()).code == "p"


def test_the_life_after_the_decision_is_read_as_values():
    programme = documents.load(
        scheme(
            validity={"length": 3, "from": "issue", "on_expiry": "return"},
            redeem={"mode": "deduct", "claimant": "provider", "max_share": "0.60"},
            windows=[{"from": "2025-04-17", "to": "2025-05-15T17:00"}],
            evidence=[{"stage": "redeem", "doc": "发票", "required_when": ["contract.x", "exists", True]}],
            pool=[{"period": "2025", "amount": 100}],
        )
    )

    terms = programme.terms
    assert (terms.validity.length, terms.validity.starts, terms.validity.on_expiry) == (3, "issue", "return")
    assert terms.redeem == Redeem(RedeemMode.DEDUCT, "provider", "provider", Cadence.ON_CLAIM, Fraction(3, 5))
    assert (terms.windows[0].starts.isoformat(), terms.windows[0].ends.isoformat()) == (
        "2025-04-17T00:00:00+08:00",
        "2025-05-15T17:00:00+08:00",
    )
    assert (terms.evidence[0].doc, terms.evidence[0].stage) == ("发票", "claim")
    assert terms.stated == {"validity", "redeem", "windows", "evidence"}


def test_a_file_that_says_nothing_keeps_the_plain_way():
    assert documents.load(scheme()).terms == Terms()


def test_a_reimbursement_is_claimed_by_the_applicant_unless_the_file_says_otherwise():
    for redeem, parties in [
        ({"mode": "reimburse"}, ("applicant", "applicant")),
        ({"mode": "award"}, ("applicant", "applicant")),
        ({"mode": "deduct"}, ("provider", "provider")),
        ({"claimant": "applicant"}, ("applicant", "applicant")),
        ({"claimant": "applicant", "payee": "provider"}, ("applicant", "provider")),
    ]:
        read = documents.load(scheme(redeem=redeem)).terms.redeem
        assert (read.claimant, read.payee) == parties


def test_the_last_second_of_an_intake_window_counts_and_the_next_does_not():
    terms = documents.load(scheme(windows=[{"from": "2025-04-17", "to": "2025-05-15T17:00"}])).terms
    last = datetime(2025, 5, 15, 16, 59, 59, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert terms.takes_applications(last)
    assert not terms.takes_applications(last + timedelta(seconds=1))
    assert not terms.takes_applications(datetime(2025, 4, 16, 15, 59, 59, tzinfo=UTC))
    assert terms.takes_applications(datetime(2025, 4, 16, 16, tzinfo=UTC))


def test_a_bare_last_day_of_a_window_counts_whole():
    [window] = documents.load(scheme(windows=[{"from": "2025-09-01", "to": "2025-09-30"}])).terms.windows
    assert window.ends.isoformat() == "2025-10-01T00:00:00+08:00"


def test_the_stages_of_a_review_are_read_with_the_action_of_their_role():
    workflow = [
        {"stage": "初审", "level": "district", "sla_days": 5},
        {"stage": "专家评审", "role": "expert", "quorum": 3, "returns_to": "初审"},
        {"stage": "集体决策", "role": "collective", "returns_to": "applicant"},
    ]
    assert documents.load(scheme(workflow=workflow)).terms.workflow == (
        Stage("初审", "reviewer", "district", "check", 5),
        Stage("专家评审", "expert", action="score", quorum=3, returns_to="初审"),
        Stage("集体决策", "collective", action="decide"),
    )


@pytest.mark.parametrize(
    ("document", "path", "allowed"),
    [
        (scheme(workflow=[{"stage": "a"}]), "workflow[0].action", "decide in the last stage"),
        (
            scheme(workflow=[{"stage": "a", "role": "approver"}, {"stage": "b", "role": "approver"}]),
            "workflow[0].action",
            "decide in the last stage",
        ),
        (
            scheme(workflow=[{"stage": "a"}, {"stage": "a", "action": "decide"}]),
            "workflow[1].stage",
            "a value no other item has",
        ),
        (
            scheme(workflow=[{"stage": "a", "action": "decide", "returns_to": "b"}]),
            "workflow[0].returns_to",
            "applicant, or an earlier stage",
        ),
        (scheme(workflow=[{"stage": "a", "role": "boss"}]), "workflow[0].role", "reviewer / expert / approver"),
        (scheme(windows=[{"from": "2025-05-01", "to": "2025-04-30"}]), "windows[0].to", "a time after from"),
        (scheme(voucher={"transferable": True}), "voucher.transferable", "false: a voucher is never transferable"),
        (scheme(order="region_quota"), "region_quotas", "given with order region_quota"),
        (scheme(region_quotas={"杭州": "1"}), "region_quotas", "given with order region_quota"),
        (scheme(region_leftovers="stay"), "region_leftovers", "given with order region_quota only"),
        (
            scheme(order="region_quota", region_quotas={"杭州": "0.5", "宁波": "0.4"}),
            "region_quotas",
            "shares that add up to 1",
        ),
        (scheme(notice={"fields": ["shoe"]}), "notice.fields[0]", "number / applicant / programme"),
    ],
)
def test_terms_that_cannot_be_carried_out_are_refused(document, path, allowed):
    assert any(
        at == path and what.startswith(allowed)
        for at, _message, what in problems(documents.load, document, documents.BadProgramme)
    )


def test_what_is_missing_to_publish():
    whole = documents.load(
        scheme(
            name="名",
            doc_no="1号",
            issuer="局",
            lead="局",
            level="city",
            source="文",
            grade="A",
            in_force=["2025-01-01", None],
        )
    )

    assert documents.missing_to_publish(whole) == ()
    assert [problem.path for problem in documents.missing_to_publish(documents.load(scheme()))] == [
        "name",
        "doc_no",
        "issuer",
        "lead",
        "level",
        "source",
        "grade",
        "in_force",
    ]


def derived(code, source):
    return documents.load({"code": code, "lines": [{"id": "x", **LINE, "derived_from": source}]})


def test_awards_derived_in_a_circle_are_refused():
    with pytest.raises(documents.BadCatalogue) as caught:
        documents.catalogue([derived("a", "b"), derived("b", "c"), derived("c", "a"), derived("d", "a")])

    assert [(problem.path, problem.message.en) for problem in caught.value.problems] == [
        ("a: lines[0].derived_from", "Derived in a circle: a → b → c → a."),
        ("b: lines[0].derived_from", "Derived in a circle: b → c → a → b."),
        ("c: lines[0].derived_from", "Derived in a circle: c → a → b → c."),
    ]


def test_a_code_given_twice_is_refused():
    with pytest.raises(documents.BadCatalogue) as caught:
        documents.catalogue([documents.load(scheme()), documents.load(scheme())])

    assert [problem.path for problem in caught.value.problems] == ["code"]


@pytest.mark.parametrize(
    ("request_", "path", "message", "allowed"),
    [
        ([], "$", "The value [] will not do.", "an object with the keys applicant, provider, contract"),
        ({"applicnat": {}}, "applicnat", "There is no such key; did you mean “applicant”?", "these keys: applicant"),
        ({"applicant": []}, "applicant", "The value [] will not do.", "an object or null"),
        (asked(0.125), "contract.items.compute", "The value 0.125 will not do.", FROM_ZERO),
        (asked(True), "contract.items.compute", "The value true will not do.", FROM_ZERO),
        (asked(-1), "contract.items.compute", "The value -1 will not do.", FROM_ZERO),
        ({"contract": {"items": [1]}}, "contract.items", "The value […] will not do.", "an object: kind → amount"),
        ({"contract": {"signed": "2025/01/01"}}, "contract.signed", 'The value "2025/01/01"', "a date YYYY-MM-DD"),
        ({"contract": {"months": -1}}, "contract.months", "The value -1 will not do.", "a number of months from 0"),
        ({"contract": {"related": "no"}}, "contract.related", 'The value "no" will not do.', "true / false"),
        ({"contract": {"id": {}}}, "contract.id", "The value {} will not do.", "text of 1 to 200 characters"),
        ({"approval": {"soft_cap_waived": 1}}, "approval.soft_cap_waived", "The value 1 will not do.", "true / false"),
        ({"applicant": {"cycles_used": "2"}}, "applicant.cycles_used", 'The value "2"', "a whole number from 0"),
        ({"year": "2025"}, "year", 'The value "2025" will not do.', "a whole number from 1900 to 9999"),
        ({"today": "yesterday"}, "today", 'The value "yesterday" will not do.', "a date YYYY-MM-DD"),
        ({"pool": -1}, "pool", "The value -1 will not do.", FROM_ZERO),
        ({"history": {}}, "history", "The value {} will not do.", "a list of 0 to 5000 items"),
        ({"history": [{"programme": "p"}]}, "history[0].amount", "This is missing.", "amount is required"),
        (
            {"history": [{"programme": "p", "amount": 1, "when": 1}]},
            "history[0].when",
            "There is no such key.",
            "these",
        ),
    ],
)
def test_a_bad_request_names_path_and_what_is_allowed(request_, path, message, allowed):
    [problem] = problems(documents.load_request, json.dumps(request_), documents.BadRequest)

    assert problem[0] == path
    assert problem[1].startswith(message)
    assert allowed in problem[2]


def test_the_schemes_that_come_with_the_portal():
    programmes = [documents.load(file.read_bytes()) for file in sorted(DATA.glob("*.json"))]

    assert len(documents.catalogue(programmes)) == 32
    assert all(programme.name and programme.level and programme.source and programme.grade for programme in programmes)
    assert all(file.stem == documents.load(file.read_bytes()).code for file in DATA.glob("*.json"))


def test_malformed_cases_are_kept_with_their_problems():
    good = json.loads(CASES.read_text(encoding="utf-8"))[0]
    broken = [
        good,
        7,
        {},
        {**good, "request": {"year": "x"}},
        {**good, "expect": {"decision": "perhaps"}},
        {**good, "expect": {"amount": "1.00", "colour": 1}},
        {**good, "programme": "nobody"},
    ]
    loaded = cases.load_cases(json.dumps(broken))
    results = list(
        cases.run(loaded, documents.catalogue([documents.load((DATA / "bj-compute-2023.json").read_bytes())]))
    )

    assert [result.is_passed for result in results] == [True, *[False] * 6]
    assert [[problem.path for problem in case.problems] for case in loaded] == [
        [],
        ["[1]"],
        ["[2].id", "[2].programme", "[2].request", "[2].expect"],
        ["[3].request.year"],
        ["[4].expect.decision"],
        ["[5].expect.colour", "[5].expect.decision"],
        [],
    ]
    assert results[-1].line() == "G01 FAIL nobody no such programme"


def test_a_case_that_comes_out_otherwise_says_what_was_expected():
    good = json.loads(CASES.read_text(encoding="utf-8"))[0]
    wrong = [
        {**good, "expect": {"decision": "grant", "amount": "1.00"}},
        {**good, "expect": {"decision": "reject", "rule": "R09"}},
        {**good, "expect": {"decision": "grant", "funding": {"city": "1.00"}, "missing": ["today"]}},
    ]
    catalogue = documents.catalogue([documents.load((DATA / "bj-compute-2023.json").read_bytes())])

    assert [result.line() for result in cases.run(cases.load_cases(json.dumps(wrong)), catalogue)] == [
        "G01 FAIL bj-compute-2023 grant 1200000.00 (amount differs; expected grant 1.00)",
        "G01 FAIL bj-compute-2023 grant 1200000.00 (decision differs, rule differs; expected reject R09)",
        (
            "G01 FAIL bj-compute-2023 grant 1200000.00 "
            "(funding differs, missing facts differ; expected grant city=1.00 missing=today)"
        ),
    ]


def test_the_worked_trace_of_the_documentation_is_true():
    page = (DATA.parents[2] / "docs" / "programme-file.md").read_text(encoding="utf-8")
    programme, request = (json.loads(block.split("```")[0]) for block in page.split("```json\n")[1:])
    decision = decide(programme, request)

    assert outcome(decision) == ("grant", "200000.00")
    assert decision.rule_ids == ("R12",)
    assert [(left.number, left.missing) for left in decision.left_out] == [(1, ("applicant.startup",))]
    assert {payer: part.yuan() for payer, part in decision.funding} == {"province": "100000.00", "city": "100000.00"}
