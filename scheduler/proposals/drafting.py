"""Begin a proposal and keep what its team writes, whole or half-finished; the only writer of drafts, samples, requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import transaction

from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Invalid, Reason, Refused, noop
from portal.kernel.period import Period
from portal.numbers.services import next_number
from portal.organisations.models import Organisation, User
from scheduler.facilities.courses import Course, ProposalKind
from scheduler.facilities.models import Beamline, Device, Facility, Partner, PartnerPart, RunCycle
from scheduler.proposals import rules, steps
from scheduler.proposals.models import (
    BeamProposal,
    BeamRequest,
    BeamSample,
    CallForm,
    ProposalAnswer,
    ProposalCall,
    TeamMember,
)
from scheduler.proposals.words import closing

__all__ = ["Begun", "Content", "Overwritten", "RequestWanted", "SampleWanted", "Twice", "Unknown", "begin", "save"]

_ = noop

MOST_SAMPLES = 60
MOST_REQUESTS = 12
MOST_SHIFTS = 999
MOST_DATES = 120


class NotOffered(Refused):
    code = "proposal.not_offered"
    message = _("不能新建这份申请，原因如下。")


class Overwritten(Conflict):
    """Somebody of the team has saved since: nothing is lost of either."""

    code = "proposal.changed_since"
    message = _("课题组其他成员已保存了新的内容。请先刷新核对；您填写的内容没有覆盖对方的。")


class Unknown(Invalid):
    """Something named is not at this facility. `field` says which."""

    code = "proposal.unknown"
    message = _("装置没有“%(code)s”，请重新选择。")


class TooMany(Invalid):
    code = "proposal.too_many"
    message = _("条目过多：样品至多 60 种，机时申请至多 12 项，日期至多 120 个。")


class Twice(Invalid):
    """Two rows for one beamline and cycle: neither overwrites the other."""

    code = "proposal.request_twice"
    message = _("同一周期的线站 %(line)s 申请了两次。请合并为一项。")


@dataclass(frozen=True, slots=True)
class Begun:
    """What is begun: under a call, or of a kind that needs none. `partner_part`: code of the use the time goes to."""

    facility: Facility
    kind: ProposalKind
    title: str
    call: ProposalCall | None = None
    partner_part: str = ""

    def fingerprint(self, person: int) -> str:
        """Return what tells this wish of a person from another under the same key."""
        call = self.call.number if self.call else ""
        said = {"kind": self.kind.value, "call": call, "part": self.partner_part, "title": self.title}
        return idempotency.fingerprint({"facility": self.facility.code, "by": person, **said})


@dataclass(frozen=True, slots=True)
class SampleWanted:
    """A sample as the team declares it; `hazards` are codes of `rules.Hazard`."""

    name: str
    amount: str = ""
    afterwards: str = ""
    substance: str = ""
    form: str = ""
    hazards: Sequence[rules.Hazard] = ()
    handling: str = ""


@dataclass(frozen=True, slots=True)
class RequestWanted:
    """Beam time asked for: beamline and cycle by code, local days good and bad, devices by code. 0 shifts: not said yet."""

    beamline: str
    cycle: str
    shifts: int
    reason: str = ""
    good: Sequence[date] = ()
    bad: Sequence[date] = ()
    devices: Sequence[str] = ()
    setup: str = ""
    by_mail: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What is kept; None leaves a part as it is. `texts` by code of the call's form."""

    title: str | None = None
    summary: str | None = None
    urgency: str | None = None
    no_samples: bool | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    samples: Sequence[SampleWanted] | None = None
    requests: Sequence[RequestWanted] | None = None


@transaction.atomic
def begin(*, actor: Actor, wanted: Begun, now: datetime, key: str) -> BeamProposal:
    """Begin a draft; who begins it leads the team. Idempotent on (organisation, `key`).

    Raises NotOffered with every reason, NotOpen, Late, KeyReused, Forbidden.
    """
    actor.require(Permission.PROPOSAL_SUBMIT)
    organisation = Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=actor.acting_for)
    if existing := BeamProposal.objects.filter(organisation=organisation, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=wanted.fingerprint(actor.person))
        return existing
    course = steps.course_of(wanted.facility, wanted.kind.value)
    partner, part, found = _partner(wanted, organisation, now=now)
    found = [*_against(wanted, course), *found]
    if found or course is None:
        raise NotOffered(found)
    if wanted.call is not None:
        rules.check_open(_period(wanted.call), now=now, closed_at=closing(wanted.call))
    person = User.objects.get(pk=actor.person)
    made = BeamProposal.objects.create(
        number=next_number(prefix="KT", now=now),
        key=key,
        fingerprint=wanted.fingerprint(actor.person),
        facility=wanted.facility,
        call=wanted.call,
        kind=wanted.kind.value,
        organisation=organisation,
        title=wanted.title.strip(),
        group=organisation.city[:40],
        is_confidential=course.confidential,
        partner=partner,
        partner_part=part,
        created_by=person,
        created_at=now,
    )
    TeamMember.objects.create(
        proposal=made,
        name=str(person)[:60],
        email=person.email or f"user-{person.pk}@portal.invalid",
        user=person,
        organisation=organisation,
        is_leader=True,
        state=rules.InvitationState.JOINED.value,
        invited_at=now,
        answered_at=now,
    )
    steps.record(made, action="beam_proposal.begun", actor=actor, now=now, kind=made.kind)
    return made


def _period(call: ProposalCall) -> Period:
    return Period(call.during.lower, call.during.upper)


