"""Gather what vouchers were spent on, by whom and when; read-only, a bounded number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from django.db.models import Count, QuerySet

from portal.controls import money, parties, pricing, use
from portal.controls.findings import Finding
from portal.controls.gathering import Noticed, day_of
from portal.kernel.money import Money
from portal.organisations.models import Member
from scheduler.bookings.models import Booking
from scheduler.jobs.models import Job
from scheduler.usage.models import UsageRecord
from vouchers.charges.models import Charge, ChargePart
from vouchers.offers.models import UsageLine
from vouchers.programmes.models import Programme
from vouchers.wallets.models import Voucher

__all__ = ["charges", "holders", "use_of", "vouchers"]

PEER_DAYS: Final = 365
NOON: Final = 12


def _departments() -> dict[str, int]:
    return dict(Programme.objects.values_list("code", "department_id"))


def _payers(charge: Charge, departments: Mapping[str, int]) -> list[int]:
    """Return the departments whose vouchers pay a charge, each once, in the order the vouchers burn."""
    parts = sorted(charge.parts.all(), key=lambda part: part.pk)
    return list(dict.fromkeys(departments[part.voucher.programme_code] for part in parts))


def charges(*, since: datetime) -> Iterator[Noticed]:
    """Yield what is noticed about charges that vouchers paid a part of, resolved since. Seven queries."""
    rows = list(
        Charge.objects.filter(state="captured", resolved_at__gte=since, voucher__isnull=False)
        .select_related("payer", "provider", "payment")
        .prefetch_related("parts__voucher")
        .order_by("pk")
    )
    if not rows:
        return
    departments, known = _departments(), pricing.market(since=since - timedelta(days=PEER_DAYS))
    for row in rows:
        payment = getattr(row, "payment", None)
        share = money.OwnShare(
            owed=Money(row.own_captured_fen),
            received=Money(payment.amount_fen if payment and payment.confirmed_at else 0),
            received_on=day_of(payment.confirmed_at) if payment and payment.confirmed_at else None,
            payer="",
            buyer=row.payer.name,
        )
        findings = [_too_dear(row, known), money.own_share_returned(share)]
        yield from _noticed(row.subject, (row.payer_id, row.provider_id), _payers(row, departments), findings)


def _too_dear(charge: Charge, known: pricing.Market) -> Finding | None:
    """Return the first of a charge's prices that stands out."""
    stated = charge.quote.get("list_price_fen")
    list_price = Fraction(stated) if stated is not None else None
    found = (
        money.price_above_list(unit_price=one.price, list_price=list_price, alike=known.alike(one))
        for one in known.of.get(charge.pk, ())
    )
    return next((finding for finding in found if finding is not None), None)


def _noticed(
    subject: str, organisations: tuple[int, ...], departments: Iterable[int], findings: Sequence[Finding | None]
) -> Iterator[Noticed]:
    """Yield each finding for every department whose money it is about: each looks and decides for itself."""
    for department_id in departments:
        for finding in findings:
            if finding is not None:
                yield Noticed(subject, organisations, department_id, finding)


def vouchers(*, since: datetime, now: datetime) -> Iterator[Noticed]:
    """Yield vouchers that ended since and were spent in a rush before."""
    departments = _departments()
    rows = Voucher.objects.filter(valid_until__gte=since, valid_until__lte=now).prefetch_related("parts__charge")
    for voucher in rows.order_by("pk"):
        spent = [
            money.Spending(day_of(part.charge.created_at), Money(part.captured_fen))
            for part in voucher.parts.all()
            if part.captured_fen
        ]
        last = day_of(voucher.valid_until - timedelta(seconds=1))
        finding = money.last_days_burn(face=Money(voucher.face_fen), last_day=last, spent=spent)
        department = departments[voucher.programme_code]
        yield from _noticed(f"voucher:{voucher.number}", (voucher.holder_id,), [department], [finding])


def _acting(since: datetime) -> list[parties.Acting]:
    """Return who spent whose vouchers since, in bookings and jobs. Two queries."""
    found: list[parties.Acting] = []
    sources: tuple[tuple[QuerySet[Any], str], ...] = (
        (Booking.objects.filter(created_at__gte=since, charge__voucher_held_fen__gt=0), "booked_by"),
        (Job.objects.filter(created_at__gte=since, charge__voucher_held_fen__gt=0), "submitted_by"),
    )
    for rows, person in sources:
        counted = rows.values("organisation_id", person).annotate(times=Count("pk")).order_by()
        found += [
            parties.Acting(f"#{row[person]}", str(row["organisation_id"]), row["times"])
            for row in counted
            if row[person] is not None
        ]
    return found


