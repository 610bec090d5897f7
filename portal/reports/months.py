"""Read what was awarded, redeemed and settled month by month: a fixed number of queries, whatever the number of programmes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import F, IntegerField, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncMonth

from vouchers.charges.models import ChargePart
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.rules import ACTIVE
from vouchers.programmes.access import PUBLIC
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.terms import RedeemMode
from vouchers.settlements.models import SettlementLine
from vouchers.settlements.rules import PAID, Leg
from vouchers.wallets.models import Voucher

__all__ = ["COUNT", "Cell", "Month", "Stage", "firsts", "months"]

BEIJING: Final = ZoneInfo("Asia/Shanghai")
COUNT: Final = 12
"""Months shown, the present one the last."""


class Stage(StrEnum):
    """What became of support: promised, owed for use, paid by finance."""

    AWARDED = "awarded"
    REDEEMED = "redeemed"
    SETTLED = "settled"


@dataclass(slots=True)
class Cell:
    """The fen of one stage in one month, and whose they are."""

    fen: int = 0
    organisations: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Month:
    """One calendar month in Beijing by its first day."""

    first: date
    cells: dict[Stage, Cell]


@dataclass(frozen=True, slots=True)
class _Moved:
    stage: Stage
    month: date
    key: tuple[str, int]
    organisation: int
    fen: int


def firsts(now: datetime) -> list[date]:
    """Return the first days of the last `COUNT` months in Beijing, the oldest first."""
    today = now.astimezone(BEIJING).date()
    last = today.year * 12 + today.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(last - COUNT + 1, last + 1)]


def months(*, now: datetime, least: int) -> list[Month]:
    """Return the last months of all public programmes, the oldest first. Eight queries.

    Awarded: face values by the day a voucher begins, and awards in money by their approval. Redeemed: what charges took
    from vouchers and was not given back, by the day of the charge, and approved reimbursements. Settled: paid batches.
    What was redeemed and settled of a programme and year with fewer than `least` holders is left out, as on the page of
    all programmes.
    """
    days = firsts(now)
    since = datetime.combine(days[0], time(), BEIJING)
    public = set(ProgrammeVersion.objects.filter(state__in=PUBLIC).values_list("programme__code", flat=True))
    told = {key for key, holders in _holders().items() if len(holders) >= least}
    found = {first: Month(first, {stage: Cell() for stage in Stage}) for first in days}
    for moved in _moved(since, now):
        if moved.key[0] in public and (moved.stage is Stage.AWARDED or moved.key in told) and moved.month in found:
            cell = found[moved.month].cells[moved.stage]
            cell.fen += moved.fen
            cell.organisations.add(moved.organisation)
    return list(found.values())


def _holders() -> dict[tuple[str, int], set[int]]:
    """Return who ever got a voucher, or an award in money, by programme and year. Two queries."""
    found: dict[tuple[str, int], set[int]] = defaultdict(set)
    for code, year, holder in Voucher.objects.values_list("programme_code", "fiscal_year", "holder_id").distinct():
        found[code, year].add(holder)
    awards = _approved().filter(mode=RedeemMode.AWARD.value)
    for code, year, holder in awards.values_list("version__programme__code", "fiscal_year", "claimant_id"):
        found[code, year].add(holder)
    return found


def _approved() -> QuerySet[RedemptionClaim]:
    return RedemptionClaim.objects.filter(
        approved_at__isnull=False, approved_fen__gt=0, state__in=[state.value for state in ACTIVE]
    ).order_by()


def _summed(
    stage: Stage, rows: QuerySet[Any], *, moment: str, fen: Any, key: tuple[Any, Any], whose: Any
) -> Iterator[_Moved]:
    """Yield the sums of rows by month, programme, year and organisation. One query."""
    grouped = (
        rows.order_by()
        .annotate(_month=TruncMonth(moment, tzinfo=BEIJING), _code=key[0], _year=key[1], _whose=whose)
        .values_list("_month", "_code", "_year", "_whose")
        .annotate(_fen=Sum(fen))
    )
    for month, code, year, organisation, total in grouped:
        if total:
            yield _Moved(stage, month.date(), (code, year), organisation, total)


def _moved(since: datetime, now: datetime) -> Iterator[_Moved]:
    issued = Voucher.objects.filter(valid_from__gte=since, valid_from__lte=now)
    own = (F("programme_code"), F("fiscal_year"))
    yield from _summed(Stage.AWARDED, issued, moment="valid_from", fen=F("face_fen"), key=own, whose=F("holder_id"))
    claims = _approved().filter(approved_at__gte=since, approved_at__lte=now)
    claimed = (F("version__programme__code"), F("fiscal_year"))
    for stage, mode in ((Stage.AWARDED, RedeemMode.AWARD), (Stage.REDEEMED, RedeemMode.REIMBURSE)):
        rows = claims.filter(mode=mode.value)
        yield from _summed(
            stage, rows, moment="approved_at", fen=F("approved_fen"), key=claimed, whose=F("claimant_id")
        )
    parts = ChargePart.objects.filter(charge__state="captured")
    parts = parts.filter(charge__resolved_at__gte=since, charge__resolved_at__lte=now)
    yield from _summed(
        Stage.REDEEMED,
        parts,
        moment="charge__resolved_at",
        fen=F("captured_fen") - F("refunded_fen"),
        key=(F("voucher__programme_code"), F("voucher__fiscal_year")),
        whose=F("charge__payer_id"),
    )
    paid = SettlementLine.objects.filter(active=True, batch__state__in=PAID).exclude(leg=Leg.OWN.value)
    paid = paid.filter(batch__paid_at__gte=since, batch__paid_at__lte=now)
    code = Coalesce("voucher__programme_code", "claim__version__programme__code", "programme_code")
    year = Coalesce("voucher__fiscal_year", "claim__fiscal_year", "fiscal_year", output_field=IntegerField())
    yield from _summed(
        Stage.SETTLED, paid, moment="batch__paid_at", fen=F("amount_fen"), key=(code, year), whose=F("batch__payee_id")
    )
