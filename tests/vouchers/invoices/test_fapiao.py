"""Tax invoices: asked for, issued, declined, taken back in red after refunds; one number once."""

import pytest
from django.db import IntegrityError, transaction

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound
from tests import make
from tests.vouchers.invoices import making
from vouchers.evidence.rules import BadFile
from vouchers.evidence.services import Upload
from vouchers.invoices import access, following, issuing, rules, services
from vouchers.invoices.models import BuyerFacts, Fapiao

pytestmark = pytest.mark.django_db


def reds(blue):
    return list(Fapiao.objects.filter(original=blue).order_by("pk"))


def test_asked_accepted_issued_with_its_file(w):
    making.taxed(w)
    charge = making.taken(w, 8_800_000)
    found = making.asked(w, charge)
    assert (found.state, found.amount_fen, found.rate, found.tax_fen) == ("requested", 8_800_000, "6", 498_113)
    assert (found.category, found.goods) == ("3040203000000000000", "检验检测服务")
    issuing.accept(actor=w.keeper, fapiao=found, now=making.LATER)
    done = making.issued(w, found, 1, upload=making.PDF)
    assert (done.state, done.printed_number, done.file.name) == ("issued", making.number(1), "发票.pdf")
    assert making.issued(w, found, 1).pk == done.pk


def test_only_the_own_share_is_invoiced_to_the_enterprise(w):
    voucher = make.voucher(w, make.programme(w, cost={"include": ["compute"]}))
    charge = making.taken(w, 1000, pay_with=[voucher])
    assert charge.voucher_captured_fen > 0
    assert making.asked(w, charge).amount_fen == charge.own_captured_fen


@pytest.mark.parametrize(("scope", "covers"), [("own", "own"), ("whole", "whole")])
def test_a_programme_says_whether_the_voucher_part_is_on_it_too(w, scope, covers):
    terms = {"cost": {"include": ["compute"]}, "redeem": {"mode": "deduct", "invoice": scope}}
    charge = making.taken(w, 1000, pay_with=[make.voucher(w, make.programme(w, **terms))])
    assert 0 < charge.own_captured_fen < 1000
    whole = scope == "whole"
    found = making.asked(w, charge)
    assert (found.covers, found.amount_fen) == (covers, 1000 if whole else charge.own_captured_fen)
    first = making.refunded(w, charge, 300)
    found.refresh_from_db()
    gone = first.amount_fen if whole else first.own_fen
    assert found.amount_fen == found.asked_fen - gone
    blue = making.issued(w, found, 1)
    second = making.refunded(w, charge, 200)
    [red] = reds(blue)
    assert red.amount_fen == (second.amount_fen if whole else second.own_fen)
    assert red.covers == covers


def test_two_vouchers_are_billed_each_as_its_programme_says(w):
    vouchers = [
        make.voucher(
            w,
            make.programme(
                w,
                code=f"bill-{scope}",
                cost={"include": ["compute"]},
                lines=[{"id": rate, "rate": rate}],
                redeem={"mode": "deduct", "invoice": scope},
            ),
            number=f"HT-{scope}",
        )
        for scope, rate in (("own", "0.50"), ("whole", "0.30"))
    ]
    charge = making.taken(w, 1000, pay_with=vouchers)
    parts = {part.voucher.programme_code: part.captured_fen for part in charge.parts.select_related("voucher")}
    assert len(parts) == 2
    assert making.asked(w, charge).amount_fen == charge.own_captured_fen + parts["bill-whole"]


def test_the_buyer_is_remembered_and_the_request_keeps_its_own(w):
    first = making.asked(w, making.taken(w, 500), title="浙江某某科技")
    assert services.buyer_of(organisation=w.enterprise).title == "浙江某某科技"
    services.remember(actor=w.owner, buyer=making.buyer(w, title="改名科技"), now=making.LATER)
    first.refresh_from_db()
    assert (first.buyer["title"], BuyerFacts.objects.get().title) == ("浙江某某科技", "改名科技")


def test_one_request_a_charge_and_again_after_it_ended(w):
    charge = making.taken(w, 500)
    first = making.asked(w, charge)
    assert making.asked(w, charge).pk == first.pk
    with pytest.raises(rules.NothingToInvoice):
        making.asked(w, charge, title="另一个抬头")
    issuing.decline(actor=w.keeper, fapiao=first, reason="抬头有误", now=making.LATER)
    second = making.asked(w, charge)
    assert second.pk != first.pk
    services.withdraw(actor=w.owner, fapiao=second, now=making.LATER)
    assert making.asked(w, charge).state == "requested"


