"""Ask for technical service, decline, cancel, stop; with ``quoting`` and ``delivering`` the only writer of engagements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from django.db import transaction

from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, Refused, noop
from portal.numbers.services import next_number
from scheduler.engagements import rules, steps, telling
from scheduler.engagements.models import Engagement
from scheduler.messages.rules import MessageKind
from scheduler.resources.models import Resource
from scheduler.resources.rules import PublishState

_ = noop

A = rules.EngagementAction


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; only the two parties read it. `wanted_by` is a local day of the lab."""

    resource: Resource
    title: str
    description: str
    wanted: str
    wanted_by: date

    def fingerprint(self) -> str:
        said = {"title": self.title, "description": self.description, "wanted": self.wanted}
        return idempotency.fingerprint(
            {"resource": self.resource.number, **said, "wanted_by": self.wanted_by.isoformat()}
        )


def _reasons(wanted: Wanted, *, actor: Actor, now: datetime) -> list[Reason]:
    reasons: list[Reason] = []
    if wanted.resource.state != PublishState.PUBLISHED.value:
        reasons.append(Reason("instrument.suspended", _("该仪器暂停服务。"), _("请选择其他仪器。"), field="instrument"))
    elif not steps.is_offered(wanted.resource):
        reasons.append(
            Reason(
                "engagement.not_offered",
                _("这里不提供技术服务项目。"),
                _("请选择概念验证服务、中试线或提供实验技术服务的仪器。"),
                field="instrument",
            )
        )
    if wanted.resource.owner_id == actor.organisation_id:
        reasons.append(Reason("engagement.own", _("贵单位是服务提供单位，不能向自己委托。"), field="instrument"))
    for field, most, text in (
        ("title", 120, _("请填写服务名称（120 字以内）。")),
        ("description", 2000, _("请写明需求（2000 字以内）。")),
        ("wanted", 1000, _("请写明期望成果（1000 字以内）。")),
    ):
        if not 1 <= len(getattr(wanted, field).strip()) <= most:
            reasons.append(Reason(f"engagement.{field}", text, field=field))
    today = steps.local_day(wanted.resource, now)
    if not today <= wanted.wanted_by <= today + rules.LONGEST:
        reasons.append(
            Reason(
                "engagement.wanted_by",
                _("期望完成日期须在今天之后、五年以内。"),
                _("请核对日期。"),
                field="wanted_by",
            )
        )
    return reasons


@transaction.atomic
def request(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> Engagement:
    """Ask a lab for technical service; nothing is held before a quote is accepted.

    Idempotent on (organisation, `key`). Raises Refused with *all* reasons, KeyReused, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    print_ = wanted.fingerprint()
    resource = Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=wanted.resource.pk)
    if existing := Engagement.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    if reasons := _reasons(replace(wanted, resource=resource), actor=actor, now=now):
        raise Refused(reasons)
    made = Engagement.objects.create(
        number=next_number(prefix="X", now=now),
        resource=resource,
        organisation_id=actor.acting_for,
        requested_by_id=actor.user_id,
        title=wanted.title.strip(),
        description=wanted.description.strip(),
        wanted=wanted.wanted.strip(),
        wanted_by=wanted.wanted_by,
        key=key,
        fingerprint=print_,
        created_at=now,
        updated_at=now,
    )
    steps.record(made, action="engagement.requested", actor=actor, now=now)
    return made


@transaction.atomic
def decline(*, actor: Actor, engagement: Engagement, note: str, now: datetime) -> Engagement:
    """Say, as the lab, that it cannot be done, with a reason. Raises NoteMissing, InvalidTransition, Forbidden."""
    locked = steps.served(actor=actor, engagement=engagement)
    steps.move(locked, A.DECLINE, actor=actor, now=now, action="engagement.declined", note=steps.noted(note=note))
    steps.lapse_quote(locked, now=now)
    telling.tell(locked, MessageKind.ENGAGEMENT_DECLINED, key="", now=now)
    return locked


@transaction.atomic
def cancel(*, actor: Actor, engagement: Engagement, note: str = "", now: datetime) -> Engagement:
    """Withdraw the request, as the enterprise, before a quote is accepted. Raises InvalidTransition, Forbidden."""
    locked = steps.asked(actor=actor, engagement=engagement)
    steps.move(locked, A.CANCEL, actor=actor, now=now, action="engagement.cancelled", note=note.strip()[: steps.NOTE])
    steps.lapse_quote(locked, now=now)
    return locked


@transaction.atomic
def stop(*, actor: Actor, engagement: Engagement, note: str, now: datetime) -> Engagement:
    """End a running engagement between milestones, as either party, with a reason; what is not delivered is free again.

    As the enterprise not while a returned delivery is unsettled: the lab delivers again or stops itself. Source: the
    orderer may end a contract at any time before the work is finished (Civil Code 2020, Article 787). Raises NoteMissing,
    AwaitsAcceptance, ReturnedWork, InvalidTransition, Forbidden.
    """
    by_client = actor.organisation_id == engagement.organisation_id
    locked = (steps.asked if by_client else steps.served)(actor=actor, engagement=engagement)
    steps.move(locked, A.STOP, actor=actor, now=now, note=steps.noted(note=note), action="engagement.stopped")
    returned = locked.milestones.select_related("line").filter(state=rules.MilestoneState.RETURNED.value).first()
    if by_client and returned is not None:
        raise rules.ReturnedWork(name=returned.line.name)
    steps.free_rest(locked, actor=actor, now=now, reason="stopped")
    steps.lapse_quote(locked, now=now)
    return locked


@transaction.atomic
def close(*, actor: Actor, engagement: Engagement, now: datetime) -> Engagement:
    """Close a finished engagement, as the enterprise that rated it. Raises InvalidTransition, Forbidden."""
    locked = steps.asked(actor=actor, engagement=engagement)
    steps.move(locked, A.CLOSE, actor=actor, now=now, action="engagement.closed")
    return locked
