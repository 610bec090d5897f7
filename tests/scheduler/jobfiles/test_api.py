"""Files and secrets for jobs over HTTP, and a whole job with files on the real local runner."""

from __future__ import annotations

import hashlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile

from portal.audit.models import Record
from scheduler.jobfiles.models import JobSecret
from scheduler.jobs import dispatching, reconciling
from scheduler.jobs.models import Job
from tests import make
from tests.adapters.bench import local_runner
from tests.calling import Caller
from tests.scheduler.jobfiles.test_services import store  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

SCRIPT = "#!/bin/sh\ncat in/data | sha256sum | cut -c1-64\nstat -c %a key\ncat key > /dev/null\nmkdir out\ncp in/data 'out/结果 1.bin'\n"


def piece(caller: Caller, number: str, offset: int, data: bytes):
    chunk = SimpleUploadedFile("chunk", data)
    return caller.upload(f"/job-files/{number}/chunks?offset={offset}", chunk=chunk)


def uploaded(caller: Caller, content: bytes, name="data") -> str:
    body = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    number = caller.post("/job-files", body, key=make.key()).body["number"]
    assert piece(caller, number, 0, content).body["state"] == "complete"
    return number


def test_pieces_with_offsets_and_a_broken_line(w):
    caller = Caller(w.researcher)
    begun = caller.post("/job-files", {"name": "a.bin", "size": 6}, key="upload-key-1")
    assert (begun.status, begun.body["received"], begun.body["chunk_bytes"]) == (201, 0, 4 * 1024 * 1024)
    number = begun.body["number"]
    assert piece(caller, number, 0, b"abc").body["received"] == 3
    lost = piece(caller, number, 0, b"abc")
    assert (lost.status, lost.code, lost.body["data"]["offset"]) == (409, "jobfile.offset", 3)
    assert caller.get(f"/job-files/{number}").body["received"] == 3
    done = piece(caller, number, 3, b"def").body
    assert (done["state"], done["sha256"]) == ("complete", hashlib.sha256(b"abcdef").hexdigest())
    assert [row["number"] for row in caller.get("/job-files").body["items"]] == [number]
    assert caller.delete(f"/job-files/{number}").status == 204
    assert caller.get(f"/job-files/{number}").status == 404


def test_nobody_else_reaches_them(w):
    number = uploaded(Caller(w.researcher), b"ours")
    for other, status in ((make.applicant(), 404), (w.keeper, 403)):
        caller = Caller(other)
        assert caller.get(f"/job-files/{number}").status == status
        assert piece(caller, number, 0, b"x").status == status
        assert caller.delete(f"/job-files/{number}").status == status


def test_a_secret_is_never_shown_again(w):
    caller = Caller(w.researcher)
    kept = caller.post("/job-secrets", {"name": "hf_token", "value": "hush-hush"})
    assert (kept.status, set(kept.body)) == (201, {"number", "name", "size", "created_at"})
    assert "hush" not in str(caller.get("/job-secrets").body)
    assert caller.delete(f"/job-secrets/{kept.body['number']}").status == 204
    assert bytes(JobSecret.objects.get().sealed) == b""


def asked(at, **more):
    fields = {"cluster": at.cluster.code, "partition": at.name, "title": "带文件的作业", "cards": 1, "cpus": 1}
    return {**fields, "memory_mb": 200, "time_limit_s": 60, "script": SCRIPT, **more}


