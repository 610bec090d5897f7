"""Write what a calendar is asked by mail to enter, change or take out (iTIP, RFC 5546; iMIP, RFC 6047)."""

from __future__ import annotations

from icalendar import vCalAddress

from integrations.ics.feed import FeedEvent, Privacy, Status, new_calendar, new_event, plain
from scheduler.invitations.ports import Attendee, Invitation

__all__ = ["invitation"]


def invitation(told: Invitation) -> bytes:
    """Return one method and one event: organiser once, everybody's part settled already, so that nobody answers.

    What a feed says of the booking under the same UID and SEQUENCE, this says too.
    """
    document = new_calendar()
    document.add("method", told.method.value)
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
        ),
        Privacy.FULL,
    )
    component.add("organizer", _address(told.organiser))
    for attendee in told.attendees:
        address = _address(attendee)
        address.params.update(
            {"CUTYPE": attendee.kind, "ROLE": "REQ-PARTICIPANT", "PARTSTAT": "ACCEPTED", "RSVP": "FALSE"}
        )
        component.add("attendee", address)
    document.add_component(component)
    return bytes(document.to_ical())


def _address(who: Attendee) -> vCalAddress:
    address = vCalAddress(who.address)
    if name := plain(who.name).replace("\n", " "):
        address.params["CN"] = name
    return address
