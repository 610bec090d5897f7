"""What the tests need of the machine: said where it is missing, insisted on in CI."""

import json

import pytest

from portal.launch import machine
from portal.launch.console import LaunchError
from portal.launch.machine import Need, provide, pytest_command

BROWSER = Need("browser", "Chromium", ("chromium",), lambda: False)
SLURM = Need("slurm", "Slurm", ("slurmctld", "slurmd"), lambda: False)


@pytest.fixture
def poor_machine(monkeypatch):
    """A machine without apt-get and without a browser."""
    monkeypatch.setattr(machine, "NEEDS", (BROWSER,))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)


def test_what_is_left_out_is_said_with_the_line_that_brings_it(poor_machine, monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    assert provide() == [BROWSER]
    said = capsys.readouterr().out
    assert "browser" in said
    assert "sudo apt-get install chromium && sudo make test" in said


def test_in_ci_nothing_may_be_left_out(poor_machine, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(LaunchError, match="Chromium"):
        provide()


def test_pytest_leaves_out_exactly_those():
    assert pytest_command([], ["-x"])[-1:] == ["-x"]
    assert "-m" not in pytest_command([], [])[3:]
    assert pytest_command([BROWSER, SLURM], [])[-2:] == ["-m", "not browser and not slurm"]


@pytest.mark.parametrize(("integrity", "asked"), [("sha512-a", 0), ("sha512-b", 1)])
def test_calendar_readers_are_installed_where_the_lock_says_something_else(tmp_path, monkeypatch, integrity, asked):
    def lock(value):
        return json.dumps({"packages": {"": {}, "node_modules/x": {"integrity": value}}})

    (tmp_path / "node_modules").mkdir()
    (tmp_path / "package-lock.json").write_text(lock("sha512-a"))
    (tmp_path / "node_modules" / ".package-lock.json").write_text(lock(integrity))
    commands = []
    monkeypatch.setattr(machine, "READERS", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        "subprocess.run",
        lambda command, **_: commands.append(command) or machine.subprocess.CompletedProcess(command, 0),
    )
    machine.provide_readers()
    assert [command[:2] for command in commands] == [["/usr/bin/npm", "ci"]] * asked


def test_readers_that_cannot_be_installed_are_told_and_the_tests_run_all_the_same(tmp_path, monkeypatch, capsys):
    (tmp_path / "package-lock.json").write_text('{"packages": {"node_modules/x": {"integrity": "sha512-a"}}}')
    monkeypatch.setattr(machine, "READERS", tmp_path)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    machine.provide_readers()
    assert "calendar readers could not be installed" in "".join(capsys.readouterr())
