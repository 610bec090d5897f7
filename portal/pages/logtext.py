"""Turn a job's raw output into text for a page. Pure.

Nothing is remembered between pieces: a piece that ends inside a character or an escape sequence is read again from
where the last whole one ended. So the offset a reader holds is all there is to resume from, after any break.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["readable", "tail"]

PATIENCE: Final = 1024
"""How long an unfinished escape sequence may grow, in bytes, before it is taken for text."""

SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"  # two-character functions
)
"""A whole escape sequence (ECMA-48 5th edition §5.3–5.6; xterm ends OSC with BEL too)."""
UNFINISHED: Final = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)|\r)\Z",
)
CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Controls that draw nothing; tab and line feed stay."""


def readable(data: bytes, *, final: bool) -> tuple[str, int]:
    """Return the text of `data` and how many bytes of it that text stands for.

    Escape sequences and other controls go, every kind of line end becomes LF, bytes that are not UTF-8 become U+FFFD.
    Unless `final`, a character, escape sequence or CR at the very end that may still be continued is left for the
    next call.
    """
    used = len(data) if final else _whole(data)
    text = SEQUENCE.sub("", data[:used].decode("utf-8", errors="replace"))
    return CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")), used


def _whole(data: bytes) -> int:
    """Return where the last thing that may still be continued begins."""
    if found := UNFINISHED.search(data, max(0, len(data) - PATIENCE)):
        return found.start()
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue  # a continuation byte: its character began before it
        length = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4 if byte >> 3 == 0b11110 else 1
        return len(data) - back if length > back else len(data)
    return len(data)


def tail(data: bytes) -> bytes:
    """Return `data` from its first whole line on; a line longer than everything stays as it is."""
    cut = data.find(b"\n") + 1
    return data[cut:] if cut < len(data) else data
