"""Decide several cases in one go: each with its own reason, each in its own transaction, each result told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from portal.kernel.actors import Actor
from portal.kernel.errors import Invalid, PortalError, noop
from vouchers.issuance import access, reviewing
from vouchers.issuance.models import Application
from vouchers.issuance.reviewing import Verdict

__all__ = ["ACTS", "MOST", "Item", "Result", "TooMany", "decide_each"]

_ = noop

MOST: Final = 50
ACTS: Final[Mapping[str, Callable[..., Application]]] = MappingProxyType(
    {"pass": reviewing.pass_stage, "return": reviewing.return_case, "refuse": reviewing.refuse}
)


class TooMany(Invalid):
    code = "application.too_many"
    message = _("一次至多办理 %(limit)s 份申请。")


@dataclass(frozen=True, slots=True)
class Item:
    """One case and what is to be done with it: a key of `ACTS`."""

    number: str
    act: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case: the case as it is now, or why nothing happened to it."""

    number: str
    application: Application | None = None
    error: PortalError | None = None


def decide_each(*, actor: Actor, items: Sequence[Item], now: datetime) -> list[Result]:
    """Decide each case by itself, in the order given: one that fails leaves the others done. Raises TooMany."""
    if len(items) > MOST:
        raise TooMany(field="items", limit=MOST)
    results = []
    for item in items:
        try:
            case = access.get_case(actor, item.number)
            done = ACTS[item.act](actor=actor, application=case, verdict=item.verdict, now=now)
            results.append(Result(item.number, application=done))
        except PortalError as error:
            results.append(Result(item.number, error=error))
    return results
