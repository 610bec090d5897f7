"""The way to one cluster's slurmrestd: which version is spoken there, and questions asked in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from integrations.slurm.codec import Codec, Job
from integrations.slurm.legacy import Legacy
from integrations.slurm.modern import VERSIONS, Modern
from integrations.slurm.reading import from_accounting, from_controller
from integrations.slurm.tokens import NoToken
from integrations.slurm.wire import Answer, Kind, Lost, NotReached, Wire

__all__ = ["NO_ANSWER", "Link", "Outage", "Unsupported"]

CHECK_AGAIN_S: Final = 600
CODECS: Final[Mapping[str, Codec]] = {Legacy().version: Legacy(), **{version: Modern(version) for version in VERSIONS}}
"""What we speak. v0.0.39 is left out: it answers a body it half understands with 200, no error and no job."""


class Outage(Exception):
    """The cluster did not give a usable answer to a question (never used for a submission)."""


class Unsupported(Outage):
    """It answers, in versions we do not speak. No job call is made."""


NO_ANSWER = (NotReached, NoToken, Lost, Outage)


class Link:
    """Asks one slurmrestd with the reader's token, in the highest version both know.

    The choice is kept per address, made again every ten minutes and whenever a path is not there (an upgraded cluster).
    """

    _chosen: ClassVar[dict[str, tuple[float, Codec, tuple[str, ...]]]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, wire: Wire, reader: str) -> None:
        self.wire, self.reader = wire, reader

    # --- the version

    def codec(self, *, within_s: float = 30) -> Codec:
        """Return the codec to speak. Raises Unsupported, Outage, NotReached, NoToken, Lost."""
        return self._choice(within_s)[1]

    def offered(self) -> tuple[str, ...]:
        """Return the versions the cluster offers, ascending. Raises as `codec`."""
        return self._choice(30)[2]

    def forget(self) -> None:
        """Choose anew with the next question."""
        with self._lock:
            self._chosen.pop(self.wire.url, None)

    def _choice(self, within_s: float) -> tuple[float, Codec, tuple[str, ...]]:
        with self._lock:
            known = self._chosen.get(self.wire.url)
        if known and time.monotonic() - known[0] < CHECK_AGAIN_S:
            return known
        answer = self.wire.glance("/openapi/v3", user=self.reader, read_s=min(within_s, 10))
        offered = _versions(answer.body.get("paths"))
        for version in reversed(offered):
            if version in CODECS and self._is_there(version, within_s):
                chosen = (time.monotonic(), CODECS[version], offered)
                with self._lock:
                    self._chosen[self.wire.url] = chosen
                return chosen
        if not offered:
            raise Outage(f"no version to be seen: {answer.words}")
        raise Unsupported(f"unsupported version: offered {', '.join(offered)}; known {', '.join(CODECS)}")

    def _is_there(self, version: str, within_s: float) -> bool:
        """Confirm with a ping. A controller that does not answer is no reason against the version."""
        try:
            answer = self.wire.glance(f"/slurm/{version}/ping", user=self.reader, read_s=min(within_s, 4))
        except Lost:
            return True
        return answer.kind is not Kind.NO_ENDPOINT

    # --- questions

    def ask(self, tail: str, params: Mapping[str, str] | None = None, *, db: bool = False) -> Answer:
        """Read ``/slurm/VERSION/tail``, or slurmdb's. Raises Outage for anything but a clean answer, NotReached, Lost."""
        answer = self.look(tail, params, db=db)
        if answer.kind is not Kind.FINE:
            raise Outage(f"{tail}: {answer.words}")
        return answer

    def look(self, tail: str, params: Mapping[str, str] | None = None, *, db: bool = False) -> Answer:
        """Read, whatever the answer says; a path that is not there is tried once more in a version chosen anew."""
        for _attempt in range(2):
            path = self.path(tail, db=db)
            answer = self.wire.get(path, user=self.reader, params=params)
            if answer.kind is not Kind.NO_ENDPOINT:
                break
            self.forget()
        return answer

    def path(self, tail: str, *, db: bool = False) -> str:
        return f"/{'slurmdb' if db else 'slurm'}/{self.codec().version}{tail}"

    def send(
        self, method: str, tail: str, *, user: str, body: Mapping[str, Any] | None = None, repeatable: bool = False
    ) -> Answer:
        """Change something as `user`, once, as ``Wire.send`` does. Raises NotReached, NoToken, Lost."""
        answer = self.wire.send(method, self.path(tail), user=user, body=body, repeatable=repeatable)
        if answer.kind is Kind.NO_ENDPOINT:
            self.forget()
        return answer

    # --- rows

    def listing(self, since: int | None = None) -> Answer:
        """Ask for every job the controller knows: the costly question. With `since` (epoch), none when nothing changed."""
        return self.ask("/jobs", None if since is None else {"update_time": self.codec().since(since)})

    def listed(self, since: int | None = None) -> list[Job]:
        """Read that list. [] when nothing changed since `since`."""
        return [from_controller(row) for row in rows(self.listing(since), "jobs")]

    def accounted(self, params: Mapping[str, str]) -> list[Job]:
        """Return accounting's rows, every run of a job: 22.05 tells them whenever there are parameters at all."""
        assert params
        codec = self.codec()
        answer = self.ask("/jobs", {**params, **codec.every_run, "skip_steps": "true"}, db=True)
        return [from_accounting(row, keeps_exit_codes=codec.keeps_exit_codes) for row in rows(answer, "jobs")]

    def accounted_under(self, marker: str, earliest: int) -> list[Job]:
        """Return accounting's rows named `marker` submitted at or after `earliest` (epoch).

        ``submit_time`` also finds jobs that never started, ``uts`` keeps the cluster's time zone out of it.
        """
        found = self.accounted({"job_name": marker, "submit_time": f"uts{earliest}"})
        return [job for job in found if job.name == marker]

    def accounting_is_current(self) -> bool:
        """Say whether the controller has nothing left to tell accounting."""
        statistics = self.ask("/diag").body.get("statistics") or {}
        return statistics.get("dbd_agent_queue_size") == 0


def rows(answer: Answer, name: str) -> list[Mapping[str, Any]]:
    found = answer.body.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _versions(paths: object) -> tuple[str, ...]:
    """Return the versions among ``/slurm/…`` paths, ascending by number."""
    parts = [str(path).strip("/").split("/") for path in (paths if isinstance(paths, dict) else ())]
    found = {part[1] for part in parts if len(part) > 2 and part[0] == "slurm" and part[1].startswith("v0.0.")}
    return tuple(sorted((one for one in found if one[5:].isdecimal()), key=lambda one: int(one[5:])))
