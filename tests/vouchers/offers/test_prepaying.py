"""Orders whose own share is paid in advance: in time, late, too much, cancelled before it was paid, never."""

from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import IntegrityError

from portal.audit.models import Record
from portal.kernel.actors import Actor
from portal.kernel.errors import Refused
from portal.kernel.money import Money
from tests import make
from tests.scheduler.bookings.paying import arrives, unapplied
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_services import bring, line, pay
from tests.vouchers.offers import goods
from vouchers.banking import services as banking
from vouchers.charges.prices import Line
from vouchers.ledger import queries as balances
from vouchers.ledger import verification
from vouchers.offers import access, deadlines, orders, prepaying, queries, rules, services
from vouchers.offers.models import Order
from vouchers.payments import arriving, taking_back
from vouchers.payments import services as payments
from vouchers.payments.models import Payment

pytestmark = pytest.mark.django_db
NOW, DAY = make.NOW, timedelta(days=1)


@pytest.fixture
def w():
    return make.world()


@pytest.fixture
def seller(w):
    return goods.seller(w)


@pytest.fixture
def corpus(w, seller):
    """Records at 0.50 yuan, the own share within five days of the order."""
    return goods.offer(w, by=seller, prepay_days=5)


@pytest.fixture(autouse=True)
def _balanced():
    yield
    assert verification.verify() == []


def payment_of(made):
    return Payment.objects.get(charge_id=Order.objects.get(pk=made.pk).charge_id)


def fresh(made):
    return Order.objects.select_related("charge").get(pk=made.pk)


def codes(caught):
    return [reason.code for reason in caught.value.reasons]


def test_delivery_begins_once_the_own_share_has_arrived_and_what_was_not_delivered_goes_back(w, seller, corpus):
    voucher = goods.voucher(w)
    made = goods.order(w, corpus, pay_with=voucher)
    asked = payment_of(made)
    assert (made.prepay_by, asked.collect, asked.amount_fen, asked.due_until) == (
        NOW + 5 * DAY,
        "before",
        25_000,
        NOW + 5 * DAY,
    )
    orders.accept(actor=seller, order=made, now=NOW)
    with pytest.raises(Refused) as caught:
        orders.begin(actor=seller, order=made, now=NOW)
    assert codes(caught) == ["order.not_paid"]
    arrives(asked, fen=10_000)
    with pytest.raises(Refused):
        orders.begin(actor=seller, order=made, now=NOW)
    arrives(asked, fen=15_000)
    assert Record.objects.filter(action="order.prepaid", subject=made.subject).count() == 1
    orders.begin(actor=seller, order=made, now=NOW)
    orders.add_file(actor=seller, order=made, purpose="delivery_proof", upload=goods.PDF, now=NOW)
    orders.deliver(actor=seller, order=made, quantities=[Line("record", Fraction(600))], now=NOW)
    done = orders.approve(actor=w.researcher, order=made, now=NOW)
    asked.refresh_from_db()
    assert (done.charge.own_captured_fen, done.charge.voucher_captured_fen) == (15_000, 15_000)
    assert (asked.state, asked.paid_fen, asked.owed_back_fen) == ("confirmed", 25_000, 10_000)
    assert unapplied(w.enterprise.pk, asked) == 10_000


def test_what_a_voucher_pays_whole_asks_for_nothing_and_delivery_begins_at_once(w, seller, corpus):
    voucher = goods.voucher(w, lines=[{"id": "100%", "rate": "1.00"}])
    made = goods.order(w, corpus, pay_with=voucher)
    assert (made.prepay_by, Payment.objects.count()) == (None, 0)
    assert goods.delivering(w, made, by=seller).state == "delivering"


def test_terms_changed_later_do_not_touch_orders_placed_before(w, seller, corpus):
    made = goods.order(w, corpus)
    services.change_offer(actor=seller, offer=corpus, values=goods.values(prepay_days=0), now=NOW)
    assert (fresh(made).prepay_by, goods.order(w, corpus).prepay_by) == (NOW + 5 * DAY, None)


