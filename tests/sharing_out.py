"""How the tests are shared out among the processes of pytest-xdist: the long ones first, none of them in one piece."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.scheduler import LoadFileScheduling

LONG_FIRST = (
    "tests/journeys/test_voucher_life.py",
    "tests/launch/test_run.py",
    "tests/adapters/",
    "tests/launch/",
    "tests/journeys/",
    "tests/portal/test_api",
)
"""Files that take long for how few tests they hold: what is quick fills the end. The first brings up the portal and
drives browsers, which is work for more than one processor; those that mostly wait for a cluster go on beside it."""
APART = ("tests/journeys/test_crawl.py::test_every_page[",)
"""Tests that no fixture of their file binds to the others of it."""


class LongFirst(LoadFileScheduling):
    """Hand out whole files, in the order of the collection; tests that stand alone one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(APART) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LongFirst | None:
    """Replace `--dist loadfile`, which begins with the files of most tests and ends with those that take longest."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return LongFirst(config, log)  # type: ignore[arg-type]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first, the others after them by the number of their tests."""
    held = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        rank = next((at for at, start in enumerate(LONG_FIRST) if item.nodeid.startswith(start)), len(LONG_FIRST))
        return rank, -held[item.path], str(item.path)

    items.sort(key=place)
