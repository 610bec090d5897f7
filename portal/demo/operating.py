"""What the demo province's clusters have been through: maintenance announced, an incident overcome, a day of use."""

from __future__ import annotations

from datetime import datetime, timedelta

from portal.demo.activity import Story
from portal.kernel.period import Period
from scheduler.clusters import incidents
from scheduler.clusters.models import ClusterPool, ClusterStatus, Incident, PoolUse
from scheduler.clusters.rules import IncidentKind, bucket
from scheduler.maintenance import services as maintenance
from scheduler.resources.models import Cluster, Partition

__all__ = ["operate"]

OPERATOR = "jiqun"
WAVE = (2, 1, 1, 0, 0, 1, 2, 4, 6, 7, 8, 7, 5, 6, 7, 8, 8, 7, 6, 5, 4, 4, 3, 2)
"""Eighths of the cards in use by hour of the day, UTC + 8."""


def operate(story: Story) -> None:
    """Let the clusters look as after some weeks of work. Pollers go on from here as soon as they run."""
    own = Cluster.objects.filter(owner=story.people.organisations["zhisuan"]).order_by("pk")
    first = own.get(code="zhibin")
    begins = (story.now + timedelta(days=3)).replace(minute=0, second=0, microsecond=0)
    maintenance.announce(
        actor=story.people.actors[OPERATOR],
        cluster=first,
        period=Period(begins, begins + timedelta(hours=4)),
        reason="更换机房交换机",
        reason_en="Replacing the switches of the machine room",
        now=story.now,
    )
    _incident(story, first)
    for cluster in Cluster.objects.filter(accepts_work=True):
        _day_of_use(cluster, now=story.now)


def _incident(story: Story, cluster: Cluster) -> None:
    """Leave an incident of last week, over and explained."""
    began = story.now - timedelta(days=8, hours=3)
    status, _made = ClusterStatus.objects.get_or_create(cluster=cluster)
    incidents.open_one(status, IncidentKind.ACCOUNTING, since=began, detail="slurmdbd: connection refused", now=began)
    incidents.close(status, IncidentKind.ACCOUNTING, now=began + timedelta(minutes=25))
    incidents.note(
        actor=story.people.actors[OPERATOR],
        incident=Incident.objects.get(cluster=cluster),
        text="记账数据库磁盘写满，已清理并加设告警。作业未受影响，结算推迟约半小时。",
        now=began + timedelta(hours=1),
    )


def _day_of_use(cluster: Cluster, *, now: datetime) -> None:
    partitions = list(cluster.partitions.all())
    rows = [
        _reading(partition, bucket(now - timedelta(minutes=5 * step)))
        for partition in partitions
        for step in range(1, 24 * 12)
    ]
    PoolUse.objects.bulk_create(rows)
    for partition in partitions:
        last = _reading(partition, bucket(now))
        ClusterPool.objects.create(
            cluster=cluster,
            partition=partition.name,
            card_type=partition.card_type,
            cards=last.cards,
            cards_used=last.cards_used,
            cpus=last.cpus,
            cpus_used=last.cpus_used,
            nodes=1,
            running=last.running,
            waiting=last.waiting,
            as_of=now,
        )


def _reading(partition: Partition, at: datetime) -> PoolUse:
    eighths = WAVE[(at.hour + 8) % 24]
    used = partition.max_cards * eighths // 8
    return PoolUse(
        cluster=partition.cluster,
        partition=partition.name,
        card_type=partition.card_type,
        at=at,
        cards=partition.max_cards,
        cards_used=used,
        cpus=partition.max_cpus,
        cpus_used=used * partition.cpus_per_card,
        running=used,
        waiting=max(eighths - 5, 0),
    )
