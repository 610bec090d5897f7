"""Look at every use of a series before it is asked for: free, taken, closed or refused, and what is free instead.

The count of queries does not depend on how many uses there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from portal.kernel import idempotency
from portal.kernel.errors import Invalid, Reason, noop
from portal.kernel.money import Money
from portal.kernel.period import Period, subtract
from scheduler.availability import rules as availability
from scheduler.bookings import bundles, prepaid, queries
from scheduler.bookings.bundles import Bundle, Wanted
from scheduler.bookings.series_rules import Occurrence, Pattern, expand
from scheduler.quotas.rules import Use
from vouchers.charges import rules as charge_rules

__all__ = ["NothingChosen", "Preview", "Row", "SeriesWanted", "UnknownDay", "UseVerdict", "chosen", "preview"]

_ = noop


class UnknownDay(Invalid):
    code = "series.unknown_day"
    message = _("%(day)s 不是这个系列中的一次。")


class NothingChosen(Invalid):
    code = "series.nothing_chosen"
    message = _("系列中的每一次都被去掉了。请至少保留一次。")


class UseVerdict(StrEnum):
    """What stands against one use of a series, the first that applies."""

    FREE = "free"
    CLOSED = "closed"
    TAKEN = "taken"
    QUOTA = "quota"
    REFUSED = "refused"


VERDICTS: Final[Mapping[str, UseVerdict]] = {
    "availability.closed": UseVerdict.CLOSED,
    "booking.taken": UseVerdict.TAKEN,
    "booking.operator_busy": UseVerdict.TAKEN,
    "booking.bench_busy": UseVerdict.TAKEN,
    "series.self": UseVerdict.TAKEN,
}
SELF: Final = Reason(
    "series.self",
    _("与本系列的另一次重叠（含准备和清理时间）。"),
    _("请改到别的时段，或去掉其中一次。"),
    field="moved",
)


@dataclass(frozen=True, slots=True)
class SeriesWanted:
    """A series asked for: `like` is one use of it, whatever its period; days `dropped` are not booked, days `moved` lie elsewhere."""

    like: Wanted
    pattern: Pattern
    dropped: frozenset[date] = frozenset()
    moved: Mapping[date, Period] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One use: by the rule, where it would lie, and what stands against it. `alternative` is the nearest that is free."""

    occurrence: Occurrence
    period: Period
    is_moved: bool
    is_dropped: bool
    verdict: UseVerdict
    price: Money
    voucher: Money
    reasons: Sequence[Reason] = ()
    alternative: Period | None = None

    @property
    def own(self) -> Money:
        return self.price - self.voucher


@dataclass(frozen=True, slots=True)
class Preview:
    """Every use of a series, soonest first."""

    rows: Sequence[Row]

    @property
    def bookable(self) -> list[Row]:
        """Return what would be booked: free and not dropped."""
        return [row for row in self.rows if row.verdict is UseVerdict.FREE and not row.is_dropped]

    @property
    def conflicts(self) -> list[Row]:
        return [row for row in self.rows if row.verdict is not UseVerdict.FREE and not row.is_dropped]

    @property
    def price(self) -> Money:
        """Return what all that would be booked costs."""
        return sum((row.price for row in self.bookable), Money(0))

    @property
    def voucher(self) -> Money:
        return sum((row.voucher for row in self.bookable), Money(0))

    @property
    def own(self) -> Money:
        return self.price - self.voucher

    @property
    def seen(self) -> str:
        """Return a fingerprint of what a person saw: every use with its verdict and its price."""
        told = [[row.period.start.isoformat(), row.verdict.value, row.price.fen] for row in self.rows]
        return idempotency.fingerprint({"rows": told})[:16]


def chosen(wanted: SeriesWanted) -> list[tuple[Occurrence, Period]]:
    """Return the uses to book and when each lies. Raises what the pattern is refused for, UnknownDay, NothingChosen."""
    occurrences = expand(wanted.pattern)
    _known(wanted, occurrences)
    found = [(one, wanted.moved.get(one.day, one.period)) for one in occurrences if one.day not in wanted.dropped]
    if not found:
        raise NothingChosen(field="dropped")
    return found


def _known(wanted: SeriesWanted, occurrences: Sequence[Occurrence]) -> None:
    days = {one.day for one in occurrences}
    for name, named in (("dropped", wanted.dropped), ("moved", wanted.moved)):
        for day in sorted(set(named) - days):
            raise UnknownDay(field=name, day=day.isoformat())


