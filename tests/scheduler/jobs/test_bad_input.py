"""What people send by mistake or on purpose: each is answered at its field, with the remedy, in the reader's language.

Nothing is held that will not be released, and the form loses nothing. By page and by API, on a local cluster whose runner is
the test.
"""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from scheduler.jobs import dispatching, reconciling, rules, services
from scheduler.jobs.models import Job
from tests import make
from tests.calling import Caller
from tests.scheduler.jobs import handrun
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SCRIPT = "#!/bin/bash\necho ok\n"
FIVE_MB = "#!/bin/bash\n" + "#" * (5 * 1024 * 1024)
ABLE = {"features": ["arrays", "dependencies", "requeue", "files"], "max_array_size": 1001, "guard_s": 0}
HAN = re.compile("[一-鿿]")


@pytest.fixture
def scene(w, tmp_path):
    """A cluster whose nodes have two cards each, and somebody else's job on it."""
    w.partition = handrun.partition(w, tmp_path, max_cards=2, cpus_per_card=2)
    w.partition.cluster.capabilities = ABLE
    w.partition.cluster.save()
    w.voucher = make.voucher(w)
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    w.theirs = submitted(w, by=stranger).number
    w.charges = Charge.objects.count()
    return w


def submitted(scene, *, by=None) -> Job:
    return services.submit(
        actor=by or scene.researcher,
        wanted=services.Wanted(
            partition=scene.partition,
            title="训练",
            ask=rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=600, script=SCRIPT),
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _: None,
    )


def nothing_held(scene) -> None:
    """Only the stranger's job is there, with its charge; the books agree."""
    assert Job.objects.count() == 1
    assert Charge.objects.count() == scene.charges
    assert ledger.unaccounted_fen() == 0


def browser(scene) -> Client:
    client = Client()
    client.force_login(make.user_of(scene.researcher))
    return client


def typed(scene, **changes) -> dict[str, object]:
    return {
        "partition": f"{scene.partition.cluster.code}/{scene.partition.name}",
        "title": "缺陷检测",
        "cards": "2",
        "cpus": "",
        "memory_mb": "4000",
        "time_limit_min": "60",
        "voucher": scene.voucher.number,
        "script": SCRIPT,
        "idempotency_key": "bad-input-0001",
        "seen": "1800/900",
        "act": "submit",
        **changes,
    }


def at_field(text: str, name: str) -> str:
    """Return what stands as an error at a field."""
    field = re.search(rf'<div class="field bad">(?:(?!<div class="field).)*?id="id_{name}"', text, re.DOTALL)
    return re.sub(r"<[^>]+>", "", field[0]).strip() if field else ""


def errors_at(text: str, name: str) -> str:
    """Return the errors alone of a field, without its label and help."""
    found = re.search(rf'id="id_{name}_error"[^>]*>(.*?)</(?:ul|div|p)>', text, re.DOTALL)
    return re.sub(r"<[^>]+>", " ", found[1]).strip() if found else ""


BY_PAGE = {
    "no interpreter line": ({"script": "echo hi\n"}, "script", "缺少解释器声明", "#!/bin/bash"),
    "5 MB of script": ({"script": FIVE_MB}, "script", "脚本超过 1 MB", "put data into files"),
    "NUL in the script": ({"script": "#!/bin/sh\n\0"}, "script", "空字符", "NUL"),
    "NUL in the name": ({"title": "训\0练"}, "title", "空字符", "null"),
    "3 cards where nodes have 2": ({"cards": "3"}, "cards", "1 到 2 之间，您申请了 3", "asked for 3"),
    "no time": ({"time_limit_min": "0"}, "time_limit_min", "时限须为整分钟", "whole"),
    "negative task": ({"array": "-1"}, "array", "含有负数", "negative"),
    "steering the loader": ({"environment": "LD_PRELOAD=/tmp/x.so"}, "environment", "LD_PRELOAD", "LD_PRELOAD"),
}


