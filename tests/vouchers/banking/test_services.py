"""What a statement line is: matched by rule or person, once, and undone by two."""

from __future__ import annotations

import itertools

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.money import Money
from portal.organisations.models import Member
from portal.tables.values import BadTable
from tests import make
from tests.vouchers.banking.sheets import HEAD, csv_file, row
from vouchers.banking import access, automatic, importing, rules, services, undoing
from vouchers.banking.models import BankMatch, StatementImport, StatementLine
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.banking.suggesting import load, suggestions
from vouchers.charges import refunding
from vouchers.charges import services as charges
from vouchers.evidence.rules import Upload
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger import verification
from vouchers.ledger.models import Account
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments import arriving
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.payments.rules import CannotTakeBack, OwnPayment

NUMBERS = itertools.count(1)


def due(w: make.World, fen: int, payer=None) -> Payment:
    """Return a payment of `fen` that is due."""
    payer = payer or w.enterprise
    subject = f"order:BANK-{next(NUMBERS)}"
    charge = charges.hold(
        bill=charges.Bill(subject, "compute", payer.pk, w.lab.pk, Money(fen), {}),
        vouchers=[],
        actor=w.owner,
        now=make.NOW,
    )
    charges.capture(charge_id=charge.pk, actual=Money(fen), measured={}, actor=w.keeper, now=make.NOW)
    return Payment.objects.get(charge=charge)


def bring(w: make.World, *rows, accept: bool = False, look: bool = True) -> StatementImport:
    """Take a statement and look its lines through."""
    upload = Upload("对账单.csv", csv_file(rows))
    account = importing.main_account(now=make.NOW)
    made = importing.import_file(actor=w.finance, account=account, upload=upload, now=make.NOW, accept=accept)
    if look:
        automatic.look_through(import_id=made.pk, now=make.NOW)
    made.refresh_from_db()
    return made


def line(reference: str) -> StatementLine:
    return StatementLine.objects.select_related("account").get(reference=reference)


def fen(kind: str, owner: str) -> int:
    found = Account.objects.filter(kind=kind, owner=owner).values_list("pk", flat=True)
    return sum(one.posted_fen for one in balances.balances(account_ids=list(found)).values())


def bank() -> int:
    return fen("bank_clearing", "bank:main")


def pay(payment: Payment, amount: int) -> list[Part]:
    return [Part(PartKind.PAYMENT, amount, payment=payment)]


def refund(w: make.World, payment: Payment, amount: int) -> None:
    refunding.refund(
        actor=w.keeper, charge=payment.charge, amount=Money(amount), reason="x", now=make.NOW, key="refund-1"
    )


@pytest.fixture
def payment(w) -> Payment:
    return due(w, 96_000)


def test_a_reference_in_the_memo_pays_its_payment_at_once(w, payment):
    made = bring(w, row("A1", "960.00", memo=f"付款 {payment.reference.lower()}"))
    payment.refresh_from_db()
    assert (payment.state, payment.bank_reference, bank()) == ("confirmed", "A1", 96_000)
    assert (made.looked, made.matched, made.finished_at is not None) == (1, 1, True)
    assert line("A1").state == "matched"


def test_instalments_pay_bit_by_bit_and_the_excess_is_the_payers(w, payment):
    bring(w, row("A1", "500.00", memo=payment.reference), row("A2", "470.00", memo=payment.reference))
    found = line("A2")
    [best] = suggestions(found, load([found]))
    assert (line("A1").state, found.state, best.reasons) == (
        "matched",
        "open",
        ("reference", "payer", "amount_differs"),
    )
    services.match(actor=w.finance, line=found, parts=best.parts, now=make.NOW)
    payment.refresh_from_db()
    assert (payment.state, payment.paid_fen, payment.bank_reference) == ("confirmed", 96_000, "A2")
    assert (bank(), fen("unapplied_cash", f"organisation:{w.enterprise.pk}")) == (97_000, 1_000)