@pytest.mark.parametrize("accepted", [False, True])
def test_an_order_not_paid_in_time_lapses_by_the_clock_and_everything_held_is_free(w, seller, corpus, accepted):
    voucher = goods.voucher(w)
    made = goods.order(w, corpus, pay_with=voucher)
    if accepted:
        orders.accept(actor=seller, order=made, now=NOW)
    asked = payment_of(made)
    arrives(asked, fen=9_999)
    assert deadlines.run_deadlines(now=NOW + 5 * DAY - timedelta(seconds=1)) == 0
    assert deadlines.run_deadlines(now=NOW + 5 * DAY) == 1
    assert deadlines.run_deadlines(now=NOW + 6 * DAY) == 0
    asked.refresh_from_db()
    assert (fresh(made).state, asked.owed_back_fen) == ("lapsed", 9_999)
    assert balances.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen == 0


def test_a_bank_number_declared_for_two_orders_stops_no_deadline(w, corpus):
    """The payer wrote one transfer's number for both: it confirmed one, a part of it was applied to the other."""
    first, second, third = (goods.order(w, corpus) for _each in range(3))
    for made in (first, second):
        payments.declare(actor=w.owner, payment=payment_of(made), bank_reference="X-1", now=NOW)
    payments.confirm(actor=w.finance, payment=payment_of(first), bank_reference="X-1", now=NOW)
    arrives(payment_of(second), fen=20_000)
    deadlines.run_deadlines(now=NOW + 20 * DAY)
    assert (fresh(second).state, fresh(third).state) == ("lapsed", "lapsed")
    owed = payment_of(second)
    assert (owed.state, owed.owed_back_fen, owed.bank_reference) == ("confirmed", 20_000, "")
    assert payment_of(first).bank_reference == "X-1"


def test_what_goes_wrong_with_one_order_keeps_no_other_waiting(w, corpus, monkeypatch):
    broken, other = goods.order(w, corpus), goods.order(w, corpus)
    end = orders.end

    def breaks(order, *args, **more):
        if order.pk == broken.pk:
            raise IntegrityError
        return end(order, *args, **more)

    monkeypatch.setattr(orders, "end", breaks)
    assert deadlines.run_deadlines(now=NOW + 5 * DAY) == 1
    assert (fresh(broken).state, fresh(other).state) == ("placed", "lapsed")


def test_an_order_whose_money_was_matched_wrongly_waits_for_it_and_does_not_lapse(w, seller, corpus):
    made = goods.order(w, corpus)
    orders.accept(actor=seller, order=made, now=NOW)
    arrival = arrives(payment_of(made))
    taking_back.take_back(arrival=arrival, asked_by="甲", reason="附言填错", actor=w.finance_approver, now=NOW + DAY)
    assert payment_of(made).state == "due"
    assert deadlines.run_deadlines(now=NOW + 6 * DAY) == 0
    with pytest.raises(Refused):
        orders.begin(actor=seller, order=made, now=NOW + 6 * DAY)
    arrives(payment_of(made), after=7 * DAY)
    assert (fresh(made).state, payment_of(made).state, Order.objects.count()) == ("accepted", "confirmed", 1)


def test_a_transfer_made_in_time_counts_though_its_line_is_matched_later(w, corpus):
    made = goods.order(w, corpus)
    bring(w, row("A1", "500.00", day="2026-11-26", name="某公司"))
    part = pay(payment_of(made), 50_000)
    banking.match(actor=w.finance, line=line("A1"), parts=part, now=NOW + 5 * DAY + timedelta(hours=1))
    arrival = payment_of(made).arrivals.get()
    assert (fresh(made).state, Order.objects.count()) == ("placed", 1)
    assert arrival.arrived_at.isoformat() == "2026-11-26T15:59:59+00:00"
    assert payment_of(made).state == "confirmed"


