"""What waits for a person on the way from call to claw-back: drafts, claims, notices, objections, recoveries, flags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.pages.desk_task import SHOWN, Task
from portal.pages.templatetags.show import bilingual
from vouchers.claims import access as claims
from vouchers.claims.rules import ClaimState
from vouchers.flags import access as flags
from vouchers.flags.rules import FlagState
from vouchers.issuance import access as issuance
from vouchers.issuance.rules import ApplicationState
from vouchers.notices import access as notices
from vouchers.notices.rules import NoticeState, ObjectionState
from vouchers.recoveries import access as recoveries
from vouchers.recoveries.rules import RecoveryState

__all__ = [
    "appeals",
    "claims_to_approve",
    "claims_to_audit",
    "claims_to_check",
    "claims_to_mend",
    "drafts",
    "flags_to_check",
    "notices_to_publish",
    "objections_to_decide",
    "recoveries_to_confirm",
]


def drafts(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Applications begun and not sent."""
    rows = issuance.own_applications(actor).filter(state=ApplicationState.DRAFT.value)
    for row in rows.order_by("-pk")[:SHOWN]:
        url = reverse("application_tasks", args=[row.number])
        yield Task(gettext("继续填写申请"), f"{row.number} {bilingual(row.version)}", url, since=row.started_at)


def claims_to_mend(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Claims sent back to their claimant, and those begun."""
    rows = claims.own_claims(actor).filter(state__in=[ClaimState.SUPPLEMENT.value, ClaimState.DRAFT.value])
    for row in rows.order_by("pk")[:SHOWN]:
        yield Task(
            gettext("补充并提交申领"), f"{row.number} {Money(row.amount_fen)}", reverse("claim", args=[row.number])
        )


def _claims(actor: Actor, state: ClaimState, what: str) -> Iterator[Task]:
    for row in claims.cases(actor).filter(state=state.value).order_by("pk")[:SHOWN]:
        which = f"{row.number} {bilingual(row.claimant)} {Money(row.amount_fen)}"
        yield Task(what, which, reverse("claim", args=[row.number]), since=row.filed_at)


def claims_to_check(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Claims that were filed."""
    return _claims(actor, ClaimState.CHECKING, gettext("审核申领"))


def claims_to_approve(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Claims that were checked."""
    return _claims(actor, ClaimState.APPROVAL, gettext("审批申领"))


def claims_to_audit(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Claims drawn for a third party's audit."""
    return _claims(actor, ClaimState.AUDIT, gettext("抽查申领"))


def notices_to_publish(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Drafted notices, for a second person."""
    rows = notices.own(actor).filter(state=NoticeState.DRAFT.value).exclude(drafted_by_id=actor.user_id)
    for row in rows.order_by("pk")[:SHOWN]:
        url = reverse("notice_desk", args=[row.number])
        yield Task(gettext("发布公示"), f"{row.number} {row.title}", url, since=row.drafted_at)


def objections_to_decide(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Objections that block an item."""
    rows = notices.objections(actor).filter(state=ObjectionState.OPEN.value)
    for row in rows.order_by("pk")[:SHOWN]:
        url = reverse("objection_desk", args=[row.number])
        yield Task(gettext("处理异议"), row.number, url, since=row.filed_at)


def appeals(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Appeals against refusals."""
    rows = issuance.cases(actor).filter(state=ApplicationState.APPEAL.value)
    for row in rows.order_by("appealed_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.organisation)}"
        yield Task(gettext("处理申诉"), which, reverse("case", args=[row.number]), since=row.appealed_at)


def recoveries_to_confirm(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Decisions to take money back, for a second person."""
    rows = recoveries.visible_to(actor).filter(state=RecoveryState.DECIDED.value)
    for row in rows.exclude(decided_by_id=actor.user_id).order_by("pk")[:SHOWN]:
        which = f"{row.number} {bilingual(row.debtor)}"
        yield Task(gettext("复核追回决定"), which, reverse("recovery", args=[row.number]))


def flags_to_check(actor: Actor, _now: datetime) -> Iterator[Task]:
    """Open flags, as one line: their desk lists them."""
    rows = flags.visible_to(actor).filter(state=FlagState.OPEN.value)
    oldest = rows.order_by("raised_at").first()
    if oldest is not None:
        yield Task(gettext("核查风险提示"), str(rows.count()), reverse("flags"), since=oldest.raised_at)
