"""Who may run an instrument, and its certificates, in the browser."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.qualifications.models import Calibration, Qualification
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def lab(w):
    client = Client()
    client.force_login(make.user_of(w.keeper))
    return client


def test_an_organisation_is_qualified_and_suspended(w, lab):
    sem = make.instrument(w)
    here = reverse("instrument_standing", args=[sem.number])
    assert here in lab.get(reverse("instrument", args=[sem.number])).content.decode()
    sent = {"act": "qualify", "organisation": w.enterprise.name, "since": "2026-11-01", "until": "2027-10-31"}
    assert lab.post(here, sent)["Location"] == here
    row = Qualification.objects.get()
    assert (row.organisation, row.valid.upper.isoformat()) == (w.enterprise, "2027-11-01")
    assert w.enterprise.name in lab.get(here).content.decode()
    gone = {"act": "suspend", "organisation": w.enterprise.credit_code, "note": "违规操作"}
    short = lab.post(here, {**gone, "note": ""})
    assert (short.status_code, list(short.context["suspending"].errors)) == (422, ["note"])
    assert lab.post(here, {**gone, "organisation": w.lab.credit_code}).status_code == 404
    assert lab.post(here, gone)["Location"] == here
    assert "违规操作" in lab.get(here).content.decode()


def test_a_certificate_is_entered_once(w, lab):
    here = reverse("instrument_standing", args=[make.instrument(w).number])
    sent = {"act": "certify", "certificate": "JZ-1", "valid_from": "2026-11-01", "valid_until": "2027-10-31"}
    assert lab.post(here, sent)["Location"] == here
    assert Calibration.objects.get().valid.upper.isoformat() == "2027-11-01"
    again = lab.post(here, sent)
    assert (again.status_code, list(again.context["certify"].errors)) == (409, ["certificate"])
    wrong = lab.post(here, {**sent, "certificate": "JZ-2", "valid_until": "2026-10-01"})
    assert list(wrong.context["certify"].errors) == ["valid_until"]


def test_unknown_organisations_are_said_at_their_field(w, lab):
    here = reverse("instrument_standing", args=[make.instrument(w).number])
    sent = {"act": "qualify", "organisation": "没有的单位", "since": "2026-11-01", "until": "2027-10-31"}
    answer = lab.post(here, sent)
    assert (answer.status_code, list(answer.context["qualify"].errors)) == (422, ["organisation"])
