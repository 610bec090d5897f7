"""``manage.py journey``: the whole walk as people over HTTP, ending with the ledger's own word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.serving import locked

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.servers
def test_walks_from_programme_to_settlement_and_accounts_for_every_fen(running, till):
    address, state = running
    given = ("DATABASE_URL", "REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in given}

    with locked(till):
        done = subprocess.run(
            [sys.executable, "manage.py", "journey", "--url", address.rstrip("/")],
            cwd=ROOT,
            env={**environment, "GONGXIANG_STATE_DIR": str(state)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    story = done.stdout.splitlines()
    assert story[-1].endswith("0 fen unaccounted")
    held, actual, voucher, own = (
        round(float(number) * 100)
        for number in re.search(
            r"4\. .*冻结 ¥([\d.]+)，实际 73 分钟 ¥([\d.]+) = 券 ¥([\d.]+) \+ 自付 ¥([\d.]+)", done.stdout
        ).groups()
    )
    assert (held, actual, voucher, own) == (96000, 58400, 35040, 23360)
