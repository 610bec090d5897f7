"""What stands in the way of closing a month: everything that is not decided of what happened until its end, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Final

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Abs

from portal.kernel.errors import Reason, noop
from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.banking.models import BankMatch, StatementImport, StatementLine
from vouchers.banking.rules import LineState, MatchState
from vouchers.charges.models import ChargeProposal
from vouchers.charges.proposal_rules import ProposalState
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import Balance, Transfer
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, PaymentEvent, RefundAttempt
from vouchers.payments.rail_rules import OPEN, OPEN_REFUNDS, EventState, RefundState
from vouchers.reconciliation import queries, rules, services
from vouchers.reconciliation.models import GatewayCheck
from vouchers.settlements.order_models import Discrepancy
from vouchers.settlements.order_rules import DiscrepancyState

__all__ = ["Items", "grounds", "open_items"]

_ = noop
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
Items = Mapping[str, tuple[int, int]]
"""What stands open, by name: how many, and how many fen."""

SAID: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bank": _("银行流水有 %(count)s 条没有匹配，共 %(amount)s。"),
        "bank_proposed": _("银行流水有 %(count)s 条的匹配待复核，共 %(amount)s。"),
        "bank_parked": _("银行流水有 %(count)s 条暂挂，还不知道是谁的钱，共 %(amount)s。"),
        "bank_doubted": _("银行流水有 %(count)s 条的核销待冲正，共 %(amount)s。"),
        "statements": _("有 %(count)s 个银行账户的对账单没有导入到月底，或中间缺了几天。"),
        "gateway": _("支付机构账单有 %(count)s 笔未核对、未说明，差额合计 %(amount)s。"),
        "pulls": _("有 %(count)s 个支付机构的账单没有取到月底。"),
        "attempts": _("有 %(count)s 笔网上支付结果待定，共 %(amount)s。"),
        "refunds": _("有 %(count)s 笔原路退款没有完成，共 %(amount)s。"),
        "disputes": _("有 %(count)s 笔支付争议没有了结，共 %(amount)s。"),
        "notices": _("有 %(count)s 条支付通知待人工核对。"),
        "proposals": _("有 %(count)s 份退款或核销待批准，共 %(amount)s。"),
        "unapplied": _("有 %(count)s 个单位的来款待核销，共 %(amount)s。"),
        "discrepancies": _("结算付款有 %(count)s 个差异没有结案，共 %(amount)s。"),
    }
)
"""Every item, in the order it is shown."""


def open_items(month: date, *, rails: Sequence[str], now: datetime) -> dict[str, tuple[int, int]]:
    """Return what happened until a month's end and is not decided by now. About 15 queries and seven a gateway."""
    during = rules.month_period(month)
    after = rules.day_of(during.end)
    unmatched = [entry for rail in rails for entry in _unexplained(rail, during=during, now=now)]
    attempts = PaymentAttempt.objects.filter(created_at__lt=during.end, state__in=[each.value for each in OPEN])
    undone = Q(state__in=[each.value for each in OPEN_REFUNDS]) | Q(state=RefundState.FAILED.value, settled_as="")
    refunds = RefundAttempt.objects.filter(undone, created_at__lt=during.end)
    disputes = PaymentDispute.objects.filter(opened_at__lt=during.end, is_over=False)
    asked = ChargeProposal.objects.filter(proposed_at__lt=during.end, state=ProposalState.PROPOSED.value)
    notices = PaymentEvent.objects.filter(received_at__lt=during.end, state=EventState.QUARANTINED.value)
    cases = Discrepancy.objects.filter(opened_at__lt=during.end).exclude(state=DiscrepancyState.CLOSED.value)
    pulled = GatewayCheck.objects.filter(rail__in=rails, until__gte=during.end).values_list("rail", flat=True)
    return {
        **_bank_lines(after),
        "statements": (_short_statements(during), 0),
        "gateway": (len(unmatched), sum(abs(entry.difference_fen) for entry in unmatched)),
        "pulls": (len(set(rails) - set(pulled.distinct())), 0),
        "attempts": _sums(attempts),
        "refunds": _sums(refunds),
        "disputes": _sums(disputes),
        "notices": (notices.count(), 0),
        "proposals": _sums(asked),
        "unapplied": _unapplied(during.end),
        "discrepancies": _sums(cases, "found_fen"),
    }


