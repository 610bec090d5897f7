"""Checking in at the bench: with the code that holds, one's own booking, and the portal's clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.errors import Forbidden, NotFound
from portal.organisations import rules as roles
from scheduler.benches import access, rules, services
from scheduler.bookings import services as bookings
from tests import make
from tests.portal.pages.reading import enter, text_of


@pytest.fixture
def scene(w):
    """A confirmed booking for tomorrow 09:00-11:00, and the sign of its instrument."""
    w.sem = make.instrument(w)
    w.made = make.booking(w, w.sem)
    bookings.confirm(actor=w.keeper, booking=w.made, now=make.NOW)
    w.code = services.renew(actor=w.keeper, resource=w.sem, now=make.NOW)
    return w


def test_the_user_begins_and_ends_by_the_portals_clock(scene):
    begins = scene.made.starts_at - timedelta(minutes=10)
    services.check_in(actor=scene.researcher, code=scene.code, now=begins)
    done = services.check_out(actor=scene.owner, code=scene.code, now=begins + timedelta(hours=1))
    done.refresh_from_db()
    assert (done.state, done.usage.source, done.usage.duration_s) == ("completed", "bench", 3600)
    assert done.charge.actual_fen == 48000


def test_not_too_early_not_twice_and_not_after_the_end(scene):
    for moment in (scene.made.starts_at - timedelta(minutes=16), scene.made.ends_at):
        with pytest.raises(rules.NoBookingNow):
            services.check_in(actor=scene.researcher, code=scene.code, now=moment)
    services.check_in(actor=scene.researcher, code=scene.code, now=scene.made.starts_at)
    with pytest.raises(rules.NoBookingNow):
        services.check_in(actor=scene.researcher, code=scene.code, now=scene.made.starts_at)


def test_who_has_no_booking_does_nothing_and_learns_only_until_when(scene):
    other = make.applicant()
    services.check_in(actor=scene.researcher, code=scene.code, now=scene.made.starts_at)
    bench = access.look(other, scene.sem, now=scene.made.starts_at)
    assert (bench.busy_until, bench.own) == (scene.made.ends_at, None)
    with pytest.raises(rules.NoBookingNow):
        services.check_in(actor=other, code=scene.code, now=scene.made.starts_at)
    with pytest.raises(rules.NotCheckedIn):
        services.check_out(actor=other, code=scene.code, now=scene.made.starts_at)


def test_the_next_user_waits_while_the_bench_is_in_use(scene):
    after = make.slot(start="11:00", end="12:00")
    rival = make.applicant()
    wanted = bookings.Wanted(resource=scene.sem, period=after, title="接着用")
    made = bookings.request_booking(actor=rival, wanted=wanted, now=make.NOW, key=make.key())
    bookings.confirm(actor=scene.keeper, booking=made, now=make.NOW)
    services.check_in(actor=scene.researcher, code=scene.code, now=scene.made.starts_at)
    with pytest.raises(rules.BenchBusy):
        services.check_in(actor=rival, code=scene.code, now=after.start)


def test_a_new_code_ends_the_old_and_nobody_makes_one_up(scene):
    renewed = services.renew(actor=scene.keeper, resource=scene.sem, now=make.NOW)
    assert access.get_resource(renewed) == scene.sem
    forged = rules.code_of(resource_id=scene.sem.pk, serial=2, key=b"guess")
    for code in (scene.code, forged, "", "1", "a-b-c", "-1-2-3", renewed.upper() + "x", "९-1-2"):
        with pytest.raises(NotFound):
            access.get_resource(code)
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    with pytest.raises(Forbidden):
        services.renew(actor=other, resource=scene.sem, now=make.NOW)


def test_who_comes_early_is_told_when_to_check_in(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: scene.made.starts_at - timedelta(minutes=40))
    firm, url = enter(Client(), scene.researcher), reverse("bench", args=[scene.code])
    assert f"贵单位的预约 {scene.made.number} 从 09:00 开始，08:45 起可以在这里签到。" in text_of(firm.get(url))
    for nobody in (Client(), enter(Client(), scene.keeper)):
        assert scene.made.number not in text_of(nobody.get(url))
    scene.made.refresh_from_db()
    bookings.cancel(actor=scene.researcher, booking=scene.made, now=make.NOW)
    asked = make.booking(scene, scene.sem)
    assert f"{asked.number}（09:00 开始）还没有得到实验室确认" in text_of(firm.get(url))


def test_the_page_a_telephone_opens(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: scene.made.starts_at)
    url = reverse("bench", args=[scene.code])
    firm = enter(Client(), scene.researcher)
    assert "签到，开始使用" in text_of(firm.get(url))
    assert "签到，开始使用" not in text_of(Client().get(url))
    assert firm.post(url, {"act": "in"}).status_code == 302
    again = text_of(firm.post(url, {"act": "in"}, follow=True))
    assert "没有这台仪器的已确认预约" not in again
    assert "正在使用" in again
    stranger = text_of(Client().get(url))
    assert "使用中，至 11:00" in stranger
    assert scene.made.number not in stranger
    assert "结束使用并结算" in text_of(firm.get(url))
    lab = enter(Client(), scene.keeper)
    assert "打印签到牌" in text_of(lab.get(reverse("bench_sign", args=[scene.sem.number])))
    sign = lab.get(reverse("bench_sign_pdf", args=[scene.sem.number]))
    assert sign.content.startswith(b"%PDF-")
    assert firm.get(reverse("bench", args=["1-1-" + "0" * 32])).status_code == 404
