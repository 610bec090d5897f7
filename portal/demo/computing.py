"""Some weeks of computing in the demo province: jobs that ran, two that failed, and quotas granted."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from portal.demo.activity import TRAINING, Story
from portal.kernel.period import Period
from scheduler.allocations import services as allocations
from scheduler.allocations.rules import Amounts
from scheduler.jobs import dispatching, ports, rules, services
from scheduler.jobs.models import Job

__all__ = ["compute", "grant_quotas"]

OLDEST_DAYS: Final = 34
YOUNGEST_DAYS: Final = 6
"""Older than what the nightly audit asks the cluster about: the demo's cluster begins empty."""


@dataclass(frozen=True, slots=True)
class Habit:
    """What a firm runs, where, on how many cards, for about how long, once in so many days."""

    firm: str
    place: tuple[str, str]
    title: str
    cards: int
    hours: float
    every_days: int


HABITS: Final = (
    Habit("xinghe", ("zhibin", "a100"), "缺陷检测模型训练", 4, 3.5, 4),
    Habit("xinghe", ("zhibin", "h20"), "质检图像批量推理", 1, 1.2, 3),
    Habit("wenyu", ("zhibin", "a100"), "行业语料微调", 8, 2.5, 5),
    Habit("ruian", ("haishu", "gpu"), "分子对接打分", 1, 4.0, 6),
    Habit("lanting", ("haishu", "gpu"), "版图热仿真", 2, 2.0, 7),
)
FAILS_EVERY: Final = 11
"""One in so many ends with an error of its own."""


def compute(story: Story) -> None:
    """Leave the jobs of the last weeks, ended and settled, oldest first."""
    dice = random.Random(20261126)  # noqa: S311  demo data only
    begun = sorted(
        (
            story.now - timedelta(days=days, hours=dice.randrange(1, 9), minutes=dice.randrange(60)),
            at,
        )
        for at, habit in enumerate(HABITS)
        for days in range(OLDEST_DAYS - at, YOUNGEST_DAYS, -habit.every_days)
    )
    for serial, (began, at) in enumerate(begun, start=1):
        habit = HABITS[at]
        seconds = int(3600 * habit.hours * dice.uniform(0.7, 1.3))
        _ran(story, habit, began=began, seconds=seconds, exit_code=1 if serial % FAILS_EVERY == 0 else 0)


def _ran(story: Story, habit: Habit, *, began: datetime, seconds: int, exit_code: int) -> None:
    """Let one job be submitted, placed, run and settled, each at its time."""
    place = {(p.cluster.code, p.name): p for p in story.partitions}[habit.place]
    asked = began - timedelta(minutes=3)
    job = services.submit(
        actor=story.people.actors[f"clerk-{habit.firm}"],
        wanted=services.Wanted(
            partition=place,
            title=habit.title,
            ask=rules.Ask(
                cards=habit.cards,
                cpus=habit.cards,
                memory_mb=2000,
                time_limit_s=60 * (int(habit.hours * 60 * 1.5) + 1),
                script=TRAINING.format(steps=100, pause=60),
            ),
            vouchers=story.paying(habit.firm),
        ),
        now=asked,
        key=story.key(),
        dispatch=lambda _job_id: None,
    )
    ref = _place(job, now=asked)
    ended = began + timedelta(seconds=seconds)
    state = ports.ClusterState.FAILED if exit_code else ports.ClusterState.SUCCEEDED
    run = ports.Run(
        job_id=ref.job_id,
        task=None,
        submitted_at=asked,
        state=state,
        raw_state=state.name,
        started_at=began,
        ended_at=ended,
        elapsed_s=seconds,
        cpus=job.cpus,
        cards=job.cards,
        memory_mb=job.memory_mb,
        nodes=1,
        exit_code=exit_code,
        confirmed=True,
    )
    services.apply(
        job_id=job.pk,
        seen=ports.Observation(
            ref=ref,
            state=state,
            raw_state=run.raw_state,
            as_of=ended,
            started_at=began,
            ended_at=ended,
            elapsed_s=seconds,
            exit_code=exit_code,
            cpus=job.cpus,
            cards=job.cards,
            memory_mb=job.memory_mb,
            confirmed=True,
            runs=(run,),
        ),
        now=ended + timedelta(seconds=20),
    )


@transaction.atomic
def _place(job: Job, *, now: datetime) -> ports.Ref:
    """Let the cluster have accepted it, under a number that the embedded cluster never gives."""
    ref = ports.Ref(job_id=f"{900000 + job.pk}", submitted_at=now, marker=job.marker)
    locked = services.lock(job.pk)
    services.move(locked, rules.JobAction.SEND)
    locked.attempts, locked.attempted_at, locked.released_at = 1, now, now
    dispatching.adopt(locked, ref)
    locked.save()
    services.record(locked, action=f"job.{locked.state}", actor=services.SYSTEM, now=now, attempt=1)
    return ref


def grant_quotas(story: Story) -> None:
    """Grant two enterprises quotas of the intelligent-computing centre for the quarter."""
    begins = story.now - timedelta(days=40)
    partitions = {(p.cluster.code, p.name): p for p in story.partitions}
    granted = (
        ("xinghe", "第四季度训练配额", ("zhibin", "a100"), 400, 8),
        ("wenyu", "语料微调专项", ("zhibin", "a100"), 200, 8),
    )
    for firm, name, place, card_hours, at_once in granted:
        allocations.grant(
            actor=story.people.actors["jiqun"],
            wanted=allocations.Wanted(
                name=name,
                organisation=story.people.organisations[firm],
                amounts=Amounts(card_s=card_hours * 3600, cards=at_once),
                period=Period(begins, story.now + timedelta(days=50)),
                partition=partitions[place],
            ),
            now=begins,
            key=story.key(),
        )
