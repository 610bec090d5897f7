"""Questions are built from the programme's own conditions."""

import pytest

from portal.pages.questions import Answer, FactsForm, vocabulary
from tests import make
from vouchers.programmes import documents

CONDITIONS = {
    "all": [
        ["applicant.sme", "=", True],
        ["applicant.tags", "has_any", ["tech_sme", "OPC"]],
        ["contract.purpose", "=", "training"],
        ["contract.national_class", "in", [1, 2]],
        ["applicant.year_compute_contracts", "<=", 500000],
        ["applicant.members", ">=", 3],
        ["applicant.barred_until", "<", "2026-01-01"],
        ["contract.centre", "exists"],
        ["approval.soft_cap_waived", "=", True],
        ["contract.months", "<=", 12],
    ]
}


@pytest.fixture
def asked():
    return vocabulary(documents.load(make.programme_file(eligibility=CONDITIONS)))


def test_each_fact_is_asked_as_its_conditions_test_it(asked):
    assert {path: question.answer for path, question in asked.items()} == {
        "applicant.sme": Answer.YES_NO,
        "applicant.tags": Answer.CHOICES,
        "contract.purpose": Answer.CHOICE,
        "contract.national_class": Answer.CHOICE,
        "applicant.year_compute_contracts": Answer.MONEY,
        "applicant.members": Answer.NUMBER,
        "applicant.barred_until": Answer.DATE,
        "contract.centre": Answer.TEXT,
    }


def test_answers_become_facts_of_the_kind_the_conditions_read(asked):
    form = FactsForm(
        asked.values(),
        {
            "fact.applicant.sme": "yes",
            "fact.applicant.tags": ["1", "-"],
            "fact.contract.purpose": "-",
            "fact.contract.national_class": "1",
            "fact.applicant.year_compute_contracts": "¥1,200.50",
            "fact.applicant.members": "3",
            "fact.applicant.barred_until": "2025-12-31",
        },
    )
    assert form.is_valid(), form.errors
    assert form.stated() == {
        "applicant.sme": True,
        "applicant.tags": ["OPC"],
        "contract.purpose": None,
        "contract.national_class": 2,
        "applicant.year_compute_contracts": "1200.50",
        "applicant.members": "3",
        "applicant.barred_until": "2025-12-31",
    }


def test_what_is_not_answered_is_not_stated(asked):
    form = FactsForm(asked.values(), {"fact.contract.purpose": ""})
    assert form.is_valid()
    assert form.stated() == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fact.contract.purpose", "7"),
        ("fact.applicant.members", "-1"),
        ("fact.applicant.year_compute_contracts", "many"),
        ("fact.applicant.tags", ["9"]),
    ],
)
def test_what_cannot_be_an_answer_is_refused(asked, field, value):
    form = FactsForm(asked.values(), {field: value})
    assert not form.is_valid()
    assert list(form.errors) == [field]


def test_free_use_is_asked_for_where_the_programme_meters():
    scheme = documents.load(
        make.programme_file(cost={"include": ["compute"], "free_quota": {"unit": "card_hours", "amount": 2000}})
    )
    asked = vocabulary(scheme)
    assert asked["usage.card_hours"].answer is Answer.NUMBER
    assert asked["usage.price"].answer is Answer.MONEY
