"""Beam lost and logged after the bill goes back by the refund path; beam found delivered after all is never billed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.organisations import rules as roles
from portal.pages.actions import subject_link
from portal.reports import deliveries
from scheduler.beamtime import correcting, ending, losses, rules
from scheduler.beamtime.models import BeamLoss, BeamVisit
from scheduler.messages.models import Message
from tests import beam, make
from tests.scheduler.beamtime.test_billing import SHIFT, contract, finish, fresh, visit
from vouchers.charges import proposing
from vouchers.charges.lowering import Outcome
from vouchers.charges.models import Charge, ChargeProposal, Refund
from vouchers.ledger import verification

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def paid(w):
    """A paid visit of six shifts, half of it by a voucher, billed in full."""
    site = beam.site()
    quote = contract(site, vouchers=[make.voucher(w)], leader=w.researcher)
    one = visit(site, quote, state="running")
    finish(site, one)
    assert fresh(quote).charge.actual_fen == 6 * SHIFT.fen
    return site, quote, one


def lose(site: beam.Site, one: BeamVisit, hours: int, *, after: int = 0) -> BeamLoss:
    begins = one.during.lower + after * HOUR
    lost = losses.Lost(Period(begins, begins + hours * HOUR), rules.LossCause.MACHINE)
    return losses.log(actor=site.scientist, line=site.lines[0], lost=lost, now=one.during.upper + HOUR)


def told(site: beam.Site) -> list[str]:
    return [
        reason["message"]
        for row in Message.objects.filter(user_id=site.office.user_id).order_by("pk")
        for reason in row.reasons
    ]


def test_a_loss_logged_after_the_bill_goes_back_to_voucher_and_payer_once(paid, settings):
    settings.REFUND_APPROVAL_FEN = 10**9
    site, quote, one = paid
    for _again in range(2):
        lose(site, one, 12)
        ending.recount(actor=site.scientist, visit=one, now=one.during.upper + HOUR)
    [refund] = Refund.objects.all()
    back = 6 * SHIFT.fen - SHIFT.times(correcting.billing.had_of(quote.request)).fen
    assert (refund.amount_fen, refund.reason_code) == (back, "served_in_part")
    assert abs(refund.voucher_fen * 2 - back) <= 1
    assert refund.voucher_fen + refund.own_fen == back
    charge = Charge.objects.get(pk=quote.charge_id)
    assert charge.actual_fen - charge.refunded_fen == correcting.due_of(fresh(quote)).fen
    assert Record.objects.filter(action="beam_quote.corrected").count() == 1
    assert any("退回" in text for text in told(site))
    assert verification.verify() == []


def test_above_the_threshold_another_person_approves_what_stands_then(paid, settings):
    settings.REFUND_APPROVAL_FEN = 1000
    site, quote, one = paid
    lose(site, one, 8)
    [first] = ChargeProposal.objects.all()
    assert (first.amount_fen, first.state, first.proposed_by_id) == (SHIFT.fen, "proposed", site.scientist.user_id)
    second_loss = lose(site, one, 8, after=8)
    first.refresh_from_db()
    assert first.state == "returned"
    [now_asked] = ChargeProposal.objects.filter(state="proposed")
    assert now_asked.amount_fen == 2 * SHIFT.fen
    assert not Refund.objects.exists()
    losses.void(actor=site.scientist, loss=second_loss, now=one.during.upper + 2 * HOUR)
    [stands] = ChargeProposal.objects.filter(state="proposed")
    assert stands.amount_fen == SHIFT.fen
    keeper = make.actor(site.owner, roles.Role.OWNER)
    proposing.approve(actor=keeper, proposal=stands, now=one.during.upper + 3 * HOUR)
    ending.recount(actor=site.scientist, visit=one, now=one.during.upper + 4 * HOUR)
    charge = Charge.objects.get(pk=quote.charge_id)
    assert (charge.refunded_fen, ChargeProposal.objects.filter(state="proposed").count()) == (SHIFT.fen, 0)
    assert verification.verify() == []


def test_a_loss_voided_after_the_bill_bills_nothing_and_tells_the_office(w):
    site = beam.site()
    quote = contract(site, leader=w.researcher)
    one = visit(site, quote, state="running")
    begins = one.during.lower
    wrong = BeamLoss.objects.create(
        beamline=site.lines[0], during=(begins, begins + 8 * HOUR), cause="machine", at=begins
    )
    finish(site, one)
    before = fresh(quote).charge
    assert before.actual_fen == 5 * SHIFT.fen
    losses.void(actor=site.scientist, loss=wrong, now=one.during.upper + HOUR)
    after = fresh(quote).charge
    assert (after.actual_fen, after.refunded_fen, Charge.objects.count()) == (before.actual_fen, 0, 1)
    assert any("不会自动补收" in text for text in told(site))
    assert Record.objects.get(action="beam_quote.corrected").data["outcome"] == Outcome.LESS.value


def test_what_was_given_back_for_the_same_beam_before_is_not_given_back_twice(paid, settings):
    settings.REFUND_APPROVAL_FEN = 10**9
    site, quote, one = paid
    keeper = make.actor(site.owner, roles.Role.OWNER)
    for code, fen in (("not_served", SHIFT.fen), ("quality", 5000)):
        proposing.refund_or_propose(
            actor=keeper,
            charge=Charge.objects.get(pk=quote.charge_id),
            amount=Money(fen),
            grounds=proposing.refunding.Grounds("停机", code),
            now=one.during.upper,
            key=code,
        )
    lose(site, one, 16)
    made = Refund.objects.order_by("-pk")[0]
    assert (made.amount_fen, made.key[:10]) == (SHIFT.fen, "beam_quote")
    assert Charge.objects.get(pk=quote.charge_id).refunded_fen == 2 * SHIFT.fen + 5000


def test_an_invoice_names_beamline_cycle_and_time_and_no_title(paid):
    _site, quote, one = paid
    number = f"beam_quote:{quote.request.proposal.number}.{quote.pk}"
    told = deliveries.describe([number, "beam_quote:P-0.0", "beam_quote:x"])
    assert list(told) == [number]
    assert (told[number].starts_at, told[number].ends_at) == (one.during.lower, one.during.upper)
    assert "BL01" in told[number].title
    assert "beam time (2027-I)" in told[number].title_en
    assert quote.request.proposal.title not in told[number].title
    assert subject_link(number) == (f"装置机时 {number.partition(':')[2]}", f"/beam-quotes/{quote.pk}/")
