"""Ask slurmrestd for the parts of a snapshot it knows: versions, daemons, clocks, partitions, QOS, accounts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations.slurm.doctor.snapshot import PartitionFacts, Portal, Qos
from integrations.slurm.tokens import KeyFile, NoToken, TokenSource
from integrations.slurm.wire import Answer, Kind, Lost, NotReached, Wire

__all__ = ["READ", "ask"]

READ = ("v0.0.38", "v0.0.40", "v0.0.41", "v0.0.42", "v0.0.43", "v0.0.44", "v0.0.45")
"""Versions whose answers this module reads; v0.0.39 answers some requests with nothing [seen]."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A source of one token, whatever is asked: for tokens that must be refused."""

    value: str

    def token(self, user: str, *, fresh: bool = False) -> str:  # noqa: ARG002 - the port's
        return self.value


class _Asking:
    def __init__(self, portal: Portal, wire: Wire, version: str) -> None:
        self.portal, self.wire, self.version = portal, wire, version

    def get(self, area: str, path: str, wire: Wire | None = None) -> Answer:
        return (wire or self.wire).glance(f"/{area}/{self.version}/{path}", user=self.portal.reader)

    def rows(self, area: str, path: str, *names: str) -> list[Mapping[str, Any]]:
        answer = self.get(area, path)
        if answer.kind is not Kind.FINE:
            raise LookupError(f"{path}: {answer.words}")
        return next((answer.body[name] for name in names if isinstance(answer.body.get(name), list)), [])


def ask(portal: Portal, wire: Wire) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the parts seen, and why others were not. Places nothing, changes nothing."""
    parts: dict[str, Any] = {}
    why: dict[str, str] = {}

    def attempt(names: tuple[str, ...], read: Callable[[], Mapping[str, Any]]) -> None:
        try:
            parts.update(read())
        except (NotReached, Lost, NoToken, LookupError, ValueError, TypeError) as error:
            why.update(dict.fromkeys(names, str(error)[:300] or type(error).__name__))

    attempt(("offered",), lambda: {"offered": _offered(wire, portal.reader)})
    version = next((one for one in reversed(READ) if one in parts.get("offered", ())), "")
    live = ("controller", "accounting", "queue", "skew_s", "partitions", "qos", "admins", "associations")
    if not version:
        reason = why.get("offered") or f"offered: {', '.join(parts.get('offered', ())) or '-'}"
        return parts, {**why, **dict.fromkeys((*live, "token", "expired", "forged"), reason)}
    asking = _Asking(portal, wire, version)
    attempt(("token",), lambda: {"token": _judged(asking, wire)})
    attempt(("forged",), lambda: {"forged": _refused(asking, _forged(portal))})
    attempt(("expired",), lambda: {"expired": _refused(asking, _expired(portal, wire.tokens))})
    attempt(("controller",), lambda: {"controller": _controller(asking)})
    attempt(("queue", "skew_s"), lambda: _statistics(asking))
    attempt(
        ("partitions",),
        lambda: {"partitions": [_partition(r) for r in asking.rows("slurm", "partitions", "partitions")]},
    )
    attempt(("accounting",), lambda: {"accounting": _accounting(asking)})
    attempt(("qos",), lambda: {"qos": [_qos(row) for row in asking.rows("slurmdb", "qos", "QOS", "qos")]})
    attempt(
        ("admins",), lambda: {"admins": {str(r["name"]): _admin(r) for r in asking.rows("slurmdb", "users", "users")}}
    )
    attempt(("associations",), lambda: {"associations": _associations(asking)})
    return parts, why


def _offered(wire: Wire, reader: str) -> tuple[str, ...]:
    answer = wire.get("/openapi/v3", user=reader)
    paths = answer.body.get("paths") or {}
    if not paths:
        raise LookupError(answer.words)
    found = {part for path in paths for part in path.split("/") if part.startswith("v0.0.") and part[5:].isdigit()}
    return tuple(sorted(found))


def _judged(asking: _Asking, wire: Wire) -> str:
    """Say whether both daemons take the token: the controller's partitions and accounting's resources need one."""
    for area, path in (("slurm", "partitions"), ("slurmdb", "tres")):
        answer = asking.get(area, path, wire)
        if answer.kind is not Kind.FINE:
            return f"{area}: {answer.words}"
    return "accepted"


def _refused(asking: _Asking, token: str) -> str:
    """Say whether a bad token gets data from either daemon. Refusal needs a positive answer, not silence."""
    wire = Wire(asking.wire.url, Fixed(token), socket=asking.wire.socket)
    for area, path, names in (("slurm", "partitions", ("partitions",)), ("slurmdb", "tres", ("TRES", "tres"))):
        answer = asking.get(area, path, wire)
        if answer.kind is Kind.FINE and any(answer.body.get(name) for name in names):
            return "accepted"
        if not answer.errors and answer.status < 400:
            raise LookupError(f"{area}: {answer.words}")
    return "refused"


def _forged(portal: Portal) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    claims = {"sun": portal.reader, "iat": now, "exp": now + 60}
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": portal.key_id or secrets.token_hex(4)})


def _expired(portal: Portal, tokens: TokenSource) -> str:
    """Return a token past its end: signed here where the key is here, else the shortest the signer gives, waited for."""
    if isinstance(tokens, KeyFile):
        claims = {"sun": portal.reader, "iat": int(time.time()) - 3600, "exp": int(time.time()) - 1800}
        headers = {"kid": tokens.key_id} if tokens.key_id else None
        return jwt.encode(claims, tokens.path.read_bytes(), algorithm=tokens.algorithm, headers=headers)
    shortest = getattr(tokens, "shortest", None)
    if shortest is None:
        raise LookupError("token_command gives no token that ends soon")
    token: str = shortest(portal.reader)
    time.sleep(2.5)
    return token


def _controller(asking: _Asking) -> str:
    pings = asking.rows("slurm", "ping", "pings")
    up = any(one.get("ping") == "UP" or one.get("pinged") == "UP" or one.get("responding") is True for one in pings)
    return "UP" if up else "DOWN"


def _accounting(asking: _Asking) -> str:
    answer = asking.get("slurmdb", "tres")
    return "UP" if answer.kind is Kind.FINE else answer.words


def _statistics(asking: _Asking) -> dict[str, Any]:
    """Return the queue towards slurmdbd, and how far the cluster's clock is ahead, at a resolution of a second."""
    before = time.time()
    answer = asking.get("slurm", "diag")
    after = time.time()
    statistics = answer.body.get("statistics")
    if answer.kind is not Kind.FINE or not isinstance(statistics, dict):
        raise LookupError(f"diag: {answer.words}")
    there = _number(statistics["req_time"]) or 0
    skew = there - after if there > after else min(0.0, there + 1 - before)
    return {"queue": int(_number(statistics["dbd_agent_queue_size"]) or 0), "skew_s": skew}


