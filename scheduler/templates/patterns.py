"""Formats of a template's text values: a small part of regular expressions, matched in time linear to the text. Pure.

Whoever writes a template chooses the pattern and whoever uses it the text; Python's own engine would let the two of
them keep a web process busy for years (``(a+)+b``).
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["BadPattern", "fits", "parsed"]

MAX_LENGTH: Final = 200
_PART: Final = re.compile(
    r"(?P<sign>\[\^?(?:\\[^0-9A-Za-z]|\\[dws]|[^\]\\\[])+\]|\\[^0-9A-Za-z]|\\[dwsDWS]|[^\\\[\](){}*+?|^$])"
    r"(?P<times>[?*+]|\{\d{1,3}(?:,\d{0,3})?\})?"
)
_SETS: Final = ("--", "&&", "~~", "||")
"""Python keeps these for operations on sets of characters."""
_TIMES: Final = {"": (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None)}

Step = tuple[re.Pattern[str], int, int | None]


class BadPattern(ValueError):
    """Not one of the patterns allowed here."""


def parsed(pattern: str) -> list[list[Step]]:
    r"""Return the alternatives of `pattern`, each as single characters with their least and most number.

    Allowed are characters, ``.``, classes ``[a-z_]``, ``\d \w \s``, the quantifiers ``? * + {m} {m,} {m,n}``, ``|``
    between whole alternatives and ``^`` and ``$`` at the ends. No groups. Raises BadPattern.
    """
    if len(pattern) > MAX_LENGTH:
        raise BadPattern
    whole = pattern.removeprefix("^")
    if whole.endswith("$") and not whole.endswith("\\$"):
        whole = whole[:-1]
    alternatives: list[list[Step]] = [[]]
    at = 0
    while at < len(whole):
        if whole[at] == "|":
            alternatives.append([])
            at += 1
            continue
        part = _PART.match(whole, at)
        if part is None:
            raise BadPattern
        alternatives[-1].append(_step(part["sign"], part["times"] or ""))
        at = part.end()
    return alternatives


def _step(sign: str, times: str) -> Step:
    if sign.startswith("[") and any(pair in sign for pair in _SETS):
        raise BadPattern
    try:
        one = re.compile(sign)
    except re.error:
        raise BadPattern from None
    if times in _TIMES:
        return (one, *_TIMES[times])
    low, comma, high = times.strip("{}").partition(",")
    least, most = int(low), (int(high) if high else None) if comma else int(low)
    if most is not None and most < least:
        raise BadPattern
    return one, least, most


def fits(pattern: str, text: str) -> bool:
    """Say whether all of `text` is as `pattern` says. Raises BadPattern."""
    return any(_matches(steps, text) for steps in parsed(pattern))


def _matches(steps: list[Step], text: str) -> bool:
    """Follow all ways at once: bit n of `here` says that the steps so far may end before the n-th character."""
    here = 1
    for one, least, most in steps:
        good = sum(1 << at for at, sign in enumerate(text) if one.fullmatch(sign))
        for _time in range(least):
            here = (here & good) << 1
        ways = here
        for _time in range(len(text) if most is None else min(most - least, len(text))):
            here = (here & good) << 1
            if not here & ~ways:
                break
            ways |= here
        here = ways
        if not here:
            return False
    return bool(here >> len(text) & 1)
