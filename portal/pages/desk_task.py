"""One thing that waits for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from portal.kernel.actors import Actor

__all__ = ["SHOWN", "Source", "Task"]

SHOWN = 10
"""How many of one kind are listed; the rest is behind the link to their list."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do: what, which, where to do it; `by` is its deadline, `since` when it began to wait."""

    what: str
    which: str
    url: str
    since: datetime | None = None
    by: datetime | None = None


Source = Callable[[Actor, datetime], Iterable[Task]]
