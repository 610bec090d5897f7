"""Money too much, twice or too late by bank transfer: applied to what the same payer owes, or back by bank, once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition
from tests import make
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bank, bring, due, fen, line, pay, refund
from vouchers.banking import misapplied, services, undoing
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind, ReasonMissing, SamePerson
from vouchers.banking.suggesting import load, suggestions
from vouchers.ledger import verification
from vouchers.payments import taking_back, unapplied, unapplied_rules
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.rules import CannotTakeBack, OwnPayment
from vouchers.payments.unapplied_models import UnappliedUse
from vouchers.payments.unapplied_rules import MoreThanUnapplied, NotApplied, NotDoubted, NotFree, OtherPayer


@pytest.fixture
def arrival(w) -> Arrival:
    """An arrival of ¥970.00 for a payment of ¥960.00."""
    payment = due(w, 96_000)
    bring(w, row("A1", "970.00", name="某公司"))
    services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 97_000), now=make.NOW)
    return payment.arrivals.get()


def held(w) -> int:
    return fen("unapplied_cash", f"organisation:{w.enterprise.pk}")


def back(w, amount: int) -> list[Part]:
    return [Part(PartKind.EXCESS, amount, payer=w.enterprise)]


def state(pk: int) -> tuple[int, int, int, int]:
    found = unapplied.excess().get(pk=pk)
    return found.free_fen, found.asked_fen, found.returned_fen, found.applied_later_fen


def test_an_overpayment_goes_back_by_the_line_of_its_transfer(w, arrival):
    bring(w, row("X1", "-10.00", name="杭州星河智能科技有限公司"))
    found = line("X1")
    [best, *_rest] = suggestions(found, load([found]))
    assert (best.parts[0].kind, best.reasons, best.certain) == (
        "excess",
        ("sender", "payer", "amount"),
        False,
    )
    services.match(actor=w.finance, line=found, parts=best.parts, now=make.NOW)
    assert (held(w), bank(), state(arrival.pk)) == (0, 96_000, (0, 0, 1_000, 0))
    assert verification.verify() == []


def test_to_an_account_it_did_not_come_from_it_goes_with_a_second_person(w, arrival):
    bring(w, row("X1", "-10.00", name="杭州星河智能科技有限公司", account="6222 9999"))
    made = services.match(actor=w.finance, line=line("X1"), parts=back(w, 1_000), now=make.NOW)
    assert (made.state, held(w)) == ("proposed", 1_000)
    services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    assert (held(w), verification.verify()) == (0, [])


def test_with_a_refund_in_one_line_every_lock_is_taken_before_the_first_posting(w, arrival):
    refund(w, arrival.payment, 6_000)
    bring(w, row("X1", "-70.00"), look=False)
    parts = [*back(w, 1_000), Part(PartKind.REFUND, 6_000, payment=arrival.payment)]
    with CaptureQueriesContext(connection) as ran:
        services.match(actor=w.finance, line=line("X1"), parts=parts, now=make.NOW)
    sqls = [each["sql"] for each in ran]
    locked = [
        at for at, sql in enumerate(sqls) if f'FROM "{Payment._meta.db_table}"' in sql and "FOR NO KEY UPDATE" in sql
    ]
    posted = [at for at, sql in enumerate(sqls) if "ledger_post(" in sql]
    assert locked[0] < posted[0]
    assert (held(w), verification.verify()) == (0, [])


def test_a_part_of_it_may_go_back_and_never_more_than_is_unapplied(w, arrival):
    bring(w, row("X1", "-4.00"), row("X2", "-6.01"), row("X3", "-6.00"))
    services.match(actor=w.finance, line=line("X1"), parts=back(w, 400), now=make.NOW)
    with pytest.raises(MoreThanUnapplied):
        services.match(actor=w.finance, line=line("X2"), parts=back(w, 601), now=make.NOW)
    services.match(actor=w.finance, line=line("X3"), parts=back(w, 600), now=make.NOW)
    assert (held(w), bank(), line("X2").state) == (0, 96_000, "open")


def test_what_finance_said_goes_back_is_matched_by_itself(w, arrival):
    unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW)
    unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW)
    assert state(arrival.pk) == (0, 1_000, 0, 0)
    bring(w, row("X1", "-10.00"))
    assert (line("X1").state, held(w), state(arrival.pk)) == ("matched", 0, (0, 0, 1_000, 0))


def test_a_part_of_what_goes_back_leaves_what_was_asked_and_on_the_record(w, arrival):
    unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW)
    bring(w, row("X1", "-4.00"), row("X2", "-6.00"), look=False)
    services.match(actor=w.finance, line=line("X1"), parts=back(w, 400), now=make.NOW + timedelta(days=1))
    assert state(arrival.pk) == (0, 600, 400, 0)
    rest = UnappliedUse.objects.get(state="asked")
    assert (rest.amount_fen, rest.recorded_at) == (600, make.NOW)
    services.match(actor=w.finance, line=line("X2"), parts=back(w, 600), now=make.NOW + timedelta(days=1))
    rest.refresh_from_db()
    assert (rest.state, state(arrival.pk)) == ("done", (0, 0, 1_000, 0))
    said = Record.objects.filter(action="payment.unapplied_used").order_by("pk").values_list("data", flat=True)
    assert [(each["amount_fen"], each["state"]) for each in said] == [
        (1_000, "asked"),
        (1_000, "undone"),
        (400, "done"),
        (600, "asked"),
        (600, "done"),
    ]


def test_what_goes_back_is_not_applied_and_may_be_kept_after_all(w, arrival):
    other = due(w, 5_000)
    unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW)
    with pytest.raises(NotFree):
        unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    unapplied.keep(actor=w.finance, arrival=arrival, now=make.NOW)
    unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    other.refresh_from_db()
    assert (other.paid_fen, other.state, held(w), state(arrival.pk)) == (1_000, "due", 0, (0, 0, 0, 1_000))


def test_it_pays_another_payment_of_the_same_payer_once(w, arrival):
    other = due(w, 300)
    unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    with pytest.raises(InvalidTransition):
        unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    other.refresh_from_db()
    assert (other.state, held(w), bank(), state(arrival.pk)) == ("confirmed", 700, 97_000, (700, 0, 0, 300))
    assert verification.verify() == []


def test_what_paid_the_wrong_payment_is_undone_by_a_second_person(w, arrival):
    other = due(w, 600)
    unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    use = UnappliedUse.objects.get()
    with pytest.raises(NotDoubted):
        misapplied.undo(actor=w.finance_approver, use=use, now=make.NOW)
    with pytest.raises(ReasonMissing):
        misapplied.doubt(actor=w.finance, use=use, reason=" ", now=make.NOW)
    for who in ("owner", "finance_approver"):
        with pytest.raises(Forbidden):
            misapplied.doubt(actor=getattr(w, who), use=use, reason="选错付款", now=make.NOW)
    misapplied.doubt(actor=w.finance, use=use, reason="选错付款", now=make.NOW)
    with pytest.raises(SamePerson):
        misapplied.undo(actor=w.finance, use=use, now=make.NOW)
    assert misapplied.undo(actor=w.finance_approver, use=use, now=make.NOW).state == "undone"
    other.refresh_from_db()
    assert (other.state, other.paid_fen, held(w), state(arrival.pk)) == ("due", 0, 1_000, (1_000, 0, 0, 0))
    with pytest.raises(NotApplied):
        misapplied.undo(actor=w.finance_approver, use=use, now=make.NOW)
    unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    assert (state(arrival.pk), verification.verify()) == ((400, 0, 0, 600), [])


def test_it_pays_nothing_of_another_payer(w, arrival):
    other = due(w, 300, payer=make.organisation(make.roles.Kind.ENTERPRISE))
    with pytest.raises(OtherPayer):
        unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)


@pytest.mark.parametrize("who", ["owner", "keeper", "reviewer", "officer"])
def test_finance_alone_decides(w, arrival, who):
    for act in (unapplied.ask_back, unapplied.keep):
        with pytest.raises((Forbidden, OwnPayment)):
            act(actor=getattr(w, who), arrival=arrival, now=make.NOW)


def test_a_return_matched_wrongly_is_reversed_by_two(w, arrival):
    bring(w, row("X1", "-10.00"))
    made = services.match(actor=w.finance, line=line("X1"), parts=back(w, 1_000), now=make.NOW)
    undoing.doubt(actor=w.finance, match=made, reason="不是这笔", now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=made, now=make.NOW)
    assert (held(w), bank(), line("X1").state, state(arrival.pk)) == (1_000, 97_000, "open", (1_000, 0, 0, 0))
    assert [use.state for use in UnappliedUse.objects.all()] == ["undone"]


def test_an_arrival_whose_excess_was_used_is_not_taken_back(w, arrival):
    unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW)
    with pytest.raises(CannotTakeBack):
        taking_back.take_back(arrival=arrival, asked_by="x", reason="x", actor=w.finance_approver, now=make.NOW)


def test_a_transfer_long_after_it_was_asked_for_is_left_to_a_person(w, arrival):
    unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW - timedelta(days=90))
    bring(w, row("X1", "-10.00"))
    assert (line("X1").state, line("X1").hint) == ("open", "sender")


def test_a_second_line_of_the_same_sum_returns_nothing(w, arrival):
    unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW)
    bring(w, row("X1", "-10.00"), row("X2", "-10.00"))
    assert [line(each).state for each in ("X1", "X2")] == ["matched", "open"]
    with pytest.raises(MoreThanUnapplied):
        services.match(actor=w.finance, line=line("X2"), parts=back(w, 1_000), now=make.NOW)


def test_from_the_limit_on_two_persons_apply_it_and_nothing_else_uses_it_meanwhile(w, arrival, settings):
    settings.BANK_TWO_PERSON_FEN = 1_000
    other, small = due(w, 3_000), due(w, 300)
    made = unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    assert unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW) == made
    other.refresh_from_db()
    assert (made.state, made.amount_fen, other.paid_fen, state(arrival.pk)) == ("proposed", 1_000, 0, (0, 0, 0, 0))
    for act in (
        lambda: unapplied.apply(actor=w.finance, arrival=arrival, payment=small, now=make.NOW),
        lambda: unapplied.ask_back(actor=w.finance, arrival=arrival, now=make.NOW),
    ):
        with pytest.raises(unapplied_rules.NotFree):
            act()
    with pytest.raises(unapplied_rules.SecondPerson):
        unapplied.confirm(actor=w.finance, use=made, now=make.NOW)
    with pytest.raises(Forbidden):
        unapplied.confirm(actor=w.owner, use=made, now=make.NOW)
    unapplied.refuse(actor=w.finance_approver, use=made, now=make.NOW)
    assert state(arrival.pk) == (1_000, 0, 0, 0)
    with pytest.raises(unapplied_rules.NotProposed):
        unapplied.confirm(actor=w.finance_approver, use=made, now=make.NOW)
    again = unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    done = unapplied.confirm(actor=w.finance_approver, use=again, now=make.NOW)
    other.refresh_from_db()
    assert (done.state, other.paid_fen, state(arrival.pk), held(w)) == ("done", 1_000, (0, 0, 0, 1_000), 0)
    assert verification.verify() == []


def test_what_was_paid_meanwhile_takes_no_more_than_it_lacks(w, arrival, settings):
    settings.BANK_TWO_PERSON_FEN = 700
    other = due(w, 1_000)
    made = unapplied.apply(actor=w.finance, arrival=arrival, payment=other, now=make.NOW)
    bring(w, row("P1", "6.00", memo=other.reference))
    done = unapplied.confirm(actor=w.finance_approver, use=made, now=make.NOW)
    other.refresh_from_db()
    assert (done.amount_fen, other.state, state(arrival.pk)) == (400, "confirmed", (600, 0, 0, 400))
    small = due(w, 300)
    assert unapplied.apply(actor=w.finance, arrival=arrival, payment=small, now=make.NOW).state == "done"
    assert (state(arrival.pk), held(w), verification.verify()) == ((300, 0, 0, 700), 300, [])
