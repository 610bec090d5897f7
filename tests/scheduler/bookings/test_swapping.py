"""Two holders exchange their times by consent, with their money, and learn nothing of each other."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connections

from portal.audit import queries as audit
from portal.kernel.errors import Forbidden, InvalidTransition, PortalError, Refused
from portal.kernel.money import Money
from scheduler.availability.models import Claim
from scheduler.bookings import services, swap_rules, swapping
from scheduler.bookings.models import Booking
from scheduler.bookings.swap_api import swap_out
from scheduler.bookings.swap_models import Swap
from scheduler.quotas import services as quotas
from scheduler.quotas.rules import Effect, Limit, Measure, Per
from tests import make
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

LONGER = make.slot(days=3, start="13:00", end="16:00")
TWO_HOURS, THREE_HOURS = Money.from_yuan("960"), Money.from_yuan("1440")


class Two:
    """Two enterprises with a confirmed booking each on one instrument: two hours paid by voucher, and three."""

    def __init__(self, w, **changes):
        self.w, self.resource = w, make.instrument(w, **changes)
        self.rival = make.actor(
            make.organisation(make.roles.Kind.ENTERPRISE, name="宁波海曙材料有限公司"),
            make.roles.Role.RESEARCHER,
            name="柯远",
        )
        self.voucher = make.voucher(w)
        self.mine = self.confirmed(make.booking(w, self.resource, pay_with=self.voucher))
        self.theirs = self.confirmed(self.book(self.rival, LONGER, "保密的工艺"))

    def book(self, actor, period, title="观察", resource=None):
        wanted = services.Wanted(resource=resource or self.resource, period=period, title=title)
        return services.request_booking(actor=actor, wanted=wanted, now=make.NOW, key=make.key())

    def confirmed(self, booking):
        return services.confirm(actor=self.w.keeper, booking=booking, now=make.NOW)

    def propose(self, *, price=THREE_HOURS, at=LONGER.start, key="", now=make.NOW, **changes):
        asked = {"booking": self.mine, "resource": self.resource, **changes}
        return swapping.propose(actor=self.w.researcher, at=at, price=price, now=now, key=key or make.key(), **asked)

    def accept(self, swap, *, price=TWO_HOURS, now=make.NOW):
        return swapping.accept(actor=self.rival, swap=Swap.objects.get(pk=swap.pk), price=price, now=now)


@pytest.fixture
def two(w):
    return Two(w)


@pytest.mark.parametrize(
    ("said", "code"),
    [({"per": Per.PERSON}, "quota.hours"), ({"effect": Effect.APPROVAL}, "swap.needs_approval")],
)
def test_a_limit_of_the_lab_is_not_passed_by_exchanging(two, said, code):
    """Four hours a week, all booked: a person has no fifth by exchange, nor what the lab alone may approve."""
    two.book(two.w.researcher, make.slot(days=2))
    hours = Limit("每周限额", Measure.HOURS, 4 * 3600, **said)
    quotas.add_rule(actor=two.w.keeper, limit=hours, instruments=[two.resource], now=make.NOW)
    with pytest.raises(Refused) as refused:
        two.propose()
    assert [reason.code for reason in refused.value.reasons] == [code]


def period(booking):
    booking.refresh_from_db()
    return booking.starts_at, booking.ends_at


class TestExchanging:
    def test_both_move_with_their_money_and_keep_who_they_are(self, two):
        before = {booking.pk: (booking.uid, booking.sequence) for booking in (two.mine, two.theirs)}

        done = two.accept(two.propose())

        assert done.state == "accepted"
        assert period(two.mine) == (LONGER.start, LONGER.end)
        assert period(two.theirs) == (make.slot().start, make.slot().end)
        for booking in (two.mine, two.theirs):
            assert (booking.state, booking.uid) == ("confirmed", before[booking.pk][0])
            assert booking.sequence > before[booking.pk][1]
        charges = {booking.pk: Charge.objects.get(pk=booking.charge_id) for booking in (two.mine, two.theirs)}
        assert (charges[two.mine.pk].price_fen, charges[two.mine.pk].voucher_held_fen) == (144000, 72000)
        assert (charges[two.theirs.pk].price_fen, charges[two.theirs.pk].voucher_held_fen) == (96000, 0)
        held = ledger.balances(account_ids=[two.voucher.account_id])[two.voucher.account_id].held_fen
        assert held == 72000
        assert Claim.objects.filter(state="confirmed").count() == 2
        assert ledger.unaccounted_fen() == 0

    def test_on_a_twin_both_change_instruments(self, w):
        two = Two(w)
        twin = make.instrument(w, rate="240")
        there = two.confirmed(two.book(two.rival, LONGER, resource=twin))
        two.accept(two.propose(resource=twin, price=Money.from_yuan("720"), at=there.starts_at + timedelta(hours=1)))
        two.mine.refresh_from_db()
        there.refresh_from_db()
        assert (two.mine.resource_id, there.resource_id) == (twin.pk, two.resource.pk)
        assert set(Claim.objects.filter(booking=two.mine).values_list("resource_id", flat=True)) == {twin.pk}

    def test_neither_learns_who_the_other_is(self, two):
        swap = two.propose()
        two.accept(swap)
        swap = Swap.objects.get(pk=swap.pk)
        for actor, hidden in (
            (two.w.researcher, (two.theirs, "宁波海曙材料有限公司", "柯远")),
            (two.rival, (two.mine, two.w.enterprise.name, "林研究")),
        ):
            own = swapping.side_of(swap, actor)
            told = json.dumps(swap_out(swap, actor), default=str)
            for event in audit.trail(f"booking:{own.number}", actor=actor):
                told += str(vars(event))
            booking, *names = hidden
            for secret in (booking.number, booking.title, *names):
                assert secret not in told

    def test_repeats_nothing(self, two):
        key = make.key()
        assert two.propose(key=key).pk == two.propose(key=key).pk
        swap = two.propose(key=key)
        assert two.accept(swap).pk == two.accept(swap).pk
        two.mine.refresh_from_db()
        assert Charge.objects.filter(subject=f"booking:{two.mine.number}").count() == 2


class TestProposing:
    def test_says_the_price_and_changes_nothing(self, two):
        offer = swapping.look(
            actor=two.w.researcher, booking=two.mine, resource=two.resource, at=LONGER.start, now=make.NOW
        )
        assert (offer.price, offer.voucher, list(offer.reasons)) == (THREE_HOURS, Money(72000), [])
        assert period(two.mine)[0] == make.slot().start
        assert Claim.objects.filter(state="confirmed").count() == 2
        with pytest.raises(swap_rules.SwapPrice):
            two.propose(price=TWO_HOURS)

    @pytest.mark.parametrize("what", ["free", "own", "outage", "requested"])
    def test_answers_alike_wherever_there_is_nobody_to_ask(self, two, what):
        at = make.slot(days=5)
        if what == "own":
            two.confirmed(make.booking(two.w, two.resource, period=at))
        elif what == "requested":
            two.book(two.rival, at)
        elif what == "outage":
            from scheduler.availability import services as availability

            availability.block_for_maintenance(
                actor=two.w.keeper, resource=two.resource, period=at, note="保养", now=make.NOW
            )
        with pytest.raises(swap_rules.NothingToSwap):
            two.propose(at=at.start)

    def test_needs_a_confirmed_booking_of_ones_own(self, two):
        requested = make.booking(two.w, two.resource, period=make.slot(days=6))
        with pytest.raises(swap_rules.NotSwappable):
            two.propose(booking=requested)
        with pytest.raises(Forbidden):
            two.propose(booking=two.theirs)

    def test_of_the_others_reasons_no_more_is_told_than_that_there_are_some(self, w):
        two = Two(w)
        long = two.confirmed(make.booking(w, two.resource, period=make.slot(days=7, start="08:00", end="16:00")))
        Booking.objects.filter(pk=two.theirs.pk).update(units=2)
        with pytest.raises(Refused) as refused:
            two.propose(booking=long)
        assert [reason.code for reason in refused.value.reasons] == ["swap.other_side"]

    def test_one_at_a_time(self, two):
        two.propose()
        with pytest.raises(swap_rules.SwapOpen):
            two.propose()


class TestEnding:
    def test_the_one_asked_declines_and_the_one_who_asked_withdraws(self, two):
        declined = swapping.answer(actor=two.rival, swap=two.propose(), now=make.NOW)
        withdrawn = swapping.answer(actor=two.w.researcher, swap=two.propose(), now=make.NOW)
        assert (declined.state, withdrawn.state) == ("declined", "withdrawn")
        with pytest.raises(InvalidTransition):
            swapping.answer(actor=two.rival, swap=withdrawn, now=make.NOW)
        with pytest.raises(Forbidden):
            swapping.answer(actor=two.w.keeper, swap=two.propose(), now=make.NOW)

    def test_ends_by_itself_when_the_first_of_the_two_begins(self, two):
        swap = two.propose()
        assert swap.expires_at == make.slot().start
        with pytest.raises(swap_rules.SwapOver):
            two.accept(swap, now=swap.expires_at)
        assert swapping.lapse_due(now=swap.expires_at - timedelta(seconds=1)) == 0
        assert swapping.lapse_due(now=swap.expires_at) == 1
        assert Swap.objects.get(pk=swap.pk).state == "lapsed"

    def test_a_booking_that_is_gone_ends_it(self, two):
        swap = two.propose()
        services.cancel(actor=two.w.researcher, booking=two.mine, now=make.NOW)
        with pytest.raises(swap_rules.SwapOver):
            two.accept(swap)
        assert swapping.lapse_due(now=make.NOW) == 1

    def test_only_the_one_asked_accepts_at_the_price_it_saw(self, two):
        swap = two.propose()
        with pytest.raises(Forbidden):
            swapping.accept(actor=two.w.researcher, swap=swap, price=TWO_HOURS, now=make.NOW)
        with pytest.raises(swap_rules.SwapPrice):
            two.accept(swap, price=THREE_HOURS)
        assert period(two.mine)[0] == make.slot().start


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rival_act", ["accept", "cancel"])
def test_of_acceptance_and_a_rival_act_the_rows_stay_whole(w, rival_act):
    two = Two(w)
    swap = two.propose()
    together = Barrier(2)

    def cancel():
        services.cancel(actor=w.researcher, booking=Booking.objects.get(pk=two.mine.pk), now=make.NOW)

    def go(act):
        try:
            together.wait(timeout=10)
            act()
        except PortalError as error:
            return error.code
        finally:
            connections.close_all()
        return None

    acts = [lambda: two.accept(swap), (lambda: two.accept(swap)) if rival_act == "accept" else cancel]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(go, acts))

    two.mine.refresh_from_db()
    exchanged = Swap.objects.get(pk=swap.pk).state == "accepted"
    assert period(two.theirs)[0] == (make.slot().start if exchanged else LONGER.start)
    if rival_act == "accept":
        assert said == [None, None]
        assert Charge.objects.filter(subject=f"booking:{two.mine.number}").count() == 2
    else:
        assert two.mine.state == "cancelled"
        assert said[1] is None
        assert (said[0] is None) is exchanged
    assert ledger.unaccounted_fen() == 0
