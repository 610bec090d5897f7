"""Exchanging times on pages, as each of the two sides sees it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings.swap_models import Swap
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.scheduler.bookings.test_swapping import LONGER, Two, period


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)


@pytest.fixture
def two(w):
    return Two(w)


def chosen(two):
    return {"to": f"{two.resource.number} {LONGER.start.isoformat()}", "idempotency_key": "swap-of-the-test"}


def test_one_side_sees_the_price_and_proposes_the_other_accepts(two):
    mine, theirs = enter(Client(), two.w.researcher), enter(Client(), two.rival)
    url = reverse("booking_swap", args=[two.mine.number])
    assert url in mine.get(reverse("booking", args=[two.mine.number])).content.decode()
    assert "想换到的时段" in text_of(mine.get(url))

    priced = mine.post(url, {**chosen(two), "act": "show"})
    assert "¥1,440.00" in text_of(priced)
    assert not Swap.objects.exists()
    unseen = mine.post(url, {**chosen(two), "act": "propose", "seen": "1"})
    assert unseen.status_code == 409
    answer = mine.post(url, {**chosen(two), "act": "propose", "seen": priced.context["offer"].price.fen})
    assert answer["Location"] == reverse("booking", args=[two.mine.number])
    made = Swap.objects.get()

    offer = reverse("swap", args=[made.number])
    for client, booking in ((mine, two.mine), (theirs, two.theirs)):
        assert offer in client.get(reverse("booking", args=[booking.number])).content.decode()
        assert offer in client.get(reverse("bookings")).content.decode()
    page = theirs.get(offer)
    text = text_of(page)
    assert "¥960.00" in text
    assert raw_codes(text) == []
    assert two.w.enterprise.name not in text
    assert two.mine.number not in text

    done = theirs.post(offer, {"act": "accept", "seen": page.context["offer"].price.fen})
    assert done["Location"] == reverse("booking", args=[two.theirs.number])
    assert period(two.mine) == (LONGER.start, LONGER.end)
    assert "交换时段" in text_of(mine.get(reverse("booking", args=[two.mine.number])))


@pytest.mark.parametrize(("side", "state"), [("mine", "withdrawn"), ("theirs", "declined")])
def test_either_side_ends_it(two, side, state):
    made = two.propose()
    actor = two.w.researcher if side == "mine" else two.rival
    client = enter(Client(), actor)
    client.post(reverse("swap", args=[made.number]), {"act": "end"})
    assert Swap.objects.get().state == state
    again = client.post(reverse("swap", args=[made.number]), {"act": "end"})
    assert again.status_code == 409
    assert period(two.mine)[0] == make.slot().start


def test_others_do_not_find_it(two):
    made = two.propose()
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    assert enter(Client(), stranger).get(reverse("swap", args=[made.number])).status_code == 404
    assert enter(Client(), two.w.keeper).get(reverse("swap", args=[made.number])).status_code in {403, 404}
