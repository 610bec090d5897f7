"""Announced maintenance: no overlap, clear reasons before it, an end that needs nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from portal.audit.models import Record
from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from scheduler.jobs import quoting as jobs
from scheduler.jobs import rules as job_rules
from scheduler.maintenance import queries, rules, services
from scheduler.maintenance.models import MaintenanceWindow
from tests import make

pytestmark = pytest.mark.django_db
NOW = make.NOW
HOUR = timedelta(hours=1)


@pytest.fixture
def partition(w):
    return make.partition(w)


def announce(w, partition, start=2, end=4, reason="更换交换机"):
    return services.announce(
        actor=w.operator,
        cluster=partition.cluster,
        period=Period(NOW + start * HOUR, NOW + end * HOUR),
        reason=reason,
        now=NOW,
    )


def codes(partition, *, minutes, at=NOW):
    ask = job_rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=minutes * 60, script="#!/bin/bash\nsleep 1\n")
    return [reason.code for reason in jobs.quote(partition, ask=ask, vouchers=[], now=at).reasons]


def test_a_job_whose_limit_would_run_into_the_window_is_told_how_long_it_may_be(w, partition):
    announce(w, partition)
    assert codes(partition, minutes=120) == []
    assert codes(partition, minutes=121) == ["cluster.maintenance_ahead"]
    [reason] = queries.reasons_against(partition.cluster_id, limit_s=7260, guard_s=60, now=NOW)
    assert reason.params["minutes"] == 119
    assert reason.params["start"] == "2026-11-25 12:00"


def test_during_the_window_nothing_is_taken_and_at_its_end_everything_is_again(w, partition):
    announce(w, partition)
    assert codes(partition, minutes=1, at=NOW + 2 * HOUR) == ["cluster.maintenance"]
    assert queries.is_closed(partition.cluster_id, now=NOW + 4 * HOUR - timedelta(microseconds=1))
    assert not queries.is_closed(partition.cluster_id, now=NOW + 4 * HOUR)
    assert codes(partition, minutes=600, at=NOW + 4 * HOUR) == []


def test_announcing_twice_is_once_and_overlap_is_refused(w, partition):
    first = announce(w, partition)
    assert announce(w, partition) == first
    with pytest.raises(rules.MaintenanceOverlaps):
        announce(w, partition, 3, 5)
    assert announce(w, partition, 4, 5) != first
    assert Record.objects.filter(action="maintenance.announced").count() == 2


def test_the_database_itself_refuses_overlap(w, partition):
    announce(w, partition)
    with pytest.raises(IntegrityError, match="maintenance_no_overlap"), transaction.atomic():
        MaintenanceWindow.objects.create(
            cluster=partition.cluster,
            during=DateTimeTZRange(NOW + 3 * HOUR, NOW + 9 * HOUR),
            reason="x",
            created_at=NOW,
        )


def test_ending_early_opens_at_once_and_calling_off_is_for_what_has_not_begun(w, partition):
    window = announce(w, partition)
    with pytest.raises(rules.MaintenanceOver):
        services.finish(actor=w.operator, window=window, now=NOW)
    for _ in range(2):
        services.finish(actor=w.operator, window=window, now=NOW + 3 * HOUR)
    assert not queries.is_closed(partition.cluster_id, now=NOW + 3 * HOUR)
    with pytest.raises(rules.MaintenanceBegun):
        services.call_off(actor=w.operator, window=window, now=NOW + 3 * HOUR)
    later = announce(w, partition, 5, 6)
    services.call_off(actor=w.operator, window=later, now=NOW)
    assert queries.ahead_of([partition.cluster_id], now=NOW + 4 * HOUR) == {}
    announce(w, partition, 5, 7)


@pytest.mark.parametrize(
    ("start", "end", "reason", "error"),
    [
        (-3, -1, "更换", rules.MaintenancePast),
        (1, 24 * 32, "更换", rules.MaintenanceTooLong),
        (1, 2, "  ", services.ReasonMissing),
    ],
)
def test_bad_windows_are_refused(w, partition, start, end, reason, error):
    with pytest.raises(error):
        announce(w, partition, start, end, reason)


def test_only_who_runs_the_cluster_announces(w, partition):
    for someone in (w.researcher, w.keeper, w.officer, w.lab_owner):
        with pytest.raises(Forbidden):
            services.announce(
                actor=someone, cluster=partition.cluster, period=Period(NOW, NOW + HOUR), reason="x", now=NOW
            )
    assert not MaintenanceWindow.objects.exists()
