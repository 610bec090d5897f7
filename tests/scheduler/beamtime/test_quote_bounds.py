"""What keeps a quote from being made or accepted: rivals for the same shifts, a cycle that is over, a suspended enterprise."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection

from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from scheduler.beamtime import answering, quoting
from scheduler.beamtime.models import BeamAllocation
from scheduler.facilities.shares import Pool
from scheduler.panels import pools
from scheduler.proposals import services as proposals
from tests import beam, make

SAID = quoting.QuoteTerms(6, Money.from_yuan("1"), make.NOW + timedelta(days=30))


def asked(site: beam.Site, **more):
    return beam.request(beam.proposal(site, kind="proprietary", call=None, **more))


def offered(site: beam.Site, now=make.NOW, **changes):
    said = replace(SAID, **changes)
    return quoting.offer(actor=site.office, request=asked(site, shifts=said.shifts), said=said, now=now)


def suspend(site: beam.Site) -> None:
    organisation = make.user_of(site.leader).memberships.get(left_at__isnull=True).organisation
    organisation.facts = {**organisation.facts, "suspended": True}
    organisation.save()


def codes(act) -> set[str]:
    with pytest.raises(quoting.BadQuote) as refused:
        act()
    return {reason.code for reason in refused.value.reasons}


@pytest.mark.django_db(transaction=True)
def test_two_enterprises_accepting_at_once_get_no_more_shifts_than_industry_has():
    site = beam.site()
    left = pools.left(site.lines[0], site.cycle, Pool.INDUSTRY)
    quotes = [offered(site, shifts=33) for _enterprise in range(2)]
    start, ended = threading.Barrier(2), []

    def accept(quote):
        start.wait()
        try:
            ended.append(quoting.accept(actor=site.leader, quote=quote, seen=(33, 100), now=make.NOW).state)
        except PortalError as error:
            ended.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=accept, args=(quote,)) for quote in quotes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["accepted", "beam_quote.invalid"]
    assert sum(BeamAllocation.objects.values_list("shifts", flat=True)) == 33 <= left


@pytest.mark.django_db
def test_no_shifts_of_a_cycle_that_is_over_or_closed_are_quoted_or_sold():
    site = beam.site()
    end = beam.CYCLE.end
    made = offered(site, now=end - timedelta(days=1), valid_until=end + timedelta(days=9))
    accept = {"actor": site.leader, "quote": made, "seen": (6, 100)}
    assert codes(lambda: quoting.accept(now=end, **accept)) == {"beam_quote.cycle"}
    assert codes(lambda: offered(site, now=end, valid_until=end + timedelta(days=9))) == {"beam_quote.cycle"}
    site.cycle.closed_at = end - timedelta(hours=2)
    site.cycle.save()
    assert codes(lambda: quoting.accept(now=end - timedelta(hours=1), **accept)) == {"beam_quote.cycle"}
    assert not BeamAllocation.objects.exists()


@pytest.mark.django_db
def test_a_suspended_enterprise_is_quoted_nothing_signs_nothing_and_takes_no_offer_but_may_decline():
    site = beam.site()
    made, visit, other = offered(site), beam.visit(site, state="offered"), beam.visit(site, state="offered", day=3)
    suspend(site)
    assert codes(lambda: offered(site)) == {"proposal.barred"}
    accept = {"actor": site.leader, "quote": made, "seen": (6, 100), "now": make.NOW}
    assert codes(lambda: quoting.accept(**accept)) == {"proposal.barred"}
    with pytest.raises(proposals.Barred):
        answering.accept(actor=site.leader, visit=visit, now=make.NOW)
    visit.refresh_from_db()
    assert visit.state == "offered"
    assert answering.decline(actor=site.leader, visit=other, now=make.NOW).state == "declined"
    assert quoting.decline(actor=site.leader, quote=made, note="暂停", now=make.NOW).state == "declined"


@pytest.mark.django_db
def test_what_an_enterprise_gives_back_is_no_industry_time_of_the_academics_who_move_up():
    site = beam.site()
    back = {"actor": site.leader, "now": make.NOW}
    paid = beam.visit(site, shifts=6, pool="industry", kind="proprietary", call=None)
    waits = beam.on_reserve(site, place=1, kind="long_term")
    answering.decline(visit=paid, **back)
    [given] = BeamAllocation.objects.filter(request=waits)
    assert given.pool == "open"
    left = pools.left(site.lines[0], site.cycle, Pool.OPEN)
    beam.granted(site, shifts=left)
    other = beam.visit(site, shifts=6, day=9, pool="industry", kind="proprietary", call=None)
    next_one = beam.on_reserve(site, place=2, kind="long_term")
    answering.decline(visit=other, **back)
    next_one.refresh_from_db()
    assert (next_one.state, BeamAllocation.objects.filter(request=next_one).exists()) == ("reserve", False)
