"""What charges were for, in the provider's words and nobody's secrets: for the documents of what was paid.

Titles that enterprises give their bookings, jobs and projects are theirs: a document names the instrument, the partition or
the service instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django.db.models import F, Max, Min, Q

from scheduler.beamtime.models import BeamQuote
from scheduler.bookings.models import Booking
from scheduler.engagements.models import Milestone
from scheduler.jobs.models import Job
from scheduler.resources.models import Resource
from scheduler.samples.models import SampleOrder
from vouchers.invoices.ports import Delivered
from vouchers.offers.models import Order

__all__ = ["describe"]

Found = dict[str, Delivered]


def _names(resource: Resource) -> tuple[str, str]:
    return resource.name, resource.name_en or resource.name


def _bookings(numbers: Sequence[str]) -> Found:
    rows = Booking.objects.filter(number__in=numbers).select_related("resource")
    return {row.number: Delivered(*_names(row.resource), row.starts_at, row.ends_at) for row in rows}


def _jobs(numbers: Sequence[str]) -> Found:
    """Several charges of one job are ``<number>/2`` and so on."""
    rows = Job.objects.filter(number__in={number.partition("/")[0] for number in numbers})
    named = {row.number: row for row in rows.select_related("partition__cluster")}
    found = {}
    for number in numbers:
        if job := named.get(number.partition("/")[0]):
            place = job.partition
            found[number] = Delivered(
                f"{place.cluster.name} / {place.label}",
                f"{place.cluster.name_en or place.cluster.name} / {place.label_en or place.name}",
                job.started_at,
                job.ended_at,
            )
    return found


def _orders(numbers: Sequence[str]) -> Found:
    rows = Order.objects.filter(number__in=numbers).select_related("offer")
    return {
        row.number: Delivered(row.offer.title, row.offer.title_en or row.offer.title, row.placed_at, row.delivered_at)
        for row in rows
    }


def _samples(numbers: Sequence[str]) -> Found:
    rows = SampleOrder.objects.filter(number__in=numbers).select_related("resource")
    return {row.number: Delivered(*_names(row.resource)) for row in rows}


def _milestones(numbers: Sequence[str]) -> Found:
    rows = Milestone.objects.filter(engagement__number__in={number.rpartition(".")[0] for number in numbers})
    found = {}
    for row in rows.select_related("engagement__resource"):
        name, name_en = _names(row.engagement.resource)
        number = row.subject.partition(":")[2]
        found[number] = Delivered(f"{name} · 里程碑 {row.position}", f"{name_en} · milestone {row.position}")
    return found


def _beam_quotes(numbers: Sequence[str]) -> Found:
    """Beam time under contract: the beamline and its run cycle, from the first visit that was had to the end of the last."""
    visits = "request__allocations__visits"
    had = Q(**{f"{visits}__had_min__isnull": False, "request__allocations__made_up_for__isnull": True})
    wanted = {number.rpartition(".")[2] for number in numbers}
    rows = (
        BeamQuote.objects.filter(pk__in=[pk for pk in wanted if pk.isdecimal()])
        .select_related("request__beamline__resource", "request__cycle", "request__proposal")
        .annotate(
            begins=Min(F(f"{visits}__during__startswith"), filter=had), ends=Max(f"{visits}__ended_at", filter=had)
        )
    )
    found = {}
    for row in rows:
        name, name_en = _names(row.request.beamline.resource)
        code, cycle = row.request.beamline.code, row.request.cycle.code
        found[f"{row.request.proposal.number}.{row.pk}"] = Delivered(
            f"{code} {name} · 机时（{cycle}）", f"{code} {name_en} · beam time ({cycle})", row.begins, row.ends
        )
    return found


KINDS: Final[Mapping[str, Callable[[Sequence[str]], Found]]] = {
    "booking": _bookings,
    "job": _jobs,
    "order": _orders,
    "sample": _samples,
    "milestone": _milestones,
    "beam_quote": _beam_quotes,
}


def describe(subjects: Sequence[str]) -> Mapping[str, Delivered]:
    """Answer `vouchers.invoices.ports.Describe`. One query a kind."""
    wanted: dict[str, list[str]] = {}
    for subject in subjects:
        kind, _colon, number = subject.partition(":")
        wanted.setdefault(kind, []).append(number)
    return {
        f"{kind}:{number}": told
        for kind, numbers in wanted.items()
        if kind in KINDS
        for number, told in KINDS[kind](numbers).items()
    }
