"""A job's log as it grows: live, resumed, polled, whole. Real adapter, real spool; the test is the runner."""

import asyncio
import gc
import json
from dataclasses import dataclass, field

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.test import AsyncClient, Client
from django.urls import reverse

from portal.audit.models import Record
from portal.organisations import rules as roles
from portal.pages import jobstream
from scheduler.jobs import rules, services
from tests import make
from tests.scheduler.jobs import handrun

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Heard:
    """What a reader heard on one connection."""

    blocks: list[str] = field(default_factory=list)

    def events(self, name):
        return [block for block in self.blocks if block.startswith(f"event: {name}\n")]

    @property
    def text(self):
        return "".join(json.loads(block.partition("data: ")[2]) for block in self.events("log"))

    @property
    def last_id(self):
        return [block.partition("id: ")[2].partition("\n")[0] for block in self.events("log")][-1]


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Seconds become moments: what is tested is the order, not the pace."""
    for name, value in {"TICK_S": 0.03, "STATE_S": 0.06, "QUIET_S": 0.3}.items():
        monkeypatch.setattr(jobstream, name, value)
    monkeypatch.setattr(jobstream.logtails, "FRESH_S", 0.01)


@pytest.fixture
def scene(w, tmp_path):
    """A running job that has said nothing yet."""
    w.partition = handrun.partition(w, tmp_path)
    w.job = services.submit(
        actor=w.researcher,
        wanted=services.Wanted(
            partition=w.partition,
            title="训练",
            ask=rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=600, script="#!/bin/sh\n:\n"),
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _id: None,
    )
    w.folder = handrun.place(w.job)
    handrun.start(w.job, w.folder)
    return w


def url(name, job, after=None):
    return reverse(name, args=[job.number]) + (f"?after={after}" if after is not None else "")


def async_client(someone):
    client = AsyncClient()
    client.force_login(make.user_of(someone))
    return client


async def listen(response, *, until, patience_s=10):
    """Read a stream until `until(heard)`, its end, or patience runs out; then hang up as a browser does."""
    heard = Heard()

    async def read():
        async for piece in response.streaming_content:
            heard.blocks += [block for block in piece.decode().split("\n\n") if block]
            if await sync_to_async(until)(heard):
                return

    task = asyncio.ensure_future(read())
    done, _late = await asyncio.wait([task], timeout=patience_s)
    if not done:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    else:
        task.result()
    await sync_to_async(response.close)()
    return heard


def run(scenario):
    """Run an async scenario; its threads give their connections back."""

    async def whole():
        try:
            return await scenario()
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(whole())


def never(_heard):
    return False


class TestStream:
    def test_it_brings_the_log_as_it_grows_the_state_and_the_end(self, scene):
        client, line = async_client(scene.researcher), "\x1b[32m第 1 步\x1b[0m 完成\n".encode()

        def act(heard):
            steps = len(heard.events("log"))
            if len(heard.blocks) == 1:
                handrun.say(scene.folder, line[:7])  # inside a character
            elif steps == 0:
                pass
            elif not (scene.folder / "exit.json").exists():
                handrun.say(scene.folder, line[7:])
                handrun.end(scene.job, scene.folder)
            return bool(heard.events("end"))

        async def scenario():
            response = await client.get(url("job_stream", scene.job, 0))
            return response, await listen(response, until=act)

        handrun.say(scene.folder, "开始\n".encode())
        response, heard = run(scenario)

        assert response.status_code == 200
        assert {name: response[name] for name in ("Content-Type", "Content-Encoding", "X-Accel-Buffering")} == {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Content-Encoding": "identity",
            "X-Accel-Buffering": "no",
        }
        assert response["Cache-Control"].startswith("no-cache")
        assert heard.blocks[0] == "retry: 2000"
        assert heard.text == "开始\n第 1 步 完成\n"
        assert int(heard.last_id) == (scene.folder / "output").stat().st_size
        assert heard.events("state") == ["event: state\ndata: succeeded"]
        assert heard.blocks[-1].startswith("event: end")

    @pytest.mark.parametrize("first", [1, 2, 3])
    def test_a_broken_connection_resumes_without_loss_or_repetition(self, scene, first):
        client = async_client(scene.researcher)
        lines = [f"第 {number} 行 😀\n" for number in range(6)]

        async def scenario():
            said = iter(lines)

            def speak(heard):
                handrun.say(scene.folder, next(said, "").encode())
                return len(heard.events("log")) >= first

            handrun.say(scene.folder, next(said).encode())
            one = await listen(await client.get(url("job_stream", scene.job, 0)), until=speak)
            for late in said:
                handrun.say(scene.folder, late.encode())
            # The header wins over the address, which a browser repeats unchanged.
            again = await client.get(url("job_stream", scene.job, 0), headers={"Last-Event-ID": one.last_id})
            two = await listen(again, until=lambda heard: heard.text.endswith(lines[-1]))
            return one, two

        one, two = run(scenario)
        assert one.text + two.text == "".join(lines)

    def test_a_long_log_comes_in_pieces_at_once(self, scene):
        client, body = async_client(scene.researcher), "".join(f"line {number}\n" for number in range(40_000))
        handrun.say(scene.folder, body.encode())

        async def scenario():
            response = await client.get(url("job_stream", scene.job))
            return await listen(response, until=lambda heard: len(heard.text) >= len(body), patience_s=20)

        heard = run(scenario)
        assert heard.text == body
        assert max(len(block) for block in heard.blocks) < 2 * jobstream.CHUNK

    def test_silence_has_a_heartbeat_and_a_stream_an_end(self, scene, monkeypatch):
        monkeypatch.setattr(jobstream, "HEARTBEAT_S", 0.1)
        monkeypatch.setattr(jobstream, "LIFE_S", 0.6)
        client = async_client(scene.researcher)

        async def scenario():
            return await listen(await client.get(url("job_stream", scene.job)), until=never)

        heard = run(scenario)
        assert heard.blocks[0] == "retry: 2000"
        assert set(heard.blocks[1:]) == {": waiting"}
        assert 2 <= len(heard.blocks[1:]) <= 6

    def test_no_connection_is_held_while_it_waits(self, scene):
        client = async_client(scene.researcher)
        used = []

        async def scenario():
            responses = [await client.get(url("job_stream", scene.job)) for _ in range(jobstream.MAX_STREAMS)]
            readers = [asyncio.ensure_future(listen(each, until=never, patience_s=1)) for each in responses]
            for _ in range(10):
                await asyncio.sleep(0.07)
                stats = connection.pool.get_stats()
                used.append(stats["pool_size"] - stats["pool_available"])
            await asyncio.gather(*readers)

        run(scenario)
        # The test's own is one; a look at the state borrows another for a moment.
        assert min(used) <= 1
        assert max(used) <= 2

    def test_a_person_has_so_many_streams_and_gets_them_back(self, scene):
        client = async_client(scene.researcher)

        async def scenario():
            responses = [await client.get(url("job_stream", scene.job)) for _ in range(jobstream.MAX_STREAMS)]
            refused = await client.get(url("job_stream", scene.job))
            other = await async_owner.get(url("job_stream", scene.job))
            await sync_to_async(responses.pop().close)()  # never read, closed with its request
            closed = await client.get(url("job_stream", scene.job))
            del responses, closed  # never closed at all
            gc.collect()
            last = await client.get(url("job_stream", scene.job))
            return refused, other.status_code, last.status_code

        async_owner = async_client(scene.owner)
        refused, other, last = run(scenario)
        assert (refused.status_code, other, last) == (429, 200, 200)
        assert refused.content.decode() == "同时打开的实时日志太多，请关闭几个页面。"

    def test_nobody_else_hears_anything(self, scene):
        address = url("job_stream", scene.job)
        rival = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)

        def status(someone, name="job_stream"):
            client = Client()
            if someone:
                client.force_login(make.user_of(someone))
            return client.get(url(name, scene.job)).status_code

        assert (status(None), status(rival), status(scene.operator)) == (403, 404, 403)
        assert (status(None, "job_log"), status(rival, "job_log"), status(scene.operator, "job_log")) == (403, 404, 403)
        assert (status(None, "job_log_raw"), status(rival, "job_log_raw")) == (302, 404)
        own = Client()
        own.force_login(make.user_of(scene.researcher))
        assert own.post(address).status_code == 405
        assert own.get(address.replace(scene.job.number, "J0000-000000")).status_code == 404

    def test_a_job_the_cluster_never_took_ends_at_once(self, scene):
        job = scene.job
        type(job).objects.filter(pk=job.pk).update(state="rejected", cluster_job_id="", settled_at=make.NOW)
        client = async_client(scene.researcher)

        async def scenario():
            return await listen(await client.get(url("job_stream", job)), until=never, patience_s=5)

        assert run(scenario).blocks == ["retry: 2000", "event: end\ndata: "]


class TestPoll:
    def ask(self, scene, after):
        client = Client()
        client.force_login(make.user_of(scene.researcher))
        return client.get(url("job_log", scene.job, after)).json()

    def test_it_answers_what_came_since(self, scene):
        handrun.say(scene.folder, "一\n二".encode() + "三".encode()[:2])
        first = self.ask(scene, 0)
        assert (first["text"], first["after"], first["ended"]) == ("一\n二", 7, False)
        handrun.say(scene.folder, "三".encode()[2:])
        handrun.end(scene.job, scene.folder)
        second = self.ask(scene, first["after"])
        assert (second["text"], second["after"], second["ended"]) == ("三", 10, False)
        assert second["state"] != first["state"]
        assert self.ask(scene, 10) == {**second, "text": "", "ended": True}

    @pytest.mark.parametrize("after", ["-1", "x", "", "1e9", "９", "1" * 30])
    def test_a_nonsense_offset_is_the_beginning(self, scene, after):
        handrun.say(scene.folder, b"hello")
        assert self.ask(scene, after)["text"] == "hello"


class TestWhole:
    def test_the_file_is_what_the_job_wrote_byte_for_byte(self, scene):
        body = b"\x1b[32mgreen\x1b[0m\r\n\xff\x00" * 20_000
        handrun.say(scene.folder, body)
        client = async_client(scene.researcher)

        async def scenario():
            response = await client.get(url("job_log_raw", scene.job))
            return response, b"".join([piece async for piece in response.streaming_content])

        response, received = run(scenario)
        assert received == body
        assert response["Content-Disposition"] == f'attachment; filename="{scene.job.number}.log"'
        assert response["Content-Type"] == "text/plain; charset=utf-8"


class TestOpening:
    @pytest.mark.parametrize("size", [0, 1000, 3 * jobstream.SHOWN, 20 * jobstream.SHOWN, 301 * jobstream.SHOWN])
    def test_the_page_opens_with_the_end_of_the_log(self, scene, size):
        body = "".join(f"{number:015d}\n" for number in range(size // 16))
        handrun.say(scene.folder, body.encode())
        opening = jobstream.opening(scene.job, actor=scene.researcher)
        assert opening.after == len(body)
        assert body.endswith(opening.text)
        assert opening.cut == (size > 2 * jobstream.SHOWN)
        if opening.cut:
            assert jobstream.SHOWN - 16 <= len(opening.text) <= 2 * jobstream.SHOWN
        else:
            assert opening.text == body

    def test_a_log_led_elsewhere_is_not_shown(self, scene, tmp_path):
        secret = tmp_path / "secret"
        secret.write_text("不该看到")
        (scene.folder / "output").unlink()
        (scene.folder / "output").symlink_to(secret)
        client = Client()
        client.force_login(make.user_of(scene.researcher))
        page = client.get(reverse("job", args=[scene.job.number]))
        assert page.status_code == 200
        assert "记录在案" in page.text
        assert "不该看到" not in page.text
        assert client.get(url("job_log", scene.job)).json()["text"] == ""

    def test_a_binary_log_says_that_it_is_one(self, scene):
        handrun.say(scene.folder, bytes(range(256)) * 40)
        opening = jobstream.opening(scene.job, actor=scene.researcher)
        assert "二进制" in opening.problem
        assert "\x00" not in opening.text

    def test_two_gigabytes_open_at_their_end_in_few_reads(self, scene, monkeypatch):
        with (scene.folder / "output").open("ab") as output:
            output.truncate(2 * 1024**3)
            output.write(b"\nlast line\n")
        asked = []
        real = jobstream.logtails.queries.log
        monkeypatch.setattr(
            jobstream.logtails.queries, "log", lambda *a, **k: asked.append(k["limit"]) or real(*a, **k)
        )
        opening = jobstream.opening(scene.job, actor=scene.researcher)
        assert opening.text.endswith("last line\n")
        assert (opening.cut, len(asked) < 60, sum(asked) < 300_000) == (True, True, True)

    def test_a_refused_log_is_recorded_with_who_asked(self, scene, tmp_path):
        (scene.folder / "output").unlink(missing_ok=True)
        (scene.folder / "output").symlink_to(tmp_path)
        for _ in range(3):
            opening = jobstream.opening(scene.job, actor=scene.researcher)
        assert "记录在案" in opening.problem
        (record,) = Record.objects.filter(action="job.log_refused")
        assert (record.subject, record.actor_user_id) == (f"job:{scene.job.number}", scene.researcher.user_id)


class TestFanningOut:
    def test_readers_of_one_log_share_one_reading(self, scene, monkeypatch):
        handrun.say(scene.folder, b"x" * 200_000)
        real, asked = jobstream.logtails.queries.log, []
        monkeypatch.setattr(
            jobstream.logtails.queries, "log", lambda *a, **k: asked.append(k["offset"]) or real(*a, **k)
        )
        tail, readers = jobstream.logtails.tail_of(scene.job.pk), [0] * 20
        for _ in range(6):
            for reader, offset in enumerate(readers):
                chunk = tail.read(scene.job, actor=scene.researcher, offset=offset, now=make.NOW)
                assert chunk.data == b"x" * len(chunk.data)
                readers[reader] = chunk.next_offset
        assert readers == [200_000] * 20
        assert len(asked) <= 6

    def test_who_is_far_behind_reads_alone_and_misses_nothing(self, scene, monkeypatch):
        monkeypatch.setattr(jobstream.logtails, "WINDOW", 70_000)
        body = b"".join(b"%07d\n" % number for number in range(40_000))
        handrun.say(scene.folder, body)
        tail = jobstream.logtails.tail_of(scene.job.pk)
        got = {0: b"", 1: b""}
        for reader in (0, 1):
            while len(got[reader]) < len(body):
                got[reader] += tail.read(scene.job, actor=scene.researcher, offset=len(got[reader]), now=make.NOW).data
        assert got == {0: body, 1: body}