def preview(wanted: SeriesWanted, *, organisation_id: int | None, now: datetime, user_id: int | None = None) -> Preview:
    """Judge every use of a series as if the ones before it were booked. Twenty queries at most, however many uses.

    A look, not a promise: `series.book` decides under lock. Raises what the pattern is refused for, UnknownDay, NoRate.
    """
    occurrences = expand(wanted.pattern)
    _known(wanted, occurrences)
    periods = [wanted.moved.get(one.day, one.period) for one in occurrences]
    looked = _looked(wanted.like, periods, organisation_id=organisation_id, now=now)
    basis = queries.basis_of(wanted.like, organisation_id=organisation_id, user_id=user_id, now=now)
    once = {voucher.number for voucher in wanted.like.vouchers if not voucher.multi_use}
    rows: list[Row] = []
    mine: list[Period] = []
    for one, bundle in zip(occurrences, looked, strict=True):
        quote = queries.judge(bundle, basis=basis, organisation_id=organisation_id, now=now)
        reasons = [*quote.reasons, *prepaid.series_refusals(bundle.terms, own=quote.split.own)]
        if any(span.overlaps(bundle.place.blocked) for span in mine) and wanted.like.resource.capacity == 1:
            reasons.append(SELF)
        row = Row(
            occurrence=one,
            period=bundle.wanted.period,
            is_moved=one.day in wanted.moved,
            is_dropped=one.day in wanted.dropped,
            verdict=_verdict(reasons),
            price=quote.price.amount,
            voucher=quote.split.voucher,
            reasons=reasons,
        )
        if row.verdict is UseVerdict.FREE and not row.is_dropped:
            use = Use(bundle.wanted.period, bundle.wanted.units)
            basis = replace(
                basis, lots=_spent(basis.lots, quote.split, once=once), covered=basis.covered.including(use)
            )
            mine.append(bundle.place.blocked)
        rows.append(row)
    return Preview(_with_alternatives(rows, mine, wanted=wanted, now=now))


def _looked(like: Wanted, periods: Sequence[Period], *, organisation_id: int | None, now: datetime) -> Sequence[Bundle]:
    """Look at everything uses like `like` need at each of `periods`, each by itself. Four queries."""
    terms = bundles.terms_of(like.resource)
    window = Period(min(period.start for period in periods), max(period.end for period in periods))
    people = bundles.skilled(like, window.padded(before=bundles.AROUND, after=bundles.AROUND)) if like.attended else {}
    ids = [like.resource.pk, *(person.pk for person in people)]
    if terms is not None and terms.bench_id is not None:
        ids.append(terms.bench_id)
    opening, taken = bundles.around(window, terms)
    seen = bundles.look(ids, opening=opening, taken=taken, now=now, neighbours=bool(like.configuration))
    return [
        bundles.put_together(
            replace(like, period=period),
            terms=terms,
            people=[person for person, valid in people.items() if any(span.covers(period) for span in valid)],
            seen=seen.inside(*bundles.around(period, terms)),
            organisation_id=organisation_id,
        )
        for period in periods
    ]


def _verdict(reasons: Sequence[Reason]) -> UseVerdict:
    found = {
        UseVerdict.QUOTA if reason.code.startswith("quota.") else VERDICTS.get(reason.code, UseVerdict.REFUSED)
        for reason in reasons
    }
    return next((verdict for verdict in UseVerdict if verdict in found), UseVerdict.FREE)


def _spent(lots: Sequence[charge_rules.Lot], split: charge_rules.Split, *, once: set[str]) -> list[charge_rules.Lot]:
    """Return what the vouchers have left after a use is paid; those in `once` pay one bill only."""
    paid = {part.number: part.amount for part in split.parts}
    return [
        charge_rules.Lot(
            replace(lot.terms, used_once=lot.terms.used_once or lot.terms.number in once & paid.keys()),
            lot.available - paid.get(lot.terms.number, Money(0)),
        )
        for lot in lots
    ]


def _with_alternatives(
    rows: Sequence[Row], mine: Sequence[Period], *, wanted: SeriesWanted, now: datetime
) -> Sequence[Row]:
    """Name for each use that meets others or closed time the nearest free time; no two get the same. Six queries."""
    resource = wanted.like.resource
    open_ = [row for row in rows if row.verdict in {UseVerdict.TAKEN, UseVerdict.CLOSED} and not row.is_dropped]
    reachable = Period(now + timedelta(seconds=resource.lead_s), now + timedelta(seconds=resource.horizon_s))
    if not open_:
        return rows
    first, last = min(row.period.start for row in open_), max(row.period.end for row in open_)
    start, end = max(reachable.start, first - queries.REACH), min(reachable.end, last + queries.REACH)
    if start >= end:
        return rows
    like = replace(wanted.like, period=open_[0].period)
    around = bundles.room_of(resource)
    used = [span.padded(before=around.cleanup, after=around.setup) for span in mine]
    free = bundles.free_spans(like, window=Period(start, end), now=now)
    found: dict[date, Period] = {}
    for row in open_:
        near = availability.alternatives(
            [span for part in free for span in subtract([part], used)],
            duration=row.period.duration,
            granularity=timedelta(seconds=resource.granularity_s),
            offset=timedelta(seconds=resource.grid_from_s),
            zone=resource.zone,
            near=row.period.start,
            count=1,
        )
        within = [span for span in near if abs(span.start - row.period.start) <= queries.REACH]
        if within:
            found[row.occurrence.day] = within[0]
            used.append(within[0].padded(before=around.cleanup + around.setup, after=around.setup + around.cleanup))
    return [replace(row, alternative=found.get(row.occurrence.day)) for row in rows]
