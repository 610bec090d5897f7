"""Invoices, receipts and credit notes: what stands on them, that they never change, and that they are genuine."""

import pytest
from django.db import DatabaseError, connection, transaction

from portal.kernel.errors import NotFound
from tests import make
from tests.vouchers.invoices import making
from tests.vouchers.offers import goods
from vouchers.charges.models import Charge, Refund
from vouchers.invoices import access, documents, following
from vouchers.invoices.models import ChargeDocument
from vouchers.offers import orders

pytestmark = pytest.mark.django_db


def every(w, charge, *, by=None):
    return documents.all_for(actor=by or w.owner, charge=charge, now=making.LATER)


def test_an_invoice_says_what_was_delivered_and_who_pays_what(w):
    making.taxed(w)
    voucher = make.voucher(w, make.programme(w))
    made = make.booking(w, make.instrument(w), pay_with=voucher)
    make.measured(w, made)
    charge = Charge.objects.get(subject=f"booking:{made.number}")
    [invoice] = every(w, charge)
    said = invoice.content
    assert said["number"] == invoice.number
    assert said["seller"]["credit_code"] == w.lab.credit_code
    assert said["buyer"]["credit_code"] == w.enterprise.credit_code
    assert said["delivered"]["title"] == made.resource.name
    [line] = said["lines"]
    assert (line["unit"], line["quantity"], line["unit_price_yuan"], line["amount_fen"]) == (
        "hour",
        "2",
        "480.00",
        96_000,
    )
    assert line["tax"] == {"rate": "6", "net_fen": 90_566, "tax_fen": 5_434}
    assert said["totals"] == {"amount_fen": 96_000, "net_fen": 90_566, "tax_fen": 5_434}
    by_voucher, own = said["payers"]
    assert (by_voucher["voucher"], by_voucher["programme"]) == (voucher.number, voucher.programme_code)
    assert by_voucher["amount_fen"] + own["amount_fen"] == 96_000 == charge.actual_fen
    assert documents.digest(said) == invoice.sha256


def test_what_the_enterprise_calls_its_use_is_on_no_document(w):
    made = make.booking(w, make.instrument(w))
    make.measured(w, made)
    [invoice] = every(w, Charge.objects.get(subject=f"booking:{made.number}"))
    assert made.title
    assert made.title not in str(invoice.content)


def test_an_order_lists_its_items(w):
    order = goods.delivered(w, goods.order(w, goods.offer(w)), by=w.seller)
    orders.approve(actor=w.researcher, order=order, now=making.LATER)
    [invoice] = every(w, Charge.objects.get(subject=order.subject))
    [line] = invoice.content["lines"]
    assert (line["name"], line["quantity"], line["unit_price_yuan"], line["amount_fen"]) == (
        "标注语料",
        "1000",
        "0.50",
        50_000,
    )
    assert line["tax"] is None
    assert invoice.content["totals"]["tax_fen"] is None


def test_a_receipt_tells_each_arrival_and_comes_only_when_all_has_arrived(w):
    charge = making.taken(w, 8_800_000)
    with pytest.raises(documents.NotArrived):
        documents.receipt_for(charge=charge, actor=w.owner, now=making.LATER)
    making.paid(charge, parts=[3_000_000, 3_000_000])
    invoice, receipt = every(w, charge)
    assert (invoice.kind, receipt.kind) == ("invoice", "receipt")
    assert receipt.content["refers_to"] == invoice.number
    assert [row["amount_fen"] for row in receipt.content["arrivals"]] == [3_000_000, 3_000_000, 2_800_000]
    assert {row["rail"] for row in receipt.content["arrivals"]} == {"bank"}
    assert receipt.content["totals"]["amount_fen"] == 8_800_000


def test_what_came_above_is_on_no_receipt(w):
    charge = making.taken(w, 100)
    making.paid(charge, parts=[70])
    payment = charge.payment
    making.arriving.receive(
        payment=payment,
        amount=making.Money(50),
        source="line:late",
        account="rail:stripe",
        actor=making.SYSTEM,
        now=making.LATER,
    )
    receipt = every(w, charge)[-1]
    assert [row["amount_fen"] for row in receipt.content["arrivals"]] == [70, 30]


