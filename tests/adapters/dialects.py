"""A slurmrestd of a version that is not installed here: answers in that version's shapes, written by hand.

The shapes are those seen on running 23.11.11 (v0.0.40), 24.11.7 (v0.0.40 to 42) and 26.05.3 (v0.0.42 to 45), and, to
compare, those of 22.05.8 (v0.0.38). It schedules nothing: a test moves its jobs on. What it knows of a submission is
what that version knows: other fields are refused (v0.0.38) or ignored with a warning (later).
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from scheduler.jobs import arrays

SUBMITTED = 1_795_000_000
COMMON = {
    "name",
    "comment",
    "account",
    "partition",
    "nodes",
    "tasks",
    "cpus_per_task",
    "memory_per_node",
    "time_limit",
    "hold",
    "dependency",
    "qos",
    "array",
    "current_working_directory",
    "standard_output",
    "standard_error",
    "open_mode",
    "environment",
}
KNOWN = {
    38: COMMON | {"gres", "no_requeue", "requeue", "kill_on_invalid_dependency"},
    40: COMMON | {"script", "requeue", "tres_per_node", "flags"},
}
HELD = "Job is in held state, pending scheduler release"


@dataclass
class Told:
    """One job as the daemon knows it, in no version's words. Times are epoch seconds."""

    job_id: int
    body: dict[str, Any]
    script: str
    user: str
    state: tuple[str, ...] = ("PENDING",)
    reason: str = "JobHeldUser"
    held: bool = True
    submitted: int = SUBMITTED
    start: int = 0
    end: int = 0
    exit: int = 0
    signal: int = 0
    restarts: int = 0
    task: int | None = None
    tasks: str = ""

    @property
    def cards(self) -> tuple[str, int]:
        words = str(self.body.get("gres") or self.body.get("tres_per_node") or "").removeprefix("gres/").split(":")
        return (words[1] if len(words) == 3 else "", int(words[-1])) if len(words) > 1 else ("", 0)

    def value(self, name: str) -> int:
        one = self.body[name]
        return int(one["number"] if isinstance(one, dict) else one)

    def tres(self) -> dict[str, int]:
        found = {"cpu": self.body["cpus_per_task"], "mem": self.value("memory_per_node"), "node": 1, "billing": 1}
        kind, count = self.cards
        return found | ({"gres/gpu": count} if count else {}) | ({f"gres/gpu:{kind}": count} if kind else {})


