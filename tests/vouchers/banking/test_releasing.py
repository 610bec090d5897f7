"""A bank reference that a person mistyped is released by two: its line is free, what it was said to be for stands."""

from __future__ import annotations

import pytest

from portal.kernel.errors import Forbidden
from portal.organisations.models import Member
from tests import make
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bank, bring, due, line, pay, refund
from tests.vouchers.reconciliation.test_bank_days import books
from tests.vouchers.settlements.ordered import approved, exported
from vouchers.banking import automatic, releasing, rules, services, undoing, wanting
from vouchers.banking.models import BankClaim
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.ledger import verification
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.payments.rules import OwnPayment
from vouchers.settlements import services as settlements
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.rules import OwnPayee


def claim(reference: str) -> BankClaim:
    return BankClaim.objects.get(reference=reference, released_at=None)


def released(w, reference: str, right: str = "") -> BankClaim:
    releasing.doubt(actor=w.finance, claim=claim(reference), reason="抄错一位", right=right, now=make.NOW)
    return releasing.release(actor=w.finance_approver, claim=claim(reference), now=make.NOW)


def confirmed(w, reference: str, fen_: int = 96_000) -> Payment:
    return payments.confirm(actor=w.finance, payment=due(w, fen_), bank_reference=reference, now=make.NOW)


def by_hand(line_, payment: Payment, kind: PartKind = PartKind.MANUAL) -> list[Part]:
    return wanting.parts_of(line_, [wanting.Wanted(kind, payment.number)])


def unproved_batches() -> list[str]:
    return [one.key for one in books().unproved if one.source_type == "settlement"]


def test_the_line_of_a_mistyped_reference_pays_what_it_is_for_and_the_right_one_shows_the_payment(w):
    payment, other = confirmed(w, "A1"), due(w, 5_000)
    bring(w, row("A1", "50.00", memo=other.reference))
    assert (line("A1").state, other.state) == ("open", "due"), "A1 was said to be for something else"
    done = released(w, "A1", right="a 2")
    assert (done.doubter != "", done.released_by_id) == (True, w.finance_approver.person)
    payment.refresh_from_db()
    assert (payment.state, payment.paid_fen, payment.bank_reference) == ("confirmed", 96_000, "A2")
    automatic.look_again(line=line("A1"), now=make.NOW)
    other.refresh_from_db()
    assert (line("A1").state, other.state, bank()) == ("matched", "confirmed", 101_000)
    bring(w, row("A2", "960.00"))
    [part] = line("A2").matches.get().parts.all()
    assert (line("A2").state, part.kind, part.payment, bank()) == ("matched", "manual", payment, 101_000)
    assert (books().unproved, books().unexplained_fen, verification.verify()) == ([], 0, [])


def test_where_the_right_one_is_not_known_a_person_says_which_line_it_was(w):
    payment = confirmed(w, "A1")
    released(w, "A1")
    payment.refresh_from_db()
    assert (payment.state, payment.bank_reference) == ("confirmed", "")
    bring(w, row("A1", "10.00", name="某公司"), row("B7", "960.00", name="某公司"))
    assert [line(each).state for each in ("A1", "B7")] == ["open", "open"]
    services.match(actor=w.finance, line=line("B7"), parts=by_hand(line("B7"), payment), now=make.NOW)
    assert (line("B7").state, claim("B7").subject, bank()) == ("matched", f"in:{payment.number}", 96_000)
    services.match(actor=w.finance, line=line("A1"), parts=pay(due(w, 1_000), 1_000), now=make.NOW)
    assert (books().unproved, verification.verify()) == ([], [])
    bring(w, row("B8", "960.00", name="某公司"))
    with pytest.raises(rules.NoSuchTarget):
        by_hand(line("B8"), payment)


