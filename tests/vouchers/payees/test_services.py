"""Bank accounts: three persons, a cooling-off, owners told; what is in force is replaced, never changed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition
from scheduler.messages.models import Message
from tests import make
from tests.vouchers.payees import making
from vouchers.payees import access, queries, rules, services
from vouchers.payees.models import PayeeAccount

DAYS = timedelta(days=1)


def test_an_account_passes_three_persons_and_a_cooling_off(w):
    account = making.proposed(w.lab, by=w.lab_owner)
    with pytest.raises(rules.SamePerson):
        services.check(actor=w.lab_owner, account=account, now=make.NOW)
    with pytest.raises(InvalidTransition):
        services.verify(actor=w.finance, account=account, now=make.NOW)
    services.check(actor=w.finance, account=account, now=make.NOW)
    with pytest.raises(rules.SamePerson):
        services.verify(actor=w.finance, account=account, now=make.NOW)
    done = services.verify(actor=w.finance_approver, account=account, now=make.NOW)
    assert (done.state, done.in_force_from) == ("verified", make.NOW + 3 * DAYS)
    assert queries.in_force_of(w.lab.pk, now=make.NOW + 3 * DAYS - timedelta(seconds=1)) is None
    assert services.enforce_due(now=make.NOW + 2 * DAYS) == 0
    assert queries.in_force_of(w.lab.pk, now=make.NOW + 3 * DAYS) == account, "the clock suffices"
    assert services.enforce_due(now=make.NOW + 3 * DAYS) == 1
    assert services.enforce_due(now=make.NOW + 3 * DAYS) == 0


def test_a_second_owner_may_check(w):
    account = making.proposed(w.lab, by=w.lab_owner)
    assert services.check(actor=making.owner_of(w.lab), account=account, now=make.NOW).state == "checked"
    with pytest.raises(Forbidden):
        services.check(actor=w.keeper, account=account, now=make.NOW)


def test_who_belongs_to_the_payee_does_not_verify_for_finance(w):
    account = making.proposed(w.lab)
    services.check(actor=w.finance, account=account, now=make.NOW)
    make.Member.objects.create(user=make.user_of(w.finance_approver), organisation=w.lab, roles=["owner"])
    with pytest.raises(rules.OwnAccount):
        services.verify(actor=w.finance_approver, account=account, now=make.NOW)


def test_a_new_account_replaces_the_former_when_its_time_has_come(w):
    old = making.in_force(w, w.lab)
    new = making.in_force(w, w.lab, now=make.NOW, number="33050161510012345678", cnaps="105100000017", bank="建设银行")
    old.refresh_from_db()
    assert (old.state, new.state) == ("replaced", "in_force")
    assert queries.in_force_of(w.lab.pk, now=make.NOW + 3 * DAYS) == new


def test_one_account_is_on_the_way_at_a_time_and_the_same_again_changes_nothing(w):
    account = making.proposed(w.lab, by=w.lab_owner)
    assert making.proposed(w.lab, by=w.lab_owner) == account
    with pytest.raises(rules.PendingAccount):
        making.proposed(w.lab, number="33050161510012345678")
    services.withdraw(actor=w.lab_owner, account=account, now=make.NOW)
    assert making.proposed(w.lab, number="33050161510012345678").state == "proposed"
    assert PayeeAccount.objects.count() == 2


def test_the_owners_take_an_account_back_in_the_cooling_off_but_not_after(w):
    account = making.proposed(w.lab)
    services.check(actor=w.finance, account=account, now=make.NOW)
    services.verify(actor=w.finance_approver, account=account, now=make.NOW)
    with pytest.raises(InvalidTransition):
        services.withdraw(actor=w.lab_owner, account=account, now=make.NOW + 3 * DAYS)
    services.withdraw(actor=w.lab_owner, account=account, now=make.NOW + 2 * DAYS)
    assert queries.in_force_of(w.lab.pk, now=make.NOW + 9 * DAYS) is None


def test_finance_sends_an_account_back_with_a_reason(w):
    account = making.proposed(w.lab)
    with pytest.raises(rules.ReasonMissing):
        services.reject(actor=w.finance, account=account, reason=" ", now=make.NOW)
    assert services.reject(actor=w.finance, account=account, reason="印章不清", now=make.NOW).state == "rejected"


def test_without_a_proof_nothing_is_proposed(w):
    with pytest.raises(rules.ProofMissing):
        services.propose(actor=w.lab_owner, details=making.details(w.lab.name), proof=None, now=make.NOW)
    assert not PayeeAccount.objects.exists()


def test_every_owner_is_told_each_step_and_the_trail_never_holds_the_number(w):
    second = making.owner_of(w.lab)
    account = making.in_force(w, w.lab)
    told = Message.objects.filter(about=account.reference)
    assert set(told.values_list("kind", flat=True)) == {
        "account_proposed",
        "account_checked",
        "account_verified",
        "account_in_force",
    }
    assert {second.user_id, w.lab_owner.user_id} <= set(told.values_list("user_id", flat=True))
    assert w.keeper.user_id not in set(told.values_list("user_id", flat=True))
    records = Record.objects.filter(subject=access.subject_of(account), action__startswith="payee.")
    assert records.count() == 4
    assert all(account.number not in str(record.data) for record in records)
    assert all(account.number not in str(message.params) for message in told)
