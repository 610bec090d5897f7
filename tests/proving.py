"""A pytest plugin for `make prove`: scenarios at their full size, and a line for each as it ends."""

import os

import pytest


class Proving:
    """Print ``ok S1 title — figures (0.2 s)`` for each scenario."""

    def __init__(self, terminal):
        self.terminal, self.counts = terminal, {True: 0, False: 0}

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and not report.failed:
            return
        said = dict(report.user_properties)
        self.counts[report.passed] += 1
        mark = "ok  " if report.passed else "FAIL"
        name = said.get("scenario") or report.nodeid.rpartition("[")[2].rstrip("]")
        self.terminal.write_line(f"{mark} {name} ({said.get('seconds', report.duration):.1f} s)")

    def pytest_report_teststatus(self, report):
        """Leave the dots out: each scenario has its own line."""
        return (report.outcome, "", "") if report.passed or report.skipped else None

    def pytest_sessionfinish(self):
        self.terminal.write_line(f"{self.counts[True]} scenarios hold, {self.counts[False]} do not")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    os.environ.setdefault("GONGXIANG_PROVE_FULL", "1")
    terminal = config.pluginmanager.getplugin("terminalreporter")
    config.pluginmanager.register(Proving(terminal), "proving")
    terminal.showfspath = False
