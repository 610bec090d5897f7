"""Gather what vouchers were spent on, by whom and when; read-only, a bounded number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from django.db.models import Count, QuerySet

from portal.controls import money, parties, use
from portal.controls.findings import Finding
from portal.controls.gathering import Noticed, day_of
from portal.kernel.money import Money
from portal.organisations.models import Member
from scheduler.bookings.models import Booking
from scheduler.jobs.models import Job
from scheduler.usage.models import UsageRecord
from vouchers.charges.models import Charge
from vouchers.programmes.models import Programme
from vouchers.wallets.models import Voucher

__all__ = ["charges", "holders", "use_of", "vouchers"]

PEER_DAYS: Final = 365


def _departments() -> dict[str, int]:
    return dict(Programme.objects.values_list("code", "department_id"))


def charges(*, since: datetime) -> Iterator[Noticed]:
    """Yield what is noticed about charges that vouchers paid a part of, resolved since."""
    rows = (
        Charge.objects.filter(state="captured", resolved_at__gte=since, voucher__isnull=False)
        .select_related("payer", "provider", "voucher", "payment")
        .order_by("pk")
    )
    departments, peers = _departments(), _peers(since - timedelta(days=PEER_DAYS))
    for row in rows:
        unit_price = Money(int(row.quote.get("unit_price_fen", 0)))
        list_price = row.quote.get("list_price_fen")
        compared = [price for pk, price in peers.get(_class_of(row), ()) if pk != row.pk]
        payment = getattr(row, "payment", None)
        findings = [
            money.price_above_list(
                unit_price=unit_price,
                list_price=Money(int(list_price)) if list_price is not None else None,
                peers=compared,
            ),
            money.own_share_returned(
                money.OwnShare(
                    owed=Money(row.own_captured_fen),
                    received=Money(payment.amount_fen if payment and payment.confirmed_at else 0),
                    received_on=day_of(payment.confirmed_at) if payment and payment.confirmed_at else None,
                    payer="",
                    buyer=row.payer.name,
                )
            ),
        ]
        assert row.voucher is not None
        yield from _noticed(
            row.subject, (row.payer_id, row.provider_id), departments.get(row.voucher.programme_code), findings
        )


def _class_of(charge: Charge) -> tuple[str, str]:
    return charge.service, str(charge.quote.get("unit", ""))


def _peers(since: datetime) -> dict[tuple[str, str], list[tuple[int, Money]]]:
    found: dict[tuple[str, str], list[tuple[int, Money]]] = defaultdict(list)
    for row in Charge.objects.filter(created_at__gte=since).only("pk", "service", "quote").order_by("pk"):
        if (price := row.quote.get("unit_price_fen")) is not None:
            found[_class_of(row)].append((row.pk, Money(int(price))))
    return found


def _noticed(
    subject: str, organisations: tuple[int, ...], department_id: int | None, findings: Sequence[Finding | None]
) -> Iterator[Noticed]:
    for finding in findings:
        if finding is not None:
            yield Noticed(subject, organisations, department_id, finding)


def vouchers(*, since: datetime, now: datetime) -> Iterator[Noticed]:
    """Yield vouchers that ended since and were spent in a rush before."""
    departments = _departments()
    rows = Voucher.objects.filter(valid_until__gte=since, valid_until__lte=now).prefetch_related("charges")
    for voucher in rows.order_by("pk"):
        spent = [
            money.Spending(day_of(charge.created_at), Money(charge.voucher_captured_fen))
            for charge in voucher.charges.all()
            if charge.voucher_captured_fen
        ]
        last = day_of(voucher.valid_until - timedelta(seconds=1))
        finding = money.last_days_burn(face=Money(voucher.face_fen), last_day=last, spent=spent)
        department = departments.get(voucher.programme_code)
        yield from _noticed(f"voucher:{voucher.number}", (voucher.holder_id,), department, [finding])


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
    departments: dict[int, int] = {}
    codes = _departments()
    for holder_id, code in Voucher.objects.order_by("pk").values_list("holder_id", "programme_code"):
        departments[holder_id] = codes[code]
    for holder in dict.fromkeys(act.holder for act in acting):
        finding = parties.shared_account(acting=acting, named=members[holder], holder=holder)
        pk = int(holder)
        yield from _noticed(f"organisation:{pk}", (pk,), departments.get(pk), [finding])


def use_of(*, since: datetime) -> Iterator[Noticed]:
    """Yield jobs that idled and sessions whose hand-written hours stand out, measured since."""
    departments = _departments()
    rows = UsageRecord.objects.filter(recorded_at__gte=since).select_related(
        "job__charge__voucher", "booking__charge__voucher", "booking__resource"
    )
    for row in rows.order_by("pk"):
        thing = row.job or row.booking
        voucher = thing.charge.voucher if thing and thing.charge else None
        if thing is None or voucher is None:
            continue
        kind = "job" if row.job else "booking"
        finding = _idle(row) if row.job else _inflated(row)
        department = departments.get(voucher.programme_code)
        yield from _noticed(f"{kind}:{thing.number}", (thing.organisation_id,), department, [finding])


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


def _inflated(row: UsageRecord) -> Finding | None:
    assert row.booking is not None
    others = (
        UsageRecord.objects.filter(booking__resource_id=row.booking.resource_id)
        .exclude(pk=row.pk)
        .select_related("booking")
        .order_by("-pk")[:200]
    )
    return use.inflated_hours(one=_hours(row), others=[_hours(other) for other in others])