def test_the_same_lines_again_change_nothing_in_whatever_file(w, payment):
    rows = [row("A1", "960.00", memo=payment.reference)]
    first = bring(w, *rows)
    assert bring(w, *rows).pk == first.pk
    other = bring(w, *rows, row("A2", "1.00", name="某公司"))
    assert (other.lines_new, other.lines_known, bank()) == (1, 1, 96_000)


def test_a_line_that_differs_from_what_is_known_is_refused_and_taken_only_beside_it(w):
    bring(w, row("A1", "960.00"))
    changed = [row("A1", "960.01"), row("A2", "1.00")]
    with pytest.raises(rules.BadStatement) as caught:
        bring(w, *changed)
    assert [reason.code for reason in caught.value.reasons] == ["banking.conflict"]
    made = bring(w, *changed, accept=True)
    assert (made.lines_new, made.lines_faulty, line("A1").amount_fen) == (1, 1, 96_000)


def test_faulty_rows_are_kept_as_they_stood_and_may_come_mended(w, payment):
    rows = [row("A1", "九百六十", memo=payment.reference), row("A2", "1.00")]
    with pytest.raises(rules.BadStatement):
        bring(w, *rows)
    assert not StatementLine.objects.exists()
    made = bring(w, *rows, accept=True)
    [fault] = made.faults
    assert (made.lines_new, made.lines_faulty, fault["row"], fault["cells"][3]) == (1, 1, 2, "九百六十")
    rows[0] = row("A1", "960.00", memo=payment.reference)
    again = bring(w, *rows)
    payment.refresh_from_db()
    assert (again.lines_new, again.lines_known, payment.state) == (1, 1, "confirmed")


def test_statements_of_another_account_or_currency_are_refused_as_a_whole(w):
    account = importing.main_account(now=make.NOW)
    for title, code in (
        (["账号：6222 0000 1111"], "banking.other_account"),
        (["币种：美元"], "banking.other_currency"),
    ):
        upload = Upload("a.csv", csv_file([row("A1", "1.00")], titles=[title]))
        with pytest.raises(BadTable) as caught:
            importing.preview(account=account, upload=upload)
        assert [reason.code for reason in caught.value.reasons] == [code]
    usd = csv_file([[*row("A1", "1.00"), "USD"]], head=[*HEAD, "币种"])
    found = importing.preview(account=account, upload=Upload("a.csv", usd))
    assert (found.new, found.faults) == (0, 1)


def test_a_gap_between_two_statements_is_told(w):
    bring(w, row("A1", "1.00", balance="101.00", day="2026-11-24"))
    with pytest.raises(rules.BadStatement) as caught:
        bring(w, row("A3", "1.00", balance="150.00", day="2026-11-26"))
    assert [reason.code for reason in caught.value.reasons] == ["banking.gap_before"]


def test_what_finance_confirmed_by_hand_is_recognised_and_books_nothing(w, payment):
    payments.confirm(actor=w.finance, payment=payment, bank_reference="a 1", now=make.NOW)
    bring(w, row("A1", "960.00", memo=payment.reference))
    [part] = BankMatch.objects.get().parts.all()
    assert (line("A1").state, part.kind, part.payment, bank()) == ("matched", "manual", payment, 96_000)


def test_what_a_line_has_paid_is_not_confirmed_by_hand_again(w, payment):
    bring(w, row("A1", "500.00", memo=payment.reference))
    for other in (payment, due(w, 10_000)):
        with pytest.raises(rules.Booked):
            payments.confirm(actor=w.finance, payment=other, bank_reference=" a1", now=make.NOW)
    assert bank() == 50_000


def test_a_hand_confirmation_of_another_amount_is_left_to_a_person(w, payment):
    payments.confirm(actor=w.finance, payment=payment, bank_reference="A1", now=make.NOW)
    bring(w, row("A1", "960.01", memo=payment.reference))
    found = line("A1")
    assert (found.state, found.hint, bank()) == ("open", "by_hand", 96_000)
    other = due(w, 10_000)
    with pytest.raises(rules.TargetDiffers):
        services.match(actor=w.finance, line=found, parts=pay(other, 96_001), now=make.NOW)
    with pytest.raises(rules.TargetDiffers):
        services.park(actor=w.finance, line=found, now=make.NOW)
    arrival = payment.arrivals.get()
    parts = [Part(PartKind.MANUAL, 96_000, payment=payment, arrival=arrival), *pay(other, 1)]
    services.match(actor=w.finance, line=found, parts=parts, now=make.NOW)
    assert bank() == 96_001


