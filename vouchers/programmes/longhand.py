"""A programme file written out in full: each key in the longest form it may have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

__all__ = ["opened"]

Json = Any


def opened(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return a document as the editor works on it: short forms of the file written out."""
    plain = deepcopy(dict(document))
    for key, inner in SHORT.items():
        value = plain.get(key, {})
        if not isinstance(value, dict) or {"all", "any", "not"} & value.keys():
            plain[key] = {inner: value}
    if isinstance(plain.get("supersedes"), str):
        plain["supersedes"] = [plain["supersedes"]]
    for old, key, new in MERGED:
        if old in plain:
            plain[key] = {**plain.get(key, {}), new: plain.pop(old)}
    if "name" in plain:
        plain["name"] = _both(plain["name"])
    for row in _objects(plain, "facts"):
        row |= {key: _both(row[key]) for key in ("name", "unit") if key in row}
    if isinstance(plain.get("applicant_kinds"), list):
        kinds = plain["applicant_kinds"]
        plain["applicant_kinds"] = [{"kind": kind} if isinstance(kind, str) else kind for kind in kinds]
    if isinstance(plain.get("co_leads"), list):
        plain["co_leads"] = [{"name": one} if isinstance(one, str) else one for one in plain["co_leads"]]
    cost = plain.get("cost")
    if isinstance(cost, dict) and isinstance(cost.get("period"), str):
        cost["period"] = {"note": cost["period"]}
    for line in _objects(plain, "lines"):
        if isinstance(line.get("derived_from"), str):
            line["derived_from"] = {"programme": line["derived_from"]}
        for old, new in (("combined_with", "with"), ("combined_rate_cap", "rate_cap")):
            if old in line:
                line["combined"] = {**line.get("combined", {}), new: line.pop(old)}
    return plain


SHORT: Final = {"provider": "when", "related_party": "mode", "double_subsidy": "mode", "max_cycles": "total"}
"""Keys that may be given short, and the key of their full form the short one stands for."""

MERGED: Final = (("double_levels", "double_subsidy", "levels"), ("per_contract_count", "count", "per_contract"))
"""Older keys, and where the same is said in the full form."""


def _both(name: Json) -> Json:
    return {"zh": name, "en": name} if isinstance(name, str) else name


def _objects(document: Mapping[str, Json], key: str) -> list[dict[str, Json]]:
    rows = document.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
