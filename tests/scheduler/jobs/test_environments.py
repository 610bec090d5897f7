"""A job's environment: what would steer loader, shell or scheduler is refused by name, all at once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs import environments


def codes(**environment: str) -> list[tuple[str, str]]:
    return [
        (reason.code.removeprefix("job.environment_"), reason.params["name"])
        for reason in environments.refusals(environment)
    ]


def test_takes_ordinary_settings():
    assert environments.refusals({"OMP_NUM_THREADS": "8", "EPOCHS": "3", "DATA_SET": "数据 一", "_X": ""}) == []


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "PATH", "SLURM_JOB_ID", "SBATCH_TIMELIMIT", "IFS"),
        *("BASH_FUNC_X", "PYTHONSTARTUP", "CUDA_VISIBLE_DEVICES", "HOME", "SHELLOPTS", "PMIX_RANK"),
    ],
)
def test_refuses_what_is_the_clusters_by_name(name):
    assert codes(**{name: "x"}) == [("reserved", name)]


@pytest.mark.parametrize("name", ["lower", "1ST", "A-B", "A B", "", "A=B", "Ä", "A" * 65, "A\n"])
def test_refuses_names_outside_the_pattern(name):
    assert codes(**{name: "x"}) == [("name", name)]


@pytest.mark.parametrize("name", ["HF_TOKEN", "DB_PASSWORD", "AWS_SECRET", "OPENAI_API_KEY", "TOKEN"])
def test_sends_secrets_into_files(name):
    assert codes(**{name: "x"}) == [("secret", name)]
    assert codes(TOKENIZERS_PARALLELISM="true") == []


def test_names_every_reason_at_once():
    assert codes(LD_PRELOAD="a\nb", x="1", OK="1", MY_TOKEN="s") == [
        ("reserved", "LD_PRELOAD"),
        ("value", "LD_PRELOAD"),
        ("name", "x"),
        ("secret", "MY_TOKEN"),
    ]


def test_bounds_number_and_size():
    assert [r.code for r in environments.refusals({f"V{n}": "1" for n in range(51)})] == ["job.environment_count"]
    assert [r.code for r in environments.refusals({"BIG": "字" * 11000})] == ["job.environment_size"]


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_what_passes_is_harmless(environment):
    if not environments.refusals(environment):
        for name, value in environment.items():
            assert re.fullmatch(r"[A-Z_][A-Z0-9_]*", name)
            assert not name.startswith(("LD_", "SLURM_"))
            assert value.isprintable() or not set(value) & set("\n\r\0\t")
