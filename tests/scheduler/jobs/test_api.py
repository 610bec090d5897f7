"""Jobs over HTTP."""

from __future__ import annotations

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs import ports, tasks
from scheduler.jobs.api import as_text
from scheduler.jobs.models import Job
from tests import make
from tests.calling import Caller, queries_of
from vouchers.ledger import queries as ledger

pytestmark = pytest.mark.usefixtures("clock")

SCRIPT = "#!/bin/bash\necho 你好\n"


def asked(at, **more: object) -> dict[str, object]:
    return {
        "cluster": at.cluster.code,
        "partition": at.name,
        "title": "微调试算",
        "cards": 2,
        "cpus": 4,
        "memory_mb": 8000,
        "time_limit_s": 3600,
        "script": SCRIPT,
        **more,
    }


@pytest.mark.django_db
class TestQuoting:
    def test_prices_the_time_limit_and_holds_nothing(self, w):
        voucher = make.voucher(w)
        body = {name: value for name, value in asked(make.partition(w)).items() if name != "title"}
        answer = Caller(w.researcher).post("/jobs/quote", {**body, "voucher": voucher.number})
        assert answer.status == 200
        assert (answer.body["acceptable"], answer.body["price"]["yuan"]) == (True, "18.00")
        assert (answer.body["voucher_share"]["yuan"], answer.body["own_share"]["yuan"]) == ("9.00", "9.00")
        assert not Job.objects.exists()

    def test_names_every_reason(self, w):
        body = {name: value for name, value in asked(make.partition(w)).items() if name != "title"}
        change = {"cards": 9, "cpus": 0, "time_limit_s": 90, "script": "echo no interpreter"}
        answer = Caller(w.researcher).post("/jobs/quote", {**body, **change})
        assert [reason["code"] for reason in answer.body["reasons"]] == [
            "job.cards",
            "job.cpus",
            "job.time_limit",
            "job.script_interpreter",
        ]


@pytest.mark.django_db
class TestSubmitting:
    def test_holds_the_price_of_the_time_limit(self, w):
        answer = Caller(w.researcher).post("/jobs", asked(make.partition(w)), key="job-key-1")
        assert answer.status == 201, answer
        assert (answer.body["state"], answer.body["script"]) == ("pending", SCRIPT)
        assert (answer.body["charge"]["price"]["yuan"], answer.body["charge"]["unit"]) == ("18.00", "card_hour")
        assert answer.body["cost_so_far"]["fen"] == 0

    def test_needs_a_key(self, w):
        answer = Caller(w.researcher).post("/jobs", asked(make.partition(w)))
        assert (answer.status, list(answer.body["fields"])) == (422, ["Idempotency-Key"])
        assert not Job.objects.exists()

    def test_happens_once_per_key(self, w):
        caller, partition = Caller(w.researcher), make.partition(w)
        first = caller.post("/jobs", asked(partition), key="job-key-1")
        assert caller.post("/jobs", asked(partition), key="job-key-1").body == first.body
        other = caller.post("/jobs", asked(partition, cards=1), key="job-key-1")
        assert (other.status, other.code) == (409, "idempotency.mismatch")
        assert Job.objects.count() == 1

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"partition": "nowhere"}, 404, "partition"),
            ({"cluster": "nowhere"}, 404, "partition"),
            ({"script": "echo hi"}, 409, "script"),
            ({"script": ""}, 409, "script"),
            ({"script": "#!/bin/bash\n\0"}, 409, "script"),
            ({"script": "#!/bin/bash\n#SBATCH --mail-user=x\n"}, 422, "script"),
            ({"script": "#!/bin/bash\n" + "好" * 400_000}, 409, "script"),
            ({"script": "#!/bin/bash\n" + "x" * 1_100_000}, 409, "script"),
            ({"script": "#!/bin/bash\n\ud800"}, 422, "script"),
            ({"time_limit_s": 30}, 409, "time_limit_min"),
            ({"time_limit_s": 10**9}, 422, "time_limit_s"),
            ({"cards": -1}, 422, "cards"),
            ({"cards": 10**7}, 409, "cards"),
            ({"memory_mb": 1.5}, 422, "memory_mb"),
            ({"title": " "}, 422, "title"),
        ],
    )
    def test_refuses_what_cannot_run(self, w, change, status, field):
        answer = Caller(w.researcher).post("/jobs", asked(make.partition(w), **change), key="job-key-1")
        assert (answer.status, list(answer.body["fields"])) == (status, [field]), answer
        assert not Job.objects.exists()
        assert ledger.unaccounted_fen() == 0


@pytest.mark.django_db(transaction=True)
def test_is_accepted_while_the_broker_is_away(monkeypatch, caplog):
    """The row is the outbox: the next sweep takes it up."""
    away = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)

    @away.task(name="tests.dispatch_without_broker")
    def dispatch(*, job_id: int) -> None: ...

    monkeypatch.setattr(tasks, "dispatch", dispatch)
    w = make.world()

    answer = Caller(w.researcher).post("/jobs", asked(make.partition(w)), key="job-key-1")

    assert (answer.status, answer.body["state"]) == (201, "pending")
    assert "jobs.broker_away" in caplog.text


