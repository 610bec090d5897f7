"""Send a proposal, withdraw it, check it at the user office: the only writer of what becomes of it before review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Max

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Reason, noop
from portal.kernel.idempotency import check_key
from portal.kernel.period import Period
from scheduler.facilities.courses import ReportRule
from scheduler.facilities.models import DeviceClash, Facility
from scheduler.proposals import access, partners, rules, steps, wishes
from scheduler.proposals.models import BeamProposal, BeamRequest
from scheduler.proposals.words import closing

__all__ = [
    "Barred",
    "HasTime",
    "NotJoined",
    "NotLeader",
    "admit",
    "against",
    "arrival",
    "barred",
    "leads",
    "send_back",
    "submit",
    "wanting",
    "withdraw",
]

_ = noop

A, S = rules.BeamProposalAction, rules.BeamProposalState
HOLDING = ["offered", "scheduled", "ready", "running"]
"""States of a visit that holds its beamline, of time given in the first place or given back."""


class NotLeader(Conflict):
    code = "proposal.not_leader"
    message = _("提交和撤回须由课题负责人办理。")


class NotJoined(Conflict):
    code = "proposal.not_joined"
    message = _("课题负责人须是已加入的成员。")


class HasTime(Conflict):
    code = "proposal.has_time"
    message = _("已分配机时的申请不能撤回。请先取消实验安排，或联系用户办公室。")


class Barred(Conflict):
    code = "proposal.barred"
    message = _("本单位目前被暂停申请资格，不能接受机时。请联系主管部门；谢绝仍可办理。")


def against(*, proposal: BeamProposal, now: datetime) -> list[Reason]:
    """Return what keeps an applicant from being given time or from a contract: that it may not apply now."""
    return [rules.barred(_("请联系主管部门。"))] if barred(proposal=proposal, now=now) else []


def barred(*, proposal: BeamProposal, now: datetime) -> bool:
    """Say whether the applicant may not apply: listed as barred or suspended, or barred until a day not yet over."""
    facts = proposal.organisation.facts
    today = steps.local_day(proposal.facility, now)
    until = str(facts.get("barred_until", ""))
    return any(facts.get(name) is True for name in ("barred", "suspended", "dishonest")) or until >= today.isoformat()


def _days(request: BeamRequest, zone: ZoneInfo) -> tuple[date, date]:
    """Return the first local day of a request's cycle and the day after its last."""
    first, end = (moment.astimezone(zone) for moment in (request.cycle.during.lower, request.cycle.during.upper))
    whole = not any((end.hour, end.minute, end.second))
    return first.date(), end.date() if whole else end.date() + timedelta(days=1)


def _wishes(proposal: BeamProposal) -> list[wishes.Wish]:
    zone = ZoneInfo(proposal.facility.zone)
    rows = list(
        proposal.requests.select_related("beamline", "cycle")
        .prefetch_related("devices__fits")
        .filter(state=rules.RequestState.OPEN.value)
    )
    wanted = {device.pk for row in rows for device in row.devices.all()}
    clashes = list(DeviceClash.objects.filter(one__in=wanted, two__in=wanted).select_related("one", "two"))
    made = []
    for row in rows:
        devices = {device.pk: device for device in row.devices.all()}
        clashing = {
            code
            for pair in clashes
            if pair.one_id in devices and pair.two_id in devices
            for code in (pair.one.code, pair.two.code)
        }
        unfit = [
            device.code
            for device in devices.values()
            if row.beamline_id not in {fit.beamline_id for fit in device.fits.all()}
        ]
        made.append(
            wishes.Wish(
                beamline=row.beamline.code,
                cycle=row.cycle.code,
                shifts=row.shifts,
                why=row.off_multiple_reason,
                good=[date.fromisoformat(day) for day in row.good],
                bad=[date.fromisoformat(day) for day in row.bad],
                days=_days(row, zone),
                clashing=tuple(sorted(clashing)),
                unfit=tuple(sorted(unfit)),
            )
        )
    return made