def test_payer_and_amount_are_a_suggestion_with_its_reasons(w, payment):
    bring(w, row("A1", "960.00", name="杭州星河智能科技有限公司 "))
    found = line("A1")
    [best, *_rest] = suggestions(found, load([found]))
    assert (found.state, found.hint, best.reasons, best.certain) == ("open", "payer", ("payer", "amount"), False)
    services.match(actor=w.finance, line=found, parts=best.parts, reasons=best.reasons, now=make.NOW)
    payment.refresh_from_db()
    assert payment.state == "confirmed"


def test_somebody_elses_reference_with_another_amount_is_left_to_a_person(w, payment):
    bring(w, row("A1", "961.00", name="别的公司", memo=payment.reference))
    assert (line("A1").state, line("A1").hint) == ("open", "reference")


def test_a_look_alike_is_read_where_payer_and_amount_agree(w):
    payment = next(one for one in iter(lambda: due(w, 5_000), None) if "2" in one.reference)
    typed = payment.reference.replace("2", "Z")
    bring(w, row("A1", "50.00", memo=typed), row("A2", "49.00", memo=typed))
    assert (line("A1").state, line("A2").state) == ("matched", "open")


def test_one_line_pays_several_payments_named_in_it(w, payment):
    other = due(w, 4_000)
    bring(w, row("A1", "1,000.00", memo=f"{payment.reference} {other.reference}"))
    for one in (payment, other):
        one.refresh_from_db()
        assert one.state == "confirmed"
    assert bank() == 100_000


def test_parts_must_come_to_the_line_to_the_fen(w, payment):
    bring(w, row("A1", "960.00", name="某公司", memo="x"))
    for parts in (pay(payment, 95_999), pay(payment, 96_001), [*pay(payment, 96_000), *pay(due(w, 1), 1)]):
        with pytest.raises(rules.SumDiffers):
            services.match(actor=w.finance, line=line("A1"), parts=parts, now=make.NOW)
    with pytest.raises(rules.NothingChosen):
        services.match(actor=w.finance, line=line("A1"), parts=[], now=make.NOW)
    with pytest.raises(rules.WrongSide):
        services.match(actor=w.finance, line=line("A1"), parts=[Part(PartKind.FEE, 96_000)], now=make.NOW)
    assert bank() == 0


def test_a_line_is_matched_once(w, payment):
    bring(w, row("A1", "960.00", name="某公司"))
    services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 96_000), now=make.NOW)
    with pytest.raises(InvalidTransition):
        services.match(actor=w.finance, line=line("A1"), parts=pay(due(w, 1), 96_000), now=make.NOW)
    assert bank() == 96_000


def test_above_the_limit_a_second_person_books_it(w, settings):
    settings.BANK_TWO_PERSON_FEN = 96_000
    payment = due(w, 96_000)
    bring(w, row("A1", "960.00", name="某公司"))
    made = services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 96_000), now=make.NOW)
    assert (made.state, line("A1").state, bank()) == ("proposed", "proposed", 0)
    with pytest.raises(rules.SamePerson):
        services.confirm(actor=w.finance, match=made, now=make.NOW)
    with pytest.raises(rules.AlreadyProposed):
        services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 96_000), now=make.NOW)
    done = services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    assert (done.state, line("A1").state, bank()) == ("booked", "matched", 96_000)


def test_a_certain_match_above_the_limit_waits_for_one_person(w, settings, payment):
    settings.BANK_TWO_PERSON_FEN = 96_000
    bring(w, row("A1", "960.00", memo=payment.reference))
    made = BankMatch.objects.get()
    assert (made.state, made.proposed_by) == ("proposed", None)
    services.confirm(actor=w.finance, match=made, now=make.NOW)
    assert bank() == 96_000


