"""Set up beamlines and devices: their entries in the catalogue, what fits where, what an hour costs, when they are closed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound, Reason, noop
from portal.kernel.money import Money
from scheduler.facilities import seen, services, values
from scheduler.facilities.models import Beamline, Device, DeviceClash, DeviceFit, Facility
from scheduler.resources import facility_things, pricing, rules
from scheduler.resources import services as resources
from scheduler.resources.facility_things import ThingValues

__all__ = [
    "DeviceFits",
    "LineTerms",
    "change_beamline",
    "change_device",
    "enter_beamline",
    "enter_device",
    "enter_fitting",
    "fit_device",
    "price_beamline",
    "publish",
    "refusals",
]

_ = noop
P = Permission


@dataclass(frozen=True, slots=True)
class LineTerms:
    """How a beamline is planned. `changeover_shifts` lie between two visits with different set-ups."""

    techniques: str = ""
    changeover_shifts: int = 0
    needs_operator: bool = False


@dataclass(frozen=True, slots=True)
class DeviceFits:
    """On which beamlines a device can be used, and which devices cannot be with it in one visit."""

    beamlines: tuple[Beamline, ...] = ()
    clashes: tuple[Device, ...] = ()


def refusals(code: str, terms: LineTerms | None = None) -> list[Reason]:
    """Say everything that is wrong with a beamline's or device's code and with how a beamline is planned."""
    found = values.code_refusals(code)
    if len(code) > 16:
        found.append(Reason("facility.code_long", _("代码最多 16 个字符。"), field="code"))
    if terms is not None and not 0 <= terms.changeover_shifts <= 30:
        text = _("数值须在 %(least)s 到 %(most)s 之间。")
        limits = {"least": 0, "most": 30}
        found.append(Reason("facility.number", text, field="changeover_shifts", params=limits))
    return found


def _judge(code: str, terms: LineTerms | None = None) -> None:
    if found := refusals(code, terms):
        raise values.BadFacility(found)


@transaction.atomic
def enter_beamline(
    *, actor: Actor, facility: Facility, code: str, said: ThingValues, terms: LineTerms, now: datetime
) -> Beamline:
    """Enter a beamline as a draft of the catalogue. Raises BadFacility, CodeTaken, Refused, Forbidden."""
    locked = services.lock(actor, facility, P.FACILITY_MANAGE)
    _judge(code, terms)
    if locked.beamlines.filter(code=code).exists():
        raise services.CodeTaken(field="code", code=code)
    resource = facility_things.enter_thing(
        actor=actor,
        kind=rules.ResourceKind.BEAMLINE,
        code=code,
        values=said,
        shifts=services.shifts_of(facility=locked),
        now=now,
    )
    made = Beamline.objects.create(
        resource=resource,
        facility=locked,
        code=code,
        techniques=terms.techniques.strip(),
        changeover_shifts=terms.changeover_shifts,
        needs_operator=terms.needs_operator,
    )
    services.record(locked, action="facility.beamline_entered", actor=actor, now=now, beamline=code)
    return made


@transaction.atomic
def change_beamline(
    *, actor: Actor, beamline: Beamline, said: ThingValues, terms: LineTerms, now: datetime, opened_on: str = ""
) -> Beamline:
    """Change what is said of a beamline; its code stays. `opened_on` is the fingerprint of what was read.

    Raises BadFacility, Refused, Moved, Forbidden.
    """
    locked = services.lock(actor, beamline.facility, P.FACILITY_MANAGE)
    _judge(beamline.code, terms)
    stands = Beamline.objects.select_related("resource__instrument").get(pk=beamline.pk)
    actions = ["facility.beamline_changed"]
    seen.refuse_moved(locked, now_is=seen.of_beamline(stands), seen=opened_on, actions=actions, beamline=beamline.code)
    facility_things.change_thing(
        actor=actor,
        resource=beamline.resource,
        code=beamline.code,
        values=said,
        shifts=services.shifts_of(facility=locked),
        now=now,
    )
    Beamline.objects.filter(pk=beamline.pk).update(
        techniques=terms.techniques.strip(),
        changeover_shifts=terms.changeover_shifts,
        needs_operator=terms.needs_operator,
    )
    services.record(locked, action="facility.beamline_changed", actor=actor, now=now, beamline=beamline.code)
    return Beamline.objects.select_related("resource__instrument", "facility").get(pk=beamline.pk)


@transaction.atomic
def price_beamline(*, actor: Actor, beamline: Beamline, hourly: Money, now: datetime) -> None:
    """Say what an hour costs enterprises from now on; bookings made keep theirs. Raises PriceNegative, Forbidden."""
    services.lock(actor, beamline.facility, P.FACILITY_MANAGE)
    pricing.set_hourly_rate(actor=actor, resource=beamline.resource, amount=hourly, now=now)


@transaction.atomic
def publish(*, actor: Actor, beamline: Beamline, shown: bool, now: datetime) -> None:
    """Show a beamline in the catalogue, or suspend it. Idempotent. Raises Refused while it has no price, Forbidden."""
    services.lock(actor, beamline.facility, P.FACILITY_MANAGE)
    state = beamline.resource.state
    if shown == (state == rules.PublishState.PUBLISHED.value):
        return
    action = rules.PublishAction.PUBLISH if shown else rules.PublishAction.SUSPEND
    resources.change_state(actor=actor, resource=beamline.resource, action=action, now=now)


@transaction.atomic
def enter_device(*, actor: Actor, facility: Facility, code: str, said: ThingValues, now: datetime) -> Device:
    """Enter a device or sample environment. Raises BadFacility, CodeTaken, Refused, Forbidden."""
    locked = services.lock(actor, facility, P.FACILITY_MANAGE)
    _judge(code)
    if locked.devices.filter(code=code).exists():
        raise services.CodeTaken(field="code", code=code)
    resource = facility_things.enter_thing(
        actor=actor,
        kind=rules.ResourceKind.DEVICE,
        code=code,
        values=said,
        shifts=services.shifts_of(facility=locked),
        now=now,
    )
    made = Device.objects.create(resource=resource, facility=locked, code=code)
    services.record(locked, action="facility.device_entered", actor=actor, now=now, device=code)
    return made


@transaction.atomic
def enter_fitting(
    *, actor: Actor, facility: Facility, code: str, said: ThingValues, fits: DeviceFits, now: datetime
) -> Device:
    """Enter a device and say where it fits, whole or not at all. Raises what `enter_device` and `fit_device` raise."""
    made = enter_device(actor=actor, facility=facility, code=code, said=said, now=now)
    fit_device(actor=actor, device=made, fits=fits.beamlines, clashes=fits.clashes, now=now)
    return made


@transaction.atomic
def change_device(
    *, actor: Actor, device: Device, said: ThingValues, fits: DeviceFits, now: datetime, opened_on: str = ""
) -> Device:
    """Change what is said of a device and where it can be used; its code stays. `opened_on`: the fingerprint read.

    Raises BadFacility, Refused, NotFound for another facility's things, Moved, Forbidden.
    """
    locked = services.lock(actor, device.facility, P.FACILITY_MANAGE)
    stands = Device.objects.select_related("resource").get(pk=device.pk)
    actions = ["facility.device_changed", "facility.device_fitted"]
    seen.refuse_moved(locked, now_is=seen.of_device(stands), seen=opened_on, actions=actions, device=device.code)
    facility_things.change_thing(
        actor=actor,
        resource=device.resource,
        code=device.code,
        values=said,
        shifts=services.shifts_of(facility=locked),
        now=now,
    )
    services.record(locked, action="facility.device_changed", actor=actor, now=now, device=device.code)
    fit_device(actor=actor, device=stands, fits=fits.beamlines, clashes=fits.clashes, now=now)
    return stands


@transaction.atomic
def fit_device(
    *, actor: Actor, device: Device, fits: Iterable[Beamline], clashes: Iterable[Device], now: datetime
) -> None:
    """Say on which beamlines a device can be used, and which devices cannot be with it in one visit. Replaces both.

    Raises NotFound for another facility's things, BadFacility where it would clash with itself, Forbidden.
    """
    locked = services.lock(actor, device.facility, P.FACILITY_MANAGE)
    lines, others = list(fits), list(clashes)
    if ({line.facility_id for line in lines} | {other.facility_id for other in others}) - {locked.pk}:
        raise NotFound
    if any(one.pk == device.pk for one in others):
        raise values.BadFacility([Reason("facility.clash_self", _("装置不能与自身冲突。"), _("请去掉它。"), "clashes")])
    DeviceFit.objects.filter(device=device).delete()
    DeviceFit.objects.bulk_create(DeviceFit(device=device, beamline=line) for line in dict.fromkeys(lines))
    (DeviceClash.objects.filter(one=device) | DeviceClash.objects.filter(two=device)).delete()
    pairs = {(min(device.pk, other.pk), max(device.pk, other.pk)) for other in others}
    DeviceClash.objects.bulk_create(DeviceClash(one_id=one, two_id=two) for one, two in sorted(pairs))
    services.record(locked, action="facility.device_fitted", actor=actor, now=now, device=device.code)
