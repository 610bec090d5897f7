"""Set up facilities: what they say of themselves, kinds of proposals, shares, partners; the only writer of those tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateRange
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Invalid, NotFound, Reason, noop
from portal.organisations.models import Organisation
from scheduler.facilities import access, queries, seen, shares, values
from scheduler.facilities import courses as kinds
from scheduler.facilities.courses import Course, ProposalKind
from scheduler.facilities.models import Beamline, Facility, FacilityCourse, Partner, PartnerPart, PoolShare
from scheduler.facilities.ports import GradesStand, ShiftsPromised
from scheduler.facilities.values import FacilityValues
from scheduler.resources import facility_things
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = [
    "CodeTaken",
    "GridInUse",
    "PartnerOverlaps",
    "PartnerTerms",
    "ScaleInUse",
    "change_facility",
    "create_facility",
    "follow_grid",
    "lock",
    "partner_refusals",
    "record",
    "set_courses",
    "set_partner",
    "set_shares",
    "show",
]

_ = noop
P = Permission


class CodeTaken(Conflict):
    code = "facility.code_taken"
    message = _("代码“%(code)s”已被使用，请另选一个。")


SCALE = ("lowest_c", "highest_c", "step_c", "best")
"""What a grade means: its bounds, its steps, and which end is the better one."""


class ScaleInUse(Conflict):
    """What was graded on one scale would be ranked on another."""

    code = "facility.scale_in_use"
    message = _("已有 %(number)s 项申请按现在的评分尺度评分、尚待分配，不能改变尺度或方向。请待本轮分配结束后再改。")


class GridInUse(Conflict):
    code = "facility.grid_in_use"
    message = _(
        "已有 %(number)s 项机时按现在的班次申请、分配或排定，不能改变班次的时区、开始时间或时长。请待这些机时结束后再改。"
    )


class PartnerOverlaps(Conflict):
    code = "facility.partner_overlaps"
    message = _("该单位在这条线站上已有日期重叠的合作份额。请先修改那一份，或避开它的日期。")


class PartnerTooMuch(Invalid):
    code = "facility.partner_share"
    message = _("同期合作方份额合计为 %(total)s，不能超过 100%%。请减少份额。")


def record(facility: Facility, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write down an act of a facility's staff."""
    audit.record(action=action, subject=f"facility:{facility.code}", actor=actor, now=now, data=data)


def lock(actor: Actor, facility: Facility, *permissions: Permission) -> Facility:
    """Lock a facility for one who works there by one of `permissions`. Raises Forbidden."""
    access.require_own(actor, facility, *permissions)
    return (
        Facility.objects.select_for_update(no_key=True, of=("self",))
        .select_related("owner")
        .order_by("pk")
        .get(pk=facility.pk)
    )


@transaction.atomic
def create_facility(*, actor: Actor, code: str, said: FacilityValues, now: datetime) -> Facility:
    """Enter a facility of the actor's organisation, not yet published. Raises BadFacility, CodeTaken, Forbidden."""
    actor.require(P.FACILITY_MANAGE)
    if wrong := values.code_refusals(code):
        raise values.BadFacility(wrong)
    values.check(said)
    assert actor.organisation_id is not None
    made = Facility(owner_id=actor.organisation_id, code=code, **_columns(said))
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError as error:
        if "facility_code" not in str(error):
            raise
        raise CodeTaken(field="code", code=code) from None
    record(made, action="facility.created", actor=actor, now=now)
    return made


def _columns(said: FacilityValues) -> dict[str, Any]:
    return {**asdict(said), "shift_names": [name.strip() for name in said.shift_names]}


