"""A programme file as the fields of a form, and back. Pure.

A field is named by the JSON path of its value, so a problem of the file is the problem of a field. Reading is total:
whatever is typed finds its way into the document, right or wrong, and `documents.load` alone judges it. What was not
changed stays as it was written, to the letter. ``#rows`` fields say how many rows a table has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any, Final

from vouchers.programmes import drafting_conditions as conditions
from vouchers.programmes.drafting_conditions import ABSENT, Posted
from vouchers.programmes.outline import Condition, Entry, Group, Item, Kind, Pairs, Span, Table
from vouchers.programmes.parsing import child
from vouchers.programmes.readers import number

__all__ = ["act_on", "benefit_of", "document_of", "form_of", "place_of"]

Json = Any
MOST_ROWS: Final = 200
EMPTY: Final = ("", None)


# ---- values ------------------------------------------------------------------------------------------------------


def _text(value: Json) -> str:
    if value is ABSENT or value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _percent(value: Json) -> str:
    exact = number(value)
    return _text(value) if exact is None else _plain(Decimal(exact) * 100)


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def texts_of(entry: Entry, value: Json) -> list[str]:
    """Return what stands in the field of `entry`."""
    if entry.kind is Kind.MANY:
        return ["", *(_text(one) for one in value)] if isinstance(value, list) else [""]
    if entry.kind in (Kind.LINES, Kind.AMOUNTS):
        return ["\n".join(_text(one) for one in value) if isinstance(value, list) else _text(value)]
    return [_percent(value) if entry.kind is Kind.RATE else _text(value)]


def value_of(entry: Entry, texts: Sequence[str], base: Json) -> Json:
    """Return the value typed into the field of `entry`; ABSENT for an empty field."""
    said = [text.replace("\r\n", "\n") for text in texts]
    if said == texts_of(entry, base):
        return base
    if entry.kind is Kind.MANY:
        return list(dict.fromkeys(text for text in said if text)) or ABSENT
    text = "".join(said[:1]).strip()
    if not text:
        return ABSENT
    if entry.kind in (Kind.LINES, Kind.AMOUNTS):
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        return [_amount(line) for line in lines] if entry.kind is Kind.AMOUNTS else lines
    if entry.kind is Kind.FLAG:
        return text == "true" if text in ("true", "false") else text
    if entry.kind in (Kind.WHOLE, Kind.AMOUNT):
        return _amount(text)
    return _share(text) if entry.kind is Kind.RATE else text


def _amount(text: str) -> Json:
    plain = text.replace(",", "").replace("，", "")
    if re.fullmatch(r"(0|[1-9][0-9]{0,17})", plain):
        return int(plain)
    return plain if number(plain) is not None else text


def _share(text: str) -> str:
    exact = number(text.removesuffix("%").strip())
    if exact is None:
        return text
    share = _plain(Decimal(exact) / 100)
    whole, _dot, rest = share.partition(".")
    return f"{whole}.{rest:0<2}"


def benefit_of(row: Json) -> str:
    """Return how a line pays, by the keys it has: rate, amount, brackets or derived."""
    keys = row.keys() if isinstance(row, dict) else ()
    return next((word for key, word in BENEFIT_KEYS.items() if key in keys), "rate")


BENEFIT_KEYS: Final = {"derived_from": "derived", "brackets": "brackets", "amount": "amount"}
STARTS: Final[Mapping[str, tuple[str, Json]]] = {
    "derived": ("derived_from", {}),
    "brackets": ("brackets", {}),
    "amount": ("amount", ""),
    "rate": ("rate", ""),
}
"""What a line of each benefit must have, even while it is empty."""


def shown(items: Sequence[Item], benefit: str) -> list[Item]:
    """Return the fields a row with this benefit has; `benefit` "" outside of lines."""
    only = {item.key: getattr(item, "only", ()) for item in items}
    return [item for item in items if not benefit or not only[item.key] or benefit in only[item.key]]


# ---- document → form -----------------------------------------------------------------------------------------------


def form_of(items: Sequence[Item], document: Json, language: str, prefix: str = "") -> dict[str, list[str]]:
    """Return the fields of `items` with what `document` says, texts in `language` where they are words."""
    form: dict[str, list[str]] = {}
    for item in items:
        value = document.get(item.key, ABSENT) if isinstance(document, dict) else ABSENT
        name = child(prefix, item.key)
        match item:
            case Entry(key="benefit"):
                form[name] = [benefit_of(document)]
            case Entry():
                form[name] = texts_of(item, value)
            case Condition():
                form |= conditions.form_of(value, name, language)
            case Span():
                bounds = value if isinstance(value, list) and len(value) == 2 else ["", ""]
                form |= {child(name, at): [_text(bound)] for at, bound in enumerate(bounds)}
            case Group():
                form |= form_of(item.items, value, language, name)
            case Pairs():
                form |= _pairs_form(item, value, name)
            case Table():
                rows = value if isinstance(value, list) else []
                form[f"{name}#rows"] = [str(len(rows))]
                for at, row in enumerate(rows):
                    fields = shown(item.items, benefit_of(row) if item.has_benefit else "")
                    form |= form_of(fields, row, language, child(name, at))
    return form


def _pairs_form(item: Pairs, value: Json, name: str) -> dict[str, list[str]]:
    rows = rows_of(item, value)
    form = {f"{name}#rows": [str(len(rows))]}
    for at, (first, second) in enumerate(rows):
        here = child(name, at)
        form |= {child(here, 0): texts_of(item.first, first), child(here, 1): texts_of(item.second, second)}
    return form


def rows_of(item: Pairs, value: Json) -> list[tuple[Json, Json]]:
    """Return the rows of two values."""
    if item.is_map:
        return list(value.items()) if isinstance(value, dict) else []
    return [(*row, "", "")[:2] for row in value if isinstance(row, list)] if isinstance(value, list) else []


# ---- form → document -----------------------------------------------------------------------------------------------


def document_of(items: Sequence[Item], posted: Posted, base: Json, language: str, prefix: str = "") -> dict[str, Json]:
    """Return `base` with what the fields of `items` say; fields that were not sent leave their value as it is."""
    read = dict(base) if isinstance(base, dict) else {}
    for item in items:
        before = read.get(item.key, ABSENT)
        name = child(prefix, item.key)
        value = before
        match item:
            case Entry(key="benefit"):
                continue
            case Entry():
                value = value_of(item, posted[name], before) if name in posted else before
            case Condition():
                value = conditions.read(posted, name, before, language)
            case Span():
                value = _span(posted, name, before)
            case Group():
                inner = document_of(item.items, posted, {} if before is ABSENT else before, language, name)
                value = inner or (before if before == {} else ABSENT)
            case Pairs():
                value = _pairs(item, posted, name, before)
            case Table():
                value = _table(item, posted, name, before, language)
        if value is ABSENT:
            read.pop(item.key, None)
        else:
            read[item.key] = value
    return read


def _count(posted: Posted, name: str) -> int | None:
    """Return how many rows the form had; None where the table was not part of it."""
    said = "".join(posted.get(f"{name}#rows", ())[:1])
    return min(int(said), MOST_ROWS) if said.isascii() and said.isdecimal() else None


def _span(posted: Posted, name: str, before: Json) -> Json:
    if child(name, 0) not in posted:
        return before
    bounds = ["".join(posted.get(child(name, at), ())[:1]).strip() for at in (0, 1)]
    old = before if isinstance(before, list) and len(before) == 2 else ["", ""]
    if bounds == [_text(bound) for bound in old] and before is not ABSENT:
        return before
    return [bound or None for bound in bounds] if any(bounds) else ABSENT


def _pairs(item: Pairs, posted: Posted, name: str, before: Json) -> Json:
    count = _count(posted, name)
    if count is None:
        return before
    old = rows_of(item, before)
    rows = []
    for at in range(count):
        here, (first, second) = child(name, at), old[at] if at < len(old) else (ABSENT, ABSENT)
        one = value_of(item.first, posted.get(child(here, 0), [""]), first)
        two = value_of(item.second, posted.get(child(here, 1), [""]), second)
        rows.append((one, "" if two is ABSENT else two))
    if item.is_map:
        return _map(rows, before)
    return [[None if one is ABSENT else one, two] for one, two in rows] or (before if before == [] else ABSENT)


def _map(rows: Sequence[tuple[Json, Json]], before: Json) -> Json:
    said: dict[str, Json] = {}
    for one, two in rows:
        key = "" if one is ABSENT else str(one)
        while key in said:
            key += " (2)"
        said[key] = two
    return said or (before if before == {} else ABSENT)


def _table(item: Table, posted: Posted, name: str, before: Json, language: str) -> Json:
    count = _count(posted, name)
    if count is None:
        return before
    old = before if isinstance(before, list) else []
    rows = []
    for at in range(count):
        here = child(name, at)
        row = old[at] if at < len(old) else {}
        if item.has_benefit:
            row = _with_benefit(item, row, "".join(posted.get(child(here, "benefit"), ())[:1]))
        read = document_of(shown(item.items, benefit_of(row) if item.has_benefit else ""), posted, row, language, here)
        if item.has_benefit:
            key, empty = STARTS[benefit_of(row)]
            read.setdefault(key, deepcopy(empty))
        rows.append(read)
    return rows or (before if before == [] else ABSENT)


def _with_benefit(item: Table, row: Json, chosen: str) -> dict[str, Json]:
    """Return the row with what its benefit needs, and without what belongs to another."""
    kept = dict(row) if isinstance(row, dict) else {}
    if chosen not in STARTS or chosen == benefit_of(kept):
        return kept
    kept = {key: value for key, value in kept.items() if key in {inner.key for inner in shown(item.items, chosen)}}
    key, empty = STARTS[chosen]
    kept.setdefault(key, deepcopy(empty))
    return kept


# ---- acts on rows and conditions, places of problems -----------------------------------------------------------------

TOKEN = re.compile(r'\.?([^.\[\]~"]+)|\[(\d+)\]|~(\d+)|\["((?:[^"\\]|\\.)*)"\]')
CONDITIONS: Final = frozenset({"eligibility", "purpose", "when", "unless", "required_when"})


def tokens_of(name: str) -> list[str | int]:
    """Return the steps of a name or a path: keys, and numbers for rows."""
    return [
        int(found[2] or found[3]) if found[2] or found[3] else (found[1] or found[4]) for found in TOKEN.finditer(name)
    ]


def act_on(document: Mapping[str, Json], act: str) -> dict[str, Json]:
    """Return the document with a row or a part of a condition added, removed or moved; ``"remove lines[2]"``.

    Verbs for tables: add (to a table), remove, up, down (a row); for conditions those of `drafting_conditions.act_on`.
    What leads nowhere changes nothing.
    """
    verb, _space, name = act.partition(" ")
    changed = deepcopy(dict(document))
    at_node, *trail = name.split("~")
    steps = tokens_of(at_node)
    if not steps or len(steps) > 12 or not isinstance(steps[0], str):
        return changed
    if verb in ("add", "remove", "up", "down"):
        return _moved(changed, steps, verb)
    if steps[-1] in CONDITIONS and all(part.isdecimal() for part in trail):
        holder = _reach(changed, steps[:-1])
        if isinstance(holder, dict):
            key = str(steps[-1])
            value = conditions.act_on(holder.get(key, ABSENT), [int(part) for part in trail], verb)
            if value is ABSENT:
                holder.pop(key, None)
            else:
                holder[key] = value
    return changed


def _reach(document: Json, steps: Sequence[str | int]) -> Json:
    """Return the thing `steps` lead to, making objects on the way; None where they lead nowhere."""
    here = document
    for step in steps:
        if isinstance(here, dict) and isinstance(step, str):
            here = here.setdefault(step, {})
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        else:
            return None
    return here


MAPS: Final = frozenset({"region_quotas"})


def _moved(document: dict[str, Json], steps: list[str | int], verb: str) -> dict[str, Json]:
    row = steps[-1] if isinstance(steps[-1], int) else None
    table = steps if row is None else steps[:-1]
    holder = _reach(document, table[:-1])
    key = table[-1]
    if not isinstance(holder, dict) or not isinstance(key, str) or (row is None) is not (verb == "add"):
        return document
    held = holder.get(key)
    rows: list[Json] = list(held.items()) if isinstance(held, dict) else list(held) if isinstance(held, list) else []
    if verb == "add" and len(rows) < MOST_ROWS:
        rows.append(("", "") if key in MAPS else [None, ""] if key == "table" else {})
    elif row is not None and row < len(rows):
        taken = rows.pop(row)
        if verb != "remove":
            rows.insert(max(row - 1, 0) if verb == "up" else row + 1, taken)
    if rows:
        holder[key] = dict(rows) if key in MAPS else rows
    else:
        holder.pop(key, None)
    return document


def place_of(path: str, document: Mapping[str, Json]) -> str:
    """Return the name of the field a problem's `path` is about: rows of maps by number, conditions by their parts."""
    steps, name, at = tokens_of(path), "", 0
    if steps[:1] == ["provider"] and steps[1:2] and steps[1] not in ("when", "roster", "documents"):
        steps.insert(1, "when")
    while at < len(steps):
        step = steps[at]
        name = child(name, step)
        at += 1
        if step in MAPS and at < len(steps):
            rows = document.get(str(step), {})
            keys = list(rows) if isinstance(rows, dict) else []
            name = child(child(name, keys.index(steps[at]) if steps[at] in keys else 0), 1)
            at += 1
        elif step in CONDITIONS:
            return name + _within(steps[at:])
    return name


def _within(steps: Sequence[str | int]) -> str:
    """Return where in a condition the rest of a path leads: ``all``, 1, 2 → ``~1.value``."""
    trail, rest = "", list(steps)
    while rest:
        step = rest.pop(0)
        if step == "not":
            trail += "~0"
        elif step in ("all", "any"):
            trail += f"~{rest.pop(0)}" if rest else ""
        elif isinstance(step, int):
            return trail + (".fact", ".op", ".value")[min(step, 2)]
    return trail
