"""Read who takes part in a round, what is asked, and what the rules would give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fractions import Fraction

from django.db.models import Count, F, QuerySet, Sum

from portal.kernel.money import Money
from portal.organisations.models import Member
from vouchers.issuance import funds
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.rules import ApplicationState
from vouchers.programmes.access import scheme_of
from vouchers.programmes.allocation import Allocation, Claim, allocate
from vouchers.programmes.schemes import PoolShort
from vouchers.programmes.terms import AwardOrder
from vouchers.rounds import rules
from vouchers.rounds.models import Round, RoundAward

__all__ = [
    "PENDING",
    "allocation",
    "claims",
    "coefficient",
    "given",
    "members",
    "pending",
    "pool_left",
    "scores",
    "seed",
    "takes_part",
    "waits",
]

PENDING = (ApplicationState.SUPPLEMENT.value, ApplicationState.REVIEW.value)


def _in_time(round_: Round) -> QuerySet[Application]:
    """Return the version's applications submitted before the round's end that no round has decided yet."""
    rows = Application.objects.filter(version_id=round_.version_id).exclude(awards__is_final=True)
    return rows.filter(submitted_at__lt=round_.closes_at) if round_.closes_at else rows


def members(round_: Round) -> QuerySet[Application]:
    """Return the applications that wait for this round: in time, reviewed, in no earlier round."""
    return _in_time(round_).filter(state=ApplicationState.WAITING.value)


def pending(round_: Round) -> QuerySet[Application]:
    """Return the applications in time that are still reviewed or supplemented: the round waits for them."""
    return _in_time(round_).filter(state__in=PENDING)


def pool_left(round_: Round, *, now: datetime) -> Money:
    """Return what the round may give now: what the budget holds, within every pool in force and that of each round."""
    return funds.left(round_.version, now=now, in_round=given(round_))


def given(round_: Round) -> Money:
    """Return what a round has given for good."""
    total = (
        round_.awards.filter(is_final=True)
        .exclude(outcome=RoundAward.Outcome.WAITS)
        .aggregate(total=Sum("amount_fen"))["total"]
    )
    return Money(total or 0)


def scores(applications: Iterable[Application]) -> Mapping[int, Fraction]:
    """Return the mean of the experts' points of each application's present turn; without points it is left out."""
    rows = (
        StageDecision.objects.filter(
            application__in=[each.pk for each in applications], score__isnull=False, turn=F("application__turn")
        )
        .order_by()
        .values("application_id")
        .annotate(points=Sum("score"), voices=Count("pk"))
    )
    return {row["application_id"]: Fraction(row["points"], row["voices"]) for row in rows}


def claims(round_: Round, applications: Iterable[Application]) -> list[Claim]:
    """Return what the applications ask of the round. One query besides theirs."""
    rows = list(applications)
    points = scores(rows)
    floor = scheme_of(round_.version).floor or Money(0)
    return [
        Claim(
            id=row.number,
            amount=Money(row.amount_fen),
            submitted_at=_moment(row),
            score=points.get(row.pk),
            region=str(row.request.get("applicant", {}).get("region", "")),
            floor=floor,
        )
        for row in rows
    ]


def _moment(application: Application) -> datetime:
    assert application.submitted_at is not None
    return application.submitted_at


def seed(round_: Round) -> bytes | None:
    """Return the seed lots are drawn with; None where there is no lottery. Secret until the round is decided."""
    if round_.seed_secret is None:
        return None
    return rules.seed_of(bytes(round_.seed_secret), round_.public_value)


def allocation(round_: Round, asked: list[Claim]) -> Allocation:
    """Return what the round's order and pool give to `asked`."""
    scheme = scheme_of(round_.version)
    return allocate(
        order=AwardOrder(round_.order),
        pool=Money(round_.pool_fen),
        short=PoolShort(round_.short),
        claims=asked,
        quotas=scheme.terms.region_quotas,
        seed=seed(round_),
        rounding=scheme.rounding,
        leftovers=scheme.terms.region_leftovers,
    )


def coefficient(round_: Round) -> Fraction:
    """Return the round's published coefficient k."""
    return Fraction(round_.coefficient_num, round_.coefficient_den)


def takes_part(round_: Round, user_id: int) -> bool:
    """Say whether a person is a member of an organisation that applied in the round. One query."""
    return Member.objects.filter(
        user_id=user_id, left_at__isnull=True, organisation__in=members(round_).values("organisation_id")
    ).exists()


def waits(round_: Round) -> QuerySet[RoundAward]:
    """Return the round's awards that wait for money, in order."""
    return round_.awards.filter(
        is_final=True, outcome=RoundAward.Outcome.WAITS, application__state=ApplicationState.WAITING.value
    ).order_by("place")
