"""The list of instruments that must be published."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.resources import services
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def page(someone, **query):
    client = Client()
    client.force_login(make.user_of(someone))
    return client.get(reverse("instrument_duties"), query)


def test_labs_see_their_own_and_the_department_sees_all(w):
    other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
    for someone, name in ((w.keeper, "甲仪器"), (other, "乙仪器")):
        values = make.instrument_values(name=name, name_en="", original_value_fen=30_000_000)
        services.create_instrument(actor=someone, values=values, now=make.NOW)
    make.instrument(w, name="已发布仪器")
    own = page(w.keeper).content.decode()
    assert ("甲仪器" in own, "乙仪器" in own, "已发布仪器" in own) == (True, False, False)
    for someone in (w.reviewer, w.approver, w.auditor):
        text = page(someone).content.decode()
        assert "甲仪器" in text
        assert "乙仪器" in text
    table = page(w.reviewer, format="csv").content.decode("utf-8-sig")
    assert "300000.00" in table
    assert page(w.researcher).status_code == page(w.finance).status_code == 403


def test_says_so_where_nothing_is_missing(w):
    make.instrument(w)
    assert "没有应入网而未发布的仪器" in page(w.keeper).content.decode()
