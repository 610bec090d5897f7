"""The doctor on a real Slurm: what it finds there is what is there."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.organisations import rules as roles
from scheduler.resources.models import Cluster, Partition
from tests.adapters.bench import Bench
from tests.adapters.conftest import slurm_config
from tests.make import organisation
from tests.slurm import cluster as real

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]


def cluster(info: real.Info, **config: Any) -> Cluster:
    row = Cluster.objects.create(
        code="real",
        owner=organisation(roles.Kind.PROVIDER),
        name="实机",
        city="杭州",
        adapter="slurm",
        config={**slurm_config(info), "operator": "root", **config},
        posix_user=info.users[0],
    )
    Partition.objects.create(cluster=row, name="gpu", label="GPU", card_type="h20", max_cards=4, max_time_s=3600)
    return row


def doctor(info: real.Info, *argv: str) -> tuple[int, dict[str, dict[str, str]], str]:
    out, status = io.StringIO(), 0
    try:
        call_command("doctor", "real", *argv, f"--slurm-conf={info.dir}/conf/slurm.conf", stdout=out)
    except SystemExit as error:
        status = int(error.code or 0)
    text = out.getvalue()
    found = {one["code"]: one for one in json.loads(text)["findings"]} if "--json" in argv else {}
    return status, found, text


EXPECTED = {
    "warning": {"job_requeue", "proctrack", "task_plugin", "private_data", "private_accounting", "deny_on_limit"}
    | {"zone", "weights"},
    "fault": {"operator"},
}
"""How the tests' cluster departs from one in use: no cgroups, nothing hidden, root as the operator."""


def test_it_sees_the_whole_cluster(slurm: Bench, real_slurm: real.Info) -> None:
    cluster(real_slurm)
    probe = f"--probe={real_slurm.users[0]}:{real_slurm.accounts[0]}:cpu"
    status, found, _text = doctor(real_slurm, "--json", "--lang=en", probe)
    levels = {level: {code for code, one in found.items() if one["level"] == level} for level in ("warning", "fault")}
    assert status == 2
    assert levels["fault"] == EXPECTED["fault"], {code: found[code]["seen"] for code in levels["fault"]}
    assert levels["warning"] <= EXPECTED["warning"]
    assert {one["seen"] for one in found.values() if one["level"] == "unseen"} == set()
    assert found["singleton"]["seen"] == "waits"
    assert found["expired"]["seen"] == found["forged"]["seen"] == "refused"
    assert found["enforce"]["need"].startswith("AccountingStorageEnforce has associations")


def test_a_fault_is_told_with_its_fix_in_both_languages(slurm: Bench, real_slurm: real.Info, tmp_path: Path) -> None:
    cluster(real_slurm, operator="")
    bad = tmp_path / "slurm.conf"
    text = Path(real_slurm.dir, "conf", "slurm.conf").read_text()
    bad.write_text(
        text.replace("AccountingStorageEnforce=associations,limits,qos,safe", "AccountingStorageEnforce=limits")
    )
    status, _found, chinese = doctor(real_slurm, f"--conf={bad}")
    assert status == 2
    assert "✗ 记账限额的执行  [enforce] AccountingStorageEnforce=limits" in chinese
    assert "办法: 在 slurm.conf 写 AccountingStorageEnforce=associations,limits,qos,safe" in chinese
    _status, _found, english = doctor(real_slurm, f"--conf={bad}", "--lang=en")
    assert "Fix: In slurm.conf write AccountingStorageEnforce=associations,limits,qos,safe" in english
    assert not any("一" <= sign <= "鿿" for sign in english.replace("实机", ""))


def test_what_cannot_be_seen_is_said(slurm: Bench, real_slurm: real.Info) -> None:
    cluster(real_slurm, url="http://127.0.0.1:9")
    status, found, _text = doctor(real_slurm, "--json")
    assert status == 1
    assert found["token"]["level"] == "unseen"
    assert "ConnectError" in found["token"]["seen"]
    assert found["enforce"]["level"] == "ok"


def test_a_daemon_that_is_down_is_a_fault(real_slurm: real.Info) -> None:
    cluster(real_slurm)
    with real.locked(Path(real_slurm.dir) / "whole.lock"), real_slurm.without("slurmdbd"):
        status, found, _text = doctor(real_slurm, "--json")
    assert status == 2
    assert found["accounting"]["level"] == "fault"
    assert found["auth_accounting"]["level"] == "unseen"


def test_a_job_root_that_is_not_there_or_not_the_users(slurm: Bench, real_slurm: real.Info, tmp_path: Path) -> None:
    cluster(real_slurm, job_root=str(tmp_path))
    assert doctor(real_slurm, "--json")[1]["job_folders"]["level"] == "fault"
    (tmp_path / real_slurm.users[0]).mkdir(mode=0o750)
    assert "root" in doctor(real_slurm, "--json")[1]["job_folders"]["seen"]
    shutil.chown(tmp_path / real_slurm.users[0], real_slurm.users[0])
    assert doctor(real_slurm, "--json")[1]["job_folders"]["level"] == "ok"


def test_an_unknown_cluster_is_said() -> None:
    with pytest.raises(CommandError, match="nowhere") as raised:
        call_command("doctor", "nowhere")
    assert raised.value.returncode == 2
