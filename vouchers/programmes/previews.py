"""What an unfinished programme says so far, in plain words: whatever cannot be read yet is left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from vouchers.programmes import conditions, documents, wording
from vouchers.programmes.drafting import CONDITIONS, tokens_of
from vouchers.programmes.drafting_conditions import ABSENT, parts_of
from vouchers.programmes.explanations import Catalogue
from vouchers.programmes.keys import KEYS
from vouchers.programmes.parsing import BadDocument, Problem, Problems
from vouchers.programmes.predicates import AllOf, AnyOf, Not, Predicate, predicate
from vouchers.programmes.schemes import DeclaredFact, Programme
from vouchers.programmes.words import Words

__all__ = ["condition_words", "describe", "facts_of", "problems_of", "readable"]

Json = Any
TRIES: Final = 40
STANDINS: Final = {"code": "new-programme", "lines": [{"id": "?", "rate": "0"}]}
"""What a programme cannot be read without; what is said of a stand-in is not shown."""
HOW_MUCH: Final = frozenset({"支持多少", "How much"})


def problems_of(document: Mapping[str, Json]) -> tuple[Problem, ...]:
    """Return everything that keeps the document from being a programme; empty when it is one."""
    try:
        documents.admit(document)
    except BadDocument as error:
        return error.problems
    return ()


def readable(document: Mapping[str, Json]) -> Programme | None:
    """Return the part of the document that can be read, as a programme; None where nothing can."""
    kept: dict[str, Json] = deepcopy(dict(document))
    for key, standin in STANDINS.items():
        if not kept.get(key):
            kept[key] = standin
    for at, line in enumerate(kept["lines"] if isinstance(kept["lines"], list) else ()):
        if isinstance(line, dict) and not line.get("id"):
            line["id"] = f"#{at + 1}"
    for _try in range(TRIES):
        try:
            return documents.load(kept)
        except BadDocument as error:
            before = deepcopy(kept)
            # last first: rows taken out of a list must not move those still to be taken out
            for problem in reversed(error.problems):
                _take_out(kept, tokens_of(problem.path))
            for key, standin in STANDINS.items():
                if not kept.get(key):
                    kept[key] = standin
            if kept == before and kept.pop("order", None) is None:
                return None
    return None


def _take_out(document: dict[str, Json], steps: list[str | int]) -> None:
    """Remove what the path names: of a condition the whole comparison, of a table the row, else the key."""
    trail: list[tuple[Json, str | int]] = []
    here: Json = document
    in_condition = False
    for step in steps:
        in_condition = in_condition or step in CONDITIONS
        if isinstance(here, list) and in_condition and parts_of(here)[0] == "fact" and not _is_parts(here):
            break
        trail.append((here, step))
        here = here.get(step) if isinstance(here, dict) else here[step] if _holds(here, step) else None
        if here is None:
            break
    while trail:
        holder, step = trail.pop()
        if (isinstance(holder, dict) and step in holder) or _holds(holder, step):
            del holder[step]
        elif not trail:
            return
        else:
            continue
        if holder or not trail:
            return


def _is_parts(value: list[Json]) -> bool:
    return bool(value) and all(isinstance(item, list | dict) for item in value)


def _holds(value: Json, step: str | int) -> bool:
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def facts_of(document: Mapping[str, Json]) -> tuple[DeclaredFact, ...]:
    """Return the facts the document declares, as far as they can be read: for `names.declared`."""
    rows = document.get("facts")
    found = []
    for row in rows if isinstance(rows, list) else ():
        problems = Problems()
        read = KEYS["facts"]([row], "facts", problems)
        found += [] if problems else list(read)
    return tuple(found)


def describe(
    document: Mapping[str, Json], language: str, *, catalogue: Catalogue | None = None
) -> list[wording.Section]:
    """Return what the document says so far, in sections; empty where it says nothing that can be read."""
    scheme = readable(document)
    if scheme is None:
        return []
    said = wording.describe(scheme, language, catalogue=catalogue)
    if scheme.document.get("lines") == STANDINS["lines"]:
        said = [section for section in said if section.title not in HOW_MUCH]
    return said


def condition_words(value: Json) -> Words | None:
    """Return a condition in words as far as it can be read; None where there is nothing to say."""
    read = _readable_condition(value)
    return None if read is None else conditions.sentence(conditions.condition(read))


def _readable_condition(value: Json) -> Predicate | None:
    kind, parts = parts_of(ABSENT if value is None else value)
    if kind == "fact":
        problems = Problems()
        read = predicate(value, "", problems)
        return None if problems else read
    found = [part for part in (_readable_condition(part) for part in parts) if part is not None]
    if not found:
        return None
    if kind == "not":
        return Not(found[0])
    return AllOf(tuple(found)) if kind == "all" else AnyOf(tuple(found))
