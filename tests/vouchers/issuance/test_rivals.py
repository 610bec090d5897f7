"""What an applicant might do to be given more than the rules allow, and who may not decide its case."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from portal.kernel.errors import Refused
from portal.organisations import access as people
from portal.organisations.models import Member
from portal.organisations.rules import Role
from tests import make
from vouchers.issuance import rules, services
from vouchers.issuance.models import Application


@pytest.mark.django_db(transaction=True)
def test_applications_sent_at_the_same_moment_cannot_pass_the_cap_of_the_year_together():
    w = make.world()
    version = make.programme(w, caps=[{"window": "year", "amount": 150000}])

    def apply(number: int) -> int:
        try:
            return make.application(w, version, number=f"HT-{number}").amount_fen
        except Refused:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        granted = list(pool.map(apply, range(4)))

    assert sum(granted) == 15_000_000
    assert sorted(granted) == [0, 0, 5_000_000, 10_000_000]


@pytest.mark.django_db(transaction=True)
def test_facts_brought_at_the_same_moment_cannot_pass_the_cap_together():
    w = make.world()
    version = make.programme(
        w, caps=[{"window": "year", "amount": 150000}], eligibility=["applicant.incubated", "=", True]
    )
    waiting = [make.application(w, version, number=f"HT-{number}") for number in range(3)]

    def complete(case: Application) -> int:
        stated = {"applicant.incubated": True}
        try:
            return services.complete(actor=w.owner, application=case, stated=stated, now=make.NOW).amount_fen
        except Refused:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(complete, waiting)) == 15_000_000


@pytest.mark.parametrize("step", ["pass", "return", "refuse", "approve"])
def test_nobody_decides_a_case_of_an_organisation_they_belong_to(w, step):
    case = make.application(w, make.programme(w))
    if step == "approve":
        make.passed(w, case)
    judge = w.approver if step == "approve" else w.reviewer
    member = Member.objects.create(user_id=judge.user_id, organisation=w.enterprise, roles=[Role.RESEARCHER.value])
    acts = {
        "pass": lambda: make.passed(w, case, by=judge),
        "return": lambda: make.returned(w, case, by=judge, note="补充"),
        "refuse": lambda: make.refused(w, case, by=judge, note="不符"),
        "approve": lambda: make.approved(w, case, by=judge),
    }
    with pytest.raises(rules.SamePerson):
        acts[step]()

    member.left_at = make.NOW
    member.save()
    assert not people.belongs(user_id=judge.person, organisation_id=w.enterprise.pk)
    acts[step]()


class TestProviderFacts:
    def test_what_is_registered_of_the_provider_outlasts_the_bringing_of_facts(self, w):
        version = make.programme(
            w,
            eligibility=["applicant.incubated", "=", True],
            lines=[
                {"id": "宁波", "when": ["provider.region", "=", "宁波"], "rate": "0.90"},
                {"id": "其他", "rate": "0.50"},
            ],
        )
        case = make.application(w, version)
        stated = {"applicant.incubated": True, "provider.region": "宁波", "provider.recognised": False}
        case = services.complete(actor=w.owner, application=case, stated=stated, now=make.NOW)

        assert case.request["provider"]["region"] == "杭州"
        assert case.request["provider"]["recognised"] is True
        assert case.amount_fen == 10_000_000

    def test_the_provider_judged_is_the_one_of_the_contract(self, w):
        version = make.programme(w, eligibility=["applicant.incubated", "=", True])
        case = services.submit(
            actor=w.owner,
            wanted=services.Wanted(version=version, contract=make.contract(), stated={"provider.name": "另一家公司"}),
            now=make.NOW,
            key=make.key(),
        )
        assert case.request["provider"]["name"] == "之江分析测试中心"

        stated = {"provider.name": "另一家公司", "applicant.incubated": True}
        case = services.complete(actor=w.owner, application=case, stated=stated, now=make.NOW)
        assert case.request["provider"]["name"] == "之江分析测试中心"