@transaction.atomic
def change_facility(
    *, actor: Actor, facility: Facility, said: FacilityValues, now: datetime, opened_on: str = ""
) -> Facility:
    """Change what a facility says of itself. `opened_on` is the fingerprint of what was read (`seen.of_facility`).

    Raises BadFacility; ScaleInUse where grades of today's scale wait for a decision; GridInUse where time to come was
    asked for, quoted or given by other shifts, placed or not; Moved
    where it changed since; Forbidden.
    """
    locked = lock(actor, facility, P.FACILITY_MANAGE)
    values.check(said)
    seen.refuse_moved(locked, now_is=seen.of_facility(locked), seen=opened_on, actions=["facility.changed"])
    before, after = queries.grid_of(locked), said.grid()
    if (before.zone, before.first_min, before.length_min) != (after.zone, after.first_min, after.length_min):
        promised = cast(ShiftsPromised, import_string(settings.SHIFTS_PROMISED))
        taken = len(queries.held(locked, since=now)) + promised(locked.pk, now=now)
        if taken:
            raise GridInUse(field="length_min", number=taken)
    columns = _columns(said)
    if any(getattr(locked, name) != columns[name] for name in SCALE):
        standing = cast(GradesStand, import_string(settings.GRADES_STAND))
        if graded := standing(locked.pk, now=now):
            raise ScaleInUse(field="best", number=graded)
    for name, value in columns.items():
        setattr(locked, name, value)
    locked.save()
    follow_grid(facility=locked)
    record(locked, action="facility.changed", actor=actor, now=now)
    return locked


def shifts_of(*, facility: Facility) -> facility_things.Shifts:
    """Return how the time of a facility's beamlines is cut."""
    return facility_things.Shifts(
        zone=facility.zone,
        from_s=facility.first_min * 60,
        length_s=facility.length_min * 60,
        multiple=facility.multiple,
        ahead_s=facility.market_days * 86400,
    )


def follow_grid(*, facility: Facility) -> None:
    """Let every beamline and device of a locked facility follow its shifts, in the transaction that changed them."""
    things = Resource.objects.filter(beamline__facility=facility) | Resource.objects.filter(device__facility=facility)
    pks = sorted(things.values_list("pk", flat=True))
    resources.lock(resource_ids=pks)
    for resource in Resource.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk"):
        facility_things.cut(resource, shifts_of(facility=facility))


@transaction.atomic
def show(*, actor: Actor, facility: Facility, shown: bool, now: datetime) -> Facility:
    """Publish a facility, or take it off the public pages. Idempotent."""
    locked = lock(actor, facility, P.FACILITY_MANAGE)
    if locked.is_published != shown:
        locked.is_published = shown
        locked.save(update_fields=["is_published"])
        record(locked, action="facility.shown" if shown else "facility.hidden", actor=actor, now=now)
    return locked


@transaction.atomic
def set_courses(
    *,
    actor: Actor,
    facility: Facility,
    courses: Mapping[ProposalKind, Course],
    now: datetime,
    opened_on: str = "",
) -> None:
    """Say which kinds of proposals are taken, and how each goes; a kind left out is not offered any more.

    `opened_on` is the fingerprint of what was read (`seen.of_courses`). Raises BadFacility, Moved, Forbidden.
    """
    locked = lock(actor, facility, P.FACILITY_MANAGE)
    if wrong := kinds.refusals(courses):
        raise values.BadFacility(wrong)
    seen.refuse_moved(locked, now_is=seen.of_courses(locked), seen=opened_on, actions=["facility.courses_set"])
    FacilityCourse.objects.filter(facility=locked).delete()
    FacilityCourse.objects.bulk_create(
        FacilityCourse(facility=locked, kind=kind.value, **{**asdict(course), "pool": course.pool.value})
        for kind, course in courses.items()
    )
    record(locked, action="facility.courses_set", actor=actor, now=now, kinds=sorted(kind.value for kind in courses))