@pytest.mark.django_db
class TestSeeing:
    def test_is_for_the_submitting_organisation_only(self, w):
        number = Caller(w.researcher).post("/jobs", asked(make.partition(w)), key="job-key-1").body["number"]
        assert Caller(w.owner).get(f"/jobs/{number}").status == 200
        rival = Caller(make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER))
        for path in (f"/jobs/{number}", f"/jobs/{number}/log"):
            assert rival.get(path).status == 404
            assert Caller(w.operator).get(path).status == 403
        assert rival.get("/jobs").body["items"] == []

    def test_lists_without_scripts_in_as_many_queries_for_one_as_for_many(self, w):
        caller, partition, voucher = Caller(w.researcher), make.partition(w), make.voucher(w)
        caller.post("/jobs", asked(partition, voucher=voucher.number), key="job-key-0")
        one = queries_of(lambda: caller.get("/jobs"))
        for at in range(1, 4):
            caller.post("/jobs", asked(partition, voucher=voucher.number), key=f"job-key-{at}")
        assert queries_of(lambda: caller.get("/jobs")) == one
        listed = caller.get("/jobs", state="pending").body["items"]
        assert (len(listed), "script" in listed[0]) == (4, False)


@pytest.mark.django_db
class TestReadingOutput:
    @pytest.fixture
    def placed(self, w, tmp_path):
        """A job on a local cluster, with a directory in its spool for output."""
        partition = make.partition(w, config={"dir": str(tmp_path)})
        number = Caller(w.researcher).post("/jobs", asked(partition), key="job-key-1").body["number"]
        Job.objects.filter(number=number).update(
            state="running", cluster_job_id="1", cluster_submitted_at=make.NOW, started_at=make.NOW
        )
        job = Job.objects.get(number=number)
        (tmp_path / "jobs" / job.marker).mkdir(parents=True)
        return job, tmp_path / "jobs" / job.marker / "output"

    def test_goes_on_where_it_stopped(self, w, placed):
        job, output = placed
        caller, path = Caller(w.researcher), f"/jobs/{job.number}/log"
        output.write_bytes("第一轮\n第".encode() + "二".encode()[:1])
        first = caller.get(path).body
        assert (first["text"], first["next_offset"]) == ("第一轮\n第", 13)
        output.write_bytes("第一轮\n第二轮\n".encode())
        rest = caller.get(path, offset=first["next_offset"]).body
        assert (rest["text"], rest["eof"]) == ("二轮\n", True)
        assert caller.get(path, limit=16).body["text"] == "第一轮\n第二"

    def test_is_empty_before_there_is_any(self, w, placed):
        job, _output = placed
        answer = Caller(w.researcher).get(f"/jobs/{job.number}/log")
        assert (answer.status, answer.body["text"], answer.body["next_offset"]) == (200, "", 0)

    @pytest.mark.parametrize("query", ["offset=-1", "limit=15", "limit=65537", "offset=9999999999999999999"])
    def test_is_asked_within_bounds(self, w, placed, query):
        job, _output = placed
        assert Caller(w.researcher).get(f"/jobs/{job.number}/log?{query}").status == 422


@pytest.mark.django_db
def test_cancels_at_once_before_it_has_left(w):
    caller = Caller(w.researcher)
    number = caller.post("/jobs", asked(make.partition(w)), key="job-key-1").body["number"]
    cancelled = caller.post(f"/jobs/{number}/cancel")
    assert (cancelled.status, cancelled.body["state"]) == (200, "cancelled")
    assert cancelled.body["charge"]["state"] == "released"
    assert caller.post(f"/jobs/{number}/cancel").code == "job.over"


class TestLog:
    @given(text=st.text(), limit=st.integers(4, 16))
    def test_cuts_no_character_in_two(self, text, limit):
        raw, offset, read = text.encode("utf-8", "ignore"), 0, ""
        for _ in range(len(raw) + 2):
            piece = raw[offset : offset + limit]
            chunk = ports.LogChunk(piece, offset + len(piece), eof=offset + len(piece) >= len(raw))
            told = as_text(chunk, complete=chunk.eof)
            read, offset = read + told["text"], told["next_offset"]
            if told["eof"]:
                break
        assert read == raw.decode()

    def test_waits_for_the_rest_of_a_character_while_the_job_runs(self):
        half = ports.LogChunk("好".encode()[:2], 2, eof=True)
        assert as_text(half, complete=False) == {"text": "", "next_offset": 0, "eof": False}
        assert as_text(half, complete=True) == {"text": "\ufffd", "next_offset": 2, "eof": True}

    def test_shows_what_is_not_text_as_such(self):
        chunk = ports.LogChunk(b"a\xff\x00b", 4, eof=True)
        assert as_text(chunk, complete=False) == {"text": "a\ufffd\x00b", "next_offset": 4, "eof": True}
