"""Co-lead departments: named in the file, known when it is published, and acting at the stages of their level."""

from __future__ import annotations

import pytest
from django.urls import reverse

from portal.kernel.errors import Forbidden, NotFound, Refused
from portal.pages.desk import tasks_of
from tests import make
from vouchers.issuance import access, assigning, reviewing, workflow
from vouchers.issuance.rules import SamePerson
from vouchers.programmes.models import CoLead
from vouchers.programmes.terms import Stage

K, R = make.roles.Kind, make.roles.Role
STAGES = [
    {"stage": "区级初审", "role": "reviewer", "level": "district"},
    {"stage": "市级复核", "role": "reviewer", "action": "recheck", "level": "city"},
    {"stage": "审批", "role": "approver"},
]


class District:
    """A district's department with two reviewers."""

    def __init__(self, name):
        self.organisation = make.organisation(K.DEPARTMENT, name=name)
        self.reviewer = make.actor(self.organisation, R.REVIEWER)
        self.approver = make.actor(self.organisation, R.APPROVER)


@pytest.fixture
def districts(w):
    return District("西湖区科技局"), District("其他区科技局")


@pytest.fixture
def version(w, districts):
    co_leads = [
        {"name": "西湖区科技局", "level": "district", "regions": ["杭州"]},
        {"name": "写错的名字", "credit_code": districts[1].organisation.credit_code, "level": "district"},
    ]
    return make.programme(w, co_leads=co_leads, workflow=STAGES)


class TestPublishing:
    def test_names_every_unknown_department_by_its_path(self, w, districts):
        co_leads = ["西湖区科技局", "没有这个局", {"name": "其他区科技局", "credit_code": make.credit_code()}]
        draft = make.draft(w, co_leads=co_leads)
        make.fair_review(w, draft)
        with pytest.raises(Refused) as caught:
            make.programmes.publish(actor=w.publisher, version=draft, now=make.NOW)
        found = [(reason.code, reason.params["path"]) for reason in caught.value.reasons]
        assert found == [("programme.co_lead_unknown", f"co_leads[{at}]") for at in (1, 2)]

    def test_two_of_one_name_are_told_apart_by_code_only(self, w, districts):
        make.organisation(K.DEPARTMENT, name="西湖区科技局")
        draft = make.draft(w, co_leads=["西湖区科技局"])
        make.fair_review(w, draft)
        with pytest.raises(Refused):
            make.programmes.publish(actor=w.publisher, version=draft, now=make.NOW)
        code = districts[0].organisation.credit_code
        make.programme(w, code="by-code", co_leads=[code])
        assert CoLead.objects.get().organisation == districts[0].organisation

    def test_an_enterprise_is_no_department(self, w):
        draft = make.draft(w, co_leads=[w.enterprise.name])
        make.fair_review(w, draft)
        with pytest.raises(Refused):
            make.programmes.publish(actor=w.publisher, version=draft, now=make.NOW)


