"""Confirm a proposed round: reserve every award in one go, then notice or grant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import translation

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.money import Money
from vouchers.issuance import cases, funds, issuing
from vouchers.issuance import queries as issuance
from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationAction
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, HoldOp, InsufficientFunds, JournalKind, Posting
from vouchers.rounds import keeping, queries, rules
from vouchers.rounds.models import Round, RoundAward

__all__ = ["BATCH", "confirm"]

BATCH: Final = 1000
"""Most awards one journal reserves: its locks stay short."""


@transaction.atomic
def confirm(*, actor: Actor, round_: Round, now: datetime) -> Round:
    """Decide a proposed round as the second person: all awards are reserved, or none.

    The allocation is computed anew and must be what was proposed, to the fen and in the same order; otherwise a case or
    the pool has changed. Reveals a lottery's secret. Without a notice period what was awarded is granted at once.
    Raises RoundChanged, SamePerson, TakesPart, InvalidTransition, Forbidden.
    """
    actor.require(Permission.APPLICATION_APPROVE)
    locked = keeping.lock(round_)
    if locked.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    keeping.move(locked, rules.RoundAction.CONFIRM)
    if actor.person == locked.decided_by_id:
        raise rules.SamePerson
    if queries.takes_part(locked, actor.person):
        raise rules.TakesPart
    funds.lock(locked.version, now=now)
    awards = _proposed(locked, now=now)
    _reserve(locked, awards, actor=actor, now=now)
    locked.checked_by_id = actor.person
    locked.decided_at = now
    if locked.seed_secret is not None:
        locked.seed_revealed_at = now
    locked.save()
    keeping.record(
        locked,
        action="round.decided",
        actor=actor,
        now=now,
        amount_fen=sum(award.amount_fen for award in awards),
        coefficient=str(queries.coefficient(locked)),
    )
    _carry_on(locked, awards, actor=actor, now=now)
    return locked


def _proposed(round_: Round, *, now: datetime) -> list[RoundAward]:
    """Return the proposed awards with their cases locked. Raises RoundChanged unless they are what the rules give now."""
    applications = list(
        queries.members(round_)
        .select_for_update(no_key=True, of=("self",))
        .select_related("version", "version__programme", "organisation", "reviewed_by", "submitted_by")
        .order_by("pk")
    )
    awards = list(round_.awards.order_by("place"))
    by_number = {row.number: row for row in applications}
    numbers = {row.pk: row.number for row in applications}
    left = queries.pool_left(round_, now=now).fen
    if (
        queries.pending(round_).exists()
        or round_.pool_fen > left
        or {award.application_id for award in awards} != set(numbers)
    ):
        raise rules.RoundChanged
    now_given = queries.allocation(round_, queries.claims(round_, applications)).awards
    if [(numbers[award.application_id], award.amount_fen, award.why) for award in awards] != [
        (award.id, award.amount.fen, award.why.value) for award in now_given
    ]:
        raise rules.RoundChanged
    for award, given in zip(awards, now_given, strict=True):
        award.application = by_number[given.id]
    return awards


def _reserve(round_: Round, awards: Sequence[RoundAward], *, actor: Actor, now: datetime) -> None:
    """Hold every award's amount in the pool. Raises RoundChanged when a rival took money in between."""
    version = round_.version
    code, paid = version.programme.code, [award for award in awards if award.amount_fen]
    total = Money(sum(award.amount_fen for award in paid))
    try:
        pool, year = funds.draw(version, amount=total, now=now, in_round=queries.given(round_))
    except InsufficientFunds as error:
        raise rules.RoundChanged from error
    for at, start in enumerate(range(0, len(paid), BATCH)):
        part = paid[start : start + BATCH]
        posting = Posting(
            kind=JournalKind.RESERVE,
            key=f"round:{round_.number}/reserve/{at}",
            operations=[
                HoldOp(
                    pool,
                    AccountKey(AccountKind.VOUCHER, f"application:{award.application.number}", code, year),
                    award.amount_fen,
                )
                for award in part
            ],
            actor=f"{round_.decided_by} #{round_.decided_by_id}",
            approved_by=actor.signature,
            source_type="round",
            source_id=round_.number,
        )
        try:
            result = ledger.post(posting=posting)
        except InsufficientFunds as error:
            raise rules.RoundChanged from error
        for award, hold_id in zip(part, result.hold_ids, strict=True):
            award.application.reserve_hold_id, award.application.reserved_at = hold_id, now
            award.application.fiscal_year = year


def _carry_on(round_: Round, awards: Sequence[RoundAward], *, actor: Actor, now: datetime) -> None:
    """Take every case to what it got, and the round to granted where there is no notice to wait for."""
    first = f"{round_.decided_by} #{round_.decided_by_id}"
    for award in awards:
        award.is_final = True
        application = award.application
        if award.amount_fen:
            application.amount_fen = award.amount_fen
            issuing.finish(application, actor=actor, now=now, first=first)
        elif award.outcome == RoundAward.Outcome.NOTHING:
            _refuse(application, award, actor=actor, now=now)
    RoundAward.objects.bulk_update(awards, ["is_final"], batch_size=BATCH)
    if issuance.notice_days(round_.version) == 0:
        keeping.move(round_, rules.RoundAction.GRANT)
        round_.save(update_fields=["state"])


def _refuse(application: Application, award: RoundAward, *, actor: Actor, now: datetime) -> None:
    cases.move(application, ApplicationAction.REFUSE)
    application.amount_fen = 0
    with translation.override("zh-hans"):
        application.note = rules.NOT_DRAWN if award.is_undrawn else str(RoundAward.Why(award.why).label)
    application.decided_at = now
    application.save()
    cases.record(application, action="application.refused", actor=actor, now=now, round=award.round.number)
