"""The review before an instrument is published: services and API."""

from __future__ import annotations

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition, Refused
from portal.organisations.models import Member, Organisation
from scheduler.catalogue import admitting, checklist
from scheduler.catalogue.models import Admission
from scheduler.resources import access, services
from scheduler.resources.rules import PublishAction
from tests import make
from tests.calling import Caller
from tests.make import NOW

pytestmark = pytest.mark.django_db

WHY = "请补充近一年的校准证书。"


def test_a_draft_is_proposed_seen_by_the_officer_and_admitted(w):
    resource = make.proposed(w)
    assert resource.state == "proposed"
    assert access.instruments_visible_to(None).count() == 0
    assert access.instruments_visible_to(w.researcher).count() == 0
    assert access.get_instrument(w.reviewer, resource.number) == resource
    admitted = admitting.admit(actor=w.reviewer, resource=resource, note="已核对", now=NOW)
    assert admitted.state == "published"
    row = Admission.objects.get()
    assert (row.outcome, row.decided_by_id, row.note) == ("admitted", w.reviewer.user_id, "已核对")
    assert access.instruments_visible_to(None).get() == resource


def test_one_given_back_is_mended_and_proposed_again(w):
    resource = make.proposed(w)
    with pytest.raises(checklist.ReasonsMissing):
        admitting.give_back(actor=w.reviewer, resource=resource, reasons="太短", now=NOW)
    returned = admitting.give_back(actor=w.reviewer, resource=resource, reasons=WHY, now=NOW)
    assert (returned.state, Admission.objects.get().note) == ("returned", WHY)
    with pytest.raises(InvalidTransition):
        services.change_state(actor=w.keeper, resource=resource, action=PublishAction.PUBLISH, now=NOW)
    admitting.propose(actor=w.keeper, resource=resource, now=NOW)
    assert admitting.recall(actor=w.keeper, resource=resource, now=NOW).state == "draft"
    assert sorted(Admission.objects.values_list("outcome", flat=True)) == ["recalled", "returned"]


def test_nobody_publishes_past_the_review_and_all_that_is_missing_is_named(w):
    Organisation.objects.filter(pk=w.lab.pk).update(facts={"type": "state_owned_enterprise"})
    values = make.instrument_values(contact="", internal_no="", original_value_fen=0)
    resource = services.create_instrument(actor=w.keeper, values=values, now=NOW)
    with pytest.raises(Refused) as refused:
        services.change_state(actor=w.keeper, resource=resource, action=PublishAction.PUBLISH, now=NOW)
    assert "instrument.review" in [reason.code for reason in refused.value.reasons]
    with pytest.raises(Refused) as refused:
        admitting.propose(actor=w.keeper, resource=resource, now=NOW)
    assert [reason.code for reason in refused.value.reasons] == [
        "instrument.no_value",
        "instrument.no_asset_number",
        "instrument.no_rate",
        "instrument.no_contact",
        "instrument.no_hours",
    ]
    resource.refresh_from_db()
    assert (resource.state, Admission.objects.count()) == ("draft", 0)


def test_what_went_missing_since_is_not_admitted(w):
    resource = make.proposed(w)
    resource.opening_hours.all().delete()
    with pytest.raises(Refused):
        admitting.admit(actor=w.reviewer, resource=resource, now=NOW)
    resource.refresh_from_db()
    assert resource.state == "proposed"


def test_others_may_publish_by_themselves_and_need_not_propose(w):
    resource = make.instrument(w)
    with pytest.raises(checklist.NotReviewed):
        admitting.propose(actor=w.keeper, resource=resource, now=NOW)


def test_only_officers_without_a_part_in_the_lab_judge(w):
    resource = make.proposed(w)
    for other in (w.keeper, w.approver, w.researcher, w.officer):
        with pytest.raises(Forbidden):
            admitting.admit(actor=other, resource=resource, now=NOW)
        with pytest.raises(Forbidden):
            admitting.give_back(actor=other, resource=resource, reasons=WHY, now=NOW)
    Member.objects.create(user_id=w.reviewer.user_id, organisation=w.lab, roles=["lab_manager"])
    with pytest.raises(checklist.Involved):
        admitting.admit(actor=w.reviewer, resource=resource, now=NOW)


def test_the_officer_sees_another_registration_of_the_asset(w):
    twin = make.instrument(w, internal_no="zc-7")
    resource = make.proposed(w, internal_no="ZC-7")
    lines = {finding.reason.code: finding for finding in admitting.findings(resource, now=NOW)}
    assert lines["instrument.asset_twice"].reason.params["twins"] == twin.number


@pytest.mark.usefixtures("clock")
def test_by_the_api(w):
    number = make.proposed(w).number
    lab, officer, reader = Caller(w.keeper), Caller(w.reviewer), Caller(w.researcher)
    assert [row["number"] for row in officer.get("/instruments/proposals").body["items"]] == [number]
    assert {line["found"] for line in officer.get(f"/instruments/{number}/review").body["findings"]} == {"ok"}
    assert officer.post(f"/instruments/{number}/return", {"reasons": WHY}).body["state"] == "returned"
    assert lab.get(f"/instruments/{number}/review").body["admissions"][0]["note"] == WHY
    assert lab.post(f"/instruments/{number}/propose").body["state"] == "proposed"
    assert lab.post(f"/instruments/{number}/recall").body["state"] == "draft"
    assert officer.post(f"/instruments/{number}/admit", {}).status == 404
    lab.post(f"/instruments/{number}/propose")
    for act, body in (("propose", {}), ("recall", {}), ("admit", {}), ("return", {"reasons": WHY})):
        assert reader.post(f"/instruments/{number}/{act}", body).status in {403, 404}
    for act, body in (("admit", {}), ("return", {"reasons": WHY})):
        assert lab.post(f"/instruments/{number}/{act}", body).status == 403
    assert reader.get("/instruments/proposals").status == 403
    assert officer.post(f"/instruments/{number}/admit", {"note": "好"}).body["state"] == "published"
