"""Invoices that claims name and this portal knows: held against what it knows of them, all grounds at once."""

import pytest

from portal.kernel.money import Money
from tests import make
from tests.vouchers.claims import making
from tests.vouchers.invoices import making as invoices
from vouchers.charges.models import Charge
from vouchers.claims import deciding, printed, queries, rules, services
from vouchers.evidence.services import Upload
from vouchers.flags.models import Flag
from vouchers.invoices import replacing

pytestmark = pytest.mark.django_db


@pytest.fixture
def voucher(w):
    return make.voucher(w, making.reimbursing(w))


def bought(w, fen=200_000, serial=1, **changes):
    """Return a tax invoice the enterprise got for something it paid in full."""
    charge = invoices.taken(w, fen)
    return invoices.issued(w, invoices.asked(w, charge, **changes), serial)


def claim(w, voucher, *rows, total="1000"):
    return making.drafted(w, voucher, total, *rows)


def row(fapiao, amount="1000", base="2000", **more):
    return making.line(amount, base=base, invoice=fapiao.printed_number, **more)


def faults(w, found):
    with pytest.raises(rules.ClaimRefused) as caught:
        services.file(actor=w.owner, claim=found, now=invoices.LATER)
    return [reason.code for reason in caught.value.reasons]


def marks(found):
    return [one.mark for one in printed.marked(found)]


def test_one_that_fits_is_filed_and_marked_and_an_unknown_one_too(w, voucher):
    known = bought(w)
    found = claim(w, voucher, row(known, "500"), making.line("500", base="1000"))
    assert services.file(actor=w.owner, claim=found, now=invoices.LATER).state == "checking"
    assert marks(found) == ["known", "unknown"]


def test_a_sum_above_the_invoice_is_refused_over_all_its_lines(w, voucher):
    known = bought(w)
    found = claim(w, voucher, row(known, "500", "1500"), row(known, "500", "500.01"))
    assert faults(w, found) == ["claim.invoice_amount"]


def test_a_red_one_and_one_taken_back_are_refused_and_the_new_one_is_good(w, voucher):
    known = bought(w)
    done = replacing.reissue(
        actor=w.keeper, fapiao=known, buyer=invoices.buyer(w), reason="税率有误", now=invoices.LATER
    )
    red, anew = invoices.issued(w, done.red, 2), invoices.issued(w, done.anew, 3)
    found = claim(w, voucher, row(known, "500", "1000"), row(red, "500", "1000"))
    assert faults(w, found) == ["claim.invoice_taken_back", "claim.invoice_red"]
    assert marks(found) == ["taken_back", "red"]
    assert making.filed(w, voucher, "1000", row(anew), now=invoices.LATER).state == "checking"


def test_a_part_taken_back_leaves_the_rest(w, voucher):
    known = bought(w)
    invoices.refunded(w, known.charge, 50_000)
    assert faults(w, claim(w, voucher, row(known))) == ["claim.invoice_amount"]
    assert making.filed(w, voucher, "750", row(known, "750", "1500"), now=invoices.LATER).state == "checking"


def test_an_invoice_of_others_is_refused(w, voucher):
    """What another firm bought, and what the claimant itself sold to nobody."""
    charge = invoices.taken(w, 200_000)
    known = invoices.issued(w, invoices.asked(w, charge), 1)
    other = make.organisation(make.roles.Kind.ENTERPRISE)
    type(charge).objects.filter(pk=charge.pk).update(provider_id=w.enterprise.pk)
    known.buyer = {**known.buyer, "title": other.name, "credit_code": other.credit_code}
    known.save(update_fields=["buyer"])
    found = claim(w, voucher, row(known, base="2000.01"))
    assert faults(w, found) == ["claim.invoice_seller", "claim.invoice_buyer", "claim.invoice_amount"]


def test_one_used_in_another_claim_is_told_with_the_rest_and_both_are_flagged(w, voucher):
    known = bought(w)
    making.filed(w, voucher, "1000", row(known), now=invoices.LATER)
    found = claim(w, voucher, row(known, base="2000.01"))
    assert faults(w, found) == ["claim.invoice_amount", "claim.duplicate_invoice"]
    assert Flag.objects.count() == 2
    alone = claim(w, voucher, row(known))
    with pytest.raises(rules.DuplicateInvoice):
        services.file(actor=w.owner, claim=alone, now=invoices.LATER)


def test_an_old_one_is_one_by_its_number_and_by_code_and_number(w, voucher):
    known = invoices.asked(w, invoices.taken(w, 200_000))
    known = invoices.issued(w, known, 1, number="12345678", code="033002600111")
    making.filed(w, voucher, "1000", row(known), now=invoices.LATER)
    both = making.line("1000", base="2000", invoice="033002600111 12345678")
    with pytest.raises(rules.DuplicateInvoice):
        services.file(actor=w.owner, claim=claim(w, voucher, both), now=invoices.LATER)


def test_a_charge_names_its_own_invoice(w):
    _voucher, _made = making.served(w)
    one, two = Charge.objects.filter(state="captured").order_by("pk")
    known = invoices.issued(w, invoices.asked(w, one), 1)
    for charge, told in ((one, []), (two, ["claim.invoice_charge"])):
        part = charge.parts.get()
        line = making.line(str(part.payable_fen / 100), invoice=known.printed_number, charge=charge.number)
        wanted = services.Wanted(amount=line.amount, lines=(line,))
        found = services.draft(actor=w.lab_owner, wanted=wanted, now=make.NOW, key=make.key())
        assert [reason.code for reason in printed.reasons_of(found)] == told


def test_what_a_claim_is_not_paid_is_no_longer_billed_where_the_voucher_part_is(w):
    making.served(w, redeem={"mode": "deduct", "invoice": "whole"})
    charge = Charge.objects.filter(state="captured").earliest("pk")
    asked = invoices.asked(w, charge)
    assert asked.amount_fen == charge.actual_fen
    part = charge.parts.get()
    line = making.line(str(part.payable_fen / 100), charge=charge.number)
    wanted = services.Wanted(amount=line.amount, lines=(line,))
    found = services.draft(actor=w.lab_owner, wanted=wanted, now=make.NOW, key=make.key())
    [document] = queries.documents_missing(found)
    proof = Upload("a.png", making.PNG)
    services.attach(actor=w.lab_owner, claim=found, document=document, upload=proof, now=make.NOW)
    services.file(actor=w.lab_owner, claim=found, now=invoices.LATER)
    less = Money(part.payable_fen - 1000)
    found = deciding.check(actor=w.reviewer, claim=found, amount=less, note="少一项", now=invoices.LATER)
    deciding.approve(actor=w.approver, claim=found, now=invoices.LATER)
    asked.refresh_from_db()
    assert asked.amount_fen == (charge.actual_fen or 0) - 1000


def test_looking_at_lines_takes_two_queries(w, voucher, django_assert_num_queries):
    found = claim(w, voucher, *[making.line("100", base="200") for _at in range(10)])
    with django_assert_num_queries(2):
        printed.marked(found)
