"""How a programme's money stands: what was put in, reserved, issued and is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.pages.casework import language
from portal.pages.templatetags.show import budget
from vouchers.issuance import funds
from vouchers.programmes import queries
from vouchers.programmes.access import scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.pools import period_words
from vouchers.programmes.terms import RedeemMode

__all__ = ["Meter", "meters", "named", "rooms_of"]


@dataclass(frozen=True, slots=True)
class Meter:
    """One programme's pool of one fiscal year, in fen: `total` = `issued` + `reserved` + `left`. `rooms`: pools in force.

    `vouchers` says that what is granted is a voucher; awards are paid as money.
    """

    fiscal_year: int
    total_fen: int
    reserved_fen: int
    left_fen: int
    rooms: tuple[tuple[str, int], ...] = ()
    vouchers: bool = True

    @property
    def issued_fen(self) -> int:
        return self.total_fen - self.reserved_fen - self.left_fen

    def bars(self) -> dict[str, Any]:
        """Return what ``parts/budget.html`` draws, in the words of a pool."""
        granted = gettext("已发券") if self.vouchers else gettext("已核定奖补")
        words = {"used": granted, "held": gettext("审核中预留"), "free": gettext("剩余")}
        return named(budget(used=self.issued_fen, held=self.reserved_fen, free=self.left_fen), words)


def named(drawn: dict[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Return a drawn budget bar in other words than those of a voucher; the sentence follows."""
    bars = [{**bar, "label": words[bar["code"]]} for bar in drawn["bars"]]
    sentence = gettext("，").join(f"{bar['label']} {Money(bar['fen'])}" for bar in bars)
    return {"bars": bars, "sentence": sentence or drawn["sentence"]}


def meters(versions: Iterable[ProgrammeVersion], *, now: datetime) -> dict[int, Meter]:
    """Return the meter of the budget year each version awards from now; none for one never published.

    Three queries, and one for each pool shorter than a year.
    """
    versions = list(versions)
    pools = queries.pools({version.programme_id for version in versions})
    stands = funds.standings(versions, now=now)
    found: dict[int, Meter] = {}
    for version in versions:
        stand = stands[version.pk]
        for pool in pools.get(version.programme_id, []):
            if pool.fiscal_year == stand.year:
                found[version.pk] = Meter(
                    pool.fiscal_year,
                    pool.put_in_fen,
                    pool.reserved_fen,
                    pool.available_fen,
                    rooms_of(stand),
                    _by_voucher(version),
                )
    return found


def _by_voucher(version: ProgrammeVersion) -> bool:
    return scheme_of(version).terms.redeem.mode is not RedeemMode.AWARD


def rooms_of(stand: funds.Standing) -> tuple[tuple[str, int], ...]:
    """Return the pools in force in words, each with the fen that may still be awarded under it."""
    return tuple(
        (period_words(room.row.period).say(language()) or period_words("total").say(language()), room.left.fen)
        for room in stand.rooms
    )
