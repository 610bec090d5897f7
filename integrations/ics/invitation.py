"""Write what a calendar is asked by mail to enter, change or take out (iTIP, RFC 5546; iMIP, RFC 6047)."""

from __future__ import annotations

from collections.abc import Sequence

from icalendar import Event, vCalAddress

from integrations.ics.feed import FeedEvent, Privacy, Status, new_calendar, new_event, plain
from scheduler.invitations.ports import Attendee, Invitation

__all__ = ["invitation", "method_of"]

PUBLISH = "PUBLISH"


def method_of(told: Sequence[Invitation]) -> str:
    """Return the METHOD of what is told at once: of several bookings PUBLISH, since every other is of one UID.

    RFC 5546 §3.2.1 lets PUBLISH hold events of different UIDs, STATUS:CANCELLED among them; §3.2.2 and §3.2.5 do not let
    REQUEST and CANCEL.
    """
    return told[0].method.value if len(told) == 1 else PUBLISH


def invitation(told: Sequence[Invitation]) -> bytes:
    """Return one method and an event for each booking: organiser once, all settled already, so that nobody answers.

    What a feed says of a booking under the same UID and SEQUENCE, this says too. What is published has no attendees
    (RFC 5546 §3.2.1).
    """
    document, method = new_calendar(), method_of(told)
    document.add("method", method)
    for one in told:
        document.add_component(_event(one, attended=method != PUBLISH))
    return bytes(document.to_ical())


def _event(told: Invitation, *, attended: bool) -> Event:
    component = new_event(
        FeedEvent(
            uid=str(told.uid),
            sequence=told.sequence,
            period=told.period,
            summary=told.summary,
            status=Status(told.status.value),
            last_modified=told.stamp,
            location=told.location,
            description=told.description,
            url=told.url,
        ),
        Privacy.FULL,
    )
    component.add("organizer", _address(told.organiser))
    for attendee in told.attendees if attended else ():
        address = _address(attendee)
        address.params.update(
            {"CUTYPE": attendee.kind, "ROLE": "REQ-PARTICIPANT", "PARTSTAT": "ACCEPTED", "RSVP": "FALSE"}
        )
        component.add("attendee", address)
    return component


def _address(who: Attendee) -> vCalAddress:
    address = vCalAddress(who.address)
    if name := plain(who.name).replace("\n", " "):
        address.params["CN"] = name
    return address
