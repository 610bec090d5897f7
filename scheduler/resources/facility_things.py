"""Enter what a large facility sets up: its beamlines, whose time is found and booked, and the devices mounted on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, Refused, noop
from portal.numbers.services import next_number
from scheduler.resources import access, rules, words
from scheduler.resources.models import Instrument, Resource

__all__ = ["Shifts", "ThingValues", "change_thing", "cut", "enter_thing"]

_ = noop
LONGEST_S: Final = 31 * 86400


@dataclass(frozen=True, slots=True)
class Shifts:
    """How its time is cut: shifts of `length_s`, the first `from_s` after local midnight, given `multiple` together.

    `ahead_s`: how long before they begin shifts that nobody has can be booked.
    """

    zone: str
    from_s: int
    length_s: int
    multiple: int
    ahead_s: int


@dataclass(frozen=True, slots=True)
class ThingValues:
    """What a facility says of a beamline or device in the catalogue."""

    name: str
    name_en: str
    city: str
    functions: str = ""
    functions_en: str = ""
    category: str = rules.Category.PHYSICAL.value
    contact: str = ""
    phone: str = ""


def _wrong(values: ThingValues) -> list[Reason]:
    found = []
    if not values.name.strip():
        found.append(Reason("facility.thing_name", _("请填写名称。"), field="name"))
    if values.category not in {category.value for category in rules.Category}:
        found.append(Reason("instrument.category", _("请从列表中选择仪器类别。"), field="category"))
    return found


def _write(resource: Resource, values: ThingValues, shifts: Shifts) -> None:
    resource.name, resource.name_en, resource.city = values.name.strip(), values.name_en.strip(), values.city.strip()
    _set(resource, shifts)
    resource.save()


CUT = ("zone", "grid_from_s", "granularity_s", "min_duration_s", "step_s", "max_duration_s", "horizon_s")


def cut(resource: Resource, shifts: Shifts) -> None:
    """Write how the time of a facility's thing is cut, and nothing else of the row. The caller has judged who asks."""
    _set(resource, shifts)
    resource.save(update_fields=CUT)


def _set(resource: Resource, shifts: Shifts) -> None:
    resource.zone, resource.grid_from_s, resource.granularity_s = shifts.zone, shifts.from_s, shifts.length_s
    resource.min_duration_s = resource.step_s = shifts.length_s * shifts.multiple
    resource.max_duration_s = max(LONGEST_S // resource.step_s * resource.step_s, resource.step_s)
    # A run of shifts may begin on the last day and end after it.
    resource.horizon_s = shifts.ahead_s + resource.max_duration_s


def _facts(resource: Resource, values: ThingValues, code: str) -> dict[str, str]:
    owner = resource.owner
    said = (values.name, values.name_en, code, values.functions, values.functions_en, values.city)
    return {
        "search_text": words.searchable((*said, owner.name, owner.name_en, resource.number)),
        "category": values.category,
        "model": code,
        "functions": values.functions,
        "functions_en": values.functions_en,
        "contact": values.contact,
        "phone": values.phone,
    }


@transaction.atomic
def enter_thing(
    *, actor: Actor, kind: rules.ResourceKind, code: str, values: ThingValues, shifts: Shifts, now: datetime
) -> Resource:
    """Enter a beamline (a draft: it is published once it has a price) or a device. Raises Refused, Forbidden."""
    actor.require(Permission.FACILITY_MANAGE)
    if reasons := _wrong(values):
        raise Refused(reasons)
    assert actor.organisation_id is not None
    is_line = kind is rules.ResourceKind.BEAMLINE
    resource = Resource(
        owner_id=actor.organisation_id,
        number=next_number(prefix="R", now=now),
        kind=kind.value,
        modes=["self"] if is_line else [],
        state=(rules.PublishState.DRAFT if is_line else rules.PublishState.PUBLISHED).value,
    )
    _write(resource, values, shifts)
    if is_line:
        # A device has no entry in the catalogue: it goes with a visit and is never booked by itself.
        Instrument.objects.create(resource=resource, **_facts(resource, values, code))
    audit.record(action="instrument.entered", subject=f"instrument:{resource.number}", actor=actor, now=now)
    return resource


@transaction.atomic
def change_thing(
    *, actor: Actor, resource: Resource, code: str, values: ThingValues, shifts: Shifts, now: datetime
) -> Resource:
    """Change what is said of a beamline or device; visits and bookings made stay as they are. Raises Refused, Forbidden."""
    access.require_own(actor, resource)
    if reasons := _wrong(values):
        raise Refused(reasons)
    locked = Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    _write(locked, values, shifts)
    Instrument.objects.filter(resource=locked).update(**_facts(locked, values, code))
    audit.record(action="instrument.changed", subject=f"instrument:{locked.number}", actor=actor, now=now)
    return locked
