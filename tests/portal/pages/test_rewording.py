"""Changing what a booking is for, as the firm that made it does."""

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.bookings import services
from scheduler.bookings.models import Booking
from tests import make
from tests.portal.pages.reading import enter, text_of

pytestmark = pytest.mark.usefixtures("clock")


def test_the_purpose_changes_and_the_lab_need_not_decide_anew(w):
    made = services.confirm(actor=w.keeper, booking=make.booking(w, make.instrument(w)), now=make.NOW)
    client, url = enter(Client(), w.researcher), reverse("booking_reword", args=[made.number])
    shown = reverse("booking", args=[made.number])
    assert url in client.get(shown).content.decode()
    assert made.title in client.get(url).content.decode()
    assert client.post(url, {"title": ""}).status_code == 422
    assert "最多 120 个字，现在有 121 个字，请缩短。" in text_of(client.post(url, {"title": "断" * 121}))
    done = client.post(url, {"title": "断口失效分析"}, follow=True)
    assert "断口失效分析" in text_of(done)
    after = Booking.objects.get(pk=made.pk)
    assert (after.state, after.sequence) == (made.state, made.sequence)
    assert enter(Client(), w.keeper).get(url).status_code in {403, 404}
    services.cancel(actor=w.researcher, booking=made, now=make.NOW)
    assert url not in client.get(shown).content.decode()