def holders(*, since: datetime) -> Iterator[Noticed]:
    """Yield organisations whose vouchers were spent by people who are not, or not only, theirs."""
    acting = _acting(since)
    members: dict[str, set[str]] = defaultdict(set)
    for organisation_id, user_id in Member.objects.values_list("organisation_id", "user_id"):
        members[str(organisation_id)].add(f"#{user_id}")
    departments: dict[int, dict[int, None]] = defaultdict(dict)
    codes = _departments()
    spent = ChargePart.objects.filter(charge__created_at__gte=since).order_by("pk")
    for holder_id, code in spent.values_list("voucher__holder_id", "voucher__programme_code"):
        departments[holder_id][codes[code]] = None
    for holder in dict.fromkeys(act.holder for act in acting):
        finding = parties.shared_account(acting=acting, named=members[holder], holder=holder)
        pk = int(holder)
        yield from _noticed(f"organisation:{pk}", (pk,), departments[pk], [finding])


def use_of(*, since: datetime) -> Iterator[Noticed]:
    """Yield jobs that idled, sessions whose hand-written hours stand out, and orders of calls that repeat. Nine queries."""
    departments = _departments()
    rows = list(
        UsageRecord.objects.filter(recorded_at__gte=since)
        .select_related("job__charge", "booking__charge", "booking__resource")
        .prefetch_related("job__charge__parts__voucher", "booking__charge__parts__voucher")
        .order_by("pk")
    )
    usual = _usual({row.booking.resource_id for row in rows if row.booking})
    for row in rows:
        thing = row.job or row.booking
        if thing is None or thing.charge is None:
            continue
        if row.booking is not None:
            others = [hours for pk, hours in usual[row.booking.resource_id] if pk != row.pk]
            kind, finding = "booking", use.inflated_hours(one=_hours(row), others=others)
        else:
            kind, finding = "job", _idle(row)
        paying = _payers(thing.charge, departments)
        yield from _noticed(f"{kind}:{thing.number}", (thing.organisation_id,), paying, [finding])
    yield from _orders(since, departments)


def _idle(row: UsageRecord) -> Finding | None:
    sampled = row.detail.get("utilisation_percent")
    run = use.Run(
        job=str(row.job),
        card_hours=Fraction(row.duration_s * row.count, 3600),
        utilisation=int(sampled) if isinstance(sampled, int | float) else None,
    )
    return use.empty_use(runs=[run])


def _hours(row: UsageRecord) -> use.Hours:
    booking = row.booking
    assert booking is not None
    booked = Fraction(int((booking.ends_at - booking.starts_at).total_seconds()), 3600)
    return use.Hours(booking.number, Fraction(row.duration_s, 3600), booked, row.source)


def _usual(resource_ids: set[int]) -> dict[int, list[tuple[int, use.Hours]]]:
    """Return every measured session of these instruments, by instrument. One query."""
    found: dict[int, list[tuple[int, use.Hours]]] = defaultdict(list)
    rows = UsageRecord.objects.filter(booking__resource_id__in=resource_ids).select_related("booking")
    for row in rows.order_by("pk"):
        assert row.booking is not None
        found[row.booking.resource_id].append((row.pk, _hours(row)))
    return found


def _orders(since: datetime, departments: dict[str, int]) -> Iterator[Noticed]:
    """Yield orders paid by vouchers whose imported calls are nearly all alike. Bills state days, so nights are not seen."""
    lines = (
        UsageLine.objects.filter(active=True, tokens_in__isnull=False, order__charge__voucher__isnull=False)
        .filter(order__in=UsageLine.objects.filter(upload__imported_at__gte=since).values("order"))
        .select_related("order__charge")
        .prefetch_related("order__charge__parts__voucher")
        .order_by("order", "pk")
    )
    calls: dict[int, list[use.Call]] = defaultdict(list)
    orders = {}
    for line in lines:
        orders[line.order_id] = line.order
        calls[line.order_id].append(use.Call(line.tokens_in or 0, line.tokens_out or 0, NOON))
    for pk, order in orders.items():
        assert order.charge is not None
        paying = _payers(order.charge, departments)
        concerned = (order.charge.payer_id, order.charge.provider_id)
        yield from _noticed(f"order:{order.number}", concerned, paying, [use.empty_use(calls=calls[pk])])
