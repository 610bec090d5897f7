"""Refunds above the limit, refunds by finance, own shares given up: always two persons."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.idempotency import KeyReused
from portal.kernel.money import Money
from portal.organisations.models import Member
from scheduler.messages.models import Message
from scheduler.messages.wording import worded
from tests import make
from vouchers.charges import proposal_rules, proposing, reasons, refunding
from vouchers.charges import services as charges
from vouchers.charges.models import Charge, ChargeProposal, Refund
from vouchers.ledger import verification
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import Account, Journal
from vouchers.ledger.queries import balances
from vouchers.payments import arriving, giving_up, taking_back
from vouchers.payments import services as payments
from vouchers.payments.models import Arrival, Payment
from vouchers.settlements import queries as due

pytestmark = pytest.mark.django_db
LONG_AFTER = make.NOW + timedelta(days=120)
R = make.roles.Role


def charged(w: make.World, fen: int) -> Charge:
    bill = charges.Bill(f"order:{make.key()}", "compute", w.enterprise.pk, w.lab.pk, Money(fen), {"unit": "hour"})
    held = charges.hold(bill=bill, vouchers=[], actor=w.owner, now=make.NOW)
    return charges.capture(charge_id=held.pk, actual=Money(fen), measured={}, actor=w.keeper, now=make.NOW)


def said(code: str = "quality", text: str = "结果不符") -> refunding.Grounds:
    return refunding.Grounds(text, code)


def ask(w: make.World, charge: Charge, fen: int, *, actor=None, key: str = "") -> Refund | ChargeProposal:
    return proposing.refund_or_propose(
        actor=actor or w.keeper,
        charge=charge,
        amount=Money(fen),
        grounds=said(),
        now=make.NOW,
        key=key or make.key(),
    )


def give_up(w: make.World, charge: Charge, *, actor=None, now=LONG_AFTER, key: str = "", evidence: str = "裁定书 1 号"):
    return proposing.propose_write_off(
        actor=actor or w.finance,
        charge=charge,
        grounds=said("insolvent", "已宣告破产"),
        evidence=evidence,
        now=now,
        key=key or make.key(),
    )


def approve(w: make.World, proposal: ChargeProposal, *, actor=None, now=LONG_AFTER) -> ChargeProposal:
    return proposing.approve(actor=actor or w.finance_approver, proposal=proposal, now=now)


def posted(kind: AccountKind, owner: str) -> int:
    found = Account.objects.filter(kind=kind.value, owner=owner)
    return sum(row.posted_fen for row in balances(account_ids=[one.pk for one in found]).values())


class TestRefunds:
    def test_one_person_gives_back_up_to_the_limit_and_the_next_fen_needs_two(self, w, settings):
        settings.REFUND_APPROVAL_FEN = 1_000
        charge = charged(w, 5_000)
        assert isinstance(ask(w, charge, 1_000), Refund)
        waiting = ask(w, charge, 1)
        assert isinstance(waiting, ChargeProposal)
        with pytest.raises(refunding.SecondPersonNeeded):
            refunding.refund(actor=w.keeper, charge=charge, amount=Money(1), reason="x", now=make.NOW, key=make.key())
        done = approve(w, waiting)
        assert (done.state, done.refund.amount_fen, done.refund.reason_code) == ("approved", 1, "quality")
        journal = Journal.objects.get(key=f"refund:{done.refund.number}")
        assert (journal.actor, journal.approved_by) == (w.keeper.signature, w.finance_approver.signature)

    def test_a_colleague_of_the_provider_may_be_the_second(self, w, settings):
        settings.REFUND_APPROVAL_FEN = 0
        waiting = ask(w, charged(w, 500), 500)
        with pytest.raises(proposal_rules.OwnProposal):
            approve(w, waiting, actor=w.keeper)
        assert approve(w, waiting, actor=w.lab_owner).refund.own_fen == 500

    def test_finance_always_asks_a_second_of_finance(self, w):
        charge = charged(w, 500)
        waiting = ask(w, charge, 100, actor=w.finance)
        with pytest.raises(Forbidden):
            approve(w, waiting, actor=w.lab_owner)
        assert approve(w, waiting).refund.amount_fen == 100

    def test_finance_that_is_of_a_party_may_neither_ask_nor_approve(self, w):
        charge = charged(w, 500)
        Member.objects.create(user=make.user_of(w.finance), organisation=w.enterprise, roles=[R.RESEARCHER.value])
        with pytest.raises(proposal_rules.Party):
            ask(w, charge, 100, actor=w.finance)
        Member.objects.create(user=make.user_of(w.finance_approver), organisation=w.lab, roles=[R.OWNER.value])
        waiting = ask(w, charge, 100, actor=make.actor(w.department, R.FINANCE_OFFICER))
        with pytest.raises(proposal_rules.Party):
            approve(w, waiting)

    @pytest.mark.parametrize("who", ["owner", "auditor", "operator", "finance_approver"])
    def test_others_may_not_ask(self, w, who):
        with pytest.raises(Forbidden):
            ask(w, charged(w, 500), 100, actor=getattr(w, who))

    def test_the_same_key_asks_once_and_other_content_is_refused(self, w, settings):
        settings.REFUND_APPROVAL_FEN = 0
        charge = charged(w, 500)
        first = ask(w, charge, 100, key="the-same-key")
        assert ask(w, charge, 100, key="the-same-key") == first
        with pytest.raises(KeyReused):
            ask(w, charge, 101, key="the-same-key")
        with pytest.raises(proposal_rules.ProposalOpen) as error:
            ask(w, charge, 101)
        assert error.value.params == {"number": first.number}
        approve(w, first)
        assert ask(w, charge, 100, key="the-same-key") == first

    def test_more_than_is_left_and_a_reason_nobody_knows_are_refused_at_once(self, w, settings):
        settings.REFUND_APPROVAL_FEN = 0
        charge = charged(w, 500)
        with pytest.raises(refunding.rules.RefundTooLarge):
            ask(w, charge, 501)
        with pytest.raises(reasons.NoSuchReason) as error:
            proposing.refund_or_propose(
                actor=w.keeper, charge=charge, amount=Money(1), grounds=said("mood"), now=make.NOW, key=make.key()
            )
        assert (error.value.field, error.value.params["value"]) == ("reason_code", "mood")

    def test_sent_back_moves_nothing_and_cannot_be_approved(self, w, settings):
        settings.REFUND_APPROVAL_FEN = 0
        waiting = ask(w, charged(w, 500), 500)
        with pytest.raises(proposal_rules.ProposalNoteMissing):
            proposing.send_back(actor=w.lab_owner, proposal=waiting, note=" ", now=make.NOW)
        back = proposing.send_back(actor=w.keeper, proposal=waiting, note="写错了", now=make.NOW)
        assert (back.state, back.note) == ("returned", "写错了")
        with pytest.raises(proposal_rules.NotProposed):
            approve(w, waiting)
        assert not Refund.objects.exists()


class TestWriteOffs:
    def test_an_unpaid_share_is_owed_by_nobody_any_more_and_the_provider_bears_it(self, w):
        charge = charged(w, 9_000)
        approve(w, give_up(w, charge))
        charge.refresh_from_db()
        payment = charge.payment
        assert (payment.state, payment.written_off_fen, charge.own_payable_fen) == ("written_off", 9_000, 0)
        assert posted(AccountKind.CASH_DUE, f"charge:{charge.number}") == 0
        assert posted(AccountKind.CASH_PROVIDER_PAYABLE, f"organisation:{w.lab.pk}") == 0
        assert posted(AccountKind.WRITE_OFF, f"organisation:{w.lab.pk}") == 0
        journal = Journal.objects.get(kind="write_off")
        assert [row.amount for row in journal.transfers.all()] == [9_000, 9_000]
        assert (journal.actor, journal.approved_by) == (w.finance.signature, w.finance_approver.signature)
        assert due.due_to(w.lab.pk, now=LONG_AFTER) == []
        assert verification.verify() == []

    def test_of_a_share_paid_in_part_the_provider_gets_what_arrived(self, w):
        charge = charged(w, 9_000)
        receive(charge, 4_000)
        approve(w, give_up(w, charge))
        charge.refresh_from_db()
        assert (charge.payment.state, charge.payment.amount_fen, charge.own_payable_fen) == ("confirmed", 4_000, 4_000)
        assert [row.amount_fen for row in due.due_to(w.lab.pk, now=LONG_AFTER)] == [4_000]
        made = ask(w, charge, 4_000)
        assert (made.own_fen, charged_left(charge)) == (4_000, 0)
        assert posted(AccountKind.CASH_DUE, f"charge:{charge.number}") == -4_000
        with pytest.raises(refunding.rules.RefundTooLarge):
            ask(w, charge, 1)

    def test_money_that_comes_after_all_is_the_payers(self, w):
        charge = charged(w, 9_000)
        approve(w, give_up(w, charge))
        receive(charge, 9_000)
        assert posted(AccountKind.UNAPPLIED_CASH, f"organisation:{w.enterprise.pk}") == 9_000

    def test_a_share_not_long_due_or_not_due_is_not_given_up(self, w):
        charge = charged(w, 9_000)
        with pytest.raises(proposal_rules.NotLongDue) as error:
            give_up(w, charge, now=make.NOW + timedelta(days=89))
        assert error.value.params == {"days": 90, "from_": "2027-02-23"}
        receive(charge, 9_000)
        with pytest.raises(proposal_rules.NothingDue):
            give_up(w, charge)

    def test_the_waiting_begins_anew_when_money_that_had_come_is_taken_back(self, w):
        charge = charged(w, 9_000)
        receive(charge, 9_000)
        again = LONG_AFTER + timedelta(days=10)
        arrival = Arrival.objects.get()
        taking_back.take_back(arrival=arrival, asked_by="甲", reason="记错", actor=w.finance_approver, now=again)
        with pytest.raises(proposal_rules.NotLongDue):
            give_up(w, charge, now=again + timedelta(days=89))
        assert give_up(w, charge, now=again + timedelta(days=90)).amount_fen == 9_000

    def test_the_provider_is_told_how_much_was_given_up_and_why(self, w):
        charge = charged(w, 9_000)
        waiting = give_up(w, charge)
        assert not Message.objects.filter(kind="share_given_up").exists()
        approve(w, waiting)
        told = Message.objects.filter(kind="share_given_up")
        assert {one.organisation_id for one in told} == {w.lab.pk}
        words = worded(told[0])
        assert "¥90.00" in words.text
        assert "已宣告破产" in words.text
        assert words.path == f"/charge-proposals/{waiting.number}/"

    def test_evidence_is_needed(self, w):
        with pytest.raises(proposal_rules.EvidenceMissing):
            give_up(w, charged(w, 9_000), evidence=" ")

    def test_it_needs_two_of_finance(self, w):
        charge = charged(w, 9_000)
        both = make.actor(w.department, R.FINANCE_OFFICER, R.FINANCE_APPROVER)
        waiting = give_up(w, charge, actor=both)
        for someone in (both, w.lab_owner, w.owner, w.finance):
            with pytest.raises(Forbidden):
                approve(w, waiting, actor=someone)
        for someone in (w.keeper, w.owner, w.finance_approver):
            with pytest.raises(Forbidden):
                give_up(w, charge, actor=someone)

    def test_what_was_paid_since_it_was_asked_for_stops_it(self, w):
        charge = charged(w, 9_000)
        waiting = give_up(w, charge)
        receive(charge, 1)
        with pytest.raises(giving_up.PaymentChanged) as error:
            approve(w, waiting)
        assert error.value.params == {"left": "¥89.99"}
        payments.declare(actor=w.owner, payment=charge.payment, bank_reference="B-1", now=LONG_AFTER)
        with pytest.raises(giving_up.PaymentUnderWay):
            approve(w, waiting)
        waiting.refresh_from_db()
        assert waiting.state == "proposed"

    def test_a_refund_of_all_before_it_is_approved_leaves_nothing_to_give_up(self, w):
        charge = charged(w, 9_000)
        waiting = give_up(w, charge)
        ask(w, charge, 9_000)
        with pytest.raises(InvalidTransition):
            approve(w, waiting)


def receive(charge: Charge, fen: int) -> None:
    arriving.receive(
        payment=Payment.objects.get(charge=charge),
        amount=Money(fen),
        source=f"line:{make.key()}",
        account=arriving.MAIN_ACCOUNT,
        actor=make.Actor.system("test"),
        now=LONG_AFTER,
    )


def charged_left(charge: Charge) -> int:
    charge.refresh_from_db()
    return charge.refundable_fen
