"""Read untrusted JSON and name every problem by its path. Pure; no floats survive.

A *reader* takes ``(value, path, problems)``, returns what it read (None when it could not) and adds what is wrong to
`problems`. Readers combine, so one pass over a document finds all of its problems.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from portal.kernel.errors import Invalid, noop
from vouchers.programmes.words import Words

__all__ = [
    "MAX_BYTES",
    "BadDocument",
    "Problem",
    "Problems",
    "Reader",
    "Shaped",
    "child",
    "decode",
    "found",
    "shape_of",
    "shaped",
    "suggestion",
]

_ = noop

MAX_BYTES = 256 * 1024
"""Largest programme or request, bytes: the longest real scheme takes two thousand."""
MAX_DEPTH = 32
MAX_DIGITS = 40
MAX_PROBLEMS = 100

IDENTIFIER = re.compile(r"[^\W\d]\w*\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: where (a JSON path, ``$`` = the whole), what, and what is allowed there."""

    path: str
    message: Words
    allowed: Words

    def say(self, language: str) -> str:
        """Return ``path: what is wrong. allowed: …`` in one line."""
        return (
            Words("%(path)s：%(message)s允许：%(allowed)s", "%(path)s: %(message)s Allowed: %(allowed)s")
            .fill(path=self.path, message=self.message, allowed=self.allowed)
            .say(language)
        )


class BadDocument(Invalid):
    """A file cannot be used. `problems` holds all that is wrong, in reading order; never empty."""

    code = "invalid.document"
    message = _("文件有 %(count)s 处问题。第一处：%(first)s")

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(field=self.problems[0].path, count=len(self.problems), first=self.problems[0].say("zh"))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class Problems(list[Problem]):
    """What is wrong so far."""

    def add(self, path: str, message: Words, allowed: Words) -> None:
        if len(self) < MAX_PROBLEMS:
            self.append(Problem(path or "$", message, allowed))

    def raise_as(self, kind: type[BadDocument]) -> None:
        """Raises `kind` with all problems, if there are any."""
        if self:
            raise kind(self)


Reader = Callable[[Any, str, Problems], Any]


class Shaped:
    """A reader that can say what it reads, as JSON Schema."""

    def __init__(self, read: Reader, shape: Mapping[str, Any]) -> None:
        self.read = read
        self.shape = shape
        self.__doc__ = read.__doc__

    def __call__(self, value: Any, path: str, problems: Problems) -> Any:
        return self.read(value, path, problems)


def shaped(like: Reader | Mapping[str, Any]) -> Callable[[Reader], Shaped]:
    """Give a reader its shape: a piece of JSON Schema, or that of the reader it is built on."""
    shape = like if isinstance(like, Mapping) else shape_of(like)
    return lambda read: Shaped(read, shape)


def shape_of(reader: Reader) -> Mapping[str, Any]:
    """Return the shape of a reader made with `shaped`. Raises TypeError for one without."""
    if not isinstance(reader, Shaped):
        raise TypeError(f"{reader} has no shape")
    return reader.shape


def child(path: str, key: str | int) -> str:
    """Return the path of `key` below `path`: ``lines[2].rate``, or ``items["a b"]`` for a key that is no word."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not IDENTIFIER.match(key):
        return f"{path}[{json.dumps(shortened(key), ensure_ascii=True)}]"
    return f"{path}.{shortened(key)}" if path else shortened(key)


def shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def found(value: object) -> str:
    """Return `value` as a short piece of JSON, safe to print."""
    match value:
        case float() | Decimal():
            return str(value)
        case dict():
            return "{…}" if value else "{}"
        case list():
            return "[…]" if value else "[]"
        case int() if not isinstance(value, bool) and abs(value) >= 10**MAX_DIGITS:
            return "…"
    return shortened(json.dumps(value, ensure_ascii=not _is_printable(value)))


def _is_printable(value: object) -> bool:
    return not isinstance(value, str) or value.isprintable()


class _Object(dict[str, Any]):
    """A JSON object that remembers the keys it was given twice."""

    __slots__ = ("twice",)

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        super().__init__()
        self.twice: list[str] = []
        for key, value in pairs:
            if key in self:
                self.twice.append(key)
            self[key] = value


@dataclass(frozen=True, slots=True)
class _BadNumber:
    """A number no value here may be, kept until its path is known."""

    text: str


def _int(text: str) -> int | _BadNumber:
    return int(text) if len(text) <= MAX_DIGITS else _BadNumber(text)


def _decimal(text: str) -> Decimal | _BadNumber:
    value = Decimal(text)
    return value if _is_sane(value) else _BadNumber(text)


def _is_sane(value: Decimal) -> bool:
    """Bound what later becomes a Fraction: ``1e999999999`` would fill the memory."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) <= MAX_DIGITS and len(value.as_tuple().digits) <= MAX_DIGITS


