"""Which year a yearly rule counts in. Pure.

The calendar year of the decision, unless the programme's text counts service years or its own policy years, which run
from each anniversary of the day it came into force (北京市算力券实施方案 2023: the natural year of issue and redemption;
武汉市资金管理办法 2025: the support cycle).
"""

from __future__ import annotations

from datetime import date
from typing import Any

from vouchers.programmes import readers
from vouchers.programmes.predicates import ABSENT, Truth
from vouchers.programmes.requests import PastAward, Request
from vouchers.programmes.schemes import Programme, YearBasis

__all__ = ["of_award", "of_request", "same_cycle", "same_year", "used"]


def of_request(programme: Programme, request: Request) -> int | None:
    """Return the year the request counts in; None where a fact is missing (`fact_for`)."""
    match programme.year_basis:
        case YearBasis.DECISION:
            return request.award_year
        case YearBasis.SERVICE:
            return _service_year(request)
        case YearBasis.POLICY:
            return _policy_year(programme, request.today)


def _service_year(request: Request) -> int | None:
    stated = request.fact("contract.service_year")
    if isinstance(stated, int):
        return stated
    start = readers.parsed_day(request.fact("contract.service_from"))
    return start.year if start else None


def _policy_year(programme: Programme, day: date | None) -> int | None:
    """Return 1 for the twelve months from the first day in force, 2 for the next twelve, and so on."""
    start = programme.in_force[0] if programme.in_force else None
    if start is None or day is None:
        return None
    return day.year - start.year + ((day.month, day.day) >= (start.month, start.day))


def of_award(programme: Programme, award: PastAward) -> int | None:
    """Return the year an earlier award counts in; None where not stated."""
    stated: Any = award.year
    if programme.year_basis is YearBasis.SERVICE:
        stated = award.service_year
    elif programme.year_basis is YearBasis.POLICY:
        return None if award.date is ABSENT else _policy_year(programme, award.date)
    return None if stated is ABSENT else stated


MISSING = {
    YearBasis.DECISION: ("year", "history.year"),
    YearBasis.SERVICE: ("contract.service_year", "history.service_year"),
    YearBasis.POLICY: ("today", "history.date"),
}


def same_year(award: PastAward, programme: Programme, request: Request) -> tuple[Truth, tuple[str, ...]]:
    """Tell whether an earlier award counts in the year of the request, and which fact would tell."""
    asked, given = of_request(programme, request), of_award(programme, award)
    of_ours, of_theirs = MISSING[programme.year_basis]
    if asked is None:
        return Truth.UNKNOWN, (of_ours,)
    if given is None:
        return Truth.UNKNOWN, (of_theirs,)
    return (Truth.TRUE if asked == given else Truth.FALSE), ()


def same_cycle(award: PastAward, programme: Programme, request: Request) -> tuple[Truth, tuple[str, ...]]:
    """Tell whether an earlier award belongs to the support cycle of the request: as numbered, else by the year."""
    if request.cycle is None or award.cycle is ABSENT:
        return same_year(award, programme, request)
    return (Truth.TRUE if award.cycle == request.cycle else Truth.FALSE), ()


def used(programme: Programme, request: Request) -> set[int]:
    """Return the other years in which the applicant itself was supported under the programme."""
    own = [award for award in request.history if award.programme == programme.code and not award.of_group]
    years = {of_award(programme, award) for award in own}
    return {year for year in years - {of_request(programme, request)} if year is not None}
