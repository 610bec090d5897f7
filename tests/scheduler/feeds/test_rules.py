from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.feeds import rules

START = datetime(2026, 11, 26, 7, tzinfo=UTC)
moments = st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=300).map(sorted)


@given(moments)
def test_no_hour_that_begins_with_a_fetch_answers_more_than_sixty(seconds):
    use, answered = rules.Use(None, 0), []
    for second in seconds:
        now = START + timedelta(seconds=second)
        try:
            use = rules.fetched(use, now=now)
        except rules.FeedTooOften as error:
            wait = timedelta(seconds=error.params["after_s"])
            assert timedelta(0) < wait <= rules.HOUR + timedelta(seconds=1)
            assert rules.fetched(use, now=now + wait).count == 1
        else:
            answered.append((use.since, now))
    for since in {since for since, _now in answered}:
        assert sum(each == since for each, _now in answered) <= rules.HOURLY
        assert all(now - since < rules.HOUR for each, now in answered if each == since)


def test_one_document_holds_for_a_day_and_reaches_30_days_back_and_180_ahead():
    found = rules.window(START, rules.FeedKind.EVENTS)
    for moment in (START.replace(hour=0), START.replace(hour=23, minute=59)):
        assert rules.window(moment, rules.FeedKind.FREEBUSY) == found
    assert rules.window(START, rules.FeedKind.AVAILABILITY).start == START.replace(hour=0)
    assert (found.start, found.end) == (datetime(2026, 10, 27, tzinfo=UTC), datetime(2027, 5, 25, tzinfo=UTC))


def test_a_secret_has_192_bits_and_its_digest_does_not_tell_it():
    secret = rules.new_secret()
    assert len(secret) == 32
    assert secret != rules.new_secret()
    assert secret not in rules.digest_of(secret)
    assert len(rules.digest_of(secret)) == 64


@given(st.lists(st.one_of(st.text(), st.integers(), st.none())), st.lists(st.one_of(st.text(), st.integers())))
def test_equal_parts_have_equal_tags_and_no_others(one, other):
    assert (rules.tag(one) == rules.tag(other)) is (repr(one) == repr(other))


@pytest.mark.parametrize("privacy", [rules.FeedPrivacy.TITLE, rules.FeedPrivacy.FULL])
def test_only_events_have_words_to_tell(privacy):
    rules.offer_refusal(rules.FeedKind.EVENTS, privacy, of_instrument=False)
    rules.offer_refusal(rules.FeedKind.FREEBUSY, rules.FeedPrivacy.BUSY, of_instrument=False)
    with pytest.raises(rules.PrivacyNotOffered):
        rules.offer_refusal(rules.FeedKind.FREEBUSY, privacy, of_instrument=True)


def test_only_instruments_have_opening_hours():
    rules.offer_refusal(rules.FeedKind.AVAILABILITY, rules.FeedPrivacy.BUSY, of_instrument=True)
    with pytest.raises(rules.KindNotOffered):
        rules.offer_refusal(rules.FeedKind.AVAILABILITY, rules.FeedPrivacy.BUSY, of_instrument=False)
