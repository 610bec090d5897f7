"""Open, close and propose a round; the only writer of rounds together with `deciding`."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, InvalidTransition, noop
from portal.kernel.money import Money
from portal.numbers.services import next_number
from vouchers.issuance import queries as issuance
from vouchers.issuance.rules import BEIJING
from vouchers.programmes.access import in_force, scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.terms import AwardOrder
from vouchers.rounds import queries, rules
from vouchers.rounds.keeping import lock, move, record
from vouchers.rounds.models import Round, RoundAward

__all__ = ["close", "close_due", "evaluate", "open_due", "open_round", "propose", "reject"]

ACTOR = Actor.system(noop("批次管理"))
NUMBERS_SHOWN = 5
NOTE_MAX = 300


def _of_department(actor: Actor, version: ProgrammeVersion) -> None:
    if version.programme.department_id != actor.organisation_id:
        raise Forbidden


@transaction.atomic
def open_round(
    *, actor: Actor, version: ProgrammeVersion, closes_at: datetime | None, public_source: str = "", now: datetime
) -> Round:
    """Open the version's next round until `closes_at` (exclusive; None = until somebody closes it).

    A lottery's secret is drawn here and its commitment shown from now on. `public_source` announces a public value of
    after the intake that will be mixed into the seed. Raises NotABatch, BadWindow, AlreadyOpen, Forbidden.
    """
    actor.require(Permission.PROGRAMME_PUBLISH)
    _of_department(actor, version)
    if not issuance.is_batch(version):
        raise rules.NotABatch
    if closes_at is not None and closes_at <= now:
        raise rules.BadWindow(field="closes_at")
    if Round.objects.filter(version=version, state=rules.RoundState.OPEN.value).exists():
        raise rules.AlreadyOpen
    return _open(version, actor=actor, opens_at=now, closes_at=closes_at, public_source=public_source, now=now)


def _open(
    version: ProgrammeVersion,
    *,
    actor: Actor,
    opens_at: datetime,
    closes_at: datetime | None,
    public_source: str,
    now: datetime,
) -> Round:
    scheme = scheme_of(version)
    is_lottery = scheme.terms.order is AwardOrder.LOTTERY
    secret = secrets.token_bytes(rules.SEED_BYTES) if is_lottery else None
    try:
        with transaction.atomic():
            made = Round.objects.create(
                number=next_number(prefix="R", now=now),
                version=version,
                serial=Round.objects.filter(version=version).count() + 1,
                opens_at=opens_at,
                closes_at=closes_at,
                order=scheme.terms.order.value,
                short=scheme.pool_short.value,
                seed_secret=secret,
                seed_commitment=rules.commitment(secret) if secret else "",
                public_source=public_source.strip()[:120] if is_lottery else "",
                opened_by_id=actor.user_id,
            )
    except IntegrityError as error:
        raise rules.AlreadyOpen from error
    record(made, action="round.opened", actor=actor, now=now, commitment=made.seed_commitment)
    return made


def open_due(*, now: datetime) -> int:
    """Open a round for every intake window that has begun under a batch order and has none; return how many.

    Run by the clock; each in its own transaction, and twice does nothing twice.
    """
    opened = 0
    for version in in_force():
        if not issuance.is_batch(version):
            continue
        for window in scheme_of(version).terms.windows:
            if now not in window or Round.objects.filter(version=version, opens_at__gte=window.starts).exists():
                continue
            if Round.objects.filter(version=version, state=rules.RoundState.OPEN.value).exists():
                continue
            _open(
                version, actor=ACTOR, opens_at=window.starts, closes_at=window.ends, public_source=window.note, now=now
            )
            opened += 1
    return opened


@transaction.atomic
def close(*, actor: Actor, round_: Round, now: datetime) -> Round:
    """Close a round whose end has come; one without an end is closed now. Raises StillOpen, InvalidTransition.

    An announced end is never brought forward. Who submitted in time takes part even if the submission is still being
    written: membership is read when the round is decided, by the time of submission.
    """
    if not actor.is_system:
        actor.require(Permission.PROGRAMME_PUBLISH)
    locked = lock(round_)
    if not actor.is_system:
        _of_department(actor, locked.version)
    move(locked, rules.RoundAction.CLOSE)
    if locked.closes_at is not None and locked.closes_at > now:
        ends = timezone.localtime(locked.closes_at, BEIJING)
        raise rules.StillOpen(ends=f"{ends:%Y-%m-%d %H:%M}")
    locked.closes_at = locked.closes_at or now
    locked.save()
    record(locked, action="round.closed", actor=actor, now=now)
    return locked


def close_due(*, now: datetime) -> int:
    """Close every open round whose end has come; return how many. Run by the clock."""
    due = Round.objects.filter(state=rules.RoundState.OPEN.value, closes_at__lte=now).order_by("pk")
    closed = 0
    for round_ in due:
        try:
            close(actor=ACTOR, round_=round_, now=now)
        except InvalidTransition:
            continue
        closed += 1
    return closed


@transaction.atomic
def propose(
    *, actor: Actor, round_: Round, pool: Money | None = None, public_value: str = "", note: str = "", now: datetime
) -> Round:
    """Compute the allocation of a closed round as the first of two persons. No money moves yet.

    `pool` limits what the round may give, None = all the pool has left. The public value of a lottery, once entered,
    stays: a second try with another value would be choosing the lots. Raises StillReviewed with the cases that are not
    through, NobodyWaits, PoolTooLarge, PublicValueMissing, TakesPart, InvalidTransition, Forbidden.
    """
    actor.require(Permission.APPLICATION_REVIEW)
    locked = lock(round_)
    _of_department(actor, locked.version)
    move(locked, rules.RoundAction.PROPOSE)
    _check_ready(locked, actor)
    left = queries.pool_left(locked, now=now)
    if pool is not None and not 0 < pool.fen <= left.fen:
        raise rules.PoolTooLarge(field="pool", limit=str(left))
    locked.pool_fen = (pool or left).fen
    if locked.public_source and not locked.public_value:
        if not public_value.strip():
            raise rules.PublicValueMissing(field="public_value", source=locked.public_source)
        locked.public_value = public_value.strip()[:60]
    _write(locked)
    locked.decided_by_id = actor.person
    locked.proposed_at = now
    locked.note = note.strip()[:NOTE_MAX]
    locked.save()
    record(locked, action="round.proposed", actor=actor, now=now, amount_fen=locked.pool_fen)
    return locked


def _check_ready(round_: Round, actor: Actor) -> None:
    open_cases = list(queries.pending(round_).order_by("pk").values_list("number", flat=True))
    if open_cases:
        shown = "、".join(open_cases[:NUMBERS_SHOWN]) + ("…" if len(open_cases) > NUMBERS_SHOWN else "")
        raise rules.StillReviewed(count=len(open_cases), numbers=shown)
    if not queries.members(round_).exists():
        raise rules.NobodyWaits
    if queries.takes_part(round_, actor.person):
        raise rules.TakesPart


def _write(round_: Round) -> None:
    """Write the proposed awards and the coefficient."""
    applications = {row.number: row for row in queries.members(round_).order_by("pk")}
    asked = {claim.id: claim for claim in queries.claims(round_, applications.values())}
    found = queries.allocation(round_, list(asked.values()))
    round_.coefficient_num, round_.coefficient_den = found.coefficient.numerator, found.coefficient.denominator
    round_.by_region = {region: str(k) for region, k in found.by_region.items()}
    RoundAward.objects.bulk_create(
        RoundAward(
            round=round_,
            application=applications[award.id],
            place=award.place,
            asked_fen=award.asked.fen,
            amount_fen=award.amount.fen,
            outcome=award.outcome.value,
            why=award.why.value,
            score_num=score.numerator if (score := asked[award.id].score) is not None else None,
            score_den=score.denominator if score is not None else 1,
            region=asked[award.id].region[:60],
        )
        for award in found.awards
    )


@transaction.atomic
def reject(*, actor: Actor, round_: Round, note: str, now: datetime) -> Round:
    """Send a proposal back; its awards are taken away, the trail keeps that there was one. Raises InvalidTransition."""
    actor.require(Permission.APPLICATION_APPROVE)
    locked = lock(round_)
    _of_department(actor, locked.version)
    move(locked, rules.RoundAction.REJECT)
    total = sum(locked.awards.values_list("amount_fen", flat=True))
    locked.awards.all().delete()
    locked.decided_by = None
    locked.proposed_at = None
    locked.note = note.strip()[:NOTE_MAX]
    locked.save()
    record(locked, action="round.rejected", actor=actor, now=now, amount_fen=total, note=locked.note)
    return locked


@transaction.atomic
def evaluate(*, actor: Actor, round_: Round, note: str, now: datetime) -> Round:
    """File a finished round with what was learnt from it. Raises InvalidTransition."""
    actor.require(Permission.PROGRAMME_PUBLISH)
    locked = lock(round_)
    _of_department(actor, locked.version)
    move(locked, rules.RoundAction.EVALUATE)
    locked.note = note.strip()[:NOTE_MAX]
    locked.save()
    record(locked, action="round.evaluated", actor=actor, now=now, note=locked.note)
    return locked
