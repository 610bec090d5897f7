"""What sending a calendar mail asks of the outside world."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from portal.kernel.period import Period
from scheduler.invitations.rules import Method, Status

__all__ = ["Attendee", "Invitation", "Letter", "Post", "Undelivered"]


@dataclass(frozen=True, slots=True)
class Attendee:
    """Who or what takes part (RFC 5545 §3.8.4.1). `address` is a URI: ``mailto:`` of a person told, else ``urn:uuid:``."""

    address: str
    name: str
    kind: str = "INDIVIDUAL"
    """CUTYPE: INDIVIDUAL, RESOURCE."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """One version of one booking, as a calendar is told it. `stamp`: when this was made (DTSTAMP, RFC 5545 §3.8.7.2)."""

    method: Method
    status: Status
    uid: uuid.UUID
    sequence: int
    period: Period
    summary: str
    location: str
    description: str
    stamp: datetime
    organiser: Attendee
    attendees: tuple[Attendee, ...]
    url: str = ""
    """Where the booking is read and changed; "" where the portal has no public address."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail about one booking, or about several that one act made. `sender` and `recipient` are plain addresses; `references` the Message-ID its thread began with, or ""."""

    sender: str
    sender_name: str
    recipient: str
    recipient_name: str
    subject: str
    text: str
    message_id: str
    references: str
    sent_at: datetime
    invitations: tuple[Invitation, ...]


class Undelivered(Exception):
    """The mail was not taken. `final`: this address never will; otherwise trying again later is right."""

    def __init__(self, problem: str, *, final: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.final = final


class Post(Protocol):
    """Hand a mail in. Returns once a server has taken it over; the same letter is the same bytes each time."""

    def __call__(self, letter: Letter, /) -> None:
        """Raises Undelivered."""
