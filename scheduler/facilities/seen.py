"""Keep two of an office from overwriting each other: what a form was opened on, as a fingerprint, and who changed it since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import Any
from zoneinfo import ZoneInfo

from portal.audit.models import Record
from portal.kernel.errors import Conflict, noop
from scheduler.facilities import queries
from scheduler.facilities.models import Beamline, Device, DeviceClash, Facility, Partner
from scheduler.facilities.values import FacilityValues

__all__ = [
    "Moved",
    "clashes_of",
    "of_beamline",
    "of_courses",
    "of_device",
    "of_facility",
    "of_partner",
    "of_shares",
    "refuse_moved",
]

_ = noop


class Moved(Conflict):
    """Somebody changed it since it was read; nothing of what was sent is written."""

    code = "facility.moved"
    message = _("%(who)s 已于 %(at)s（%(zone)s）修改这里。您填写的内容还没有保存，请对照后再保存。")


def _print(said: Any) -> str:
    text = json.dumps(said, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def of_facility(facility: Facility) -> str:
    """Return the fingerprint of what a facility says of itself."""
    return _print({one.name: getattr(facility, one.name) for one in fields(FacilityValues)})


def of_courses(facility: Facility) -> str:
    """Return the fingerprint of the kinds of proposals taken. One query."""
    return _print({kind.value: asdict(course) for kind, course in queries.courses_of(facility).items()})


def of_shares(facility: Facility, beamline: Beamline | None = None) -> str:
    """Return the fingerprint of who has which share: of one beamline by itself, or of all that say nothing. One query."""
    said = queries.shares_of(facility).get(beamline.pk if beamline else None, {})
    return _print({pool.value: str(share) for pool, share in said.items()})


def of_beamline(beamline: Beamline) -> str:
    """Return the fingerprint of what is said of a beamline."""
    resource, about = beamline.resource, beamline.resource.instrument
    names = ("functions", "functions_en", "contact", "phone")
    return _print(
        [
            *(
                beamline.techniques,
                beamline.changeover_shifts,
                beamline.needs_operator,
                resource.name,
                resource.name_en,
            ),
            *(getattr(about, name) for name in names),
        ]
    )


def clashes_of(device: Device) -> list[str]:
    """Return the codes of the devices that cannot be in one visit with this one. One query."""
    pairs = DeviceClash.objects.filter(one=device) | DeviceClash.objects.filter(two=device)
    found = pairs.values_list("one__code", "two__code")
    return sorted({code for pair in found for code in pair} - {device.code})


def of_device(device: Device) -> str:
    """Return the fingerprint of what is said of a device, where it fits and what it clashes with. Two queries."""
    lines = sorted(device.fits.values_list("beamline__code", flat=True))
    return _print([device.resource.name, device.resource.name_en, lines, clashes_of(device)])


def of_partner(partner: Partner) -> str:
    """Return the fingerprint of what a partner keeps. One query."""
    parts = partner.parts.order_by("pk").values_list("code", "name", "name_en", "num", "den")
    return _print([partner.num, partner.den, partner.valid.lower, partner.valid.upper, [list(one) for one in parts]])


def refuse_moved(facility: Facility, *, now_is: str, seen: str, actions: Iterable[str], **about: str) -> None:
    """Raise Moved, saying who changed it last and when, unless `seen` is what stands now; "" was opened on nothing."""
    if not seen or seen == now_is:
        return
    known = Record.objects.filter(subject=f"facility:{facility.code}", action__in=list(actions))
    for name, value in about.items():
        known = known.filter(**{f"data__{name}": value})
    last = known.order_by("-pk").first()
    zone = ZoneInfo(facility.zone)
    raise Moved(
        who=last.actor_label if last else "—",
        at=f"{last.at.astimezone(zone):%Y-%m-%d %H:%M}" if last else "—",
        zone=facility.zone,
    )