def test_a_transfer_declared_in_time_is_waited_for_until_the_statement_shows_it(w, corpus):
    seen, missed, wrong, late = (goods.order(w, corpus) for _each in range(4))
    for made in (seen, missed, wrong):
        payments.declare(actor=w.owner, payment=payment_of(made), bank_reference="X-1", now=NOW)
    payments.declare(actor=w.owner, payment=payment_of(late), bank_reference="X-1", now=NOW + 5 * DAY)
    payments.return_declared(actor=w.finance, payment=payment_of(wrong), note="没有到账", now=NOW + 4 * DAY)
    assert deadlines.run_deadlines(now=NOW + 5 * DAY) == 2
    assert [fresh(made).state for made in (wrong, late)] == ["lapsed", "lapsed"]
    payments.confirm(actor=w.finance, payment=payment_of(seen), bank_reference="X-1", now=NOW + 7 * DAY)
    assert deadlines.run_deadlines(now=NOW + 8 * DAY - timedelta(seconds=1)) == 0
    assert deadlines.run_deadlines(now=NOW + 8 * DAY) == 1
    assert (fresh(seen).state, fresh(missed).state, Order.objects.count()) == ("placed", "lapsed", 4)


@pytest.mark.parametrize(("source", "after"), [("dispute:dp_1/2", 6 * DAY), ("attempt:old", 35 * DAY)])
def test_money_of_a_dispute_or_far_too_late_orders_nothing_again(w, corpus, source, after):
    made = goods.order(w, corpus)
    deadlines.run_deadlines(now=NOW + 5 * DAY)
    arrives(payment_of(made), after=after, source=source)
    assert (Order.objects.count(), unapplied(w.enterprise.pk)) == (1, 50_000)


def test_what_lapsed_unpaid_is_told_from_what_no_provider_answered(w, corpus):
    paid, partly, unpaid = (goods.order(w, corpus) for _each in range(3))
    arrives(payment_of(paid), after=DAY)
    arrives(payment_of(partly), fen=10_000, after=DAY)
    assert deadlines.run_deadlines(now=NOW + 20 * DAY) == 3
    shown = access.own_orders(w.researcher)
    assert [queries.is_unpaid(shown.get(pk=made.pk)) for made in (paid, partly, unpaid)] == [False, True, True]


def test_a_provider_has_its_days_to_answer_from_the_money_on(w, corpus):
    made = goods.order(w, corpus)
    arrives(payment_of(made), after=4 * DAY)
    assert deadlines.run_deadlines(now=NOW + rules.UNANSWERED + 3 * DAY) == 0
    assert deadlines.run_deadlines(now=NOW + rules.UNANSWERED + 4 * DAY) == 1
    asked = payment_of(made)
    assert (fresh(made).state, asked.owed_back_fen, asked.paid_fen) == ("lapsed", 50_000, 50_000)


@pytest.mark.parametrize("by_the_clock", [True, False])
def test_late_money_orders_the_same_again_at_the_same_price_once(w, seller, corpus, by_the_clock):
    made = goods.order(w, corpus)
    late = payment_of(made)
    if by_the_clock:
        deadlines.run_deadlines(now=NOW + 5 * DAY)
    for _delivery in range(3):
        arrives(late, after=5 * DAY, source="attempt:late")
    again = Order.objects.get(again_of=made)
    assert (fresh(made).state, again.state, again.purpose) == ("lapsed", "placed", made.purpose)
    late.refresh_from_db()
    paid = payment_of(again)
    assert (late.state, paid.state, paid.paid_fen, unapplied(w.enterprise.pk)) == ("cancelled", "confirmed", 50_000, 0)
    assert goods.delivering(w, again, by=seller).state == "delivering"
    arrives(late, after=6 * DAY)
    assert unapplied(w.enterprise.pk) == 50_000
    assert Order.objects.count() == 2


def _suspend(w, seller, corpus):
    services.change_state(actor=seller, offer=corpus, action=rules.OfferAction.SUSPEND, now=NOW)


