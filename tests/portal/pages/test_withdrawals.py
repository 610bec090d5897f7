"""Taking an instrument off the catalogue, in the browser."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings.models import Booking
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_the_lab_sees_its_bookings_and_then_withdraws(w):
    resource = make.instrument(w, modes=("self", "sample"))
    order = make.sample_order(w, resource)
    near, far = (make.booking(w, resource, period=make.slot(days=days)) for days in (1, 2))
    lab = Client()
    lab.force_login(make.user_of(w.keeper))
    here = reverse("instrument_withdraw", args=[resource.number])
    assert here in lab.get(reverse("instrument", args=[resource.number])).content.decode()
    page = lab.get(here)
    assert all(row.number in page.content.decode() for row in (near, far, order))
    said = {"reason": "仪器报废", "keep_until": "2026-11-26"}
    looked = lab.post(here, {**said, "act": "look"})
    assert (looked.status_code, looked.context["ended"]) == (200, 1)
    assert lab.post(here, {**said, "reason": "", "act": "withdraw"}).status_code == 422
    assert lab.post(here, {**said, "act": "withdraw", "seen": [near.number]}).status_code == 409
    done = lab.post(here, {**said, "act": "withdraw", "seen": [near.number, far.number, order.number]})
    assert done["Location"] == reverse("instrument", args=[resource.number])
    assert list(Booking.objects.order_by("pk").values_list("state", flat=True)) == ["requested", "cancelled"]
    order.refresh_from_db()
    assert (order.state, order.note) == ("declined", "仪器报废")
    firm = Client()
    firm.force_login(make.user_of(w.researcher))
    assert "仪器报废" in firm.get(reverse("booking", args=[far.number])).content.decode()
    state = reverse("instrument_state", args=[resource.number])
    assert lab.post(state, {"action": "restore"}).status_code == 302
    resource.refresh_from_db()
    assert resource.state == "draft"
