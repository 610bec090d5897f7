"""Serve those who queue for money, strictly in order, whenever the pool holds some again."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError, noop
from portal.kernel.money import Money
from vouchers.issuance import cases, funds, issuing
from vouchers.issuance import queries as issuance
from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationState
from vouchers.ledger.rules import InsufficientFunds
from vouchers.programmes.access import scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.schemes import PoolShort
from vouchers.rounds import queries
from vouchers.rounds.models import RoundAward

__all__ = ["promote", "promote_all"]

ACTOR: Final = Actor.system(noop("排队递补"))
STATES: Final = (ApplicationState.REVIEW.value, ApplicationState.WAITING.value)


def promote_all(*, now: datetime) -> int:
    """Promote in every programme with a queue; return how many cases were served. Run by the clock.

    A programme whose next case cannot be granted now (its holder holds too much, say) stops no other.
    """
    queued = Application.objects.filter(state__in=STATES, reserve_hold_id__isnull=True)
    served = 0
    for version in ProgrammeVersion.objects.filter(applications__in=queued).distinct().order_by("pk"):
        if scheme_of(version).pool_short is PoolShort.QUEUE:
            try:
                served += promote(version=version, now=now)
            except PortalError:
                continue
    return served


@transaction.atomic
def promote(*, version: ProgrammeVersion, now: datetime) -> int:
    """Reserve for the version's queue in order while the pool covers the next whole claim; return how many.

    The first one it does not cover stops it: nobody is overtaken, nothing is skipped. A first-come case still under
    review gets its reservation and stays there; one that waited for money is decided. Locks the cases, then the version,
    as a submission does.
    """
    queue = _batch_queue(version) if issuance.is_batch(version) else _queue(version)
    ProgrammeVersion.objects.select_for_update(no_key=True).order_by("pk").get(pk=version.pk)
    funds.lock(version, now=now)
    served = 0
    for application in queue:
        amount, in_round = Money(application.amount_fen), _in_round(application)
        if amount > funds.left(version, now=now, submitted=application.submitted_at, in_round=in_round):
            break
        try:
            hold = cases.reserve(application, amount=amount, actor=ACTOR, now=now, in_round=in_round)
        except InsufficientFunds:
            break
        application.reserve_hold_id = hold
        _serve(application, now=now)
        served += 1
    return served


def _in_round(application: Application) -> Money | None:
    """Return what the round that left a case waiting has given; None for a case of no round."""
    award = RoundAward.objects.filter(application=application, is_final=True).select_related("round").first()
    return queries.given(award.round) if award else None


def _locked(pks: list[int]) -> dict[int, Application]:
    rows = (
        Application.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version", "version__programme", "organisation", "reviewed_by", "submitted_by")
        .filter(pk__in=pks, state__in=STATES, reserve_hold_id__isnull=True)
        .order_by("pk")
    )
    return {row.pk: row for row in rows}


def _queue(version: ProgrammeVersion) -> list[Application]:
    """Return a first-come queue by place, locked."""
    rows = Application.objects.filter(version=version, state__in=STATES, reserve_hold_id__isnull=True)
    order = list(rows.order_by("place", "pk").values_list("pk", flat=True))
    locked = _locked(order)
    return [locked[pk] for pk in order if pk in locked]


def _batch_queue(version: ProgrammeVersion) -> list[Application]:
    """Return those whom decided rounds left waiting, earlier rounds first, by place, locked."""
    rows = RoundAward.objects.filter(
        round__version=version,
        is_final=True,
        outcome=RoundAward.Outcome.WAITS,
        application__state=ApplicationState.WAITING.value,
    )
    order = list(rows.order_by("round__serial", "place").values_list("application_id", flat=True))
    locked = _locked(order)
    return [locked[pk] for pk in order if pk in locked]


def _serve(application: Application, *, now: datetime) -> None:
    if application.state == ApplicationState.REVIEW.value:
        application.save(update_fields=["reserve_hold_id", "reserved_at", "fiscal_year"])
        cases.record(application, action="application.promoted", actor=ACTOR, now=now)
        return
    RoundAward.objects.filter(application=application, is_final=True).update(
        outcome=RoundAward.Outcome.FULL, amount_fen=application.amount_fen, promoted_at=now
    )
    issuing.finish(application, actor=ACTOR, now=now)
