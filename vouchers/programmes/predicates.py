"""Conditions in three-valued logic (Kleene): true, false, or unknown because a fact was not stated.

A fact absent from the request is unknown; ``null`` is known to be absent. A fact of a kind the condition cannot read
(a word where a number is asked) is unknown too: a slip of the pen must never refuse, nor grant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, Final

from vouchers.programmes.parsing import Problems, child, shaped
from vouchers.programmes.readers import number, parsed_day, refuse
from vouchers.programmes.words import Words

__all__ = [
    "ABSENT",
    "PATHS",
    "SECTIONS",
    "AllOf",
    "AnyOf",
    "Leaf",
    "Not",
    "Operator",
    "Predicate",
    "Scalar",
    "Seen",
    "Truth",
    "Verdict",
    "judge",
    "leaf_paths",
    "leaves",
    "lookup",
    "predicate",
]

SECTIONS: Final = ("applicant", "provider", "contract", "instrument", "request", "usage", "approval")
"""Where the path of a fact may start."""

Scalar = str | int | Decimal | bool


class Truth(IntEnum):
    """Ordered so that *and* is min, *or* is max and *not* is ``2 - x``."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2


class Operator(StrEnum):
    EQUAL = "="
    UNEQUAL = "!="
    IN = "in"
    HAS = "has"
    HAS_ANY = "has_any"
    AT_LEAST = ">="
    AT_MOST = "<="
    OVER = ">"
    UNDER = "<"
    EXISTS = "exists"


ORDERED: Final = frozenset({Operator.AT_LEAST, Operator.AT_MOST, Operator.OVER, Operator.UNDER})
LISTED: Final = frozenset({Operator.IN, Operator.HAS_ANY})


@dataclass(frozen=True, slots=True)
class Leaf:
    path: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Predicate


Predicate = Leaf | AllOf | AnyOf | Not