def test_a_released_reference_may_be_what_a_person_says_of_another_payment(w):
    first = confirmed(w, "A1")
    released(w, "A1")
    second = confirmed(w, "A1", 5_000)
    bring(w, row("A1", "50.00"))
    [part] = line("A1").matches.get().parts.all()
    assert (part.kind, part.payment, second.state, bank()) == ("manual", second, "confirmed", 101_000)
    undoing.doubt(actor=w.finance, match=line("A1").matches.get(), reason="不是", now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=line("A1").matches.get(), now=make.NOW)
    released(w, "A1", right="A9")
    bring(w, row("A9", "50.00"))
    [part] = line("A9").matches.get().parts.all()
    first.refresh_from_db()
    assert (part.payment, first.state, verification.verify()) == (second, "confirmed", [])


def test_a_refund_recorded_under_a_mistyped_reference(w):
    payment = due(w, 96_000)
    bring(w, row("A1", "960.00", memo=payment.reference))
    refund(w, payment, 6_000)
    payments.pay_back(actor=w.finance, payment=payment, bank_reference="R1", now=make.NOW)
    released(w, "R1", right="R2")
    bring(w, row("R1", "-3.00", name="", memo="手续费"), row("R2", "-60.00"))
    [part] = line("R2").matches.get().parts.all()
    payment.refresh_from_db()
    assert (part.kind, part.payment, payment.paid_back_reference) == ("paid_back", payment, "R2")
    fee = [Part(PartKind.FEE, 300)]
    services.match(actor=w.finance, line=line("R1"), parts=fee, now=make.NOW)
    assert (payment.paid_back_fen, bank(), verification.verify()) == (6_000, 89_700, [])


def test_a_refund_whose_right_reference_nobody_knows_is_found_by_a_person(w):
    payment = due(w, 96_000)
    bring(w, row("A1", "960.00", memo=payment.reference))
    refund(w, payment, 6_000)
    payments.pay_back(actor=w.finance, payment=payment, bank_reference="R1", now=make.NOW)
    released(w, "R1")
    bring(w, row("R5", "-60.00", name="某公司"), row("R6", "-61.00", name="某公司"))
    with pytest.raises(rules.TargetDiffers):
        services.match(
            actor=w.finance, line=line("R6"), parts=by_hand(line("R6"), payment, PartKind.PAID_BACK), now=make.NOW
        )
    parts = by_hand(line("R5"), payment, PartKind.PAID_BACK)
    services.match(actor=w.finance, line=line("R5"), parts=parts, now=make.NOW)
    assert (claim("R5").subject, bank(), verification.verify()) == (f"back:{payment.number}", 90_000, [])


def test_a_batch_paid_under_a_mistyped_reference_stays_paid(w):
    batch = settlements.mark_paid(actor=w.finance, batch=approved(w), bank_reference="TR-1", now=make.NOW)
    before = bank()
    bring(w, row("TR-1", "-5.00", name="", memo="手续费"))
    fee = [Part(PartKind.FEE, 500)]
    with pytest.raises(rules.Claimed):
        services.match(actor=w.finance, line=line("TR-1"), parts=fee, now=make.NOW)
    released(w, "TR-1", right="TR-2")
    services.match(actor=w.finance, line=line("TR-1"), parts=fee, now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_reference) == ("paid", "TR-2")
    rival = make.actor(w.department, make.roles.Role.FINANCE_OFFICER)
    bring(w, row("TR-2", "-100.00", name="某实验室"), look=False)
    parts = [Part(PartKind.SETTLEMENT, 10_000, batch=batch)]
    services.match(actor=rival, line=line("TR-2"), parts=parts, now=make.NOW)
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line, bank() - before) == ("reconciled", "TR-2", -500)
    assert (unproved_batches(), verification.verify()) == ([], [])