def test_a_refused_proposal_leaves_the_line_open(w, settings, payment):
    settings.BANK_TWO_PERSON_FEN = 1
    bring(w, row("A1", "960.00", memo=payment.reference))
    with pytest.raises(rules.ReasonMissing):
        services.refuse(actor=w.finance_approver, match=BankMatch.objects.get(), note=" ", now=make.NOW)
    services.refuse(actor=w.finance_approver, match=BankMatch.objects.get(), note="不是这笔", now=make.NOW)
    assert (line("A1").state, bank()) == ("open", 0)
    services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 96_000), now=make.NOW)


@pytest.mark.parametrize("who", ["owner", "keeper", "reviewer", "officer", "finance_approver", "auditor"])
def test_lines_are_matched_by_finance_alone(w, payment, who):
    bring(w, row("A1", "960.00", name="某公司"))
    for act in (services.park, lambda **named: services.match(parts=pay(payment, 96_000), **named)):
        with pytest.raises(Forbidden):
            act(actor=getattr(w, who), line=line("A1"), now=make.NOW)
    if who != "finance_approver":
        assert not access.lines(getattr(w, who)).exists()


def test_nobody_of_the_payer_matches_its_money(w, payment):
    bring(w, row("A1", "960.00", name="某公司"))
    Member.objects.create(user_id=w.finance.user_id, organisation=w.enterprise, roles=["owner"])
    with pytest.raises(OwnPayment):
        services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 96_000), now=make.NOW)


def test_money_of_nobody_is_parked_and_pays_later(w, payment):
    bring(w, row("A1", "970.00", name="某公司"))
    for _again in range(2):
        services.park(actor=w.finance, line=line("A1"), now=make.NOW)
    owner = line("A1").owner
    assert (bank(), fen("unapplied_cash", owner)) == (97_000, 97_000)
    with pytest.raises(rules.Booked):
        payments.confirm(actor=w.finance, payment=payment, bank_reference="A1", now=make.NOW)
    services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 97_000), now=make.NOW)
    payment.refresh_from_db()
    assert (payment.state, bank(), fen("unapplied_cash", owner)) == ("confirmed", 97_000, 0)
    assert fen("unapplied_cash", f"organisation:{w.enterprise.pk}") == 1_000


def test_parked_money_goes_back_to_its_sender(w):
    bring(w, row("A1", "970.00", name="某公司"))
    services.park(actor=w.finance, line=line("A1"), now=make.NOW)
    bring(w, row("A2", "-970.00", name="某公司"))
    [best, *_rest] = suggestions(line("A2"), load([line("A2")]))
    assert best.reasons == ("sender", "amount")
    made = services.match(actor=w.finance, line=line("A2"), parts=best.parts, now=make.NOW)
    assert (line("A1").state, bank(), fen("unapplied_cash", line("A1").owner)) == ("returned", 0, 0)
    undoing.doubt(actor=w.finance, match=made, reason="退错", now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=made, now=make.NOW)
    assert (line("A1").state, line("A2").state, bank()) == ("parked", "open", 97_000)


def paid_out(number: str, amount: int) -> None:
    """Book a payout as the gateway's own report does."""
    bank_account, gateway = arriving.in_account("bank:main"), arriving.in_account("rail:stripe")
    ledger.post(
        posting=Posting(
            kind=JournalKind.GATEWAY_PAYOUT,
            key=f"payout:stripe:{number}",
            operations=[TransferOp(bank_account, gateway, amount)],
            actor="支付",
            source_type="gateway",
            source_id=number,
        )
    )


def test_a_payout_parked_before_its_report_is_counted_once(w):
    bring(w, row("P1", "30.00"))
    services.park(actor=w.finance, line=line("P1"), now=make.NOW)
    paid_out("po_1", 3_000)
    assert bank() == 6_000
    made = services.match(
        actor=w.finance, line=line("P1"), parts=[Part(PartKind.PAYOUT, 3_000, rail="stripe")], now=make.NOW
    )
    assert (bank(), fen("gateway_clearing", "rail:stripe"), fen("unapplied_cash", line("P1").owner)) == (
        3_000,
        -3_000,
        0,
    )
    undoing.doubt(actor=w.finance, match=made, reason="不是这笔", now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=made, now=make.NOW)
    assert (bank(), line("P1").state) == (6_000, "parked")


