"""Words as they are looked for: folded, and Chinese also by its sound. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from pypinyin import Style, lazy_pinyin

__all__ = ["fold", "searchable", "spellings"]

SHORT: Final = {
    "电镜": "电子显微镜",
    "液质": "液相色谱 质谱",
    "气质": "气相色谱 质谱",
    "sem": "扫描电子显微镜",
    "tem": "透射电子显微镜",
    "afm": "原子力显微镜",
    "nmr": "核磁共振",
    "xrd": "x 射线衍射",
    "xps": "x 射线光电子",
    "icp-ms": "电感耦合等离子体质谱",
    "lc-ms": "液质",
    "gc-ms": "气质",
}
"""What everybody says, and what the names of instruments have in full; a space stands for anything between."""
SEAM: Final = re.compile(r"(?<=[a-z0-9])(?=[\u3400-\u9fff])|(?<=[\u3400-\u9fff])(?=[a-z0-9])")
"""Where Latin and Chinese meet: ``x射线`` is written ``X 射线``, too."""


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


def spellings(word: str) -> tuple[tuple[str, ...], ...]:
    """Return how a folded word may stand in a text, itself first: each as parts that follow one another, near or not.

    ``透射电镜`` stands as itself or as 透射 … 电子显微镜; ``x射线`` also with a gap; ``xrd`` as what it is short for.
    """
    found = [(word,), tuple(SEAM.sub(" ", word).split())]
    for short, full in SHORT.items():
        if short == word or (short in word and not short.isascii()):
            found.append(tuple(word.replace(short, f" {full} ").split()))
    return tuple(dict.fromkeys(filter(None, found)))
