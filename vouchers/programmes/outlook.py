"""What programmes would do with a purchase that is only imagined. Pure: nothing is stored, nobody is identified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

from portal.kernel.money import Money
from vouchers.programmes import rules
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.requests import load_request
from vouchers.programmes.schemes import Programme

__all__ = ["imagined", "outlooks", "pays_for"]

BEST_FIRST: Final = (DecisionKind.GRANT, DecisionKind.MANUAL, DecisionKind.SUPPLEMENT, DecisionKind.REJECT)


def imagined(*, kind: str, amount: Money, stated: Mapping[str, Any], today: date) -> dict[str, Any]:
    """Return the request of a contract of `kind`, signed today for a year with an unrelated provider, unless stated otherwise.

    `stated` holds further facts by path; whatever is not stated stays unknown and is asked for, never held against anybody.
    """
    request: dict[str, Any] = {
        "contract": {
            "id": "-",
            "items": {kind: amount.yuan()},
            "signed": today.isoformat(),
            "months": 12,
            "related": False,
        },
        "today": today.isoformat(),
        "year": today.year,
        "history": [],
    }
    for path, value in stated.items():
        section, _dot, name = path.partition(".")
        request.setdefault(section, {})[name] = value
    return request


def pays_for(scheme: Programme, kind: str) -> bool:
    """Say whether a programme pays for this kind of spending at all."""
    return not scheme.cost.include or kind in scheme.cost.include


def outlooks(
    schemes: Iterable[Programme],
    *,
    kind: str,
    request: Mapping[str, Any],
    holdings: Mapping[str, Money] | None = None,
    pools: Mapping[str, Money] | None = None,
) -> list[tuple[str, Decision]]:
    """Return code and decision of every programme that pays for `kind`: the best prospects first, then by amount.

    `holdings` is what the asker holds of a programme that limits it, by code, where it is known. `pools` holds what each
    programme may still award now, by code; without it money is taken to be enough.
    """
    known = {scheme.code: scheme for scheme in schemes}
    asked, held, left = load_request(request), holdings or {}, pools or {}
    found = [
        (
            scheme.code,
            rules.evaluate(
                scheme,
                replace(asked, holding=held.get(scheme.code), pool=left.get(scheme.code)),
                catalogue=known,
            ),
        )
        for scheme in known.values()
        if pays_for(scheme, kind)
    ]
    return sorted(found, key=lambda one: (BEST_FIRST.index(one[1].decision), -(one[1].amount or Money(0)).fen))
