"""Own shares paid to a provider's account with a gateway, over HTTP against the sandbox payment server: once, whatever is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.test import override_settings

from integrations.stripe.configuring import config_from, problems
from portal.checks import stripe_account
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from tests import make
from tests.calling import Caller
from tests.money.scenarios import rails as walks
from tests.vouchers.payees import making as accounts
from tests.vouchers.scenarios.vouchers import bought, granted, of_kind
from tests.vouchers.settlements import ordered
from vouchers.ledger import auditing
from vouchers.payees import rules as payee_rules
from vouchers.payments.ports import BalanceKind, Method
from vouchers.reconciliation import queries as compared
from vouchers.reconciliation import services as reconciliation
from vouchers.settlements import cadences, drafting, order_rules, paying_out, payout_rules, services
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_rules import SettlementCadence
from vouchers.settlements.payout_models import RailPayout


@pytest.fixture
def gateway(w, payserver):
    """Let the sandbox be the operator's gateway, holding ¥960.00 that a payer has paid for the lab's service."""
    w.now = datetime.now(UTC)
    w.server = payserver
    with walks.stripe_at(payserver) as bench:
        w.bench = bench
        payserver.order("terms", {"wallet_rate": 0})  # fees come off the same balance, and it is just enough
        payment = walks.owed(w, 96_000)
        attempt = walks.begin(w, payment, Method.WECHAT_PAY, now=w.now)
        payserver.pay(attempt.provider_id)
        walks.deliver(walks.sandbox(), payserver.letters(), now=w.now)
        yield payserver


def connected(w):
    """Give the lab an account with the gateway that three persons have seen and whose cooling-off is over."""
    made = w.server.client.accounts.create({"type": "express", "country": "HK"})
    return accounts.in_force(
        w, w.lab, now=w.now - timedelta(days=10), rail="stripe", number=made.id, cnaps="", bank="Stripe"
    )


def approved(w):
    batch = services.draft(actor=w.finance, payee=w.lab, now=w.now)
    return services.approve(actor=w.finance_approver, batch=batch, now=w.now)


def transfers(w):
    return w.server.objects("transfer")


def settled(w, batch, fen=96_000):
    batch.refresh_from_db()
    payout = RailPayout.objects.exclude(state="failed").get(batch=batch)
    assert (batch.state, payout.state, len(transfers(w))) == ("paid", "paid", 1)
    assert (of_kind("settlement_clearing"), of_kind("cash_provider_payable")) == (0, 0)
    assert of_kind("gateway_clearing") == 96_000 - fen
    assert of_kind("bank_clearing") == 0
    assert auditing.audit(now=w.now).clean
    return payout


def test_an_approved_batch_is_paid_over_the_gateway_once_and_reconciled_by_its_report(w, gateway):
    account = connected(w)
    batch = approved(w)
    assert batch.account == account
    paying_out.pay(actor=w.finance, batch=batch, now=w.now)
    assert paying_out.pay(actor=w.finance, batch=batch, now=w.now).state == "paid"
    payout = settled(w, batch)
    [moved] = transfers(w)
    assert (moved["destination"], moved["amount"], moved["transfer_group"]) == (account.number, 96_000, payout.number)
    assert batch.bank_reference == payout.provider_id
    assert batch.paid_by_id == w.finance.user_id
    later = w.now + timedelta(days=9)
    span = Period(w.now - timedelta(days=1), later)
    check = reconciliation.pull(rail=walks.sandbox(), during=span, actor=w.finance, now=later)
    assert check.open_entries == 0
    [entry] = [one for one in compared.entries("stripe", during=span, now=later) if one.kind is BalanceKind.TRANSFER]
    assert (entry.number, entry.theirs_fen, entry.difference_fen) == (payout.number, -96_000, 0)
    batch.refresh_from_db()
    assert batch.state == "reconciled"
    assert batch.bank_line.startswith("stripe:txn_")


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "truncate", "error"])
def test_a_lost_answer_is_looked_for_and_never_asked_again_under_another_number(w, gateway, fault):
    connected(w)
    batch = approved(w)
    gateway.fault(fault, method="POST", path="/v1/transfers$")
    made = paying_out.pay(actor=w.finance, batch=batch, now=w.now)
    assert made.state == "open"
    assert of_kind("settlement_clearing") == 96_000
    for act in (
        lambda: services.discard(actor=w.finance, batch=batch, now=w.now),
        lambda: ordered.exported(w, batch),
        lambda: services.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=w.now),
    ):
        with pytest.raises(Exception, match=r".+"):
            act()
    assert paying_out.look_at_due(now=w.now) == 0, "not yet"
    paying_out.look_at_due(now=w.now + timedelta(minutes=1))
    paying_out.look_at_due(now=w.now + timedelta(minutes=20))
    assert settled(w, batch).number == made.number


def test_a_worker_that_dies_between_the_answer_and_the_commit_leaves_it_to_the_schedule(w, gateway, monkeypatch):
    connected(w)
    batch = approved(w)

    class Died(BaseException):
        pass

    def die(*_args, **_more):
        raise Died  # no cleaning up by whoever catches Exception

    with monkeypatch.context() as patch:
        patch.setattr(paying_out, "see", die)
        with pytest.raises(Died):
            paying_out.pay(actor=w.finance, batch=batch, now=w.now)
    assert (RailPayout.objects.get().state, len(transfers(w))) == ("open", 1)
    assert paying_out.look_at_due(now=w.now + timedelta(minutes=3)) == 1
    settled(w, batch)


def test_what_the_gateway_refuses_is_owed_again_with_its_reason(w, gateway):
    account = connected(w)
    batch = approved(w)
    type(account).objects.filter(pk=account.pk).update(number="acct_nobodyknows")
    batch.refresh_from_db()
    made = paying_out.pay(actor=w.finance, batch=batch, now=w.now)
    assert (made.state, made.failure_code) == ("failed", "resource_missing")
    batch.refresh_from_db()
    assert (batch.state, of_kind("cash_provider_payable"), of_kind("gateway_clearing")) == (
        "discarded",
        96_000,
        96_000,
    )
    assert "resource_missing" in batch.lines.get().reason
    type(account).objects.filter(pk=account.pk).update(number=account.number)
    again = approved(w)
    paying_out.pay(actor=w.finance, batch=again, now=w.now)
    settled(w, again)


def test_an_answer_that_is_not_about_what_was_ordered_books_nothing(w, gateway):
    connected(w)
    batch = approved(w)
    made = paying_out.order(actor=w.finance, batch=batch, now=w.now)
    w.bench.client.transfers.create(
        {
            "amount": 1,
            "currency": "cny",
            "destination": made.destination,
            "transfer_group": made.number,
            "metadata": {"gongxiang_transfer": made.number},
        }
    )
    paying_out.look_at_due(now=w.now + timedelta(minutes=5))
    made.refresh_from_db()
    assert (made.state, made.failure_code, made.next_look_at) == ("open", "differs", None)
    assert of_kind("gateway_clearing") == 96_000


def test_programme_money_goes_by_the_bank_and_own_shares_in_a_batch_of_their_own(w, gateway):
    connected(w)
    bank = accounts.in_force(w, w.lab, now=w.now - timedelta(days=10))
    bought(w, [granted(w, 10_000)], 10_000, subject="job:J-9")
    first, second = approved(w), approved(w)
    assert (first.total_fen, first.account.rail) == (96_000, "stripe")
    assert (second.total_fen, second.account) == (5_000, bank)
    with pytest.raises(payout_rules.RailPayoutRefused) as refused:
        paying_out.pay(actor=w.finance, batch=second, now=w.now)
    assert [reason.code for reason in refused.value.reasons] == ["rail_payout.no_account"]
    with pytest.raises(order_rules.OrderRefused) as refused:
        ordered.exported(w, first, second)
    assert [reason.code for reason in refused.value.reasons] == ["payment_order.over_rail"]
    with pytest.raises(payout_rules.PaidOverRail):
        services.mark_paid(actor=w.finance, batch=first, bank_reference="TR-1", now=w.now)


def test_the_approver_does_not_send_the_money_nor_a_member_of_the_payee(w, gateway):
    connected(w)
    batch = approved(w)
    everything = frozenset(Permission)
    with pytest.raises(payout_rules.SentByApprover):
        paying_out.pay(actor=replace(w.finance_approver, permissions=everything), batch=batch, now=w.now)
    with pytest.raises(payout_rules.RailPayoutRefused):
        paying_out.pay(actor=replace(w.lab_owner, permissions=everything), batch=batch, now=w.now)
    assert transfers(w) == []


def test_an_account_with_the_gateway_waits_for_its_cooling_off_and_stands_beside_the_bank_account(w, gateway):
    bank = accounts.in_force(w, w.lab, now=w.now - timedelta(days=10))
    made = gateway.client.accounts.create({"type": "express", "country": "HK"})
    fresh = accounts.proposed(w.lab, now=w.now, rail="stripe", number=made.id, cnaps="", bank="Stripe")
    assert approved(w).account == bank
    assert fresh.state == "proposed"
    with pytest.raises(payee_rules.BadAccount) as refused:
        accounts.proposed(w.lab, now=w.now, rail="stripe", number="1202020209900012345", cnaps="", bank="Stripe")
    assert [reason.code for reason in refused.value.reasons] == ["payee.rail_number"]


def test_without_a_gateway_nothing_of_it_is_offered(w):
    with pytest.raises(payee_rules.NoSuchPayoutRail):
        accounts.proposed(w.lab, rail="stripe", number="acct_1234567", cnaps="", bank="Stripe")


def test_no_batch_has_two_payouts_on_their_way(w, gateway):
    connected(w)
    batch = approved(w)
    made = paying_out.order(actor=w.finance, batch=batch, now=w.now)
    with pytest.raises(IntegrityError), transaction.atomic():
        RailPayout.objects.create(
            **{name: getattr(made, name) for name in ("batch", "account", "rail", "destination", "amount_fen")},
            number="PY-2",
            created_by=made.created_by,
            created_at=w.now,
        )
    assert SettlementBatch.objects.get(pk=batch.pk).state == "exported"


def test_the_clock_drafts_both_ways(w, gateway):
    connected(w)
    voucher = granted(w, 10_000)
    for code in ("", voucher.programme_code):
        cadences.set_terms(
            actor=w.finance_approver,
            programme_code=code,
            cadence=SettlementCadence.WEEKLY,
            needs_check=False,
            now=make.NOW,
        )
    bought(w, [voucher], 10_000, subject="job:J-9")
    made = drafting.draft_due(now=w.now + timedelta(days=14))
    assert sorted(batch.total_fen for batch in made) == [5_000, 96_000]


@pytest.mark.usefixtures("clock")
def test_over_http(w, gateway):
    connected(w)
    batch = approved(w)
    for other in (w.lab_owner, w.owner):
        assert Caller(other).post(f"/settlements/{batch.number}/payouts").status in (403, 404)
    done = Caller(w.finance).post(f"/settlements/{batch.number}/payouts")
    assert (done.status, done.body[0]["state"], done.body[0]["amount"]["fen"]) == (200, "paid", 96_000)
    assert Caller(w.finance).get(f"/settlements/{batch.number}").body["state"] == "paid"


@pytest.mark.parametrize(
    ("changes", "found"),
    [({"transfers": True}, {"E029"}), ({"transfers": True, "account": "acct_1234"}, set()), ({}, set())],
)
def test_the_check_says_what_payouts_need(changes, found):
    values = {
        "key": "sk_test_sandbox0000000000000000",
        "webhook_secret": "whsec_sandbox000000000000000000",
        "api_base": "",
        "account": "",
        "methods": "card",
        "sandbox": False,
        "transfers": False,
        **changes,
    }
    said = {
        one.id.removeprefix("portal.") for one in problems(config_from(values), rehearsing=True, api_version=("a", "a"))
    }
    assert said & {"E029"} == found


def test_the_check_says_that_payouts_need_a_gateway():
    with override_settings(PAYMENT_RAILS={}, STRIPE={**settings.STRIPE, "transfers": True}):
        assert [one.id for one in stripe_account()] == ["portal.E029"]
    with override_settings(PAYMENT_RAILS={}):
        assert stripe_account() == []
