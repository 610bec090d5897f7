"""What waits for a person: one list over everything the roles allow, in deadline order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import F
from django.urls import reverse
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.organisations.models import Organisation
from portal.pages import desk_time as answering
from portal.pages import desk_use as use
from portal.pages import desk_vouchers as life
from portal.pages.beam.judging_tasks import SOURCES as JUDGING
from portal.pages.desk_task import SHOWN, Source, Task
from portal.pages.templatetags.show import bilingual
from portal.pages.wallet import SOON, purses_of
from scheduler.bookings import access as bookings
from scheduler.bookings.rules import BookingState
from scheduler.calendars import queries as calendars
from scheduler.resources import access as resources
from scheduler.resources.rules import PublishState
from vouchers.charges import access as charges
from vouchers.charges import proposing
from vouchers.charges.proposal_rules import ProposalState
from vouchers.claims import access as claims
from vouchers.claims.rules import ClaimState
from vouchers.issuance import access as issuance
from vouchers.issuance.rules import ApplicationState
from vouchers.offers import access as offers
from vouchers.offers.rules import OrderState
from vouchers.payments import access as payments
from vouchers.payments.rules import PaymentState
from vouchers.programmes import access as programmes
from vouchers.programmes.states import VersionState
from vouchers.recoveries import access as recoveries
from vouchers.recoveries.rules import RecoveryState
from vouchers.settlements import access as settlements
from vouchers.settlements import queries as due
from vouchers.settlements.rules import BatchState
from vouchers.wallets import access as wallet
from vouchers.wallets.rules import VoucherState

__all__ = ["Task", "tasks_of"]


def tasks_of(actor: Actor, *, now: datetime) -> list[Task]:
    """Return what waits for `actor`: deadlines first, the nearest at the top, then the longest waiting.

    The number of queries depends on the permissions held, never on what waits.
    """
    found = [task for permission, source in SOURCES if actor.may(permission) for task in source(actor, now)]
    return sorted(found, key=lambda task: (task.by is None, task.by or task.since or now))


def _supplements(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = issuance.own_applications(actor).filter(state=ApplicationState.SUPPLEMENT.value)
    for row in rows.order_by("pk")[:SHOWN]:
        url = reverse("application_complete", args=[row.number])
        yield Task(gettext("补充申请信息"), f"{row.number} {bilingual(row.version)}", url, since=row.submitted_at)


def _payments_due(actor: Actor, now: datetime) -> Iterator[Task]:
    rows = payments.visible_to(actor).filter(state=PaymentState.DUE.value, payer_id=actor.organisation_id)
    for row in rows.exclude(due_until__lte=now).order_by("due_until", "pk")[:SHOWN]:
        which, url = f"{row.number} {Money(row.left_fen)}", reverse("payment", args=[row.number])
        yield Task(gettext("支付自付部分"), which, url, since=row.created_at, by=row.due_until)


def _vouchers_ending(actor: Actor, now: datetime) -> Iterator[Task]:
    rows = wallet.vouchers_of(actor).filter(
        state=VoucherState.ACTIVE.value, valid_until__gt=now, valid_until__lte=now + SOON
    )
    for purse in purses_of(rows.order_by("valid_until")[:SHOWN], now=now):
        if purse.left_fen:
            which = f"{purse.voucher.number} {gettext('可用')} {Money(purse.left_fen)}"
            url = reverse("voucher", args=[purse.voucher.number])
            yield Task(gettext("券即将到期"), which, url, by=purse.voucher.valid_until - timedelta(seconds=1))


def _bookings_to_decide(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = bookings.served_bookings(actor).filter(state=BookingState.REQUESTED.value)
    for row in rows.order_by("starts_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.resource)}"
        yield Task(gettext("确认预约"), which, reverse("booking_queue"), since=row.created_at, by=row.starts_at)


def _calendars_to_look_at(actor: Actor, now: datetime) -> Iterator[Task]:
    for row, conflicts in calendars.waiting(actor.organisation_id or 0, now=now)[:SHOWN]:
        url = reverse("one_calendar", args=[row.resource.number, row.pk])
        which = f"{bilingual(row.resource)} · {row.name}"
        if row.stale_since:
            yield Task(gettext("日历同步失败"), which, url, since=row.stale_since)
        if conflicts:
            yield Task(gettext("日历与预约冲突"), which, url, since=row.imported_at)


def _orders_to_accept(actor: Actor, _now: datetime) -> Iterator[Task]:
    for row in offers.own_orders(actor).filter(state=OrderState.DELIVERED.value).order_by("accept_by")[:SHOWN]:
        which = f"{row.number} {bilingual(row.offer, 'title')}"
        yield Task(gettext("验收交付"), which, reverse("order", args=[row.number]), row.delivered_at, row.accept_by)


def _orders_to_serve(actor: Actor, _now: datetime) -> Iterator[Task]:
    words = {
        OrderState.PLACED.value: gettext("接单"),
        OrderState.ACCEPTED.value: gettext("开始交付"),
        OrderState.DISPUTED.value: gettext("处理异议"),
    }
    for row in offers.served_orders(actor).filter(state__in=words).order_by("updated_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.offer, 'title')}"
        yield Task(words[row.state], which, reverse("order", args=[row.number]), since=row.updated_at)


def _orders_to_rule(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = offers.overseen_orders(actor).filter(state=OrderState.DISPUTED.value)
    for row in rows.order_by("updated_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.offer, 'title')}"
        yield Task(gettext("裁决异议"), which, reverse("order", args=[row.number]), since=row.updated_at)


def _cases_to_decide(actor: Actor, permission: Permission, what: str) -> Iterator[Task]:
    for row in issuance.cases_at(actor, permission).order_by("submitted_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.organisation)} {Money(row.amount_fen)}"
        yield Task(what, which, reverse("case", args=[row.number]), since=row.submitted_at, by=row.due_at)


def _cases_to_review(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _cases_to_decide(actor, Permission.APPLICATION_REVIEW, gettext("审核申请"))


def _cases_to_approve(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _cases_to_decide(actor, Permission.APPLICATION_APPROVE, gettext("审批申请"))


def _drafts_to_publish(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = programmes.visible_to(actor).filter(
        state=VersionState.DRAFT.value, programme__department_id=actor.organisation_id
    )
    for row in rows.exclude(imported_by_id=actor.user_id).order_by("pk")[:SHOWN]:
        url = reverse("programme_version", args=[row.programme.code, row.number])
        yield Task(gettext("复核并发布项目"), bilingual(row), url, since=row.imported_at)


def _payments_to_confirm(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = payments.visible_to(actor).filter(state=PaymentState.DECLARED.value)
    for row in rows.order_by("declared_at")[:SHOWN]:
        which = f"{row.number} {bilingual(row.payer)} {Money(row.amount_fen)}"
        yield Task(gettext("核对到账"), which, reverse("payment", args=[row.number]), since=row.declared_at)


TO_APPROVE = (BatchState.DRAFT, BatchState.CHECKED)


def _batches(actor: Actor, state: BatchState, what: str) -> Iterator[Task]:
    for row in settlements.visible_to(actor).filter(state=state.value).order_by("pk")[:SHOWN]:
        if state not in TO_APPROVE or actor.user_id not in (row.created_by_id, row.checked_by_id):
            which = f"{row.number} {bilingual(row.payee)} {Money(row.total_fen)}"
            yield Task(what, which, reverse("settlement", args=[row.number]), since=row.created_at)


def _batches_to_approve(actor: Actor, _now: datetime) -> Iterator[Task]:
    for state in TO_APPROVE:
        yield from _batches(actor, state, gettext("审批结算批次"))


def _batches_to_pay(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _batches(actor, BatchState.APPROVED, gettext("支付结算批次"))


def _proposals_to_approve(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = charges.proposals_visible_to(actor).filter(state=ProposalState.PROPOSED.value).order_by("pk")
    for row in [each for each in rows if proposing.may_approve(actor, each)][:SHOWN]:
        which = f"{row.number} {bilingual(row.charge.payer)} {Money(row.amount_fen)}"
        yield Task(
            gettext("批准退款或核销"), which, reverse("charge_proposal", args=[row.number]), since=row.proposed_at
        )


def _payees_to_settle(_actor: Actor, now: datetime) -> Iterator[Task]:
    totals = due.due_by_payee(now=now)
    for payee in Organisation.objects.filter(pk__in=totals).order_by("pk")[:SHOWN]:
        which = f"{bilingual(payee)} {Money(totals[payee.pk])}"
        yield Task(gettext("编制结算批次"), which, reverse("settlements"))


def _own_claims(actor: Actor, _now: datetime) -> Iterator[Task]:
    for row in claims.own_claims(actor).filter(state=ClaimState.SUPPLEMENT.value).order_by("pk")[:SHOWN]:
        which = f"{row.number} {bilingual(row.version)}"
        yield Task(gettext("补充申领材料"), which, reverse("claim", args=[row.number]), since=row.filed_at)


def _claims(actor: Actor, state: ClaimState, what: str) -> Iterator[Task]:
    """List claims at a step, without those the person has had another part in."""
    for row in claims.cases(actor).filter(state=state.value).order_by("pk")[:SHOWN]:
        if actor.user_id not in {row.checked_by_id, row.audited_by_id}:
            which = f"{row.number} {bilingual(row.claimant)} {Money(row.amount_fen)}"
            yield Task(what, which, reverse("claim", args=[row.number]), since=row.filed_at)


def _claims_to_check(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _claims(actor, ClaimState.CHECKING, gettext("核查申领单"))


def _claims_to_audit(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _claims(actor, ClaimState.AUDIT, gettext("审计抽中的申领"))


def _claims_to_approve(actor: Actor, _now: datetime) -> Iterator[Task]:
    return _claims(actor, ClaimState.APPROVAL, gettext("审批申领单"))


def _recoveries_to_confirm(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = recoveries.visible_to(actor).filter(state=RecoveryState.DECIDED.value).exclude(decided_by_id=actor.user_id)
    for row in rows.order_by("pk")[:SHOWN]:
        which = f"{row.number} {bilingual(row.debtor)} {Money(row.receivable_fen)}"
        yield Task(gettext("确认追回案件"), which, reverse("recovery", args=[row.number]), since=row.decided_at)


def _instruments_to_review(actor: Actor, _now: datetime) -> Iterator[Task]:
    rows = resources.proposed_instruments(actor).filter(admissions__outcome="")
    for row in rows.annotate(since=F("admissions__proposed_at")).order_by("since")[:SHOWN]:
        which = f"{bilingual(row)} · {bilingual(row.owner)}"
        yield Task(gettext("审核仪器"), which, reverse("admission", args=[row.number]), since=row.since)


def _instruments_returned(actor: Actor, _now: datetime) -> Iterator[Task]:
    for row in resources.own_instruments(actor).filter(state=PublishState.RETURNED.value).order_by("pk")[:SHOWN]:
        yield Task(gettext("补正被退回的仪器"), bilingual(row), reverse("instrument_review", args=[row.number]))


SOURCES: tuple[tuple[Permission, Source], ...] = (
    *JUDGING,
    (Permission.APPLICATION_SUBMIT, _supplements),
    (Permission.APPLICATION_SUBMIT, life.drafts),
    (Permission.PAYMENT_DECLARE, _payments_due),
    (Permission.VOUCHER_READ_OWN, _vouchers_ending),
    (Permission.BOOKING_DECIDE, _bookings_to_decide),
    (Permission.INSTRUMENT_MANAGE, _calendars_to_look_at),
    (Permission.INSTRUMENT_MANAGE, _instruments_returned),
    (Permission.INSTRUMENT_ADMIT, _instruments_to_review),
    (Permission.ORDER_PLACE, _orders_to_accept),
    (Permission.ORDER_SERVE, _orders_to_serve),
    (Permission.ORDER_RULE, _orders_to_rule),
    (Permission.ORDER_RULE, use.disputes_to_rule),
    (Permission.CHARGE_REFUND, use.disputes_of_the_lab),
    (Permission.CHARGE_REFUND, _proposals_to_approve),
    (Permission.BOOKING_REQUEST, answering.answers),
    (Permission.BOOKING_REQUEST, answering.exchanges),
    (Permission.BOOKING_REQUEST, use.disputes_upheld),
    (Permission.BOOKING_DECIDE, use.appeals_to_answer),
    (Permission.APPLICATION_REVIEW, _cases_to_review),
    (Permission.APPLICATION_APPROVE, _cases_to_approve),
    (Permission.APPLICATION_REVIEW, life.rounds_to_propose),
    (Permission.APPLICATION_REVIEW, life.cases_to_notice),
    (Permission.APPLICATION_APPROVE, life.rounds_to_confirm),
    (Permission.APPLICATION_APPROVE, life.appeals),
    (Permission.APPLICATION_APPROVE, life.notices_to_publish),
    (Permission.APPLICATION_APPROVE, life.objections_to_decide),
    (Permission.FLAG_DECIDE, life.flags_to_check),
    (Permission.PROGRAMME_PUBLISH, _drafts_to_publish),
    (Permission.PAYMENT_CONFIRM, _payments_to_confirm),
    (Permission.CLAIM_FILE, _own_claims),
    (Permission.CLAIM_CHECK, _claims_to_check),
    (Permission.CLAIM_AUDIT, _claims_to_audit),
    (Permission.CLAIM_APPROVE, _claims_to_approve),
    (Permission.RECOVERY_DECIDE, _recoveries_to_confirm),
    (Permission.SETTLEMENT_APPROVE, _batches_to_approve),
    (Permission.SETTLEMENT_APPROVE, _proposals_to_approve),
    (Permission.SETTLEMENT_PAY, _batches_to_pay),
    (Permission.SETTLEMENT_DRAFT, _payees_to_settle),
)
"""What each permission makes wait for its holder."""
