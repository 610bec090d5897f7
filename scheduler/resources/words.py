"""Words as they are looked for: folded, and Chinese also by its sound. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from pypinyin import Style, lazy_pinyin

__all__ = ["fold", "searchable"]


def fold(text: str) -> str:
    """Return text as it is compared: compatibility forms joined (full width, ligatures), lower case."""
    return unicodedata.normalize("NFKC", text).casefold()


def searchable(texts: Iterable[str]) -> str:
    """Return what words are looked for in: each text folded, then its pinyin without tones, then the initials.

    ``扫描电镜`` is found by 电镜, saomiao and smdj.
    """
    parts: list[str] = []
    for text in filter(None, map(fold, texts)):
        sounds = lazy_pinyin(text)
        parts += [text, "".join(sounds), "".join(lazy_pinyin(text, style=Style.FIRST_LETTER))]
    return "\n".join(dict.fromkeys(parts))
