"""The published JSON Schema and the readers say the same of every file: good, or changed in any one place."""

import copy
import io
import json

import pytest
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.vouchers.programmes.given import DATA, scheme
from tests.vouchers.programmes.test_wording import FULL
from vouchers.programmes import documents
from vouchers.programmes.json_schema import FILE, programme_schema
from vouchers.programmes.keys import KEYS
from vouchers.programmes.schema_words import TITLES

SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
FILES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(DATA.glob("*.json"))}
EVERY_KEY = {
    **FULL,
    "schema": 1,
    "co_leads": ["样例局", {"name": "另一局", "level": "district", "regions": ["杭州"], "credit_code": "1" * 18}],
    "pool": [{"period": "2026-Q1", "amount": 1000, "admin_cost_in": True, "admin_share": "0.05"}],
    "subject": ["compute"],
    "purpose": ["contract.purpose", "=", "training"],
    "applicant_kinds": ["enterprise", {"kind": "team", "when": ["applicant.members", ">=", 3]}],
    "provider": {"when": ["provider.racks", "<", 10], "roster": "名录", "documents": ["营业执照"]},
    "channel": ["data_exchange"],
    "related_party": {"mode": "forbidden", "tests": ["control"]},
    "double_subsidy": {"mode": "highest", "levels": ["city"], "same": "project"},
    "count": {"per_contract": 1, "per_year": 2, "per_application_max": "111.00", "holding_max": 222},
    "max_cycles": {"total": 3, "consecutive": 2},
    "year_basis": "service",
    "order": "region_quota",
    "region_quotas": {"杭州": "0.5", "宁波": "0.5"},
    "region_leftovers": "share",
    "windows": [{"from": "2026-01-01", "to": "2026-05-15T17:00", "note": "一"}],
    "workflow": [{"stage": "初审", "level": "district", "sla_days": 5}, {"stage": "审批", "role": "approver"}],
    "audit": {"sample_rate": "0.1", "third_party": True, "on_site": False},
    "sanctions": [{"breach": "弄虚作假骗取资金", "recover": True, "bar_years": 3, "publish": True, "party": "agency"}],
    "voucher": {"unit": "CNY", "face_values": [100], "multi_use": True, "transferable": False},
    "confidential_fields": ["project"],
    "metrics": ["兑付率"],
    "appeal_days": 10,
    "supplement_days": 5,
    "facts": [{"path": "applicant.odd", "name": {"zh": "一", "en": "one"}, "unit": "件", "money": False}],
}
EVERY_KEY = {key: value for key, value in EVERY_KEY.items() if key not in ("double_levels", "per_contract_count")}


def is_read(document):
    try:
        documents.load(document)
    except documents.BadProgramme:
        return False
    return True


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


def test_the_published_text_is_what_the_readers_say():
    out = io.StringIO()
    call_command("programme_schema", stdout=out)
    assert json.loads(out.getvalue()) == SCHEMA == programme_schema()
    assert out.getvalue() == FILE.read_text(encoding="utf-8")


def paths(shape, path=""):
    for key, part in shape.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        yield here, part
        yield from paths(part, here)
    if isinstance(shape.get("items"), dict):
        yield from paths(shape["items"], path)
    for part in shape.get("anyOf", ()):
        yield from paths(part, path)


def test_every_key_is_in_the_schema_under_a_title_in_both_languages_and_no_other():
    found = dict(paths(SCHEMA))
    assert set(found) == set(TITLES)
    assert set(SCHEMA["properties"]) == set(KEYS)
    for path, part in found.items():
        assert (part["title"], part["x-title-en"]) == (TITLES[path].zh, TITLES[path].en)


@pytest.mark.parametrize("code", sorted(FILES))
def test_every_scheme_is_valid(code):
    assert list(VALIDATOR.iter_errors(FILES[code])) == []


def test_a_file_with_every_key_is_valid_and_read():
    assert set(KEYS) - set(EVERY_KEY) == {"double_levels", "per_contract_count"}
    assert list(VALIDATOR.iter_errors(EVERY_KEY)) == []
    assert documents.load(EVERY_KEY).code == "full"


