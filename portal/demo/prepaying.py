"""One instrument of the demo province asks for own shares in advance: a paid booking, and one that waits for its money."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final

from portal.demo.activity import BEIJING, Story, lab_of, slot
from portal.demo.arranging import HALVES, LAB
from portal.kernel.errors import PortalError
from scheduler.bookings import prepaid, services
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.models import Booking
from scheduler.resources.models import Resource
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.payments.rules import Collect

__all__ = ["MODEL", "ask_in_advance"]

FIRM: Final = "xinghe"
MODEL: Final = "Spectra 300"
TERMS: Final = prepaid.PayTerms(Collect.BEFORE, hold_s=1800, transfer_hold_s=72 * 3600)


def _held(story: Story, resource: Resource, title: str, *, days: int, hours_ago: int) -> Booking:
    """Ask for the first free hour from `days` days after today on, to be paid by bank transfer."""
    first = story.now.astimezone(BEIJING).date() + timedelta(days=days)
    for later in range(14):
        for half in HALVES:
            wanted = Wanted(
                resource, slot(first + timedelta(days=later), half, 2), title, story.paying(FIRM), by_transfer=True
            )
            with contextlib.suppress(PortalError):
                return services.request_booking(
                    actor=story.people.actors[f"clerk-{FIRM}"],
                    wanted=wanted,
                    now=story.now - timedelta(hours=hours_ago),
                    key=story.key(),
                )
    raise AssertionError(resource.name)


def ask_in_advance(story: Story) -> None:
    """Let the TEM ask in advance, half an hour online or three days by transfer; one booking paid, one waiting."""
    lab = story.people.actors[f"clerk-{LAB}"]
    resource = next(each for each in story.instruments if lab_of(story, each) == LAB and each.instrument.model == MODEL)
    prepaid.set_pay_terms(actor=lab, resource=resource, terms=TERMS, now=story.now - timedelta(days=2))
    paid = _held(story, resource, "界面原子结构观察", days=15, hours_ago=30)
    assert paid.charge_id is not None
    payments.confirm(
        actor=story.people.actors["caiwu"],
        payment=Payment.objects.get(charge=paid.charge),
        bank_reference="20261126-预付-001",
        now=story.now - timedelta(hours=20),
    )
    paid.refresh_from_db()
    services.confirm(actor=lab, booking=paid, now=story.now - timedelta(hours=19))
    _held(story, resource, "催化剂颗粒高分辨成像", days=17, hours_ago=1)
