"""A programme as a form and back: nothing is lost, nothing typed is refused, every problem has its field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from vouchers.programmes import documents, drafting, drafting_conditions, fact_choices
from vouchers.programmes.drafting import act_on, document_of, form_of, place_of
from vouchers.programmes.keys import KEYS
from vouchers.programmes.longhand import opened
from vouchers.programmes.outline import Condition, Group, Table
from vouchers.programmes.parsing import shape_of
from vouchers.programmes.predicates import Operator
from vouchers.programmes.sections import PARTS, part_of

FILES = sorted((Path(settings.BASE_DIR) / "vouchers/programmes/data").glob("*.json"))
SCHEMES = {path.stem: documents.load(path.read_bytes()) for path in FILES}
ITEMS = [item for part in PARTS for item in part.items]
LANGUAGES = ("zh", "en")


def there_and_back(document, base, language):
    return document_of(ITEMS, form_of(ITEMS, document, language), base, language)


def test_there_are_32_files():
    assert len(FILES) == 32


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", SCHEMES)
def test_a_form_left_alone_changes_nothing(code, language):
    document = opened(SCHEMES[code].document)
    assert there_and_back(document, document, language) == document


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", SCHEMES)
def test_typed_afresh_a_programme_means_the_same(code, language):
    scheme = SCHEMES[code]
    made = documents.load(there_and_back(opened(scheme.document), {}, language))
    meant = {slot: getattr(scheme, slot) for slot in scheme.__slots__ if slot not in ("document", "supersedes")}
    assert {slot: getattr(made, slot) for slot in meant} == meant


facts = st.sampled_from([path for path, _name in fact_choices.facts()] + ["applicant.whatever", ""])
scalars = st.one_of(
    st.booleans(), st.integers(-5, 10**9), st.sampled_from(["enterprise", "杭州", "0.5", "2026-01-01", "随便", "OPC"])
)


@st.composite
def leaf(draw):
    operator = draw(st.sampled_from(list(Operator))).value
    if operator == "exists":
        return [draw(facts), operator, draw(st.booleans())]
    value = draw(st.lists(scalars, min_size=1, max_size=4)) if operator in ("in", "has_any") else draw(scalars)
    return [draw(facts), operator, value]


conditions = st.recursive(
    leaf(),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=8,
)


@given(conditions, st.sampled_from(LANGUAGES))
def test_a_condition_left_alone_is_kept_to_the_letter(condition, language):
    form = drafting_conditions.form_of(condition, "eligibility", language)
    assert drafting_conditions.read(form, "eligibility", condition, language) == condition


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@given(st.data(), st.sampled_from(sorted(SCHEMES)), st.sampled_from(LANGUAGES))
def test_whatever_is_typed_is_kept(data, code, language):
    """Type nonsense into some fields: the form shows it again, and reading once more changes nothing."""
    document = opened(SCHEMES[code].document)
    form = form_of(ITEMS, document, language)
    free = sorted(name for name in form if "#" not in name and not name.endswith((".kind", ".benefit", ".op")))
    for name in data.draw(st.lists(st.sampled_from(free), max_size=5)):
        form[name] = [*form[name][:-1], data.draw(texts)]
    typed = document_of(ITEMS, form, document, language)
    shown = form_of(ITEMS, typed, language)
    assert document_of(ITEMS, shown, typed, language) == typed
    assert json.loads(json.dumps(typed)) == typed


def test_amounts_and_shares_are_typed_as_people_write_them():
    form = {"lines#rows": ["1"], "lines[0].id": [" 一档 "], "lines[0].rate": ["12.5"], "lines[0].cap": ["2,000,000"]}
    [line] = document_of(ITEMS, form, {}, "zh")["lines"]
    assert line == {"id": "一档", "rate": "0.125", "cap": 2000000}


@pytest.mark.parametrize(
    ("typed", "share"), [("30", "0.30"), ("5", "0.05"), ("100", "1.00"), ("30%", "0.30"), ("x", "x")]
)
def test_a_percentage_is_a_share_in_the_file(typed, share):
    form = {"redeem.max_share": [typed]}
    assert document_of(ITEMS, form, {}, "zh") == {"redeem": {"max_share": share}}


def test_changing_the_benefit_drops_what_belonged_to_the_other():
    document = {"lines": [{"id": "a", "rate": "0.30", "combined": {"rate_cap": "0.60"}, "cap": 5}]}
    form = form_of(ITEMS, document, "zh") | {"lines[0].benefit": ["amount"]}
    assert document_of(ITEMS, form, document, "zh")["lines"] == [{"id": "a", "cap": 5, "amount": ""}]


def test_a_condition_is_chosen_in_words():
    form = {
        "eligibility.kind": ["all"],
        "eligibility#parts": ["3"],
        "eligibility~0.kind": ["fact"],
        "eligibility~0.fact": ["申请人注册地"],
        "eligibility~0.op": ["="],
        "eligibility~0.value": ["Hangzhou"],
        "eligibility~1.kind": ["fact"],
        "eligibility~1.fact": ["the type of applicant"],
        "eligibility~1.op": ["in"],
        "eligibility~1.value": ["", "enterprise"],
        "eligibility~1.more": ["高校、别的"],
        "eligibility~2.kind": ["fact"],
        "eligibility~2.fact": ["申请人当年算力合同总额", "x"],
        "eligibility~2.op": ["<="],
        "eligibility~2.value": ["500,000"],
    }
    assert document_of(ITEMS, form, {}, "zh")["eligibility"] == {
        "all": [
            ["applicant.region", "=", "杭州"],
            ["applicant.type", "in", ["enterprise", "university", "别的"]],
            ["申请人当年算力合同总额", "<=", "500,000"],
        ]
    }


def test_every_problem_has_a_field_on_the_page_of_its_section():
    bad = {
        "code": "",
        "eligibility": {"all": [["nowhere", "=", ""], {"not": ["applicant.type", "like", "x"]}]},
        "lines": [{"id": "a", "rate": "2"}, {"brackets": {"mode": "x", "table": [["a", "0.1"]]}, "when": ["x"]}],
        "caps": [{"window": "week", "amount": "lots", "unless": {"any": [["applicant.tags", "has_any", []]]}}],
        "funding": [{"payer": "province", "share": "0.5"}],
        "order": "region_quota",
        "region_quotas": {"杭州": "2", "西 湖": "x"},
        "windows": [{"from": "soon"}],
    }
    with pytest.raises(documents.BadProgramme) as caught:
        documents.load(bad)
    form = form_of(ITEMS, bad, "zh")
    tables = {name.partition("#")[0] for name in form if "#" in name}
    rows = {f"{table}[{at}]" for table in tables for at in range(int(form.get(f"{table}#rows", ["0"])[0]))}
    nodes = {name.removesuffix(".kind") for name in form if name.endswith(".kind")}
    places = {problem.path: place_of(problem.path, bad) for problem in caught.value.problems}
    assert {path: place for path, place in places.items() if place not in {*form, *tables, *rows, *nodes}} == {}
    assert places["eligibility.all[0][0]"] == "eligibility~0.fact"
    assert places["eligibility.all[1].not[1]"] == "eligibility~1~0.op"
    assert {part_of(path).name for path in places} >= {"provenance", "eligibility", "lines", "caps", "money", "order"}


def test_rows_are_added_moved_and_removed():
    rows = {"lines": [{"id": "a"}, {"id": "b"}]}
    assert [line.get("id") for line in act_on(rows, "add lines")["lines"]] == ["a", "b", None]
    assert [line["id"] for line in act_on(rows, "up lines[1]")["lines"]] == ["b", "a"]
    assert [line["id"] for line in act_on(rows, "down lines[0]")["lines"]] == ["b", "a"]
    assert act_on(rows, "up lines[0]") == rows
    assert act_on({"lines": [{"id": "a"}]}, "remove lines[0]") == {}
    assert act_on(rows, "remove lines[7]") == rows
    assert act_on({}, "add region_quotas") == {"region_quotas": {"": ""}}
    grown = act_on({"lines": [{"brackets": {}}]}, "add lines[0].brackets.table")
    assert grown == {"lines": [{"brackets": {"table": [[None, ""]]}}]}


def test_conditions_are_built_step_by_step():
    first = act_on({}, "fact eligibility")
    assert first == {"eligibility": ["", "=", ""]}
    second = act_on(first, "fact eligibility")
    assert second == {"eligibility": {"all": [["", "=", ""], ["", "=", ""]]}}
    nested = act_on(second, "group eligibility")
    assert nested["eligibility"]["all"][2] == {"any": [["", "=", ""], ["", "=", ""]]}
    deeper = act_on(nested, "negate eligibility~2~1")
    assert deeper["eligibility"]["all"][2]["any"][1] == {"not": ["", "=", ""]}
    assert act_on(deeper, "negate eligibility~2~1") == nested
    assert act_on(nested, "sink eligibility~0")["eligibility"]["all"][1] == ["", "=", ""]
    assert act_on(act_on(first, "negate eligibility"), "drop eligibility~0") == {}
    assert act_on({"lines": [{}]}, "fact lines[0].when") == {"lines": [{"when": ["", "=", ""]}]}


@given(st.text(max_size=40))
def test_an_act_nobody_offers_changes_little_and_breaks_nothing(act):
    document = opened(SCHEMES["hz-compute-2025"].document)
    assert isinstance(act_on(document, act), dict)


def test_no_two_facts_have_the_same_name():
    named = [name.say(language) for language in LANGUAGES for _path, name in fact_choices.facts()]
    assert len(named) == len(set(named))


def paths_of_form(items, prefix=""):
    """Return every path of a field, rows as ``[]``."""
    for item in items:
        path = f"{prefix}.{item.key}".lstrip(".")
        if isinstance(item, Group | Table):
            yield from paths_of_form(item.items, path + "[]" * isinstance(item, Table))
        elif item.key != "benefit":
            yield path


def paths_of_shape(shape, path=""):
    """Return every path of the file's JSON Schema, the longest form where there are several."""
    if path.rpartition(".")[2] in (*drafting.CONDITIONS, "table", "region_quotas", "in_force"):
        yield path
        return
    forms = shape.get("anyOf", [shape])
    inner = [form for form in forms if "properties" in form or form.get("items", {}).get("type") == "object"]
    inner += [form for form in forms if any("properties" in one for one in form.get("items", {}).get("anyOf", ()))]
    if not inner:
        yield path
    for form in inner[-1:]:
        if "properties" in form:
            for key, below in form["properties"].items():
                yield from paths_of_shape(below, f"{path}.{key}".lstrip("."))
        else:
            yield from paths_of_shape(form["items"], f"{path}[]")


def test_every_key_of_the_file_has_its_place_in_the_form():
    in_the_file = {path for key, reader in KEYS.items() for path in paths_of_shape(shape_of(reader), key)}
    short = {"schema", "double_levels", "per_contract_count", "lines[].combined_with", "lines[].combined_rate_cap"}
    names = {"name", "facts[].name", "facts[].unit"}
    in_the_form = set(paths_of_form(ITEMS))
    assert in_the_file - short - names == {path for path in in_the_form if path.rpartition(".")[0] not in names}


def test_conditions_of_the_form_are_the_conditions_of_the_file():
    def keys(items):
        for item in items:
            if isinstance(item, Condition):
                yield item.key
            yield from keys(getattr(item, "items", ()))

    assert set(keys(ITEMS)) == drafting.CONDITIONS
