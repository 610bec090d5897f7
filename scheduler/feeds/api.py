"""Endpoints of subscription addresses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.wire import ActorRequest, Line, Number, StrictIn, problems
from scheduler.feeds import access, services
from scheduler.feeds.models import FeedToken
from scheduler.feeds.rules import FeedKind, FeedPrivacy
from scheduler.resources import access as resources

router = Router(tags=["feeds"])


class FeedIn(StrictIn):
    """An address to make: of the named instrument, which must be the caller's, or else of the caller's own bookings."""

    label: Annotated[Line, Field(max_length=60)]
    kind: FeedKind
    privacy: FeedPrivacy = FeedPrivacy.BUSY
    instrument: Number | None = None


class FeedReaderOut(Schema):
    """A program that fetched the document."""

    program: str
    address: str
    first_at: datetime
    last_at: datetime
    fetches: int


class FeedOut(Schema):
    """An address without its secret, and who came in the last 90 days."""

    id: int
    label: str
    instrument: str | None
    kind: FeedKind
    privacy: FeedPrivacy
    prefix: str
    created_at: datetime
    revoked_at: datetime | None
    last_fetched_at: datetime | None
    fetches: int
    readers: list[FeedReaderOut]


class FeedIssuedOut(FeedOut):
    """`path` is the address below the portal's own; it is told this once."""

    path: str


def _out(token: FeedToken) -> dict[str, Any]:
    names = ("label", "kind", "privacy", "prefix", "created_at", "revoked_at", "last_fetched_at", "fetches")
    return {
        **{name: getattr(token, name) for name in names},
        "id": token.pk,
        "instrument": token.resource.number if token.resource is not None else None,
        "readers": list(token.readers.all()),
    }


@router.get("", response={200: list[FeedOut], **problems()})
def list_feeds(request: ActorRequest, instrument: Number | None = None) -> list[dict[str, Any]]:
    """List the addresses of one of the caller's instruments, or of the caller's own bookings; the newest first."""
    if instrument is None:
        found = access.own_feeds(request.actor)
    else:
        found = access.of_instrument(request.actor, resources.get_own_instrument(request.actor, instrument))
    return [_out(token) for token in found]


@router.post("", response={201: FeedIssuedOut, **problems(404, 409)})
def issue_feed(request: ActorRequest, body: FeedIn) -> Status[dict[str, Any]]:
    """Make an address. Whoever knows it reads the document without signing in."""
    resource = resources.get_own_instrument(request.actor, body.instrument) if body.instrument is not None else None
    wanted = services.Wanted(label=body.label, kind=body.kind, privacy=body.privacy, resource=resource)
    token, secret = services.issue(actor=request.actor, wanted=wanted, now=timezone.now())
    return Status(201, {**_out(token), "path": f"/feeds/{secret}/{token.kind}.ics"})


@router.post("/{feed_id}/revoke", response={200: FeedOut, **problems(404)})
def revoke_feed(request: ActorRequest, feed_id: int) -> dict[str, Any]:
    """End an address at once; it answers 410 from now on. Idempotent."""
    token = access.get_feed(request.actor, feed_id)
    services.revoke(actor=request.actor, token=token, now=timezone.now())
    return _out(access.get_feed(request.actor, feed_id))
