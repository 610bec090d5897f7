"""Find payment references in what a payer typed into a transfer. Pure.

A reference has ten characters of an alphabet without look-alikes and ends in a check character
(`payments.rules.reference`). People write it in lower case and full width, cut it by spaces or hyphens, glue words to it,
and type the letter the alphabet left out for the one it has.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from vouchers.payments.rules import ALPHABET, reference_is_valid

__all__ = ["Trace", "numbers", "references"]

LENGTH: Final = 10
LOOK_ALIKES: Final[Mapping[str, str]] = MappingProxyType(
    {"0": "QD", "O": "QD", "1": "LT", "I": "LT", "S": "5", "Z": "2", "V": "UY"}
)
"""What the alphabet left out, and which of its characters may be meant."""
MOST_READ: Final = 16
"""Readings tried of one word: a word with more left-out characters is no reference."""
LONGEST_RUN: Final = 24
"""Characters of a run in which a misread reference is looked for: longer ones are accounts and orders of others."""
NUMBER: Final = re.compile(r"(?<![A-Z0-9])([A-Z]{1,2}\d{4,8}-\d{4,}(?:-\d{4,})?)(?!\d)")


@dataclass(frozen=True, slots=True)
class Trace:
    """A well-formed reference found in a text; `exact` unless a look-alike had to be read as what was meant."""

    reference: str
    exact: bool


def references(text: str) -> list[Trace]:
    """Return the references a text may hold, those written exactly first. None of them need exist.

    Words that are one reference count before ones cut out of longer runs; if any is exact, look-alikes are not tried.
    """
    folded = unicodedata.normalize("NFKC", text).upper()
    words = re.findall(r"[A-Z0-9]+", folded)
    runs = ["".join(re.findall(r"[A-Z0-9]", part)) for part in re.split(r"[^A-Z0-9\s_.·-]+", folded)]
    windows = [run[at : at + LENGTH] for run in runs for at in range(len(run) - LENGTH + 1)]
    whole = [word for word in words if len(word) == LENGTH]
    for candidates in (whole, windows):
        if exact := list(dict.fromkeys(word for word in candidates if reference_is_valid(word))):
            return [Trace(word, exact=True) for word in exact]
    short = [run[at : at + LENGTH] for run in runs if len(run) <= LONGEST_RUN for at in range(len(run) - LENGTH + 1)]
    read = (meant for word in dict.fromkeys([*whole, *short]) for meant in _readings(word))
    return [Trace(word, exact=False) for word in dict.fromkeys(read)]


def _readings(word: str) -> Iterator[str]:
    """Yield the valid references a word with look-alikes may stand for."""
    choices = [letter if letter in ALPHABET else LOOK_ALIKES.get(letter, "") for letter in word]
    total = 1
    for choice in choices:
        total *= len(choice)
    if 1 <= total <= MOST_READ:
        yield from (made for parts in itertools.product(*choices) if reference_is_valid(made := "".join(parts)))


def numbers(text: str) -> list[str]:
    """Return the numbers of our own records (payments, batches) a text names, such as ``S2611-000042``."""
    return list(dict.fromkeys(NUMBER.findall(unicodedata.normalize("NFKC", text).upper())))
