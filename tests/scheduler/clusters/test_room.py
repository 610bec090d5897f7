"""What is free right now, beside each partition on offer: from a fresh reading, or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from scheduler.clusters import polling, rules
from scheduler.clusters.models import ClusterPool
from scheduler.jobs import choices, guards, ports
from scheduler.jobs import rules as job_rules
from tests import make
from tests.calling import Caller
from tests.portal.pages.reading import text_of
from tests.scheduler.clusters import asked

NOW = make.NOW


@pytest.fixture
def partition(w, settings):
    asked.install(settings)
    return make.partition(w, adapter="asked")


def poll(partition, *pools: ports.Pool, now=NOW) -> None:
    asked.POOLS[:] = pools
    asked.AT[:] = [now]
    polling.poll(cluster_id=partition.cluster_id, now=now, force=True)


def free(cards: int, *, waiting: int = 0, card: str = "a100", is_open: bool = True, cpus_used: int = 24) -> ports.Pool:
    return ports.Pool("gpu", card, 8, 8 - cards, 0, 64, cpus_used, 2, 0, is_open=is_open, running=1, waiting=waiting)


def choice(partition, *, cards: int = 4, tasks: int = 1, now=NOW) -> choices.Choice:
    ask = job_rules.Ask(cards=cards, cpus=2, memory_mb=1000, time_limit_s=600, script="")
    [found] = choices.side_by_side([partition], ask=ask, vouchers=[], now=now, tasks=tasks)
    return found


def test_says_that_it_fits_where_enough_is_free_and_nobody_waits(partition):
    poll(partition, free(4))
    found = choice(partition)
    assert (found.idle, found.fits_now, found.room.as_of) == (4, True, NOW)
    assert not choice(partition, cards=5).fits_now
    assert not choice(partition, cards=2, tasks=3).fits_now, "all tasks of an array"


@pytest.mark.parametrize("pool", [free(4, waiting=1), free(4, is_open=False), free(4, card="h20"), free(3)])
def test_a_queue_a_closed_partition_or_another_card_is_no_room(partition, pool):
    poll(partition, pool)
    assert not choice(partition).fits_now


def test_falls_silent_when_the_reading_is_old_or_there_is_none(partition):
    assert choice(partition).room is None
    poll(partition, free(8))
    assert choice(partition, now=NOW + rules.STALE_AFTER).fits_now
    late = choice(partition, now=NOW + rules.STALE_AFTER + timedelta(seconds=1))
    assert (late.room, late.idle, late.fits_now) == (None, None, False)


def test_a_cluster_that_no_longer_answers_falls_silent_within_three_minutes(partition):
    poll(partition, free(8))
    asked.AWAY.add("all")
    for minute in range(1, 5):
        polling.poll(cluster_id=partition.cluster_id, now=NOW + timedelta(minutes=minute), force=True)
    assert choice(partition, now=NOW + timedelta(minutes=4)).room is None


def test_counts_cores_for_who_wants_no_card(partition):
    poll(partition, free(8, cpus_used=63))
    assert (choice(partition, cards=0).idle, choice(partition, cards=0).fits_now) == (1, False)
    poll(partition, free(0, cpus_used=62), now=NOW + timedelta(seconds=30))
    assert choice(partition, cards=0).idle == 2


def test_many_partitions_cost_one_query(w, partition, django_assert_num_queries):
    others = [make.partition(w, adapter="asked") for _ in range(3)]
    for each in (partition, *others):
        poll(each, free(4))
    with django_assert_num_queries(1):
        assert len(guards.rooms([partition, *others], now=NOW)) == 4


def test_is_told_by_the_interface_and_on_the_page(w, partition, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    busy = make.partition(w, adapter="asked", label="繁忙分区")
    poll(partition, free(6))
    poll(busy, free(1, waiting=3))
    ask = {"cards": 2, "cpus": 2, "memory_mb": 1000, "time_limit_s": 600}
    first, second = Caller(w.researcher).post("/jobs/choices", ask).body
    assert (first["cards_idle"], first["fits_now"], first["idle_as_of"]) == (6, True, "2026-11-25T02:00:00Z")
    assert (second["cards_idle"], second["fits_now"]) == (1, False)

    client = Client()
    client.force_login(make.user_of(w.researcher))
    name = f"{partition.cluster.code}/{partition.name}"
    wish = {"partition": name, "title": "训练", "cards": 2, "cpus": 2, "memory_mb": 1000, "time_limit_min": 10}
    text = text_of(client.get(reverse("job_quote"), {**wish, "script": "#!/bin/sh\necho ok\n", "payment": "own"}))
    assert "现在就有空位 · 空闲 6 卡（ 2026-11-25 10:00 的读数）" in text
    assert "排队 3 个作业" in text

    ClusterPool.objects.update(as_of=NOW - timedelta(minutes=4))
    assert "空闲" not in text_of(client.get(reverse("job_quote"), {**wish, "script": "", "payment": "own"}))


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 5), st.integers(0, 3))
def test_never_promises_what_was_not_counted(idle, cards, tasks, waiting):
    partition = make.Partition(cluster=make.Cluster(code="x"), name="gpu")
    room = guards.Room(cards=idle, cpus=64, waiting=waiting, is_open=True, as_of=NOW)
    found = choices.Choice(partition, None, object(), 60, None, (), choices.Wait(), cards * tasks, True, room)  # type: ignore[arg-type]
    assert found.fits_now == (cards * tasks <= idle and not waiting)
