"""Offers and orders on PostgreSQL: prices that stay, refusals all at once, money that follows the order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.idempotency import KeyReused
from portal.kernel.money import MAX_FEN
from portal.organisations import rules as roles
from tests import make
from tests.vouchers.offers import goods
from vouchers.charges.prices import BadPriceList, Line, Tier
from vouchers.ledger import queries as ledger
from vouchers.ledger import verification
from vouchers.offers import access, deadlines, disputes, importing, orders, queries, rules, services
from vouchers.offers.models import Offer, Order, PriceList
from vouchers.offers.usage import UsageValue

NOW = make.NOW


@pytest.fixture
def seller(w):
    return goods.seller(w)


@pytest.fixture
def corpus(w, seller):
    return goods.offer(w, by=seller)


def codes(caught):
    return [reason.code for reason in caught.value.reasons]


def left(voucher):
    return ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen


def test_an_offer_needs_a_price_list_in_force_to_be_published(w, seller):
    made = services.create_offer(actor=seller, values=goods.values(), now=NOW)
    with pytest.raises(Refused) as caught:
        services.change_state(actor=seller, offer=made, action=rules.OfferAction.PUBLISH, now=NOW)
    assert codes(caught) == ["offer.no_price_list"]
    later = NOW + timedelta(days=1)
    services.publish_prices(actor=seller, offer=made, items=[goods.RECORDS], effective_from=later, now=NOW)
    with pytest.raises(Refused):
        services.change_state(actor=seller, offer=made, action=rules.OfferAction.PUBLISH, now=NOW)
    services.change_state(actor=seller, offer=made, action=rules.OfferAction.PUBLISH, now=later)


def test_every_wrong_value_of_an_offer_is_named(w, seller):
    bad = goods.values(title=" ", licence="", kind="x", delivery="x", channel="x", acceptance_days=2)
    with pytest.raises(Refused) as caught:
        services.create_offer(actor=seller, values=bad, now=NOW)
    assert {reason.field for reason in caught.value.reasons} == {
        *("title", "licence", "kind", "delivery", "channel", "acceptance_days")
    }


def test_a_published_price_list_never_changes(w, seller, corpus):
    with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
        PriceList.objects.update(items=[])
    with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
        PriceList.objects.all().delete()


def test_lists_follow_each_other_in_time(w, seller, corpus):
    dearer = replace(goods.RECORDS, tiers=(Tier(Fraction(60)),))
    tomorrow = NOW + timedelta(days=1)
    services.publish_prices(actor=seller, offer=corpus, items=[dearer], effective_from=tomorrow, now=NOW)
    assert queries.list_in_force(corpus, at=NOW).version == 1
    assert queries.list_in_force(corpus, at=tomorrow).version == 2
    for moment, code in ((NOW - timedelta(1), "price.past"), (tomorrow, "price.before_latest")):
        with pytest.raises(Refused) as caught:
            services.publish_prices(actor=seller, offer=corpus, items=[dearer], effective_from=moment, now=NOW)
        assert code in codes(caught)
    with pytest.raises(BadPriceList):
        services.publish_prices(actor=seller, offer=corpus, items=[], effective_from=tomorrow, now=NOW)


def test_a_list_that_ends_leaves_no_price(w, seller):
    made = services.create_offer(actor=seller, values=goods.values(), now=NOW)
    until = NOW + timedelta(days=1)
    services.publish_prices(
        actor=seller, offer=made, items=[goods.RECORDS], effective_from=NOW, effective_to=until, now=NOW
    )
    services.change_state(actor=seller, offer=made, action=rules.OfferAction.PUBLISH, now=NOW)
    with pytest.raises(rules.NoPrice):
        orders.place(actor=w.researcher, wanted=goods.wanted(made), now=until, key=make.key())


def test_an_order_keeps_the_price_and_licence_of_its_moment(w, seller, corpus):
    made = goods.order(w, corpus, "1000")
    dearer = replace(goods.RECORDS, tiers=(Tier(Fraction(60)),))
    soon = NOW + timedelta(minutes=1)
    services.publish_prices(actor=seller, offer=corpus, items=[dearer], effective_from=soon, now=NOW)
    services.change_offer(actor=seller, offer=corpus, values=goods.values(licence="另一种许可"), now=NOW)
    done = goods.delivered(w, made, by=seller)
    done = orders.approve(actor=w.researcher, order=done, now=soon)
    assert done.charge.actual_fen == 50_000
    assert done.licence.startswith("仅限贵单位内部")


def test_a_voucher_pays_its_share_of_the_list_price_and_the_price_never_falls(w, seller, corpus):
    voucher = goods.voucher(w)
    made = goods.order(w, corpus, "1000", pay_with=voucher)
    assert (made.charge.price_fen, made.charge.voucher_held_fen, made.charge.own_held_fen) == (50_000, 25_000, 25_000)
    done = goods.delivered(w, made, by=seller, quantity="900")
    orders.approve(actor=w.researcher, order=done, now=NOW)
    made.charge.refresh_from_db()
    assert (made.charge.actual_fen, made.charge.voucher_captured_fen) == (45_000, 22_500)
    assert left(voucher) == 5_000_000 - 22_500
    assert verification.verify() == []


def test_every_refusal_comes_at_once_and_nothing_is_held(w, seller, corpus):
    voucher = (
        goods.voucher(w, "compute", cost={"include": ["compute"], "when": ["contract.channel", "=", "data_exchange"]})
        if False
        else goods.voucher(w, "model_api")
    )
    with pytest.raises(Refused) as caught:
        goods.order(w, corpus, "0", pay_with=voucher, related=True)
    assert codes(caught) == ["order.nothing", "voucher.wrong_service", "order.related"]
    assert not Order.objects.exists()
    assert left(voucher) == 5_000_000


def test_a_voucher_too_small_or_expired_is_refused(w, seller, corpus):
    voucher = goods.voucher(w)
    with pytest.raises(Refused) as caught:
        goods.order(w, corpus, "200001", pay_with=voucher)
    assert codes(caught) == ["voucher.too_small"]
    with pytest.raises(Refused) as caught:
        orders.place(
            actor=w.researcher,
            wanted=goods.wanted(corpus, vouchers=[voucher]),
            now=voucher.valid_until,
            key=make.key(),
        )
    assert codes(caught) == ["voucher.not_valid"]


def test_a_provider_cannot_buy_from_itself(w, seller, corpus):
    with pytest.raises(Forbidden):
        orders.place(actor=seller, wanted=goods.wanted(corpus), now=NOW, key=make.key())
    quote = queries.quote(corpus, lines=goods.wanted(corpus).lines, organisation_id=w.lab.pk, now=NOW)
    assert [reason.code for reason in quote.reasons] == ["order.own"]


def test_a_suspended_offer_takes_no_orders_and_keeps_those_it_has(w, seller, corpus):
    made = goods.order(w, corpus)
    services.change_state(actor=seller, offer=corpus, action=rules.OfferAction.SUSPEND, now=NOW)
    with pytest.raises(Refused) as caught:
        goods.order(w, corpus)
    assert codes(caught) == ["offer.not_on_sale"]
    orders.accept(actor=seller, order=made, now=NOW)


def test_one_key_is_one_order(w, corpus):
    key = make.key()
    first = orders.place(actor=w.researcher, wanted=goods.wanted(corpus), now=NOW, key=key)
    again = orders.place(actor=w.researcher, wanted=goods.wanted(corpus), now=NOW, key=key)
    assert first.pk == again.pk
    with pytest.raises(KeyReused):
        orders.place(actor=w.researcher, wanted=goods.wanted(corpus, "2"), now=NOW, key=key)


@pytest.mark.parametrize("purpose", ["", " ", "长" * 201])
def test_an_order_says_what_for(w, corpus, purpose):
    with pytest.raises(orders.PurposeMissing):
        goods.order(w, corpus, purpose=purpose)


def test_declined_cancelled_lapsed_and_given_up_orders_give_everything_back(w, seller, corpus):
    voucher = goods.voucher(w)
    ends = (
        lambda made: orders.decline(actor=seller, order=made, note="目前排期已满", now=NOW),
        lambda made: orders.cancel(actor=w.researcher, order=made, note="", now=NOW),
        lambda made: deadlines.run_deadlines(now=NOW + rules.UNANSWERED),
        lambda made: orders.give_up(
            actor=seller, order=goods.delivering(w, made, by=seller), note="数据无法按期整理", now=NOW
        ),
    )
    states = []
    for end in ends:
        made = goods.order(w, corpus, pay_with=voucher)
        end(made)
        made.refresh_from_db()
        states.append(made.state)
        assert left(voucher) == 5_000_000
    assert states == ["declined", "cancelled", "lapsed", "cancelled"]
    assert verification.verify() == []


def test_delivery_says_everything_that_lacks(w, seller):
    exchanged = goods.offer(w, by=seller, channel="data_exchange")
    made = goods.delivering(w, goods.order(w, exchanged), by=seller)
    with pytest.raises(rules.NotDeliverable) as caught:
        orders.deliver(actor=seller, order=made, quantities=[Line("record", Fraction(1001))], now=NOW)
    assert codes(caught) == ["order.no_proof", "order.no_certificate", "order.more_than_ordered"]


def test_silence_is_acceptance_only_after_notice_and_a_dispute_stops_the_clock(w, seller, corpus):
    made = goods.delivered(w, goods.order(w, corpus), by=seller)
    deadline = made.accept_by
    assert deadlines.run_deadlines(now=deadline - timedelta(days=2, seconds=1)) == 0
    assert deadlines.run_deadlines(now=deadline - timedelta(days=2)) == 1
    assert Record.objects.filter(action="order.acceptance_due", subject=made.subject).count() == 1
    assert deadlines.run_deadlines(now=deadline - timedelta(seconds=1)) == 0
    assert deadlines.run_deadlines(now=deadline) == 1
    made.refresh_from_db()
    assert (made.state, made.by_silence) == ("completed", True)


def test_a_late_clock_still_gives_two_days_notice(w, seller, corpus):
    made = goods.delivered(w, goods.order(w, corpus), by=seller)
    late = made.accept_by + timedelta(days=30)
    assert deadlines.run_deadlines(now=late) == 1
    assert deadlines.run_deadlines(now=late + timedelta(days=1)) == 0
    assert deadlines.run_deadlines(now=late + timedelta(days=2)) == 1


def test_a_dispute_freezes_until_the_provider_delivers_again(w, seller, corpus):
    made = goods.delivered(w, goods.order(w, corpus), by=seller)
    disputes.dispute(actor=w.researcher, order=made, note="缺少 200 条", now=NOW)
    assert deadlines.run_deadlines(now=NOW + timedelta(days=90)) == 0
    again = orders.deliver(
        actor=seller, order=made, quantities=[Line("record", Fraction(800))], note="按 800 条", now=NOW
    )
    assert again.state == "delivered"
    done = orders.approve(actor=w.researcher, order=made, now=NOW)
    assert done.actual_fen == 40_000


def lines(quantity):
    return [Line("record", Fraction(quantity))]


@pytest.fixture
def disputed(w, seller, corpus):
    """Return an order of 1,000 records, delivered, paid half by voucher, of which the buyer accepts 700."""
    made = goods.delivered(w, goods.order(w, corpus, pay_with=goods.voucher(w)), by=seller)
    with pytest.raises(Refused):
        disputes.dispute(actor=w.researcher, order=made, note="缺行", quantities=lines(1001), now=NOW)
    return disputes.dispute(actor=w.researcher, order=made, note="缺行", quantities=lines(700), now=NOW)


def test_a_ruling_settles_what_counts_of_a_disputed_delivery_and_frees_the_rest(w, disputed):
    assert disputed.proposed == [{"code": "record", "quantity": "700"}]
    done = disputes.rule(actor=w.approver, order=disputed, note="按抽查结果", quantities=lines(800), now=NOW)
    assert (done.state, done.actual_fen, done.ruled_by_id) == ("completed", 40_000, w.approver.person)
    assert (done.charge.voucher_captured_fen, done.charge.own_captured_fen) == (20_000, 20_000)
    with pytest.raises(InvalidTransition):
        disputes.rule(actor=w.approver, order=disputed, note="再裁", now=NOW)


@pytest.mark.parametrize("quantity", [0, None])
def test_a_ruling_may_count_nothing_or_all(w, disputed, quantity):
    said = None if quantity is None else lines(quantity)
    done = disputes.rule(actor=w.approver, order=disputed, note="裁决", quantities=said, now=NOW)
    assert (done.state, done.charge.state) == (
        ("completed", "captured") if quantity is None else ("cancelled", "released")
    )


def test_a_ruling_is_for_the_paying_department_and_nobody_close_to_a_party(w, disputed):
    for someone in (w.reviewer, w.seller, w.researcher):
        with pytest.raises(Forbidden):
            disputes.rule(actor=someone, order=disputed, note="裁决", now=NOW)
    other = make.actor(make.organisation(roles.Kind.DEPARTMENT), roles.Role.APPROVER)
    with pytest.raises(NotFound):
        disputes.rule(actor=other, order=disputed, note="裁决", now=NOW)
    with pytest.raises(Refused):
        disputes.rule(actor=w.approver, order=disputed, note="裁决", quantities=lines(1001), now=NOW)
    with pytest.raises(rules.NoteMissing):
        disputes.rule(actor=w.approver, order=disputed, note=" ", now=NOW)
    make.Member.objects.create(user=make.user_of(w.approver), organisation=w.lab, roles=["owner"])
    with pytest.raises(rules.Involved):
        disputes.rule(actor=w.approver, order=disputed, note="裁决", now=NOW)


def test_acceptance_before_delivery_and_twice_is_refused(w, seller, corpus):
    made = goods.order(w, corpus)
    with pytest.raises(InvalidTransition):
        orders.approve(actor=w.researcher, order=made, now=NOW)
    goods.delivered(w, made, by=seller)
    orders.approve(actor=w.researcher, order=made, now=NOW)
    with pytest.raises(InvalidTransition):
        orders.approve(actor=w.researcher, order=made, now=NOW)


def test_reasons_are_asked_for(w, seller, corpus):
    made = goods.order(w, corpus)
    with pytest.raises(rules.NoteMissing):
        orders.decline(actor=seller, order=made, note=" ", now=NOW)


def test_only_the_parties_and_the_paying_department_see_an_order(w, seller, corpus):
    voucher = goods.voucher(w)
    made, own = goods.order(w, corpus, pay_with=voucher), goods.order(w, corpus)
    stranger = make.organisation(roles.Kind.ENTERPRISE)
    rival = make.actor(stranger, roles.Role.OWNER)
    with pytest.raises(NotFound):
        access.get_order(rival, made.number)
    for act in (orders.approve, orders.accept, orders.begin):
        with pytest.raises(Forbidden):
            act(actor=rival, order=made, now=NOW)
    other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.SERVICE_MANAGER)
    with pytest.raises(NotFound):
        access.get_order(other, made.number)
    assert [order.pk for order in access.overseen_orders(w.reviewer)] == [made.pk]
    with pytest.raises(NotFound):
        access.get_order(w.reviewer, own.number)


def test_files_belong_to_the_side_that_brings_them(w, seller, corpus):
    made = goods.order(w, corpus)
    orders.add_file(actor=seller, order=made, purpose="licence", upload=goods.PDF, now=NOW)
    orders.add_file(actor=w.researcher, order=made, purpose="acceptance_note", upload=goods.PDF, now=NOW)
    with pytest.raises(Forbidden):
        orders.add_file(actor=w.researcher, order=made, purpose="delivery_proof", upload=goods.PDF, now=NOW)
    with pytest.raises(orders.NoSuchPurpose):
        orders.add_file(actor=seller, order=made, purpose="x", upload=goods.PDF, now=NOW)


def test_the_programmes_rules_on_channel_and_provider_bind_the_voucher(w, seller, corpus):
    voucher = goods.voucher(w, "corpus", cost={"include": ["corpus"], "when": ["contract.related", "=", False]})
    purchase = replace(queries.purchase_of(corpus, related=True))
    assert queries.terms_of(voucher, purchase).failed == {"contract.related"}


def test_an_offer_in_the_database_has_a_known_state(w, corpus):
    with pytest.raises(IntegrityError), transaction.atomic():
        Offer.objects.filter(pk=corpus.pk).update(state="sold")


def test_an_amount_no_book_can_hold_is_told_when_ordered_and_when_delivered(w, seller):
    dear = goods.PriceItem(code="record", name="x", unit=goods.PriceUnit.RECORD, tiers=(goods.Tier(Fraction(MAX_FEN)),))
    with pytest.raises(Refused) as refused:
        goods.order(w, goods.offer(w, items=(dear,)), "1000000")
    assert codes(refused) == ["order.amount"]

    tokens = goods.PriceItem(code="tokens", name="x", unit=goods.PriceUnit.TOKEN, tiers=(goods.Tier(Fraction(10**10)),))
    made = goods.order(w, goods.offer(w, items=(tokens,), kind="model_api"), "1", code="tokens")
    goods.delivering(w, made, by=seller)
    much = UsageValue(row=1, day=make.NOW.date(), reference="r1", code="tokens", quantity=Fraction(10**12))
    importing.import_lines(actor=seller, order=made, lines=[much], now=make.NOW)
    with pytest.raises(rules.NotDeliverable) as undelivered:
        orders.deliver(actor=seller, order=made, now=make.NOW)
    assert codes(undelivered) == ["order.amount"]
