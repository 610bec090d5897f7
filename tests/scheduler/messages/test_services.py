"""Messages: told once, to whom it concerns, on a page and by mail, in the reader's language."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from portal.kernel.money import Money
from portal.organisations import access as people
from portal.organisations.models import Member, User
from scheduler.bookings import swapping
from scheduler.invitations import services as invitations
from scheduler.messages import rules, services
from scheduler.messages.models import Message
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of

K = rules.MessageKind


@pytest.fixture
def scene(w):
    """A swap proposed to the enterprise's researcher, who has an address."""
    User.objects.filter(pk=w.researcher.user_id).update(email="zhou@firm.example")
    w.sem = make.instrument(w)
    w.swap = make.swap(w, w.sem)
    return w


def kinds(who):
    return list(Message.objects.filter(user_id=who).order_by("pk").values_list("kind", flat=True))


def test_the_one_asked_is_told_what_is_proposed_and_until_when(scene, settings):
    settings.PUBLIC_URL = "https://portal.example"
    assert kinds(scene.researcher.user_id) == [K.SWAP_PROPOSED]
    assert [services.send_due(now=make.NOW) for _twice in range(2)] == [1, 0]
    [sent] = mail.outbox
    assert sent.to == ["zhou@firm.example"]
    until = scene.swap.expires_at.astimezone(make.BEIJING)
    assert f"{until:%Y-%m-%d %H:%M} 之前" in sent.body
    assert f"https://portal.example/swaps/{scene.swap.number}/" in sent.body
    assert str(scene.swap.organisation) not in sent.body + sent.subject


def test_an_address_no_mail_can_be_written_to_holds_up_nobody(scene):
    User.objects.filter(pk=scene.researcher.user_id).update(email=f"zhou@{'ü' * 60}.de")
    about = {"instrument": "电镜", "about": scene.swap.number, "params": Message.objects.get().params}
    told = services.Told(K.SWAP_LAPSED, scene.enterprise.pk, scene.owner.user_id, "k", **about)
    User.objects.filter(pk=scene.owner.user_id).update(email="lin@firm.example")
    services.tell(told=told, now=make.NOW)
    assert services.send_due(now=make.NOW) == 1
    assert [message.to for message in mail.outbox] == [["lin@firm.example"]]
    assert not Message.objects.filter(next_at__isnull=False).exists()


@pytest.mark.parametrize(
    ("end", "proposer", "asked"),
    [
        ("accept", [K.SWAP_ACCEPTED], [K.SWAP_PROPOSED]),
        ("decline", [K.SWAP_DECLINED], [K.SWAP_PROPOSED]),
        ("withdraw", [], [K.SWAP_PROPOSED, K.SWAP_WITHDRAWN]),
        ("lapse", [K.SWAP_LAPSED], [K.SWAP_PROPOSED, K.SWAP_LAPSED]),
    ],
)
def test_each_side_is_told_how_it_ended(scene, end, proposer, asked):
    swap = scene.swap
    rival = swap.asked.booked_by
    if end == "accept":
        price = Money(swap.other.charge.price_fen)
        swapping.accept(actor=scene.researcher, swap=swap, price=price, now=make.NOW)
    elif end == "decline":
        swapping.answer(actor=scene.researcher, swap=swap, now=make.NOW)
    elif end == "withdraw":
        by = people.actor_for(Member.objects.select_related("user", "organisation").get(user=rival))
        swapping.answer(actor=by, swap=swap, now=make.NOW)
    else:
        assert swapping.lapse_due(now=swap.expires_at) == 1
        assert swapping.lapse_due(now=swap.expires_at) == 0
    assert kinds(rival.pk) == proposer
    assert kinds(scene.researcher.user_id) == asked


def test_a_server_that_is_away_holds_up_nothing_and_is_tried_again(scene, monkeypatch):
    monkeypatch.setattr("django.core.mail.EmailMessage.send", lambda _self: (_ for _ in ()).throw(OSError("away")))
    assert services.send_due(now=make.NOW) == 0
    row = Message.objects.get()
    assert (row.attempts, row.next_at - make.NOW) == (1, timedelta(minutes=5))
    for _try in range(2, rules.ATTEMPTS + 1):
        services.send_due(now=row.next_at)
        row.refresh_from_db()
    assert (row.attempts, row.next_at, row.sent_at) == (rules.ATTEMPTS, None, None)
    monkeypatch.undo()
    assert services.send_due(now=make.NOW + timedelta(days=99)) == 0


def test_who_left_gets_no_mail_and_then_all_who_book_are_told(scene):
    Member.objects.filter(user_id=scene.researcher.user_id).update(left_at=make.NOW)
    assert services.send_due(now=make.NOW) == 0
    assert mail.outbox == []
    swapping.lapse_due(now=scene.swap.expires_at)
    assert kinds(scene.researcher.user_id) == [K.SWAP_PROPOSED]
    assert kinds(scene.owner.user_id) == [K.SWAP_LAPSED]


def test_is_read_in_the_readers_language(scene):
    type(scene.sem).objects.filter(pk=scene.sem.pk).update(name_en="Scanning electron microscope")
    invitations.choose(actor=scene.researcher, wanted=False, language="en", now=make.NOW)
    Message.objects.update(instrument_en="Scanning electron microscope")
    services.send_due(now=make.NOW)
    [sent] = mail.outbox
    assert "Scanning electron microscope" in sent.subject
    assert not any("一" <= char <= "鿿" for char in sent.subject + sent.body), sent.body


def test_by_page_and_api(scene, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    client = enter(Client(), scene.researcher)
    assert "消息（1）" in text_of(client.get(reverse("bookings")))
    page = client.get(reverse("my_messages"))
    assert "有单位提议与您交换时段" in text_of(page)
    assert reverse("swap", args=[scene.swap.number]) in page.content.decode()
    assert raw_codes(text_of(page)) == []
    with django_assert_num_queries(6):
        client.get(reverse("my_messages"))
    assert client.post(reverse("messages_seen"))["Location"] == reverse("my_messages")
    assert "消息（1）" not in text_of(client.get(reverse("bookings")))
    caller = Caller(scene.researcher, language="en")
    [row] = caller.get("/messages").body["items"]
    assert (row["kind"], row["about"], row["path"]) == (
        "swap_proposed",
        scene.swap.number,
        f"/en/swaps/{scene.swap.number}/",
    )
    assert row["seen_at"]
    assert caller.post("/messages/seen").body == {"seen": 0}
    assert Caller(scene.keeper).get("/messages").status == 403
    assert Caller(scene.owner).get("/messages").body["items"] == []
