"""Draw reviewers by lot so that anybody can draw again and get the same names. Pure.

Everybody eligible gets a number, the SHA-256 of the seed and their id; the smallest are drawn. The seed holds nothing
secret: the case's number, its turn, the stage, and the moment it was submitted to the millisecond, which nobody chooses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction

__all__ = ["draw", "is_sampled", "seed_of"]

WHOLE = 1 << 256


def seed_of(*, number: str, turn: int, stage: int, submitted: datetime) -> str:
    """Return the seed as it is stored beside what was drawn."""
    return f"{number}|{turn}|{stage}|{submitted.isoformat(timespec='milliseconds')}"


def _ticket(seed: str, person: int) -> str:
    return hashlib.sha256(f"{seed}|{person}".encode()).hexdigest()


def draw(*, seed: str, eligible: Iterable[int], count: int) -> list[int]:
    """Return `count` of the eligible ids, or all where there are fewer. The order they are listed in does not matter."""
    return sorted(set(eligible), key=lambda person: (_ticket(seed, person), person))[:count]


def is_sampled(number: str, *, rate: Fraction) -> bool:
    """Say whether a case is drawn for the check afterwards: of many numbers, `rate` of all. 0 = none, 1 = every one."""
    ticket = int(hashlib.sha256(f"sample|{number}".encode()).hexdigest(), 16)
    return Fraction(ticket, WHOLE) < rate
