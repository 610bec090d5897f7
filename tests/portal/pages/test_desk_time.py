"""What waits for an enterprise's answer about its bookings stands on its desk and above its bookings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings import counteroffers
from scheduler.bookings import services as bookings
from scheduler.displacements import services as displacements
from scheduler.waitlist import services as waitlist
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def lab(w):
    return make.instrument(w)


def told(someone):
    """Return what the desk says waits, and the text of the list of bookings."""
    client = enter(Client(), someone)
    desk = client.get(reverse("dashboard")).context["tasks"]
    listed = text_of(client.get(reverse("bookings")))
    assert raw_codes(listed) == []
    return [(task.what, task.url) for task in desk], listed


def test_nothing_waits_for_who_is_asked_nothing(w, lab):
    make.booking(w, lab)
    tasks, listed = told(w.researcher)
    assert tasks == []
    assert "前答复" not in listed


def test_another_time_the_lab_offers(w, lab):
    made = make.booking(w, lab)
    later = make.slot(start="14:00", end="17:00")
    counteroffers.offer(actor=w.keeper, booking=made, period=later, note="检修", now=make.NOW)
    tasks, listed = told(w.researcher)
    here = reverse("booking", args=[made.number])
    assert tasks == [("实验室建议另一时段，请答复", here)]
    assert listed.count("实验室建议另一时段，请答复") == 2  # above the list, and as its next step
    assert "等待实验室确认" not in listed
    page = text_of(enter(Client(), w.researcher).get(here))
    assert "时段：2026年11月26日（周四）14:00–17:00" in page
    assert "+00:00" not in page


def test_time_an_outage_took(w, lab):
    make.booking(w, lab)
    said = displacements.Declared(make.slot(1, "08:00", "20:00"), "真空泵故障")
    displacements.declare(actor=w.keeper, resource=lab, declared=said, now=make.NOW, key="outage-1")
    tasks, listed = told(w.researcher)
    assert tasks == [("时段被停机占用，请选择改期或退回", reverse("displaced"))]
    assert listed.count("时段被停机占用，请选择改期或退回") == 2


def test_time_come_free_for_who_waited(w, lab):
    day = make.slot(2, "08:00", "22:00")
    rival = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    taken = [
        bookings.request_booking(
            actor=rival, wanted=bookings.Wanted(resource=lab, period=span, title="占用"), now=make.NOW, key=make.key()
        )
        for span in (make.slot(2, "08:00", "15:00"), make.slot(2, "15:00", "22:00"))
    ]
    asked = waitlist.Asked(resource=lab, window=day, length=timedelta(hours=4), title="候补")
    waitlist.join(actor=w.researcher, asked=asked, now=make.NOW)
    assert told(w.researcher)[0] == []
    bookings.cancel(actor=rival, booking=taken[0], now=make.NOW)
    waitlist.promote(resource=lab, now=make.NOW)
    tasks, listed = told(w.researcher)
    assert tasks == [("候补的时段已保留，请答复", reverse("waitlist"))]
    assert "候补的时段已保留，请答复" in listed


def test_times_others_would_exchange(w, lab):
    swap = make.swap(w, lab)
    assert told(w.researcher)[0] == [("答复交换时段的提议", reverse("swap", args=[swap.number]))]