def test_nothing_is_invoiced_where_nothing_was_paid_in_money(w):
    charge = making.taken(w, 500)
    making.refunded(w, charge, 500)
    with pytest.raises(rules.NothingToInvoice):
        making.asked(w, charge)


def test_a_refund_asks_the_rest_back_in_red_by_itself(w):
    making.taxed(w)
    charge = making.taken(w, 8_800_000)
    blue = making.issued(w, making.asked(w, charge), 1)
    making.refunded(w, charge, 800_000)
    [red] = reds(blue)
    assert (red.colour, red.state, red.amount_fen, red.signed_fen) == ("red", "requested", 800_000, -800_000)
    making.refunded(w, charge, 8_000_000)
    one, two = reds(blue)
    assert one.amount_fen + two.amount_fen == blue.amount_fen
    assert one.tax_fen + two.tax_fen == blue.tax_fen
    blue.refresh_from_db()
    assert (blue.red_fen, blue.red_issued_fen) == (8_800_000, 0)
    making.issued(w, one, 2)
    blue.refresh_from_db()
    assert blue.red_issued_fen == 800_000
    assert following.follow(charge_id=charge.pk, actor=making.SYSTEM, now=making.LATER) == []


def test_the_database_refuses_reds_above_the_blue(w):
    blue = making.issued(w, making.asked(w, making.taken(w, 500)), 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Fapiao.objects.filter(pk=blue.pk).update(red_fen=501)


def test_a_refund_before_issue_lowers_the_request_and_to_nothing_withdraws_it(w):
    charge = making.taken(w, 1000)
    found = making.asked(w, charge)
    making.refunded(w, charge, 300)
    found.refresh_from_db()
    assert (found.amount_fen, found.asked_fen, found.state) == (700, 1000, "requested")
    making.refunded(w, charge, 700)
    found.refresh_from_db()
    assert (found.amount_fen, found.state) == (0, "withdrawn")


def test_one_issued_over_the_old_sum_while_a_refund_came_is_kept_and_the_rest_asked_back(w):
    charge = making.taken(w, 1000)
    found = making.asked(w, charge)
    issuing.accept(actor=w.keeper, fapiao=found, now=making.LATER)
    making.refunded(w, charge, 1000)
    found.refresh_from_db()
    assert (found.amount_fen, found.state) == (0, "accepted")
    done = making.issued(w, found, 1, amount=1000)
    [red] = reds(done)
    assert (done.amount_fen, red.amount_fen) == (1000, 1000)


def test_one_issued_between_two_refunds_is_kept_and_the_later_refund_asked_back(w):
    charge = making.taken(w, 1000)
    found = making.asked(w, charge)
    making.refunded(w, charge, 300)
    making.refunded(w, charge, 200)
    with pytest.raises(rules.BadFapiao):
        making.issued(w, found, 1, amount=800)
    done = making.issued(w, found, 1, amount=700)
    [red] = reds(done)
    assert (done.amount_fen, red.amount_fen) == (700, 200)


def test_one_printed_before_everything_was_refunded_is_registered_and_taken_back(w):
    charge = making.taken(w, 1000)
    found = making.asked(w, charge)
    making.refunded(w, charge, 300)
    making.refunded(w, charge, 700)
    found.refresh_from_db()
    assert found.state == "withdrawn"
    with pytest.raises(rules.BadFapiao):
        making.issued(w, found, 1, amount=800)
    done = making.issued(w, found, 1, amount=700)
    [red] = reds(done)
    assert (done.state, done.amount_fen, red.amount_fen) == ("issued", 700, 700)
    assert making.issued(w, found, 1, amount=700).pk == done.pk
    making.issued(w, red, 2)
    done.refresh_from_db()
    assert done.is_taken_back


def test_one_printed_before_its_payer_withdrew_is_registered_unless_another_stands(w):
    charge = making.taken(w, 1000)
    first = making.asked(w, charge)
    services.withdraw(actor=w.owner, fapiao=first, now=making.LATER)
    second = making.asked(w, charge, title="另一个抬头")
    with pytest.raises(rules.BadFapiao) as caught:
        making.issued(w, first, 1)
    assert [reason.code for reason in caught.value.reasons] == ["fapiao.another"]
    services.withdraw(actor=w.owner, fapiao=second, now=making.LATER)
    assert making.issued(w, first, 1).state == "issued"
    with pytest.raises(rules.NothingToInvoice):
        making.asked(w, charge)


def test_an_accepted_one_refunded_whole_can_be_declined(w):
    charge = making.taken(w, 1000)
    found = making.asked(w, charge)
    issuing.accept(actor=w.keeper, fapiao=found, now=making.LATER)
    making.refunded(w, charge, 1000)
    assert issuing.decline(actor=w.keeper, fapiao=found, reason="已退款", now=making.LATER).state == "declined"


def test_a_number_stands_for_one_tax_invoice(w):
    making.issued(w, making.asked(w, making.taken(w, 500)), 1)
    other = making.asked(w, making.taken(w, 600))
    with pytest.raises(rules.BadFapiao) as caught:
        making.issued(w, other, 1)
    assert [reason.code for reason in caught.value.reasons] == ["fapiao.number_taken"]
    other.refresh_from_db()
    assert other.state == "requested"


def test_every_ground_is_told_at_once(w):
    found = making.asked(w, making.taken(w, 500))
    with pytest.raises(rules.BadFapiao) as caught:
        making.issued(w, found, 1, number="123", amount=499)
    assert [reason.code for reason in caught.value.reasons] == ["fapiao.number", "fapiao.amount"]


def test_a_part_taken_back_whole_can_be_invoiced_anew(w):
    charge = making.taken(w, 1000)
    blue = making.issued(w, making.asked(w, charge), 1)
    making.refunded(w, charge, 400)
    with pytest.raises(rules.NothingToInvoice):
        making.asked(w, charge)
    making.issued(w, reds(blue)[0], 2)
    with pytest.raises(rules.NothingToInvoice):
        making.asked(w, charge)


@pytest.mark.parametrize("upload", [making.PDF, making.XML])
def test_files_of_the_kinds_tax_systems_hand_out_are_kept(w, upload):
    found = making.issued(w, making.asked(w, making.taken(w, 500)), 1)
    kept = issuing.attach(actor=w.keeper, fapiao=found, upload=upload, now=making.LATER)
    assert kept.file.name == upload.name
    assert issuing.attach(actor=w.keeper, fapiao=found, upload=upload, now=making.LATER).file_id == kept.file_id


@pytest.mark.parametrize(
    "upload",
    [
        Upload("a.pdf", b"not a pdf"),
        Upload("a.txt", "文本".encode()),
        Upload("a.xml", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        Upload("a.xml", b'<?xml version="1.0"?><a>'),
    ],
)
def test_other_files_are_refused(w, upload):
    found = making.issued(w, making.asked(w, making.taken(w, 500)), 1)
    with pytest.raises(BadFile):
        issuing.attach(actor=w.keeper, fapiao=found, upload=upload, now=making.LATER)


def test_a_second_file_does_not_replace_the_first(w):
    found = making.issued(w, making.asked(w, making.taken(w, 500)), 1, upload=making.PDF)
    with pytest.raises(issuing.FileTwice):
        issuing.attach(actor=w.keeper, fapiao=found, upload=making.XML, now=making.LATER)


def test_what_is_not_to_be_done(w):
    found = making.asked(w, making.taken(w, 500))
    stranger = make.applicant()
    with pytest.raises(NotFound):
        access.get_fapiao(stranger, found.number)
    with pytest.raises(Forbidden):
        issuing.accept(actor=w.owner, fapiao=found, now=making.LATER)
    with pytest.raises(Forbidden):
        services.withdraw(actor=w.keeper, fapiao=found, now=making.LATER)
    with pytest.raises(Forbidden):
        services.withdraw(actor=stranger, fapiao=found, now=making.LATER)
    with pytest.raises(Forbidden):
        services.request(actor=w.researcher, charge=found.charge, buyer=making.buyer(w), now=making.LATER)
    with pytest.raises(issuing.ReasonMissing):
        issuing.decline(actor=w.keeper, fapiao=found, reason=" ", now=making.LATER)
    issuing.accept(actor=w.keeper, fapiao=found, now=making.LATER)
    with pytest.raises(InvalidTransition):
        services.withdraw(actor=w.owner, fapiao=found, now=making.LATER)


def test_a_red_one_is_neither_declined_nor_withdrawn(w):
    charge = making.taken(w, 500)
    blue = making.issued(w, making.asked(w, charge), 1)
    making.refunded(w, charge, 100)
    [red] = reds(blue)
    with pytest.raises(rules.RedStays):
        issuing.decline(actor=w.keeper, fapiao=red, reason="x", now=making.LATER)
    with pytest.raises(rules.RedStays):
        services.withdraw(actor=w.owner, fapiao=red, now=making.LATER)


def test_another_provider_sees_and_does_nothing(w):
    charge = making.taken(w, 500)
    found = making.asked(w, charge)
    other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.OWNER)
    assert not access.served(other).exists()
    with pytest.raises(Forbidden):
        issuing.accept(actor=other, fapiao=found, now=making.LATER)
