"""Large paid requests are quoted; accepting is the contract: price held, shifts allocated, billed by what was delivered."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.beamtime import ending, quoting, visits
from scheduler.beamtime.models import BeamAllocation, BeamLoss, BeamQuote
from scheduler.facilities.shares import Pool
from scheduler.panels import pools
from tests import beam, make
from tests.calling import Caller

pytestmark = pytest.mark.django_db

UNTIL = make.NOW + timedelta(days=30)
SAID = quoting.QuoteTerms(6, Money.from_yuan("10000"), UNTIL, terms="结果归委托方所有。")
SEEN = (6, 1_000_000)


def asked(site: beam.Site, **more):
    return beam.request(beam.proposal(site, kind="proprietary", call=None, title="绝密涂层", **more))


def accepted(site: beam.Site) -> BeamQuote:
    made = quoting.offer(actor=site.office, request=asked(site), said=SAID, now=make.NOW)
    return quoting.accept(actor=site.leader, quote=made, seen=SEEN, now=make.NOW)


def test_accepting_holds_the_price_allocates_the_shifts_and_does_so_once():
    site = beam.site()
    made = quoting.offer(actor=site.office, request=asked(site), said=SAID, now=make.NOW)
    before = pools.left(site.lines[0], site.cycle, Pool.INDUSTRY)
    for _again in range(2):
        done = quoting.accept(actor=site.leader, quote=made, seen=SEEN, now=make.NOW)
    assert (done.state, done.charge.price_fen, done.charge.state) == ("accepted", 6_000_000, "held")
    assert len(done.terms_sha256) == 64
    [given] = BeamAllocation.objects.filter(request=done.request)
    assert (given.pool, given.shifts) == ("industry", 6)
    assert pools.left(site.lines[0], site.cycle, Pool.INDUSTRY) == before - 6
    done.request.refresh_from_db()
    done.request.proposal.refresh_from_db()
    assert (done.request.state, done.request.proposal.state) == ("allocated", "accepted")


def test_nothing_of_the_work_is_on_record():
    site = beam.site()
    accepted(site)
    assert Record.objects.filter(action="beam_quote.accepted").exists()
    assert not any("绝密" in str(row.data) for row in Record.objects.all())


def test_everything_wrong_with_a_quote_is_said_at_once():
    site = beam.site()
    said = replace(SAID, shifts=7, tax_bp=20_000, valid_until=make.NOW, shift=Money(-1))
    with pytest.raises(quoting.BadQuote) as refused:
        quoting.offer(actor=site.office, request=asked(site), said=said, now=make.NOW)
    reasons = {reason.field: reason for reason in refused.value.reasons}
    assert set(reasons) == {"shifts", "tax_bp", "valid_until", "shift"}
    assert reasons["shifts"].params["near"] == ["6", "9"]


def test_more_than_the_industry_share_is_refused_with_what_is_left():
    site = beam.site()
    with pytest.raises(quoting.BadQuote) as refused:
        quoting.offer(actor=site.office, request=asked(site), said=replace(SAID, shifts=60), now=make.NOW)
    [reason] = refused.value.reasons
    assert (reason.code, reason.params) == ("beam_quote.pool", {"left": 35})


def test_only_paid_kinds_are_quoted_and_only_by_the_facilitys_office():
    site = beam.site()
    with pytest.raises(quoting.BadQuote):
        quoting.offer(actor=site.office, request=beam.request(beam.proposal(site)), said=SAID, now=make.NOW)
    wish = asked(site)
    with pytest.raises(Forbidden):
        quoting.offer(actor=beam.site().office, request=wish, said=SAID, now=make.NOW)
    quoting.offer(actor=site.office, request=wish, said=SAID, now=make.NOW)
    with pytest.raises(quoting.QuoteExists):
        quoting.offer(actor=site.office, request=wish, said=SAID, now=make.NOW)


def test_a_changed_late_or_withdrawn_quote_is_not_accepted():
    site = beam.site()
    made = quoting.offer(actor=site.office, request=asked(site), said=SAID, now=make.NOW)
    with pytest.raises(quoting.QuoteChanged):
        quoting.accept(actor=site.leader, quote=made, seen=(6, 900_000), now=make.NOW)
    with pytest.raises(quoting.QuoteOver):
        quoting.accept(actor=site.leader, quote=made, seen=SEEN, now=UNTIL)
    assert quoting.expire_due(now=UNTIL) == 1
    assert quoting.expire_due(now=UNTIL) == 0
    with pytest.raises(InvalidTransition):
        quoting.accept(actor=site.leader, quote=made, seen=SEEN, now=UNTIL)
    assert not BeamAllocation.objects.exists()


def visited(site: beam.Site, quote: BeamQuote):
    begins = beam.CYCLE.start + timedelta(days=8)
    span = Period(begins, begins + timedelta(days=2))
    visit = beam.visit(site, of=quote.request.proposal, period=span, shifts=6, state="running", pool="industry")
    return visit, span


def test_the_visits_end_bills_the_delivered_shifts_and_frees_the_rest():
    site = beam.site()
    quote = accepted(site)
    visit, span = visited(site, quote)
    lost = (span.start, span.start + timedelta(hours=12))
    BeamLoss.objects.create(beamline=site.lines[0], during=lost, cause="machine", at=span.start)
    ending.finish(actor=site.scientist, visit=visit, ended_at=span.end, now=span.end)
    quote.charge.refresh_from_db()
    assert (quote.charge.state, quote.charge.actual_fen) == ("captured", 4_500_000)


def test_a_cancelled_visit_frees_what_was_held():
    site = beam.site()
    quote = accepted(site)
    begins = beam.CYCLE.start + timedelta(days=8)
    span = Period(begins, begins + timedelta(days=2))
    visit = beam.visit(site, of=quote.request.proposal, period=span, shifts=6, pool="industry")
    ending.cancel(actor=site.planner, visit=visit, reason="真空事故", now=make.NOW)
    quote.charge.refresh_from_db()
    assert quote.charge.state == "released"
    assert visits.lock(visit).state == "cancelled"


def test_over_the_api_a_stranger_sees_no_quote_and_the_enterprise_accepts_with_a_voucher(w):
    site = beam.site()
    leader = w.researcher
    made = quoting.offer(actor=site.office, request=asked(site, leader=leader), said=SAID, now=make.NOW)
    path = f"/beam-quotes/{made.pk}"
    assert Caller(site.leader).get(path).status == 404
    voucher = make.voucher(w)
    body = {"shifts": 6, "shift": {"yuan": "10000"}, "vouchers": [voucher.number]}
    answer = Caller(leader).post(f"{path}/accept", body)
    assert (answer.status, answer.body["state"], answer.body["price"]["fen"]) == (200, "accepted", 6_000_000)
    assert "绝密" not in str(answer.body)
    made.refresh_from_db()
    assert made.charge.voucher_held_fen > 0
