from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, NotFound
from portal.organisations import rules as roles
from scheduler.feeds import access, rules, services
from scheduler.feeds.models import FeedReader, FeedToken
from tests import make

PHONE = services.Reader("192.0.2.7", "iOS/19 dataaccessd")


def fetch(secret, *, now=make.NOW, reader=PHONE, kind=rules.FeedKind.EVENTS):
    return services.record_fetch(secret=secret, kind=kind, reader=reader, now=now)


@pytest.fixture
def sem(w):
    return make.instrument(w)


def test_the_secret_is_told_once_and_kept_nowhere(w, sem):
    token, secret = make.feed(w.keeper, sem)
    assert secret not in str(FeedToken.objects.filter(pk=token.pk).values())
    assert not Record.objects.filter(data__icontains=secret).exists()
    assert Record.objects.filter(action="feed.issued", subject=f"instrument:{sem.number}").count() == 1
    assert fetch(secret).resource == sem


def test_an_address_is_of_ones_own_instrument_or_ones_own_bookings(w, sem):
    stranger = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
    for other in (stranger, w.researcher):
        with pytest.raises(Forbidden):
            make.feed(other, sem)
    with pytest.raises(Forbidden):
        make.feed(w.keeper)
    token, _secret = make.feed(w.researcher)
    assert (token.user_id, token.resource) == (w.researcher.user_id, None)


def test_who_may_not_see_an_address_cannot_end_it(w, sem):
    labs, _secret = make.feed(w.keeper, sem)
    persons, _secret = make.feed(w.researcher)
    for actor, token in ((w.owner, persons), (w.keeper, persons), (w.researcher, labs)):
        with pytest.raises(NotFound):
            access.get_feed(actor, token.pk)
        with pytest.raises(Forbidden):
            services.revoke(actor=actor, token=token, now=make.NOW)
    assert FeedToken.objects.filter(revoked_at__isnull=True).count() == 2


def test_a_revoked_address_is_gone_once_and_for_all(w, sem):
    token, secret = make.feed(w.keeper, sem)
    _other, second = make.feed(w.keeper, sem)
    services.revoke(actor=w.keeper, token=token, now=make.NOW)
    services.revoke(actor=w.keeper, token=token, now=make.NOW + timedelta(days=1))
    token.refresh_from_db()
    assert token.revoked_at == make.NOW
    assert Record.objects.filter(action="feed.revoked").count() == 1
    with pytest.raises(rules.FeedRevoked):
        fetch(secret)
    assert fetch(second)


def test_a_document_is_not_had_under_the_secret_of_another(w, sem):
    _token, secret = make.feed(w.keeper, sem)
    with pytest.raises(NotFound):
        fetch(secret, kind=rules.FeedKind.FREEBUSY)


def test_who_may_sign_in_no_more_has_no_feed(w):
    _token, secret = make.feed(w.researcher)
    person = make.user_of(w.researcher)
    person.is_active = False
    person.save()
    with pytest.raises(rules.FeedRevoked):
        fetch(secret)


def test_the_owner_learns_who_fetched_and_how_often(w, sem):
    token, secret = make.feed(w.keeper, sem)
    stranger = services.Reader("203.0.113.9", "curl/8" + "x" * 300)
    for minutes, reader in ((0, PHONE), (5, PHONE), (9, stranger)):
        fetch(secret, now=make.NOW + timedelta(minutes=minutes), reader=reader)
    token.refresh_from_db()
    assert (token.fetches, token.last_fetched_at) == (3, make.NOW + timedelta(minutes=9))
    told = [(r.address, len(r.program), r.fetches, r.last_at - r.first_at) for r in token.readers.all()]
    assert told == [("203.0.113.9", 160, 1, timedelta(0)), ("192.0.2.7", 18, 2, timedelta(minutes=5))]
    fetch(secret, now=make.NOW + timedelta(days=91), reader=services.Reader("198.51.100.1", "khal"))
    assert list(FeedReader.objects.values_list("program", flat=True)) == ["khal"]


def test_the_sixty_first_fetch_of_an_hour_is_refused_and_not_counted(w, sem):
    token, secret = make.feed(w.keeper, sem)
    FeedToken.objects.filter(pk=token.pk).update(hour_since=make.NOW, hour_count=rules.HOURLY - 1)
    fetch(secret, now=make.NOW + timedelta(minutes=10))
    with pytest.raises(rules.FeedTooOften) as caught:
        fetch(secret, now=make.NOW + timedelta(minutes=20))
    assert caught.value.params["after_s"] == 40 * 60 + 1
    assert fetch(secret, now=make.NOW + timedelta(hours=1)).hour_count == 1


@pytest.mark.parametrize("label", ["", "  ", "长" * 61])
def test_an_address_has_a_name(w, sem, label):
    with pytest.raises(services.LabelMissing):
        make.feed(w.keeper, sem, label=label)


def test_only_so_many_addresses_are_in_force(w, sem, monkeypatch):
    monkeypatch.setattr(rules, "MAX_LIVE", 2)
    first, _secret = make.feed(w.keeper, sem)
    make.feed(w.keeper, sem)
    with pytest.raises(rules.FeedsTooMany):
        make.feed(w.keeper, sem)
    services.revoke(actor=w.keeper, token=first, now=make.NOW)
    make.feed(w.keeper, sem)