def _dearer(w, seller, corpus):
    item = goods.PriceItem(
        **{
            **{name: getattr(goods.RECORDS, name) for name in ("code", "name", "name_en", "unit")},
            "tiers": (goods.Tier(Fraction(51)),),
        }
    )
    services.publish_prices(actor=seller, offer=corpus, items=(item,), effective_from=NOW + DAY, now=NOW)


def _other_licence(w, seller, corpus):
    services.change_offer(actor=seller, offer=corpus, values=goods.values(prepay_days=5, licence="仅限一年"), now=NOW)


def _after_acceptance(w, seller, corpus):
    services.change_offer(actor=seller, offer=corpus, values=goods.values(prepay_days=0), now=NOW)


@pytest.mark.parametrize("changed", [_suspend, _dearer, _other_licence, _after_acceptance])
def test_late_money_for_what_is_not_sold_so_any_more_goes_back(w, seller, corpus, changed):
    made = goods.order(w, corpus)
    changed(w, seller, corpus)
    arrives(payment_of(made), after=5 * DAY)
    assert (fresh(made).state, payment_of(made).state, Order.objects.count()) == ("lapsed", "cancelled", 1)
    assert unapplied(w.enterprise.pk) == 50_000


def test_money_for_an_order_cancelled_before_it_was_paid_goes_back(w, corpus):
    made = goods.order(w, corpus)
    orders.cancel(actor=w.researcher, order=made, note="", now=NOW)
    assert payment_of(made).state == "cancelled"
    arrives(payment_of(made))
    assert (fresh(made).state, unapplied(w.enterprise.pk), Order.objects.count()) == ("cancelled", 50_000, 1)


def test_a_paid_order_that_is_declined_cancelled_or_given_up_owes_the_advance_back(w, seller, corpus):
    ends = (
        lambda made: orders.decline(actor=seller, order=made, note="排期已满", now=NOW),
        lambda made: orders.cancel(actor=w.researcher, order=made, note="", now=NOW),
        lambda made: orders.give_up(actor=seller, order=goods.delivering(w, made, by=seller), note="无法整理", now=NOW),
    )
    for end in ends:
        made = goods.order(w, corpus)
        arrives(payment_of(made))
        end(made)
        assert payment_of(made).owed_back_fen == 50_000


def test_money_above_the_advance_is_the_payers(w, corpus):
    made = goods.order(w, corpus)
    arrives(payment_of(made), fen=50_007)
    asked = payment_of(made)
    assert (asked.state, asked.paid_fen, unapplied(w.enterprise.pk)) == ("confirmed", 50_000, 7)


def test_nothing_of_another_kind_or_number_is_fulfilled(w, corpus):
    made = goods.order(w, corpus)
    assert prepaying.fulfil("order:D-none", charge_id=made.charge_id, paid_at=NOW, now=NOW) is None
    assert prepaying.fulfil(made.subject, charge_id=0, paid_at=NOW, now=NOW) is None


def test_an_offer_says_its_days_within_bounds(w, seller, corpus):
    with pytest.raises(Refused) as caught:
        services.change_offer(actor=seller, offer=corpus, values=goods.values(prepay_days=16), now=NOW)
    assert codes(caught) == ["offer.prepay_days"]


@pytest.mark.django_db(transaction=True)
def test_late_money_and_the_clock_at_once_order_again_once(w, seller):
    from tests.scheduler.bookings.test_services import race

    corpus = goods.offer(w, by=seller, prepay_days=5)
    for at in range(4):
        made = goods.order(w, corpus)
        late = payment_of(made)

        def act(number, late=late, at=at):
            if number:
                return arriving.receive(
                    payment=late,
                    amount=Money(50_000),
                    source=f"attempt:race-{at}",
                    account="rail:stripe",
                    actor=Actor.system("test"),
                    now=NOW + 5 * DAY,
                )
            return deadlines.run_deadlines(now=NOW + 5 * DAY)

        found = race(3, act)
        assert not [one for one in found if isinstance(one, Exception)], found
        again = Order.objects.get(again_of=made)
        assert payment_of(again).paid_fen == 50_000
    assert unapplied(w.enterprise.pk) == 0
