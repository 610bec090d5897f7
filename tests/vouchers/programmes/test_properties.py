"""What holds for every programme and every request."""

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vouchers.programmes.given import catalogue, decide, past, scheme
from vouchers.programmes import documents, rules, wording
from vouchers.programmes.decisions import Decision, DecisionKind, Outcome
from vouchers.programmes.predicates import ABSENT, Truth, judge
from vouchers.programmes.schemes import Window

CATALOGUE = catalogue()
FACTS = ("applicant.type", "applicant.sme", "applicant.tags", "applicant.members", "contract.purpose", "provider.kind")
unhurried = settings(deadline=None)  # the machine that runs this may be busy
GATES = {"R01", "R02", "R04", "R05", "R06", "R07", "R17"}

yuan = st.integers(0, 10**9).map(lambda fen: f"{fen // 100}.{fen % 100:02d}")
some_yuan = st.integers(1, 10**9).map(lambda fen: f"{fen // 100}.{fen % 100:02d}")
rates = st.integers(0, 1000).map(lambda mille: f"{mille // 1000}.{mille % 1000:03d}")
values = st.sampled_from(["enterprise", "team", True, False, 3, "3", "training"])
leaves = st.one_of(
    st.tuples(st.sampled_from(FACTS), st.sampled_from(["=", "!=", "has"]), values),
    st.tuples(st.sampled_from(FACTS), st.sampled_from(["in", "has_any"]), st.lists(values, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(FACTS), st.sampled_from([">=", "<=", ">", "<"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(FACTS), st.just("exists"), st.booleans()),
).map(list)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=6,
)


def lines(of):
    numbered = st.lists(of, min_size=1, max_size=4)
    return numbered.map(lambda bodies: [{"id": str(at), **body} for at, body in enumerate(bodies)])


rate_lines = lines(
    st.fixed_dictionaries(
        {"rate": rates}, optional={"when": conditions, "cap": some_yuan, "rate_is_ceiling": st.booleans()}
    )
)
any_lines = lines(
    st.one_of(
        st.fixed_dictionaries(
            {"rate": rates}, optional={"when": conditions, "cap": some_yuan, "rate_is_ceiling": st.booleans()}
        ),
        st.fixed_dictionaries({"amount": some_yuan}, optional={"when": conditions}),
        st.fixed_dictionaries({"rate": rates, "derived_from": st.just("q")}),
        st.fixed_dictionaries({"rate": rates, "combined_rate_cap": rates, "combined_with": st.just(["q"])}),
        st.fixed_dictionaries(
            {
                "brackets": st.builds(
                    lambda mode, low, first, rest: {"mode": mode, "table": [[low, first], [None, rest]]},
                    st.sampled_from(["marginal", "whole"]),
                    some_yuan,
                    rates,
                    rates,
                )
            }
        ),
    )
)
caps = st.lists(
    st.fixed_dictionaries(
        {"window": st.sampled_from(list(Window)), "amount": some_yuan},
        optional={
            "scope": st.sampled_from(["applicant", "group"]),
            "when": conditions,
            "unless": conditions,
            "across": st.just(["q"]),
        },
    ),
    max_size=3,
)
programmes = st.fixed_dictionaries(
    {"code": st.just("p"), "lines": any_lines},
    optional={
        "in_force": st.just(["2025-01-01", "2025-12-31"]),
        "eligibility": conditions,
        "provider": st.one_of(
            conditions, st.fixed_dictionaries({"roster": st.just("r")}, optional={"when": conditions})
        ),
        "subject": st.sampled_from([["compute"], ["corpus", "test"]]),
        "purpose": conditions,
        "applicant_kinds": st.sampled_from(
            [["enterprise"], ["team", {"kind": "OPC", "when": ["applicant.sme", "=", True]}]]
        ),
        "channel": st.just(["data_exchange"]),
        "windows": st.just([{"from": "2025-01-01", "to": "2025-07-01T17:00"}]),
        "year_basis": st.sampled_from(["decision", "service"]),
        "count": st.fixed_dictionaries(
            {},
            optional={
                "per_contract": st.integers(1, 2),
                "per_year": st.integers(1, 2),
                "per_application_max": some_yuan,
                "holding_max": some_yuan,
            },
        ),
        "voucher": st.fixed_dictionaries({"face_values": st.lists(some_yuan, max_size=3)}),
        "related_party": st.sampled_from(["forbidden", {"mode": "forbidden", "tests": ["control"]}]),
        "double_subsidy": st.one_of(
            st.sampled_from(["forbidden", "highest", "allowed"]),
            st.fixed_dictionaries(
                {
                    "mode": st.sampled_from(["forbidden", "highest"]),
                    "same": st.sampled_from(["contract", "project", "cost"]),
                }
            ),
        ),
        "cost": st.fixed_dictionaries(
            {},
            optional={
                "include": st.just(["compute"]),
                "exclude": st.just(["storage"]),
                "basis": st.sampled_from(["contract", "approved", "paid", "usage"]),
                "period": st.just({"from": "2025-01-01", "to": "2025-12-31"}),
                "when": conditions,
                "signed_from": st.just("2025-01-01"),
                "max_months": st.just(12),
                "min_base": yuan,
            },
        ),
        "max_cycles": st.one_of(
            st.integers(1, 3), st.fixed_dictionaries({"total": st.integers(1, 3), "consecutive": st.integers(1, 3)})
        ),
        "choose": st.sampled_from(["first", "max", "sum"]),
        "caps": caps,
        "floor": yuan,
        "pool_short": st.sampled_from(["partial", "reject", "queue", "prorate"]),
        "rounding": st.fixed_dictionaries(
            {"to": st.sampled_from(["0.01", 1, 100]), "mode": st.sampled_from(["down", "half_up", "up"])}
        ),
        "funding": st.sampled_from(
            [
                [{"payer": "a", "share": "1"}],
                [{"payer": "a", "share": "0.5"}, {"payer": "b", "share": "0.5"}],
                [{"payer": str(at), "share": "0.125"} for at in range(8)],
            ]
        ),
    },
)
facts = st.one_of(values, st.none(), st.lists(values, max_size=2), st.integers(0, 5))
awards = st.fixed_dictionaries(
    {"programme": st.sampled_from(["p", "q"]), "amount": yuan},
    optional={
        "year": st.sampled_from([2024, 2025]),
        "contract": st.sampled_from(["C1", "C0", None]),
        "paid": yuan,
        "service_year": st.sampled_from([2024, 2025]),
        "cycle": st.integers(1, 2),
        "project": st.sampled_from(["A", "B", None]),
        "invoices": st.just(["1"]),
        "of_group": st.booleans(),
        "level": st.sampled_from(["city", None]),
    },
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "applicant": st.fixed_dictionaries({}, optional=dict.fromkeys(("type", "sme", "tags", "members"), facts)),
        "provider": st.one_of(st.none(), st.fixed_dictionaries({}, optional={"kind": facts})),
        "contract": st.fixed_dictionaries(
            {},
            optional={
                "id": st.just("C1"),
                "items": st.dictionaries(st.sampled_from(["compute", "storage"]), yuan),
                "approved_items": st.dictionaries(st.sampled_from(["compute", "storage"]), yuan),
                "paid_items": st.dictionaries(st.sampled_from(["compute", "storage"]), yuan),
                "purpose": facts,
                "project": st.sampled_from(["A", None]),
                "invoices": st.sampled_from([["1"], ["2"]]),
                "relations": st.sampled_from([["control"], []]),
                "service_from": st.sampled_from(["2024-12-31", "2025-01-01"]),
                "service_to": st.sampled_from(["2025-12-31", "2026-01-01"]),
                "related": st.booleans(),
                "signed": st.sampled_from(["2024-12-31", "2025-01-01"]),
                "months": st.integers(1, 24),
            },
        ),
        "year": st.just(2025),
        "today": st.sampled_from(["2025-06-30", "2026-01-01"]),
        "history": st.lists(awards, max_size=4),
        "pool": yuan,
        "at": st.sampled_from(["2025-06-30T10:00", "2025-07-01T17:00"]),
        "k": rates,
        "cycle": st.integers(1, 2),
        "holding": yuan,
    },
)


@unhurried
@given(programme=programmes, request=requests)
def test_every_decision_is_whole(programme, request):
    decision = decide(programme, request)

    assert decision == decide(programme, request)
    assert Decision.from_json(json.loads(json.dumps(decision.as_json()))) == decision
    match decision.decision:
        case DecisionKind.REJECT:
            assert decision.rule == decision.failures[0].code == decision.rule_ids[0]
            assert decision.amount is None
        case DecisionKind.SUPPLEMENT:
            assert decision.missing
            assert decision.amount is None
            assert not decision.failures
        case _:
            assert decision.amount is not None and decision.amount.fen > 0
            assert not decision.failures
            assert (decision.decision is DecisionKind.MANUAL) == bool(decision.rule)
    for language in ("zh", "en"):
        assert wording.headline(decision, language)
        assert len(wording.reasons(decision, language)) == len(decision.failures)
        assert all(told.text for told in wording.explain(decision, language))
    assert wording.describe(documents.load(programme), "en")


@unhurried
@given(programme=programmes, request=requests)
def test_one_known_failure_refuses_and_only_then_does_an_unknown_ask(programme, request):
    decision = decide(programme, request)
    outcomes = {step.outcome for step in decision.trace if step.test}

    assert (decision.decision is DecisionKind.REJECT) == (Outcome.FAIL in outcomes)
    assert (decision.decision is DecisionKind.SUPPLEMENT) == (
        Outcome.FAIL not in outcomes and Outcome.UNKNOWN in outcomes
    )


@unhurried
@given(programme=programmes, request=requests)
def test_what_is_paid_respects_pool_and_funding(programme, request):
    decision = decide(programme, request)

    if decision.amount is None:
        return
    if "pool" in request and decision.decision is DecisionKind.GRANT:
        assert decision.amount <= documents.load_request(request).pool
    if "funding" in programme:
        assert sum(part.fen for _payer, part in decision.funding) == decision.amount.fen
        assert all(part.fen >= 0 for _payer, part in decision.funding)
    else:
        assert decision.funding == ()


@unhurried
@given(lines=rate_lines, choose=st.sampled_from(["first", "max"]), caps=caps, request=requests)
def test_an_award_is_at_most_base_times_rate_and_every_cap(lines, choose, caps, request):
    programme = scheme(lines=lines, choose=choose, caps=caps)
    decision = decide(programme, request)
    loaded = documents.load(programme)

    if decision.amount is None:
        return
    read = documents.load_request(request)
    items = read.priced("contract.approved_items") if read.items is None else read.items
    base = sum(price.fen for price in items.values())
    assert decision.amount.fen <= base * max(line.rate for line in loaded.lines)
    if decision.decision is DecisionKind.GRANT:
        for cap in loaded.caps:
            if judge(cap.when, read.facts).truth is not Truth.FALSE:
                assert decision.amount <= cap.amount


@unhurried
@given(lines=rate_lines, choose=st.sampled_from(["first", "max"]), caps=caps, request=requests, more=yuan)
def test_a_larger_contract_never_gets_less(lines, choose, caps, request, more):
    programme = scheme(lines=lines, choose=choose, caps=caps)
    items = request.get("contract", {}).get("items")
    before = decide(programme, request)

    if items is None or before.amount is None:
        return
    larger = {**request, "contract": {**request["contract"], "items": {**items, "more": more}}}
    after = decide(programme, larger)

    assert after.decision is before.decision
    assert after.amount >= before.amount


@unhurried
@given(condition=conditions, facts=requests, more=requests)
def test_what_is_known_stays_known_when_more_facts_are_stated(condition, facts, more):
    """Kleene's logic is monotone in information: true and false are final, unknown may become either."""
    programme = documents.load(scheme(eligibility=condition))
    before = documents.load_request(facts)
    merged = {
        section: {**(more.get(section) or {}), **stated} if isinstance(stated, dict) else stated
        for section, stated in before.facts.items()
    }
    after = documents.load_request({**{key: more[key] for key in before.facts.keys() & more.keys()}, **merged})
    known, later = judge(programme.eligibility, before.facts), judge(programme.eligibility, after.facts)

    if known.truth is not Truth.UNKNOWN:
        assert later.truth is known.truth


@unhurried
@given(programme=programmes, request=requests, more=requests)
def test_stating_more_never_turns_a_refusal_by_known_facts_into_a_grant(programme, request, more):
    refused = decide(programme, request)
    if refused.decision is not DecisionKind.REJECT or refused.rule not in GATES:
        return
    added = {
        section: {**more[section], **(request.get(section) or {})}
        for section in ("applicant", "contract")
        if section in more
    }
    answer = decide(programme, {**request, **added})

    assert answer.decision is DecisionKind.REJECT
    assert refused.rule in answer.rule_ids


@unhurried
@given(condition=conditions, request=requests)
def test_an_unknown_condition_names_facts_nobody_stated_readably(condition, request):
    loaded, read = documents.load(scheme(eligibility=condition)), documents.load_request(request)
    verdict = judge(loaded.eligibility, read.facts)

    assert (verdict.truth is Truth.UNKNOWN) == bool(verdict.missing)
    for path in verdict.missing:
        stated = read.fact(path)
        assert stated is ABSENT or stated is not None


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["lines", "rate", "0.30", "applicant.type", "="]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.text(max_size=6), st.sampled_from(["code", "lines", "id", "rate", "all", "applicant", "contract"])
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@unhurried
@given(document=st.one_of(junk.map(json.dumps), st.text(), st.binary(max_size=60)))
def test_any_text_is_read_or_refused_with_its_problems(document):
    for load, refusal in (
        (documents.load, documents.BadProgramme),
        (documents.load_request, documents.BadRequest),
    ):
        try:
            load(document)
        except refusal as error:
            assert error.problems
            for problem in error.problems:
                assert problem.path
                problem.say("zh").encode()
                problem.say("en").encode()


def replaced(tree, path, value):
    if not path:
        return value
    key, *rest = path
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[key] = replaced(copy[key], rest, value)
    return copy


def paths(tree):
    yield []
    if isinstance(tree, dict | list):
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from ([key, *rest] for rest in paths(item))


@unhurried
@given(data=st.data(), code=st.sampled_from(sorted(CATALOGUE)), value=junk, request=requests)
def test_a_scheme_with_one_value_spoilt_is_refused_or_still_decides(data, code, value, request):
    document = CATALOGUE[code].document
    where = data.draw(st.sampled_from(list(paths(document))))
    spoilt = replaced(document, where, value)
    try:
        programme = documents.load(json.dumps(spoilt))
    except documents.BadProgramme as error:
        assert error.problems
    else:
        assert rules.evaluate(programme, documents.load_request(request), catalogue=CATALOGUE)


@unhurried
@given(request=st.dictionaries(st.sampled_from(["applicant", "contract", "history", "year", "pool", "usage"]), junk))
def test_any_request_is_decided_or_refused(request):
    try:
        read = documents.load_request(json.dumps(request))
    except documents.BadRequest:
        return
    for programme in CATALOGUE.values():
        assert rules.evaluate(programme, read, catalogue=CATALOGUE)


@unhurried
@given(amounts=st.lists(st.integers(1, 10**6), min_size=1, max_size=5), limit=st.integers(1, 10**6))
def test_a_yearly_cap_holds_over_any_number_of_awards(amounts, limit):
    programme = scheme(
        lines=[{"id": "a", "rate": "0.5"}], caps=[{"window": "year", "amount": f"{limit // 100}.{limit % 100:02d}"}]
    )
    history, total = [], 0
    for fen in amounts:
        request = {"contract": {"items": {"x": f"{fen // 100}.{fen % 100:02d}"}}, "year": 2025, "history": history}
        decision = decide(programme, request)
        if decision.amount is not None:
            total += decision.amount.fen
            history = [*history, past(decision.amount.yuan())]

    assert total <= limit
    assert total == min(limit, sum(fen // 2 for fen in amounts)) or total == limit


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_a_stored_document_reads_back_as_the_same_programme(code):
    programme = CATALOGUE[code]

    assert documents.load(json.dumps(programme.document)) == programme
    assert Fraction(1) >= max((line.rate or Fraction(0)) for line in programme.lines)


@unhurried
@given(weights=st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any), fen=st.integers(1, 10**8))
def test_funding_is_half_up_in_turn_and_sums_to_the_award(weights, fen):
    shares = [Fraction(weight * 10**6 // sum(weights), 10**6) for weight in weights[:-1]]
    shares.append(1 - sum(shares))
    funding = [{"payer": str(at), "share": f"{float(share):.6f}"} for at, share in enumerate(shares)]
    amount = f"{fen // 100}.{fen % 100:02d}"
    decision = decide(scheme(lines=[{"id": "a", "rate": "1"}], funding=funding), {"contract": {"items": {"x": amount}}})
    parts = [part.fen for _payer, part in decision.funding]

    assert sum(parts) == decision.amount.fen == fen
    left = fen
    for part, share in zip(parts[:-1], shares, strict=False):
        assert part == min(left, int(fen * share + Fraction(1, 2)))
        left -= part
