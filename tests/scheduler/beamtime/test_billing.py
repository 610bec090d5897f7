"""What an accepted quote holds follows its visits: freed as they fall away, billed as they were had, to the fen."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import connection, transaction

from portal.kernel.money import Money
from scheduler.beamtime import answering, billing, ending, quote_access, quoting, visits
from scheduler.beamtime.models import BeamAllocation, BeamLoss, BeamQuote, BeamVisit
from tests import beam, make
from vouchers.charges.models import Charge
from vouchers.ledger import queries as balances
from vouchers.ledger import verification

SHIFT = Money(333_333)
UNTIL = make.NOW + timedelta(days=30)


def contract(site: beam.Site, *, vouchers=(), shifts: int = 6, **more) -> BeamQuote:
    leader = more.get("leader", site.leader)
    row = beam.request(beam.proposal(site, kind="proprietary", call=None, shifts=shifts, **more))
    said = quoting.QuoteTerms(shifts, SHIFT, UNTIL)
    made = quoting.offer(actor=site.office, request=row, said=said, now=make.NOW)
    return quoting.accept(actor=leader, quote=made, seen=(shifts, SHIFT.fen), vouchers=vouchers, now=make.NOW)


def visit(site: beam.Site, quote: BeamQuote, *, state: str = "scheduled", shifts: int = 6, day: int = 0) -> BeamVisit:
    return beam.visit(site, of=quote.request.proposal, shifts=shifts, day=day, state=state, pool="industry")


def fresh(quote: BeamQuote) -> BeamQuote:
    return BeamQuote.objects.select_related("charge", "request__proposal").get(pk=quote.pk)


def finish(site: beam.Site, one: BeamVisit) -> None:
    ending.finish(actor=site.scientist, visit=one, ended_at=one.during.upper, now=one.during.upper)


@pytest.mark.django_db
class TestFreeing:
    def test_a_team_that_declines_its_visit_keeps_nothing_held_and_may_be_quoted_anew(self):
        site = beam.site()
        quote = contract(site)
        answering.decline(actor=site.leader, visit=visit(site, quote), now=make.NOW)
        quote = fresh(quote)
        assert (quote.state, quote.charge.state, quote.request.state) == ("freed", "released", "reserve")
        assert list(quote_access.quotable(site.office, now=make.NOW)) == [quote.request]
        said = quoting.QuoteTerms(6, SHIFT, UNTIL)
        again = quoting.offer(actor=site.office, request=quote.request, said=said, now=make.NOW)
        done = quoting.accept(actor=site.leader, quote=again, seen=(6, SHIFT.fen), now=make.NOW)
        assert (done.charge.state, BeamAllocation.objects.filter(ended_at=None).count()) == ("held", 1)

    def test_an_offer_nobody_answers_in_time_frees_it_too(self):
        site = beam.site()
        quote = contract(site)
        one = visit(site, quote, state="offered", day=30)
        assert answering.lapse_due(now=one.answer_by) == 1
        assert fresh(quote).charge.state == "released"

    def test_one_of_two_cancelled_frees_its_shifts_and_the_other_is_billed(self):
        site = beam.site()
        quote = contract(site)
        one, two = (visit(site, quote, shifts=3, day=day) for day in (0, 4))
        ending.cancel(actor=site.planner, visit=one, reason="真空事故", now=make.NOW)
        held = fresh(quote)
        assert (held.state, held.charge.state, held.charge.price_fen) == ("accepted", "held", 3 * SHIFT.fen)
        assert held.request.state == "allocated"
        BeamVisit.objects.filter(pk=two.pk).update(state="running")
        finish(site, two)
        done = fresh(quote)
        assert (done.state, done.charge.actual_fen, done.request.state) == ("settled", 3 * SHIFT.fen, "served")
        assert quoting.accept(actor=site.leader, quote=quote, seen=(6, SHIFT.fen), now=make.NOW).state == "settled"

    def test_one_missed_after_the_other_was_had_bills_the_one(self):
        site = beam.site()
        quote = contract(site)
        one, two = visit(site, quote, shifts=3, state="running"), visit(site, quote, shifts=3, day=4)
        finish(site, one)
        assert fresh(quote).charge.state == "held"
        visits.miss(actor=site.scientist, visit=two, now=two.during.upper)
        assert fresh(quote).charge.actual_fen == 3 * SHIFT.fen

    def test_what_was_never_scheduled_is_free_when_the_run_cycle_is_over(self):
        site = beam.site()
        quote = contract(site)
        assert billing.follow_due(now=beam.CYCLE.end - timedelta(hours=1)) == 0
        assert billing.follow_due(now=beam.CYCLE.end) == 1
        assert billing.follow_due(now=beam.CYCLE.end) == 0
        assert fresh(quote).state == "freed"


@pytest.mark.django_db
def test_captured_and_freed_are_what_was_held_whatever_becomes_of_the_visits():
    w, site, dice = make.world(), beam.site(), random.Random(17)
    voucher = make.voucher(w)
    before = balances.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen
    paid = 0
    for _turn in range(14):
        quote = contract(site, vouchers=[voucher], leader=w.researcher)
        held = quote.charge.price_fen
        sizes = dice.choice([[6], [3, 3], [2, 4], [2, 2, 2]])
        ends = [dice.choice(["finish", "finish", "cancel", "miss", "decline"]) for _size in sizes]
        rows = [
            visit(site, quote, shifts=size, day=3 * at, state="running" if end == "finish" else "scheduled")
            for at, (size, end) in enumerate(zip(sizes, ends, strict=True))
        ]
        released, minutes = 0, 0
        for one, end in sorted(zip(rows, ends, strict=True), key=lambda _pair: dice.random()):
            if end == "finish":
                begins, lost = one.during.lower, timedelta(minutes=dice.randint(1, one.shifts * 480))
                loss = BeamLoss.objects.create(
                    beamline=site.lines[0], during=(begins, begins + lost), cause="machine", at=begins
                )
                finish(site, one)
                loss.delete()
                one.refresh_from_db()
                minutes += one.had_min
            elif end == "cancel":
                ending.cancel(actor=site.planner, visit=one, reason="真空事故", now=make.NOW)
            elif end == "miss":
                visits.miss(actor=site.scientist, visit=one, now=one.during.upper)
            else:
                answering.decline(actor=w.researcher, visit=one, now=make.NOW)
            released, now = held - fresh(quote).charge.price_fen, fresh(quote).charge
            assert now.state != "held" or now.price_fen + released == held
            assert min(released, now.price_fen, now.voucher_held_fen, now.own_held_fen) >= 0
        quote = fresh(quote)
        charge = quote.charge
        due = SHIFT.times(min(Fraction(minutes, 480), Fraction(6))).fen
        assert (quote.state, charge.state) == (("settled", "captured") if due else ("freed", "released"))
        captured = charge.actual_fen or 0
        assert (captured, charge.voucher_captured_fen) == (due, due // 2)
        assert not Charge.objects.filter(payer=w.enterprise, state="held").exists()
        paid += charge.voucher_captured_fen
        after = balances.balances(account_ids=[voucher.account_id])[voucher.account_id]
        assert before - after.available_fen == paid
    assert verification.verify() == []


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def waits() -> bool:
    """Say whether another connection waits for a lock, or comes to within ten seconds."""
    for _look in range(200):
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return True
        time.sleep(0.05)
    return False


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["finish", "cancel"])
def test_a_visit_cancelled_while_the_other_is_billed_leaves_nothing_held(first):
    site = beam.site()
    quote = contract(site)
    one, two = visit(site, quote, shifts=3, state="running"), visit(site, quote, shifts=3, day=4)
    acts = {
        "finish": lambda: finish(site, one),
        "cancel": lambda: ending.cancel(actor=site.planner, visit=two, reason="真空事故", now=make.NOW),
    }
    begun, ended = threading.Event(), []

    def rival() -> None:
        begun.wait(30)
        try:
            acts["cancel" if first == "finish" else "finish"]()
        except Exception as error:
            ended.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=rival)
    thread.start()
    with transaction.atomic():
        acts[first]()
        begun.set()
        assert waits()
    thread.join()
    assert ended == []
    done = fresh(quote)
    assert (done.state, done.charge.actual_fen, done.request.state) == ("settled", 3 * SHIFT.fen, "served")
    assert verification.verify() == []
