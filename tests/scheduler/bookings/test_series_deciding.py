"""A lab answers a whole series at once: all that waits, with every reason for what cannot be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from portal.kernel.errors import Forbidden, Refused
from scheduler.bookings import series_deciding, services
from scheduler.bookings.models import Booking
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of


@pytest.fixture
def scene(w):
    w.sem = make.instrument(w)
    w.series = make.booked_series(w, w.sem)
    w.uses = list(Booking.objects.filter(series=w.series).order_by("planned_at"))
    return w


def states(w):
    return list(Booking.objects.filter(series=w.series).order_by("planned_at").values_list("state", flat=True))


def confirm(w, now=make.NOW):
    return series_deciding.confirm_all(actor=w.keeper, series=w.series, now=now)


def test_every_use_is_confirmed_and_again_changes_nothing(scene):
    assert [use.number for use in confirm(scene).done] == [use.number for use in scene.uses]
    assert states(scene) == ["confirmed"] * 3
    assert confirm(scene) == series_deciding.Decided((), ())


def test_what_cannot_be_confirmed_is_named_with_every_reason_and_the_rest_is(scene):
    services.cancel(actor=scene.researcher, booking=scene.uses[0], now=make.NOW)
    later = scene.uses[1].starts_at
    done = confirm(scene, now=later)
    assert [use.number for use in done.done] == [scene.uses[2].number]
    assert [(one.booking.number, [reason.code for reason in one.reasons]) for one in done.left] == [
        (scene.uses[0].number, ["series.use_over", "series.use_begun"]),
        (scene.uses[1].number, ["series.use_begun"]),
    ]
    assert states(scene) == ["cancelled", "requested", "confirmed"]


def test_where_none_can_be_confirmed_all_reasons_are_told_and_nothing_is_done(scene):
    with pytest.raises(Refused) as told:
        confirm(scene, now=scene.uses[2].starts_at)
    assert [reason.code for reason in told.value.reasons] == ["series.use_begun"] * 3
    assert states(scene) == ["requested"] * 3


def test_turning_down_frees_time_and_money_and_leaves_what_is_confirmed(scene):
    services.confirm(actor=scene.keeper, booking=scene.uses[0], now=make.NOW)
    with pytest.raises(services.NoteMissing):
        series_deciding.decline_all(actor=scene.keeper, series=scene.series, note=" ", now=make.NOW)
    done = series_deciding.decline_all(actor=scene.keeper, series=scene.series, note="检修", now=make.NOW)
    assert len(done.done) == 2
    assert states(scene) == ["confirmed", "declined", "declined"]
    assert set(Booking.objects.filter(state="declined").values_list("decision_note", flat=True)) == {"检修"}
    make.booking(scene, scene.sem, period=make.Period(scene.uses[1].starts_at, scene.uses[1].ends_at))


def test_only_the_instruments_lab_decides(scene):
    other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
    for actor in (other, scene.researcher):
        with pytest.raises(Forbidden):
            series_deciding.confirm_all(actor=actor, series=scene.series, now=make.NOW)
    path = f"/series/{scene.series.number}"
    assert Caller(other).post(f"{path}/confirm").status == 404
    assert Caller(scene.researcher).post(f"{path}/decline", {"note": "检修"}).status == 403


@pytest.mark.django_db(transaction=True)
def test_a_rival_that_cancels_meanwhile_leaves_whole_rows(scene):
    def cancel():
        try:
            services.cancel(actor=scene.researcher, booking=scene.uses[1], now=make.NOW)
        finally:
            connections.close_all()

    def decide():
        try:
            confirm(scene)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(cancel), pool.submit(decide)]:
            one.result()
    assert states(scene) == ["confirmed", "cancelled", "confirmed"]


def test_by_page_and_api(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    services.cancel(actor=scene.researcher, booking=scene.uses[0], now=make.NOW)
    lab, here = enter(Client(), scene.keeper), reverse("series_desk", args=[scene.series.number])
    assert here in lab.get(reverse("booking_queue")).content.decode()
    page = text_of(lab.get(here))
    assert "全部确认（2）" in page
    assert "已取消" in page
    assert raw_codes(page) == []
    assert lab.post(here, {"act": "decline", "note": ""}).status_code == 422
    told = text_of(lab.post(here, {"act": "confirm"}, follow=True))
    assert "已确认 2 次" in told
    assert "不能确认：1 次" in told
    again = Caller(scene.keeper).post(f"/series/{scene.series.number}/confirm").body
    assert again["decided"] == []
    assert [(row["booking"], [reason["code"] for reason in row["reasons"]]) for row in again["left"]] == [
        (scene.uses[0].number, ["series.use_over"])
    ]
    assert enter(Client(), scene.researcher).get(here).status_code == 403
