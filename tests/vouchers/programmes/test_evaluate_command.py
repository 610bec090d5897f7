"""``manage.py evaluate``: what it prints, where, and with which exit status."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

from django.core.management import CommandError, call_command

from tests.vouchers.programmes.given import CASES, DATA, asked, past, scheme

ROOT = Path(__file__).parents[3]


def run(*arguments, **environment):
    """Run the command as a person would, with no database to be had."""
    settings = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    return subprocess.run(
        [sys.executable, "manage.py", "evaluate", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **settings, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_worked_cases_pass_without_a_database():
    done = run("--programmes", DATA, "--cases", CASES)
    lines = done.stdout.splitlines()

    assert done.returncode == 0
    assert done.stderr == ""
    assert lines[0] == "G01 ok bj-compute-2023 grant 1200000.00"
    assert lines[3] == "G04 ok bj-compute-2023 reject R09"
    assert len(lines) == 60
    assert lines[-1] == "59 passed, 0 failed"


def test_a_decision_is_printed_as_json_in_utf8_whatever_the_locale(tmp_path):
    request = written(tmp_path / "request.json", asked(applicant={"region": "北京"}))
    done = run(
        "--programme", DATA / "hanyang-topup-2026.json", "--request", request, LC_ALL="C", PYTHONIOENCODING="latin-1"
    )
    answer = json.loads(done.stdout)

    assert done.returncode == 0
    assert list(answer) == [
        "programme",
        "decision",
        "amount",
        "rule",
        "rule_ids",
        "lines",
        "share",
        "funding",
        "failures",
        "missing",
        "left_out",
        "trace",
        "explanation",
    ]
    assert (answer["decision"], answer["amount"], answer["rule"]) == ("reject", None, "R02")
    assert answer["rule_ids"] == ["R02", "R16"]
    assert answer["explanation"]["zh"][0].startswith("申请人：申请人不符合申报条件；申请人注册地为汉阳区")


def call(*arguments):
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command("evaluate", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        status = error.returncode
    except SystemExit as leaving:
        status = leaving.code
    return status, out.getvalue(), err.getvalue()


def test_the_catalogue_tells_what_a_past_award_does_not(tmp_path):
    programme = written(tmp_path / "p.json", scheme(double_subsidy="forbidden", double_levels=["city"]))
    request = written(tmp_path / "request.json", asked(history=[past(1, "wh-compute-2025", contract="C1")]))
    alone = json.loads(call("--programme", programme, "--request", request)[1])
    together = json.loads(call("--programme", programme, "--request", request, "--programmes", DATA)[1])

    assert (alone["decision"], alone["rule"]) == ("supplement", "R10")
    assert (together["decision"], together["rule"]) == ("reject", "R10")


def test_the_programme_named_wins_over_one_of_the_same_code(tmp_path):
    (tmp_path / "all").mkdir()
    written(tmp_path / "all" / "p.json", scheme())
    named = written(tmp_path / "p.json", scheme(lines=[{"id": "a", "rate": "0.50"}]))
    request = written(tmp_path / "request.json", asked())
    answer = json.loads(call("--programme", named, "--request", request, "--programmes", tmp_path / "all")[1])

    assert answer["amount"] == "500.00"


def test_failed_and_malformed_cases_are_lines_and_exit_1(tmp_path):
    written(tmp_path / "p.json", scheme())
    case = {"id": "a", "programme": "p", "request": asked(), "expect": {"decision": "grant", "amount": "300.00"}}
    file = written(
        tmp_path / "cases.json",
        [
            case,
            {**case, "id": "b", "expect": {"decision": "reject"}},
            {**case, "id": "c", "request": {"year": "x"}},
            {**case, "id": "d", "programme": "q"},
            None,
        ],
    )
    status, out, err = call("--programmes", tmp_path, "--cases", file)

    assert status == 1
    assert out.splitlines() == [
        "a ok p grant 300.00",
        "b FAIL p grant 300.00 (decision differs; expected reject)",
        ('c FAIL p malformed: [2].request.year: The value "x" will not do. Allowed: a whole number from 1900 to 9999'),
        "d FAIL q no such programme",
        "[4] FAIL - malformed: [4]: The value null will not do. Allowed: an object, one case",
        "1 passed, 4 failed",
    ]
    assert f'{file}: [2].request.year: The value "x" will not do.' in err


def test_bad_files_name_file_path_and_what_is_allowed_and_exit_2(tmp_path):
    bad = written(tmp_path / "bad.json", scheme(capz=1, lines=[{"id": "a", "rate": "2"}]))
    worse = written(tmp_path / "worse.json", "{")
    written(tmp_path / "good.json", scheme(code="good"))
    request = written(tmp_path / "cases.json", {"foo": 1})
    for arguments in (
        ("--programmes", tmp_path, "--cases", CASES),
        ("--programme", bad, "--request", request),
        ("--programme", tmp_path / "good.json", "--request", request),
        ("--programme", tmp_path / "none.json", "--request", request),
        ("--programmes", tmp_path / "nowhere", "--cases", CASES),
        ("--programme", tmp_path / "good.json", "--cases", tmp_path / "good.json"),
        ("--programme", tmp_path / "good.json"),
        (),
    ):
        status, out, _err = call(*arguments)
        assert (status, out) == (2, ""), arguments

    _status, _out, err = call("--programmes", tmp_path, "--cases", CASES)
    assert err.splitlines()[0].startswith(
        f"{bad}: capz: There is no such key; did you mean “caps”? Allowed: these keys: "
    )
    assert err.splitlines()[1] == (
        f'{bad}: lines[0].rate: The value "2" will not do. '
        'Allowed: decimal text from 0 to 1, at most six decimals, such as "0.30"'
        ' | 值 "2" 不可用。允许：0 到 1 的十进制文本，最多六位小数，例如 "0.30"'
    )
    assert err.splitlines()[2].startswith(f"{worse}: $: Not JSON at line 1, column 2.")
    assert "No such file" in call("--programme", tmp_path / "none.json", "--request", request)[2]


def test_programmes_that_contradict_each_other_exit_2(tmp_path):
    line = {"id": "a", "rate": "0.1"}
    written(tmp_path / "a.json", {"code": "a", "lines": [{**line, "derived_from": "b"}]})
    written(tmp_path / "b.json", {"code": "b", "lines": [{**line, "derived_from": "a"}]})
    status, _out, err = call("--programmes", tmp_path, "--cases", CASES)

    assert status == 2
    assert f"{tmp_path}: a: lines[0].derived_from: Derived in a circle: a → b → a." in err


def test_help_names_every_option():
    done = run("--help")

    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--programmes", "--cases", "--programme", "--request"))


def test_a_condition_on_an_unknown_fact_is_noted_and_the_request_decided(tmp_path):
    programme = written(tmp_path / "p.json", scheme(eligibility=["applicant.regoin", "=", "杭州"]))
    request = written(tmp_path / "request.json", asked(applicant={"regoin": "杭州"}))
    out, err = io.StringIO(), io.StringIO()
    call_command("evaluate", programme=programme, request=request, stdout=out, stderr=err)

    assert json.loads(out.getvalue())["decision"] == "grant"
    assert "eligibility[0]: There is no fact “applicant.regoin”; did you mean “applicant.region”?" in err.getvalue()
