"""Receipts whose money did not stay, own shares given up: corrected by documents, which have numbers without gaps."""

from datetime import timedelta

import pytest
from django.db import transaction

from portal.kernel.money import Money
from tests import make
from tests.vouchers.invoices import making
from tests.vouchers.payments import scripted
from vouchers.charges import proposing, refunding
from vouchers.invoices import documents, following, papers
from vouchers.invoices.models import ChargeDocument, Fapiao
from vouchers.ledger import verification
from vouchers.payments import attempting, disputing, taking_back
from vouchers.payments.models import Payment
from vouchers.payments.ports import Method, SeenDispute

pytestmark = pytest.mark.django_db
LONG_AFTER = make.NOW + timedelta(days=120)


@pytest.fixture
def rail(settings):
    settings.PAYMENT_RAILS = {scripted.CODE: scripted.PATH}
    scripted.RAIL.reset()
    yield scripted.RAIL
    scripted.RAIL.reset()


@pytest.fixture(autouse=True)
def _books_agree():
    yield
    assert verification.verify() == []


def kinds(charge):
    return list(charge.documents.order_by("pk").values_list("kind", flat=True))


def paid_by_card(w, charge, rail):
    """Pay a charge's own share over the gateway; return the attempt."""
    wanted = attempting.Wanted(scripted.CODE, Method.CARD, "https://portal.example/back")
    payment = Payment.objects.get(charge=charge)
    attempt = attempting.start(actor=w.owner, payment=payment, wanted=wanted, key=make.key(), now=make.NOW)
    return attempting.see(attempt=attempt, seen=rail.pay(attempt.number), now=make.NOW)


def objected(attempt, *, withdrawn=True, is_over=False):
    return SeenDispute(
        *("dp_1", attempt.provider_id, Money(attempt.amount_fen), "CNY"),
        *("lost" if is_over else "needs_response", "fraudulent", withdrawn, is_over),
    )


def given_up(w, charge):
    proposal = proposing.propose_write_off(
        actor=w.finance,
        charge=charge,
        grounds=refunding.Grounds("已宣告破产", "insolvent"),
        evidence="裁定书 1 号",
        now=LONG_AFTER,
        key=make.key(),
    )
    return proposing.approve(actor=w.finance_approver, proposal=proposal, now=LONG_AFTER)


def test_a_chargeback_cancels_the_receipt_which_stays_readable_and_a_new_payment_makes_a_new_one(w, rail):
    charge = making.taken(w, 1000)
    attempt = paid_by_card(w, charge, rail)
    following.make_due(now=making.LATER)
    first = documents.standing_receipt(charge)
    before = (first.content, first.sha256)
    disputing.see(attempt=attempt, seen=objected(attempt), now=making.LATER)
    assert following.make_due(now=making.LATER) == 1
    assert kinds(charge) == ["invoice", "receipt", "cancellation"]
    first.refresh_from_db()
    assert (first.content, first.sha256) == before
    note = first.cancelled_by
    assert (note.content["cancels"], note.content["why"]) == (first.number, "chargeback")
    assert note.content["totals"]["amount_fen"] == -1000
    assert documents.standing_receipt(charge) is None
    assert documents.genuine(token=documents.token_of(first)).cancelled_by == note
    making.paid(charge, parts=[400])
    assert following.make_due(now=making.LATER) == 1
    second = documents.standing_receipt(charge)
    assert [row["amount_fen"] for row in second.content["arrivals"]] == [1000, 400, 600]
    assert (second.content["taken_fen"], second.content["totals"]["amount_fen"]) == (-1000, 1000)
    assert following.make_due(now=making.LATER) == 0
    for one in charge.documents.all():
        assert papers.pdf(document=one, url="https://example.com/x", lang="zh").startswith(b"%PDF")


def had_again(subject, *, charge_id, **_when):
    """Let the money of a charge pay the latest one, as where a lapsed service is had again."""
    return Payment.objects.latest("pk").charge_id


def test_a_chargeback_of_late_money_is_told_where_it_pays_by_now(w, rail, settings):
    settings.PAYMENT_FULFILMENTS = {"order": f"{__name__}.had_again"}
    lapsed, again = making.taken(w, 1000), making.taken(w, 1000)
    Payment.objects.filter(charge=lapsed).update(collect="before")
    attempt = paid_by_card(w, lapsed, rail)
    following.make_due(now=making.LATER)
    disputing.see(attempt=attempt, seen=objected(attempt), now=making.LATER)
    following.make_due(now=making.LATER)
    assert kinds(again) == ["invoice", "receipt", "cancellation"]
    assert again.documents.get(kind="cancellation").content["why"] == "chargeback"


