"""Text in both languages, for places no translation catalogue reaches: files, traces, the command line."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Words", "is_english", "plural"]


def is_english(language: str) -> bool:
    """Tell whether `language` (``en``, ``en-gb``, ``zh-hans`` …) asks for English; everything else is Chinese."""
    return language.lower().startswith("en")


@dataclass(frozen=True, slots=True)
class Words:
    """One thing said twice."""

    zh: str
    en: str

    def say(self, language: str) -> str:
        return self.en if is_english(language) else self.zh

    def fill(self, **params: object) -> Words:
        """Fill ``%(name)s`` placeholders in both languages; a `Words` parameter fills each in its own."""
        return Words(self.zh % _side(params, "zh"), self.en % _side(params, "en"))


def _side(params: dict[str, object], language: str) -> dict[str, object]:
    return {key: value.say(language) if isinstance(value, Words) else value for key, value in params.items()}


def plural(count: int, noun: str) -> str:
    """Return ``1 month``, ``2 months``: English nouns that take an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
