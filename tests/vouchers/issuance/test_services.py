"""From application to voucher: the rules decide, the pool is reserved, two further persons sign."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import F

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.idempotency import KeyReused
from portal.kernel.money import Money
from tests import make
from vouchers.issuance import access, drafts, rules, services
from vouchers.issuance.models import Application
from vouchers.ledger import queries as ledger
from vouchers.programmes.models import Budget
from vouchers.wallets import access as wallet
from vouchers.wallets import expiry
from vouchers.wallets.models import Voucher


def pool(version) -> tuple[int, int]:
    account = Budget.objects.get(programme=version.programme).account_id
    balance = ledger.balances(account_ids=[account])[account]
    return balance.available_fen, balance.held_fen


class TestSubmitting:
    def test_reserves_what_the_rules_grant(self, w):
        version = make.programme(w)
        case = make.application(w, version)

        assert (case.state, case.amount_fen) == ("review", 10_000_000)
        assert pool(version) == (90_000_000, 10_000_000)
        assert case.decision["lines"] == ["50%"]

    def test_refuses_with_every_failing_test_and_keeps_nothing(self, w):
        version = make.programme(w, cost={"include": ["compute"], "max_months": 12, "min_base": 500000})
        with pytest.raises(Refused) as refused:
            make.application(w, version, months=18, related=True)

        assert [reason.code for reason in refused.value.reasons] == ["R05", "R07", "R08"]
        assert all(reason.remedy for reason in refused.value.reasons)
        assert not Application.objects.exists()
        assert pool(version)[1] == 0

    def test_asks_for_missing_facts_and_reserves_once_they_are_brought(self, w):
        version = make.programme(w, eligibility=["applicant.incubated", "=", True])
        case = make.application(w, version)
        assert (case.state, pool(version)[1]) == ("supplement", 0)
        assert [fact["path"] for fact in case.decision["missing"]] == ["applicant.incubated"]

        case = services.complete(actor=w.owner, application=case, stated={"applicant.incubated": True}, now=make.NOW)

        assert (case.state, pool(version)[1]) == ("review", 10_000_000)

    def test_does_not_let_an_applicant_overrule_what_is_registered(self, w):
        version = make.programme(w, eligibility=["applicant.sme", "=", False])
        with pytest.raises(Refused) as refused:
            services.submit(
                actor=w.owner,
                wanted=services.Wanted(version=version, contract=make.contract(), stated={"applicant.sme": False}),
                now=make.NOW,
                key=make.key(),
            )
        assert [reason.code for reason in refused.value.reasons] == ["R02"]

    def test_counts_what_is_already_reserved_against_the_yearly_cap(self, w):
        version = make.programme(w, caps=[{"window": "year", "amount": 120000}])
        make.application(w, version)
        second = make.application(w, version, number="HT-2026-002")
        assert second.amount_fen == 2_000_000

    def test_is_refused_while_a_programme_is_suspended(self, w):
        from vouchers.programmes import services as programmes
        from vouchers.programmes.states import VersionAction

        version = make.programme(w)
        programmes.change_state(actor=w.publisher, version=version, action=VersionAction.SUSPEND, now=make.NOW)
        with pytest.raises(rules.NotOpen):
            make.application(w, version)

    @pytest.mark.django_db(transaction=True)
    def test_never_reserves_more_than_the_pool_holds_in_a_race(self):
        """Seven rivals for 300,000 yuan, each entitled to 100,000: exactly three reservations and not a fen more."""
        w = make.world()
        version = make.programme(w, budget="300000", pool_short="reject")
        owners = [make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER) for _ in range(7)]

        def act(owner) -> object:
            try:
                return services.submit(
                    actor=owner,
                    wanted=services.Wanted(version=version, contract=make.contract(), stated={}),
                    now=make.NOW,
                    key=make.key(),
                )
            except Exception as error:
                return error
            finally:
                connections.close_all()

        with ThreadPoolExecutor(7) as threads:
            outcomes = list(threads.map(act, owners))

        won = [outcome for outcome in outcomes if isinstance(outcome, Application)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert (len(won), len(lost)) == (3, 4)
        assert all([reason.code for reason in error.reasons] == ["R13"] for error in lost)
        assert pool(version) == (0, 30_000_000)


class TestDeciding:
    def test_needs_three_different_persons(self, w):
        both = make.both_roles(w)
        case = make.passed(w, make.application(w, make.programme(w)), by=both)
        with pytest.raises(rules.SamePerson):
            make.approved(w, case, by=both)
        with pytest.raises(IntegrityError, match="application_four_eyes"), transaction.atomic():
            Application.objects.filter(pk=case.pk).update(approved_by=F("reviewed_by"))

    def test_may_lower_the_amount_and_gives_the_rest_back_to_the_pool(self, w):
        version = make.programme(w)
        case = make.application(w, version)
        with pytest.raises(rules.AmountRaised):
            make.passed(w, case, amount=Money.from_yuan("100000.01"))
        case = make.passed(w, case, amount=Money.from_yuan("80000"))

        voucher = make.approved(w, case)

        assert voucher.face_fen == 8_000_000
        assert pool(version) == (92_000_000, 0)
        assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen == 8_000_000

    def test_releases_the_reservation_when_refused_returned_or_withdrawn(self, w):
        version = make.programme(w)
        refused = make.application(w, version)
        make.refused(w, refused, note="合同已终止")
        returned = make.application(w, version, number="HT-2")
        make.returned(w, returned, note="请补充用途")
        withdrawn = make.application(w, version, number="HT-3")
        services.withdraw(actor=w.owner, application=withdrawn, now=make.NOW)

        assert pool(version) == (100_000_000, 0)
        again = services.complete(actor=w.owner, application=returned, stated={}, now=make.NOW + timedelta(days=1))
        assert (again.state, pool(version)[1]) == ("review", 10_000_000)

    def test_is_the_programmes_own_departments(self, w):
        case = make.application(w, make.programme(w))
        stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.REVIEWER)
        with pytest.raises(Forbidden):
            make.passed(w, case, by=stranger)
        with pytest.raises(NotFound):
            access.get_application(stranger, case.number)

    def test_happens_once(self, w):
        voucher = make.voucher(w)
        with pytest.raises(InvalidTransition):
            make.approved(w, voucher.application, by=make.actor(w.department, make.roles.Role.APPROVER))


class TestVoucher:
    def test_pays_the_deciding_lines_share_or_the_programmes_ceiling(self, w):
        by_line = make.voucher(w)
        assert Fraction(by_line.share_num, by_line.share_den) == Fraction(1, 2)
        capped = make.voucher(
            w, make.programme(w, code="test-capped", redeem={"mode": "deduct", "max_share": "0.30"}), number="HT-9"
        )
        assert Fraction(capped.share_num, capped.share_den) == Fraction(3, 10)

    def test_is_refused_after_its_validity_whether_or_not_the_sweep_has_run(self, w):
        voucher = make.voucher(w)
        late = voucher.valid_until
        resource = make.instrument(w, horizon_s=400 * 86400)
        with pytest.raises(Refused) as refused:
            make.booking(w, resource, period=make.slot(days=1, now=late), pay_with=voucher, now=late)
        assert [reason.code for reason in refused.value.reasons] == ["voucher.not_valid"]

    def test_returns_what_is_left_at_expiry_and_leaves_holds_alone(self, w):
        """ledger.md S6: the held part survives the expiry, and what its release gives back lapses too."""
        voucher = make.voucher(w)
        before = voucher.valid_until - timedelta(days=1)
        resource = make.instrument(w, horizon_s=400 * 86400)
        made = make.booking(w, resource, period=make.slot(days=2, now=before), pay_with=voucher, now=before)

        assert expiry.expire_overdue(now=voucher.valid_until) == 1
        balance = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]
        assert (balance.available_fen, balance.held_fen) == (0, 48000)

        make.measured(w, made, end=made.starts_at + timedelta(hours=1))
        expiry.expire_overdue(now=made.ends_at)
        voucher.refresh_from_db()
        assert voucher.state == "expired"
        assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].posted_fen == 0
        assert ledger.unaccounted_fen() == 0

    def test_does_not_exist_for_other_organisations(self, w):
        voucher = make.voucher(w)
        other = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
        with pytest.raises(NotFound):
            wallet.get_voucher(other, voucher.number)
        assert Voucher.objects.count() == 1


def test_a_key_begins_one_draft_of_one_programme(w):
    first, other = make.programme(w, code="first-2026"), make.programme(w, code="other-2026")
    made = drafts.start(actor=w.owner, version=first, now=make.NOW, key="draft-key-1")
    assert drafts.start(actor=w.owner, version=first, now=make.NOW, key="draft-key-1") == made
    with pytest.raises(KeyReused):
        drafts.start(actor=w.owner, version=other, now=make.NOW, key="draft-key-1")
