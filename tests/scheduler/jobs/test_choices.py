"""One wish on every partition: waiting is told from real jobs, and only where they are enough."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.jobs import choices, rules, services
from scheduler.jobs.models import Job
from tests import make

pytestmark = pytest.mark.django_db

SCRIPT = "#!/bin/bash\necho ok\n"


def ran(w, partition, *, waited_min: int, cards: int = 2, days_ago: int = 1) -> Job:
    """Submit a job and let it have waited so long."""
    ask = rules.Ask(cards=cards, cpus=2, memory_mb=1000, time_limit_s=600, script=SCRIPT)
    wanted = services.Wanted(partition=partition, title="排队", ask=ask)
    at = make.NOW - timedelta(days=days_ago)
    job = services.submit(actor=w.researcher, wanted=wanted, now=at, key=make.key(), dispatch=lambda _id: None)
    Job.objects.filter(pk=job.pk).update(started_at=at + timedelta(minutes=waited_min))
    return job


def test_tells_half_and_nine_in_ten_of_jobs_of_about_this_size(w):
    partition = make.partition(w)
    for waited in range(11):
        ran(w, partition, waited_min=waited, cards=2 + waited % 3)
    ran(w, partition, waited_min=500, cards=8)
    ran(w, partition, waited_min=500, days_ago=31)

    wait = choices.waits_of([partition.pk], cards=3, now=make.NOW)[partition.pk]

    assert (wait.sample, wait.says) == (11, True)
    assert (wait.half, wait.most) == (timedelta(minutes=5), timedelta(minutes=9))
    assert choices.waits_of([partition.pk], cards=8, now=make.NOW)[partition.pk].says is False


def test_marks_the_cheapest_that_fits_in_as_many_queries_for_one_as_for_many(w, django_assert_num_queries):
    ask = rules.Ask(cards=4, cpus=2, memory_mb=1000, time_limit_s=600, script="")
    dear, small = make.partition(w, rate="9"), make.partition(w, rate="1", max_cards=2)
    with django_assert_num_queries(3):
        found = choices.side_by_side([dear, small], ask=ask, vouchers=[], now=make.NOW)
    assert [(choice.fits, choice.is_cheapest) for choice in found] == [(True, True), (False, False)]
    with django_assert_num_queries(3):
        choices.side_by_side([dear], ask=ask, vouchers=[], now=make.NOW)


@pytest.mark.parametrize(("cards", "bucket"), [(0, "0"), (1, "1"), (2, "2-4"), (4, "2-4"), (8, "5-8"), (9, "9+")])
def test_knows_the_size_of_a_job(cards, bucket):
    assert choices.bucket_of(cards) == bucket
