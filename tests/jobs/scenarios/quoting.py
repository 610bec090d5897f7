"""Quotes: the limit a balance buys, and what is held for it."""

from __future__ import annotations

import json
from datetime import timedelta

from django.conf import settings
from django.test import override_settings

from portal.http import status_of
from portal.kernel.errors import Refused
from portal.kernel.money import Money
from scheduler.jobs import access, directives, dispatching, ports, quoting, rules, services
from scheduler.jobs.models import Job
from scheduler.resources.models import Partition
from tests import make
from tests.jobs.scenarios import scenario
from tests.scheduler.jobs import scripted
from vouchers.ledger import queries as ledger
from vouchers.wallets.models import Voucher

SCRIPT = "#!/bin/bash\necho ok\n"
CLUSTERS = {**settings.CLUSTER_ADAPTERS, "scripted": "tests.scheduler.jobs.scripted.ScriptedCluster"}


def whole_voucher(w: make.World, fen: int, *, code: str) -> Voucher:
    """Return a voucher of `fen` that pays a bill whole."""
    version = make.programme(w, code=code, lines=[{"id": "100%", "rate": "1.00"}])
    return make.voucher(w, version, items={"compute": Money(fen)})


def wanted(partition: Partition, voucher: Voucher, *, minutes: int) -> services.Wanted:
    """Ask for eight cards, and for as much of the time as the voucher buys."""
    ask = rules.Ask(cards=8, cpus=8, memory_mb=1000, time_limit_s=minutes * 60, script=SCRIPT)
    return services.Wanted(partition=partition, title="训练", ask=ask, vouchers=[voucher], shorten=True)


def submit(w: make.World, asked: services.Wanted) -> Job:
    return services.submit(
        actor=w.researcher, wanted=asked, now=make.NOW, key=make.key(), dispatch=lambda _job_id: None
    )


@scenario("A1")
def the_balance_decides_the_limit(w: make.World) -> str:
    """A voucher of 10,000 fen, eight cards at 900 fen, ten hours asked: 81 minutes, 9,960 held, 3,600 s cost 7,200."""
    scripted.reset()
    partition = make.partition(w, adapter="scripted", rate="9", guard_s=120)
    voucher = whole_voucher(w, 10_000, code="test-whole-a1")
    asked = wanted(partition, voucher, minutes=600)
    quote = quoting.quote(partition, ask=asked.ask, vouchers=[voucher], now=make.NOW, shorten=True)
    assert (quote.limit_s, quote.price.amount.fen, quote.is_shortened) == (81 * 60, 9960, True)
    with override_settings(CLUSTER_ADAPTERS=CLUSTERS):
        job = submit(w, asked)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
    job.refresh_from_db()
    assert (job.time_limit_s, job.guard_s) == (81 * 60, 120)
    assert scripted.TRUTH[job.marker]["spec"].time_limit_s == 81 * 60
    assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].available_fen == 40
    end = make.NOW + timedelta(hours=2)
    seen = ports.Observation(
        ref=access.ref_of(job),
        state=ports.ClusterState.SUCCEEDED,
        raw_state="COMPLETED",
        as_of=end,
        started_at=make.NOW + timedelta(minutes=1),
        ended_at=make.NOW + timedelta(minutes=61),
        elapsed_s=3600,
        cards=8,
        exit_code=0,
        confirmed=True,
    )
    services.apply(job_id=job.pk, seen=seen, now=end)
    job.refresh_from_db()
    assert job.charge is not None
    left = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]
    assert (job.charge.actual_fen, left.held_fen, left.available_fen) == (7200, 0, 2800)
    return "limit 81 min, held 9,960, settled 7,200, given back 2,760, left 2,800 fen"


@scenario("A7")
def less_than_a_minute_is_refused(w: make.World) -> str:
    """Balances of 360, 359 and 50 fen, eight cards: one minute for 360, refused, refused; no limit is ever 0."""
    scripted.reset()
    partition = make.partition(w, adapter="scripted", rate="9", guard_s=120)
    said = []
    for fen in (360, 359, 50):
        voucher = whole_voucher(w, fen, code=f"test-whole-{fen}")
        try:
            with override_settings(CLUSTER_ADAPTERS=CLUSTERS):
                job = submit(w, wanted(partition, voucher, minutes=600))
                dispatching.dispatch(job_id=job.pk, now=make.NOW)
        except Refused as error:
            assert [reason.code for reason in error.reasons] == ["voucher.too_small"]
            said.append(f"{fen} refused")
        else:
            assert job.charge is not None
            said.append(f"{fen} held {job.charge.price_fen}")
    assert said == ["360 held 360", "359 refused", "50 refused"]
    assert [row["spec"].time_limit_s for row in scripted.TRUTH.values()] == [60]
    assert not Job.objects.filter(time_limit_s__lt=60).exists()
    return ", ".join(said)


@scenario("A8")
def a_pasted_script_is_read_field_by_field(w: make.World) -> str:
    """A script for eight cards and ten hours beside a form of one card and one hour: two conflicts, two not supported."""
    scripted.reset()
    partition = make.partition(w, adapter="scripted", rate="9")
    text = "#!/bin/bash\n#SBATCH --gres=gpu:8 --time=10:00:00 --mail-user=x --wrap\npython3 train.py\n"
    form = directives.Form(partition="gpu", title="训练", cards=1, cpus=8, memory_mb=1000, time_limit_s=3600)
    try:
        directives.settle(text, form, rule=directives.DirectiveRule.REFUSE, card_type=partition.card_type)
    except directives.DirectivesDiffer as error:
        codes = [reason.code for reason in error.reasons]
        assert status_of(error) == 422
    assert codes == ["job.directive_conflict"] * 2 + ["job.directive_unsupported"] * 2
    shown = directives.compare(text, form, card_type=partition.card_type)
    said = shown.sent
    assert said.title is not None
    ask = rules.Ask(said.cards or 0, said.cpus or 1, said.memory_mb or 0, said.time_limit_s or 0, shown.script)
    with override_settings(CLUSTER_ADAPTERS=CLUSTERS):
        job = submit(w, services.Wanted(partition=partition, title=said.title, ask=ask))
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
    spec = scripted.TRUTH[job.marker]["spec"]
    sent = {"partition": spec.partition, "title": "训练", "cards": spec.cards, "cpus": spec.cpus}
    sent |= {"memory_mb": spec.memory_mb, "time_limit_s": spec.time_limit_s}
    assert json.dumps(sent) == json.dumps(said.as_json())
    assert spec.script.encode() == shown.script.encode()
    assert not directives.has_any(spec.script)
    return "422 with 2 conflicts and 2 unsupported; sent = shown, byte for byte"
