"""The virtual environment: built once per lock, hashes required."""

import re

import pytest

from portal.launch import environment
from tests.launch.launching import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """A project with one lock, and the commands its setup would run."""
    done: list[list[str]] = []
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "runtime.txt").write_text("django==5.2\n")
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "LOCKS", tmp_path / "requirements")

    def run(command: list[str], **_: str) -> None:
        environment.VENV.mkdir(exist_ok=True)
        done.append(command)

    monkeypatch.setattr(environment, "_run", run)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    return done


def test_a_lock_is_installed_once_until_it_changes(steps, tmp_path):
    environment.setup(["runtime"])
    assert [command[2] for command in steps] == ["venv", "pip"]
    assert {"--require-hashes", "--no-deps"} <= set(steps[1])
    steps.clear()
    environment.setup(["runtime"])
    assert steps == []
    (tmp_path / "requirements" / "runtime.txt").write_text("django==5.3\n")
    environment.setup(["runtime"])
    assert steps[-1][2] == "pip"


def test_uv_is_used_where_it_is(steps, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/uv")
    environment.setup(["runtime"])
    assert [command[:2] for command in steps] == [["/usr/bin/uv", "venv"], ["/usr/bin/uv", "pip"]]
    assert "--require-hashes" in steps[1]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_hashes_and_nothing_of_a_machine(lock):
    text = lock.read_text()
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    assert not re.search(r"(?m)file:|https?:|^--|^-e|/", text)


def test_the_locks_agree():
    runtime, check = pins("runtime"), pins("check")
    assert runtime.items() <= pins("test").items()
    assert pins("test").items() <= check.items()
    engines = pins("engines")
    assert {name: engines[name] for name in engines.keys() & check.keys()}.items() <= check.items()
