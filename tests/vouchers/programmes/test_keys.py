"""Every key of a programme file changes what is decided: one row for each way it can."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vouchers.programmes.given import asked, decide, outcome, past, scheme
from vouchers.programmes import documents, wording
from vouchers.programmes.decisions import Decision, Outcome
from vouchers.programmes.schemes import Cycles, Period, Pool

TEAMS = scheme(
    applicant_kinds=["enterprise", "OPC", {"kind": "team", "when": ["applicant.members", ">=", 3]}],
)
ROSTER = scheme(provider={"when": ["provider.region", "=", "武汉"], "roster": "名录", "documents": ["营业执照"]})
RELATED = scheme(related_party={"mode": "forbidden", "tests": ["control", "common_control"]})
UNRELATED = {"id": "C1", "items": {"compute": 1000}, "related": False}
WINDOW = scheme(windows=[{"from": "2025-04-17", "to": "2025-05-15T17:00"}])
PERIOD = scheme(cost={"period": {"from": "2025-01-01", "to": "2025-12-31"}})
CEILING = scheme(lines=[{"id": "a", "rate": "0.30", "rate_is_ceiling": True}], caps=[{"window": "year", "amount": 200}])
SERVICE_YEAR = scheme(year_basis="service", caps=[{"window": "year", "amount": 350}])
POLICY_YEAR = scheme(year_basis="policy", in_force=["2024-07-18", None], caps=[{"window": "year", "amount": 350}])
CYCLE = scheme(caps=[{"window": "cycle", "amount": 350}])
GROUP = scheme(caps=[{"window": "year", "amount": 350, "scope": "group"}])
OWN = scheme(caps=[{"window": "year", "amount": 350}])
QUOTA = scheme(cost={"free_quota": {"unit": "card_hours", "amount": 2000, "period": "year"}})
BOTH = {"compute": 700, "storage": 300}


def bought(**changes):
    return asked(contract={"id": "C1", "items": {"compute": 1000}, **changes})


def used(hours, *history):
    return asked(usage={"card_hours": hours, "price": 1}, history=list(history))


@pytest.mark.parametrize(
    ("programme", "request_", "expected"),
    [
        # subject and purpose
        (scheme(subject=["compute"]), asked(), ("grant", "300.00")),
        (scheme(subject=["corpus", "model_api"]), asked(), ("reject", "R17")),
        (scheme(subject=["corpus"]), {"year": 2025}, ("supplement", "R17")),
        (scheme(purpose=["contract.purpose", "=", "training"]), bought(purpose="training"), ("grant", "300.00")),
        (scheme(purpose=["contract.purpose", "=", "training"]), bought(purpose="inference"), ("reject", "R17")),
        # kinds of applicant, with and without legal personality
        (TEAMS, asked(applicant={"type": "enterprise"}), ("grant", "300.00")),
        (TEAMS, asked(applicant={"type": "team", "members": 3, "legal_person": False}), ("grant", "300.00")),
        (TEAMS, asked(applicant={"type": "team", "members": 2, "tags": []}), ("reject", "R02")),
        (TEAMS, asked(applicant={"type": "university", "members": 9, "tags": []}), ("reject", "R02")),
        (TEAMS, asked(applicant={"type": "institute", "tags": ["OPC"]}), ("grant", "300.00")),
        (TEAMS, asked(), ("supplement", "R02")),
        # provider: predicate, roster
        (ROSTER, asked(provider={"region": "武汉", "rosters": ["名录"]}), ("grant", "300.00")),
        (ROSTER, asked(provider={"region": "武汉", "rosters": ["别的"]}), ("reject", "R04")),
        (ROSTER, asked(provider={"region": "武汉"}), ("supplement", "R04")),
        # channel
        (scheme(channel=["data_exchange"]), bought(channel="data_exchange"), ("grant", "300.00")),
        (scheme(channel=["data_exchange"]), bought(channel="direct"), ("reject", "R17")),
        # related parties: declared, or found in a register
        (RELATED, asked(contract=UNRELATED), ("grant", "300.00")),
        (RELATED, asked(contract={**UNRELATED, "relations": ["common_control"]}), ("reject", "R05")),
        (RELATED, asked(contract={**UNRELATED, "relations": ["contact"]}), ("grant", "300.00")),
        (RELATED, asked(contract={**UNRELATED, "related": True}), ("reject", "R05")),
        (RELATED, asked(), ("supplement", "R05")),
        # what counts, and which amounts
        (scheme(cost={"exclude": ["storage"]}), asked(contract={"items": BOTH}), ("grant", "210.00")),
        (scheme(cost={"basis": "paid"}), bought(paid_items={"compute": 600}), ("grant", "180.00")),
        (scheme(cost={"basis": "paid"}), bought(), ("grant", "300.00")),
        (scheme(cost={"basis": "invoiced"}), bought(invoiced_items={"compute": 500}), ("grant", "150.00")),
        (scheme(cost={"basis": "order"}), bought(ordered_items={"compute": 400}), ("grant", "120.00")),
        (scheme(cost={"basis": "usage"}), asked(usage={"items": {"compute": 100}}), ("grant", "30.00")),
        (scheme(cost={"basis": "approved"}), bought(approved_items={"compute": 800}), ("grant", "240.00")),
        (scheme(), bought(approved_items={"compute": 800}), ("grant", "240.00")),
        (scheme(), bought(approved_items={}), ("reject", "R16")),
        (
            scheme(cost={"basis": "paid"}),
            bought(paid_items={"compute": 900}, approved_items={"compute": 800}),
            ("grant", "240.00"),
        ),
        # the service must lie within the period, first and last day included
        (PERIOD, bought(service_from="2025-01-01", service_to="2025-12-31"), ("grant", "300.00")),
        (PERIOD, bought(service_from="2024-12-31", service_to="2025-12-31"), ("reject", "R19")),
        (PERIOD, bought(service_from="2025-01-01", service_to="2026-01-01"), ("reject", "R19")),
        (PERIOD, bought(service_from="2025-01-01"), ("supplement", "R19")),
        (scheme(cost={"period": "2025 年度"}), asked(), ("grant", "300.00")),
        # intake windows: to the second where the instant is stated, by the day where only the day is
        (WINDOW, asked(at="2025-05-15T16:59:59"), ("grant", "300.00")),
        (WINDOW, asked(at="2025-05-15T17:00:00"), ("reject", "R18")),
        (WINDOW, asked(at="2025-05-15T09:00:00Z"), ("reject", "R18")),
        (WINDOW, asked(today="2025-05-15"), ("grant", "300.00")),
        (WINDOW, asked(today="2025-05-16"), ("reject", "R18")),
        (WINDOW, asked(today="2025-04-16"), ("reject", "R18")),
        (WINDOW, asked(), ("grant", "300.00")),
        # free quota: anew, of the year, once for all
        (QUOTA, used(2100), ("grant", "30.00")),
        (QUOTA, used(100, past(0, free_used=1950)), ("grant", "15.00")),
        (QUOTA, used(100, past(0, free_used=1950, year=2024)), ("reject", "R16")),
        (QUOTA, used(100, past(0, free_used=2000)), ("grant", "30.00")),
        # counts
        (scheme(count={"per_contract": 1}), asked(history=[past(1, contract="C1")]), ("reject", "R09")),
        (scheme(count={"per_year": 2}), asked(history=[past(1)]), ("grant", "300.00")),
        (scheme(count={"per_year": 2}), asked(history=[past(1), past(1)]), ("reject", "R20")),
        (scheme(count={"per_year": 1}), asked(history=[past(1, year=2024)]), ("grant", "300.00")),
        (
            scheme(count={"per_year": 1}),
            asked(history=[{"programme": "p", "amount": 1}]),
            ("supplement", "R20"),
        ),
        # cycles: in all, in a row
        (scheme(max_cycles={"total": 2}), asked(history=[past(1, year=2021), past(1, year=2023)]), ("reject", "R11")),
        (
            scheme(max_cycles={"consecutive": 2}),
            asked(history=[past(1, year=2021), past(1, year=2023)]),
            ("grant", "300.00"),
        ),
        (
            scheme(max_cycles={"consecutive": 2}),
            asked(history=[past(1, year=2023), past(1, year=2024)]),
            ("reject", "R11"),
        ),
        (scheme(max_cycles={"consecutive": 2}), asked(applicant={"cycles_in_a_row": 2}), ("reject", "R11")),
        (scheme(max_cycles={"consecutive": 3}), asked(applicant={"cycles_in_a_row": 2}), ("grant", "300.00")),
        # which year: of the decision, of the service, of the policy
        (SERVICE_YEAR, asked(), ("grant", "300.00")),
        (SERVICE_YEAR, asked(history=[past(350, service_year=2024)]), ("supplement", "R12")),
        (
            SERVICE_YEAR,
            asked(
                contract={"items": {"compute": 1000}, "service_from": "2024-05-01"},
                history=[past(300, service_year=2024)],
            ),
            ("grant", "50.00"),
        ),
        (
            SERVICE_YEAR,
            asked(
                contract={"items": {"compute": 1000}, "service_year": 2025},
                history=[past(300, service_year=2024)],
            ),
            ("grant", "300.00"),
        ),
        (POLICY_YEAR, asked(today="2025-07-17", history=[past(300, date="2024-07-18")]), ("grant", "50.00")),
        (POLICY_YEAR, asked(today="2025-07-18", history=[past(300, date="2025-07-17")]), ("grant", "300.00")),
        (POLICY_YEAR, asked(today="2025-07-18", history=[past(350)]), ("supplement", "R12")),
        # caps: of a cycle, of a group
        (CYCLE, asked(cycle=2, history=[past(300, cycle=1)]), ("grant", "300.00")),
        (CYCLE, asked(cycle=2, history=[past(300, cycle=2, year=2024)]), ("grant", "50.00")),
        (CYCLE, asked(history=[past(300)]), ("grant", "50.00")),
        (GROUP, asked(history=[past(300, of_group=True)]), ("grant", "50.00")),
        (OWN, asked(history=[past(300, of_group=True)]), ("grant", "300.00")),
        # "at most": the batch fixes the coefficient after the caps
        (CEILING, asked(), ("grant", "200.00")),
        (CEILING, asked(k="0.9"), ("grant", "180.00")),
        (scheme(), asked(k="0.9"), ("grant", "300.00")),
        (
            scheme(
                choose="sum",
                lines=[{"id": "a", "rate": "0.30", "rate_is_ceiling": True}, {"id": "b", "amount": 100}],
            ),
            asked(k="0.5"),
            ("grant", "250.00"),
        ),
        # issued in face values: as many of the largest as fit, then of the next
        (scheme(voucher={"face_values": [50, 200]}), asked(), ("grant", "300.00")),
        (scheme(voucher={"face_values": [200, 70]}), asked(), ("grant", "270.00")),
        (scheme(voucher={"face_values": [200, 70]}), asked(pool="199.99"), ("grant", "140.00")),
        (scheme(voucher={"face_values": [500]}), asked(), ("reject", "R16")),
        (scheme(voucher={"face_values": [500], "unit": "card_hours"}), asked(), ("grant", "300.00")),
        (scheme(voucher={"face_values": [200]}, floor=250), asked(), ("reject", "R14")),
        # together with other programmes: a share, a sum
        (
            scheme(lines=[{"id": "a", "rate": "0.30", "combined": {"with": ["q"], "amount_cap": 400}}]),
            asked(history=[past(250, "q", contract="C1")]),
            ("grant", "150.00"),
        ),
        (
            scheme(lines=[{"id": "a", "rate": "0.30", "combined": {"with": ["q"], "rate_cap": "0.35"}}]),
            asked(history=[past(250, "q", contract="C1")]),
            ("grant", "100.00"),
        ),
    ],
)
def test_key(programme, request_, expected):
    assert outcome(decide(programme, request_)) == expected


def test_a_derived_award_counts_what_was_paid_or_what_was_granted():
    history = [past(200, "q", contract="C1", paid=150)]
    for measure, amount in (("paid", "30.00"), ("granted", "40.00")):
        lines = [{"id": "a", "rate": "0.20", "derived_from": {"programme": "q", "measure": measure}}]
        assert outcome(decide(scheme(lines=lines), asked(history=history))) == ("grant", amount)


def test_a_derived_base_is_what_the_other_programme_paid():
    programme = scheme(
        cost={"basis": "derived", "min_base": 200},
        lines=[{"id": "a", "rate": "0.20", "derived_from": "q"}],
    )
    assert outcome(decide(programme, asked(history=[past(200, "q", contract="C1")]))) == ("grant", "40.00")
    assert outcome(decide(programme, asked(history=[past(199, "q", contract="C1")]))) == ("reject", "R08")


INVOICE = {"invoices": ["001"]}
CITY = scheme(code="q", level="city", double_subsidy={"mode": "forbidden", "levels": ["city", "district"]})


@pytest.mark.parametrize(
    ("double", "award", "contract", "expected"),
    [
        ({"mode": "forbidden"}, {"contract": "C1"}, {}, ("reject", "R10")),
        ({"mode": "forbidden", "same": "project"}, {"project": "A"}, {"project": "A"}, ("reject", "R10")),
        ({"mode": "forbidden", "same": "project"}, {"project": "A"}, {"project": "B"}, ("grant", "300.00")),
        ({"mode": "forbidden", "same": "project"}, {}, {"project": "B"}, ("supplement", "R10")),
        ({"mode": "highest", "same": "project"}, {"project": "A"}, {"project": "A"}, ("grant", "200.00")),
        ({"mode": "forbidden", "same": "cost"}, INVOICE, {"invoices": ["002", "001"]}, ("reject", "R10")),
        ({"mode": "forbidden", "same": "cost"}, INVOICE, {"invoices": ["002"]}, ("grant", "300.00")),
        (
            {"mode": "forbidden", "same": "cost"},
            {"contract": "C1", **INVOICE},
            {"invoices": ["002"]},
            ("grant", "300.00"),
        ),
        ({"mode": "forbidden", "same": "cost"}, {"contract": "C1"}, {"invoices": ["002"]}, ("supplement", "R10")),
    ],
)
def test_the_same_money_twice(double, award, contract, expected):
    request = bought(**contract) | {"history": [past(100, "q", **award)]}
    assert outcome(decide(scheme(double_subsidy=double), request)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"level": "district"}, ("reject", "R10")),
        ({"level": "province"}, ("grant", "300.00")),
        ({"level": "district", "lines": [{"id": "a", "rate": "0.2", "derived_from": "q"}]}, ("grant", "20.00")),
    ],
)
def test_what_one_programme_forbids_another_cannot_add_unless_its_text_builds_on_it(changes, expected):
    request = asked(history=[past(100, "q", contract="C1")])
    assert outcome(decide(scheme(**changes), request, CITY)) == expected


@given(k=st.fractions(0, 1, max_denominator=1000), amount=st.integers(1, 10**9))
def test_a_coefficient_never_raises_an_award_and_scales_it_exactly(k, amount):
    thousandths = f"{int(k * 1000) / 1000:.3f}"
    programme = scheme(lines=[{"id": "a", "rate": "1", "rate_is_ceiling": True}])
    decision = decide(programme, asked(amount, k=thousandths))
    expected = int(Fraction(thousandths) * amount * 100)
    assert (decision.amount.fen if decision.amount else 0) == expected


def test_old_ways_of_writing_keep_their_meaning():
    old = documents.load(scheme(per_contract_count=2, max_cycles=3, double_subsidy="highest", double_levels=["city"]))
    new = documents.load(
        scheme(
            count={"per_contract": 2},
            max_cycles={"total": 3},
            double_subsidy={"mode": "highest", "levels": ["city"], "same": "contract"},
        )
    )
    assert (old.count, old.max_cycles, old.double_subsidy, old.double_levels, old.same) == (
        new.count,
        Cycles(total=3),
        new.double_subsidy,
        new.double_levels,
        new.same,
    )
    assert documents.load(scheme(cost={"period": "每年"})).cost.period == Period(text="每年")
    assert documents.load(scheme(pool=[{"period": "2025", "amount": 1}])).pool[0] == Pool(
        documents.load(scheme(floor=1)).floor, "2025"
    )


@pytest.mark.parametrize(
    ("programme", "path"),
    [
        (scheme(subject=["shoes"]), "subject[0]"),
        (scheme(applicant_kinds=["team", "team"]), "applicant_kinds[1].kind"),
        (scheme(applicant_kinds=[{"kind": "team", "when": []}]), "applicant_kinds[0].when"),
        (scheme(provider={"rooster": "x"}), "provider.rooster"),
        (scheme(related_party={"mode": "forbidden", "tests": ["friends"]}), "related_party.tests[0]"),
        (scheme(double_subsidy={"mode": "highest", "same": "town"}), "double_subsidy.same"),
        (scheme(double_subsidy={"mode": "highest", "levels": ["city"]}, double_levels=["city"]), "double_levels"),
        (scheme(count={"per_contract": 1}, per_contract_count=1), "per_contract_count"),
        (scheme(cost={"include": ["compute"], "exclude": ["compute"]}), "cost.exclude[0]"),
        (scheme(cost={"basis": "derived"}), "cost.basis"),
        (scheme(cost={"period": {"from": "2025-02-01", "to": "2025-01-31"}}), "cost.period"),
        (scheme(cost={"free_quota": {"unit": "a", "amount": 1, "period": "month"}}), "cost.free_quota.period"),
        (scheme(year_basis="policy"), "year_basis"),
        (scheme(max_cycles={"total": 0}), "max_cycles.total"),
        (scheme(lines=[{"id": "a", "amount": 5, "rate_is_ceiling": True}]), "lines[0].rate_is_ceiling"),
        (scheme(lines=[{"id": "a", "rate": "1", "combined": {"with": ["q"]}}]), "lines[0].combined"),
        (scheme(schema=2), "schema"),
        (scheme(facts=[{"path": "firm.size", "name": "规模"}]), "facts[0].path"),
        (scheme(facts=[{"path": "applicant.x", "name": "一"}] * 2), "facts[1].path"),
    ],
)
def test_a_wrong_key_is_named_by_its_path(programme, path):
    with pytest.raises(documents.BadProgramme) as caught:
        documents.load(programme)
    assert path in [problem.path for problem in caught.value.problems]


class TestUnknownFacts:
    PROGRAMME = scheme(eligibility={"all": [["applicant.region", "=", "杭州"], ["applicant.regoin", "=", "杭州"]]})

    def test_are_named_with_the_nearest_known_one(self):
        with pytest.raises(documents.BadProgramme) as caught:
            documents.admit(self.PROGRAMME)
        [problem] = caught.value.problems
        assert problem.path == "eligibility.all[1][0]"
        assert problem.message.en == "There is no fact “applicant.regoin”; did you mean “applicant.region”?"
        assert problem.message.zh == "没有事实“applicant.regoin”；是不是“applicant.region”？"

    def test_may_be_declared_and_are_then_called_by_their_name(self):
        declared = {"path": "applicant.regoin", "name": {"zh": "籍贯", "en": "the place of origin"}}
        programme = documents.admit({**self.PROGRAMME, "facts": [declared]})
        told = [line for section in wording.describe(programme, "en") for line in section.sentences]
        assert "The place of origin is Hangzhou." in told
        decision = decide({**self.PROGRAMME, "facts": [declared]}, asked(applicant={"region": "杭州"}))
        assert [fact.name.zh for fact in decision.missing] == ["籍贯"]
        again = Decision.from_json(decision.as_json())
        assert again == decision
        told = [step.text for step in wording.explain(again, "zh") if step.outcome is Outcome.UNKNOWN]
        assert any("籍贯" in text for text in told)

    def test_do_not_keep_a_stored_version_from_being_read(self):
        assert documents.load(self.PROGRAMME).code == "p"

    def test_are_found_in_every_condition_of_a_file(self):
        odd = ["contract.odd", "exists", True]
        programme = documents.load(
            scheme(
                applicant_kinds=[{"kind": "team", "when": odd}],
                provider={"not": odd},
                purpose={"any": [odd, odd]},
                cost={"when": odd},
                lines=[{"id": "a", "rate": "1", "when": odd}],
                caps=[{"window": "year", "amount": 1, "when": odd, "unless": odd}],
                evidence=[{"doc": "发票", "required_when": odd}],
            )
        )
        assert [problem.path for problem in documents.unknown_facts(programme)] == [
            "applicant_kinds[0].when[0]",
            "provider.not[0]",
            "purpose.any[0][0]",
            "purpose.any[1][0]",
            "cost.when[0]",
            "lines[0].when[0]",
            "caps[0].when[0]",
            "caps[0].unless[0]",
            "evidence[0].required_when[0]",
        ]