def places(tree, path=()):
    """Return every place in a document, the whole included."""
    yield path
    if isinstance(tree, dict):
        for key, part in tree.items():
            yield from places(part, (*path, key))
    elif isinstance(tree, list):
        for at, part in enumerate(tree):
            yield from places(part, (*path, at))


def changed(document, path, change):
    """Return a copy of `document` with `change` applied to what stands at `path`."""
    fresh = copy.deepcopy(document)
    if not path:
        return change(fresh)
    holder = fresh
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = change(holder[path[-1]])
    return fresh


SOURCES = [EVERY_KEY, *FILES.values()]
PLACES = [(at, path) for at, source in enumerate(SOURCES) for path in places(source) if path]
NONSENSE = st.sampled_from(
    [None, True, -1, 0.5, "", " ", "nonsense", "2025-13-45x", [], {}, [[]], {"zzz": 1}, [1, 2, 3, 4]]
)


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=NONSENSE)
def test_what_the_schema_refuses_the_readers_refuse_and_name_its_place(place, value):
    at, path = place
    document = changed(SOURCES[at], path, lambda _old: copy.deepcopy(value))
    if not VALIDATOR.is_valid(document):
        assert not is_read(document), (path, value)


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=NONSENSE)
def test_what_the_readers_refuse_for_its_shape_the_schema_refuses(place, value):
    """Beside shapes the readers hold rules across keys (sums, order, names given once); each is known by its words."""
    at, path = place
    document = changed(SOURCES[at], path, lambda _old: copy.deepcopy(value))
    try:
        documents.load(document)
    except documents.BadProgramme as error:
        if any(
            problem.allowed.en in SHAPES or problem.allowed.en.startswith(SHAPE_OPENINGS) for problem in error.problems
        ):
            assert not VALIDATOR.is_valid(document), (path, value, [problem.say("en") for problem in error.problems])


SHAPES = {"true / false", 'decimal text from 0 to 1, at most six decimals, such as "0.30"'}
SHAPE_OPENINGS = (
    "an object with the keys",
    "these keys",
    "a list of ",
    "a whole number",
    "text of ",
    "yuan as",
    "a number, decimal text",
    "a non-empty list",
    "a path starting at",
    '{"all":',
)


@pytest.mark.parametrize("path", [path for path in places(EVERY_KEY) if path and isinstance(path[-1], str)], ids=str)
def test_a_key_with_a_slip_of_the_pen_is_refused_by_both(path):
    def slip(tree):
        return {(f"{key}x" if key == path[-1] else key): value for key, value in tree.items()}

    if path[-2:-1] == ("region_quotas",):
        return
    document = changed(EVERY_KEY, path[:-1], slip)
    assert not VALIDATOR.is_valid(document)
    assert not is_read(document)


@pytest.mark.parametrize(
    ("value", "is_amount"),
    [
        (0.01, True),
        ("0.01", True),
        ("0", False),
        ("0.00", False),
        ("0.001", False),
        ("-1", False),
        ("10000000000000", True),
        ("10000000000000.01", False),
        ("0010000000000000.00", True),
        ("99999999999999", False),
        (10**13, True),
        (10**13 + 1, False),
        ("1e3", False),
        ("", False),
        ("1.", False),
    ],
)
def test_amounts_at_their_bounds(value, is_amount):
    document = scheme(caps=[{"window": "year", "amount": value}])
    assert (VALIDATOR.is_valid(document), is_read(document)) == (is_amount, is_amount)


@pytest.mark.parametrize(
    ("value", "is_rate"),
    [("0", True), ("1", True), ("1.000000", True), ("1.000001", False), ("0.1234567", False), (1, True), (2, False)],
)
def test_rates_at_their_bounds(value, is_rate):
    document = scheme(lines=[{"id": "a", "rate": value}])
    assert (VALIDATOR.is_valid(document), is_read(document)) == (is_rate, is_rate)