class TestByPage:
    @pytest.mark.parametrize("case", BY_PAGE)
    def test_is_said_at_its_field_and_nothing_typed_is_lost(self, scene, case):
        changes, field, words, _english = BY_PAGE[case]
        answer = browser(scene).post(reverse("job_new"), typed(scene, **changes))
        assert answer.status_code in {409, 422}
        assert words in at_field(answer.text, field)
        kept = typed(scene, **changes)
        for name in ("title", "script", "cards", "time_limit_min", "array", "environment"):
            assert escape(str(kept.get(name, "")).replace("\0", "").strip()) in answer.text.replace("\0", "")
        assert "bad-input-0001" in answer.text
        nothing_held(scene)

    @pytest.mark.parametrize("case", BY_PAGE)
    def test_is_said_in_english_to_who_reads_english(self, scene, case):
        changes, field, _words, english = BY_PAGE[case]
        where = "/en" + reverse("job_new")
        answer = browser(scene).post(where, typed(scene, **{"title": "training", **changes}))
        said = errors_at(answer.text, field)
        assert english.lower() in said.lower()
        assert not HAN.search(said)
        nothing_held(scene)

    def test_a_job_of_another_enterprise_is_not_known_to_be_there(self, scene):
        answer = browser(scene).post(reverse("job_new"), typed(scene, after=scene.theirs))
        unknown = browser(scene).post(reverse("job_new"), typed(scene, after="J2026-999999"))
        said = errors_at(answer.text, "after")
        assert said == f"没有找到作业 {scene.theirs}，或您无权查看。只能依赖贵单位自己的作业。"
        assert errors_at(unknown.text, "after") == said.replace(scene.theirs, "J2026-999999")
        nothing_held(scene)

    def test_a_partition_that_closed_after_the_form_was_shown(self, scene):
        client = browser(scene)
        assert client.get(reverse("job_new")).status_code == 200
        scene.partition.is_open = False
        scene.partition.save()
        answer = client.post(reverse("job_new"), typed(scene))
        assert "该分区暂不接收作业。请选择其他分区，或等维护结束。" in at_field(answer.text, "partition")
        assert "缺陷检测" in answer.text
        nothing_held(scene)

    def test_line_ends_of_windows_are_mended_not_refused(self, scene):
        answer = browser(scene).post(reverse("job_new"), typed(scene, script="#!/bin/bash\r\necho ok\r\n"))
        assert answer.status_code == 302
        assert Job.objects.latest("pk").script == SCRIPT


class TestByApi:
    @pytest.fixture
    def body(self, scene):
        return {
            "cluster": scene.partition.cluster.code,
            "partition": scene.partition.name,
            "title": "training",
            "cards": 2,
            "cpus": 4,
            "memory_mb": 4000,
            "time_limit_s": 3600,
            "voucher": scene.voucher.number,
            "script": SCRIPT,
        }

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"script": "echo hi\n"}, "script"),
            ({"script": FIVE_MB}, "script"),
            ({"script": "#!/bin/sh\n\0"}, "script"),
            ({"title": "a\0b"}, "title"),
            ({"cards": 3}, "cards"),
            ({"time_limit_s": 0}, "time_limit_min"),
            ({"array": "-1"}, "array"),
            ({"array": "3--1"}, "array"),
            ({"after": [{"job": "theirs"}]}, "after"),
            ({"environment": {"LD_PRELOAD": "/tmp/x.so"}}, "environment"),
            ({"environment": {"LD_AUDIT": "/tmp/x.so"}}, "environment"),
            ({"files": [{"number": "mine", "path": "../../etc/cron.d/x"}]}, "files"),
            ({"files": [{"number": "mine", "path": "/etc/passwd"}]}, "files"),
            ({"files": [{"number": "mine", "path": "a/\u2028b"}]}, "files"),
        ],
    )
    def test_names_field_and_remedy_in_the_readers_language(self, scene, body, changes, field):
        for language in ("zh-hans", "en"):
            caller = Caller(scene.researcher, language=language)
            mine = caller.post("/job-files", {"name": "a.txt", "size": 0}, key="bad-input-file").body["number"]
            said = {**body, **changes}
            if "after" in changes:
                said["after"] = [{"job": scene.theirs}]
            if "files" in changes:
                said["files"] = [{**changes["files"][0], "number": mine}]
            answer = caller.post("/jobs", said, key="bad-input-0002")
            assert answer.status in {409, 422}, answer
            assert list(answer.body["fields"]) == [field]
            words = " ".join([answer.body["detail"], *answer.body["fields"][field]])
            words += " ".join(reason["text"] + reason["remedy"] for reason in answer.body.get("reasons", []))
            assert bool(HAN.search(words)) is (language == "zh-hans"), words
            if answer.code != "invalid.payload":  # there the sentence itself says what would be right
                assert all(reason["remedy"] for reason in answer.body["reasons"])
        nothing_held(scene)

    def test_a_partition_that_closed_a_minute_ago(self, scene, body):
        caller = Caller(scene.researcher)
        quoted = caller.post("/jobs/quote", {name: value for name, value in body.items() if name != "title"})
        assert quoted.body["acceptable"]
        scene.partition.is_open = False
        scene.partition.save()
        answer = caller.post("/jobs", body, key="bad-input-0003")
        assert (answer.status, answer.reasons, list(answer.body["fields"])) == (
            409,
            ["job.partition_closed"],
            ["partition"],
        )
        nothing_held(scene)

    def test_everything_wrong_is_said_at_once(self, scene, body):
        wrong = {
            "cards": 3,
            "time_limit_s": 0,
            "script": "echo",
            "array": "-1",
            "after": [{"job": scene.theirs}],
            "environment": {"LD_PRELOAD": "x"},
        }
        answer = Caller(scene.researcher).post("/jobs", {**body, **wrong}, key="bad-input-0004")
        assert set(answer.body["fields"]) == {"cards", "time_limit_min", "script", "array", "after", "environment"}
        nothing_held(scene)


