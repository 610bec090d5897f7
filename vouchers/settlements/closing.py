"""Close a fiscal year by two persons: one of finance asks, another approves, and the ledger takes nothing more into it.

Source: 预算法 2018, art. 18 (a budget year is a calendar year); what is owed or held at its end is carried, not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Sum

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Invalid, noop
from portal.kernel.money import Money
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.rules import ClaimState
from vouchers.ledger import queries as ledger_queries
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Period
from vouchers.ledger.queries import TrialBalanceLine
from vouchers.ledger.rules import PeriodNotOver, YearClosed, year_ends_at
from vouchers.settlements.models import SettlementBatch, YearProposal
from vouchers.settlements.rules import OPEN
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

__all__ = ["Outlook", "approve_year", "open_proposal", "outlook", "propose_year", "return_year"]

_ = noop

OPEN_VOUCHERS = (VoucherState.ACTIVE.value, VoucherState.FROZEN.value)
DONE_CLAIMS = (ClaimState.SETTLED.value, ClaimState.REFUSED.value, ClaimState.WITHDRAWN.value)
OPEN_BATCHES = OPEN


class ProposedBefore(Conflict):
    code = "year.proposed_before"
    message = _("%(year)s 会计年度已有人提出结账，正待另一人批准。")


class NotProposed(Conflict):
    code = "year.not_proposed"
    message = _("%(year)s 会计年度还没有人提出结账，或提出的已被退回。")


class ReturnReasonMissing(Invalid):
    code = "year.return_reason"
    message = _("请写明退回的原因。")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What stands open at the end of a year: nothing of it is lost by closing, all of it goes on in the next year.

    `lines` are the accounts with a balance or something held at the year's end; amounts in smallest steps of their unit,
    fen where that is CNY.
    """

    fiscal_year: int
    ends_at: datetime
    lines: Sequence[TrialBalanceLine]
    vouchers: int
    claims: int
    claims_fen: int
    batches: int
    batches_fen: int

    @property
    def claimed(self) -> Money:
        return Money(self.claims_fen)

    @property
    def batched(self) -> Money:
        return Money(self.batches_fen)


def outlook(fiscal_year: int) -> Outlook:
    """Return what stands open at the year's end, as it is known now. Four queries."""
    ends_at = year_ends_at(fiscal_year)
    lines = [
        line
        for line in ledger_queries.trial_balance(at=ends_at)
        if line.balance_fen or line.held_debit_fen or line.held_credit_fen
    ]
    claims = RedemptionClaim.objects.filter(filed_at__lt=ends_at).exclude(state__in=DONE_CLAIMS)
    claimed = claims.order_by().aggregate(count=Count("pk"), fen=Sum("amount_fen"))
    batches = SettlementBatch.objects.filter(created_at__lt=ends_at, state__in=OPEN_BATCHES)
    batched = batches.order_by().aggregate(count=Count("pk"), fen=Sum("total_fen"))
    vouchers = Voucher.objects.filter(Q(valid_from__lt=ends_at), state__in=OPEN_VOUCHERS)
    return Outlook(
        fiscal_year=fiscal_year,
        ends_at=ends_at,
        lines=lines,
        vouchers=vouchers.count(),
        claims=claimed["count"],
        claims_fen=claimed["fen"] or 0,
        batches=batched["count"],
        batches_fen=batched["fen"] or 0,
    )


def open_proposal(fiscal_year: int) -> YearProposal | None:
    """Return the proposal to close a year that waits for a second person."""
    return YearProposal.objects.filter(fiscal_year=fiscal_year, ended_at__isnull=True).first()


@transaction.atomic
def propose_year(*, actor: Actor, fiscal_year: int, now: datetime) -> YearProposal:
    """Ask for a year to be closed; another person approves. Nothing changes yet.

    Raises PeriodNotOver before its end, YearClosed, ProposedBefore, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    if now < year_ends_at(fiscal_year):
        raise PeriodNotOver(year=fiscal_year)
    if Period.objects.filter(pk=fiscal_year).exists():
        raise YearClosed(year=fiscal_year)
    try:
        with transaction.atomic():
            made = YearProposal.objects.create(
                fiscal_year=fiscal_year, proposed_by_id=actor.person, signature=actor.signature, proposed_at=now
            )
    except IntegrityError:
        raise ProposedBefore(year=fiscal_year) from None
    _record(action="ledger.year_proposed", fiscal_year=fiscal_year, actor=actor, now=now)
    return made


@transaction.atomic
def approve_year(*, actor: Actor, fiscal_year: int, now: datetime) -> Period:
    """Close a year that another person proposed, for ever. Raises NotProposed, SamePerson, YearClosed, Forbidden."""
    actor.require(Permission.SETTLEMENT_APPROVE)
    proposal = _locked(fiscal_year)
    closed = ledger.close_year(fiscal_year=fiscal_year, proposed_by=proposal.signature, actor=actor, now=now)
    _end(proposal, actor=actor, now=now)
    return closed


@transaction.atomic
def return_year(*, actor: Actor, fiscal_year: int, reason: str, now: datetime) -> YearProposal:
    """Send a proposal back with a reason, or take back one's own. Raises NotProposed, ReturnReasonMissing, Forbidden."""
    proposal = _locked(fiscal_year) if _is_finance(actor) else None
    if proposal is None or not (actor.may(Permission.SETTLEMENT_APPROVE) or proposal.proposed_by_id == actor.user_id):
        raise Forbidden
    if not reason.strip():
        raise ReturnReasonMissing(field="reason")
    _end(proposal, actor=actor, now=now, reason=reason.strip()[:300])
    _record(action="ledger.year_returned", fiscal_year=fiscal_year, actor=actor, now=now, reason=proposal.reason)
    return proposal


def _is_finance(actor: Actor) -> bool:
    return actor.may(Permission.SETTLEMENT_APPROVE) or actor.may(Permission.SETTLEMENT_DRAFT)


def _locked(fiscal_year: int) -> YearProposal:
    found = (
        YearProposal.objects.select_for_update(no_key=True)
        .filter(fiscal_year=fiscal_year, ended_at__isnull=True)
        .order_by("pk")
        .first()
    )
    if found is None:
        raise NotProposed(year=fiscal_year)
    return found


def _end(proposal: YearProposal, *, actor: Actor, now: datetime, reason: str = "") -> None:
    proposal.ended_at, proposal.ended_by_id, proposal.reason = now, actor.person, reason
    proposal.save(update_fields=["ended_at", "ended_by", "reason"])


def _record(*, action: str, fiscal_year: int, actor: Actor, now: datetime, reason: str = "") -> None:
    audit.record(
        action=action,
        subject=f"year:{fiscal_year}",
        actor=actor,
        now=now,
        organisations=[actor.acting_for],
        data={"reason": reason} if reason else {},
    )
