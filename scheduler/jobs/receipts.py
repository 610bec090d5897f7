"""Receipts of runs: what was used, at which price, and how the amount comes about, for anybody to recompute.

A receipt is JSON. ``sha256`` is the digest of its canonical form (keys sorted, no spaces, UTF-8, without ``sha256`` and
``signature``); ``signature`` is the portal's own over that digest. The formula stands on the receipt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.core.signing import Signer
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext

from portal import papers
from portal.kernel.actors import Actor
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from scheduler.jobs import access
from scheduler.jobs.models import Job, JobLine, JobRun

__all__ = ["FORMULA", "canonical", "get_run", "is_genuine", "pdf", "receipt", "runs_of"]

VERSION: Final = "gongxiang.run/1"
FORMULA: Final = "round_half_up(unit_price_fen * count * seconds / 3600)"


def runs_of(job: Job) -> list[tuple[JobRun, JobLine | None]]:
    """Return a job's runs in order, each with its line in force, or None. Two queries."""
    lines = {line.run_id: line for line in JobLine.objects.filter(run__job=job).order_by("revision")}
    return [(run, lines.get(run.pk)) for run in JobRun.objects.filter(job=job).order_by("no")]


def get_run(actor: Actor, number: str, no: int) -> tuple[Job, JobRun, JobLine | None]:
    """Return one run of the actor's organisation's job. Raises NotFound, Forbidden."""
    job = access.get_job(actor, number)
    for run, line in runs_of(job):
        if run.no == no:
            return job, run, line
    raise NotFound


def _moment(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else None


def receipt(job: Job, run: JobRun, line: JobLine | None) -> dict[str, Any]:
    """Return the receipt of a run. A run without a line is not billed, or not settled yet."""
    owner = job.partition.cluster.owner
    said: dict[str, Any] = {
        "version": VERSION,
        "number": f"{job.number}/{run.no}",
        "job": job.number,
        "run": run.no,
        "task": run.task if run.task >= 0 else None,
        "payer": {"name": job.organisation.name, "credit_code": job.organisation.credit_code},
        "provider": {"name": owner.name, "credit_code": owner.credit_code},
        "cluster": job.partition.cluster.code,
        "partition": job.partition.name,
        "cluster_job_id": run.cluster_job_id,
        "submitted_at": _moment(run.submitted_at),
        "started_at": _moment(run.started_at),
        "ended_at": _moment(run.ended_at),
        "state": run.state,
        "raw_state": run.raw_state,
        "tres": {
            "cards": run.cards,
            "card_type": run.card_type or (job.partition.card_type if run.cards else ""),
            "cpus": run.cpus,
            "memory_mb": run.memory_mb,
            "nodes": run.nodes,
            "billing": run.billing,
        },
        "elapsed_s": run.elapsed_s,
        "accounting": run.confirmed,
        "settlement": job.settlement,
        "not_billed": run.not_billed or None,
        "charge": job.charge.number if job.charge else None,
        "price": _price(line),
        "amount_fen": line.amount_fen if line else 0,
    }
    digest = hashlib.sha256(canonical(said)).hexdigest()
    return {**said, "sha256": digest, "signature": _signature(digest)}


def _price(line: JobLine | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {
        "formula": FORMULA,
        "rounding": "half_up",
        "unit": line.unit,
        "unit_price_fen": line.unit_price_fen,
        "price_id": line.rate_id,
        "count": line.count,
        "seconds": line.seconds,
        "revision": line.revision,
    }


def canonical(said: Mapping[str, Any]) -> bytes:
    """Return what the digest of a receipt is taken of."""
    plain = {name: value for name, value in said.items() if name not in {"sha256", "signature"}}
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _signature(digest: str) -> str:
    return Signer(salt="scheduler.jobs.receipts").signature(digest)


def is_genuine(said: Mapping[str, Any]) -> bool:
    """Say whether a receipt is the portal's and unchanged."""
    digest = hashlib.sha256(canonical(said)).hexdigest()
    return said.get("sha256") == digest and constant_time_compare(str(said.get("signature", "")), _signature(digest))


def pdf(said: Mapping[str, Any], *, names: Mapping[str, str], lang: str) -> bytes:
    """Return a receipt as PDF in the active language; `names` are the words of its state, unit and reason. Raises FontMissing."""
    price, tres = said["price"], said["tres"]
    rows = [
        [gettext("付款单位"), f"{said['payer']['name']} {said['payer']['credit_code']}"],
        [gettext("服务单位"), f"{said['provider']['name']} {said['provider']['credit_code']}"],
        [gettext("集群与分区"), f"{said['cluster']} / {said['partition']}"],
        [gettext("集群作业号"), said["cluster_job_id"]],
        [gettext("开始（UTC）"), said["started_at"] or "—"],
        [gettext("结束（UTC）"), said["ended_at"] or "—"],
        [gettext("状态"), f"{names['state']} ({said['raw_state']})"],
        [gettext("加速卡"), f"{tres['cards'] if tres['cards'] is not None else '—'} {tres['card_type']}".strip()],
        [gettext("CPU 核数"), str(tres["cpus"] if tres["cpus"] is not None else "—")],
        [gettext("计时（秒）"), str(said["elapsed_s"])],
    ]
    if price is not None:
        rows += [
            [gettext("计费数量"), f"{price['count']}"],
            [gettext("计费秒数"), f"{price['seconds']}"],
            [gettext("单价"), f"{Money(price['unit_price_fen'])} / {names['unit']}"],
            [gettext("价格编号"), str(price["price_id"] or "—")],
            [gettext("算式"), f"{price['unit_price_fen']} × {price['count']} × {price['seconds']} ÷ 3600"],
        ]
    if said["not_billed"]:
        rows.append([gettext("不计费原因"), names["not_billed"]])
    rows.append([gettext("金额"), str(Money(said["amount_fen"]))])
    return papers.pdf(
        papers.Sheet(
            title=gettext("计算用量收据 %(number)s") % {"number": said["number"]},
            heads=[gettext("项目"), gettext("内容")],
            rows=rows,
            lines=[gettext("金额按分四舍五入一次；单价为提交作业时的价格。")],
            closing=[f"SHA-256 {said['sha256'][:32]}", said["sha256"][32:]],
            foot=said["number"],
            lang=lang,
        )
    )
