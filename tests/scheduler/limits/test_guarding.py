"""Two enterprises never compute as the same user, unless the cluster's operator says so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from portal.kernel.errors import Refused
from scheduler.jobs import guards
from scheduler.limits import rules, services
from scheduler.metering import sweeping
from tests import make
from tests.scheduler.jobs.test_services import submit


@pytest.fixture
def partition(w):
    made = make.partition(w, adapter="slurm", config={"url": "http://127.0.0.1:1", "reader": "gx-reader"}, rate="9")
    made.cluster.posix_user = "gx-jobs"
    made.cluster.save()
    return made


@pytest.fixture
def other(w):
    return make.applicant()


def enrol(w, partition, organisation_id: int, **more):
    organisation = services.Organisation.objects.get(pk=organisation_id)
    return services.enrol(actor=w.operator, cluster=partition.cluster, organisation=organisation, now=make.NOW, **more)


def test_the_second_enterprise_needs_a_user_of_its_own(w, partition, other):
    submit(w, partition, cards=1)
    submit(w, partition, cards=1)
    with pytest.raises(Refused) as refused:
        submit(SimpleNamespace(researcher=other), partition, cards=1)
    assert [reason.code for reason in refused.value.reasons] == ["job.shared_user"]

    enrol(w, partition, other.acting_for, posix_user="gx-other")
    submit(SimpleNamespace(researcher=other), partition, cards=1)


def test_an_operator_may_let_enterprises_share_where_it_says_so(w, partition, other):
    partition.cluster.config["shared_user"] = True
    partition.cluster.save()
    submit(w, partition, cards=1)
    submit(SimpleNamespace(researcher=other), partition, cards=1)


def test_nobody_is_enrolled_under_anothers_user_or_number_or_the_portals_own(w, partition, other):
    enrol(w, partition, w.enterprise.pk, posix_user="gx-star")
    with pytest.raises(services.UserTaken):
        enrol(w, partition, other.acting_for, posix_user="gx-star")
    with pytest.raises(services.AccountTaken):
        enrol(w, partition, other.acting_for, name=f"e-{w.enterprise.pk + 10**6}")
    for user in ("gx-reader", "portal-ops"):
        with pytest.raises(rules.BadAccount):
            enrol(w, partition, other.acting_for, posix_user=user)


def test_whose_accounts_are_read_is_one_query_for_many(w, partition, django_assert_num_queries):
    firms = [make.organisation(make.roles.Kind.ENTERPRISE) for _at in range(4)]
    enrol(w, partition, firms[0].pk, name="e-star", posix_user="gx-star")
    cluster = partition.cluster
    with django_assert_num_queries(1):
        found = sweeping.own_accounts(cluster, [firm.pk for firm in firms])
    assert found[firms[0].pk] == {"e-star", f"e-{firms[0].pk}"}
    assert [found[firm.pk] for firm in firms[1:]] == [{f"e-{firm.pk}"} for firm in firms[1:]]
    for firm in firms:
        assert guards.identity(cluster, firm.pk)[0] in found[firm.pk]
