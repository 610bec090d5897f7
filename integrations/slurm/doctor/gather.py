"""Put a snapshot together: the portal's own facts, slurmrestd, the cluster's commands, the machine beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from integrations.slurm.doctor import commands, host, rest
from integrations.slurm.doctor.host_checks import LOOPBACK
from integrations.slurm.doctor.snapshot import Host, Portal, Snapshot, parse_conf
from integrations.slurm.wire import Wire

__all__ = ["Beside", "Here", "gather"]


class Beside(Protocol):
    """Whoever can run Slurm's commands and look at the cluster's machine. Each raises an exception that says why not."""

    def config(self) -> str:
        """Return what ``scontrol show config`` prints."""

    def accounting(self) -> str:
        """Return what ``sacctmgr show configuration`` prints."""

    def qos(self) -> str:
        """Return what ``sacctmgr show qos`` prints, as `commands.QOS` asks it."""

    def host(self, *, job_root: str, users: list[str], jwks: str) -> Mapping[str, Any]:
        """Return what `host.look` returns there."""


class Here:
    """Our own machine. `is_cluster`: slurmrestd runs here too, so this machine's users and directories are the cluster's."""

    def __init__(self, *, slurm_conf: str = "", is_cluster: bool) -> None:
        self.slurm_conf, self.is_cluster = slurm_conf, is_cluster

    def config(self) -> str:
        return commands.run(commands.CONFIG, slurm_conf=self.slurm_conf)

    def accounting(self) -> str:
        return commands.run(commands.DBD, slurm_conf=self.slurm_conf)

    def qos(self) -> str:
        return commands.run(commands.QOS, slurm_conf=self.slurm_conf)

    def host(self, *, job_root: str, users: list[str], jwks: str) -> Mapping[str, Any]:
        if not self.is_cluster:
            raise commands.NotRun("slurmrestd is on another host and the cluster has no agent")
        return host.look(job_root=job_root, users=users, jwks=jwks)


def is_here(config: Mapping[str, Any]) -> bool:
    where = urlsplit(str(config.get("url", ""))).hostname or ""
    return bool(config.get("socket")) or where.startswith(LOOPBACK)


def gather(
    portal: Portal,
    wire: Wire,
    beside: Beside,
    *,
    job_root: str,
    conf: Path | None = None,
    dbd_conf: Path | None = None,
) -> Snapshot:
    """Ask everybody who knows something. A file given by hand goes before a command. Changes nothing."""
    parts, why = rest.ask(portal, wire)

    def attempt(part: str, read: Callable[[], Any]) -> None:
        if part in parts:
            return
        try:
            parts[part] = read()
            why.pop(part, None)
        except Exception as error:  # whatever went wrong there is the answer
            params = getattr(error, "params", {})
            said = str(params.get("detail") or params.get("reason") or error)[:300] or type(error).__name__
            why[part] = f"{why[part]}; {said}" if part in why else said

    attempt("conf", lambda: commands.read_file(conf) if conf else parse_conf(beside.config()))
    attempt("dbd", lambda: commands.read_file(dbd_conf) if dbd_conf else commands.split_dbd(beside.accounting()))
    if not parts.get("qos") or wire_lacks_minutes(parts["qos"]):
        seen = parts.pop("qos", None)
        attempt("qos", lambda: commands.qos_from(beside.qos()))
        if "qos" not in parts and seen is not None:
            parts["qos"] = seen
    jwks = next(
        (
            word.partition("=")[2]
            for word in str((parts.get("conf") or {}).get("authaltparameters", "")).split(",")
            if word.startswith("jwks=")
        ),
        "",
    )
    attempt("host", lambda: _host(beside.host(job_root=job_root, users=list(portal.users), jwks=jwks)))
    why.setdefault("singleton", "--probe")
    return Snapshot(portal=portal, why=why, **parts)


def wire_lacks_minutes(rows: list[Any]) -> bool:
    """Say whether no QOS shows GrpTRESMins: v0.0.38 has no field for it, so sacctmgr is asked as well."""
    return not any(one.has_minutes for one in rows)


def _host(facts: Mapping[str, Any]) -> Host:
    return Host(
        rest=facts["rest"],
        uids=facts["uids"],
        job_root=facts["job_root"],
        jwks=facts["jwks"],
        zone_offset_s=int(facts["zone_offset_s"]),
    )
