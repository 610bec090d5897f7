"""Schedules: drafted near the bound, kept where a planner fixed them, adopted without a single overlap."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise

from django.db import IntegrityError, transaction

from scheduler.availability.models import Claim
from scheduler.beamtime import adopting, drafts, faulting, gathering, solving
from scheduler.beamtime.models import BeamAllocation, BeamVisit, DraftPlace, ScheduleDraft
from scheduler.facilities.models import Beamline, Device, MachinePeriod
from scheduler.resources.models import Skill
from tests import beam, make
from tests.facilities.scenarios import scenario
from tests.scenarios import is_full


def _whole_cycle(site: beam.Site) -> None:
    """Let the machine run all sixty days: 180 shifts."""
    MachinePeriod.objects.filter(cycle=site.cycle).delete()
    MachinePeriod.objects.create(cycle=site.cycle, mode="user", during=(beam.CYCLE.start, beam.CYCLE.end))


def _days(dice: random.Random, number: int) -> list[str]:
    first = beam.CYCLE.start + timedelta(hours=8)
    return sorted((first + timedelta(days=day)).date().isoformat() for day in dice.sample(range(60), number))


def _granted(site: beam.Site, dice: random.Random, *, at: int) -> BeamAllocation:
    """Give a proposal three to nine shifts; its team has days on which it likes to come, and cannot."""
    good, bad = _days(dice, 12), _days(dice, 8)
    return beam.granted(
        site,
        shifts=dice.choice([3, 3, 6, 6, 9]),
        at=at,
        grade_c=dice.randrange(150, 551, 10),
        good=sorted(set(good) - set(bad)),
        bad=bad,
        setup=dice.choice(["", "低温", "原位池"]),
    )


def drafted(site: beam.Site, *, seconds: int, key: str = "cycle") -> ScheduleDraft:
    draft = drafts.order(
        actor=site.planner, cycle=site.cycle, seconds=seconds, wake=lambda _pk: None, key=key, now=make.NOW
    )
    solving.solve(draft_id=draft.pk, now=make.NOW)
    draft.refresh_from_db()
    assert draft.state == "drafted", draft.failure
    return draft


def _no_fault(draft: ScheduleDraft) -> int:
    """Hold the draft against the planner's own list of faults; return how many proposals have a place."""
    gathered = gathering.gather(draft.cycle, now=make.NOW)
    placed = gathering.placed_of(draft.places.select_related("beamline"), gathered.cycle)
    assert faulting.faults_of(gathered, list(draft.places.select_related("beamline"))) == []
    return len(placed)


def _gap(draft: ScheduleDraft) -> float:
    return (draft.bound - draft.value) / draft.bound


@scenario("P1")
def forty_on_one_beamline() -> str:
    """40 proposals, 180 shifts, one beamline: a schedule within 5 % of what is possible at all, in 40 s."""
    site, dice, number = beam.site(), random.Random(40), 40 if is_full() else 14
    _whole_cycle(site)
    for _ in range(number):
        _granted(site, dice, at=0)
    draft = drafted(site, seconds=40 if is_full() else 5)
    placed = _no_fault(draft)
    assert _gap(draft) <= 0.05
    return f"{placed} of {number} placed, {_gap(draft):.2%} from the bound after {draft.spent_ms / 1000:.1f} s"


@scenario("P2")
def four_beamlines_around_what_is_fixed() -> str:
    """120 proposals, 4 beamlines, solved line by line; every third place is fixed and stays; adopted, nothing overlaps.

    The lines share a device and two persons who run them, and visits stand already: what is used on one is not free for another.
    """
    site, dice, number = beam.site(), random.Random(120), 120 if is_full() else 20
    _whole_cycle(site)
    lines = 4 if is_full() else 2
    site.lines += [beam.line(site.owner, site.facility, f"BL{at:02d}") for at in range(3, lines + 1)]
    Beamline.objects.filter(facility=site.facility).update(changeover_shifts=1)
    Beamline.objects.filter(facility=site.facility, code__in=["BL01", "BL02"]).update(needs_operator=True)
    for name in ("李工", "周工"):
        beam.runner(site, name, *site.lines[:2])
    oven = beam.device(site, "OVEN", *site.lines)
    for at in range(lines):
        beam.granted(site, shifts=6, at=at).request.devices.add(oven)
    adopting.adopt(actor=site.planner, draft=(first := drafted(site, seconds=1)), version=first.version, now=make.NOW)
    standing = set(BeamVisit.objects.values_list("pk", "during", "operator_id"))
    for at in range(number):
        given = _granted(site, dice, at=at % lines)
        if at % 6 < 2:
            given.request.devices.add(oven)
    draft = drafted(site, seconds=10 if is_full() else 2, key="second")
    _no_fault(draft)
    fixed = {}
    for place in list(draft.places.order_by("pk"))[::3]:
        DraftPlace.objects.filter(pk=place.pk).update(is_fixed=True)
        fixed[place.allocation_id] = (place.beamline_id, place.during)
    again = drafts.resolve(
        actor=site.planner,
        draft=draft,
        version=draft.version,
        seconds=draft.seconds,
        wake=lambda _pk: None,
        now=make.NOW,
    )
    solving.solve(draft_id=again.pk, now=make.NOW + timedelta(minutes=5))
    again.refresh_from_db()
    placed = _no_fault(again)
    where = {place.allocation_id: (place.beamline_id, place.during) for place in again.places.all()}
    assert {number: where[number] for number in fixed} == fixed
    visits = adopting.adopt(actor=site.planner, draft=again, version=again.version, now=make.NOW)
    assert len(visits) == placed
    assert standing <= set(BeamVisit.objects.values_list("pk", "during", "operator_id"))
    _nothing_overlaps(site, oven)
    return (
        f"{placed} of {number} placed on {lines} lines around {len(standing)} visits, {len(fixed)} fixed and kept,"
        f" {_gap(again):.2%} from the bound, {again.spent_ms / 1000:.1f} s"
    )


def _nothing_overlaps(site: beam.Site, oven: Device) -> None:
    """Look at every claim, and see the database refuse one that is written past all code."""
    people = Skill.objects.values_list("operator_id", flat=True)
    for resource_id in {
        oven.pk,
        *people,
        *Beamline.objects.filter(facility=site.facility).values_list("pk", flat=True),
    }:
        claims = list(Claim.objects.filter(resource_id=resource_id).order_by("blocked"))
        assert all(one.blocked.upper <= two.blocked.lower for one, two in pairwise(claims))
    visit = BeamVisit.objects.filter(beamline__facility=site.facility).order_by("pk")[0]
    held = Claim.objects.get(visit=visit, resource_id=visit.beamline_id)
    for row in (
        Claim(resource_id=held.resource_id, during=held.during, blocked=held.blocked, state="confirmed"),
        BeamVisit(
            number="V-TWICE",
            allocation=visit.allocation,
            beamline=visit.beamline,
            during=visit.during,
            shifts=visit.shifts,
            offered_at=make.NOW,
            answer_by=make.NOW,
        ),
    ):
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError as refused:
            assert refused.__cause__ is not None
            assert refused.__cause__.sqlstate == "23P01"  # type: ignore[attr-defined]  exclusion_violation
        else:
            raise AssertionError("the database took an overlap")
