"""The review before an instrument is published, in the browser."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from scheduler.catalogue import admitting
from scheduler.resources.models import Resource
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

WHY = "请补充近一年的校准证书。"


def signed_in(someone):
    client = Client()
    client.force_login(make.user_of(someone))
    return client


def test_the_officer_admits_from_the_desk(w):
    resource = make.proposed(w)
    officer = signed_in(w.reviewer)
    assert resource.name in officer.get(reverse("dashboard")).content.decode()
    assert resource.number in officer.get(reverse("admissions")).content.decode()
    assert resource.number in officer.get(reverse("admissions"), {"format": "csv"}).content.decode()
    desk = reverse("admission", args=[resource.number])
    page = officer.get(desk).content.decode()
    assert "应当入网" in page
    assert officer.post(desk, {"act": "admit", "reasons": ""})["Location"] == reverse("admissions")
    assert Resource.objects.get().state == "published"
    assert officer.get(desk).status_code == 404


def test_the_lab_sees_what_is_missing_proposes_and_reads_why_it_came_back(w):
    resource = make.proposed(w)
    admitting.recall(actor=w.keeper, resource=resource, now=make.NOW)
    lab, here = signed_in(w.keeper), reverse("instrument_review", args=[resource.number])
    Resource.objects.update(internal_no="")
    page = lab.get(here)
    assert page.context["missing"] == 1
    assert reverse("instrument_edit", args=[resource.number]) in page.content.decode()
    assert lab.post(here, {"act": "propose"}).status_code == 409
    Resource.objects.update(internal_no="ZC-1")
    assert here in lab.get(reverse("instrument", args=[resource.number])).content.decode()
    assert lab.post(here, {"act": "propose"})["Location"] == here
    officer = signed_in(w.reviewer)
    desk = reverse("admission", args=[resource.number])
    short = officer.post(desk, {"act": "return", "reasons": "短"})
    assert list(short.context["form"].errors) == ["reasons"]
    said = short.content.decode().partition('class="errs"')[2].partition("</div>")[0]
    assert said.count("<li>") == 1
    officer.post(desk, {"act": "return", "reasons": WHY})
    assert WHY in lab.get(here).content.decode()
    assert here in lab.get(reverse("dashboard")).content.decode()


def test_publishing_a_draft_leads_to_the_review(w):
    resource = make.proposed(w)
    admitting.recall(actor=w.keeper, resource=resource, now=make.NOW)
    answer = signed_in(w.keeper).post(reverse("instrument_state", args=[resource.number]), {"action": "publish"})
    assert answer.status_code == 409
    assert "须经平台审核" in answer.content.decode()


@pytest.mark.parametrize("who", ["keeper", "approver", "researcher"])
def test_the_desk_is_the_officers(w, who):
    resource = make.proposed(w)
    client = signed_in(getattr(w, who))
    assert client.get(reverse("admissions")).status_code == 403
    assert client.get(reverse("admission", args=[resource.number])).status_code == 403
