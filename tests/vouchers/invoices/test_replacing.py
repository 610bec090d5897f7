"""A wrong tax invoice: taken back in red and issued anew, in that order, once."""

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition
from tests import make
from tests.vouchers.invoices import making
from vouchers.invoices import access, importing, replacing, rules, services
from vouchers.invoices.models import Fapiao

pytestmark = pytest.mark.django_db


def wrong(w, charge, serial=1):
    return making.issued(w, making.asked(w, charge, title="抬头写错的公司"), serial)


def reissued(w, blue, *, by=None, reason="抬头有误", **changes):
    buyer = making.buyer(w, **changes)
    return replacing.reissue(actor=by or w.keeper, fapiao=blue, buyer=buyer, reason=reason, now=making.LATER)


def test_a_wrong_one_is_taken_back_and_issued_anew_and_the_enterprise_sees_all_three(w):
    making.taxed(w)
    charge = making.taken(w, 10_600)
    blue = wrong(w, charge)
    making.taxed(w, making.taxes.TaxRate.GOODS)
    done = reissued(w, blue)
    assert (done.red.amount_fen, done.red.tax_fen, done.red.rate) == (10_600, 600, "6")
    assert (done.anew.amount_fen, done.anew.rate, done.anew.buyer["title"]) == (10_600, "13", w.enterprise.name)
    with pytest.raises(rules.BadFapiao) as caught:
        making.issued(w, done.anew, 3)
    assert [reason.code for reason in caught.value.reasons] == ["fapiao.red_first"]
    making.issued(w, done.red, 2)
    making.issued(w, done.anew, 3)
    blue.refresh_from_db()
    assert blue.is_taken_back
    seen = access.fapiaos_visible_to(w.owner).filter(charge=charge).order_by("pk")
    assert [(one.colour, one.state) for one in seen] == [("blue", "issued"), ("red", "issued"), ("blue", "issued")]
    assert seen[0].replaced_by == seen[2]
    with pytest.raises(rules.NothingToInvoice):
        making.asked(w, charge)


def test_again_returns_the_same_and_other_facts_are_refused(w):
    blue = wrong(w, making.taken(w, 500))
    first, again = reissued(w, blue), reissued(w, blue)
    assert (first.red, first.anew) == (again.red, again.anew)
    with pytest.raises(replacing.AlreadyReplaced):
        reissued(w, blue, title="又一个抬头")
    with pytest.raises(replacing.AlreadyReplaced):
        reissued(w, blue, reason="税率有误")
    assert Fapiao.objects.count() == 3


def test_only_what_is_left_is_taken_back_and_issued_anew(w):
    charge = making.taken(w, 1000)
    blue = wrong(w, charge)
    making.refunded(w, charge, 300)
    done = reissued(w, blue)
    assert (done.red.amount_fen, done.anew.amount_fen) == (700, 700)
    making.refunded(w, charge, 200)
    done.anew.refresh_from_db()
    assert (done.anew.amount_fen, Fapiao.objects.filter(original=blue).count()) == (500, 2)


def test_what_cannot_be_replaced(w):
    charge = making.taken(w, 500)
    asked = making.asked(w, charge)
    with pytest.raises(replacing.NothingToReplace):
        reissued(w, asked)
    blue = making.issued(w, asked, 1)
    for reason, error in (("", replacing.ReissueReasonMissing), (" ", replacing.ReissueReasonMissing)):
        with pytest.raises(error):
            reissued(w, blue, reason=reason)
    with pytest.raises(rules.BadBuyer) as caught:
        reissued(w, blue, title="", kind=rules.FapiaoKind.SPECIAL)
    assert len(caught.value.reasons) == 5
    for other in (w.owner, make.applicant(), w.finance):
        with pytest.raises(Forbidden):
            reissued(w, blue, by=other)
    making.refunded(w, charge, 500)
    with pytest.raises(replacing.NothingToReplace):
        reissued(w, blue)


def test_the_payer_does_not_withdraw_what_the_provider_asked_anew(w):
    done = reissued(w, wrong(w, making.taken(w, 500)))
    with pytest.raises(InvalidTransition):
        services.withdraw(actor=w.owner, fapiao=done.anew, now=making.LATER)


def test_one_table_registers_the_red_one_and_the_new_one_in_any_order(w):
    blue = wrong(w, making.taken(w, 88_000))
    done = reissued(w, blue)
    rows = [(done.anew.number, making.number(3), "880.00"), (done.red.number, making.number(2), "'-880.00")]
    table = "申请单号,发票号码,开票日期,价税合计\n" + "".join(
        f"{one},{number},2026-11-25,{fen}\n" for one, number, fen in rows
    )
    found = importing.check(actor=w.keeper, content=table.encode(), name="a.csv", now=making.LATER)
    assert [one.reasons for one in found] == [(), ()]
    registered = importing.register(actor=w.keeper, rows=found, now=making.LATER)
    assert [one.error for one in registered] == [None, None]
    assert [one.found.row for one in registered] == [2, 3]
    alone = "申请单号,发票号码,开票日期,价税合计\n"
    other = reissued(w, wrong(w, making.taken(w, 500), serial=7))
    alone += f"{other.anew.number},{making.number(9)},2026-11-25,5.00\n"
    [found] = importing.check(actor=w.keeper, content=alone.encode(), name="a.csv", now=making.LATER)
    assert [reason.code for reason in found.reasons] == ["fapiao.red_first"]
