"""Ratings: once, when the service is over, by who had it; the lab answers once."""

from __future__ import annotations

from fractions import Fraction

import pytest

from portal.kernel.errors import Forbidden, NotFound
from portal.organisations import rules as roles
from scheduler.ratings import access, queries, rules, services
from scheduler.ratings.queries import Standing
from tests import make


@pytest.fixture
def used(w):
    w.sem = make.instrument(w)
    return make.measured(w, make.booking(w, w.sem))


def rate(w, booking, stars=5, **more):
    values = {"actor": w.researcher, "comment": "很好", "now": make.NOW, **more}
    return services.rate_booking(booking=booking, stars=stars, **values)


def test_a_finished_booking_is_rated_once(w, used):
    made = rate(w, used, stars=4)
    assert queries.standing(made.resource_id) == Standing(1, Fraction(4))
    with pytest.raises(rules.AlreadyRated):
        rate(w, used)


def test_only_who_had_it_rates_it_and_only_when_it_is_over(w, used):
    with pytest.raises(Forbidden):
        rate(w, used, actor=make.applicant())
    with pytest.raises(rules.NotOver):
        rate(w, make.booking(w, w.sem, period=make.slot(days=3)))


@pytest.mark.parametrize("stars", [0, 6, -1])
def test_stars_are_one_to_five(w, used, stars):
    with pytest.raises(rules.BadStars):
        rate(w, used, stars=stars)


def test_the_lab_answers_once_and_no_other_lab(w, used):
    made = rate(w, used)
    with pytest.raises(NotFound):
        access.get_served(make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER), made.pk)
    answered = services.answer(actor=w.keeper, rating=made, text="谢谢", now=make.NOW)
    assert answered.answer == "谢谢"
    with pytest.raises(rules.AlreadyAnswered):
        services.answer(actor=w.keeper, rating=made, text="再谢", now=make.NOW)


@pytest.mark.parametrize(
    ("total", "count", "text"), [(9, 2, "4.5"), (14, 3, "4.7"), (13, 3, "4.3"), (17, 4, "4.3"), (5, 1, "5.0")]
)
def test_averages_are_told_with_one_decimal(total, count, text):
    assert Standing(count, Fraction(total, count)).text == text
