"""What operators do: prices that never change backwards, stuck jobs moved by the protocol, keys exchanged in order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, NotFound, Refused
from portal.kernel.money import Money
from scheduler.clusters import access, credentials, keeping, rules
from scheduler.jobs import rules as job_rules
from scheduler.jobs import services as jobs
from scheduler.jobs.models import Job
from scheduler.resources import partitions
from scheduler.resources import queries as rates
from scheduler.resources.models import Cluster, Rate
from scheduler.resources.pricing import Announced
from tests import make
from tests.calling import Caller
from tests.scheduler.clusters import asked
from tests.scheduler.jobs import scripted

pytestmark = pytest.mark.django_db
NOW = make.NOW
MINUTE = timedelta(minutes=1)
TERMS = partitions.PartitionTerms(max_cards=4, max_cpus=16, max_memory_mb=8000, max_time_s=7200, is_open=False)


@pytest.fixture
def partition(w, settings):
    asked.install(settings)
    scripted.reset()
    return make.partition(w, adapter="asked")


def submit(w, partition) -> Job:
    ask = job_rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=3600, script="#!/bin/bash\nsleep 1\n")
    wanted = jobs.Wanted(partition=partition, title="机密", ask=ask)
    return jobs.submit(actor=w.researcher, wanted=wanted, now=NOW, key=make.key(), dispatch=lambda _id: None)


class TestPartitions:
    def test_limits_are_set_once_and_told(self, w, partition):
        for _ in range(2):
            partitions.change_partition(actor=w.operator, partition=partition, terms=TERMS, now=NOW)
        partition.refresh_from_db()
        assert (partition.max_cards, partition.is_open) == (4, False)
        assert Record.objects.filter(action="partition.changed").count() == 1

    def test_every_wrong_number_is_named_at_once(self, w, partition):
        wrong = partitions.PartitionTerms(max_cards=-1, max_cpus=0, max_memory_mb=0, max_time_s=90, is_open=True)
        with pytest.raises(Refused) as refused:
            partitions.change_partition(actor=w.operator, partition=partition, terms=wrong, now=NOW)
        fields = [reason.field for reason in refused.value.reasons]
        assert fields == ["max_cards", "max_cpus", "max_memory_mb", "max_time_s"]

    def test_a_new_price_changes_no_quote_made_before(self, w, partition):
        job = submit(w, partition)
        since = NOW + timedelta(days=3)
        partitions.set_partition_price(actor=w.operator, partition=partition, amount=Money(1200), since=since, now=NOW)
        assert rates.rate_of_partition(partition.pk, at=since - MINUTE).amount_fen == 900
        assert rates.rate_of_partition(partition.pk, at=since).amount_fen == 1200
        job.charge.refresh_from_db()
        assert (job.charge.price_fen, job.charge.quote["unit_price_fen"]) == (900, 900)

    def test_prices_never_begin_in_the_past_and_one_announcement_stands_at_a_time(self, w, partition):
        since = NOW + timedelta(days=3)

        def announce(fen, at):
            return partitions.set_partition_price(
                actor=w.operator, partition=partition, amount=Money(fen), since=at, now=NOW
            )

        with pytest.raises(partitions.PriceInThePast):
            announce(100, NOW - MINUTE)
        first = announce(1200, since)
        assert announce(1200, since) == first
        with pytest.raises(Announced):
            announce(1100, NOW + timedelta(days=1))
        assert Caller(w.operator).delete(
            f"/clusters/{partition.cluster.code}/partitions/gpu/prices/{first.pk}"
        ).status in {204, 404}

    def test_an_announced_price_taken_back_leaves_the_one_before(self, w, partition):
        made = partitions.set_partition_price(
            actor=w.operator, partition=partition, amount=Money(1), since=NOW + timedelta(days=1), now=NOW
        )
        with pytest.raises(Forbidden):
            partitions.withdraw_partition_price(actor=w.keeper, partition=partition, rate_id=made.pk, now=NOW)
        partitions.withdraw_partition_price(actor=w.operator, partition=partition, rate_id=made.pk, now=NOW)
        only = Rate.objects.get(partition=partition)
        assert (only.amount_fen, only.valid.upper) == (900, None)
        with pytest.raises(NotFound):
            partitions.withdraw_partition_price(actor=w.operator, partition=partition, rate_id=only.pk, now=NOW)


class TestStuckJobs:
    def act(self, w, job, act, at=NOW):
        job = access.get_open_job(w.operator, job.partition.cluster.code, job.number)
        return keeping.act_on(actor=w.operator, job=job, act=act, now=at)

    def test_what_never_left_is_sent_by_the_operators_retry(self, w, partition):
        job = submit(w, partition)
        assert keeping.why_stuck(job, now=NOW + MINUTE) == ""
        assert keeping.why_stuck(job, now=NOW + 3 * MINUTE) == "waiting"
        assert self.act(w, job, keeping.Act.RETRY).after == "placed"
        assert scripted.TRUTH[job.marker]["count"] == 1
        assert Record.objects.get(action="job.operator_acted").data["before"] == "pending"

    def test_a_lost_answer_is_found_and_taken_over_without_sending_again(self, w, partition):
        job = submit(w, partition)
        scripted.PLAN[:] = ["lost"]
        assert self.act(w, job, keeping.Act.RETRY).after == "unknown"
        late = NOW + 3 * MINUTE
        assert keeping.why_stuck(Job.objects.get(), now=late) == "unresolved"
        assert self.act(w, job, keeping.Act.ADOPT, late).after == "placed"
        assert scripted.TRUTH[job.marker]["count"] == 1

    def test_doubt_changes_nothing(self, w, partition):
        job = submit(w, partition)
        scripted.PLAN[:] = ["lost"]
        self.act(w, job, keeping.Act.RETRY)
        scripted.DOUBT["find"] = True
        assert self.act(w, job, keeping.Act.ADOPT, NOW + 3 * MINUTE).after == "unknown"

    def test_an_act_that_does_not_fit_the_state_is_refused(self, w, partition):
        with pytest.raises(keeping.ActNotPossible):
            self.act(w, submit(w, partition), keeping.Act.ADOPT)

    def test_the_view_tells_no_titles_and_no_scripts(self, w, partition):
        submit(w, partition)
        answer = Caller(w.operator).get(f"/clusters/{partition.cluster.code}/jobs")
        assert answer.status == 200
        [row] = answer.body["items"]
        assert row["state"] == "pending"
        assert "机密" not in str(answer.body)
        assert "sleep" not in str(answer.body)
        assert Caller(w.researcher).get(f"/clusters/{partition.cluster.code}/jobs").status == 403


class TestCredentials:
    def test_no_entry_of_the_configuration_is_told_but_the_named_ones(self, w, partition):
        secret = {
            "url": "https://c",
            "reader": "portal-ops",
            "jwt_key_file": "/k",
            "development": True,
            "password": "p",
        }
        Cluster.objects.filter(pk=partition.cluster_id).update(config=secret)
        told = credentials.credentials_of(Cluster.objects.get(pk=partition.cluster_id))
        assert told.signer == "shared_key"
        assert told.facts == {"url": "https://c", "reader": "portal-ops"}

    def test_steps_are_done_in_order_and_the_last_one_ends_the_exchange(self, w, partition):
        rotation = credentials.begin(actor=w.operator, cluster=partition.cluster, new_key="2027-a", now=NOW)
        assert credentials.begin(actor=w.operator, cluster=partition.cluster, new_key="other", now=NOW) == rotation
        with pytest.raises(credentials.StepOutOfOrder):
            credentials.done(actor=w.operator, rotation=rotation, step=rules.RotationStep.SWITCHED, now=NOW)
        for step in rules.STEPS:
            rotation = credentials.done(actor=w.operator, rotation=rotation, step=step, now=NOW)
            rotation = credentials.done(actor=w.operator, rotation=rotation, step=step, now=NOW + MINUTE)
        assert rotation.finished_at == NOW
        assert credentials.credentials_of(partition.cluster).key_id == "2027-a"
        assert credentials.credentials_of(partition.cluster).since == NOW

    @pytest.mark.parametrize("name", ["", " ", "k" * 81, "-----BEGIN PRIVATE KEY-----"])
    def test_a_key_is_no_name(self, w, partition, name):
        with pytest.raises(credentials.KeyNameMissing):
            credentials.begin(actor=w.operator, cluster=partition.cluster, new_key=name, now=NOW)

    def test_testing_asks_the_cluster_at_once(self, w, partition):
        assert credentials.test_now(actor=w.operator, cluster=partition.cluster, now=NOW).ok
        asked.AWAY.add("all")
        assert not credentials.test_now(actor=w.operator, cluster=partition.cluster, now=NOW).ok
        assert asked.CALLS["capacity"] == 2
