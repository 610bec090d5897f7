"""Say in words what is wrong with a draft, beside the visits that stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from portal.kernel.errors import Reason, Refused, noop
from scheduler.beamtime import drafting, gathering
from scheduler.beamtime.models import DraftPlace
from scheduler.beamtime.ports import Fault, Placed
from scheduler.resources.models import Resource

__all__ = ["NotAsDrafted", "explain", "faults_beside", "faults_of", "name_of", "preferred", "staffed"]

_ = noop


class NotAsDrafted(Refused):
    """What is fixed or adopted is not possible any more."""

    code = "beamtime.faults"
    message = _("安排存在以下冲突。")


def faults_of(gathered: gathering.Gathered, places: Sequence[DraftPlace]) -> list[Reason]:
    """Return in words everything that is wrong with these places beside the visits that stand."""
    known = [one for one in places if f"A{one.allocation_id}" in gathered.allocations]
    placed = gathering.placed_of(known, gathered.cycle)
    found = [explain(fault, gathered) for fault in faults_beside(gathered, placed, preferred=preferred(known))]
    numbers = {one.number for one in placed}
    for row in places:
        number = f"A{row.allocation_id}"
        if number not in gathered.allocations:
            text = _("%(request)s 的机时已不待排。")
            about = {"request": row.allocation.request.proposal.number}
            found.append(Reason("beamtime.gone", text, _("请从草案中取下。"), number, about))
        elif number not in numbers:
            found.append(explain(Fault(number, "closed"), gathered))
    return found


def preferred(places: Iterable[DraftPlace]) -> dict[str, str]:
    """Return whom a draft has run what, as `drafting.staff` takes it."""
    return {f"A{row.allocation_id}": f"R{row.operator_id}" for row in places if row.operator_id is not None}


def faults_beside(gathered: gathering.Gathered, placed: Sequence[Placed], *, preferred: dict[str, str]) -> list[Fault]:
    """Return the faults of these places together with the visits that stand, those of visits among themselves left out."""
    beside = [*placed, *gathered.standing]
    every = drafting.faults(gathered.problem, beside, chosen=gathered.chosen(), preferred=preferred)
    return [one for one in every if one.number in gathered.allocations]


def staffed(gathered: gathering.Gathered, places: Sequence[DraftPlace]) -> dict[str, Resource | None]:
    """Return who runs each place of a draft beside the visits that stand, by number; as drafted where that can be."""
    beside = [*gathering.placed_of(places, gathered.cycle), *gathered.standing]
    found = drafting.staff(gathered.problem, beside, chosen=gathered.chosen(), preferred=preferred(places))
    return {f"A{row.allocation_id}": gathered.people.get(found.get(f"A{row.allocation_id}", "")) for row in places}


WORDS: Final = {
    "closed": (_("%(request)s 不全在用户束流时间内，或有班次已被占用。"), _("请移到开放的班次。")),
    "bad_dates": (_("%(request)s 落在课题组不能到场的日期。"), _("请避开该日期，或先与课题组商定。")),
    "busy": (_("%(request)s 需要的装置此时不可用：%(other)s。"), _("请换一个时间。")),
    "overlap": (_("%(request)s 与 %(other)s 重叠。"), _("请移开其中一项。")),
    "changeover": (_("%(request)s 与 %(other)s 之间没有留出换装班次。"), _("请把两者隔开，或放在同一布置旁。")),
    "shared": (_("%(request)s 与 %(other)s 同时需要同一装置。"), _("请错开两者的时间。")),
    "length": (_("%(request)s 的班次数与分配的不同。"), _("请按分配的班次安排。")),
    "line": (_("%(request)s 不能在这条线站上做。"), _("请放回申请的线站。")),
    "nobody": (_("%(request)s 期间没有能全程在场的线站人员。"), _("请换一个时间，或为人员登记技能和工作时间。")),
}
"""What each fault of `drafting.faults` is called, and what mends it."""


def explain(fault: Fault, gathered: gathering.Gathered) -> Reason:
    """Return a fault in words; `field` is the request it is of."""
    text, remedy = WORDS[fault.code]
    params = {"request": name_of(fault.number, gathered), "other": name_of(fault.other, gathered)}
    return Reason(f"beamtime.{fault.code}", text, remedy, fault.number, params)


def name_of(number: str, gathered: gathering.Gathered) -> str:
    """Return how people call a request, a visit or a needed thing: by its number, never by a title."""
    if number in gathered.allocations:
        return gathered.allocations[number].request.proposal.number
    if number in gathered.visits:
        return gathered.visits[number].number
    if number in gathered.people:
        return gathered.people[number].name
    devices = (device for row in gathered.allocations.values() for device in row.request.devices.all())
    return next((device.code for device in devices if f"R{device.pk}" == number), number)
