"""Endpoints of a lab's limits on how much of its time one enterprise or person may have."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import ActorRequest, Cursor, Line, Number, PageOut, PeriodOut, StrictIn, Whole, paged, problems, span
from scheduler.quotas import access, kept, services
from scheduler.quotas.models import QuotaRule
from scheduler.quotas.rules import Effect, Limit, Measure, Peak, Per, Span, Standing
from scheduler.resources import access as resources

router = Router(tags=["instruments"])

Minutes = Annotated[Whole, Field(ge=0, le=1440)]


class QuotaIn(StrictIn):
    """A limit over these instruments together, none for all of the lab's.

    `amount` is hours, bookings that have not begun, or per cent of the open peak hours, as `measure` says; weeks begin on
    Monday, local time. Beyond it a request is refused, or with ``approval`` left to the lab. Peak hours are ISO weekdays
    (Monday 1) from `peak_from` to `peak_until`, minutes after local midnight. With ``kept_share`` that many per cent of the
    open hours are kept for enterprises: what the lab blocks itself beyond the rest is refused.
    """

    name: Annotated[Line, Field(min_length=1, max_length=40)]
    instruments: Annotated[list[Number], Field(max_length=100)] = []
    measure: Measure
    amount: Annotated[Whole, Field(ge=1, le=1000)]
    span: Span = Span.WEEK
    per: Per = Per.ORGANISATION
    effect: Effect = Effect.REFUSE
    peak_days: Annotated[list[Annotated[Whole, Field(ge=1, le=7)]], Field(max_length=7)] = []
    peak_from: Minutes = 0
    peak_until: Minutes = 0

    def limit(self) -> Limit:
        """Return the rules' value."""
        return Limit(
            name=self.name.strip(),
            measure=self.measure,
            amount=self.amount * 3600 if self.measure is Measure.HOURS else self.amount,
            span=self.span,
            per=self.per,
            effect=self.effect,
            peak=Peak(frozenset(self.peak_days), self.peak_from, self.peak_until),
        )


class QuotaOut(Schema):
    """A limit in force; without instruments it covers all of the lab's."""

    id: int
    name: str
    instruments: list[str]
    measure: Measure
    amount: int
    span: Span
    per: Per
    effect: Effect
    peak_days: list[int]
    peak_from: int
    peak_until: int


class OwnUseOut(Schema):
    """Of one local week or month, in seconds: open time, what of it is kept for enterprises, what the lab took itself."""

    window: PeriodOut
    opened_s: int
    kept_s: int
    allowed_s: int
    used_s: int


class LimitOut(Schema):
    """Where a request would bring the caller against a limit: in seconds, or bookings where there is no window.

    `frees_at`: from when on there would be room, for what does not fit.
    """

    name: str
    measure: Measure
    per: Per
    effect: Effect
    allowed: int
    used: int
    asked: int
    fits: bool
    window: PeriodOut | None
    frees_at: datetime | None


def standing_out(standing: Standing) -> dict[str, Any]:
    """Return a standing as the API tells it."""
    limit = standing.limit
    return {
        "name": limit.name,
        "measure": limit.measure,
        "per": limit.per,
        "effect": limit.effect,
        "allowed": standing.allowed,
        "used": standing.used,
        "asked": standing.asked,
        "fits": standing.fits,
        "window": standing.window and span(standing.window),
        "frees_at": standing.frees_at,
    }


def _shown(rule: QuotaRule) -> dict[str, Any]:
    return {
        "id": rule.pk,
        "name": rule.name,
        "instruments": sorted(resource.number for resource in rule.resources.all()),
        "measure": rule.measure,
        "amount": rule.amount // 3600 if rule.measure == Measure.HOURS.value else rule.amount,
        "span": rule.span,
        "per": rule.per,
        "effect": rule.effect,
        "peak_days": rule.peak_days,
        "peak_from": rule.peak_from_min,
        "peak_until": rule.peak_until_min,
    }


@router.get("", response={200: PageOut[QuotaOut], **problems()})
def list_quotas(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the lab's limits in force."""
    return paged(access.own_rules(request.actor), wanted, _shown)


@router.post("", response={201: QuotaOut, **problems(404)})
def add_quota(request: ActorRequest, payload: QuotaIn) -> Status[dict[str, Any]]:
    """Set a limit, as the lab, from now on; bookings already made stay, and count."""
    rule = services.add_rule(
        actor=request.actor,
        limit=payload.limit(),
        instruments=[resources.get_own_instrument(request.actor, number) for number in payload.instruments],
        now=timezone.now(),
    )
    return Status(201, _shown(rule))


@router.get("/{rule_id}/own-use", response={200: list[OwnUseOut], **problems(404)})
def own_use(request: ActorRequest, rule_id: int) -> list[dict[str, Any]]:
    """Say what the lab took itself of the time it opens, this week or month and the next; empty for other limits."""
    rule = access.get_rule(request.actor, rule_id)
    if rule.measure != Measure.KEPT_SHARE.value:
        return []
    covered = list(rule.resources.all())
    zone = covered[0].zone if covered else "Asia/Shanghai"
    return [
        {
            "window": span(each.window),
            "opened_s": each.opened,
            "kept_s": each.kept,
            "allowed_s": each.allowed,
            "used_s": each.used,
        }
        for each in kept.standings_of(rule, [resource.pk for resource in covered], zone=zone, now=timezone.now())
    ]


@router.delete("/{rule_id}", response={204: None, **problems(404)})
def end_quota(request: ActorRequest, rule_id: int) -> Status[None]:
    """End a limit."""
    services.end_rule(actor=request.actor, rule=access.get_rule(request.actor, rule_id), now=timezone.now())
    return Status(204, None)
