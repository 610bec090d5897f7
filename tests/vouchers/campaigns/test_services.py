"""Campaigns: two persons, the rules' own decisions, each batch once, codes kept before they are committed."""

from __future__ import annotations

import io

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.idempotency import BadKey, KeyReused, check_key
from portal.organisations.models import Organisation
from tests import make
from tests.vouchers.scenarios.campaigns import SYSTEM, approved, enterprises, everybody_a_hundred_yuan
from vouchers.campaigns import rules, services
from vouchers.campaigns.models import CampaignBatch
from vouchers.issuance import funds
from vouchers.issuance.models import Application
from vouchers.issuance.rules import NotOpen
from vouchers.ledger.models import Journal
from vouchers.programmes import services as programmes
from vouchers.programmes.states import VersionAction
from vouchers.wallets.codes import canonical, digest
from vouchers.wallets.models import Voucher, VoucherCode


@pytest.fixture
def version(w):
    return everybody_a_hundred_yuan(w, budget="1000")


def propose(w, version, codes, *, key="campaign-1", by=None, stated=None):
    wanted = services.Wanted(version=version, credit_codes=codes, stated=stated or {})
    return services.propose(actor=by or w.reviewer, wanted=wanted, now=make.NOW, key=key, size=2)


def issue(campaign, **more):
    return list(services.issue(campaign=campaign, actor=SYSTEM, now=make.NOW, **more))


class TestProposing:
    def test_the_list_is_cut_into_batches_and_nothing_is_granted_yet(self, w, version):
        codes = enterprises(5)
        campaign = propose(w, version, [*codes, codes[0]])
        assert [len(batch.organisations) for batch in campaign.batches.all()] == [2, 2, 1]
        assert (campaign.state, campaign.recipients, Voucher.objects.count()) == ("proposed", 5, 0)
        assert propose(w, version, codes).pk == campaign.pk
        with pytest.raises(KeyReused):
            propose(w, version, codes[:4])
        with pytest.raises(rules.NotApproved):
            issue(campaign)

    def test_what_cannot_be_a_campaign_is_refused(self, w, version):
        codes = enterprises(1)
        with pytest.raises(rules.NoRecipients):
            propose(w, version, [])
        with pytest.raises(rules.UnknownRecipients, match=r"campaign\.unknown_recipients") as refused:
            propose(w, version, [*codes, w.lab.credit_code, "no such code"])
        assert refused.value.params["count"] == 2
        with pytest.raises(Forbidden):
            propose(w, version, codes, by=w.owner)
        with pytest.raises(rules.NotForCampaigns):
            propose(w, make.programme(w, code="test-applied-for"), codes)

    def test_another_person_approves_or_it_is_withdrawn(self, w, version):
        alone = make.both_roles(w)
        campaign = propose(w, version, enterprises(1), by=alone)
        with pytest.raises(rules.SamePerson):
            services.approve(actor=alone, campaign=campaign, now=make.NOW)
        with pytest.raises(Forbidden):
            services.approve(actor=w.owner, campaign=campaign, now=make.NOW)
        assert services.withdraw(actor=alone, campaign=campaign, now=make.NOW).state == "withdrawn"
        with pytest.raises(InvalidTransition):
            services.approve(actor=w.approver, campaign=campaign, now=make.NOW)


