"""Ask the agent beside the cluster. The Slurm adapter delegates here where its config names an `agent`."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from codecs import getincrementaldecoder
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integrations.slurm.agent.signing import headers_for, private_key
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import FileEntry, LogChunk, RejectedBy, Spec

__all__ = ["AgentClient", "agent_from"]

TIMEOUT_S = 30
SETTLED_S = 2.0
"""Output not written to for so long ends where it ends, in the midst of a character too."""
MAX_ANSWER = 4 << 20

_GROUNDS = (
    ("partition name", "partition"),
    ("invalid account", "account"),
    ("time limit is invalid", "time_limit"),
    ("qos specification", "qos"),
    ("policy", "limit"),
    ("not available", "resources"),
    ("be satisfied", "resources"),
    ("processors requested", "resources"),
)
"""Words of `sbatch --test-only` (slurm_errno, 22.05) and what the port calls such a refusal."""


class AgentClient:
    """Config: ``{"url": "https://HOST:PORT", "dir": DIR}``; `dir` is the ``portal/`` that the agent's `init` wrote.

    Every method raises Unavailable (no answer: ask again) or Rejected (declined: do not).
    """

    def __init__(self, url: str, folder: Path) -> None:
        where = urlsplit(url)
        if where.scheme != "https" or not where.hostname:
            raise ValueError("agent: url is https://HOST:PORT")
        self.address = (where.hostname, where.port or 443)
        self.key = private_key(folder / "requests.key")
        self.context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Send one signed request over a connection of its own."""
        path, body = f"/1/{operation}", json.dumps(params).encode()
        headers = headers_for(self.key, "POST", path, body) | {"Content-Type": "application/json"}
        link = http.client.HTTPSConnection(*self.address, timeout=TIMEOUT_S, context=self.context)
        try:
            link.request("POST", path, body=body, headers=headers)
            response = link.getresponse()
            answer = json.loads(response.read(MAX_ANSWER))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(detail=f"agent: {type(error).__name__}: {error}"[:300]) from error
        finally:
            link.close()
        if not isinstance(answer, dict):
            raise Unavailable(detail="agent: no object")
        if response.status == 200:
            return answer
        words = f"agent: {answer.get('error', response.status)} {answer.get('detail', '')}".strip()
        if response.status in (404, 422):
            raise Rejected(reason=words)
        raise Unavailable(detail=words)

    # --- files

    def prepare(self, *, user: str, marker: str) -> str:
        """Make the job's own directory and return its path: where the job is to start."""
        return str(self.call("prepare", user=user, marker=marker)["path"])

    def put_file(self, *, marker: str, user: str, path: str, offset: int, data: bytes) -> int:
        text = base64.b64encode(data).decode()
        return int(self.call("put", user=user, marker=marker, path=path, offset=offset, data=text)["size"])

    def files(self, *, marker: str, user: str) -> list[FileEntry]:
        rows = self.call("files", user=user, marker=marker)["files"]
        named = [row for row in rows if row[0].isprintable()]
        return [FileEntry(path, size, datetime.fromtimestamp(changed, UTC)) for path, size, changed in named]

    def read_file(self, *, marker: str, user: str, path: str, offset: int, limit: int) -> LogChunk:
        return _chunk(
            self.call("read", user=user, marker=marker, path=path, offset=offset, limit=limit), offset, missing=path
        )

    def remove_file(self, *, marker: str, user: str, path: str) -> None:
        self.call("remove", user=user, marker=marker, path=path)

    def log(self, *, marker: str, user: str, offset: int, limit: int, task: int = -1) -> LogChunk:
        """Read the job's output, or that of one task. A character still being written is left for the next chunk."""
        answer = self.call("log", user=user, marker=marker, task=task, offset=offset, limit=limit)
        chunk = _chunk(answer, offset)
        decoder = getincrementaldecoder("utf-8")("replace")
        decoder.decode(chunk.data)
        begun = len(decoder.getstate()[0])
        if not begun or begun == len(chunk.data) or (chunk.eof and time.time() - answer["modified_at"] > SETTLED_S):
            return chunk
        return LogChunk(chunk.data[:-begun], chunk.next_offset - begun, eof=chunk.eof)

    def log_size(self, *, marker: str, user: str, task: int) -> int:
        """Return how long the output of one task is by now; 0 while it has none."""
        return max(0, int(self.call("log", user=user, marker=marker, task=task, offset=0, limit=1)["size"]))

    # --- what REST cannot do

    def cancel_task(self, *, user: str, job_id: int, task: int) -> None:
        """Stop one task of an array, waiting or running, as its user. One that has ended is success."""
        self.call("cancel-task", user=user, job_id=job_id, task=task)

    def estimate(self, spec: Spec, *, qos: str = "") -> datetime | RejectedBy:
        """Return when such a job would start were it placed now, or why the cluster would refuse it."""
        answer = self.call(
            "estimate",
            user=spec.user,
            account=spec.account,
            partition=spec.partition,
            qos=qos,
            cpus=spec.cpus,
            memory_mb=spec.memory_mb,
            cards=spec.cards,
            card_type=spec.card_type,
            minutes=max(1, -(-spec.time_limit_s // 60)),
        )
        if answer["fits"]:
            return datetime.fromtimestamp(answer["starts_at"], UTC)
        words = str(answer["words"])
        return RejectedBy(next((code for part, code in _GROUNDS if part in words.lower()), "other"), words)

    def bound_qos(self, qos: str, minutes: Mapping[str, int]) -> Mapping[str, int]:
        """Bound what a QOS of ours may use in all, in minutes by resource; -1 takes a bound away. Return what holds."""
        read_back = self.call("qos-limits", qos=qos, minutes=dict(minutes))["read_back"] or {}
        found: Mapping[str, int] = read_back.get("minutes", {})
        return found

    # --- the doctor's questions

    def config(self) -> str:
        return self._said("config")

    def accounting(self) -> str:
        return self._said("accounting")

    def qos(self) -> str:
        return self._said("qos")

    def _said(self, name: str) -> str:
        answer = self.call("config")
        if not answer.get(name):
            raise Unavailable(detail=f"agent: {answer.get(f'{name}_error') or name}")
        return str(answer[name])

    def host(self, *, job_root: str, users: list[str], jwks: str) -> Mapping[str, Any]:  # noqa: ARG002 - its own paths
        """Return what the agent sees of its machine; which directories it looks at is its own operator's choice."""
        return self.call("host", users=users)


def _chunk(answer: Mapping[str, Any], offset: int, *, missing: str = "") -> LogChunk:
    if answer["size"] < 0 and missing:
        raise Rejected(reason=f"no file {missing}")
    data = base64.b64decode(answer["data"])
    return LogChunk(data, offset + len(data), eof=offset + len(data) >= answer["size"])


def agent_from(config: Mapping[str, Any]) -> AgentClient | None:
    """Return the client of the agent `config` names under ``agent``, None where it names none. Raises ValueError."""
    agent = config.get("agent")
    if not agent:
        return None
    if not isinstance(agent, Mapping):
        raise TypeError("agent: {url, dir}")
    return _client(str(agent["url"]), str(agent["dir"]))


@lru_cache(maxsize=16)
def _client(url: str, folder: str) -> AgentClient:
    return AgentClient(url, Path(folder))