def _number(value: Any) -> float | None:
    """Read a plain number, or ``{"set", "infinite", "number"}`` of v0.0.40 on; None is not set or unlimited."""
    if isinstance(value, dict):
        return float(value["number"]) if value.get("set") and not value.get("infinite") else None
    return None if value is None or value in (-1, 0xFFFFFFFF, 0xFFFFFFFE) else float(value)


def _tres(text: str) -> dict[str, int]:
    pairs = (word.partition("=") for word in text.split(",") if "=" in word)
    return {name: int("".join(sign for sign in value if sign.isdigit()) or 0) for name, _equals, value in pairs}


def _weights(text: str) -> dict[str, float]:
    pairs = (word.partition("=") for word in text.split(",") if "=" in word)
    return {name.strip().lower(): float(value.rstrip("KMGTPkmgtp")) for name, _equals, value in pairs}


def _partition(row: Mapping[str, Any]) -> PartitionFacts:
    if "maximums" in row:  # v0.0.40 on
        tres, over = row.get("tres") or {}, (row["maximums"].get("over_time_limit"))
        state = (row.get("partition") or {}).get("state") or []
        minutes, weights, text = (
            _number(row["maximums"].get("time")),
            tres.get("billing_weights"),
            tres.get("configured"),
        )
    else:
        state, over, text = row.get("state"), row.get("over_time_limit"), row.get("tres")
        minutes, weights = _number(row.get("max_time_limit")), row.get("billing_weights")
    over_minutes = _number(over) if over is not None else 0.0
    return PartitionFacts(
        name=str(row["name"]),
        state=state[0] if isinstance(state, list) and state else str(state),
        max_time_s=None if minutes is None else int(minutes) * 60,
        tres=_tres(str(text or "")),
        weights=_weights(str(weights or "")),
        over_time_s=int(over_minutes or 0) * 60,
    )


def _qos(row: Mapping[str, Any]) -> Qos:
    names = {str(flag).lower().replace("_", "") for flag in row.get("flags") or []}
    flags = {"denyonlimit" if name == "denylimit" else name for name in names}
    minutes = (((row.get("limits") or {}).get("max") or {}).get("tres") or {}).get("minutes") or {}
    per = minutes.get("per") or {}
    return Qos(str(row["name"]), frozenset(flags), has_minutes=bool(minutes.get("total") or per.get("qos")))


def _admin(row: Mapping[str, Any]) -> str:
    level = row.get("administrator_level") or "None"
    return str((level[0] if level else "None") if isinstance(level, list) else level).lower()


def _associations(asking: _Asking) -> frozenset[tuple[str, str]]:
    rows = asking.rows("slurmdb", "associations", "associations")
    return frozenset((str(row["account"]), str(row["user"])) for row in rows if row.get("user"))