def _against(wanted: Begun, course: Course | None) -> list[Reason]:
    found = []
    if not wanted.title.strip():
        found.append(Reason("proposal.title", _("请填写题目。"), field="title"))
    if course is None:
        return [*found, Reason("proposal.kind", _("该装置不接受这类课题。"), _("请选择其他类别。"), "kind")]
    if course.peer_review and wanted.call is None:
        text = _("这类课题须在征集期内申请。")
        found.append(Reason("proposal.needs_call", text, _("请选择一次征集。"), "call"))
    if wanted.call is not None and wanted.kind.value not in wanted.call.kinds:
        text = _("这次征集不接受这类课题。")
        found.append(Reason("proposal.kind", text, _("请选择征集列出的类别；其他类别可随时申请。"), "kind"))
    if wanted.call is not None and wanted.call.facility_id != wanted.facility.pk:
        found.append(Reason("proposal.call", _("这次征集不属于该装置。"), field="call"))
    return found


def _partner(
    wanted: Begun, organisation: Organisation, *, now: datetime
) -> tuple[Partner | None, PartnerPart | None, list[Reason]]:
    if wanted.kind is not ProposalKind.PARTNER:
        return None, None, []
    today = steps.local_day(wanted.facility, now)
    every = Partner.objects.filter(
        beamline__facility=wanted.facility, organisation=organisation, valid__contains=today
    ).order_by("pk")
    # Of several agreements the one that knows the use that is named.
    held = every.filter(parts__code=wanted.partner_part).first() or every.first()
    if held is None:
        text = _("贵单位目前不是该装置的合作方。")
        return None, None, [Reason("proposal.no_partner", text, _("请选择其他课题类别。"), "kind")]
    part = held.parts.filter(code=wanted.partner_part).first()
    if part is None and (wanted.partner_part or held.parts.exists()):
        text = _("请选择合作方机时的用途。")
        return held, None, [Reason("proposal.partner_part", text, "", "partner_part")]
    return held, part, []


@transaction.atomic
def save(*, actor: Actor, proposal: BeamProposal, content: Content, version: int, now: datetime) -> BeamProposal:
    """Keep what the team wrote, finished or not; what is wrong with it is told by `services.wanting` and on sending.

    `version` is the one that was read: Raises Overwritten when somebody else has saved since, Unknown, Twice, TooMany,
    Closed, Forbidden.
    """
    locked = steps.edited(actor=actor, proposal=proposal)
    if locked.version != version:
        raise Overwritten(field="version")
    for name in ("title", "summary", "urgency", "no_samples"):
        if (value := getattr(content, name)) is not None:
            setattr(locked, name, value)
    _texts(locked, content.texts, actor=actor, now=now)
    if content.samples is not None:
        _samples(locked, content.samples)
    if content.requests is not None:
        _requests(locked, content.requests, now=now)
    locked.version += 1
    locked.save(update_fields=["title", "summary", "urgency", "no_samples", "version"])
    steps.record(locked, action="beam_proposal.saved", actor=actor, now=now, version=locked.version)
    return locked


def _texts(locked: BeamProposal, texts: Mapping[str, str], *, actor: Actor, now: datetime) -> None:
    for code, text in texts.items():
        form = CallForm.objects.filter(call_id=locked.call_id, code=code, kind=rules.FormKind.TEXT.value).first()
        if form is None:
            raise Unknown(field=f"forms.{code}", code=code)
        ProposalAnswer.objects.update_or_create(
            proposal=locked, form=form, defaults={"text": text, "by_id": actor.user_id, "at": now}
        )


def _samples(locked: BeamProposal, samples: Sequence[SampleWanted]) -> None:
    if len(samples) > MOST_SAMPLES:
        raise TooMany(field="samples")
    names = ("name", "amount", "afterwards", "substance", "form", "handling")
    locked.samples.all().delete()
    BeamSample.objects.bulk_create(
        BeamSample(
            proposal=locked,
            hazards=sorted({hazard.value for hazard in one.hazards}),
            **{name: getattr(one, name).strip() for name in names},
        )
        for one in samples
    )


def _requests(locked: BeamProposal, wanted: Sequence[RequestWanted], *, now: datetime) -> None:
    """Write what is asked for: rows are kept by beamline and cycle, so that what hangs on them stays."""
    if len(wanted) > MOST_REQUESTS or any(len(one.good) + len(one.bad) > MOST_DATES for one in wanted):
        raise TooMany(field="requests")
    lines = {one.code: one for one in Beamline.objects.filter(facility_id=locked.facility_id)}
    cycles = {one.code: one for one in RunCycle.objects.filter(facility_id=locked.facility_id)}
    devices = {one.code: one for one in Device.objects.filter(facility_id=locked.facility_id)}
    kept = []
    for at, one in enumerate(wanted):
        for name, known, code in (("beamline", lines, one.beamline), ("cycle", cycles, one.cycle)):
            if code not in known:
                raise Unknown(field=f"requests.{at}.{name}", code=code)
        if unknown := [code for code in one.devices if code not in devices]:
            raise Unknown(field=f"requests.{at}.devices", code=unknown[0])
        if (one.beamline, one.cycle) in {(row.beamline, row.cycle) for row in wanted[:at]}:
            raise Twice(field=f"requests.{at}.beamline", line=one.beamline)
        said = {
            "shifts": one.shifts,
            "off_multiple_reason": one.reason.strip(),
            "good": sorted({day.isoformat() for day in one.good}),
            "bad": sorted({day.isoformat() for day in one.bad}),
            "setup": one.setup.strip(),
            "by_mail": one.by_mail,
        }
        row, _made = BeamRequest.objects.update_or_create(
            proposal=locked,
            beamline=lines[one.beamline],
            cycle=cycles[one.cycle],
            defaults=said,
            create_defaults={**said, "created_at": now},
        )
        row.devices.set([devices[code] for code in one.devices])
        kept.append(row.pk)
    locked.requests.filter(state=rules.RequestState.OPEN.value).exclude(pk__in=kept).delete()