@transaction.atomic
def set_shares(
    *,
    actor: Actor,
    facility: Facility,
    said: Mapping[shares.Pool, Fraction],
    beamline: Beamline | None = None,
    now: datetime,
    opened_on: str = "",
) -> None:
    """Say who has which share of the time: of one beamline, or of all that say nothing of their own.

    An empty mapping for a beamline lets it follow the facility again. `opened_on` is the fingerprint of what was read
    (`seen.of_shares`). Raises BadShares unless they are the whole, Moved, Forbidden.
    """
    locked = lock(actor, facility, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    if beamline is not None and beamline.facility_id != locked.pk:
        raise NotFound(field="beamline")
    if said or beamline is None:
        shares.check_shares(said)
    stands, at = seen.of_shares(locked, beamline), beamline.code if beamline else ""
    seen.refuse_moved(locked, now_is=stands, seen=opened_on, actions=["facility.shares_set"], beamline=at)
    PoolShare.objects.filter(facility=locked, beamline=beamline).delete()
    PoolShare.objects.bulk_create(
        PoolShare(facility=locked, beamline=beamline, pool=pool.value, num=share.numerator, den=share.denominator)
        for pool, share in said.items()
        if share
    )
    record(
        locked,
        action="facility.shares_set",
        actor=actor,
        now=now,
        beamline=at,
        shares={pool.value: f"{float(share):.4g}" for pool, share in said.items()},
    )


@dataclass(frozen=True, slots=True)
class PartnerTerms:
    """What a partner keeps of a beamline's time, on local days `since` to `until` (inclusive; None: without end).

    `parts` are the uses it may go to: code, name, English name, and which part at most (E5).
    """

    share: Fraction
    since: date
    until: date | None = None
    parts: tuple[tuple[str, str, str, Fraction], ...] = ()


@transaction.atomic
def set_partner(
    *,
    actor: Actor,
    beamline: Beamline,
    organisation: Organisation,
    terms: PartnerTerms,
    now: datetime,
    partner: Partner | None = None,
    opened_on: str = "",
) -> Partner:
    """Give an organisation a partner's share of a beamline, or change the one it has.

    `opened_on` is the fingerprint of what was read (`seen.of_partner`). Raises PartnerOverlaps; PartnerTooMuch where all
    partners of a day would keep more than there is; BadShares, Moved, Forbidden.
    """
    locked = lock(actor, beamline.facility, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    if wrong := partner_refusals(terms=terms):
        raise shares.BadShares(wrong)
    if partner is not None:
        stands = seen.of_partner(Partner.objects.get(pk=partner.pk))
        actions = ["facility.partner_set"]
        seen.refuse_moved(locked, now_is=stands, seen=opened_on, actions=actions, beamline=beamline.code)
    made = partner or Partner(beamline=beamline, organisation=organisation)
    made.num, made.den = terms.share.numerator, terms.share.denominator
    made.valid = DateRange(terms.since, terms.until, "[]" if terms.until else "[)")
    others = Partner.objects.filter(beamline=beamline, valid__overlap=made.valid).exclude(pk=made.pk)
    total = terms.share + sum((Fraction(one.num, one.den) for one in others), Fraction(0))
    if total > 1:
        raise PartnerTooMuch(field="share", total=f"{float(total) * 100:g}%")
    try:
        with transaction.atomic():
            made.save()
    except IntegrityError as error:
        if "partner_no_overlap" not in str(error):
            raise
        raise PartnerOverlaps(field="since") from None
    made.parts.all().delete()
    PartnerPart.objects.bulk_create(
        PartnerPart(partner=made, code=code, name=name, name_en=name_en, num=most.numerator, den=most.denominator)
        for code, name, name_en, most in terms.parts
    )
    record(locked, action="facility.partner_set", actor=actor, now=now, beamline=beamline.code)
    return made


def partner_refusals(*, terms: PartnerTerms) -> list[Reason]:
    """Say everything that is wrong with what a partner is to keep; a use's limit stands at ``parts.code``."""
    found = []
    if not 0 < terms.share <= 1:
        found.append(Reason("facility.share_range", _("份额须在 0 到 100% 之间。"), "", "share"))
    if terms.until is not None and terms.until < terms.since:
        found.append(Reason("facility.partner_dates", _("截止日期不能早于起始日期。"), "", "until"))
    codes = [code for code, *_rest in terms.parts]
    if len(codes) != len(set(codes)):
        found.append(Reason("facility.partner_codes", _("用途代码不能重复。"), "", "parts"))
    found += [
        Reason("facility.share_range", _("份额须在 0 到 100% 之间。"), "", f"parts.{code}")
        for code, _name, _name_en, most in terms.parts
        if not 0 < most <= 1
    ]
    return found
