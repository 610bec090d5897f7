"""Endpoints of ratings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from django.utils.translation import gettext
from ninja import Query, Router, Schema, Status
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from portal.kernel.actors import Actor
from portal.wire import ActorRequest, Block, Cursor, Number, PageOut, StrictIn, Whole, paged, problems
from scheduler.bookings import access as bookings
from scheduler.engagements import access as engagements
from scheduler.ratings import access, queries, services
from scheduler.ratings.models import Rating
from scheduler.resources import access as resources
from scheduler.samples import access as samples

router = Router(tags=["ratings"])

Comment = Annotated[Block, Field(max_length=400)]


class RatingIn(StrictIn):
    """A finished service, a `booking`, a `sample` order or an `engagement`, and what one thinks of it; `comment` is public."""

    booking: Number | None = None
    sample: Number | None = None
    engagement: Number | None = None
    stars: Annotated[Whole, Field(ge=1, le=5)]
    comment: Comment = ""

    @model_validator(mode="after")
    def one_thing(self) -> RatingIn:
        if sum(one is not None for one in (self.booking, self.sample, self.engagement)) != 1:
            raise PydanticCustomError("rating_of", gettext("请指明一次预约、一个送样订单或一个技术服务项目。"))
        return self


class RatingOut(Schema):
    """One rating. Who gave it is not told."""

    id: int
    instrument: str
    stars: int
    comment: str
    rated_at: datetime
    answer: str
    answered_at: datetime | None


class RatingAnswerIn(StrictIn):
    """What the lab answers; everybody reads it."""

    answer: Comment


class RatingFilter(Cursor):
    """`instrument` is a number."""

    instrument: Number


class RatingPageOut(PageOut[RatingOut]):
    """Ratings with their number and average; `average` has one decimal, empty while there are none."""

    count: int
    average: str


def _shown(rating: Rating) -> dict[str, Any]:
    names = ("stars", "comment", "rated_at", "answer", "answered_at")
    return {"id": rating.pk, "instrument": rating.resource.number, **{name: getattr(rating, name) for name in names}}


@router.post("", response={201: RatingOut, **problems(404, 409)})
def rate(request: ActorRequest, payload: RatingIn) -> Status[dict[str, Any]]:
    """Rate a finished service, once; a sample order or an engagement is closed with it."""
    return Status(201, _shown(_rate(request.actor, payload, now=timezone.now())))


def _rate(actor: Actor, payload: RatingIn, *, now: datetime) -> Rating:
    if payload.sample is not None:
        order = samples.get_own(actor, payload.sample)
        return services.rate_sample(actor=actor, order=order, stars=payload.stars, comment=payload.comment, now=now)
    if payload.engagement is not None:
        return services.rate_engagement(
            actor=actor,
            engagement=engagements.get_own(actor, payload.engagement),
            stars=payload.stars,
            comment=payload.comment,
            now=now,
        )
    booking = bookings.get_own(actor, payload.booking or "")
    return services.rate_booking(actor=actor, booking=booking, stars=payload.stars, comment=payload.comment, now=now)


@router.get("", response={200: RatingPageOut, **problems(404)})
def list_ratings(request: ActorRequest, wanted: Query[RatingFilter]) -> dict[str, Any]:
    """List an instrument's ratings, newest first, with how many there are and their average."""
    resource = resources.get_instrument(request.actor, wanted.instrument)
    standing = queries.standing(resource.pk)
    page = paged(access.ratings_of(resource).select_related("resource"), wanted, _shown)
    return {**page, "count": standing.count, "average": standing.text}


@router.post("/{rating_id}/answer", response={200: RatingOut, **problems(404, 409)})
def answer(
    request: ActorRequest, rating_id: Annotated[int, Field(ge=1, le=2**63 - 1)], payload: RatingAnswerIn
) -> dict[str, Any]:
    """Answer a rating of one's own instrument, as the lab, once."""
    rating = access.get_served(request.actor, rating_id)
    return _shown(services.answer(actor=request.actor, rating=rating, text=payload.answer, now=timezone.now()))