class _Absent:
    """The one value that says a fact was not stated."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Seen:
    """A condition and the fact it met. `negated`: it stood under an odd number of *not*."""

    leaf: Leaf
    actual: Any
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition came to, and the leaves that made it so."""

    truth: Truth
    because: tuple[Seen, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Paths of the facts that would settle it; empty unless unknown."""
        if self.truth is not Truth.UNKNOWN:
            return ()
        return tuple(dict.fromkeys(seen.leaf.path for seen in self.because))


def lookup(facts: Mapping[str, Any], path: str) -> Any:
    """Return the fact at the dotted `path`; None below a null, ABSENT where nothing is stated."""
    value: Any = facts
    for key in path.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping) or key not in value:
            return ABSENT
        value = value[key]
    return value


def judge(condition: Predicate | None, facts: Mapping[str, Any]) -> Verdict:
    """Return whether `condition` holds on `facts`; no condition always holds."""
    if condition is None:
        return Verdict(Truth.TRUE)
    return _judge(condition, facts, negated=False)


def _judge(condition: Predicate, facts: Mapping[str, Any], *, negated: bool) -> Verdict:
    match condition:
        case Leaf():
            actual = lookup(facts, condition.path)
            return Verdict(_leaf_truth(condition, actual), (Seen(condition, actual, negated),))
        case Not():
            inner = _judge(condition.part, facts, negated=not negated)
            return Verdict(Truth(2 - inner.truth), inner.because)
    verdicts = [_judge(part, facts, negated=negated) for part in condition.parts]
    join: Callable[[list[Truth]], Truth] = min if isinstance(condition, AllOf) else max
    truth = join([verdict.truth for verdict in verdicts])
    return Verdict(truth, tuple(seen for verdict in verdicts if verdict.truth is truth for seen in verdict.because))


def _leaf_truth(leaf: Leaf, actual: Any) -> Truth:
    if actual is ABSENT:
        return Truth.UNKNOWN
    if leaf.operator is Operator.EXISTS:
        return _truth((actual is not None) is leaf.value)
    if actual is None:
        return _truth(leaf.operator is Operator.UNEQUAL)
    wanted = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    if leaf.operator in ORDERED:
        return _ordered(leaf.operator, actual, wanted[0])
    if leaf.operator in (Operator.HAS, Operator.HAS_ANY):
        return _holds(actual, wanted)
    answers = [_equal(actual, value) for value in wanted]
    truth = max((_truth(answer) for answer in answers if answer is not None), default=Truth.UNKNOWN)
    return Truth(2 - truth) if leaf.operator is Operator.UNEQUAL else truth


def _truth(value: bool) -> Truth:  # noqa: FBT001  the conversion is its whole point
    return Truth.TRUE if value else Truth.FALSE


def _holds(actual: Any, wanted: tuple[Scalar, ...]) -> Truth:
    if isinstance(actual, str):
        actual = [actual]
    if not isinstance(actual, list):
        return Truth.UNKNOWN
    return _truth(any(_equal(item, value) is True for item in actual for value in wanted))


def _equal(actual: Any, value: Scalar) -> bool | None:
    """Compare like with like, numbers also with decimal text; None where the two cannot be compared."""
    if isinstance(actual, bool) or isinstance(value, bool):
        return actual is value if isinstance(actual, bool) and isinstance(value, bool) else None
    if isinstance(actual, str) and isinstance(value, str):
        return actual == value
    left, right = number(actual), number(value)
    return None if left is None or right is None else left == right


def _ordered(operator: Operator, actual: Any, value: Any) -> Truth:
    left, right = number(actual), number(value)
    if left is None or right is None:
        first, second = parsed_day(actual), parsed_day(value)
        if first is None or second is None:
            return Truth.UNKNOWN
        left, right = first.toordinal(), second.toordinal()
    answers = {
        Operator.AT_LEAST: left >= right,
        Operator.AT_MOST: left <= right,
        Operator.OVER: left > right,
        Operator.UNDER: left < right,
    }
    return _truth(answers[operator])


def leaves(condition: Predicate | None) -> Iterator[Leaf]:
    """Yield every leaf of `condition`, in reading order."""
    match condition:
        case None:
            return
        case Leaf():
            yield condition
        case Not():
            yield from leaves(condition.part)
        case AllOf() | AnyOf():
            for part in condition.parts:
                yield from leaves(part)


def leaf_paths(condition: Predicate, below: str = "") -> Iterator[tuple[str, str]]:
    """Yield where each leaf names its fact in the file (``.all[1][0]``), and the fact."""
    match condition:
        case Leaf():
            yield f"{below}[0]", condition.path
        case Not():
            yield from leaf_paths(condition.part, f"{below}.not")
        case AllOf() | AnyOf():
            word = "all" if isinstance(condition, AllOf) else "any"
            for at, part in enumerate(condition.parts):
                yield from leaf_paths(part, f"{below}.{word}[{at}]")


OPERATORS = ", ".join(Operator)
SHAPE = Words(
    '{"all":[…]}、{"any":[…]}、{"not":…} 或 [路径, 运算符, 值]',
    '{"all":[…]}, {"any":[…]}, {"not":…} or [path, operator, value]',
)
PATHS = Words(
    "以 " + " / ".join(SECTIONS) + " 开头的路径，例如 applicant.region",
    "a path starting at " + " / ".join(SECTIONS) + ", such as applicant.region",
)
VALUES: Final[Mapping[Operator, Words]] = {
    Operator.EXISTS: Words("true / false", "true / false"),
    **dict.fromkeys(ORDERED, Words("数字、十进制文本或日期 YYYY-MM-DD", "a number, decimal text or a date YYYY-MM-DD")),
    **dict.fromkeys(
        LISTED, Words("非空列表：文字、数字或 true/false", "a non-empty list of texts, numbers or true/false")
    ),
    **dict.fromkeys(
        (Operator.EQUAL, Operator.UNEQUAL, Operator.HAS),
        Words("文字、数字或 true/false", "text, a number or true/false"),
    ),
}


@shaped({"$ref": "#/$defs/predicate"})
def predicate(value: Any, path: str, problems: Problems) -> Predicate | None:
    """Read a condition; a reader, see `parsing`."""
    if isinstance(value, list):
        return _read_leaf(value, path, problems)
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ("all", "any", "not"):
        refuse(value, path, problems, SHAPE)
        return None
    [(word, inner)] = value.items()
    below = child(path, word)
    if word == "not":
        part = predicate(inner, below, problems)
        return None if part is None else Not(part)
    if not isinstance(inner, list) or not inner:
        refuse(inner, below, problems, Words("至少一个条件的列表", "a list of at least one condition"))
        return None
    parts = [predicate(item, child(below, at), problems) for at, item in enumerate(inner)]
    read = tuple(part for part in parts if part is not None)
    return AllOf(read) if word == "all" else AnyOf(read)


def _read_leaf(value: list[Any], path: str, problems: Problems) -> Leaf | None:
    if value[1:] == ["exists"]:
        value = [*value, True]
    if len(value) != 3:
        refuse(value, path, problems, SHAPE)
        return None
    fact, word, wanted = value
    if not _is_path(fact):
        refuse(fact, child(path, 0), problems, PATHS)
    if not isinstance(word, str) or word not in list(Operator):
        refuse(word, child(path, 1), problems, Words(OPERATORS, OPERATORS))
        return None
    operator = Operator(word)
    if not _is_value(operator, wanted):
        refuse(wanted, child(path, 2), problems, VALUES[operator])
        return None
    return Leaf(str(fact), operator, tuple(wanted) if isinstance(wanted, list) else wanted)


def _is_path(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable() or " " in value:
        return False
    first, *rest = value.split(".")
    return first in SECTIONS and bool(rest) and all(rest)


def _is_value(operator: Operator, value: Any) -> bool:
    if operator is Operator.EXISTS:
        return isinstance(value, bool)
    if operator in ORDERED:
        return number(value) is not None or parsed_day(value) is not None
    if operator in LISTED:
        return isinstance(value, list) and bool(value) and all(_is_scalar(item) for item in value)
    return _is_scalar(value)


def _is_scalar(value: Any) -> bool:
    """An empty text is no value: no fact is ever stated as one."""
    return isinstance(value, Scalar) and value != ""