class TestRouting:
    def test_a_stage_of_a_level_is_the_departments_of_that_level(self, w, version, districts):
        west = districts[0]
        case = make.application(w, version)
        assert case.desk == west.organisation
        assert [each.person_id for each in assigning.holders(case)] == [west.reviewer.user_id]
        case = make.passed(w, case, by=west.reviewer)
        assert (case.stage, case.desk) == (1, None)  # nobody co-leads at city level
        case = make.passed(w, case, by=w.reviewer)
        voucher = make.approved(w, case)
        assert voucher.face_fen == 10000000

    def test_another_region_is_the_others(self, w, version, districts):
        owner = make.applicant(city="宁波")
        wanted = make.issuance.Wanted(version=version, contract=make.contract(), stated={})
        case = make.issuance.submit(actor=owner, wanted=wanted, now=make.NOW, key=make.key())
        assert case.desk == districts[1].organisation

    def test_only_the_department_at_the_stage_sees_and_decides(self, w, version, districts):
        west, other = districts
        case = make.application(w, version)
        for stranger in (other.reviewer, other.approver):
            assert not access.cases(stranger).exists()
            for reach in (access.get_case, access.get_application):
                with pytest.raises(NotFound):
                    reach(stranger, case.number)
        for by in (w.reviewer, other.reviewer, w.approver):
            with pytest.raises(Forbidden):
                make.passed(w, case, by=by)
        assert not list(access.cases_at(w.reviewer, make.people.rules.P.APPLICATION_REVIEW))
        assert access.get_case(w.reviewer, case.number) == case  # the lead looks on

        assert [one.number for one in access.cases_at(west.reviewer, make.people.rules.P.APPLICATION_REVIEW)] == [
            case.number
        ]
        make.passed(w, case, by=west.reviewer)
        assert not access.cases(west.approver).exists()
        with pytest.raises(NotFound):
            access.get_case(west.approver, case.number)
        assert access.get_case(west.reviewer, case.number) == case  # what one decided stays readable
        with pytest.raises(Forbidden):
            make.passed(w, case, by=west.reviewer)

    def test_whoever_decided_for_a_co_lead_decides_no_other_stage(self, w, version, districts):
        both = make.user_of(districts[0].reviewer)
        case = make.passed(w, make.application(w, version), by=districts[0].reviewer)
        make.Member.objects.filter(organisation=w.department, roles__contains=[R.REVIEWER.value]).update(
            left_at=make.NOW
        )
        member = make.Member.objects.create(user=both, organisation=w.department, roles=[R.REVIEWER.value])
        with pytest.raises(SamePerson):
            make.passed(w, case, by=make.people.actor_for(member))

    def test_a_case_sent_back_comes_back_to_its_department(self, w, version, districts):
        west = districts[0]
        case = make.returned(w, make.application(w, version), by=west.reviewer, note="缺合同")
        assert case.desk is None
        assert not access.cases(west.approver).exists()
        done = make.issuance.complete(actor=w.owner, application=case, stated={}, now=make.NOW)
        assert done.desk == west.organisation

    def test_its_approver_puts_another_in_the_place_of_who_was_drawn(self, w, version, districts):
        west = districts[0]
        case = make.application(w, version)
        second = make.actor(west.organisation, R.REVIEWER)
        with pytest.raises(Forbidden):
            assigning.reassign(actor=w.approver, application=case, reason="休假", now=make.NOW)
        assigning.reassign(actor=west.approver, application=case, reason="休假", now=make.NOW)
        assert [each.person_id for each in assigning.holders(case)] == [second.user_id]


def test_the_desks_list_what_is_theirs(w, version, districts, client):
    west, other = districts
    case = make.application(w, version)
    urls = {
        who: [task.url for task in tasks_of(who, now=make.NOW)] for who in (west.reviewer, other.reviewer, w.reviewer)
    }
    address = reverse("case", args=[case.number])
    assert address in urls[west.reviewer]
    assert address not in urls[other.reviewer]
    assert address not in urls[w.reviewer]

    client.force_login(make.user_of(west.reviewer))
    assert 'value="pass"' in client.get(address).content.decode()
    assert case.number in client.get(reverse("review_queue")).content.decode()
    client.force_login(make.user_of(other.reviewer))
    assert client.get(address).status_code == 404
    client.force_login(make.user_of(w.reviewer))
    shown = client.get(address).content.decode()
    assert 'value="pass"' not in shown
    assert "西湖区科技局" in shown
    client.force_login(make.user_of(w.owner))
    assert "现在由 西湖区科技局 办理" in client.get(reverse("application", args=[case.number])).content.decode()


@pytest.mark.parametrize(
    ("level", "places", "desk"),
    [
        ("", {"杭州"}, None),
        ("city", {"杭州"}, None),
        ("district", {"杭州"}, 1),
        ("district", {"宁波"}, 2),
        ("district", set(), 2),
    ],
)
def test_the_nearest_department_of_the_level_acts(level, places, desk):
    partners = [workflow.Partner(1, "district", ("杭州",)), workflow.Partner(2, "district")]
    assert workflow.desk_of(Stage("x", level=level), partners, places) == desk
    assert workflow.desk_of(Stage("x", level=level), (), places) is None


def test_a_verdict_for_another_stage_is_not_taken(w, version, districts):
    case = make.application(w, version)
    seen = reviewing.seen_of(case)
    make.passed(w, case, by=districts[0].reviewer)
    with pytest.raises(reviewing.rules.MovedOn):
        reviewing.pass_stage(actor=w.reviewer, application=case, verdict=reviewing.Verdict(seen=seen), now=make.NOW)
