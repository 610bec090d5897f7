"""Endpoints of large facilities: what they offer, and how their user office sets them up."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from django.db.models import Prefetch
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.organisations.models import Organisation
from portal.wire import ActorRequest, Cursor, PageOut, paged, problems
from scheduler.facilities import access, beamlines, cycles, queries, schemas, services
from scheduler.facilities.courses import Course
from scheduler.facilities.models import DeviceFit, Facility
from scheduler.resources import queries as prices

router = Router(tags=["facilities"])

P = Permission
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
WHOLE = 10_000


def _own(request: ActorRequest, code: str) -> Facility:
    return access.get_own(request.actor, code, P.FACILITY_MANAGE)


def _detail(request: ActorRequest, code: str) -> dict[str, Any]:
    row = access.get_facility(request.actor, code)
    lines = list(access.beamlines_of(request.actor, row))
    fits = Prefetch("fits", DeviceFit.objects.select_related("beamline"))
    devices = access.devices_of(request.actor, row).prefetch_related(fits)
    hourly = prices.rates_of_resources([line.pk for line in lines], at=timezone.now())
    said = queries.shares_of(row).get(None, {})
    names = ("summary", "summary_en", "zone", "first_min", "length_min", "shift_names", "multiple", "market_days")
    return {
        **schemas.facility_out(row),
        **{name: getattr(row, name) for name in names},
        "kinds": sorted(queries.courses_of(row)),
        "shares": {pool: int(share * WHOLE) for pool, share in said.items()},
        "beamlines": [schemas.beamline_out(line, hourly) for line in lines],
        "devices": [schemas.device_out(device) for device in devices],
        "cycles": [schemas.cycle_out(cycle) for cycle in row.cycles.all()[:24]],
    }


@router.get("", response={200: PageOut[schemas.FacilityOut], **problems()})
def list_facilities(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List facilities; to those who work at one, its drafts too."""
    return paged(access.visible_to(request.actor), wanted, schemas.facility_out)


@router.post("", response={201: schemas.FacilityDetailOut, **problems(409)})
def create_facility(request: ActorRequest, payload: schemas.NewFacilityIn) -> Status[dict[str, Any]]:
    """Enter a facility of one's organisation; it is shown once it is published."""
    services.create_facility(actor=request.actor, code=payload.code, said=payload.said(), now=timezone.now())
    return Status(201, _detail(request, payload.code))


@router.get("/{code}", response={200: schemas.FacilityDetailOut, **problems(404)})
def get_facility(request: ActorRequest, code: schemas.Code) -> dict[str, Any]:
    """Return a facility with its beamlines, devices, cycles, kinds of proposals and shares (hundredths of a per cent)."""
    return _detail(request, code)