def test_a_job_gets_its_files_and_gives_its_results_back(w):
    caller, content = Caller(w.researcher), os.urandom(1_500_000)
    with local_runner("--partition", "gpu") as runner:
        at = make.partition(w, config={"dir": str(runner.folder)})
        files = [{"number": uploaded(caller, content), "path": "in/data"}]
        secret = caller.post("/job-secrets", {"name": "key", "value": "hush-hush"}).body["number"]
        files.append({"number": secret})
        answer = caller.post("/jobs", asked(at, files=files), key="job-key-1")
        assert answer.status == 201, answer
        assert caller.post("/jobs", asked(at, files=files), key="job-key-1").body == answer.body
        assert caller.post("/jobs", asked(at), key="job-key-1").code == "idempotency.mismatch"
        job = Job.objects.get(number=answer.body["number"])
        assert caller.get(f"/jobs/{job.number}/outputs").code == "jobfile.nothing_there"
        dispatching.dispatch(job_id=job.pk, now=datetime.now(UTC))
        deadline = time.monotonic() + 30
        while job.settled_at is None:
            assert time.monotonic() < deadline, (job.state, job.reason)
            reconciling.reconcile(cluster_id=at.cluster_id, now=datetime.now(UTC))
            job.refresh_from_db()
            time.sleep(0.2)
        assert job.state == "succeeded", caller.get(f"/jobs/{job.number}/log").body
        assert caller.get(f"/jobs/{job.number}/log").body["text"] == f"{hashlib.sha256(content).hexdigest()}\n600\n"
        given = caller.get(f"/jobs/{job.number}/files").body
        assert [(row["path"], row["secret"]) for row in given] == [("in/data", False), ("key", True)]
        assert all(row["staged_at"] for row in given)
        work = Path(json.loads((runner.folder / "capacity.json").read_text())["work"]) / job.marker
        while (work / "key").exists():
            assert time.monotonic() < deadline, "its copy of the secret is still there"
            reconciling.reconcile(cluster_id=at.cluster_id, now=datetime.now(UTC))
            time.sleep(0.2)
        assert (work / "in" / "data").exists()
        (removed,) = Record.objects.filter(action="job.secret_removed")
        assert (removed.subject, removed.data["path"]) == (f"job:{job.number}", "key")
        assert "hush" not in str(removed.data)
        left = caller.get(f"/jobs/{job.number}/outputs").body
        assert [(row["path"], row["size"]) for row in left] == [
            ("in/data", len(content)),
            ("out/结果 1.bin", len(content)),
        ]
        download(caller, f"/jobs/{job.number}/outputs/content", "out/结果 1.bin", content)
        for path in ("key", "..%2F..%2Fspec.json"):
            assert caller.get(f"/jobs/{job.number}/outputs/content?path={path}").status == 404
        assert Caller(make.applicant()).get(f"/jobs/{job.number}/outputs").status == 404


def body(response) -> bytes:
    """Read a download piece by piece, as a server does: a synchronous body would lie in its memory whole."""
    assert response.is_async

    async def read() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    return async_to_sync(read)()


def download(caller: Caller, address: str, path: str, content: bytes) -> None:
    def get(**headers):
        said = {"Authorization": f"Bearer {caller.secret}", **headers}
        return caller.client.get(f"/api/v1{address}", {"path": path}, headers=said)

    whole = get()
    assert body(whole) == content
    assert whole["Content-Disposition"] == "attachment; filename*=UTF-8''%E7%BB%93%E6%9E%9C%201.bin"
    assert (whole["X-Content-Type-Options"], whole["Accept-Ranges"]) == ("nosniff", "bytes")
    rest = get(Range="bytes=1000000-", **{"If-Range": whole["ETag"]})
    assert (rest.status_code, rest["Content-Range"]) == (206, f"bytes 1000000-1499999/{len(content)}")
    assert body(rest) == content[1_000_000:]
    assert body(get(Range="bytes=-5")) == content[-5:]
    assert get(Range="bytes=1500000-").status_code == 416
    assert get(Range="bytes=0-1", **{"If-Range": '"other"'}).status_code == 200
    assert get(Range="lines=0-1").status_code == 200


def test_files_a_job_cannot_have_are_named_with_every_ground(w):
    caller = Caller(w.researcher)
    at = make.partition(w, adapter="slurm", config={"url": "http://127.0.0.1:1"})
    number = caller.post("/job-files", {"name": "a", "size": 3}, key=make.key()).body["number"]
    answer = caller.post("/jobs", asked(at, files=[{"number": number, "path": "../a"}]), key="job-key-1")
    assert (answer.status, answer.reasons) == (409, ["jobfile.unsupported", "jobfile.path", "jobfile.not_ready"])
    assert not Job.objects.exists()