def test_a_batch_reconciled_by_the_wrong_line_is_to_be_reconciled_anew(w):
    order = exported(w, approved(w))
    batch = order.lines.get().batch
    settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)
    settlements.reconcile(actor=w.finance_approver, batch=batch, bank_line="Z1", now=make.NOW)
    other = settlements.mark_paid(actor=w.finance, batch=approved(w), bank_reference="TR-9", now=make.NOW)
    bring(w, row("Z1", "-100.00", name="某实验室"), look=False)
    rival = make.actor(w.department, make.roles.Role.FINANCE_OFFICER)
    parts = [Part(PartKind.SETTLEMENT, 10_000, batch=other)]
    with pytest.raises(rules.Claimed):
        services.match(actor=rival, line=line("Z1"), parts=parts, now=make.NOW)
    released(w, "Z1")
    batch.refresh_from_db()
    assert (batch.state, batch.bank_line, batch.bank_reference) == ("paid", "", "TR-1")
    services.match(actor=rival, line=line("Z1"), parts=parts, now=make.NOW)
    bring(w, row("TR-1", "-100.00", name="某实验室"), look=False)
    parts = [Part(PartKind.SETTLEMENT, 10_000, batch=batch)]
    services.match(actor=rival, line=line("TR-1"), parts=parts, now=make.NOW)
    states = SettlementBatch.objects.filter(pk__in=[batch.pk, other.pk]).values_list("state", flat=True)
    assert (set(states), unproved_batches(), verification.verify()) == ({"reconciled"}, [], [])


def test_two_persons_a_reason_and_nobody_it_pays(w):
    payment = confirmed(w, "A1")
    batch = settlements.mark_paid(actor=w.finance, batch=approved(w), bank_reference="TR-1", now=make.NOW)
    with pytest.raises(rules.ReasonMissing):
        releasing.doubt(actor=w.finance, claim=claim("A1"), reason=" ", now=make.NOW)
    with pytest.raises(rules.SameReference):
        releasing.doubt(actor=w.finance, claim=claim("A1"), reason="x", right="a1", now=make.NOW)
    with pytest.raises(rules.Claimed):
        releasing.doubt(actor=w.finance, claim=claim("A1"), reason="x", right="TR-1", now=make.NOW)
    with pytest.raises(rules.ClaimNotDoubted):
        releasing.release(actor=w.finance_approver, claim=claim("A1"), now=make.NOW)
    with pytest.raises(Forbidden):
        releasing.doubt(actor=w.owner, claim=claim("A1"), reason="x", now=make.NOW)
    releasing.doubt(actor=w.finance, claim=claim("A1"), reason="x", now=make.NOW)
    with pytest.raises(rules.SamePerson):
        releasing.release(actor=w.finance, claim=claim("A1"), now=make.NOW)
    for organisation in (w.enterprise, batch.payee):
        Member.objects.create(user_id=w.finance.user_id, organisation=organisation, roles=["owner"])
    with pytest.raises(OwnPayment):
        releasing.doubt(actor=w.finance, claim=claim("A1"), reason="x", now=make.NOW)
    with pytest.raises(OwnPayee):
        releasing.doubt(actor=w.finance, claim=claim("TR-1"), reason="x", now=make.NOW)
    releasing.stand(actor=w.finance_approver, claim=claim("A1"), now=make.NOW)
    with pytest.raises(rules.ClaimNotDoubted):
        releasing.release(actor=w.finance_approver, claim=claim("A1"), now=make.NOW)
    payment.refresh_from_db()
    assert payment.bank_reference == "A1"


def test_while_it_is_doubted_no_rule_matches_it_and_what_is_matched_is_undone_first(w):
    payment = confirmed(w, "A1")
    releasing.doubt(actor=w.finance, claim=claim("A1"), reason="x", now=make.NOW)
    bring(w, row("A1", "960.00"))
    assert line("A1").state == "open"
    services.match(actor=w.finance, line=line("A1"), parts=by_hand(line("A1"), payment), now=make.NOW)
    with pytest.raises(rules.ClaimShown):
        releasing.release(actor=w.finance_approver, claim=claim("A1"), now=make.NOW)
    undoing.doubt(actor=w.finance, match=line("A1").matches.get(), reason="x", now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=line("A1").matches.get(), now=make.NOW)
    done = claim("A1")
    releasing.release(actor=w.finance_approver, claim=done, now=make.NOW)
    with pytest.raises(rules.NotClaimed):
        releasing.release(actor=w.finance_approver, claim=done, now=make.NOW)
    assert (bank(), verification.verify()) == (96_000, [])
