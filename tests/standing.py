"""What all tests of a file begin from, built once: rows in a transaction around those of the tests.

Every test leaves the rows as it found them, as Django's own ``setUpTestData`` does, and gets a copy of the objects. Half the
time of a suite that reaches its states by calling services goes into reaching the same ones again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import pytest
from django.db import transaction
from pytest_django import DjangoDbBlocker

T = TypeVar("T")


class Stage:
    """The transaction around the tests of one file, until it is closed."""

    def __init__(self, blocker: DjangoDbBlocker) -> None:
        self.blocker, self.around = blocker, transaction.atomic()
        self.around._from_testcase = True  # type: ignore[attr-defined] - durable blocks may run inside
        self.is_open = True
        with blocker.unblock():
            self.around.__enter__()

    def built(self, build: Callable[[], T]) -> Callable[[], T]:
        """Build now, and return what gives a copy of it."""
        with self.blocker.unblock():
            made = build()
        return lambda: deepcopy(made)

    def close(self) -> None:
        """Undo what was built."""
        if self.is_open:
            self.is_open = False
            with self.blocker.unblock():
                transaction.set_rollback(True)
                self.around.__exit__(None, None, None)


_open: list[Stage] = []


@contextmanager
def stage(blocker: DjangoDbBlocker) -> Iterator[Stage]:
    around = Stage(blocker)
    _open.append(around)
    try:
        yield around
    finally:
        _open.remove(around)
        around.close()


def commits(item: pytest.Item) -> bool:
    """Say whether a test commits: such tests come last in their file."""
    marker = item.get_closest_marker("django_db")
    return bool(marker and (marker.args or marker.kwargs.get("transaction"))) or "transactional_db" in getattr(
        item, "fixturenames", ()
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close what stands before a test that commits: its rows would stand in the way."""
    if commits(item):
        for around in _open:
            around.close()


def fixtures(build: Callable[[], Any], *names: str) -> list[Any]:
    """Return the fixtures ``_standing``, ``_own`` and one for each name, to be bound to these names in a test module.

    ``build()`` runs once for the file and returns a value, or a tuple of as many as there are names; each test gets them
    copied together, so that what refers to each other still does.
    """

    @pytest.fixture(scope="module")
    def _standing(stage: Callable[[Callable[[], Any]], Callable[[], Any]]) -> Callable[[], Any]:
        return stage(build)

    @pytest.fixture
    def _own(_standing: Callable[[], Any], db: None) -> tuple[Any, ...]:
        made = _standing()
        return made if len(names) > 1 else (made,)

    def part(at: int) -> Any:
        @pytest.fixture(name=names[at])
        def named(_own: tuple[Any, ...]) -> Any:
            return _own[at]

        return named

    return [_standing, _own, *map(part, range(len(names)))]
