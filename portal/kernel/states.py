"""State machines are one table per subject; this asks the table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from portal.kernel.errors import InvalidTransition

__all__ = ["Transitions", "next_state"]

S = TypeVar("S", bound=StrEnum)
A = TypeVar("A", bound=StrEnum)

Transitions = Mapping[tuple[S, A], S]


def next_state(transitions: Mapping[tuple[S, A], S], state: S, action: A) -> S:
    """Return the state `action` leads to from `state`. Raises InvalidTransition when the table lists none."""
    try:
        return transitions[state, action]
    except KeyError:
        raise InvalidTransition(state=state.value, action=action.value) from None
