"""The share of open time a lab keeps for enterprises: judged, enforced against the lab, shown to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Refused
from portal.kernel.period import Period
from scheduler.availability import services as availability
from scheduler.availability.models import Claim
from scheduler.bookings import services as bookings
from scheduler.displacements import services as displacements
from scheduler.quotas import kept, kept_rules
from scheduler.quotas import services as quotas
from scheduler.quotas.models import QuotaRule
from scheduler.quotas.rules import Limit, Measure, Span, Use
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import enter, raw_codes, text_of

ZONE = "Asia/Shanghai"
MONDAY = datetime(2026, 11, 22, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)


def use(start_h, hours, units=1):
    return Use(Period(MONDAY + start_h * HOUR, MONDAY + (start_h + hours) * HOUR), units)


@given(
    share=st.integers(1, 99),
    opened=st.integers(1, 168),
    used=st.integers(0, 168),
    asked=st.integers(1, 168),
)
def test_what_fits_leaves_at_least_what_is_kept_and_what_is_left_is_the_most_that_fits(share, opened, used, asked):
    limit = Limit("保留", Measure.KEPT_SHARE, share)
    open_time, own = [use(0, opened)], [use(0, min(used, opened))] if used else []
    [standing] = kept_rules.judge_own(
        limit, period=use(0, asked).period, asked=[use(0, min(asked, 168))], own=own, opened=open_time, zone=ZONE
    )
    if standing.fits:
        assert (standing.opened - standing.used - standing.asked) * 100 >= standing.opened * share
    else:
        assert standing.asked > standing.left
    assert (standing.opened - standing.used - standing.left) * 100 >= standing.opened * share or standing.left == 0


def test_a_refusal_says_what_is_open_kept_and_used_and_when_it_frees():
    limit = Limit("开放共享", Measure.KEPT_SHARE, 75)
    opened, own = [use(0, 40), use(168, 40)], [use(0, 8)]
    [reason] = kept_rules.broken_shares(
        kept_rules.judge_own(limit, period=use(10, 4).period, asked=[use(10, 4)], own=own, opened=opened, zone=ZONE)
    )
    said = {name: reason.params[name] for name in ("opened", "kept", "allowed", "used", "asked", "left", "frees")}
    assert said == {
        "opened": "40",
        "kept": "30",
        "allowed": "10",
        "used": "8",
        "asked": "4",
        "left": "2",
        "frees": "2026-11-30 00:00",
    }


@pytest.fixture
def scene(w):
    """Open 14 hours a day, of which nine tenths are kept: the lab has 9.8 hours a week. NOW is Wednesday."""
    w.sem = make.instrument(w)
    limit = Limit("开放共享", Measure.KEPT_SHARE, 90)
    w.rule = quotas.add_rule(actor=w.keeper, limit=limit, instruments=[w.sem], now=make.NOW)
    return w


def block(w, period, resource=None):
    return availability.block_for_maintenance(
        actor=w.keeper, resource=resource or w.sem, period=period, note="自用", now=make.NOW
    )


def test_the_lab_may_block_its_part_and_no_more_and_enterprises_are_not_limited(scene):
    block(scene, make.slot(1, "08:00", "16:00"))
    with pytest.raises(Refused) as refused:
        block(scene, make.slot(2, "08:00", "10:00"))
    [reason] = refused.value.reasons
    assert (reason.code, reason.params["left"], reason.params["frees"]) == ("quota.kept", "1.8", "2026-11-30 00:00")
    block(scene, make.slot(2, "08:00", "09:30"))
    block(scene, make.slot(6, "08:00", "16:00"))
    assert make.booking(scene, scene.sem, period=make.slot(3, "08:00", "12:00"))
    assert Claim.objects.filter(state="outage").count() == 3


def test_only_open_time_counts(scene):
    block(scene, make.slot(1, "08:00", "16:00"))
    night = Period(make.slot(2, "22:00", "23:00").start, make.slot(3, "08:00", "09:00").start)
    assert block(scene, night)


def test_what_breaks_down_is_declared_whatever_is_kept(scene):
    said = displacements.Declared(make.slot(1, "08:00", "22:00"), "电源故障")
    assert displacements.declare(actor=scene.keeper, resource=scene.sem, declared=said, now=make.NOW, key="kept-1")
    assert bookings.Booking.objects.count() == 0


def test_a_rule_that_ended_or_names_others_keeps_nothing(scene):
    block(scene, make.slot(1, "08:00", "22:00"), make.instrument(scene))
    quotas.end_rule(actor=scene.keeper, rule=scene.rule, now=make.NOW)
    assert block(scene, make.slot(1, "08:00", "22:00"))


@pytest.mark.django_db(transaction=True)
def test_two_blocks_under_one_rule_are_judged_one_after_the_other(w):
    both = [make.instrument(w), make.instrument(w)]
    limit = Limit("开放共享", Measure.KEPT_SHARE, 95)
    quotas.add_rule(actor=w.keeper, limit=limit, instruments=both, now=make.NOW)

    def try_one(resource):
        try:
            block(w, make.slot(1, "08:00", "14:00"), resource)
        except Refused:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(try_one, both)) == [False, True]


def test_the_lab_sees_what_is_kept_and_used(scene, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    block(scene, make.slot(1, "08:00", "16:00"))
    with django_assert_num_queries(2):
        this, after = kept.standings_of(scene.rule, [scene.sem.pk], zone=ZONE, now=make.NOW)
    assert (this.used, after.used, after.opened) == (8 * 3600, 0, 98 * 3600)
    client, here = enter(Client(), scene.keeper), reverse("instrument_quotas", args=[scene.sem.number])
    page = text_of(client.get(here))
    assert "给外单位保留 90%" in page
    assert "本单位已占用 8 / 9.8 小时" in page
    assert raw_codes(page) == []
    said = {"act": "add", "name": "月度", "measure": "kept_share", "amount": "50", "span": "month", "scope": "all"}
    assert client.post(here, {**said, "per": "person", "effect": "approval"})["Location"] == here
    made = QuotaRule.objects.latest("pk")
    assert (made.measure, made.per, made.effect, made.span) == (
        "kept_share",
        "organisation",
        "refuse",
        Span.MONTH.value,
    )
    rows = Caller(scene.keeper).get(f"/quotas/{scene.rule.pk}/own-use").body
    assert [(row["used_s"], row["kept_s"]) for row in rows][1] == (0, after.kept)
    assert Caller(scene.researcher).get(f"/quotas/{scene.rule.pk}/own-use").status == 403


def test_the_page_says_why_and_what_helps(scene, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
    block(scene, make.slot(1, "08:00", "16:00"))
    client, here = enter(Client(), scene.keeper), reverse("instrument_maintenance", args=[scene.sem.number])
    asked = {"day": "2026-11-27", "start": "08:00", "end_day": "2026-11-27", "end": "12:00", "note": "自用"}
    answer = client.post(here, asked)
    assert answer.status_code == 409
    assert "请缩短到 1.8 小时以内" in text_of(answer)
