"""What is found is free, the soonest first, and nothing that is free is missed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability import claiming, queries
from scheduler.availability import rules as hours
from scheduler.availability.models import Claim
from scheduler.resources.models import Resource, Skill
from scheduler.search import rules
from scheduler.search.queries import find, would_help
from tests import make

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)
HOUR = 3600


def wanted(duration_s: int = 2 * HOUR, *, days: int = 7, **more) -> rules.Requirement:
    return rules.Requirement(duration_s, make.NOW, make.NOW + timedelta(days=days), **more)


def numbers(found) -> list[int]:
    return [hit.resource_id for hit in found.hits]


def taken(resource: Resource, period: Period) -> None:
    claiming.occupy([claiming.Ask(resource, period, period)], state=Claim.State.CONFIRMED, booking_id=None)


def test_the_soonest_comes_first_with_its_price(w):
    late, soon = make.instrument(w, opens=(1080, 1320)), make.instrument(w, rate="300", opens=(720, 1320))
    found = find(wanted(), now=make.NOW)
    assert numbers(found) == [soon.pk, late.pk]
    assert found.hits[0].period == make.slot(days=0, start="12:00", end="14:00")
    assert (found.hits[0].hourly_fen, found.total) == (30000, 2)
    assert found.facets.cities == {"杭州": 2}


@pytest.mark.parametrize(
    "word", ["电子显微", "SEM", "sem", "saomiao", "smdzxwj", "su8600", "ＳＵ８６００", "hangzhou", "Field-emission"]
)
def test_words_find_in_both_languages_and_by_sound(w, word):
    made = make.instrument(w)
    assert numbers(find(wanted(words=rules.words_of(word)), now=make.NOW)) == [made.pk]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("球差校正透射电子显微镜", "透射电镜"),
        ("冷冻透射电子显微镜", "冷冻电镜"),
        ("单晶 X 射线衍射仪", "x射线"),
        ("单晶 X 射线衍射仪", "XRD"),
        ("600MHz 核磁共振波谱仪", "NMR"),
        ("600 MHz核磁共振波谱仪", "MHz 核磁"),
    ],
)
def test_what_everybody_says_finds_the_full_name(w, name, asked):
    made = make.instrument(w, name=name, name_en="")
    make.instrument(w, name="流式细胞分选仪", name_en="")
    assert numbers(find(wanted(words=rules.words_of(asked)), now=make.NOW)) == [made.pk]


@pytest.mark.parametrize("word", ["%", "_", "\\", "不存在"])
def test_signs_mean_themselves(w, word):
    make.instrument(w)
    assert not find(wanted(words=rules.words_of(word)), now=make.NOW).hits


def test_what_is_asked_for_narrows(w):
    dear = make.instrument(w, city="宁波", rate="900")
    fair = make.instrument(w, city="温州", category="laser", rate="700")
    assert numbers(find(wanted(cities=("宁波", "杭州")), now=make.NOW)) == [dear.pk]
    assert numbers(find(wanted(max_hourly=Money.from_yuan("800")), now=make.NOW)) == [fair.pk]
    assert numbers(find(wanted(categories=("laser",)), now=make.NOW)) == [fair.pk]
    assert numbers(find(wanted(order=rules.Order.CHEAPEST), now=make.NOW)) == [fair.pk, dear.pk]
    assert not find(wanted(kinds=("room",)), now=make.NOW).hits


def test_lead_grid_and_buffers_are_kept(w):
    resource = make.instrument(w, lead_s=3 * HOUR + 60, setup_s=1800, cleanup_s=1800)
    first = find(wanted(), now=make.NOW).hits[0].period
    assert first == make.slot(days=0, start="13:30", end="15:30")
    taken(resource, make.slot(days=0, start="08:00", end="14:00"))
    assert find(wanted(), now=make.NOW).hits[0].period.start == make.local(make.NOW.date(), "14:30")


class TestWithOperator:
    def operator(self, w, instrument: Resource, opens: tuple[int, int]) -> Resource:
        person = make.instrument(w, opens=opens)
        Resource.objects.filter(pk=person.pk).update(kind="operator")
        today = make.NOW.date()
        Skill.objects.create(operator=person, instrument=instrument, valid=(today, today + timedelta(days=3)))
        return person

    def test_both_must_be_free(self, w):
        resource = make.instrument(w)
        person = self.operator(w, resource, (840, 1080))
        taken(person, make.slot(days=0, start="14:00", end="17:00"))
        hit = find(wanted(with_operator=True, categories=("analytical",), kinds=("instrument",)), now=make.NOW).hits[0]
        assert (hit.period, hit.operator_id) == (make.slot(days=1, start="14:00", end="16:00"), person.pk)

    def test_two_half_shifts_are_no_person(self, w):
        resource = make.instrument(w)
        self.operator(w, resource, (600, 720))
        self.operator(w, resource, (720, 840))
        assert find(wanted(2 * HOUR, with_operator=True), now=make.NOW).hits
        assert not find(wanted(3 * HOUR, with_operator=True), now=make.NOW).hits

    def test_nobody_without_the_skill_at_that_time(self, w):
        resource = make.instrument(w)
        person = self.operator(w, resource, (840, 1080))
        taken(person, Period(make.NOW - timedelta(hours=1), make.NOW + timedelta(days=3)))
        assert not find(wanted(with_operator=True), now=make.NOW).hits


@pytest.mark.parametrize("duration_s", [HOUR, 4 * HOUR, 8 * HOUR])
def test_answers_equal_brute_force(w, duration_s):
    seed = random.Random(duration_s)
    resources = [
        make.instrument(w, opens=(480, 1320) if number % 2 else (0, 1440), cleanup_s=seed.choice((0, 900)))
        for number in range(12)
    ]
    for resource in resources:
        for _turn in range(25):
            start = make.NOW + timedelta(minutes=15 * seed.randrange(-20, 600))
            period = Period(start, start + timedelta(minutes=15 * seed.randint(1, 24)))
            try:
                taken(resource, period)
            except claiming.Taken:
                continue
    asked = wanted(duration_s)
    found = find(asked, now=make.NOW, limit=100)
    expected = {}
    for resource in resources:
        free = queries.free_periods(resource, window=Period(asked.since, asked.until + timedelta(days=1)), now=make.NOW)
        starts = hours.alternatives(
            free,
            duration=timedelta(seconds=duration_s),
            granularity=timedelta(seconds=resource.granularity_s),
            zone=resource.zone,
            near=asked.since,
            count=1,
        )
        if starts and starts[0].end <= asked.until:
            expected[resource.pk] = starts[0]
    assert {hit.resource_id: hit.period for hit in found.hits} == expected
    assert found.total == len(expected) > 0
    assert [hit.period.start for hit in found.hits] == sorted(hit.period.start for hit in found.hits)


def test_takes_two_queries_whatever_is_found(w):
    for _turn in range(3):
        make.instrument(w)
    with CaptureQueriesContext(connection) as ran:
        assert find(wanted(), now=make.NOW, limit=2, offset=1).total == 3
    assert len(ran) == 2, "whether a hold has ended, then the search"


def test_facets_count_each_choice_with_the_others_kept(w):
    make.instrument(w, city="宁波")
    make.instrument(w, city="宁波", category="laser")
    make.instrument(w)
    found = find(wanted(cities=("杭州",)), now=make.NOW)
    assert (found.total, found.facets.cities, found.facets.categories) == (1, {"宁波": 2, "杭州": 1}, {"analytical": 1})
    both = find(wanted(cities=("杭州",), categories=("laser",)), now=make.NOW)
    assert (both.total, both.facets.cities, both.facets.categories) == (0, {"宁波": 1}, {"analytical": 1})
    assert both.facets.kinds == {}


def test_without_spread_the_facets_tell_of_the_hits_alone(w):
    make.instrument(w, city="宁波")
    here = make.instrument(w)
    found = find(wanted(cities=("杭州",)), now=make.NOW, spread=False)
    assert (numbers(found), found.facets.cities) == ([here.pk], {"杭州": 1})


def test_words_alone_find_what_is_not_free_after_what_is(w):
    full, free = make.instrument(w, opens=(480, 600)), make.instrument(w)
    taken(full, make.slot(days=1, start="08:00", end="10:00"))
    asked = rules.Requirement(None, make.NOW, make.NOW + timedelta(days=1, hours=6))
    assert [(hit.resource_id, hit.period) for hit in find(asked, now=make.NOW).hits] == [
        (free.pk, make.slot(days=0, start="10:00", end="11:00")),
        (full.pk, None),
    ]
    assert numbers(find(replace(asked, free_only=True), now=make.NOW)) == [free.pk]


def test_people_are_not_found(w):
    person = make.instrument(w)
    Resource.objects.filter(pk=person.pk).update(kind="operator")
    assert not find(rules.Requirement(None, make.NOW, make.NOW + WEEK), now=make.NOW).hits


def test_says_what_would_help_most_first(w):
    make.instrument(w, rate="900")
    make.instrument(w, city="宁波", rate="700")
    make.instrument(w, city="宁波", rate="700")
    asked = wanted(cities=("杭州",), max_hourly=Money.from_yuan("800"), words=("sem",))
    assert list(would_help(asked, now=make.NOW).items()) == [(rules.Dropped.CITIES, 2), (rules.Dropped.PRICE, 1)]


def test_one_demand_less_is_weaker_for_each_demand_made():
    asked = wanted(9 * HOUR, words=("a",), cities=("杭州",), with_operator=True)
    weaker = rules.relaxed(asked)
    assert set(weaker) == {
        rules.Dropped.WORDS,
        rules.Dropped.CITIES,
        rules.Dropped.OPERATOR,
        rules.Dropped.WINDOW,
        rules.Dropped.DURATION,
    }
    assert weaker[rules.Dropped.DURATION].duration_s == 9 * 1800
    assert not rules.relaxed(rules.Requirement(None, make.NOW, make.NOW + WEEK))
