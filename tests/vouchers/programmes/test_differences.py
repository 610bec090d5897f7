"""What changed between two versions, in words: everything that changed, and nothing else."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vouchers.programmes.given import DATA, has_raw_code, scheme
from tests.vouchers.programmes.test_json_schema import EVERY_KEY, SOURCES, changed, places
from vouchers.programmes import documents
from vouchers.programmes.differences import differences
from vouchers.programmes.schema_words import TITLES

CAPPED = scheme(
    caps=[{"window": "year", "amount": 2000000}],
    eligibility={"all": [["applicant.region", "=", "杭州"], ["applicant.sme", "=", True]]},
    workflow=[{"stage": "初审"}, {"stage": "审批", "role": "approver"}],
)


def told(old, new, language="en"):
    found = differences(documents.load(old), documents.load(new), language)
    return [(one.path, one.name, one.before, one.after) for one in found]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"caps": [{"window": "year", "amount": 3000000}]},
            [("caps[0].amount", "ceiling in yuan", "¥2,000,000", "¥3,000,000")],
        ),
        (
            {"caps": []},
            [("caps[0]", "ceilings", "what counts against it: per calendar year; ceiling in yuan: ¥2,000,000", "")],
        ),
        (
            {"lines": [{"id": "30%", "rate": "0.25"}]},
            [("lines[0].rate", "rate from 0 to 1", "30 %", "25 %")],
        ),
        (
            {"lines": [{"id": "new", "amount": 5}, {"id": "30%", "rate": "0.30"}]},
            [("lines[0]", "benefit lines", "", "id of the line: new; fixed amount in yuan: ¥5")],
        ),
        (
            {"eligibility": ["applicant.region", "=", "宁波"]},
            [
                (
                    "eligibility",
                    "conditions on the applicant",
                    "the applicant's place of registration is Hangzhou, and the applicant is an SME",
                    "the applicant's place of registration is Ningbo",
                )
            ],
        ),
        (
            {"workflow": [{"stage": "初审", "sla_days": 5}, {"stage": "审批", "role": "collective"}]},
            [
                ("workflow[0].sla_days", "limit in working days", "", "5"),
                ("workflow[1].role", "role", "approver", "collective decision"),
            ],
        ),
        (
            {"redeem": {"mode": "reimburse", "max_share": "0.60"}},
            [("redeem", "redemption", "", "mode: reimbursed; most of one bill, a share: 60 %")],
        ),
        (
            {"in_force": ["2026-01-01", None]},
            [("in_force", TITLES["in_force"].en, "", "2026-01-01 to —")],
        ),
    ],
)
def test_a_change_is_told_with_its_place(changes, expected):
    assert told(CAPPED, {**CAPPED, **changes}) == expected


def test_a_change_of_order_is_a_change():
    lines = [{"id": "a", "rate": "0.30"}, {"id": "b", "rate": "0.20"}]
    assert told(scheme(lines=lines), scheme(lines=lines[::-1])) == [("lines", "benefit lines", "a, b", "b, a")]


def test_chinese_reads_in_chinese():
    [found] = differences(documents.load(scheme()), documents.load(scheme(choose="max")), "zh")
    assert (found.section, found.name, found.before, found.after) == (
        "支持多少",
        "多档适用时的取法",
        "",
        "取金额最高的档次",
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source["code"])
def test_nothing_differs_from_itself(source):
    programme = documents.load(source)
    assert differences(programme, documents.load(copy.deepcopy(source)), "zh") == []


NEW = st.sampled_from([None, True, False, 7, "8.50", "文字", "0.25", "compute", "city", "enterprise", [], {}])


@settings(max_examples=300, deadline=None)
@given(
    place=st.sampled_from([(at, path) for at, source in enumerate(SOURCES) for path in places(source) if path]),
    value=NEW,
    is_removal=st.booleans(),
)
def test_every_changed_document_has_a_difference(place, value, is_removal):
    at, path = place
    old = SOURCES[at]
    new = (
        changed(old, path[:-1], lambda tree: _without(tree, path[-1]))
        if is_removal
        else changed(old, path, lambda _old: value)
    )
    try:
        read = documents.load(new)
    except documents.BadProgramme:
        return
    before = documents.load(old)
    for language in ("zh", "en"):
        found = differences(before, read, language)
        assert bool(found) is (before.document != read.document)
        assert all(one.section and one.path and one.name for one in found)


def _without(tree, key):
    if isinstance(tree, list):
        return [part for at, part in enumerate(tree) if at != key]
    return {name: part for name, part in tree.items() if name != key}


def test_whole_files_are_told_without_codes():
    """From nothing but a line to every key there is: all of it is said in words."""
    small = scheme(code=EVERY_KEY["code"])
    for language in ("zh", "en"):
        for one in differences(documents.load(small), documents.load(EVERY_KEY), language):
            if one.path not in ("facts", "confidential_fields"):
                assert not has_raw_code(one.after.replace("odd_kind", "").replace("odd_unit", "")), one


def test_a_successor_differs_from_the_scheme_it_replaces():
    old, new = (documents.load((DATA / f"hz-compute-{year}.json").read_bytes()) for year in (2024, 2025))
    sections = {one.section for one in differences(old, new, "en")}
    assert {"Basis and term", "How much"} <= sections
    json.dumps([one.after for one in differences(old, new, "en")])
