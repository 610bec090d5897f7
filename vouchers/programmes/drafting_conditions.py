"""A condition as the fields of a form, and back. Pure.

A node has a name: ``eligibility``, its first part ``eligibility~0``. Its fields: ``.kind`` (all, any, not, fact, or empty
for no condition), ``#parts`` how many, and for a comparison ``.fact``, ``.op``, ``.value`` (several where chosen from a
list) and ``.more`` (further values in one text). Facts and known values stand there in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vouchers.programmes import fact_choices
from vouchers.programmes.predicates import LISTED, Operator

__all__ = ["ABSENT", "NEW", "Posted", "act_on", "form_of", "listed", "parts_of", "read"]

Posted = Mapping[str, Sequence[str]]
Json = Any
MOST_PARTS: Final = 50
DEEPEST: Final = 12


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""No value: the key is not in the document."""

NEW: Final = ("", Operator.EQUAL.value, "")
"""A comparison nobody has filled in yet."""


def listed(operator: object) -> bool:
    """Tell whether the comparison takes several values."""
    return operator in {word.value for word in LISTED}


def parts_of(node: Json) -> tuple[str, list[Json]]:
    """Return a node's kind and its parts; a comparison has none."""
    if isinstance(node, dict) and len(node) == 1:
        [(word, inner)] = node.items()
        if word in ("all", "any") and isinstance(inner, list):
            return word, inner
        if word == "not":
            return "not", [inner]
    return ("", []) if node is ABSENT else ("fact", [])


def _leaf(node: Json) -> tuple[str, str, Json]:
    """Return path, operator and value of a comparison, whatever is wrong with it."""
    values = list(node) if isinstance(node, list) else []
    if len(values) == 2 and values[1] == Operator.EXISTS.value:
        values.append(True)
    path, operator, value = (*values, *NEW[len(values) :])[:3] if len(values) < 3 else values[:3]
    return str(path), str(operator), value


def form_of(node: Json, name: str, language: str) -> dict[str, list[str]]:
    """Return the fields of `node`, each with its texts."""
    kind, parts = parts_of(node)
    form = {f"{name}.kind": [kind]}
    if kind == "fact":
        return form | _leaf_form(node, name, language)
    if kind:
        form[f"{name}#parts"] = [str(len(parts))]
        for at, inner in enumerate(parts):
            form |= form_of(inner, f"{name}~{at}", language)
    return form


def _leaf_form(node: Json, name: str, language: str) -> dict[str, list[str]]:
    path, operator, value = _leaf(node)
    form = {f"{name}.fact": [fact_choices.name_of(path, language)], f"{name}.op": [operator]}
    if not listed(operator):
        single = value[0] if isinstance(value, list) and value else "" if isinstance(value, list) else value
        return form | {f"{name}.value": [fact_choices.word_of(single, path, language)]}
    several = value if isinstance(value, list) else [value] if value != "" else []
    known = fact_choices.values_of(path)
    chosen = [str(one) for one in several if isinstance(one, str) and one in known]
    others = [fact_choices.word_of(one, path, language) for one in several if str(one) not in chosen]
    return form | {f"{name}.value": ["", *chosen], f"{name}.more": ["、".join(others)]}


def read(posted: Posted, name: str, base: Json, language: str, depth: int = 0) -> Json:
    """Return the condition the fields say; what was not changed stays as `base` has it, to the letter."""
    if f"{name}.kind" not in posted or depth > DEEPEST:
        return base
    kind = "".join(posted[f"{name}.kind"][:1])
    if kind == "fact":
        return _read_leaf(posted, name, base, language)
    if kind not in ("all", "any", "not"):
        return ABSENT
    _kind, before = parts_of(base)
    said = "".join(posted.get(f"{name}#parts", ())[:1])
    count = min(int(said), MOST_PARTS) if said.isascii() and said.isdecimal() else 0
    parts = [
        read(posted, f"{name}~{at}", before[at] if at < len(before) else ABSENT, language, depth + 1)
        for at in range(count)
    ]
    kept = [part for part in parts if part is not ABSENT]
    if kind == "not":
        return {"not": kept[0]} if kept else ABSENT
    return {kind: kept}


def _read_leaf(posted: Posted, name: str, base: Json, language: str) -> Json:
    said = {key: list(posted.get(key, ())) for key in (f"{name}.fact", f"{name}.op", f"{name}.value", f"{name}.more")}
    if base is not ABSENT and parts_of(base)[0] == "fact":
        before = _leaf_form(base, name, language)
        if all(said[key] == before.get(key, []) for key in said):
            return base
    path = fact_choices.path_of("".join(said[f"{name}.fact"][:1]))
    operator = "".join(said[f"{name}.op"][:1]).strip()
    texts = said[f"{name}.value"]
    if operator == Operator.EXISTS.value and not any(text in ("true", "false") for text in texts):
        texts = ["true"]
    if listed(operator):
        more = fact_choices.split("".join(said[f"{name}.more"][:1]))
        return [path, operator, fact_choices.typed([*texts, *more], path, operator)]
    if not any(texts):
        texts = said[f"{name}.more"]
    return [path, operator, fact_choices.typed([text for text in texts if text], path, operator)]


Change = Callable[[Json], Json]


def _with_part(node: Json, part: Json) -> Json:
    kind, parts = parts_of(node)
    if not kind:
        return part
    if kind in ("all", "any"):
        return {kind: [*parts, part]}
    if kind == "not":
        return {"not": _with_part(parts[0], part)}
    return {"all": [node, part]}


def _with_group(node: Json) -> Json:
    kind, _parts = parts_of(node)
    other = "all" if kind == "any" else "any"
    return _with_part(node, {other: [list(NEW), list(NEW)]})


def _negated(node: Json) -> Json:
    kind, parts = parts_of(node)
    return parts[0] if kind == "not" else ABSENT if node is ABSENT else {"not": node}


CHANGES: Final[Mapping[str, Change]] = {
    "fact": lambda node: _with_part(node, list(NEW)),
    "group": _with_group,
    "negate": _negated,
    "drop": lambda _node: ABSENT,
}


def act_on(node: Json, trail: Sequence[int], verb: str) -> Json:
    """Return the condition with `verb` done at the part `trail` leads to.

    Verbs: fact (add a comparison), group (add a group), negate, drop, rise and sink (change places with its neighbour).
    A trail that leads nowhere changes nothing.
    """
    if not trail:
        return CHANGES[verb](node) if verb in CHANGES else node
    kind, parts = parts_of(node)
    at, *further = trail
    if at >= len(parts):
        return node
    parts = list(parts)
    if not further and verb in ("rise", "sink"):
        to = at - 1 if verb == "rise" else at + 1
        if 0 <= to < len(parts):
            parts[at], parts[to] = parts[to], parts[at]
    else:
        inner = act_on(parts[at], further, verb)
        parts = [*parts[:at], *([] if inner is ABSENT else [inner]), *parts[at + 1 :]]
    if not parts:
        return ABSENT
    return {"not": parts[0]} if kind == "not" else {kind: parts}
