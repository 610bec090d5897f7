"""The life of a voucher: frozen, expired, carried, recovered; on PostgreSQL with its triggers."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.organisations.rules import Kind, Role
from tests import make
from vouchers.charges.models import Charge
from vouchers.issuance import services as issuance
from vouchers.ledger import queries as ledger
from vouchers.wallets import access, expiry, queries, rules, services
from vouchers.wallets.models import Voucher

pytestmark = pytest.mark.django_db


@pytest.fixture
def w():
    return make.world()


def balance(voucher):
    return ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]


def sums(kind):
    return sum(line.balance_fen for line in ledger.trial_balance() if line.kind == kind)


class TestHolder:
    def test_never_changes_whatever_the_program_does(self, w):
        voucher = make.voucher(w)
        other = make.organisation(Kind.ENTERPRISE)
        for change in ({"holder": other}, {"face_fen": 1}, {"share_den": 1}, {"account_id": 1}):
            with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
                Voucher.objects.filter(pk=voucher.pk).update(**change)
        with pytest.raises(DatabaseError, match="Cannot delete"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM voucher")
        with pytest.raises(IntegrityError), transaction.atomic():
            Voucher.objects.filter(pk=voucher.pk).update(state="lent")

    def test_holds_no_more_than_the_programme_allows_and_is_told_when_it_applies(self, w):
        version = make.programme(
            w,
            code="test-holding",
            per_contract_count=9,
            count={"holding_max": "150000", "per_application_max": "120000"},
        )
        make.voucher(w, version)
        assert queries.held_by(holder_id=w.enterprise.pk, programme="test-holding").fen == 10_000_000
        second = make.application(w, version, number="HT-2")
        assert (second.amount_fen, second.decision["rule_ids"]) == (5_000_000, ["R12"])
        with pytest.raises(Refused) as refused:
            make.application(w, version, number="HT-3", related=True)
        assert [reason.code for reason in refused.value.reasons] == ["R05", "R12"]
        issuance.withdraw(actor=w.owner, application=second, now=make.NOW)
        assert make.application(w, version, number="HT-4").amount_fen == 5_000_000


class TestFreezing:
    def test_stops_new_orders_and_leaves_open_ones_alone(self, w):
        voucher = make.voucher(w)
        resource = make.instrument(w)
        booked = make.booking(w, resource, pay_with=voucher)
        frozen = services.freeze(actor=w.approver, voucher=voucher, reason="发票重复", now=make.NOW)
        assert (frozen.state, frozen.note) == ("frozen", "发票重复")

        with pytest.raises(Refused) as refused:
            make.booking(w, resource, period=make.slot(days=3), pay_with=voucher)
        assert [reason.code for reason in refused.value.reasons] == ["voucher.not_active"]
        assert make.measured(w, booked).charge.pk
        assert balance(voucher).held_fen == 0

        services.unfreeze(actor=w.approver, voucher=voucher, reason="已核实", now=make.NOW)
        assert make.booking(w, resource, period=make.slot(days=3), pay_with=voucher).charge.voucher_held_fen == 48000

    def test_is_for_an_officer_of_the_granting_department_with_a_reason(self, w):
        voucher = make.voucher(w)
        with pytest.raises(Forbidden):
            services.freeze(actor=w.reviewer, voucher=voucher, reason="x", now=make.NOW)
        stranger = make.actor(make.organisation(Kind.DEPARTMENT), Role.APPROVER)
        with pytest.raises(NotFound):
            services.freeze(actor=stranger, voucher=voucher, reason="x", now=make.NOW)
        with pytest.raises(rules.ReasonMissing):
            services.freeze(actor=w.approver, voucher=voucher, reason="  ", now=make.NOW)
        with pytest.raises(InvalidTransition):
            services.unfreeze(actor=w.approver, voucher=voucher, reason="x", now=make.NOW)

    def test_neither_shortens_nor_lengthens_a_voucher(self, w):
        voucher = make.voucher(w)
        services.freeze(actor=w.approver, voucher=voucher, reason="核查", now=make.NOW)
        expiry.expire_overdue(now=voucher.valid_until)
        voucher.refresh_from_db()
        assert voucher.state == "expired"


class TestEnding:
    def test_returns_to_the_pool_unless_the_programme_carries_it(self, w):
        voucher = make.voucher(w)
        pool = sums("budget")
        assert expiry.expire_overdue(now=voucher.valid_until - timedelta(microseconds=1)) == 0
        assert expiry.expire_overdue(now=voucher.valid_until) == 1
        assert (sums("expired"), sums("budget") - pool) == (0, 10_000_000)
        assert expiry.expire_overdue(now=voucher.valid_until) == 0

    def test_those_that_ended_before_take_nobodys_place(self, w):
        first = make.voucher(w)
        made = make.measured(w, make.booking(w, make.instrument(w), pay_with=first))
        expiry.end_if_over(voucher_id=first.pk, now=first.valid_until)
        Charge.objects.filter(subject=f"booking:{made.number}").update(resolved_at=first.valid_until)
        second = make.voucher(w, make.programme(w, code="second-2026"), number="HT-2")
        assert expiry.expire_overdue(now=second.valid_until, limit=1) == 1
        second.refresh_from_db()
        assert second.state == "expired"

    def test_is_carried_once_into_the_year_after_its_budgets(self, w):
        version = make.programme(w, validity={"length": 6, "from": "issue", "on_expiry": "carry"})
        voucher = make.voucher(w, version)
        assert expiry.expire_overdue(now=voucher.valid_until) == 1
        voucher.refresh_from_db()
        assert voucher.state == "active"
        assert voucher.valid_until.astimezone(rules.BEIJING).isoformat() == "2028-01-01T00:00:00+08:00"
        assert balance(voucher).available_fen == 10_000_000

        assert expiry.expire_overdue(now=voucher.valid_until) == 1
        voucher.refresh_from_db()
        assert voucher.state == "expired"
        assert (sums("expired"), balance(voucher).posted_fen) == (10_000_000, 0)

    def test_counts_from_the_contract_where_the_programme_says_so(self, w):
        version = make.programme(w, validity={"length": 1, "from": "contract"})
        assert make.voucher(w, version).valid_until.astimezone(rules.BEIJING).date().isoformat() == "2026-12-02"
        with pytest.raises(rules.OverBeforeIssue):
            make.voucher(w, version, number="HT-2", signed=make.date(2026, 10, 1))

    def test_recovery_takes_the_unused_now_and_what_open_orders_give_back_later(self, w):
        voucher = make.voucher(w)
        booked = make.booking(w, make.instrument(w), pay_with=voucher)
        done = services.recover(
            actor=w.approver, proposed_by=w.reviewer.signature, voucher=voucher, reason="虚假合同", now=make.NOW
        )
        assert (done.state, sums("clawed_back")) == ("recovered", 10_000_000 - 48_000)
        make.measured(w, booked, end=booked.starts_at + timedelta(hours=1))
        assert expiry.expire_overdue(now=booked.ends_at) == 1
        assert (sums("clawed_back"), balance(voucher).posted_fen) == (10_000_000 - 24_000, 0)
        assert expiry.expire_overdue(now=booked.ends_at) == 0


class TestSeeing:
    def test_officers_see_their_departments_vouchers_only(self, w):
        voucher = make.voucher(w)
        assert [row.number for row in access.register(w.reviewer)] == [voucher.number]
        assert not access.register(make.actor(make.organisation(Kind.DEPARTMENT), Role.REVIEWER)).exists()
        with pytest.raises(Forbidden):
            access.register(w.owner)

    def test_several_are_reached_at_once_or_not_at_all(self, w):
        voucher = make.voucher(w)
        assert access.get_vouchers(w.owner, [voucher.number, voucher.number]) == [voucher]
        with pytest.raises(NotFound):
            access.get_vouchers(w.owner, [voucher.number, "V-2026-999999"])