NUMBERS = Words(f"最多 {MAX_DIGITS} 位数字的有限数值", f"a finite number of at most {MAX_DIGITS} digits")
ENCODING = Words("UTF-8 编码的 JSON", "JSON in UTF-8")


def decode(raw: bytes | str | Mapping[str, Any], problems: Problems, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the plain tree of `raw` (dict, list, str, int, Decimal, bool, None); adds problems, never raises.

    A mapping is taken as already parsed (its floats become the decimals they print as). A UTF-8 mark is tolerated.
    """
    tree = raw if isinstance(raw, Mapping) else _parsed(raw, problems, max_bytes)
    return None if problems else _clean(tree, "", problems, 0)


def _parsed(raw: bytes | str, problems: Problems, max_bytes: int) -> Any:
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        limit = max_bytes // 1024
        problems.add(
            "$",
            Words("文件太大（%(size)s 字节）。", "The file is too large (%(size)s bytes).").fill(size=size),
            Words(f"至多 {limit} KiB", f"at most {limit} KiB"),
        )
        return None
    try:
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw.removeprefix("\ufeff")
        return json.loads(
            text, object_pairs_hook=_Object, parse_int=_int, parse_float=_decimal, parse_constant=_BadNumber
        )
    except UnicodeDecodeError as error:
        where = Words("第 %(at)s 个字节不是 UTF-8。", "Byte %(at)s is not UTF-8.").fill(at=error.start + 1)
        problems.add("$", where, ENCODING)
    except json.JSONDecodeError as error:
        where = Words(
            "第 %(line)s 行第 %(column)s 列不是合法的 JSON。", "Not JSON at line %(line)s, column %(column)s."
        ).fill(line=error.lineno, column=error.colno)
        problems.add("$", where, ENCODING)
    except RecursionError:
        _too_deep("$", problems)
    return None


def _too_deep(path: str, problems: Problems) -> None:
    problems.add(
        path,
        Words("嵌套过深。", "Nested too deeply."),
        Words(f"至多 {MAX_DEPTH} 层", f"at most {MAX_DEPTH} levels"),
    )


def _clean(value: Any, path: str, problems: Problems, depth: int) -> Any:
    if depth > MAX_DEPTH:
        _too_deep(path, problems)
        return None
    if isinstance(value, Mapping):
        return _clean_object(value, path, problems, depth)
    if isinstance(value, list | tuple):
        return [_clean(item, child(path, at), problems, depth + 1) for at, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _clean_text(value, path, problems)
    return _clean_number(value, path, problems)


def _clean_object(value: Mapping[Any, Any], path: str, problems: Problems, depth: int) -> dict[str, Any]:
    for key in getattr(value, "twice", ()):
        once = Words("每个键只出现一次", "each key once")
        problems.add(child(path, key), Words("这个键出现了两次。", "This key is given twice."), once)
    for key in value:
        _clean_text(str(key), path, problems)
    return {str(key): _clean(item, child(path, str(key)), problems, depth + 1) for key, item in value.items()}


def _clean_text(value: str, path: str, problems: Problems) -> str:
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        problems.add(
            path,
            Words("文字中含有不能保存的字符。", "The text holds a character that cannot be stored."),
            Words("不含 NUL 和单个代理码位的文字", "text without NUL or lone surrogates"),
        )
    return value


def _clean_number(value: Any, path: str, problems: Problems) -> int | Decimal | None:
    if isinstance(value, int) and abs(value) < 10**MAX_DIGITS:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    if isinstance(value, Decimal) and _is_sane(value):
        return value
    what = Words("数值 %(number)s 不能使用。", "The number %(number)s cannot be used.")
    problems.add(
        path, what.fill(number=shortened(value.text if isinstance(value, _BadNumber) else repr(value))), NUMBERS
    )
    return None


def suggestion(key: str, allowed: Collection[str]) -> str:
    """Return the allowed key `key` was probably meant to be, or ""."""
    return next(iter(difflib.get_close_matches(key, allowed, n=1)), "")