def test_an_arrival_booked_wrong_cancels_the_receipt_though_the_same_sum_came_again(w):
    charge = making.taken(w, 1000)
    payment = making.paid(charge)
    following.make_due(now=making.LATER)
    taking_back.take_back(
        arrival=payment.arrivals.get(), asked_by="甲", reason="错户", actor=w.finance_approver, now=making.LATER
    )
    making.paid(charge)
    assert following.make_due(now=making.LATER) == 2
    assert kinds(charge) == ["invoice", "receipt", "cancellation", "receipt"]
    assert charge.documents.get(kind="cancellation").content["why"] == "taken_back"
    assert following.make_due(now=making.LATER) == 0


def test_a_write_off_makes_a_document_and_lowers_the_open_request(w):
    making.taxed(w)
    charge = making.taken(w, 10_600)
    open_request = making.asked(w, charge)
    making.refunded(w, charge, 600)
    given_up(w, charge)
    open_request.refresh_from_db()
    assert (open_request.state, open_request.amount_fen) == ("withdrawn", 0)
    following.make_due(now=LONG_AFTER)
    assert kinds(charge) == ["invoice", "credit_note", "write_off"]
    papers_of = charge.documents.all()
    for key in ("amount_fen", "net_fen", "tax_fen"):
        assert sum(one.content["totals"][key] for one in papers_of) == 0
    note = charge.documents.get(kind="write_off")
    assert (note.content["reason"], note.content["payers"]) == ("已宣告破产", [{"by": "own", "amount_fen": -10_000}])
    assert papers.pdf(document=note, url="https://example.com/x", lang="zh").startswith(b"%PDF")


def test_a_write_off_asks_an_issued_tax_invoice_back_in_red(w):
    charge = making.taken(w, 1000)
    blue = making.issued(w, making.asked(w, charge), 1)
    making.arriving.receive(
        payment=charge.payment,
        amount=Money(400),
        source="line:part",
        account="bank:main",
        actor=making.SYSTEM,
        now=making.LATER,
    )
    given_up(w, charge)
    [red] = Fapiao.objects.filter(original=blue)
    assert (red.amount_fen, red.state) == (600, "requested")
    following.make_due(now=LONG_AFTER)
    receipt = documents.standing_receipt(charge)
    assert receipt.content["totals"]["amount_fen"] == 400
    assert (receipt.content["payers"], receipt.content["price_fen"]) == ([{"by": "own", "amount_fen": 400}], 1000)
    [note] = charge.documents.filter(kind="write_off")
    for one in (receipt, charge.documents.get(kind="invoice")):
        assert documents.genuine(token=documents.token_of(one)).corrected_by == (note.number,)


def test_a_receipt_made_before_a_chargeback_and_a_write_off_is_cancelled(w, rail):
    charge = making.taken(w, 1000)
    attempt = paid_by_card(w, charge, rail)
    following.make_due(now=making.LATER)
    disputing.see(attempt=attempt, seen=objected(attempt, is_over=True), now=making.LATER)
    given_up(w, charge)
    following.make_due(now=LONG_AFTER)
    assert kinds(charge) == ["invoice", "receipt", "cancellation", "write_off"]
    assert documents.missing_of(charge) == []


def test_numbers_have_no_gaps_also_when_one_is_asked_for_twice_or_undone(w):
    charges = [making.taken(w, 100 + at) for at in range(4)]
    for charge in charges:
        with pytest.raises(ZeroDivisionError):
            _undone(w, charge)
        for _again in range(2):
            documents.invoice_for(charge=charge, actor=w.owner, now=making.LATER)
    serials = [int(one.number[-6:]) for one in ChargeDocument.objects.order_by("pk")]
    assert serials == list(range(serials[0], serials[0] + 4))


def _undone(w, charge):
    with transaction.atomic():
        documents.invoice_for(charge=charge, actor=w.owner, now=making.LATER)
        raise ZeroDivisionError


def test_what_cannot_be_made_keeps_no_other_waiting(w):
    broken = {"amount_fen": 700, "unit": "card_hour", "unit_price_fen": 700, "quantity": "1/0"}
    first, second = making.taken(w, 700, measured=broken), making.taken(w, 500)
    for charge in (first, second):
        making.paid(charge)
    assert following.make_due(now=making.LATER) == 2
    assert (kinds(first), kinds(second)) == ([], ["invoice", "receipt"])


def test_looking_makes_nothing_and_says_what_is_being_made(w):
    charge = making.taken(w, 1000)
    making.paid(charge)
    assert [kind.value for kind in documents.missing_of(charge)] == ["invoice", "receipt"]
    assert not ChargeDocument.objects.exists()
    documents.all_for(actor=w.owner, charge=charge, now=making.LATER)
    assert documents.missing_of(charge) == []