@router.put("/{code}", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def change_facility(request: ActorRequest, code: schemas.Code, payload: schemas.FacilityIn) -> dict[str, Any]:
    """Change what a facility says of itself; its shifts stay while time to come was given by them."""
    services.change_facility(actor=request.actor, facility=_own(request, code), said=payload.said(), now=timezone.now())
    return _detail(request, code)


@router.post("/{code}/show", response={200: schemas.FacilityDetailOut, **problems(404)})
def show_facility(request: ActorRequest, code: schemas.Code, payload: schemas.ShownIn) -> dict[str, Any]:
    """Put a facility on the public pages, or take it off."""
    services.show(actor=request.actor, facility=_own(request, code), shown=payload.shown, now=timezone.now())
    return _detail(request, code)


@router.put("/{code}/courses", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def set_courses(request: ActorRequest, code: schemas.Code, payload: schemas.CoursesIn) -> dict[str, Any]:
    """Say which kinds of proposals are taken and how each goes."""
    said = {one.kind: Course(**one.model_dump(exclude={"kind"})) for one in payload.courses}
    services.set_courses(actor=request.actor, facility=_own(request, code), courses=said, now=timezone.now())
    return _detail(request, code)


@router.put("/{code}/shares", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def set_shares(request: ActorRequest, code: schemas.Code, payload: schemas.PoolSharesIn) -> dict[str, Any]:
    """Say who has which share of the time; together they are all of it."""
    facility = access.get_own(request.actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    services.set_shares(
        actor=request.actor,
        facility=facility,
        said={pool: Fraction(part, WHOLE) for pool, part in payload.shares.items()},
        beamline=access.get_beamline(facility, payload.beamline) if payload.beamline else None,
        now=timezone.now(),
    )
    return _detail(request, code)


@router.post("/{code}/beamlines", response={201: schemas.FacilityDetailOut, **problems(404, 409)})
def enter_beamline(request: ActorRequest, code: schemas.Code, payload: schemas.NewBeamlineIn) -> Status[dict[str, Any]]:
    """Enter a beamline; it is found and booked once it has a price and is shown."""
    facility = _own(request, code)
    beamlines.enter_beamline(
        actor=request.actor,
        facility=facility,
        code=payload.code,
        said=payload.thing(facility),
        terms=_terms(payload),
        now=timezone.now(),
    )
    return Status(201, _detail(request, code))


def _terms(payload: schemas.BeamlineIn) -> beamlines.LineTerms:
    return beamlines.LineTerms(payload.techniques, payload.changeover_shifts, payload.needs_operator)


@router.put("/{code}/beamlines/{line}", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def change_beamline(
    request: ActorRequest, code: schemas.Code, line: schemas.Code, payload: schemas.BeamlineIn
) -> dict[str, Any]:
    """Change what is said of a beamline."""
    facility = _own(request, code)
    beamlines.change_beamline(
        actor=request.actor,
        beamline=access.get_beamline(facility, line),
        said=payload.thing(facility),
        terms=_terms(payload),
        now=timezone.now(),
    )
    return _detail(request, code)


@router.put("/{code}/beamlines/{line}/price", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def price_beamline(
    request: ActorRequest, code: schemas.Code, line: schemas.Code, payload: schemas.HourlyIn
) -> dict[str, Any]:
    """Say what an hour costs enterprises from now on."""
    found = access.get_beamline(_own(request, code), line)
    beamlines.price_beamline(actor=request.actor, beamline=found, hourly=payload.hourly.value(), now=timezone.now())
    return _detail(request, code)


@router.post("/{code}/beamlines/{line}/show", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def show_beamline(
    request: ActorRequest, code: schemas.Code, line: schemas.Code, payload: schemas.ShownIn
) -> dict[str, Any]:
    """Show a beamline in the catalogue, or suspend it."""
    found = access.get_beamline(_own(request, code), line)
    beamlines.publish(actor=request.actor, beamline=found, shown=payload.shown, now=timezone.now())
    return _detail(request, code)


@router.post("/{code}/beamlines/{line}/partners", response={201: schemas.FacilityDetailOut, **problems(404, 409)})
def add_partner(
    request: ActorRequest, code: schemas.Code, line: schemas.Code, payload: schemas.PartnerIn
) -> Status[dict[str, Any]]:
    """Give an organisation (by its credit code) a partner's share of a beamline."""
    found = access.get_beamline(access.get_own(request.actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE), line)
    organisation = Organisation.objects.filter(credit_code=payload.organisation).first()
    if organisation is None:
        raise NotFound(field="organisation")
    services.set_partner(
        actor=request.actor, beamline=found, organisation=organisation, terms=_kept(payload), now=timezone.now()
    )
    return Status(201, _detail(request, code))


def _kept(payload: schemas.PartnerTermsIn) -> services.PartnerTerms:
    return services.PartnerTerms(
        share=Fraction(payload.share, WHOLE),
        since=payload.since,
        until=payload.until,
        parts=tuple((one.code, one.name, one.name_en, Fraction(one.most, WHOLE)) for one in payload.uses),
    )


@router.get("/{code}/beamlines/{line}/partners", response={200: list[schemas.PartnerOut], **problems(404)})
def list_partners(request: ActorRequest, code: schemas.Code, line: schemas.Code) -> list[dict[str, Any]]:
    """List, to the facility's staff, who has a partner's share of a beamline, with its uses."""
    found = access.get_beamline(access.get_own(request.actor, code), line)
    return [schemas.partner_out(row) for row in access.partners_of(found)]


@router.put("/{code}/beamlines/{line}/partners/{partner_id}", response={200: schemas.PartnerOut, **problems(404, 409)})
def change_partner(
    request: ActorRequest, code: schemas.Code, line: schemas.Code, partner_id: Id, payload: schemas.PartnerTermsIn
) -> dict[str, Any]:
    """Change what a partner keeps of a beamline; to end it, say its last day."""
    found = access.get_beamline(access.get_own(request.actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE), line)
    partner = access.get_partner(found, partner_id)
    services.set_partner(
        actor=request.actor,
        beamline=found,
        organisation=partner.organisation,
        terms=_kept(payload),
        now=timezone.now(),
        partner=partner,
    )
    return schemas.partner_out(access.get_partner(found, partner_id))


@router.post("/{code}/devices", response={201: schemas.FacilityDetailOut, **problems(404, 409)})
def enter_device(request: ActorRequest, code: schemas.Code, payload: schemas.NewDeviceIn) -> Status[dict[str, Any]]:
    """Enter a device or sample environment."""
    facility = _own(request, code)
    said = payload.thing(facility)
    beamlines.enter_device(actor=request.actor, facility=facility, code=payload.code, said=said, now=timezone.now())
    return Status(201, _detail(request, code))


@router.put("/{code}/devices/{device}", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def change_device(
    request: ActorRequest, code: schemas.Code, device: schemas.Code, payload: schemas.DeviceIn
) -> dict[str, Any]:
    """Change what is said of a device, on which beamlines it can be used and which devices cannot be with it."""
    facility = _own(request, code)
    beamlines.change_device(
        actor=request.actor,
        device=access.get_device(facility, device),
        said=payload.thing(facility),
        fits=beamlines.DeviceFits(
            tuple(access.get_beamline(facility, one) for one in payload.beamlines),
            tuple(access.get_device(facility, one) for one in payload.clashes),
        ),
        now=timezone.now(),
    )
    return _detail(request, code)


@router.put("/{code}/devices/{device}/fits", response={200: schemas.FacilityDetailOut, **problems(404, 409)})
def fit_device(
    request: ActorRequest, code: schemas.Code, device: schemas.Code, payload: schemas.DeviceFitsIn
) -> dict[str, Any]:
    """Say on which beamlines a device can be used and which devices cannot be with it."""
    facility = _own(request, code)
    beamlines.fit_device(
        actor=request.actor,
        device=access.get_device(facility, device),
        fits=[access.get_beamline(facility, one) for one in payload.beamlines],
        clashes=[access.get_device(facility, one) for one in payload.clashes],
        now=timezone.now(),
    )
    return _detail(request, code)


@router.post("/{code}/cycles", response={201: schemas.PlanOut, **problems(404, 409)})
def create_cycle(request: ActorRequest, code: schemas.Code, payload: schemas.CycleIn) -> Status[dict[str, Any]]:
    """Enter a run cycle; users have no beam before it has a machine plan."""
    made = cycles.create_cycle(
        actor=request.actor,
        facility=access.get_own(request.actor, code, P.FACILITY_MANAGE, P.BEAMTIME_PLAN),
        code=payload.code,
        during=payload.during.value(),
        now=timezone.now(),
    )
    return Status(201, schemas.plan_out(made))


@router.get("/{code}/cycles/{cycle}", response={200: schemas.PlanOut, **problems(404)})
def get_cycle(request: ActorRequest, code: schemas.Code, cycle: schemas.Code) -> dict[str, Any]:
    """Return a run cycle with its machine plan."""
    return schemas.plan_out(access.get_cycle(access.get_facility(request.actor, code), cycle))
