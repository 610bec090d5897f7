"""Pull what gateways report, book their fees and payouts, and compare; the only writer of lines and checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import structlog
from django.db import connection, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, noop
from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments.arriving import MAIN_ACCOUNT, in_account, rail_account
from vouchers.payments.ports import BalanceKind, BalanceLine, Rail
from vouchers.reconciliation import queries, rules
from vouchers.reconciliation.models import GatewayCheck, GatewayLine
from vouchers.settlements import paying_out, taken_back

__all__ = ["OVERLAP", "WindowTooLong", "pull"]

_ = noop
logger = structlog.get_logger("reconciliation")

OVERLAP = timedelta(days=4)
"""How far every pull reaches back: what a gateway reports late is still taken up, and what is known changes nothing."""
LONGEST = timedelta(days=100)
CHECKING = 0x6761636B
"""First key of the advisory lock under which one rail is checked, one check after the other."""
MARGIN = timedelta(hours=1)
"""How much before the check before a change may be dated that it could not see: it was committed later."""


class WindowTooLong(Invalid):
    code = "reconciliation.window"
    message = _("一次最多取 %(days)s 天的账单。请缩短起止日期，分几次取。")


def pull(*, rail: Rail, during: Period, actor: Actor, now: datetime) -> GatewayCheck:
    """Take up a gateway's report of a time, book its fees and payouts, compare, and keep how it came out.

    Idempotent: a line is kept once by its id, a fee or payout booked once by its key. Asks the gateway outside any
    transaction of its own. Raises WindowTooLong, Unavailable, RailRefused, Forbidden.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    if during.duration > LONGEST:
        raise WindowTooLong(field="since", days=LONGEST.days)
    reported = list(rail.balance(during=during))
    held = rail.balance_now()
    known, changed = _keep(rail.code, reported, now=now)
    theirs = [
        queries.as_theirs(row)
        for row in GatewayLine.objects.filter(
            rail=rail.code, provider_id__in=[line.provider_id for line in reported]
        ).order_by("occurred_at", "pk")
    ]
    count = _book(rail.code, theirs, actor=actor)
    went = {line.source: line.provider_id for line in theirs if line.amount_fen < 0}
    paying_out.reconcile(rail=rail.code, lines=went, now=now)
    came = [line.source for line in theirs if line.kind is BalanceKind.TRANSFER and line.amount_fen > 0]
    taken_back.reported(rail=rail.code, sources=came, now=now)
    return _check(
        GatewayCheck(
            rail=rail.code,
            since=during.start,
            until=during.end,
            checked_at=now,
            new_lines=len(reported) - known,
            booked=count,
            held_fen=held.fen,
            changed=changed,
            asked_by=actor.signature[:160],
        ),
        actor=actor,
        now=now,
    )


@transaction.atomic
def _keep(rail: str, reported: Sequence[BalanceLine], *, now: datetime) -> tuple[int, list[str]]:
    """Keep the lines that are new; return how many were known, and the ids of those reported otherwise than before."""
    kept = {
        row.provider_id: row
        for row in GatewayLine.objects.filter(rail=rail, provider_id__in=[line.provider_id for line in reported])
    }
    changed = [
        line.provider_id
        for line in reported
        if (row := kept.get(line.provider_id)) is not None
        and (row.kind, row.amount_fen, row.fee_fen, row.source, row.currency)
        != (line.kind.value, line.amount.fen, line.fee.fen, line.source, line.currency)
    ]
    GatewayLine.objects.bulk_create(
        [
            GatewayLine(
                rail=rail,
                provider_id=line.provider_id,
                kind=line.kind.value,
                amount_fen=line.amount.fen,
                fee_fen=line.fee.fen,
                net_fen=line.net.fen,
                currency=line.currency,
                source=line.source,
                occurred_at=line.created_at,
                seen_at=now,
            )
            for line in reported
            if line.provider_id not in kept
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    return len(kept), changed


def _book(rail: str, theirs: Sequence[rules.Theirs], *, actor: Actor) -> int:
    """Book the fees and payouts that the ledger does not have yet, each by itself; return how many."""
    have = queries.booked(rail, theirs)
    wanted = [part for line in theirs for part in queries.to_book(line) if part.provider_id not in have]
    for part in wanted:
        money = in_account(rail_account(rail))
        if part.kind is BalanceKind.PAYOUT:
            kind, other = JournalKind.GATEWAY_PAYOUT, in_account(MAIN_ACCOUNT)
        else:
            kind, other = JournalKind.FEE, AccountKey(AccountKind.FEES, rail_account(rail))
        fen = abs(part.amount_fen)
        gone = part.amount_fen < 0
        ledger.post(
            posting=Posting(
                kind=kind,
                key=queries.journal_key(rail, part),
                operations=[TransferOp(other, money, fen) if gone else TransferOp(money, other, fen)],
                actor=actor.signature,
                source_type="gateway",
                source_id=f"{rail}:{part.source or part.provider_id}"[:80],
            )
        )
    return len(wanted)


def _open_entries(check: GatewayCheck, *, now: datetime) -> list[rules.Entry]:
    """Return every entry that does not match, from the days that may have one: not the whole past each time.

    Those pulled, those that had one at the check before, and those on which anything has changed since; everything where
    no check before says which had. One check of a rail at a time.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [CHECKING, check.rail])
    before = GatewayCheck.objects.filter(rail=check.rail).order_by("-pk").first()
    times: list[Period] | None = None
    if before is not None and before.open_days is not None:
        open_days = {date.fromisoformat(day) for day in before.open_days}
        changed = queries.touched_days(check.rail, since=before.checked_at - MARGIN)
        pulled = _days_of(Period(check.since, check.until))
        times = rules.spans(open_days | changed | pulled)
    return [entry for entry in queries.entries(check.rail, during=times, now=now) if entry.is_open]


def _days_of(during: Period) -> set[date]:
    """Return the days in China that a time touches."""
    first, last = rules.day_of(during.start), rules.day_of(during.end)
    return {first + timedelta(days=nth) for nth in range((last - first).days + 1)}


@transaction.atomic
def _check(check: GatewayCheck, *, actor: Actor, now: datetime) -> GatewayCheck:
    found = _open_entries(check, now=now)
    counted = queries.accounted(queries.explanations(check.rail, found))
    check.open_days = sorted({rules.day_of(entry.at).isoformat() for entry in found})
    check.accounted_fen, check.accounted_entries = sum(counted.values()), len(counted)
    check.lines_fen, check.ledger_fen = queries.lines_fen(check.rail), queries.ledger_fen(check.rail)
    check.explained_fen, check.open_entries = sum(entry.difference_fen for entry in found), len(found)
    check.save(force_insert=True)
    audit.record(
        action="reconciliation.pulled",
        subject=f"rail:{check.rail}",
        actor=actor,
        now=now,
        organisations=[actor.organisation_id] if actor.organisation_id else [],
        data={"new": check.new_lines, "booked": check.booked, "open": check.open_entries},
    )
    say = logger.info if check.in_order else logger.error
    say(
        "reconciliation.checked",
        rail=check.rail,
        open=check.open_entries,
        difference=str(Money(check.difference_fen)),
        unexplained_fen=check.unexplained_fen,
        missing_fen=check.missing_fen,
        changed=len(check.changed),
    )
    return check
