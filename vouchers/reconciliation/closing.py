"""Close a calendar month by two persons: its figures are frozen by recorded time, with a hash, and never change.

What is recorded later counts into the open month, whatever time it is effective at: the ledger refuses effective dates in
closed *years* (`ledger.close_year`), months are closed by when things were recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason, Refused
from vouchers.ledger import figures as ledger_figures
from vouchers.ledger import services as ledger
from vouchers.ledger.chart import AccountKind
from vouchers.reconciliation import rules, standing
from vouchers.reconciliation.models import MonthClose, MonthFigure, MonthProposal

__all__ = ["Shown", "approve", "check_month", "open_proposal", "propose", "send_back", "shown", "verify"]


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
    items: standing.Items
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
    return Shown(month, found, standing.open_items(month, rails=rails, now=now), digest, open_proposal(month), None)


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


def open_proposal(month: date) -> MonthProposal | None:
    """Return the proposal to close a month that waits for a second person."""
    return MonthProposal.objects.filter(month=month, ended_at__isnull=True).first()


def _order(month: date) -> list[Reason]:
    """Return why a month may not be the next to be closed: it is closed, or another comes first."""
    last = MonthClose.objects.order_by("-month").first()
    if last is None:
        return []
    if MonthClose.objects.filter(month=month).exists():
        return [rules.is_closed(month)]
    due = (last.month + timedelta(days=32)).replace(day=1)
    return [] if month == due else [rules.out_of_order(due)]


@transaction.atomic
def propose(*, actor: Actor, month: date, note: str, rails: list[str], now: datetime) -> MonthProposal:
    """Ask for a month to be closed; another person approves. Nothing is frozen yet.

    What stands open is kept with the proposal and needs a note. Raises Refused with everything that stands in the way,
    Forbidden.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    reasons = _order(month)
    if now < rules.month_period(month).end:
        reasons.append(rules.not_over(month))
    if open_proposal(month) is not None:
        reasons.append(rules.proposed_before(month))
    items = standing.open_items(month, rails=rails, now=now)
    if not note.strip():
        reasons += standing.grounds(items)
    if reasons:
        raise Refused(reasons)
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
        raise Refused([rules.proposed_before(month)]) from None
    _record(month, action="ledger.month_proposed", actor=actor, now=now, note=made.note)
    return made


@transaction.atomic
def approve(*, actor: Actor, month: date, now: datetime) -> MonthClose:
    """Freeze a month that another person proposed, for ever. Waits for postings under way, and they for it.

    Raises NotProposed, SamePerson, Refused where it is closed or another month comes first, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    proposal = _locked(month)
    if proposal.proposed_by_id == actor.person:
        raise rules.SamePerson
    ledger.hush()
    if reasons := _order(month):
        raise Refused(reasons)
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
