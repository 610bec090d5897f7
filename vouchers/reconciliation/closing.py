"""Close a calendar month by two persons: its figures are frozen by recorded time, with a hash, and never change.

What is recorded later counts into the open month, whatever time it is effective at: the ledger refuses effective dates in
closed *years* (`ledger.close_year`), months are closed by when things were recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Sum

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from vouchers.banking import queries as banking
from vouchers.charges.models import ChargeProposal
from vouchers.charges.proposal_rules import ProposalState
from vouchers.ledger import figures as ledger_figures
from vouchers.ledger import services as ledger
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import Balance
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, PaymentEvent, RefundAttempt
from vouchers.payments.rail_rules import OPEN, EventState, RefundState
from vouchers.reconciliation import queries, rules
from vouchers.reconciliation.models import MonthClose, MonthFigure, MonthProposal

__all__ = ["Shown", "approve", "check_month", "open_items", "open_proposal", "propose", "send_back", "shown", "verify"]

UNSURE = (*(state.value for state in OPEN),)
"""Attempts whose money may still come."""
OPEN_REFUNDS = (RefundState.CREATED.value, RefundState.PROCESSING.value, RefundState.UNKNOWN.value)


def check_month(year: int, number: int) -> date:
    """Return the first day of a month. Raises NoSuchMonth."""
    if not (2000 <= year <= 2099 and 1 <= number <= 12):
        raise rules.NoSuchMonth(field="month")
    return date(year, number, 1)


@dataclass(frozen=True, slots=True)
class Shown:
    """A month: its figures, frozen once it is closed, and what stood or stands open, by name: how many, how many fen."""

    month: date
    figures: Sequence[ledger_figures.Figure]
    items: Mapping[str, tuple[int, int]]
    hash: str
    proposal: MonthProposal | None
    closed: MonthClose | None

    @property
    def is_clear(self) -> bool:
        return not any(count for count, _fen in self.items.values())


def shown(month: date, *, rails: list[str], now: datetime) -> Shown:
    """Return a month as it was frozen, or as it is recorded by now. Four queries, or a dozen and six more a gateway."""
    closed = MonthClose.objects.select_related("proposal").filter(month=month).first()
    if closed is not None:
        items = {name: (count, fen) for name, (count, fen) in closed.proposal.open_items.items()}
        return Shown(month, _kept(closed), items, closed.hash, closed.proposal, closed)
    found = ledger_figures.figures(during=rules.month_period(month))
    digest = rules.figures_hash(month, _previous_hash(month), _rows(found))
    return Shown(month, found, open_items(month, rails=rails, now=now), digest, open_proposal(month), None)


def _kept(closed: MonthClose) -> list[ledger_figures.Figure]:
    """Return a closed month's figures in the order they were frozen."""
    return [
        ledger_figures.Figure(
            row.programme,
            row.fiscal_year,
            row.unit,
            AccountKind(row.kind),
            row.owner,
            row.opening,
            row.debit,
            row.credit,
        )
        for row in closed.figures.all()
    ]


def _rows(figures: Sequence[ledger_figures.Figure]) -> list[tuple[object, ...]]:
    return [
        (
            row.programme,
            row.fiscal_year,
            row.unit,
            row.kind.value,
            row.owner,
            row.opening,
            row.debit,
            row.credit,
            row.closing,
        )
        for row in figures
    ]


def _previous_hash(month: date) -> str:
    before = (month - timedelta(days=1)).replace(day=1)
    return MonthClose.objects.filter(month=before).values_list("hash", flat=True).first() or ""


def open_items(month: date, *, rails: list[str], now: datetime) -> dict[str, tuple[int, int]]:
    """Return what stands open at a month's end, as it is known now: how many, and how many fen."""
    during = rules.month_period(month)
    unmatched = [entry for rail in rails for entry in queries.entries(rail, during=during, now=now) if entry.is_open]
    attempts = PaymentAttempt.objects.filter(created_at__lt=during.end, state__in=UNSURE)
    refunds = RefundAttempt.objects.filter(created_at__lt=during.end, state__in=OPEN_REFUNDS)
    disputes = PaymentDispute.objects.filter(opened_at__lt=during.end, is_over=False)
    asked = ChargeProposal.objects.filter(proposed_at__lt=during.end, state=ProposalState.PROPOSED.value)
    notices = PaymentEvent.objects.filter(received_at__lt=during.end, state=EventState.QUARANTINED.value)
    unapplied = (
        Balance.objects.filter(
            account__kind=AccountKind.UNAPPLIED_CASH.value, account__owner__startswith="organisation:"
        )
        .filter(posted_cr__gt=F("posted_dr"))
        .aggregate(count=Count("pk"), fen=Sum(F("posted_cr") - F("posted_dr")))
    )
    bank = banking.sums()
    return {
        "bank": (bank.open_count, bank.open_in_fen + bank.open_out_fen),
        "gateway": (len(unmatched), sum(abs(entry.difference_fen) for entry in unmatched)),
        "attempts": _sums(attempts),
        "refunds": _sums(refunds),
        "disputes": _sums(disputes),
        "notices": (notices.count(), 0),
        "proposals": _sums(asked),
        "unapplied": (unapplied["count"], unapplied["fen"] or 0),
    }


def _sums(rows: object) -> tuple[int, int]:
    found = rows.order_by().aggregate(count=Count("pk"), fen=Sum("amount_fen"))  # type: ignore[attr-defined]
    return found["count"], found["fen"] or 0


