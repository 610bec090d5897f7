"""Taking an instrument off the catalogue with sample orders on it."""

from __future__ import annotations

import pytest

from scheduler.bookings.models import Booking
from scheduler.catalogue.withdrawing import Changed, Plan, ReasonMissing
from scheduler.samples import withdrawing
from scheduler.samples.models import SampleOrder
from tests import make
from tests.calling import Caller
from tests.make import NOW

pytestmark = pytest.mark.django_db

WHY = "仪器报废，停止服务。"


@pytest.fixture
def scene(w):
    """An instrument with a booking, an order that was just asked for, one quoted and one accepted."""
    w.sem = make.instrument(w, modes=("self", "sample"))
    w.made = make.booking(w, w.sem)
    w.asked = make.sample_order(w, w.sem)
    w.quoted = make.quoted(w, make.sample_order(w, w.sem))
    w.accepted = make.accepted(w, make.quoted(w, make.sample_order(w, w.sem)))
    w.numbers = [w.made.number, w.asked.number, w.quoted.number, w.accepted.number]
    return w


def withdraw(w, *, seen=None, reason=WHY):
    return withdrawing.withdraw(
        actor=w.keeper, resource=w.sem, plan=Plan(reason), seen=w.numbers if seen is None else seen, now=NOW
    )


def test_what_nobody_agreed_to_is_declined_with_the_reason_and_the_rest_is_finished(scene):
    done = withdraw(scene)
    assert [row.number for row in done.orders.kept] == [scene.accepted.number]
    told = dict(SampleOrder.objects.values_list("number", "state"))
    assert [told[number] for number in scene.numbers[1:]] == ["declined", "declined", "accepted"]
    assert set(SampleOrder.objects.filter(state="declined").values_list("note", flat=True)) == {WHY}
    assert Booking.objects.get().state == "cancelled"
    received = make.received(scene, SampleOrder.objects.get(number=scene.accepted.number))
    assert received.state == "received", "the lab goes on with what it agreed to"


@pytest.mark.parametrize("missing", range(4))
def test_anything_nobody_was_shown_stops_it_and_changes_nothing(scene, missing):
    unseen = scene.numbers[missing]
    with pytest.raises(Changed) as caught:
        withdraw(scene, seen=[number for number in scene.numbers if number != unseen])
    assert caught.value.params["bookings"] == [unseen]
    with pytest.raises(ReasonMissing):
        withdraw(scene, reason=" ")
    scene.sem.refresh_from_db()
    assert (scene.sem.state, Booking.objects.get().state) == ("published", "requested")
    assert not SampleOrder.objects.filter(state="declined").exists()


@pytest.mark.usefixtures("clock")
def test_by_the_api_each_order_is_named_with_what_becomes_of_it(scene):
    path, lab = f"/instruments/{scene.sem.number}", Caller(scene.keeper)
    named = lab.get(f"{path}/withdrawal").body["orders"]
    assert {row["number"]: row["stays"] for row in named} == {
        scene.asked.number: False,
        scene.quoted.number: False,
        scene.accepted.number: True,
    }
    unseen = lab.post(f"{path}/withdraw", {"reason": WHY, "seen": [scene.made.number]})
    assert (unseen.status, unseen.code) == (409, "withdrawal.changed")
    assert scene.quoted.number in unseen.body["detail"]
    assert lab.post(f"{path}/withdraw", {"reason": WHY, "seen": scene.numbers}).body["state"] == "withdrawn"
    assert Caller(scene.researcher).get(f"/samples/{scene.quoted.number}").body["note"] == WHY
