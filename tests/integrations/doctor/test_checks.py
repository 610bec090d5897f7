"""Each check passes on a cluster set up as needed and fails when that one thing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from integrations.slurm.doctor import rest
from integrations.slurm.doctor.checking import CHECKS, Finding, Level
from integrations.slurm.doctor.commands import NotRun, qos_from, split_dbd
from integrations.slurm.doctor.examining import examine, exit_status
from integrations.slurm.doctor.snapshot import (
    Host,
    PartitionFacts,
    Portal,
    PortalPartition,
    Qos,
    Snapshot,
    parse_conf,
    seconds,
)

CONF = """Configuration data as of 2026-11-26T20:07:15
AccountingStorageEnforce = associations,limits,qos,safe
AccountingStorageTRES   = cpu,mem,energy,node,billing,fs/disk,vmem,pages,gres/gpu,gres/gpu:a100,gres/gpu:h20
AccountingStorageType   = accounting_storage/slurmdbd
AccountingStoreFlags    = job_comment
AuthAltTypes            = auth/jwt
AuthAltParameters       = jwks=/etc/slurm/jwks.json
DependencyParameters    = (null)
EnforcePartLimits       = ALL
GresTypes               = gpu
JobRequeue              = 0
KillWait                = 30 sec
MaxArraySize            = 1001
MaxJobCount             = 10000
MessageTimeout          = 10 sec
MinJobAge               = 300 sec
OverTimeLimit           = 0 min
PriorityDecayHalfLife   = 7-00:00:00
PriorityType            = priority/multifactor
PrivateData             = jobs,usage
ProctrackType           = proctrack/cgroup
SchedulerType           = sched/backfill
SelectType              = select/cons_tres
SelectTypeParameters    = CR_CORE_MEMORY
SlurmUser               = slurm(64030)
SlurmdTimeout           = 300 sec
SLURM_VERSION           = 22.05.8
TaskPlugin              = task/cgroup,task/affinity
"""
DBD = """AuthAltTypes           = auth/jwt
AuthAltParameters      = jwks=/etc/slurm/jwks.json
MaxQueryTimeRange      = UNLIMITED
PrivateData            = jobs,usage
PurgeJobAfter          = NONE
SLURMDBD_VERSION       = 22.05.8
"""

PORTAL = Portal(
    url="https://slurm.example:6820",
    reader="gx-reader",
    operator="gx-ops",
    users=["gx-jobs"],
    accounts=["e-optics"],
    partitions=[PortalPartition("gpu", "h20", 8, 86_400, {"card_hour": 900, "core_hour": 30})],
    zone_offset_s=28_800,
    qos="gx-normal",
    key_id="k1",
    versions=rest.READ,
)
GPU = PartitionFacts(
    "gpu", "UP", 172_800, {"cpu": 96, "gres/gpu": 8, "gres/gpu:h20": 8}, {"cpu": 0.5, "gres/gpu": 15.0}
)
HOST = Host(
    rest=[{"user": "slurmrestd", "argv": ["slurmrestd", "-a", "rest_auth/jwt", "127.0.0.1:6820"]}],
    uids={"gx-jobs": 10_001},
    job_root={
        "path": "/shared/jobs",
        "is_dir": True,
        "users": {"gx-jobs": {"is_dir": True, "owner": "gx-jobs", "mode": 0o2750}},
    },
    jwks=[{"kid": "k1", "alg": "RS256", "kty": "RSA", "n": "…", "e": "…"}],
    zone_offset_s=28_800,
)
WELL = Snapshot(
    portal=PORTAL,
    conf=parse_conf(CONF),
    dbd=parse_conf(DBD),
    offered=("v0.0.37", "v0.0.38"),
    controller="UP",
    accounting="UP",
    queue=0,
    skew_s=0.4,
    partitions=[GPU],
    qos=[Qos("gx-normal", frozenset({"denyonlimit"}), has_minutes=False)],
    admins={"gx-reader": "operator", "gx-ops": "operator", "gx-jobs": "none", "root": "administrator"},
    associations=frozenset({("e-optics", "gx-jobs")}),
    token="accepted",
    expired="refused",
    forged="refused",
    singleton="waits",
    host=HOST,
)

Change = Callable[[Snapshot], Snapshot]


def conf(name: str, value: str) -> Change:
    return lambda s: replace(s, conf={**(s.conf or {}), name.lower(): value})


def dbd(name: str, value: str) -> Change:
    return lambda s: replace(s, dbd={**(s.dbd or {}), name.lower(): value})


def with_(**parts: Any) -> Change:
    return lambda s: replace(s, **parts)


def portal(**parts: Any) -> Change:
    return lambda s: replace(s, portal=replace(s.portal, **parts))


def host(**parts: Any) -> Change:
    return lambda s: replace(s, host=replace(HOST, **parts))


def partition(**parts: Any) -> Change:
    return lambda s: replace(s, partitions=[replace(GPU, **parts)])


def rest_argv(*argv: str, user: str = "slurmrestd") -> Change:
    return host(rest=[{"user": user, "argv": ["slurmrestd", *argv]}])


F, W = Level.FAULT, Level.WARNING
WRONG: list[tuple[str, Level, Change]] = [
    ("enforce", F, conf("AccountingStorageEnforce", "associations,limits")),
    ("enforce", F, conf("AccountingStorageEnforce", "none")),
    ("accounting_storage", F, conf("AccountingStorageType", "accounting_storage/none")),
    ("priority_type", F, conf("PriorityType", "priority/basic")),
    ("decay", F, with_(qos=[*(WELL.qos or []), Qos("gx-cap", frozenset({"denyonlimit"}), has_minutes=True)])),
    ("auth_controller", F, conf("AuthAltTypes", "(null)")),
    ("auth_accounting", F, dbd("AuthAltTypes", "(null)")),
    ("key_controller", F, conf("AuthAltParameters", "jwt_key=/etc/slurm/hs256.key")),
    ("key_controller", F, conf("AuthAltParameters", "jwks=/etc/slurm/jwks.json,jwt_key=/etc/slurm/hs256.key")),
    ("key_accounting", F, dbd("AuthAltParameters", "jwt_key=/etc/slurm/hs256.key")),
    ("key_same", W, dbd("AuthAltParameters", "jwks=/etc/slurm/old.json")),
    ("min_job_age", F, conf("MinJobAge", "60 sec")),
    ("message_timeout", F, conf("MessageTimeout", "20 sec")),
    ("kill_wait", F, conf("KillWait", "120 sec")),
    ("kill_wait", F, conf("OverTimeLimit", "2 min")),
    ("over_time", W, conf("OverTimeLimit", "1 min")),
    ("over_time", F, conf("OverTimeLimit", "UNLIMITED")),
    ("over_time", W, partition(over_time_s=60)),
    ("tres", F, conf("AccountingStorageTRES", "cpu,mem,node,billing,gres/gpu")),
    ("gres_types", F, conf("GresTypes", "(null)")),
    ("select_type", F, conf("SelectType", "select/linear")),
    ("select_memory", W, conf("SelectTypeParameters", "CR_CORE")),
    ("scheduler_type", W, conf("SchedulerType", "sched/builtin")),
    ("array_size", W, conf("MaxArraySize", "100")),
    ("job_count", W, conf("MaxJobCount", "500")),
    ("job_requeue", W, conf("JobRequeue", "1")),
    ("slurmd_timeout", W, conf("SlurmdTimeout", "0 sec")),
    ("job_comment", W, conf("AccountingStoreFlags", "(null)")),
    ("part_limits", W, conf("EnforcePartLimits", "NO")),
    ("proctrack", W, conf("ProctrackType", "proctrack/linuxproc")),
    ("task_plugin", W, conf("TaskPlugin", "task/none")),
    ("singleton_setting", F, conf("DependencyParameters", "disable_remote_singleton")),
    ("private_data", W, conf("PrivateData", "none")),
    ("private_data", F, with_(admins={**(WELL.admins or {}), "gx-reader": "none"})),
    ("private_accounting", W, dbd("PrivateData", "none")),
    ("private_accounting", F, with_(admins={**(WELL.admins or {}), "gx-reader": "none"})),
    ("query_range", F, dbd("MaxQueryTimeRange", "7-00:00:00")),
    ("versions", F, with_(offered=("v0.0.36", "v0.0.99"))),
    ("controller", F, with_(controller="DOWN")),
    ("accounting", F, with_(accounting="7000 Unable to connect to database")),
    ("queue", W, with_(queue=3)),
    ("queue", F, with_(queue=9_000)),
    ("skew", W, with_(skew_s=-12.0)),
    ("skew", F, with_(skew_s=45.0)),
    ("token", F, with_(token="slurmdb: 1007 Protocol authentication error")),
    ("expired", F, with_(expired="accepted")),
    ("forged", F, with_(forged="accepted")),
    ("singleton", F, with_(singleton="RUNNING beside the first")),
    ("deny_on_limit", W, with_(qos=[Qos("gx-normal", frozenset(), has_minutes=False)])),
    ("deny_on_limit", F, with_(qos=[])),
    ("reader", F, with_(admins={**(WELL.admins or {}), "gx-reader": "administrator"})),
    ("operator", F, with_(admins={**(WELL.admins or {}), "gx-ops": "none"})),
    ("job_users", F, with_(associations=frozenset({("e-optics", "somebody")}))),
    ("job_users", F, with_(admins={**(WELL.admins or {}), "gx-jobs": "operator"})),
    ("accounts", F, portal(accounts=["007"])),
    ("accounts", F, with_(associations=frozenset({("no", "gx-jobs")}))),
    ("partitions", F, partition(name="cpu")),
    ("partitions", F, partition(state="DOWN")),
    ("partition_time", F, partition(max_time_s=3_600)),
    ("partition_cards", F, partition(tres={"cpu": 96, "gres/gpu": 8, "gres/gpu:a100": 8})),
    ("weights", W, partition(weights={})),
    ("weights", F, partition(weights={"cpu": 1.0, "gres/gpu": 15.0})),
    ("weights", F, partition(weights={"cpu": 0.0, "mem": 1.0})),
    ("purge", W, dbd("PurgeJobAfter", "6months*")),
    ("releases", F, dbd("SLURMDBD_VERSION", "21.08.8")),
    ("address", F, portal(url="http://slurm.example:6820")),
    ("rest_bind", W, rest_argv("-a", "rest_auth/jwt", "0.0.0.0:6820")),
    ("rest_user", F, rest_argv("-a", "rest_auth/jwt", "127.0.0.1:6820", user="slurm")),
    ("rest_user", F, rest_argv("-a", "rest_auth/jwt", "127.0.0.1:6820", user="root")),
    ("rest_auth", F, rest_argv("-a", "rest_auth/jwt,rest_auth/local", "127.0.0.1:6820")),
    ("jwks_form", F, host(jwks=[{"kid": "k1", "kty": "RSA"}])),
    ("jwks_form", F, host(jwks=[{"kid": "k1", "alg": "RS256", "kty": "RSA", "d": "…"}])),
    ("jwks_current", F, portal(key_id="k2")),
    ("job_root", F, host(job_root={"path": "/shared/jobs", "is_dir": False})),
    ("job_folders", F, host(job_root={"is_dir": True, "users": {"gx-jobs": {"is_dir": True, "owner": "root", "mode": 0o750}}})),
    ("job_folders", F, host(job_root={"is_dir": True, "users": {"gx-jobs": {"is_dir": True, "owner": "gx-jobs", "mode": 0o777}}})),
    ("posix_users", F, host(uids={"gx-jobs": 33})),
    ("posix_users", F, host(uids={"gx-jobs": None})),
    ("zone", W, host(zone_offset_s=0)),
]  # fmt: skip


def findings(snapshot: Snapshot) -> dict[str, Finding]:
    return {one.check.code: one for one in examine(snapshot)}


def test_a_cluster_set_up_as_needed_passes_every_check() -> None:
    found = findings(WELL)
    assert {code: one.seen for code, one in found.items() if one.level is not Level.OK} == {}
    assert len(found) >= 50
    assert exit_status(found.values()) == 0


@pytest.mark.parametrize(("code", "level", "change"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_one_wrong_setting_is_found(code: str, level: Level, change: Change) -> None:
    found = findings(change(WELL))
    assert found[code].level is level, found[code].seen
    assert exit_status(found.values()) == (2 if F in {one.level for one in found.values()} else 1)


def test_there_is_a_wrong_setting_for_every_check() -> None:
    examine(WELL)
    assert {code for code, _level, _change in WRONG} == set(CHECKS)


def test_what_nobody_saw_is_said_and_never_passes() -> None:
    nothing = Snapshot(portal=PORTAL, why={"conf": "no agent, no --conf", "token": "refused connection"})
    found = findings(nothing)
    assert {code for code, one in found.items() if one.level is Level.OK} == {"address"}
    assert all(one.level is Level.UNSEEN for code, one in found.items() if code != "address")
    assert found["enforce"].seen == "no agent, no --conf"
    assert found["token"].seen == "refused connection"
    assert exit_status(found.values()) == 1


def test_a_value_that_cannot_be_read_is_not_passed() -> None:
    assert findings(conf("MaxArraySize", "many")(WELL))["array_size"].level is Level.UNSEEN


def test_prices_that_want_no_cores_want_no_weight_of_cores() -> None:
    only_cards = portal(partitions=[replace(PORTAL.partitions[0], prices={"card_hour": 900})])
    assert findings(only_cards(partition(weights={"gres/gpu:h20": 9.0})(WELL)))["weights"].level is Level.OK
    assert findings(only_cards(partition(weights={"gres/gpu": 9.0, "cpu": 1.0})(WELL)))["weights"].level is F


def test_a_slurm_conf_by_hand_is_read_with_its_comments_nodes_and_defaults() -> None:
    text = """