class TestCancelling:
    def test_twice_is_once_by_page_and_by_api(self, scene, tmp_path):
        job = submitted(scene)
        folder = handrun.place(job)
        handrun.start(job, folder)
        client, caller = browser(scene), Caller(scene.researcher)
        for _ in range(2):
            assert client.post(reverse("job_cancel", args=[job.number])).status_code == 302
            assert caller.post(f"/jobs/{job.number}/cancel").status == 200
        assert len([one for one in trail(job) if one == "job.cancel_asked"]) == 1

    def test_after_the_end_says_so_and_changes_nothing(self, scene):
        job = submitted(scene)
        folder = handrun.place(job)
        handrun.start(job, folder)
        handrun.end(job, folder)
        before = Charge.objects.get(pk=job.charge_id).state
        answer = browser(scene).post(reverse("job_cancel", args=[job.number]))
        assert answer.status_code == 409
        assert "该记录现在是“已完成”，这一步已不适用。" in answer.text
        told = Caller(scene.researcher, language="en").post(f"/jobs/{job.number}/cancel")
        assert (told.status, told.code) == (409, "job.over")
        assert not HAN.search(told.body["detail"])
        job.refresh_from_db()
        assert (job.state, Charge.objects.get(pk=job.charge_id).state) == ("succeeded", before)


def trail(job: Job) -> list[str]:
    from portal.audit.models import Record

    return list(Record.objects.filter(subject=f"job:{job.number}").order_by("pk").values_list("action", flat=True))


class Html(BaseHTTPRequestHandler):
    """A proxy that has lost its cluster: every answer is a page."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library calls them so

    def log_message(self, *_said) -> None:
        pass


@pytest.mark.parametrize("status", [200, 502])
class TestClusterThatAnswersHtml:
    @pytest.fixture
    def partition(self, w, status, tmp_path):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Html)
        server.status = status
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        key = tmp_path / "jwt.key"
        key.write_bytes(b"k" * 32)
        config = {
            "url": f"http://127.0.0.1:{server.server_port}",
            "reader": "portal-reader",
            "job_root": str(tmp_path),
            "jwt_key_file": str(key),
            "development": True,
        }
        made = make.partition(w, adapter="slurm", config=config)
        made.cluster.posix_user = "eopt"
        made.cluster.save()
        yield made
        server.shutdown()
        server.server_close()
        thread.join()

    def test_the_job_waits_and_can_be_taken_back_with_its_money(self, w, partition, status):
        w.partition = partition
        job = submitted(w)
        dispatching.dispatch(job_id=job.pk, now=make.NOW)
        job.refresh_from_db()
        assert (job.state, job.reason, job.cluster_job_id) == ("pending", "cluster_away", "")
        page = browser(w).get(reverse("job", args=[job.number]))
        assert page.status_code == 200
        assert "<title>502" not in page.text
        answer = Caller(w.researcher).post(f"/jobs/{job.number}/cancel")
        assert (answer.status, answer.body["state"], answer.body["charge"]["state"]) == (200, "cancelled", "released")
        assert ledger.unaccounted_fen() == 0

    def test_a_job_that_is_there_keeps_its_state_and_its_log_is_unavailable(self, w, partition, status):
        w.partition = partition
        job = submitted(w)
        Job.objects.filter(pk=job.pk).update(
            state="running",
            cluster_job_id="7",
            cluster_submitted_at=make.NOW,
            started_at=make.NOW,
            released_at=make.NOW,
        )
        reconciling.reconcile(cluster_id=partition.cluster_id, now=make.NOW)
        job.refresh_from_db()
        assert job.state == "running"
        files = Caller(w.researcher).get(f"/jobs/{job.number}/outputs")
        assert files.status in {409, 502, 503}
        assert "html" not in str(files.body)
