"""The lab's day on one page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.money import Money
from portal.organisations import rules as roles
from scheduler.availability import services as availability
from scheduler.resources.models import Resource
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

URL = "lab_today"


def seen(w, client: Client, **query: str):
    return enter(client, w.keeper).get(reverse(URL), query)


def test_shows_the_day_what_waits_and_what_is_down(w, client):
    sem = make.instrument(w)
    made = make.booking(w, sem, period=make.slot(days=0, start="13:00", end="15:00"))
    make.booking(w, sem, period=make.slot(days=1))
    availability.block_for_maintenance(
        actor=w.keeper, resource=sem, period=make.slot(days=2), note="灯丝更换", now=make.NOW
    )
    page = seen(w, client)
    text = text_of(page)
    assert not raw_codes(text)
    assert page.context["counts"] == {"today": 1, "running": 0, "waiting": 2, "measure": 0}
    assert next(iter(page.context["waiting"])).number == made.number
    assert "灯丝更换" in text
    assert "13:00–15:00" in text
    tomorrow = seen(w, client, day="2026-11-26")
    assert tomorrow.context["counts"]["today"] == 1
    assert "09:00–11:00" in text_of(tomorrow)


def test_counts_what_came_in_this_month_by_day(w, client):
    sem = make.instrument(w)
    for days in (1, 2):
        made = make.booking(w, sem, period=make.slot(days=days))
        make.measured(w, made)
    income = seen(w, client).context["income"]
    assert income["total"] == Money(192000)
    assert sum((amount for _day, amount in income["rows"]), Money(0)) == income["total"]
    assert "¥1,920.00" in text_of(seen(w, client))
    assert seen(w, client, day="2026-12-15").context["income"]["total"] == Money(0)


def test_says_who_is_on_duty(w, client):
    person = make.instrument(w, name="周操作", opens=(540, 1020))
    Resource.objects.filter(pk=person.pk).update(kind="operator")
    (duty,) = seen(w, client).context["duty"]
    assert (duty.operator.name, duty.hours, duty.attended) == ("周操作", "09:00–17:00", 0)


def test_is_for_labs_only_and_shows_their_own_only(w, client):
    make.booking(w, make.instrument(w))
    assert enter(Client(), w.researcher).get(reverse(URL)).status_code == 403
    assert Client().get(reverse(URL)).status_code == 302
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    page = enter(client, other).get(reverse(URL))
    assert page.context["counts"]["waiting"] == 0
    assert not page.context["page"].object_list


@pytest.mark.parametrize("count", [1, 8])
def test_asks_a_constant_number_of_questions(w, client, django_assert_num_queries, count):
    for number in range(count):
        resource = make.instrument(w, name=f"仪器 {number}")
        make.booking(w, resource)
        person = make.instrument(w, name=f"操作员 {number}")
        Resource.objects.filter(pk=person.pk).update(kind="operator")
    enter(client, w.keeper)
    with django_assert_num_queries(17):
        client.get(reverse(URL))
