"""What a programme may still award now: from which budget year, and how much of the pools in force is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from portal.kernel.money import Money
from vouchers.issuance import rules
from vouchers.issuance.models import Application
from vouchers.ledger import queries as ledger
from vouchers.ledger.rules import InsufficientFunds
from vouchers.programmes import pools
from vouchers.programmes import services as programmes
from vouchers.programmes.access import scheme_of
from vouchers.programmes.models import Budget, ProgrammeVersion
from vouchers.programmes.schemes import Pool
from vouchers.programmes.terms import AwardOrder

__all__ = ["Standing", "draw", "left", "lock", "standings"]

DRAWN = tuple(state.value for state in rules.COUNTED)
Books = Mapping[int, ledger.BudgetBalance]


@dataclass(frozen=True, slots=True)
class Standing:
    """What may be awarded `left` now from the budget of `year`, and the pools in force with what was awarded of each."""

    year: int
    left: Money
    rooms: tuple[pools.Room, ...] = ()


def standings(versions: Iterable[ProgrammeVersion], *, now: datetime) -> dict[int, Standing]:
    """Return how each version's pools stand, by version id. One query, and one for each pool shorter than a year."""
    versions = list(versions)
    books = ledger.budgets(programmes={version.programme.code for version in versions})
    return {version.pk: _standing(version, books.get(version.programme.code, {}), now=now) for version in versions}


def left(
    version: ProgrammeVersion, *, now: datetime, submitted: datetime | None = None, in_round: Money | None = None
) -> Money:
    """Return what may be awarded now: what the budget of its year holds, within every pool in force.

    A pool of each round counts, in a batch order, what the round gave (`in_round`), else what was applied for in the
    intake window of `submitted`.
    """
    return _standing(version, _books(version), now=now, submitted=submitted, in_round=in_round).left


def _books(version: ProgrammeVersion) -> Books:
    code = version.programme.code
    return ledger.budgets(programmes=[code]).get(code, {})


def _standing(
    version: ProgrammeVersion,
    books: Books,
    *,
    now: datetime,
    submitted: datetime | None = None,
    in_round: Money | None = None,
) -> Standing:
    """Weigh the pools in force against the books.

    What returned to the pool counts as not awarded in pools by the year, and stays awarded in those of shorter periods.
    """
    scheme = scheme_of(version)
    year = pools.budget_year(scheme.pool, at=now, own=version.fiscal_year, opened=books)
    held = Money(books[year].free) if year in books else pools.money_of(scheme.pool, year) or Money(0)
    if not scheme.pool:
        return Standing(year, held)
    is_batch = scheme.terms.order is not AwardOrder.FIRST_COME
    found = []
    for row in scheme.pool:
        at = submitted or now if row.period == pools.ROUND else now
        if is_batch and row.period == pools.ROUND:
            found.append(pools.Room(row, in_round or Money(0)))
        elif pools.in_force(row, at=at, year=year, windows=scheme.terms.windows):
            found.append(pools.Room(row, _drawn(version, row, books, year=year, at=at)))
    return Standing(year, pools.room(scheme.pool, found, held=held), tuple(found))


def _drawn(version: ProgrammeVersion, row: Pool, books: Books, *, year: int, at: datetime) -> Money:
    """Return what was awarded under a pool in force: by the year exact by the books, else by when it was reserved."""
    if pools.by_year(row):
        years = books if row.period in ("", pools.TOTAL) else {year} & books.keys()
        return Money(sum(books[of].put_in - books[of].free for of in years))
    span = pools.span(row, at=at, windows=scheme_of(version).terms.windows)
    assert span is not None
    moment = "submitted_at" if row.period == pools.ROUND else "reserved_at"
    within = {f"{moment}__gte": span.start, f"{moment}__lt": span.end}
    taken = Application.objects.filter(
        version__programme_id=version.programme_id, reserved_at__isnull=False, state__in=DRAWN, **within
    ).aggregate(total=Sum("amount_fen"))["total"]
    return Money(int(taken or 0))


def lock(version: ProgrammeVersion, *, now: datetime) -> int:
    """Open the budget of the year the programme's pools name now, and let awards under its pools wait for each other.

    Return that year: awards are drawn from it.

    Taken after the version's own lock. A programme without pools needs neither: the ledger alone keeps its budget.
    """
    rows = scheme_of(version).pool
    if not rows:
        return version.fiscal_year
    opened = Budget.objects.filter(programme_id=version.programme_id)
    year = pools.budget_year(
        rows, at=now, own=version.fiscal_year, opened=set(opened.values_list("fiscal_year", flat=True))
    )
    if year != version.fiscal_year:
        programmes.open_year(version=version, year=year, budget=pools.money_of(rows, year) or Money(0))
    list(opened.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    return year


def draw(
    version: ProgrammeVersion,
    *,
    amount: Money,
    now: datetime,
    submitted: datetime | None = None,
    in_round: Money | None = None,
) -> tuple[int, int]:
    """Return account and year of the budget that `amount` is reserved from now. Raises InsufficientFunds.

    Locks the programme's budgets where it states pools, so that rivals together never pass one.
    """
    year = lock(version, now=now)
    if scheme_of(version).pool:
        found = _standing(version, _books(version), now=now, submitted=submitted, in_round=in_round)
        if amount > found.left:
            raise InsufficientFunds(available=str(found.left), needed=str(amount))
    return Budget.objects.get(programme_id=version.programme_id, fiscal_year=year).account_id, year
