"""Endpoints of one's own choice about calendar mails."""

from __future__ import annotations

from typing import Annotated, Literal

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from portal.wire import ActorRequest, Flag, StrictIn, problems
from scheduler.invitations import access, services
from scheduler.invitations.models import CalendarMailChoice

router = Router(tags=["feeds"])


class CalendarMailsIn(StrictIn):
    """Whether calendar mails (invitation, change, cancellation; iMIP, RFC 6047) are wanted, and in which language."""

    wanted: Flag
    language: Annotated[Literal["zh-hans", "en"], Field()] = "zh-hans"


class CalendarMailsOut(Schema):
    """The caller's choice. Without one, mails are sent, in Chinese."""

    wanted: bool
    language: str


@router.get("", response={200: CalendarMailsOut, **problems()})
def get_calendar_mails(request: ActorRequest) -> CalendarMailChoice:
    """Say whether the caller gets calendar mails about the bookings they make."""
    return access.own_choice(request.actor)


@router.put("", response={200: CalendarMailsOut, **problems()})
def set_calendar_mails(request: ActorRequest, payload: CalendarMailsIn) -> CalendarMailChoice:
    """Turn calendar mails on or off, for all bookings the caller makes; subscriptions go on either way."""
    return services.choose(actor=request.actor, wanted=payload.wanted, language=payload.language, now=timezone.now())