def _submission(proposal: BeamProposal, asked: Sequence[wishes.Wish], *, now: datetime) -> rules.Submission:
    empty = [name for name in ("title", "summary") if not getattr(proposal, name).strip()]
    if proposal.kind == "urgent" and not proposal.urgency.strip():
        empty.append("urgency")
    samples = list(proposal.samples.all())
    for at, sample in enumerate(samples):
        empty += [f"samples.{at}.{name}" for name in ("name", "amount", "afterwards") if not getattr(sample, name)]
        if sample.hazards and not sample.handling:
            empty.append(f"samples.{at}.handling")
    answered = {one.form_id for one in proposal.answers.all() if one.file or one.text.strip()}
    forms = list(proposal.call.forms.all()) if proposal.call else []
    team = list(proposal.team.all())
    least, most = (proposal.call.least_shifts, proposal.call.most_shifts) if proposal.call else (1, 0)
    numbers = [one.shifts for one in asked]
    beyond = [number for number in numbers if number < least or (most and number > most)]
    return rules.Submission(
        empty=tuple(empty),
        missing_forms=tuple(form.code for form in forms if form.required and form.pk not in answered),
        unanswered=tuple(one.name for one in team if one.state == rules.InvitationState.INVITED.value),
        has_leader=any(one.is_leader and one.state == rules.InvitationState.JOINED.value for one in team),
        shifts=(beyond or numbers or [0])[0],
        least=least,
        most=most,
        samples=1 if proposal.no_samples else len(samples),
        is_barred=barred(proposal=proposal, now=now),
    )


def _named(reason: Reason, proposal: BeamProposal) -> Reason:
    """Return a reason that calls a form by its name instead of its code."""
    if reason.code != "proposal.form_missing" or proposal.call is None:
        return reason
    names = {form.code: form.name for form in proposal.call.forms.all()}
    return replace(reason, params={"form": names[str(reason.params["form"])]})


def _long(proposal: BeamProposal) -> list[Reason]:
    """Return what is over the length a form of the call takes: drafts keep it all."""
    found = []
    for answer in proposal.answers.select_related("form"):
        if answer.form.kind == rules.FormKind.TEXT.value and len(answer.text) > answer.form.letters:
            text = _("“%(form)s”有 %(letters)s 字，最多 %(most)s 字。")
            params = {"form": answer.form.name, "letters": len(answer.text), "most": answer.form.letters}
            found.append(Reason("proposal.text_long", text, _("请删减。"), f"forms.{answer.form.code}", params))
    return found


def _cycles(proposal: BeamProposal, asked: Sequence[BeamRequest], *, now: datetime) -> list[Reason]:
    """Under a call time is asked of the call's cycle only, else of a cycle that is neither over nor closed."""
    found = []
    for at, one in enumerate(asked):
        code = {"cycle": one.cycle.code}
        if proposal.call is not None and one.cycle_id != proposal.call.cycle_id:
            text, remedy = _("这次征集不分配运行周期 %(cycle)s 的机时。"), _("请改为 %(wanted)s。")
            wanted = {**code, "wanted": proposal.call.cycle.code}
            found.append(Reason("proposal.cycle", text, remedy, f"requests.{at}.cycle", wanted))
        elif one.cycle.during.upper <= now or one.cycle.closed_at is not None:
            text = _("运行周期 %(cycle)s 已经结束。")
            found.append(Reason("proposal.cycle", text, _("请选择以后的周期。"), f"requests.{at}.cycle", code))
    return found


def wanting(
    *, proposal: BeamProposal, past: Sequence[rules.PastVisit], now: datetime
) -> tuple[list[Reason], list[str]]:
    """Return everything that keeps a proposal from being sent, and the visits whose report is owed and only told (E9).

    Whether its call is open is not among them.
    """
    asked = _wishes(proposal)
    owed = rules.reports_owed(past, now=now)
    rule = ReportRule(proposal.facility.report_rule)
    found, told = rules.missing(_submission(proposal, asked, now=now), owed=owed, rule=rule)
    found = [_named(reason, proposal) for reason in found]
    found += wishes.wrong(asked, multiple=proposal.facility.multiple)
    open_ = list(proposal.requests.filter(state=rules.RequestState.OPEN.value).select_related("cycle__facility"))
    found += [
        *_cycles(proposal, open_, now=now),
        *partners.wrong(proposal, open_, today=steps.local_day(proposal.facility, now)),
    ]
    return [*found, *_long(proposal)], told


@transaction.atomic
def submit(
    *,
    actor: Actor,
    proposal: BeamProposal,
    past: Sequence[rules.PastVisit],
    now: datetime,
    key: str,
) -> BeamProposal:
    """Send a proposal, as its leader. `past` are ended visits of the team, for reports owed. Sent twice it is sent once.

    What came in time and was returned may be sent again after the call has closed; it keeps its place in the order of
    arrival. Raises NotReady with every reason, NotOpen, Late (a second late is late; the draft stays), NotLeader,
    Forbidden, InvalidTransition.
    """
    check_key(key)
    actor.require(Permission.PROPOSAL_SUBMIT)
    locked = steps.lock(proposal)
    leads(actor=actor, locked=locked)
    if locked.state == S.SUBMITTED.value:
        return locked
    steps.move(locked, A.SUBMIT)
    first = locked.sent_at is None
    if first and locked.call is not None:
        during = Period(locked.call.during.lower, locked.call.during.upper)
        rules.check_open(during, now=now, closed_at=closing(locked.call))
    if locked.partner_id is not None:
        # Two for the same use sent at once: the second sees what the first asks for.
        Facility.objects.select_for_update(no_key=True).order_by("pk").get(pk=locked.facility_id)
    reasons, told = wanting(proposal=locked, past=past, now=now)
    if reasons:
        raise rules.NotReady(reasons)
    locked.owed = told
    if first:
        locked.sent_at, locked.sent_order = now, arrival(facility=locked.facility)
    locked.return_note = ""
    locked.save(update_fields=["state", "owed", "sent_at", "sent_order", "return_note"])
    steps.record(locked, action="beam_proposal.sent", actor=actor, now=now, order=locked.sent_order, owed=told)
    return locked


