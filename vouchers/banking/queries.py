"""Reads of bank statements with a shape of their own: lists narrowed, sums, what a line was matched with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Count, Prefetch, Q, QuerySet, Sum

from vouchers.banking.models import BankMatch, MatchPart, StatementLine
from vouchers.banking.rules import ACTIVE, LineState
from vouchers.payments.rules import bank_reference

__all__ = ["Narrowing", "Sums", "came_by", "matches_of", "narrowed", "sums", "with_matches"]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a list of lines may be narrowed to. `text` is looked for in reference, payer, account and memo."""

    state: str = ""
    direction: str = ""
    """``in`` or ``out``."""
    account: str = ""
    upload: int | None = None
    since: date | None = None
    until: date | None = None
    hinted: bool = False
    """Only lines with a suggestion."""
    text: str = ""


def narrowed(rows: QuerySet[StatementLine], by: Narrowing) -> QuerySet[StatementLine]:
    """Return the lines that answer every condition given."""
    conditions: list[tuple[bool, Q]] = [
        (bool(by.state), Q(state=by.state)),
        (by.direction == "in", Q(amount_fen__gt=0)),
        (by.direction == "out", Q(amount_fen__lt=0)),
        (bool(by.account), Q(account__code=by.account)),
        (by.upload is not None, Q(upload_id=by.upload)),
        (by.since is not None, Q(booked_on__gte=by.since)),
        (by.until is not None, Q(booked_on__lte=by.until)),
        (by.hinted, ~Q(hint="")),
    ]
    for given, condition in conditions:
        if given:
            rows = rows.filter(condition)
    if text := by.text.strip():
        reference = bank_reference(text)
        rows = rows.filter(
            Q(reference__startswith=reference)
            | Q(name__icontains=text)
            | Q(counter_account__startswith=reference)
            | Q(memo__icontains=text)
        )
    return rows


@dataclass(frozen=True, slots=True)
class Sums:
    """Lines not yet decided and money of nobody: how many, and how much came in and went out."""

    open_count: int
    open_in_fen: int
    open_out_fen: int
    proposed_count: int
    parked_count: int
    parked_fen: int
    doubted_count: int


def sums() -> Sums:
    """Return what is to be done. Two queries."""
    states = [LineState.OPEN.value, LineState.PROPOSED.value, LineState.PARKED.value]
    is_open, is_parked = Q(state=LineState.OPEN.value), Q(state=LineState.PARKED.value)
    found = StatementLine.objects.filter(state__in=states).aggregate(
        open_count=Count("pk", filter=is_open),
        open_in=Sum("amount_fen", filter=is_open & Q(amount_fen__gt=0)),
        open_out=Sum("amount_fen", filter=is_open & Q(amount_fen__lt=0)),
        proposed=Count("pk", filter=Q(state=LineState.PROPOSED.value)),
        parked_count=Count("pk", filter=is_parked),
        parked=Sum("amount_fen", filter=is_parked),
    )
    return Sums(
        open_count=found["open_count"],
        open_in_fen=found["open_in"] or 0,
        open_out_fen=-(found["open_out"] or 0),
        proposed_count=found["proposed"],
        parked_count=found["parked_count"],
        parked_fen=found["parked"] or 0,
        doubted_count=BankMatch.objects.filter(state=BankMatch.State.REVERSING.value).count(),
    )


def _parts() -> QuerySet[MatchPart]:
    return MatchPart.objects.select_related(
        "payment__payer", "batch__payee", "returned", "payer", "arrival", "recovery"
    ).order_by("nth")


def with_matches(rows: QuerySet[StatementLine]) -> QuerySet[StatementLine]:
    """Return lines with their active match and its parts in ``active``: two further queries, whatever their number."""
    active = BankMatch.objects.filter(state__in=[state.value for state in ACTIVE])
    matches = active.prefetch_related(Prefetch("parts", queryset=_parts()))
    return rows.prefetch_related(Prefetch("matches", queryset=matches, to_attr="active"))


def matches_of(line: StatementLine) -> list[BankMatch]:
    """Return everything a line was ever said to be, newest first. Two queries."""
    rows = BankMatch.objects.filter(line=line).select_related("proposed_by", "decided_by", "doubted_by", "reversed_by")
    return list(rows.prefetch_related(Prefetch("parts", queryset=_parts())).order_by("-nth"))


def came_by(arrivals: Iterable[int]) -> dict[int, StatementLine]:
    """Return the statement line each arrival came by, where one shows it. One query."""
    parts = MatchPart.objects.filter(arrival__in=list(arrivals), match__state__in=[state.value for state in ACTIVE])
    return {part.arrival_id: part.match.line for part in parts.select_related("match__line") if part.arrival_id}