def test_fees_payouts_and_refunds_are_booked_where_they_belong(w, payment):
    bring(
        w, row("A1", "960.00", memo=payment.reference), row("F1", "-5.00", name="", memo="手续费"), row("P1", "30.00")
    )
    assert line("F1").hint == "fee_words"
    services.match(actor=w.finance, line=line("F1"), parts=[Part(PartKind.FEE, 500)], now=make.NOW)
    payout = [Part(PartKind.PAYOUT, 3_000, rail="stripe")]
    with pytest.raises(rules.NoSuchPayout):
        services.match(actor=w.finance, line=line("P1"), parts=payout, now=make.NOW)
    paid_out("po_1", 3_000)
    services.match(actor=w.finance, line=line("P1"), parts=payout, now=make.NOW)
    bring(w, row("P2", "30.00"))
    with pytest.raises(rules.NoSuchPayout):
        services.match(actor=w.finance, line=line("P2"), parts=payout, now=make.NOW)
    assert (bank(), fen("fees", "bank:main"), fen("gateway_clearing", "rail:stripe")) == (98_500, 500, -3_000)
    refund(w, payment, 6_000)
    bring(w, row("R1", "-60.00", memo="退款"))
    assert line("R1").hint == "owed_back"
    [best, *_rest] = suggestions(line("R1"), load([line("R1")]))
    services.match(actor=w.finance, line=line("R1"), parts=best.parts, now=make.NOW)
    payment.refresh_from_db()
    assert (payment.owed_back_fen, payment.paid_back_reference, bank()) == (0, "R1", 92_500)


def test_a_wrong_match_is_reversed_by_a_second_person(w, payment):
    right = due(w, 96_000)
    bring(w, row("A1", "970.00", memo=payment.reference))
    made = services.match(actor=w.finance, line=line("A1"), parts=pay(payment, 97_000), now=make.NOW)
    with pytest.raises(rules.ReasonMissing):
        undoing.doubt(actor=w.finance, match=made, reason="", now=make.NOW)
    undoing.doubt(actor=w.finance, match=made, reason="附言填错", now=make.NOW)
    with pytest.raises(rules.SamePerson):
        undoing.reverse(actor=w.finance, match=made, now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=made, now=make.NOW)
    payment.refresh_from_db()
    assert (payment.state, payment.paid_fen, line("A1").state, bank()) == ("due", 0, "open", 0)
    services.match(actor=w.finance, line=line("A1"), parts=pay(right, 97_000), now=make.NOW)
    right.refresh_from_db()
    assert (right.state, bank(), fen("unapplied_cash", f"organisation:{w.enterprise.pk}")) == (
        "confirmed",
        97_000,
        1_000,
    )
    assert [one.state for one in BankMatch.objects.order_by("pk")] == ["reversed", "booked"]
    assert verification.verify() == []


def test_a_doubted_match_may_stand(w, payment):
    bring(w, row("A1", "960.00", memo=payment.reference))
    made = BankMatch.objects.get()
    undoing.doubt(actor=w.finance, match=made, reason="看错", now=make.NOW)
    assert undoing.stand(actor=w.finance, match=made, now=make.NOW).state == "booked"


def test_money_others_rely_on_is_not_taken_back(w, payment):
    bring(w, row("A1", "960.00", memo=payment.reference))
    made = BankMatch.objects.get()
    refund(w, payment, 100)
    undoing.doubt(actor=w.finance, match=made, reason="看错", now=make.NOW)
    with pytest.raises(CannotTakeBack):
        undoing.reverse(actor=w.finance_approver, match=made, now=make.NOW)
    assert bank() == 96_000


def test_looking_through_takes_as_many_queries_for_many_lines_as_for_few(w, django_assert_max_num_queries):
    for count in (2, 40):
        rows = [row(f"Q{count}-{at}", "1.00", name="无名") for at in range(count)]
        bring(w, *rows, look=False)
        found = list(StatementLine.objects.filter(reference__startswith=f"Q{count}-").select_related("account"))
        with django_assert_max_num_queries(7):
            load(found)