def _unexplained(rail: str, *, during: Period, now: datetime) -> list[rules.Entry]:
    """Return the entries of a gateway until a month's end that do not match and nobody has explained. 14 queries."""
    found = [entry for entry in queries.entries(rail, during=_in_question(rail, during), now=now) if entry.is_open]
    counted = queries.accounted(queries.explanations(rail, found))
    return [entry for entry in found if entry.key not in counted]


def _in_question(rail: str, during: Period) -> list[Period]:
    """Return the times that may hold entries left open until a month's end: the month, and earlier days.

    Those that had one at the latest check and those touched since; everything before where no check says which had.
    """
    check = GatewayCheck.objects.filter(rail=rail).order_by("-pk").first()
    if check is None or check.open_days is None:
        return [Period(BEGINNING, during.end)]
    days = {date.fromisoformat(day) for day in check.open_days}
    days |= queries.touched_days(rail, since=check.checked_at - services.MARGIN)
    return [*rules.spans(day for day in days if rules.day_period(day).end <= during.start), during]


def _sums(rows: QuerySet[Any], column: str = "amount_fen") -> tuple[int, int]:
    found = rows.order_by().aggregate(count=Count("pk"), fen=Sum(Abs(column)))
    return found["count"], found["fen"] or 0


def _bank_lines(after: date) -> dict[str, tuple[int, int]]:
    """Return the statement lines booked by the bank before a day that nobody has decided. Two queries."""
    lines = StatementLine.objects.filter(booked_on__lt=after)
    states = {
        "bank": LineState.OPEN.value,
        "bank_proposed": LineState.PROPOSED.value,
        "bank_parked": LineState.PARKED.value,
    }
    found = {
        row["state"]: (row["count"], row["fen"])
        for row in lines.filter(state__in=states.values())
        .order_by()
        .values("state")
        .annotate(count=Count("pk"), fen=Sum(Abs("amount_fen")))
    }
    doubted = BankMatch.objects.filter(state=MatchState.REVERSING.value, line__booked_on__lt=after)
    return {
        **{name: found.get(state, (0, 0)) for name, state in states.items()},
        "bank_doubted": _sums(doubted, "line__amount_fen"),
    }


def _short_statements(during: Period) -> int:
    """Return how many accounts that have statements lack some of a month's days. One query.

    A statement covers its first to its last day, and with the next one what lies between where the balance goes on from
    it. Nothing is asked of the days before the first there is.
    """
    first, last = rules.day_of(during.start), rules.day_of(during.end) - rules.ONE_DAY
    rows = StatementImport.objects.exclude(starts_on=None).order_by("account", "starts_on", "ends_on", "pk")
    by_account: dict[int, list[StatementImport]] = {}
    for row in rows.only("account_id", "starts_on", "ends_on", "opening_fen", "closing_fen"):
        by_account.setdefault(row.account_id, []).append(row)
    return sum(_lacks(found, first, last) for found in by_account.values())


def _lacks(found: Sequence[StatementImport], first: date, last: date) -> bool:
    """Say whether statements of one account, by their first day, leave a day from `first` to `last` out."""
    until, closing = None, None
    for row in found:
        if row.starts_on is None or row.ends_on is None:
            continue
        if until is not None and until + rules.ONE_DAY < row.starts_on:
            goes_on = closing is not None and row.opening_fen == closing
            if not goes_on and until < last and row.starts_on > first:
                return True
        if until is None or row.ends_on >= until:
            until, closing = row.ends_on, row.closing_fen
    return until is not None and until < last


def _unapplied(ended_at: datetime) -> tuple[int, int]:
    """Return whose money waited at a time and waits still: what has come since is left out. Two queries."""
    waiting = Balance.objects.filter(
        account__kind=AccountKind.UNAPPLIED_CASH.value,
        account__owner__startswith="organisation:",
        posted_cr__gt=F("posted_dr"),
    )
    left = {row.account_id: row.posted_cr - row.posted_dr for row in waiting}
    since = (
        Transfer.objects.filter(credit_account__in=left, journal__recorded_at__gte=ended_at)
        .order_by()
        .values_list("credit_account")
        .annotate(fen=Sum("amount"))
    )
    for account, fen in since:
        left[account] -= fen
    owed = [fen for fen in left.values() if fen > 0]
    return len(owed), sum(owed)


def grounds(items: Items) -> list[Reason]:
    """Return each thing that stands open as a ground against closing without a word on it."""
    return [
        Reason(
            f"month.open_{name}",
            SAID[name],
            _("请先处理，或在说明中写明原因。"),
            field="note",
            params={"count": count, "amount": str(Money(fen))},
        )
        for name, (count, fen) in items.items()
        if count and name in SAID
    ]
