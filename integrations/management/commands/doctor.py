"""``manage.py doctor [CLUSTER…]``: whether a Slurm cluster is set up as the portal needs it, and how to mend it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import override

from integrations.slurm.agent_client import agent_from
from integrations.slurm.doctor import rest
from integrations.slurm.doctor.checking import Finding, Level
from integrations.slurm.doctor.examining import examine, exit_status
from integrations.slurm.doctor.gather import Beside, Here, gather, is_here
from integrations.slurm.doctor.probe import singleton
from integrations.slurm.doctor.snapshot import Portal, PortalPartition, Snapshot, Unseen
from integrations.slurm.tokens import source_from
from integrations.slurm.wire import READ_S, Wire
from scheduler.resources.models import Cluster, Rate

MARKS = {Level.OK: "✓", Level.WARNING: "!", Level.FAULT: "✗", Level.UNSEEN: "?"}


class Command(BaseCommand):
    """Examine Slurm clusters. Reads only, except with ``--probe``.

    Exit status 0 when all is well, 1 with warnings or checks that could not be made, 2 with faults.
    """

    help = "Examine the settings of Slurm clusters the portal relies on, with a fix for each fault."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("clusters", nargs="*", metavar="CLUSTER", help="codes; default: every Slurm cluster")
        parser.add_argument("--lang", choices=["zh", "en"], default="zh")
        parser.add_argument("--json", action="store_true", help="one JSON object per cluster")
        parser.add_argument("--all", action="store_true", help="show passed checks at length too")
        parser.add_argument("--conf", type=Path, help="slurm.conf, or a saved 'scontrol show config'")
        parser.add_argument("--dbd-conf", type=Path, help="slurmdbd.conf")
        parser.add_argument("--slurm-conf", default="", help="SLURM_CONF of the commands on this machine")
        parser.add_argument(
            "--probe",
            metavar="USER:ACCOUNT:PARTITION",
            help="also place two tiny jobs of one name and see that the second waits; they are cancelled",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        rows = Cluster.objects.filter(adapter="slurm").order_by("code")
        if options["clusters"]:
            rows = rows.filter(code__in=options["clusters"])
            if unknown := set(options["clusters"]) - set(rows.values_list("code", flat=True)):
                raise CommandError(", ".join(sorted(unknown)), returncode=2)
        status = 0
        with override("en" if options["lang"] == "en" else "zh-hans"):
            for row in rows:
                findings = examine(snapshot_of(row, options))
                status = max(status, exit_status(findings))
                self.report(row, findings, as_json=options["json"], at_length=options["all"])
            if not rows and not options["json"]:
                self.stdout.write(_("没有 Slurm 集群。"))
        if status:
            sys.exit(status)

    def report(self, row: Cluster, findings: list[Finding], *, as_json: bool, at_length: bool) -> None:
        counts = {level: sum(one.level is level for one in findings) for level in Level}
        if as_json:
            self.stdout.write(
                json.dumps(
                    {"cluster": row.code, "counts": counts, "findings": [_as_json(one) for one in findings]},
                    ensure_ascii=False,
                )
            )
            return
        names = {
            Level.OK: _("合格"),
            Level.WARNING: _("应留意"),
            Level.FAULT: _("故障"),
            Level.UNSEEN: _("未能检查"),
        }
        needed, remedy = _("需要"), _("办法")
        self.stdout.write(f"{row.code}  {row.name}")
        for one in findings:
            self.stdout.write(f"  {MARKS[one.level]} {_(one.check.title)}  [{one.check.code}] {one.seen}")
            if one.level is Level.OK and not at_length:
                continue
            self.stdout.write(f"      {needed}: {_(one.check.need)}")
            if one.level is not Level.OK:
                self.stdout.write(f"      {remedy}: {_(one.check.fix)}")
        self.stdout.write("  " + ", ".join(f"{names[level]} {counts[level]}" for level in Level))


def _as_json(one: Finding) -> dict[str, str]:
    return {
        "code": one.check.code,
        "level": one.level,
        "seen": one.seen,
        "title": _(one.check.title),
        "need": _(one.check.need),
        "fix": _(one.check.fix),
    }


def snapshot_of(row: Cluster, options: dict[str, Any]) -> Snapshot:
    """Gather what can be seen of the cluster `row`. Raises CommandError for a config nothing can be asked with."""
    config = row.config
    try:
        wire = Wire(str(config["url"]), source_from(config), socket=str(config.get("socket", "")))
        portal = portal_of(row)
        beside: Beside = agent_from(config) or Here(slurm_conf=options["slurm_conf"], is_cluster=is_here(config))
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise CommandError(f"{row.code}: {error}", returncode=2) from error
    try:
        seen = gather(
            portal,
            wire,
            beside,
            job_root=str(config.get("job_root", "")),
            conf=options["conf"],
            dbd_conf=options["dbd_conf"],
        )
        return _probed(seen, wire, options["probe"]) if options["probe"] else seen
    finally:
        wire.close()


def _probed(seen: Snapshot, wire: Wire, words: str) -> Snapshot:
    user, _colon, rest_of = words.partition(":")
    account, _colon, partition = rest_of.partition(":")
    version = next((one for one in reversed(rest.READ) if one in (seen.offered or ())), "")
    try:
        if not version:
            raise Unseen(seen.why.get("offered", "no version"))
        said = singleton(wire, version=version, user=user, account=account, partition=partition)
    except Unseen as error:
        return replace(seen, why={**seen.why, "singleton": str(error)})
    return replace(seen, singleton=said)


def portal_of(row: Cluster) -> Portal:
    """Return what the portal itself says of the cluster, prices as of now."""
    now = datetime.now(UTC)
    config = row.config
    prices: dict[int, dict[str, int]] = {}
    rates = Rate.objects.filter(partition__cluster=row, valid__contains=now, user_class=Rate.UserClass.EXTERNAL)
    for partition_id, unit, amount_fen in rates.values_list("partition_id", "unit", "amount_fen"):
        prices.setdefault(int(partition_id or 0), {})[unit] = amount_fen
    offset = ZoneInfo(settings.TIME_ZONE).utcoffset(now.replace(tzinfo=None))
    return Portal(
        url=str(config["url"]),
        reader=str(config["reader"]),
        operator=str(config.get("operator", "portal-ops")),
        users=[row.posix_user],
        accounts=[],
        partitions=[
            PortalPartition(one.name, one.card_type, one.max_cards, one.max_time_s, prices.get(one.pk, {}))
            for one in row.partitions.filter(is_open=True)
        ],
        zone_offset_s=int(offset.total_seconds()) if offset else 0,
        read_timeout_s=READ_S,
        guard_s=int(config.get("guard_s", 120)),
        qos=str(config.get("qos", "")),
        key_id=str(config.get("key_id", "")),
        versions=rest.READ,
    )
