"""The clock drafts what is due at the end of a week, month or quarter; a person checks it, another approves."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from portal.organisations import access as people
from vouchers.settlements import queries, routing, rules, services
from vouchers.settlements.cadences import cadences
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import DraftRun
from vouchers.settlements.order_rules import last_period

__all__ = ["draft_due"]

_ = noop

ACTOR = Actor.system(_("结算安排"))


def draft_due(*, now: datetime) -> list[SettlementBatch]:
    """Draft one batch a payee of all that was earned before the end of the last period of its programme's cadence.

    Each period of a programme is drafted once; killed in the middle, the next round goes on where this one stopped. A
    round that finds nothing to draft asks a fixed number of questions, whatever the number of payees.
    """
    totals = queries.due_by_payee(now=now)
    payees = list(people.payees().filter(pk__in=totals).order_by("pk"))
    due = queries.due_of([payee.pk for payee in payees], now=now)
    codes = {row.purse.programme for rows in due.values() for row in rows}
    periods = {code: last_period(cadence, now) for code, cadence in cadences(codes).items()}
    ends = {code: period.end for code, period in periods.items() if period is not None}
    ran = set(DraftRun.objects.filter(programme_code__in=ends).values_list("programme_code", "ends_at"))
    ends = {code: end for code, end in ends.items() if (code, end) not in ran}
    if not ends:
        return []

    def is_due(row: queries.Due) -> bool:
        end = ends.get(row.purse.programme)
        earned = row.claim.eligible_at if row.claim else row.charge.resolved_at if row.charge else None
        return end is not None and earned is not None and earned < end

    made = []
    for payee in payees:
        if any(is_due(row) for row in due.get(payee.pk, [])):
            for _way in range(2 if routing.over_rail(payee.pk, now=now) else 1):
                try:
                    made.append(services.draft(actor=ACTOR, payee=payee, now=now, only=is_due))
                except rules.NothingToSettle:
                    break
    with transaction.atomic():
        DraftRun.objects.bulk_create(
            [
                DraftRun(programme_code=code, ends_at=end, batches=len(made), ran_at=now)
                for code, end in sorted(ends.items())
            ],
            ignore_conflicts=True,
        )
    return made