class TestIssuing:
    def test_each_gets_what_the_rules_give_and_a_case_of_its_own(self, w, version):
        codes = enterprises(3)
        Organisation.objects.filter(credit_code=codes[1]).update(facts={"sme": True, "tags": ["hnte"]})
        campaign = approved(w, version, codes, size=2)
        assert [batch.vouchers for batch in issue(campaign)] == [2, 1]
        campaign.refresh_from_db()
        assert campaign.state == "done"
        held = Voucher.objects.select_related("application", "holder").order_by("number")
        assert [voucher.holder.credit_code for voucher in held] == codes
        assert {voucher.face_fen for voucher in held} == {10_000}
        assert [voucher.application.request["applicant"].get("tags") for voucher in held] == [None, ["hnte"], None]
        case = held[0].application
        assert (case.state, case.place, case.decision["amount"]) == ("issued", 1, "100.00")
        assert (case.submitted_by_id, case.approved_by_id) == (w.reviewer.user_id, w.approver.user_id)
        journal = Journal.objects.get(key=f"campaign:{campaign.number}/batch/1")
        assert (journal.actor, journal.approved_by) == (
            f"李初审 #{w.reviewer.user_id}",
            f"王审批 #{w.approver.user_id}",
        )

    def test_who_gets_nothing_is_named_with_the_reason(self, w, version):
        """A provider's rule refuses one, the pool of ¥1,000 ends after ten, the year's ceiling stops a second round."""
        codes = enterprises(12)
        Organisation.objects.filter(credit_code=codes[0]).update(kind=Organisation.Kind.ENTERPRISE, facts={"type": "x"})
        batches = issue(approved(w, version, codes, size=20))
        assert batches[0].vouchers == 10
        assert [each["reasons"] for each in batches[0].left_out] == [["R02"], ["pool_short"]]

    def test_nobody_grants_to_their_own(self, w, version):
        codes = enterprises(3)
        campaign = approved(w, version, codes, size=20)
        for someone, code in ((w.reviewer, codes[0]), (w.approver, codes[2])):
            own = Organisation.objects.get(credit_code=code)
            make.Member.objects.create(user=make.user_of(someone), organisation=own, roles=["owner"])
        [batch] = issue(campaign)
        assert [each["reasons"] for each in batch.left_out] == [["application.same_person"]] * 2
        assert Voucher.objects.get().holder.credit_code == codes[1]

    def test_another_department_issues_nothing(self, w, version):
        campaign = approved(w, version, enterprises(1), size=2)
        stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.APPROVER)
        with pytest.raises(Forbidden):
            services.issue_batch(campaign=campaign, number=1, actor=stranger, now=make.NOW)

    def test_a_suspended_programme_issues_no_batch(self, w, version):
        campaign = approved(w, version, enterprises(1), size=2)
        suspend = VersionAction.SUSPEND
        programmes.change_state(actor=w.publisher, version=version, action=suspend, now=make.NOW)
        with pytest.raises(NotOpen):
            issue(campaign)
        assert not Voucher.objects.exists()

    def test_no_recipient_can_take_the_key_of_its_case(self, w, version):
        campaign = approved(w, version, enterprises(1), size=2)
        issue(campaign)
        with pytest.raises(BadKey):
            check_key(Application.objects.get().key)

    def test_what_was_issued_is_issued_once(self, w, version):
        campaign = approved(w, version, enterprises(4), size=2)
        [first] = issue(campaign, most=1)
        again = services.issue_batch(campaign=campaign, number=1, actor=SYSTEM, now=make.NOW)
        assert (again.pk, again.issued_at, Voucher.objects.count()) == (first.pk, first.issued_at, 2)
        assert [batch.number for batch in issue(campaign)] == [2]
        assert issue(campaign) == []

    def test_what_fails_leaves_nothing_of_its_batch(self, w, version):
        campaign = approved(w, version, enterprises(2), size=2)

        def full(_batch, _made):
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            issue(campaign, keep=full)
        assert Voucher.objects.count() == Application.objects.count() == VoucherCode.objects.count() == 0
        assert CampaignBatch.objects.filter(issued_at__isnull=True).count() == 1
        assert [batch.vouchers for batch in issue(campaign)] == [2]

    def test_the_number_of_queries_does_not_grow_with_the_batch(self, w, version, django_assert_num_queries):
        first, small, large = (approved(w, version, enterprises(n, start=n * 10), size=20) for n in (1, 2, 5))
        issue(first)
        with django_assert_num_queries(26):
            issue(small, keep=lambda _batch, _made: None)
        with django_assert_num_queries(26):
            issue(large, keep=lambda _batch, _made: None)

    def test_the_pools_of_the_programme_bound_it(self, w):
        version = everybody_a_hundred_yuan(w, budget="1000", pool=[{"period": "month", "amount": 250}])
        for batch in issue(approved(w, version, enterprises(3), size=2)):
            assert batch.vouchers == (2 if batch.number == 1 else 0)
        assert [row["reasons"] for row in CampaignBatch.objects.get(number=2).left_out] == [["pool_short"]]
        assert funds.left(version, now=make.NOW).yuan() == "50.00"


class TestCommand:
    def test_it_issues_and_writes_the_codes_for_this_user_only(self, w, version, tmp_path, settings):
        campaign = approved(w, version, enterprises(3), size=2)
        out = io.StringIO()
        call_command("campaign", campaign.number, codes=tmp_path / "codes", stdout=out)
        assert out.getvalue().splitlines() == ["batch 1: 2 vouchers", "batch 2: 1 vouchers"]
        files = sorted((tmp_path / "codes").iterdir())
        assert [file.name for file in files] == [f"{campaign.number}-0000{n}.csv" for n in (1, 2)]
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        number, code = files[1].read_text("utf-8").splitlines()[1].split(",")
        stored = VoucherCode.objects.get(voucher__number=number)
        assert stored.digest == digest(canonical(code), key=settings.VOUCHER_CODE_KEY)

    def test_it_says_what_is_wrong(self, w, version):
        with pytest.raises(CommandError, match="no campaign E0000-1"):
            call_command("campaign", "E0000-1")
        with pytest.raises(CommandError, match=r"campaign\.not_approved"):
            call_command("campaign", propose(w, version, enterprises(1)).number)


def test_the_holder_and_the_department_can_read_its_pages(w, version, client):
    [batch] = issue(approved(w, version, [w.enterprise.credit_code], size=2))
    assert batch.vouchers == 1
    voucher = Voucher.objects.select_related("application").get()
    for reader, urls in (
        (w.owner, [f"/applications/{voucher.application.number}/", f"/wallet/{voucher.number}/", "/wallet/"]),
        (w.reviewer, [f"/review/{voucher.application.number}/"]),
    ):
        client.force_login(make.user_of(reader))
        for url in urls:
            assert client.get(url).status_code == 200, url
