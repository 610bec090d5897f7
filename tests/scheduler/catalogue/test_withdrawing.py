"""Taking an instrument off the catalogue with bookings on it."""

from __future__ import annotations

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.catalogue import withdrawing
from scheduler.catalogue.withdrawing import Plan
from scheduler.resources import access, services
from scheduler.resources.rules import PublishAction
from tests import make
from tests.calling import Caller, zoned
from tests.make import NOW

pytestmark = pytest.mark.django_db

WHY = "仪器报废，停止服务。"


@pytest.fixture
def scene(w):
    """An instrument with a booking tomorrow, confirmed, and one the day after, requested."""
    w.sem = make.instrument(w)
    w.near = make.booking(w, w.sem, period=make.slot(days=1))
    bookings.confirm(actor=w.keeper, booking=w.near, now=NOW)
    w.far = make.booking(w, w.sem, period=make.slot(days=2))
    return w


def withdraw(w, *, until=None, seen=None, reason=WHY, actor=None, now=NOW):
    numbers = [row.number for row in (w.near, w.far)] if seen is None else seen
    return withdrawing.withdraw(
        actor=actor or w.keeper, resource=w.sem, plan=Plan(reason, until), seen=numbers, now=now
    )


def states():
    return list(Booking.objects.order_by("starts_at").values_list("state", "charge__state", "decision_note"))


def test_all_bookings_are_cancelled_free_of_charge_and_told_why(scene):
    settled = withdraw(scene)
    assert ([row.pk for row in settled.kept], len(settled.ended)) == ([], 2)
    assert states() == [("cancelled", "released", WHY)] * 2
    scene.sem.refresh_from_db()
    assert scene.sem.state == "withdrawn"
    assert access.instruments_visible_to(scene.researcher).count() == 0
    told = Record.objects.get(action="instrument.bookings_settled")
    assert scene.enterprise.pk in told.organisation_ids
    assert told.data["cancelled"] == [scene.near.number, scene.far.number]


def test_a_late_cancellation_by_the_lab_costs_nothing(scene):
    Booking.objects.update(late_percent=100, free_cancel_s=30 * 86400)
    withdraw(scene)
    assert [charge for _state, charge, _note in states()] == ["released", "released"]


def test_what_ends_by_the_day_named_stays_and_can_be_used(scene):
    settled = withdraw(scene, until=scene.near.ends_at)
    assert [row.number for row in settled.kept] == [scene.near.number]
    assert [state for state, *_rest in states()] == ["confirmed", "cancelled"]
    session = bookings.start_session(
        actor=scene.keeper, booking=scene.near, started_at=scene.near.starts_at, now=scene.near.starts_at
    )
    assert session.booking_id == scene.near.pk


def test_what_is_in_use_is_never_cut_off(scene):
    at = scene.near.starts_at
    bookings.start_session(actor=scene.keeper, booking=scene.near, started_at=at, now=at)
    settled = withdraw(scene, now=at)
    assert [row.number for row in settled.kept] == [scene.near.number]


def test_a_booking_nobody_was_shown_stops_it_and_changes_nothing(scene):
    with pytest.raises(withdrawing.Changed) as caught:
        withdraw(scene, seen=[scene.near.number])
    assert caught.value.params["bookings"] == [scene.far.number]
    assert [state for state, *_rest in states()] == ["confirmed", "requested"]
    scene.sem.refresh_from_db()
    assert scene.sem.state == "published"


def test_reason_and_day_are_judged(scene):
    with pytest.raises(withdrawing.ReasonMissing):
        withdraw(scene, reason=" ")
    with pytest.raises(withdrawing.KeptTooShort):
        withdraw(scene, until=NOW)
    with pytest.raises(Forbidden):
        withdraw(scene, actor=scene.researcher)


def test_a_withdrawn_instrument_is_restored_as_a_draft(scene):
    withdraw(scene)
    with pytest.raises(InvalidTransition):
        services.change_state(actor=scene.keeper, resource=scene.sem, action=PublishAction.PUBLISH, now=NOW)
    restored = services.change_state(actor=scene.keeper, resource=scene.sem, action=PublishAction.RESTORE, now=NOW)
    assert restored.state == "draft"


def test_only_its_lab_calls_a_booking_off(scene):
    with pytest.raises(Forbidden):
        bookings.call_off(actor=scene.researcher, booking=scene.near, note=WHY, now=NOW)
    with pytest.raises(bookings.NoteMissing):
        bookings.call_off(actor=scene.keeper, booking=scene.near, note=" ", now=NOW)


@pytest.mark.usefixtures("clock")
def test_by_the_api(scene):
    path = f"/instruments/{scene.sem.number}"
    lab, reader = Caller(scene.keeper), Caller(scene.researcher)
    look = lab.get(f"{path}/withdrawal", keep_until=zoned(scene.near.ends_at)).body
    assert [(row["number"], row["stays"]) for row in look["bookings"]] == [
        (scene.near.number, True),
        (scene.far.number, False),
    ]
    sent = {"reason": WHY, "seen": [row["number"] for row in look["bookings"]]}
    assert reader.post(f"{path}/withdraw", sent).status == 403
    assert lab.post(f"{path}/withdraw", {**sent, "seen": []}).code == "withdrawal.changed"
    assert lab.post(f"{path}/withdraw", sent).body["state"] == "withdrawn"
    assert reader.post(f"{path}/restore").status == 404
    assert lab.post(f"{path}/restore").body["state"] == "draft"