def arrival(*, facility: Facility) -> int:
    """Return the next place in a facility's order of arrival; call in the transaction that takes it."""
    Facility.objects.select_for_update(no_key=True).order_by("pk").get(pk=facility.pk)
    last = BeamProposal.objects.filter(facility=facility).aggregate(last=Max("sent_order"))["last"]
    return int(last or 0) + 1


def leads(*, actor: Actor, locked: BeamProposal) -> None:
    """Let a team's leader on. Raises Forbidden for who is not of the team, NotLeader for who does not lead it."""
    member = access.membership(actor, locked)
    if member is None:
        raise Forbidden
    if not member.is_leader:
        raise NotLeader


@transaction.atomic
def withdraw(*, actor: Actor, proposal: BeamProposal, now: datetime, note: str = "") -> BeamProposal:
    """Withdraw a proposal and what it asks for, as its leader. Twice changes nothing.

    Raises HasTime once shifts were allocated, NotLeader, InvalidTransition, Forbidden.
    """
    actor.require(Permission.PROPOSAL_SUBMIT)
    locked = steps.lock(proposal)
    leads(actor=actor, locked=locked)
    if locked.state == S.WITHDRAWN.value:
        return locked
    steps.move(locked, A.WITHDRAW)
    rows = list(locked.requests.select_for_update(no_key=True, of=("self",)).order_by("pk"))
    standing = locked.requests.filter(allocations__visits__state__in=HOLDING)
    if standing.exists() or any(row.state == rules.RequestState.ALLOCATED.value for row in rows):
        raise HasTime
    for row in rows:
        if (rules.RequestState(row.state), rules.RequestAction.WITHDRAW) in rules.REQUEST_TRANSITIONS:
            steps.move_request(row, rules.RequestAction.WITHDRAW)
    locked.return_note = note.strip()[: steps.NOTE]
    locked.save(update_fields=["state", "return_note"])
    steps.record(locked, action="beam_proposal.withdrawn", actor=actor, now=now)
    return locked


def _office(actor: Actor, proposal: BeamProposal) -> BeamProposal:
    actor.require(Permission.FACILITY_MANAGE)
    locked = steps.lock(proposal)
    if locked.facility.owner_id != actor.organisation_id:
        raise Forbidden
    return locked


@transaction.atomic
def admit(*, actor: Actor, proposal: BeamProposal, now: datetime) -> BeamProposal:
    """Pass a proposal on to the staff who look at feasibility and safety, as the user office. Twice changes nothing."""
    locked = _office(actor, proposal)
    if locked.state == S.ADMITTED.value:
        return locked
    steps.move(locked, A.ADMIT)
    locked.save(update_fields=["state"])
    steps.record(locked, action="beam_proposal.admitted", actor=actor, now=now)
    steps.tell(
        locked,
        [Reason("proposal.admitted", _("已通过形式审查，进入可行性与安全审查。"))],
        key=f"admitted:{now.isoformat()}",
        now=now,
    )
    return locked


@transaction.atomic
def send_back(*, actor: Actor, proposal: BeamProposal, note: str, now: datetime) -> BeamProposal:
    """Return a proposal to its team with what is to be mended, as the user office. Raises NoteMissing, Forbidden."""
    locked = _office(actor, proposal)
    note = steps.noted(note)
    if locked.state == S.RETURNED.value and locked.return_note == note:
        return locked
    steps.move(locked, A.RETURN)
    locked.return_note = note
    locked.version += 1
    locked.save(update_fields=["state", "return_note", "version"])
    steps.record(locked, action="beam_proposal.returned", actor=actor, now=now)
    steps.tell(
        locked,
        [Reason("proposal.returned", _("申请已退回修改，原因见申请页面。"), _("修改后请重新提交。"))],
        key=f"returned:{now.isoformat()}",
        now=now,
    )
    return locked