# PriorityType=priority/basic
PriorityType=priority/multifactor   # needed
MINJOBAGE=600
NodeName=n[1-4] CPUs=8 Gres=gpu:4
PartitionName=gpu Nodes=n[1-4] MaxTime=1-0
"""
    read = parse_conf(text)
    assert read == {"prioritytype": "priority/multifactor", "minjobage": "600"}
    seen = replace(WELL, conf=read)
    assert findings(seen)["min_job_age"].level is Level.OK
    assert findings(seen)["slurmd_timeout"].seen == "SlurmdTimeout=300 s"
    assert findings(seen)["enforce"].level is F


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("3 sec", 1, 3),
        ("10 secs", 1, 10),
        ("2 min", 1, 120),
        ("5", 60, 300),
        ("7-00:00:00", 1, 604_800),
        ("1-12", 1, 129_600),
        ("02:00:30", 1, 7_230),
        ("90:30", 60, 5_430),
        ("UNLIMITED", 1, None),
        ("INFINITE", 60, None),
        ("", 1, None),
    ],
)
def test_slurms_ways_to_write_a_time(text: str, unit: int, expected: int | None) -> None:
    assert seconds(text, unit=unit) == expected


def test_the_database_daemons_half_is_told_from_the_clients() -> None:
    text = "AuthType = auth/munge\nMessageTimeout = 3 sec\n\nSlurmDBD configuration:\nMessageTimeout = 10 secs\n"
    assert split_dbd(text) == {"messagetimeout": "10 secs"}
    with pytest.raises(NotRun, match="did not answer"):
        split_dbd("AuthType = auth/munge\n")


def test_a_qos_of_sacctmgr() -> None:
    rows = qos_from("normal||\ngx-cap|DenyOnLimit,NoDecay|gres/gpu=100\n")
    assert rows[1] == Qos("gx-cap", frozenset({"denyonlimit", "nodecay"}), has_minutes=True)
    assert not rows[0].has_minutes


def test_a_newer_interface_reads_the_same() -> None:
    row = {
        "name": "gpu",
        "partition": {"state": ["UP"]},
        "maximums": {"time": {"set": True, "infinite": False, "number": 2880}, "over_time_limit": {"set": False}},
        "tres": {"billing_weights": "CPU=0.5,GRES/gpu=15", "configured": "cpu=96,mem=1000M,gres/gpu=8,gres/gpu:h20=8"},
    }
    read = rest._partition(row)
    assert (read.name, read.state, read.max_time_s, read.over_time_s) == ("gpu", "UP", 172_800, 0)
    assert read.tres["gres/gpu:h20"] == 8
    assert read.weights == {"cpu": 0.5, "gres/gpu": 15.0}
    endless = {**row, "maximums": {"time": {"set": True, "infinite": True, "number": 0}, "over_time_limit": None}}
    assert rest._partition(endless).max_time_s is None
    assert rest._admin({"administrator_level": ["Operator"]}) == "operator"