def open_proposal(month: date) -> MonthProposal | None:
    """Return the proposal to close a month that waits for a second person."""
    return MonthProposal.objects.filter(month=month, ended_at__isnull=True).first()


def _refuse_out_of_order(month: date) -> None:
    last = MonthClose.objects.order_by("-month").first()
    if last is None:
        return
    due = (last.month + timedelta(days=32)).replace(day=1)
    if month != due:
        raise rules.MonthOutOfOrder(missing=f"{due:%Y-%m}")


@transaction.atomic
def propose(*, actor: Actor, month: date, note: str, rails: list[str], now: datetime) -> MonthProposal:
    """Ask for a month to be closed; another person approves. Nothing is frozen yet.

    What stands open is kept with the proposal and needs a note. Raises MonthNotOver, MonthClosed, MonthOutOfOrder,
    MonthUnexplained, ProposedBefore, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    if now < rules.month_period(month).end:
        raise rules.MonthNotOver(month=f"{month:%Y-%m}")
    if MonthClose.objects.filter(month=month).exists():
        raise rules.MonthClosed(month=f"{month:%Y-%m}")
    _refuse_out_of_order(month)
    items = open_items(month, rails=rails, now=now)
    if any(count for count, _fen in items.values()) and not note.strip():
        raise rules.MonthUnexplained(field="note")
    try:
        with transaction.atomic():
            made = MonthProposal.objects.create(
                month=month,
                note=note.strip()[:600],
                open_items={name: list(sums) for name, sums in items.items()},
                proposed_by_id=actor.person,
                signature=actor.signature,
                proposed_at=now,
            )
    except IntegrityError:
        raise rules.ProposedBefore(month=f"{month:%Y-%m}") from None
    _record(month, action="ledger.month_proposed", actor=actor, now=now, note=made.note)
    return made


@transaction.atomic
def approve(*, actor: Actor, month: date, now: datetime) -> MonthClose:
    """Freeze a month that another person proposed, for ever. Waits for postings under way, and they for it.

    Raises NotProposed, SamePerson, MonthClosed, MonthOutOfOrder, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    proposal = _locked(month)
    if proposal.proposed_by_id == actor.person:
        raise rules.SamePerson
    ledger.hush()
    if MonthClose.objects.filter(month=month).exists():
        raise rules.MonthClosed(month=f"{month:%Y-%m}")
    _refuse_out_of_order(month)
    found = ledger_figures.figures(during=rules.month_period(month))
    closed = MonthClose.objects.create(
        proposal=proposal,
        month=month,
        closed_at=now,
        proposed_by=proposal.signature,
        approved_by=actor.signature,
        hash=rules.figures_hash(month, _previous_hash(month), _rows(found)),
    )
    MonthFigure.objects.bulk_create(
        MonthFigure(
            close=closed,
            programme=row.programme,
            fiscal_year=row.fiscal_year,
            unit=row.unit,
            kind=row.kind.value,
            owner=row.owner,
            opening=row.opening,
            debit=row.debit,
            credit=row.credit,
            closing=row.closing,
        )
        for row in found
    )
    _end(proposal, actor=actor, now=now)
    _record(month, action="ledger.month_closed", actor=actor, now=now, sha256=closed.hash)
    return closed


@transaction.atomic
def send_back(*, actor: Actor, month: date, reason: str, now: datetime) -> MonthProposal:
    """Send a proposal back with a reason, or take back one's own. Raises NotProposed, ReasonMissing, Forbidden."""
    if not (actor.may(Permission.SETTLEMENT_APPROVE) or actor.may(Permission.SETTLEMENT_DRAFT)):
        raise Forbidden
    proposal = _locked(month)
    if not (actor.may(Permission.SETTLEMENT_APPROVE) or proposal.proposed_by_id == actor.user_id):
        raise Forbidden
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    _end(proposal, actor=actor, now=now, reason=reason.strip()[:300])
    _record(month, action="ledger.month_returned", actor=actor, now=now, reason=proposal.reason)
    return proposal


def _locked(month: date) -> MonthProposal:
    found = (
        MonthProposal.objects.select_for_update(no_key=True)
        .filter(month=month, ended_at__isnull=True)
        .order_by("pk")
        .first()
    )
    if found is None:
        raise rules.NotProposed(month=f"{month:%Y-%m}")
    return found


def _end(proposal: MonthProposal, *, actor: Actor, now: datetime, reason: str = "") -> None:
    proposal.ended_at, proposal.ended_by_id, proposal.reason = now, actor.person, reason
    proposal.save(update_fields=["ended_at", "ended_by", "reason"])


def verify() -> list[str]:
    """Recompute every closed month from the ledger; return what differs: a figure, or a month whose hash is not its own."""
    wrong = []
    for closed in MonthClose.objects.order_by("month").prefetch_related("figures"):
        now_rows = _rows(ledger_figures.figures(during=rules.month_period(closed.month)))
        kept = _rows(_kept(closed))
        wrong += [
            f"{closed.month:%Y-%m}: {row} is not what was frozen" for row in sorted({*now_rows} ^ {*kept}, key=str)
        ]
        if rules.figures_hash(closed.month, _previous_hash(closed.month), kept) != closed.hash:
            wrong.append(f"{closed.month:%Y-%m}: the figures do not make the hash {closed.hash}")
    return wrong


def _record(month: date, *, action: str, actor: Actor, now: datetime, **more: str) -> None:
    audit.record(
        action=action,
        subject=f"month:{month:%Y-%m}",
        actor=actor,
        now=now,
        organisations=[actor.acting_for],
        data={name: text for name, text in more.items() if text},
    )
