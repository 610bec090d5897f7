"""What the tests need of the machine: said where it is missing, insisted on in CI."""

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
