"""A price list on PostgreSQL: lines end where the next begin, and never overlap."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from portal.kernel.errors import Forbidden, NotFound, Refused
from portal.kernel.money import Money
from scheduler.resources import fees, pricing, queries, rules, services
from scheduler.resources.models import Rate
from scheduler.resources.profile import ServiceMode
from scheduler.search import queries as search
from scheduler.search.rules import Requirement
from tests import make

pytestmark = pytest.mark.django_db

NOW = make.NOW
DAY = timedelta(days=1)


def put(w, resource, yuan="60", *, unit=rules.Unit.HOUR, since=NOW, now=NOW, **changes):
    said = {"mode": ServiceMode.SELF, "user_class": fees.UserClass.EXTERNAL, **changes}
    item = fees.PriceItem(unit=unit, since=since, amount=Money.from_yuan(yuan), **said)
    return pricing.set_price(actor=w.keeper, resource=resource, item=item, now=now)


def hourly(resource, at) -> int:
    rate = queries.rate_of_resource(resource.pk, at=at)
    assert rate is not None
    return rate.amount_fen


def test_an_announced_price_follows_the_one_in_force(w):
    resource = make.instrument(w)
    put(w, resource, "500", since=NOW + DAY)
    assert (hourly(resource, NOW + DAY - timedelta(seconds=1)), hourly(resource, NOW + DAY)) == (48000, 50000)
    with pytest.raises(pricing.Announced):
        put(w, resource, "550")


def test_an_announcement_withdrawn_leaves_the_price_as_it_was(w):
    resource = make.instrument(w)
    later = put(w, resource, "500", since=NOW + DAY)
    pricing.end_price(actor=w.keeper, resource=resource, rate_id=later.pk, now=NOW)
    assert hourly(resource, NOW + 2 * DAY) == 48000
    with pytest.raises(NotFound):
        pricing.end_price(actor=w.keeper, resource=resource, rate_id=later.pk, now=NOW)


def test_other_modes_units_and_classes_stand_beside_the_hour_enterprises_pay(w):
    resource = make.instrument(w)
    put(w, resource, "60", mode=ServiceMode.SAMPLE, unit=rules.Unit.SAMPLE)
    put(w, resource, "100", user_class=fees.UserClass.INTERNAL)
    put(w, resource, "900", mode=ServiceMode.TECHNICAL)
    assert len(queries.prices_of_resource(resource.pk, at=NOW)) == 4
    assert hourly(resource, NOW) == queries.rates_of_resources([resource.pk], at=NOW)[resource.pk].amount_fen == 48000
    sample = queries.price_of(resource.pk, mode=ServiceMode.SAMPLE, unit=rules.Unit.SAMPLE, at=NOW)
    assert sample is not None
    assert sample.amount_fen == 6000
    found = search.find(Requirement(duration_s=3600, since=NOW, until=NOW + 3 * DAY), now=NOW)
    assert [hit.hourly_fen for hit in found.hits] == [48000]


def test_the_database_refuses_two_prices_at_one_time(w):
    resource = make.instrument(w)
    with pytest.raises(IntegrityError), transaction.atomic():
        Rate.objects.create(resource=resource, unit="hour", amount_fen=1, valid=(NOW + DAY, None))
    for wrong in ({"unit": "value_day", "amount_fen": 5}, {"unit": "hour", "share_ppm": 20000}, {"mode": "gift"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Rate.objects.create(resource=resource, valid=(NOW - 2 * DAY, NOW - DAY), **{"unit": "test", **wrong})


def test_a_mode_on_offer_has_a_price_before_it_is_published(w):
    resource = make.instrument(w)
    services.change_state(actor=w.keeper, resource=resource, action=rules.PublishAction.SUSPEND, now=NOW)
    values = make.instrument_values(modes=("self", "sample"))
    services.change_instrument(actor=w.keeper, resource=resource, values=values, now=NOW)
    with pytest.raises(Refused) as refused:
        services.change_state(actor=w.keeper, resource=resource, action=rules.PublishAction.PUBLISH, now=NOW)
    assert [reason.code for reason in refused.value.reasons] == ["instrument.no_mode_rate"]
    put(w, resource, mode=ServiceMode.SAMPLE, unit=rules.Unit.SAMPLE)
    services.change_state(actor=w.keeper, resource=resource, action=rules.PublishAction.PUBLISH, now=NOW)


def test_only_its_lab_prices_an_instrument(w):
    resource = make.instrument(w)
    other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
    item = fees.PriceItem(ServiceMode.SELF, rules.Unit.HOUR, fees.UserClass.EXTERNAL, NOW, Money(1))
    for someone in (other, w.lab_owner, w.researcher):
        with pytest.raises(Forbidden):
            pricing.set_price(actor=someone, resource=resource, item=item, now=NOW)
