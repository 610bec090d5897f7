"""Programmes and requests for tests: plain JSON, changed by keyword."""

from __future__ import annotations

import re
from pathlib import Path

from vouchers.programmes import documents, rules

DATA = Path(documents.__file__).parent / "data"
CASES = Path(__file__).parent / "cases" / "vouchers.json"


def catalogue():
    """Return the 32 schemes by code."""
    return documents.catalogue(documents.load(file.read_bytes()) for file in sorted(DATA.glob("*.json")))


def scheme(**changes):
    """Return a programme paying 30 % of everything, changed."""
    return {"code": "p", "lines": [{"id": "30%", "rate": "0.30"}], **changes}


def asked(amount=1000, **changes):
    """Return a request about contract C1 of `amount` compute in 2025, changed."""
    return {"contract": {"id": "C1", "items": {"compute": amount}}, "year": 2025, **changes}


def decide(programme, request, *others):
    """Evaluate plain JSON; `others` are further programmes."""
    known = documents.catalogue(documents.load(other) for other in (programme, *others))
    return rules.evaluate(documents.load(programme), documents.load_request(request), catalogue=known)


def outcome(decision):
    """Return decision and amount or rule, as the worked cases write them."""
    return decision.decision.value, decision.amount.yuan() if decision.amount is not None else decision.rule


def past(amount, programme="p", **changes):
    """Return an earlier award, on another contract in 2025 unless changed."""
    return {"programme": programme, "amount": amount, "year": 2025, "contract": "C0", **changes}


def has_raw_code(text):
    """Tell whether `text` shows a path, a code, an operator or an unfilled template to a person."""
    return bool(re.search(r"[a-z]\.[a-z]|[A-Za-z]_[A-Za-z]|[<>!]=|[\[\]{}]|\bNone\b|%\(", text))