@dataclass
class Daemon:
    """Listens on `url` and speaks `versions` (the numbers behind v0.0.)."""

    versions: tuple[int, ...]
    live: list[Told] = field(default_factory=list)
    accounted: list[Told] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What a daemon of 22.05 would have choked on."""
    next_id: int = 7
    nothing_new: bool = False
    """Whether a question for what changed since then is answered 304."""
    drops: frozenset[str] = frozenset()
    """Fields this daemon does not know, beyond what its version does not."""
    broken: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """Answers given instead, by a part of the path."""

    def __enter__(self) -> Self:
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                daemon.look_at(self, body)
                status, answer = daemon.answer(self, body)
                content = json.dumps(answer).encode() if answer is not None else b"" if status == 304 else b"not here"
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if answer is not None else "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the library calls them so

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def count(self, method: str, path: str) -> int:
        return sum(one == method and path in where for one, where in self.asked)

    def look_at(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Note what 22.05 would choke on: a missing header, a body without a type or in chunks, or one on DELETE."""
        given = handler.headers
        if not given["X-SLURM-USER-NAME"] or not given["X-SLURM-USER-TOKEN"]:
            self.wrong.append(f"{handler.path}: without user or token")
        if body and (handler.command != "POST" or given["Content-Type"] != "application/json"):
            self.wrong.append(f"{handler.command} {handler.path}: body as {given['Content-Type']}")
        if given["Transfer-Encoding"] or (handler.command == "POST" and not given["Content-Length"]):
            self.wrong.append(f"{handler.path}: in chunks")
        if "," in handler.path or ":" in handler.path:
            self.wrong.append(f"{handler.path}: not escaped")

    # --- routes

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, Any] | None]:
        parts = urlsplit(handler.path)
        self.asked.append((handler.command, handler.path))
        for path, (status, said) in self.broken.items():
            if path in handler.path:
                return status, said
        if parts.path == "/openapi/v3":
            names = [
                f"/{kind}/v0.0.{one}/{what}"
                for one in self.versions
                for kind in ("slurm", "slurmdb")
                for what in ("ping", "jobs")
            ]
            return 200, {"paths": {key: {} for key in names}}
        kind, _, rest = parts.path.lstrip("/").partition("/")
        version, _, tail = rest.partition("/")
        number = int(version.removeprefix("v0.0.") or 0)
        if number not in self.versions:
            return 404, None
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        user = handler.headers["X-SLURM-USER-NAME"]
        tell = Dialect(number)
        if kind == "slurmdb":
            return 200, tell.history(self.accounted, query) if tail == "jobs" else tell.whole(
                clusters=[{"name": "elsewhere"}], associations=[]
            )
        if tail == "job/submit":
            return self.submit(tell, json.loads(body), user)
        if tail.startswith("job/"):
            return self.job(tell, handler.command, int(tail.removeprefix("job/")), json.loads(body or b"{}"))
        if tail == "jobs/state":
            if number < 41:
                return 404, None
            wanted = set(query["job_id"].split(","))
            rows = [{"job_id": one.job_id, "state": list(one.state)} for one in self.live if str(one.job_id) in wanted]
            return 200, tell.whole(jobs=rows)
        if number == 40 and not query.get("update_time", "uts").startswith("uts"):
            return 422, tell.whole(errors=[{"error_number": 9000, "error": "Query empty or not RFC7320 compliant"}])
        if self.nothing_new and "update_time" in query:
            return 304, None
        return 200, tell.standing(tail, self.live)

    def submit(self, tell: Dialect, body: dict[str, Any], user: str) -> tuple[int, dict[str, Any]]:
        job = dict(body["job"])
        script = job.pop("script", body.get("script", ""))
        unknown = sorted((set(job) - KNOWN[38 if tell.number == 38 else 40]) | (self.drops & set(job)))
        if unknown and tell.number == 38:
            return 400, tell.whole(errors=[{"error": f'Unknown key "{unknown[0]}"', "error_code": 9001}])
        if job["partition"] == "nowhere":
            error = {
                "description": "Invalid partition name specified",
                "error_number": 2000,
                "error": "Invalid partition",
            }
            return (422 if tell.number > 42 else 500), tell.whole(errors=[error])
        if tell.number > 38:
            assert isinstance(job["environment"], list)
        told = Told(self.next_id, {name: value for name, value in job.items() if name not in unknown}, script, user)
        if "array" in job:
            told.tasks = job["array"]
        self.next_id += 1
        self.live.append(told)
        answer = tell.whole(job_id=told.job_id, step_id="batch", job_submit_user_msg="")
        if tell.number == 38:
            answer["errors"] = [{"error_code": 2042, "error": HELD}]
            return 200, answer
        answer["warnings"] = [{"description": HELD, "source": "slurm_submit_batch_job()"}]
        answer["warnings"] += [
            {"description": f'Ignoring unknown field "{one}" of type string', "source": "#/job/"} for one in unknown
        ]
        if tell.number in (40, 41):
            answer["result"] = {"job_id": told.job_id, "error_code": 2042, "error": HELD}
        return 200, answer

    def job(self, tell: Dialect, method: str, job_id: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        found = [one for one in self.live if one.job_id == job_id]
        if not found:
            error = {"error_number": 2017, "error": "Invalid job id specified"}
            return (500 if tell.number == 38 else 404), tell.whole(errors=[error], jobs=[])
        if method == "POST" and body == {"hold": False}:
            for one in found:
                one.held, one.reason = False, "None"
        if method == "DELETE":
            for one in found:
                one.state, one.end, one.start = ("CANCELLED",), SUBMITTED + 9, one.start or SUBMITTED + 9
        return 200, tell.whole(jobs=[tell.live(one) for one in found])


@dataclass
class Dialect:
    """How one version says things."""

    number: int

    def whole(self, **parts: Any) -> dict[str, Any]:
        if self.number == 38:
            return {"meta": {"Slurm": {"release": "22.05.8"}}, "errors": [], **parts}
        meta = {"slurm": {"release": "24.11.7", "cluster": "elsewhere"}}
        return {"meta": meta, "errors": [], "warnings": [], **parts}

    def n(self, value: int | None) -> Any:
        """Say a number that may be missing."""
        if self.number == 38:
            return value
        return {"set": value is not None, "infinite": False, "number": value or 0}

    def state(self, words: tuple[str, ...]) -> Any:
        if self.number > 38:
            return list(words)
        return words[-1]  # a flag hides the base state

    def status(self, told: Told, *, accounting: bool) -> Any:
        if self.number == 38:
            if accounting:
                return {"status": "SUCCESS", "return_code": 0}  # for every ordinary exit
            return told.signal or told.exit << 8
        words = ["SIGNALED"] if told.signal else ["ERROR"] if told.exit else ["SUCCESS"]
        signal = {"id": self.n(told.signal or None), "name": "KILL" if told.signal else ""}
        return {"status": words, "return_code": self.n(None if told.signal else told.exit), "signal": signal}

    def live(self, told: Told) -> dict[str, Any]:
        tres = ",".join(f"{name}={count}{'M' if name == 'mem' else ''}" for name, count in told.tres().items())
        is_array = bool(told.tasks) or told.task is not None
        return {
            "job_id": told.job_id,
            "name": told.body["name"],
            "comment": told.body["comment"],
            "account": told.body["account"],
            "partition": told.body["partition"],
            "user_name": told.user,
            "job_state": self.state(told.state),
            "state_reason": told.reason,
            "dependency": f"{told.body['dependency']}(unfulfilled)" if told.held else "",
            "submit_time": self.n(told.submitted),
            "start_time": self.n(told.start),
            "end_time": self.n(told.end),
            "suspend_time": self.n(0),
            "pre_sus_time": self.n(0),
            "priority": self.n(0 if told.held else 1),
            "time_limit": self.n(told.value("time_limit")),
            "restart_cnt": told.restarts,
            "requeue": bool(told.body.get("requeue")),
            "exit_code": self.status(told, accounting=False),
            "array_job_id": self.n(told.job_id if is_array else 0),
            "array_task_id": self.n(told.task),
            "array_task_string": told.tasks,
            "node_count": self.n(1),
            "tres_req_str": tres,
            "tres_alloc_str": tres if told.start and told.end != told.start else "",
        }

    def history(self, accounted: list[Told], query: dict[str, str]) -> dict[str, Any]:
        assert query.get("skip_steps") == "true"
        assert "," not in query.get("job_name", "")
        rows = []
        for told in accounted:
            if "job_name" in query and told.body["name"] != query["job_name"]:
                continue
            if "account" in query and told.body["account"] not in query["account"].split(","):
                continue
            if "submit_time" in query and told.submitted < int(query["submit_time"].removeprefix("uts")):
                continue
            rows.append(self.told(told))
        assert (
            self.number == 38 or query.get("disable_truncate_usage_time") == "true"
        )  # else runs are cut to the period
        if self.number > 38 and query.get("show_duplicates") != "true":
            rows = list({(row["job_id"], row["array"]["task_id"]["number"]): row for row in rows}.values())
        if rows:
            return self.whole(jobs=rows)
        nothing = {"error_number": 9003, "error": "Nothing found with query"}
        if self.number == 38:
            return self.whole(jobs=[], errors=[nothing])
        return self.whole(jobs=[], warnings=[{"description": "Nothing found with query", "source": "slurmdb_jobs_get"}])

    def told(self, told: Told) -> dict[str, Any]:
        def counted(present: bool) -> list[dict[str, Any]]:
            unknown = None if self.number == 38 else -2
            found = [{"type": "energy", "name": "", "id": 3, "count": unknown}] if present else []
            for name, count in told.tres().items() if present else ():
                kind, _, inner = name.partition("/")
                found.append({"type": kind, "name": inner or None, "id": 1, "count": count})
            return found

        is_running = told.state == ("RUNNING",) and self.number > 38
        end = told.start + 30 if is_running else told.end  # of what runs, the present
        elapsed = max(0, end - told.start) if told.start else 0
        time = {"start": told.start, "end": end, "submission": told.submitted, "elapsed": elapsed, "suspended": 0}
        who = {"user": told.user, "account": told.body["account"]}
        is_array = told.task is not None or bool(told.tasks)
        array: dict[str, Any] = {"job_id": told.job_id if is_array else 0, "task_id": self.n(told.task), "task": ""}
        if told.task is None and told.tasks:
            mask = f"0x{sum(1 << at for at in arrays.tasks(told.tasks)):X}"
            array["task"] = told.tasks if self.number == 38 else mask
            array["limits"] = {"max": {"running": {"tasks": int(told.tasks.partition("%")[2] or 0)}}}
        return {
            "job_id": told.job_id,
            "name": told.body["name"],
            "partition": told.body["partition"],
            # 26.05 leaves these two empty inside the association
            "association": dict.fromkeys(who, "") if self.number > 42 else who,
            **who,
            **({"sluid": "s7XYZ"} if self.number > 43 else {}),
            "time": {**time, "limit": self.n(told.value("time_limit"))},
            "state": {"current": self.state(told.state), "reason": told.reason},
            "exit_code": self.status(told, accounting=True),
            "array": array,
            "allocation_nodes": 1,
            "tres": {"requested": counted(True), "allocated": counted(bool(elapsed))},
        }

    def standing(self, tail: str, live: list[Told]) -> dict[str, Any]:
        if tail == "ping":
            one: dict[str, Any] = {"hostname": "ctl", "mode": "primary"}
            one |= (
                {"ping": "UP"} if self.number <= 40 else {"pinged": "UP"} if self.number == 41 else {"responding": True}
            )
            return self.whole(pings=[one])
        if tail == "diag":
            running = sum(one.state == ("RUNNING",) for one in live)
            statistics = {"dbd_agent_queue_size": 0, "jobs_running": running, "jobs_pending": len(live) - running}
            return self.whole(statistics=statistics)
        if tail == "jobs":
            return self.whole(jobs=[self.live(one) for one in live])
        if tail == "nodes":
            return self.whole(nodes=[self.node("g1", ("IDLE",), 0), self.node("g2", ("MIXED", "DRAIN"), 1)])
        assert tail == "partitions"
        row: dict[str, Any] = {"name": "gpu", "state": "UP", "max_time_limit": 1440}
        if self.number > 38:
            row = {"name": "gpu", "partition": {"state": ["UP"]}, "maximums": {"time": self.n(1440)}, "accounts": {}}
        return self.whole(partitions=[row])

    def node(self, name: str, state: tuple[str, ...], used: int) -> dict[str, Any]:
        words: dict[str, Any] = {"state": list(state)}
        if self.number == 38:
            words = {"state": state[0].lower(), "state_flags": list(state[1:])}
        taken = f"cpu=2,mem=100M,gres/gpu={used},gres/gpu:a100={used}" if used else None if self.number == 38 else ""
        tres = "cpu=8,mem=16000M,billing=8,gres/gpu=4,gres/gpu:a100=4"
        return {"name": name, **words, "partitions": ["gpu"], "tres": tres, "tres_used": taken, "alloc_cpus": used * 2}
