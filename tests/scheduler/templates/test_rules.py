"""Templates: nothing typed becomes a command, and a document is read whole."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.jobs import rules as job_rules
from scheduler.templates import rules
from tests.scheduler.templates.catalogue import document

TEMPLATE = rules.read(document())


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=60),
        st.sampled_from(
            ["$(touch x)", "`id`", "';exit 9;'", '"; rm -rf ~ #', "a\\", "$HOME", "#SBATCH -n 9", "!!", "*"]
        ),
    )
)
def test_a_real_shell_reads_back_exactly_what_was_typed(text):
    try:
        script = rules.rendered(TEMPLATE, {"NOTE": text}, version=1)
    except rules.BadValues:
        return
    ran = subprocess.run(["/bin/bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert ran.stdout.decode() == text.strip(" ")
    assert ran.stderr == b""
    assert job_rules.script_refusals(script) == []


@given(st.dictionaries(st.sampled_from(["EPOCHS", "MODEL", "DATA", "KEY_FILE"]), st.text(max_size=30)))
def test_any_values_make_a_script_or_say_what_is_wrong_at_its_parameter(values):
    try:
        script = rules.rendered(TEMPLATE, values, version=2)
    except rules.BadValues as error:
        assert {reason.field for reason in error.reasons} <= set(values)
    else:
        assert script.startswith("#!/bin/bash\n# template echo-words v2\nexport EPOCHS=")
        assert script.endswith("\nset -euo pipefail\nprintf '%s' \"$NOTE\"\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EPOCHS", "0"),
        ("EPOCHS", "100"),
        ("EPOCHS", "3.5"),
        ("EPOCHS", "٣"),
        ("MODEL", "huge"),
        ("DATA", "../etc/passwd"),
        ("DATA", "/etc/passwd"),
        ("DATA", "-rf"),
        ("KEY_FILE", "a b"),
        ("NOTE", "two\nlines"),
        ("NOTE", "x" * 501),
        ("NOTE", "\u2028#SBATCH -n 1"),
        ("NOWHERE", "1"),
    ],
)
def test_refuses_a_value_at_its_parameter(name, value):
    with pytest.raises(rules.BadValues) as bad:
        rules.rendered(TEMPLATE, {name: value}, version=1)
    assert [reason.field for reason in bad.value.reasons] == [name]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"code": "Bad Code"}, "code"),
        ({"name": {"en": "only English"}}, "name"),
        ({"category": "poetry"}, "category"),
        ({"script": "echo no interpreter"}, "script"),
        ({"script": "#!/usr/bin/python3\n"}, "script"),
        ({"script": "#!/bin/bash\n#SBATCH -n 2\n"}, "script"),
        ({"parameters": [{"name": "PATH", "kind": "text", "label": {"zh": "x"}}]}, "parameters[0].name"),
        ({"parameters": [{"name": "LD_PRELOAD", "kind": "text", "label": {"zh": "x"}}]}, "parameters[0].name"),
        ({"parameters": [{"name": "X", "kind": "magic", "label": {"zh": "x"}}]}, "parameters[0].kind"),
        (
            {"parameters": [{"name": "X", "kind": "text", "label": {"zh": "x"}, "pattern": "("}]},
            "parameters[0].pattern",
        ),
        ({"parameters": [{"name": "X", "kind": "choice", "label": {"zh": "x"}}]}, "parameters[0].choices"),
        ({"parameters": "all"}, "parameters"),
        ({"resources": {"cards": -1}}, "resources.cards"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_says_where_a_document_is_wrong(changes, path):
    with pytest.raises(rules.BadDocument) as bad:
        rules.read(document(**changes))
    assert path in [reason.params["path"] for reason in bad.value.reasons]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(list(document())), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.sampled_from(list(document())))
def test_reads_any_document_or_says_what_is_wrong(value, at):
    for raw in (value, document() | {at: value}):
        try:
            rules.read(raw)
        except rules.BadDocument as error:
            assert error.reasons
