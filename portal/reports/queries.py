"""Read what reports add up: a fixed number of queries, whatever the number of programmes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F, Sum

from portal.reports.formulas import Volumes
from portal.reports.standing import Standing, standings
from vouchers.charges.models import ChargePart
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.rules import ACTIVE
from vouchers.issuance.models import Application
from vouchers.ledger import queries as ledger
from vouchers.programmes.terms import RedeemMode
from vouchers.wallets.models import Voucher

__all__ = ["Figures", "figures", "standing_of"]


def standing_of(codes: Iterable[str]) -> list[Standing]:
    """Return how the money of these programmes stands, each year. One query."""
    wanted = set(codes)
    return standings(line for line in ledger.trial_balance() if line.programme in wanted)


@dataclass(slots=True)
class Figures:
    """The figures of one programme and fiscal year."""

    programme: str
    fiscal_year: int
    volumes: Volumes = field(default_factory=Volumes)
    holders: int = 0
    vouchers: int = 0
    receivers: dict[int, int] = field(default_factory=dict)
    """Fen captured by each provider."""
    waits: list[int] = field(default_factory=list)
    """Seconds from submission to decision of each issued application."""


def figures(*, until: datetime) -> list[Figures]:
    """Return the figures of every programme and year up to `until`, newest year first. Six queries."""
    found: dict[tuple[str, int], Figures] = {}

    def of(code: str, year: int) -> Figures:
        return found.setdefault((code, year), Figures(code, year))

    issued: dict[tuple[str, int], int] = defaultdict(int)
    holders: dict[tuple[str, int], set[int]] = defaultdict(set)
    for code, year, holder, face in Voucher.objects.filter(valid_from__lte=until).values_list(
        "programme_code", "fiscal_year", "holder_id", "face_fen"
    ):
        issued[code, year] += face
        holders[code, year].add(holder)
        of(code, year).vouchers += 1
    rows = (
        ChargePart.objects.filter(charge__created_at__lte=until)
        .values("voucher__programme_code", "voucher__fiscal_year", "charge__provider_id", "charge__state")
        .annotate(held=Sum("held_fen"), captured=Sum("captured_fen"), refunded=Sum("refunded_fen"))
        .order_by()
    )
    used: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        key = (row["voucher__programme_code"], row["voucher__fiscal_year"])
        sums, kept = used[key], row["captured"] - row["refunded"]
        sums[0] += row["held"] if row["charge__state"] == "held" else kept
        sums[1] += kept
        if kept:
            receivers = of(*key).receivers
            receivers[row["charge__provider_id"]] = receivers.get(row["charge__provider_id"], 0) + kept
    for code, year, held, approved, base in _claimed(until):
        sums = used[code, year]
        sums[0], sums[1], sums[2] = sums[0] + held, sums[1] + approved, sums[2] + base
    for code, year, spent in _spent(until):
        used[code, year][2] += spent
    for code, year, wait in Application.objects.filter(
        voucher__isnull=False, decided_at__isnull=False, decided_at__lte=until
    ).values_list("version__programme__code", "fiscal_year", F("decided_at") - F("submitted_at")):
        of(code, year).waits.append(int(wait.total_seconds()))
    standing = {(one.programme, one.fiscal_year): one for one in standings(ledger.trial_balance())}
    for key, one in found.items():
        stands, sums = standing.get(key), used[key]
        one.holders = len(holders[key])
        one.volumes = Volumes(
            issued=issued[key],
            used=sums[0],
            redeemed=sums[1],
            paid=stands.paid if stands else 0,
            returned=stands.returned if stands else 0,
            spent=sums[2],
        )
    return sorted(found.values(), key=lambda one: (-one.fiscal_year, one.programme))


def _claimed(until: datetime) -> Iterable[tuple[str, int, int, int, int]]:
    """Return (programme, year, used, redeemed, whole price) of each claim that paid back what was bought in full.

    What a claim asks for is used while it is looked at, and what is approved of it afterwards; refused, it is neither.
    """
    rows = (
        RedemptionClaim.objects.filter(mode=RedeemMode.REIMBURSE.value, filed_at__lte=until)
        .filter(state__in=[state.value for state in ACTIVE])
        .annotate(bought=Sum("lines__base_fen"))
        .order_by()
    )
    for code, year, asked, approved, bought in rows.values_list(
        "version__programme__code", "fiscal_year", "amount_fen", "approved_fen", "bought"
    ):
        yield code, year, asked if approved is None else approved, approved or 0, bought if approved else 0


def _spent(until: datetime) -> list[tuple[str, int, int]]:
    """Return (programme, year, fen) of the whole prices vouchers paid a part of; a bill of two programmes counts in both."""
    rows = (
        Voucher.objects.filter(parts__charge__state="captured", parts__charge__created_at__lte=until)
        .values("programme_code", "fiscal_year", "parts__charge", "parts__charge__actual_fen")
        .distinct()
    )
    found: dict[tuple[str, int], int] = defaultdict(int)
    for row in rows:
        found[row["programme_code"], row["fiscal_year"]] += row["parts__charge__actual_fen"] or 0
    return [(code, year, fen) for (code, year), fen in found.items()]
