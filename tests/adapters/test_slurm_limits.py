"""Limits of accounts on a real Slurm 22.05: made, set, read back, taken off; and what the version does wrong on the way."""

from __future__ import annotations

import secrets
import time

import pytest

from integrations.slurm.limits import TURN, Limits
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.capabilities import AccountLimits

pytestmark = pytest.mark.slurm


@pytest.fixture
def account() -> str:
    return f"e-{secrets.token_hex(3)}"


def held(info, account: str, user: str = "") -> str:
    """Return what Slurm's own command says of an association."""
    return info.command(
        "sacctmgr",
        "-nP",
        "list",
        "assoc",
        f"account={account}",
        f"user={user}",
        "format=grptresrunmins,grptres,grpsubmit,qos",
    ).strip()


def test_an_account_is_made_with_its_user_and_bounds_and_may_submit(slurm, real_slurm, account):
    wanted = AccountLimits(account, (real_slurm.users[1],), running_card_minutes=100, cards=3, submitted=20)

    (found,) = slurm.cluster.apply_limits([wanted])

    assert found == wanted
    assert held(real_slurm, account) == "gres/gpu=100|gres/gpu=3|20|normal"
    assert slurm.cluster.read_limits(accounts=[account, "e-nobody"]) == [wanted]
    slurm.base = slurm.spec("", account=account, user=real_slurm.users[1])
    ref = slurm.run("#!/bin/bash\necho 可以\n")
    assert slurm.wait(ref).exit_code == 0


def test_every_bound_can_be_changed_again_and_again_and_taken_off(slurm, real_slurm, account):
    """22.05 changes an account only if it is not the first child of root; the second change of one is the trap."""
    user = real_slurm.users[0]
    for bounds in (
        {"running_card_minutes": 10},
        {"running_card_minutes": 20, "running_cpu_minutes": 30},
        {"running_cpu_minutes": 40, "cards": 2, "cpus": 5, "submitted": 0},
        {"cards": 1, "submitted": 3},
        {},
        {"submitted": 1},
    ):
        wanted = AccountLimits(account, (user,), **bounds)
        assert slurm.cluster.apply_limits([wanted]) == [wanted]
        assert slurm.cluster.apply_limits([wanted]) == [wanted], "saying it twice changes nothing"
    assert held(real_slurm, account) == "||1|normal"


def test_what_is_not_ours_stays_and_leaving_it_out_never_kills_slurmrestd(slurm, real_slurm, account):
    wanted = AccountLimits(account, (real_slurm.users[0],), running_card_minutes=60)
    slurm.cluster.apply_limits([wanted])
    real_slurm.command(
        "sacctmgr", "-iQ", "modify", "account", account, "set", "GrpTRES=mem=9000", "GrpTRESMins=cpu=77", "GrpJobs=9"
    )

    changed = AccountLimits(account, (real_slurm.users[0],), running_card_minutes=50, cards=2)
    assert slurm.cluster.apply_limits([changed]) == [changed]

    said = real_slurm.command(
        "sacctmgr",
        "-nP",
        "list",
        "assoc",
        f"account={account}",
        "user=",
        "format=grptresmins,grptres,grptresrunmins,grpjobs",
    ).strip()
    assert said == "cpu=77|gres/gpu=2,mem=9000M|gres/gpu=50|9"


def test_accounts_and_users_not_ours_are_never_touched(slurm, real_slurm, account):
    for foreign in ("root", "physics", TURN):
        with pytest.raises(Rejected):
            slurm.cluster.apply_limits([AccountLimits(foreign, submitted=0)])
    slurm.cluster.apply_limits([AccountLimits(account, real_slurm.users)])
    (found,) = slurm.cluster.apply_limits([AccountLimits(account, real_slurm.users[:1])])
    assert found.users == tuple(sorted(real_slurm.users)), "nobody is ever put out: that would cancel their jobs"


def test_a_token_that_may_not_and_a_cluster_that_is_away_are_told_apart(slurm, real_slurm, account):
    wanted = [AccountLimits(account, (real_slurm.users[0],), submitted=1)]
    with pytest.raises(Rejected):
        Limits(slurm.cluster.link, operator=real_slurm.reader).apply(wanted)
    assert held(real_slurm, account) == ""


def test_run_minutes_hold_back_what_would_plan_too_much_and_zero_stops_submissions(slurm, real_slurm, account):
    user = real_slurm.users[1]
    slurm.base = slurm.spec("", account=account, user=user, partition="gpu", card_type="h20", cards=1)
    slurm.cluster.apply_limits([AccountLimits(account, (user,), running_card_minutes=10)])

    too_much = slurm.run("#!/bin/bash\nsleep 1\n", time_limit_s=660)
    fits = slurm.run("#!/bin/bash\nsleep 1\n", time_limit_s=540)

    assert slurm.wait(fits).exit_code == 0
    deadline = time.monotonic() + 20
    while "AssocGrpGRESRunMinutes" not in slurm.observe(too_much).reason:
        assert time.monotonic() < deadline, slurm.observe(too_much)
        time.sleep(0.3)
    slurm.cluster.apply_limits([AccountLimits(account, (user,), submitted=0)])
    answer = slurm.cluster.submit(slurm.spec("#!/bin/bash\ntrue\n"), marker=f"zj{secrets.token_hex(13)}")
    assert getattr(answer, "code", "") == "limit", answer


def test_accounting_that_is_away_says_so(real_slurm, slurm, account):
    slurm.cluster.wire.url = "http://127.0.0.1:9"
    with pytest.raises(Unavailable):
        slurm.cluster.read_limits(accounts=[account])
