"""Documents and tax invoices: who pays what adds up to the ledger, reds never exceed blues, documents never change."""

from __future__ import annotations

import random

from portal.kernel.money import Money
from tests import make
from tests.money.scenarios import scenario
from tests.scenarios import is_full
from tests.vouchers.invoices import making
from vouchers.charges.models import Charge, Refund
from vouchers.invoices import documents, taxes
from vouchers.invoices.models import ChargeDocument, Fapiao
from vouchers.ledger.models import Transfer


@scenario("S15b")
def a_refund_takes_its_part_of_the_tax_invoice_back_in_red(w: make.World) -> str:
    """Fapiao over 88,000.00 yuan, paid in three instalments; a refund of 8,000.00 asks 800,000 fen back in red by itself."""
    making.taxed(w)
    charge = making.taken(w, 8_800_000)
    payment = making.paid(charge, parts=[3_000_000, 3_000_000])
    assert (payment.state, payment.arrivals.count()) == ("confirmed", 3)
    blue = making.issued(w, making.asked(w, charge), 1, upload=making.PDF)
    assert (blue.amount_fen, blue.tax_fen) == (8_800_000, 498_113)
    making.refunded(w, charge, 800_000)
    [red] = Fapiao.objects.filter(original=blue)
    assert (red.amount_fen, red.state) == (800_000, "requested")
    making.issued(w, red, 2)
    blue.refresh_from_db()
    assert blue.red_fen == blue.red_issued_fen == 800_000 <= blue.amount_fen
    made = documents.all_for(actor=w.owner, charge=charge, now=making.LATER)
    assert [one.kind for one in made] == ["invoice", "receipt", "credit_note"]
    return "blue 8,800,000 fen, red 800,000 fen by itself, reds within the blue"


def _split(charge: Charge) -> dict[int, int]:
    """Return what the ledger booked out of each hold of a charge when it was captured."""
    booked: dict[int, int] = {}
    for row in Transfer.objects.filter(journal__key=f"charge:{charge.number}/resolve"):
        assert row.hold_id is not None
        booked[row.hold_id] = booked.get(row.hold_id, 0) + row.amount
    return booked


def _told(charge: Charge, content: dict) -> dict[int, int]:
    holds = {part.voucher.number: part.hold_id for part in charge.parts.select_related("voucher")}
    found: dict[int, int] = {}
    for row in content["payers"]:
        hold = holds[row["voucher"]] if row["by"] == "voucher" else charge.own_hold_id
        found[hold] = found.get(hold, 0) + row["amount_fen"]
    return found


def _given(refund: Refund) -> dict[int, int]:
    booked: dict[int, int] = {}
    for row in Transfer.objects.filter(journal__key=f"refund:{refund.number}"):
        assert row.hold_id is not None
        booked[row.hold_id] = booked.get(row.hold_id, 0) - row.amount
    return booked


@scenario("M10", commits=is_full())
def who_pays_what_is_the_ledger_to_the_fen(w: make.World) -> str:
    """Random charges by none, one or two vouchers, refunded in parts: every document says what the ledger booked."""
    number = 400 if is_full() else 25
    dice = random.Random(20261128)
    versions = [
        make.programme(w, code=f"doc-{at}", cost={"include": ["compute"]}, lines=[{"id": rate, "rate": rate}])
        for at, rate in enumerate(("0.50", "0.30"))
    ]
    vouchers = [make.voucher(w, version, number=f"HT-D{at}") for at, version in enumerate(versions)]
    making.taxed(w)
    before: dict[int, str] = {}
    paid = back = notes = reds = 0
    for at in range(number):
        price = dice.randint(1, 50_000)
        pay_with = dice.sample(vouchers, dice.randint(0, 2))
        actual = dice.randint(1, price)
        charge = making.taken(w, price, pay_with=pay_with, actual=actual, measured={"n": at})
        invoice = documents.invoice_for(charge=charge, actor=w.owner, now=making.LATER)
        before[invoice.pk] = invoice.sha256
        assert _told(charge, invoice.content) == _split(charge)
        assert sum(row["amount_fen"] for row in invoice.content["lines"]) == charge.actual_fen
        paid += charge.actual_fen or 0
        blue = None
        if charge.own_captured_fen:
            blue = making.issued(w, making.asked(w, charge), at + 1)
        left = charge.actual_fen or 0
        while left and dice.random() < 0.6:
            fen = dice.randint(1, left)
            refund = making.refunded(w, charge, fen)
            note = documents.credit_note_for(refund=refund, actor=w.owner, now=making.LATER)
            before[note.pk] = note.sha256
            assert _told(charge, note.content) == _given(refund)
            left, back, notes = left - fen, back + fen, notes + 1
        if blue is not None:
            blue.refresh_from_db()
            charge.refresh_from_db()
            asked = sum(red.amount_fen for red in blue.reds.all())
            assert asked == blue.red_fen == charge.own_refunded_fen <= blue.amount_fen
            reds += blue.reds.count()
    for found in ChargeDocument.objects.filter(pk__in=before):
        assert documents.digest(found.content) == found.sha256 == before[found.pk]
    return (
        f"{number} charges over {Money(paid)}, {notes} credit notes over {Money(back)}, {reds} reds,"
        " 0 fen apart from the ledger, 0 documents changed"
    )


@scenario("M11")
def tax_adds_up_over_every_split(w: make.World) -> str:
    """10,000 random prices at five rates, given back in random parts: net and tax add up, tax comes back to the fen."""
    dice, parts = random.Random(20261129), 0
    for _at in range(10_000):
        gross, rate = dice.randint(1, 10**9), dice.choice(list(taxes.TaxRate))
        whole = taxes.split_tax(gross, rate)
        assert whole.net + whole.tax == gross
        before = tax = 0
        while before < gross:
            part = dice.randint(1, gross - before) if dice.random() < 0.7 else gross - before
            tax += taxes.tax_between(before, before + part, gross=gross, tax=whole.tax)
            before, parts = before + part, parts + 1
        assert tax == whole.tax
    assert w.lab.pk
    return f"10,000 prices in {parts} parts, 0 fen of tax apart"