def test_a_credit_note_refers_to_its_invoice_and_the_invoice_stays(w):
    making.taxed(w)
    charge = making.taken(w, 1001, pay_with=[make.voucher(w, make.programme(w, cost={"include": ["compute"]}))])
    [before] = every(w, charge)
    first, second = making.refunded(w, charge, 334), making.refunded(w, charge, 667)
    invoice, one, two = every(w, charge)
    assert (invoice.pk, invoice.content, invoice.sha256) == (before.pk, before.content, before.sha256)
    assert [one.content["refund"], two.content["refund"]] == [first.number, second.number]
    assert {one.content["refers_to"], two.content["refers_to"]} == {invoice.number}
    for note, refund in ((one, first), (two, second)):
        assert note.content["totals"]["amount_fen"] == -refund.amount_fen
        by = {row["by"]: row["amount_fen"] for row in note.content["payers"]}
        assert by.get("voucher", 0) == -refund.voucher_fen
        assert by.get("own", 0) == -refund.own_fen
    for key in ("amount_fen", "net_fen", "tax_fen"):
        assert sum(found.content["totals"][key] for found in (invoice, one, two)) == 0


def test_documents_are_never_changed_or_deleted(w):
    [invoice] = every(w, making.taken(w, 500))
    for change in (
        lambda: ChargeDocument.objects.filter(pk=invoice.pk).update(sha256="0" * 64),
        lambda: ChargeDocument.objects.filter(pk=invoice.pk).delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    assert ChargeDocument.objects.get(pk=invoice.pk).sha256 == invoice.sha256


def test_a_genuine_document_is_known_by_its_link_and_a_forged_link_costs_no_query(w, django_assert_num_queries):
    charge = making.taken(w, 500)
    [invoice] = every(w, charge)
    token = documents.token_of(invoice)
    found = documents.genuine(token=token)
    assert (found.document.number, found.corrected_by, found.is_whole) == (invoice.number, (), True)
    making.refunded(w, charge, 200)
    every(w, charge)
    found = documents.genuine(token=token)
    assert (len(found.corrected_by), found.refunded_fen) == (1, 200)
    with django_assert_num_queries(0), pytest.raises(NotFound):
        documents.genuine(token=invoice.token + ".forged")


def test_who_sees_documents(w):
    charge = making.taken(w, 500)
    [invoice] = every(w, charge)
    stranger = make.applicant()
    for one in (w.owner, w.researcher, w.keeper, w.lab_owner, w.finance, w.auditor):
        assert access.get_document(one, invoice.number) == invoice
    for one in (stranger, w.reviewer, w.officer):
        with pytest.raises(NotFound):
            access.get_document(one, invoice.number)
    with pytest.raises(NotFound):
        every(w, charge, by=stranger)


def test_a_held_charge_has_no_documents(w):
    made = make.booking(w, make.instrument(w))
    with pytest.raises(NotFound):
        every(w, made.charge)
    with pytest.raises(documents.NotTaken):
        documents.invoice_for(charge=made.charge, actor=w.owner, now=making.LATER)


def test_the_clock_makes_what_is_missing_and_once(w):
    charge = making.taken(w, 500)
    making.paid(charge)
    making.refunded(w, charge, 200)
    assert following.make_due(now=making.LATER) == 3
    assert following.make_due(now=making.LATER) == 0
    assert sorted(charge.documents.values_list("kind", flat=True)) == ["credit_note", "invoice", "receipt"]


def test_a_later_tax_rate_changes_no_document(w):
    making.taxed(w)
    charge = making.taken(w, 10_600)
    [before] = every(w, charge)
    making.taxed(w, making.taxes.TaxRate.GOODS)
    making.refunded(w, charge, 10_600)
    note = every(w, charge)[-1]
    assert before.content["totals"]["tax_fen"] == 600 == -note.content["totals"]["tax_fen"]
    assert Refund.objects.get().credit_note == note


def test_the_rate_of_the_service_comes_before_the_general_one(w):
    making.taxed(w)
    making.taxed(w, making.taxes.TaxRate.EXEMPT, service="compute")
    [invoice] = every(w, making.taken(w, 10_600))
    assert invoice.content["lines"][0]["tax"] == {"rate": "exempt", "net_fen": 10_600, "tax_fen": 0}


def test_asking_for_documents_takes_few_queries_once_they_are_made(w, django_assert_max_num_queries):
    charge = making.taken(w, 500)
    every(w, charge)
    with django_assert_max_num_queries(9):
        every(w, charge)
    assert connection.vendor == "postgresql"
