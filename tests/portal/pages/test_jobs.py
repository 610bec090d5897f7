"""Submitting, following and cancelling jobs as the organisation that pays for them."""

import csv
import io
import re
from datetime import timedelta

import pytest
from celery import Celery
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils.html import escape
from kombu.exceptions import OperationalError
from openpyxl import load_workbook

from portal.kernel.money import Money
from portal.organisations import rules as roles
from portal.pages.jobsamples import SAMPLES
from scheduler.jobs import rules, services, tasks
from scheduler.jobs.models import Job
from scheduler.jobs.tasks import hint
from scheduler.usage.models import UsageRecord
from tests import make, standing
from tests.scheduler.jobs import handrun
from vouchers.charges.models import Charge

SCRIPT = "#!/bin/bash\necho ok\n"


class Clock:
    """The time it is; tests move it on."""

    now = make.NOW


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """It is Wednesday 25 November 2026, 10:00 in Beijing, until a test moves the clock."""
    clock = Clock()
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    return clock


def build():
    w = make.world()
    w.voucher = make.voucher(w)
    return w


_standing, _own, w = standing.fixtures(build, "w")


@pytest.fixture
def scene(w, tmp_path):
    """A cluster with a partition of 8 cards at 9 yuan, and a voucher of 50,000 yuan that pays half."""
    w.partition = handrun.partition(w, tmp_path, cpus_per_card=2)
    w.place = f"{w.partition.cluster.code}/{w.partition.name}"
    return w


def client_of(someone):
    client = Client()
    client.force_login(make.user_of(someone))
    return client


def values(scene, **changes):
    """What a person types: 2 cards for an hour, paid by the voucher; 18 yuan, 9 of them the voucher's."""
    return {
        "partition": scene.place,
        "title": "缺陷检测模型训练",
        "cards": "2",
        "cpus": "",
        "memory_mb": "4000",
        "time_limit_min": "60",
        "voucher": scene.voucher.number,
        "script": SCRIPT,
        "idempotency_key": "form-00000001",
        "seen": "1800/900",
        "act": "submit",
        **changes,
    }


def post(scene, someone=None, **changes):
    return client_of(someone or scene.researcher).post(reverse("job_new"), values(scene, **changes))


def nothing_happened():
    return not Job.objects.exists() and not Charge.objects.exists()


def submitted(scene, *, title="训练", voucher=None, minutes=60, cards=1, script=SCRIPT, someone=None):
    return services.submit(
        actor=someone or scene.researcher,
        wanted=services.Wanted(
            partition=scene.partition,
            title=title,
            ask=rules.Ask(cards=cards, cpus=2, memory_mb=1000, time_limit_s=minutes * 60, script=script),
            vouchers=[voucher] if voucher else [],
        ),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _id: None,
    )


def url(name, job):
    return reverse(name, args=[job.number])


def at_field(response, name):
    """Return what stands as an error at a field."""
    field = re.search(rf'<div class="field bad">(?:(?!<div class="field).)*?id="id_{name}"', response.text, re.DOTALL)
    return re.sub(r"<[^>]+>", "", field[0]) if field else ""


class TestSubmitting:
    def test_a_job_is_submitted_paid_by_voucher_and_own_money(
        self, scene, django_capture_on_commit_callbacks, monkeypatch
    ):
        sent = []
        monkeypatch.setattr(tasks.dispatch, "delay", lambda **kwargs: sent.append(kwargs))
        with django_capture_on_commit_callbacks(execute=True):
            response = post(scene)
        job = Job.objects.get()
        assert response.status_code == 302
        assert response["Location"] == url("job", job)
        assert (job.title, job.cards, job.cpus, job.memory_mb, job.time_limit_s) == (
            "缺陷检测模型训练",
            2,
            4,
            4000,
            3600,
        )
        assert (job.charge.voucher_held_fen, job.charge.own_held_fen) == (900, 900)
        assert job.script == SCRIPT
        assert sent == [{"job_id": job.pk}]
        page = client_of(scene.researcher).get(url("job", job))
        assert "正在等待发送到集群。" in page.text

    def test_the_same_form_twice_is_one_job(self, scene):
        first, second = post(scene), post(scene)
        assert first["Location"] == second["Location"]
        assert Job.objects.count() == 1

    def test_the_same_form_with_other_content_names_the_first_job_and_offers_a_fresh_form(self, scene):
        post(scene)
        response = post(scene, title="另一个作业")
        assert response.status_code == 409
        assert f"这张表单已提交过，作业号为 {Job.objects.get().number}。" in response.text
        assert "form-00000001" not in response.text
        assert Job.objects.count() == 1

    def test_a_form_without_a_key_does_nothing(self, scene):
        assert post(scene, idempotency_key="").status_code == 422
        assert nothing_happened()

    def test_a_price_that_was_not_shown_is_shown_first(self, scene):
        response = post(scene, time_limit_min="120")
        assert response.status_code == 409
        assert "价格已更新。请核对价格，再次提交即可。" in response.text
        assert "¥36.00" in response.text
        assert nothing_happened()
        assert post(scene, time_limit_min="120", seen="3600/1800").status_code == 302

    def test_without_a_broker_nothing_fails_and_the_sweep_finds_the_row(self):
        nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)

        @nowhere.task(name="jobs.dispatch")
        def dispatch(*, job_id):
            raise AssertionError(job_id)

        with pytest.raises(OperationalError):
            dispatch.delay(job_id=7)
        hint(dispatch)(7)


class TestBadInput:
    """Each answer is exact, at its field; the script and everything typed stays; nothing is held."""

    @pytest.mark.parametrize(
        ("changes", "field", "message"),
        [
            ({"script": "echo hi\n"}, "script", "脚本第一行缺少解释器声明。请把第一行写成 #!/bin/bash 或 #!/usr/bin/env python3。"),
            ({"script": "#!/bin/zsh\n:\n"}, "script", "不支持的解释器“/bin/zsh”。"),
            ({"script": ""}, "script", "脚本为空。请粘贴或填写要运行的脚本。"),
            ({"script": "#!/bin/sh\n\0"}, "script", "脚本含有空字符（NUL）。请检查文件是否为文本文件。"),
            (
                {"script": "#!/usr/bin/perl\n:\n"},
                "script",
                "不支持的解释器“/usr/bin/perl”。",
            ),
            ({"time_limit_min": "1441"}, "time_limit_min", "时限须为整分钟，在 1 到 1440 分钟之间。请修改时限。"),
            ({"time_limit_min": "0"}, "time_limit_min", "时限须为整分钟，在 1 到 1440 分钟之间。请修改时限。"),
            ({"cards": "9"}, "cards", "加速卡数量须在 1 到 8 之间，您申请了 9。请调整到范围之内，或选择其他分区。"),
            ({"cpus": "33"}, "cpus", "CPU 核数须在 1 到 32 之间，您申请了 33。请调整到范围之内，或选择其他分区。"),
            ({"memory_mb": "1"}, "memory_mb", "内存须在 16 到 16000 MB 之间，您申请了 1。请调整到范围之内，或选择其他分区。"),
            ({"partition": "nowhere/gpu"}, "partition", "没有分区“nowhere/gpu”，请从列表中选择。"),
            ({"title": "  "}, "title", "请填写作业名称（120 字以内），仅贵单位可见。"),
            ({"title": "长" * 121}, "title", "请填写作业名称（120 字以内），仅贵单位可见。"),
            ({"cards": "两"}, "cards", "输入整数。"),
            ({"voucher": "V0000-000000"}, "voucher", "没有找到您要的内容，或您无权查看。"),
        ],
    )  # fmt: skip
    def test_it_is_said_at_its_field_and_everything_is_kept(self, scene, changes, field, message):
        response = post(scene, **changes)
        assert response.status_code in {404, 409, 422}
        assert escape(message) in response.text
        assert message in at_field(response, field).replace("&quot;", '"')
        kept = {**values(scene), **changes}
        assert escape(kept["script"].replace("\0", "")) in response.text.replace("\0", "")
        assert escape(kept["title"].strip()) in response.text
        assert "form-00000001" in response.text
        assert nothing_happened()

    def test_a_script_over_1_mb_is_refused(self, scene):
        response = post(scene, script="#!/bin/bash\n" + "#" * rules.MAX_SCRIPT_BYTES)
        assert response.status_code == 409
        assert "脚本超过 1 MB。请把数据放进文件，脚本只保留命令。" in at_field(response, "script")
        assert nothing_happened()

    def test_a_voucher_too_small_says_the_longest_limit_it_carries(self, scene):
        response = post(scene, cards="8", time_limit_min="1440", seen="172800/86400")
        assert response.status_code == 302  # 864 yuan of 50,000
        small = make.voucher(scene, make.programme(scene, code="small-2026"), number="HT-2", items=small_items())
        response = post(scene, cards="8", voucher=small.number, seen="7200/3600", idempotency_key="form-00000002")
        assert response.status_code == 409
        assert "该券可用余额 ¥5.00，本次需要 ¥36.00。该券最多可支持时限 8 分钟。" in at_field(response, "voucher")
        assert Job.objects.count() == 1

    def test_all_reasons_come_at_once(self, scene):
        response = post(scene, cards="9", time_limit_min="9999", script="echo")
        for part in ("加速卡数量须在", "时限须为整分钟", "缺少解释器声明"):
            assert part in response.text
        assert response.text.count('class="remedy"') >= 3

    def test_a_missing_title_does_not_hide_the_other_reasons(self, scene):
        response = post(scene, title="", cards="9", script="echo")
        assert response.status_code == 422
        assert "请填写作业名称" in at_field(response, "title")
        assert "加速卡数量须在 1 到 8 之间" in at_field(response, "cards")
        assert "缺少解释器声明" in at_field(response, "script")
        assert nothing_happened()

    def test_a_closed_partition_says_so(self, scene):
        scene.partition.is_open = False
        scene.partition.save()
        response = post(scene)
        assert "该分区暂不接收作业。请选择其他分区，或等维护结束。" in at_field(response, "partition")
        assert "（暂停接收）" in response.text

    def test_a_partition_without_a_price_takes_nothing(self, scene):
        scene.partition.rates.all().delete()
        assert "没有生效的价格" in at_field(post(scene), "partition")
        assert nothing_happened()

    @pytest.mark.parametrize("who", ["operator", "reviewer", "finance", "lab_owner"])
    def test_only_enterprises_submit(self, scene, who):
        assert post(scene, getattr(scene, who)).status_code == 403
        assert nothing_happened()

    def test_strangers_sign_in_first(self, scene):
        response = Client().post(reverse("job_new"), values(scene))
        assert response.status_code == 302
        assert response["Location"].startswith("/accounts/login/")
        assert nothing_happened()


def small_items():
    """What a contract of ten yuan covers: a voucher of five."""
    return {"compute": Money.from_yuan("10")}


class TestFile:
    def upload(self, scene, raw, **changes):
        file = SimpleUploadedFile("run.sh", raw, content_type="text/plain")
        return post(scene, script="#!/bin/sh\nreplaced\n", script_file=file, **changes)

    def test_an_uploaded_script_replaces_the_typed_one(self, scene):
        assert self.upload(scene, b"\xef\xbb\xbf#!/bin/bash\r\necho win\r\n").status_code == 302
        assert Job.objects.get().script == "#!/bin/bash\necho win\n"

    @pytest.mark.parametrize(
        ("raw", "field", "message"),
        [
            (b"#!/bin/bash\n" + b"x" * rules.MAX_SCRIPT_BYTES, "script_file", "脚本超过 1 MB。"),
            ("#!/bin/bash\necho 训练\n".encode("gbk"), "script_file", "文件不是 UTF-8 文本。"),
            (b"", "script", "脚本为空。"),
            (b"\x7fELF\x01\x00", "script", "脚本第一行缺少解释器声明。"),
        ],
    )
    def test_a_bad_file_is_refused(self, scene, raw, field, message):
        response = self.upload(scene, raw)
        assert response.status_code in {409, 422}
        assert message in at_field(response, field)
        assert nothing_happened()


class TestForm:
    def test_it_starts_with_what_fits_the_partition_and_the_first_voucher_that_pays(self, scene):
        page = client_of(scene.researcher).get(reverse("job_new"), {"partition": scene.place})
        assert f'value="{scene.place}" selected' in page.text
        assert f'value="{scene.voucher.number}" selected' in page.text
        assert "¥9.00" in page.text
        assert "贵单位自付，最多" in page.text
        assert 'name="seen" value="900/450"' in page.text
        assert "本作业分得 2 个 CPU 核。" in page.text

    def test_a_voucher_that_pays_back_is_not_offered_but_explained(self, scene):
        version = make.programme(scene, code="back-later", redeem={"mode": "reimburse"})
        later = make.voucher(scene, version, number="HT-later")
        page = client_of(scene.researcher).get(reverse("job_new"))
        assert f'value="{later.number}"' not in page.content.decode()
        assert f"{later.number} 为先付后补" in page.content.decode()
        assert post(scene, voucher=later.number, seen="1800/0").status_code == 409
        assert nothing_happened()

    def test_an_earlier_job_can_be_submitted_again(self, scene):
        job = submitted(scene, title="上一次", script="#!/bin/sh\necho earlier\n", minutes=90)
        page = client_of(scene.researcher).get(reverse("job_new"), {"again": job.number})
        assert 'value="上一次"' in page.text
        assert "echo earlier" in page.text
        assert 'value="90"' in page.text
        rival = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)
        assert client_of(rival).get(reverse("job_new"), {"again": job.number}).status_code == 404

    @pytest.mark.parametrize("code", SAMPLES)
    def test_a_sample_fills_the_script_and_keeps_the_rest(self, scene, code):
        response = post(scene, sample=code, title="", cards="3", script="")
        assert response.status_code == 200
        assert escape(SAMPLES[code].script) in response.text
        assert 'name="cards" value="3"' in response.text
        assert nothing_happened()
        assert not rules.script_refusals(SAMPLES[code].script)

    def test_a_sample_never_overwrites_a_script_of_ones_own(self, scene):
        response = post(scene, sample="hello", script="#!/bin/sh\nmine\n")
        assert "mine" in response.text
        assert "OMP_NUM_THREADS" not in response.text
        assert "脚本已有内容，没有替换。" in response.text

    def test_the_quote_says_price_split_and_the_longest_limit(self, scene):
        small = make.voucher(scene, make.programme(scene, code="small-2026"), number="HT-2", items=small_items())
        asked = {k: v for k, v in values(scene, voucher=small.number, time_limit_min="10").items() if k != "script"}
        page = client_of(scene.researcher).get(reverse("job_quote"), asked)
        assert page.status_code == 200
        assert "<h1" not in page.text
        assert re.findall(r"¥[\d.]+", page.text)[-3:] == ["¥3.00", "¥1.50", "¥1.50"]
        assert "所选的券最多支持时限 33 分钟" in page.text
        assert "目前不能这样提交" not in page.text
        assert nothing_happened()

    def test_the_quote_says_every_refusal_with_its_remedy(self, scene):
        page = client_of(scene.researcher).get(
            reverse("job_quote"), values(scene, cards="99", time_limit_min="99999", memory_mb="1")
        )
        assert page.text.count("<li>") == 5  # cards, the cores they bring, memory, time, voucher
        assert "目前不能这样提交" in page.text

    @pytest.mark.parametrize(
        "changes", [{"cards": ""}, {"partition": "x"}, {"time_limit_min": "soon"}, {"memory_mb": "9" * 5000}]
    )
    def test_half_typed_values_are_no_error(self, scene, changes):
        page = client_of(scene.researcher).get(reverse("job_quote"), values(scene, **changes))
        assert page.status_code == 200
        assert "填好分区、资源和时限后，这里显示价格。" in page.text


class TestList:
    def test_it_shows_ones_own_jobs_only(self, scene):
        mine = submitted(scene, title="我的训练")
        rival = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)
        theirs = submitted(scene, title="别人的秘密", someone=rival)
        page = client_of(scene.researcher).get(reverse("jobs"))
        assert mine.number in page.text
        assert theirs.number not in page.text
        assert "别人的秘密" not in page.text
        assert client_of(scene.operator).get(reverse("jobs")).status_code == 403

    def test_filters_narrow_and_nonsense_does_not(self, scene):
        one, two = submitted(scene, title="图像推理"), submitted(scene, title="语料微调")
        Job.objects.filter(pk=two.pk).update(state="failed", settled_at=make.NOW)
        client = client_of(scene.researcher)

        def shown(**query):
            text = client.get(reverse("jobs"), query).text
            return {job.number for job in (one, two) if job.number in text}

        assert shown(q="图像") == {one.number}
        assert shown(q=two.number) == {two.number}
        assert shown(state="open") == {one.number}
        assert shown(state="ended") == shown(state="failed") == {two.number}
        assert shown(partition=scene.partition.pk) == {one.number, two.number}
        assert shown(state="bogus", partition="x", page="-1", sort="password") == {one.number, two.number}
        assert shown(q="没有这个") == set()

    def test_the_file_is_safe_for_spreadsheets(self, scene):
        submitted(scene, title="=HYPERLINK(1)")
        response = client_of(scene.researcher).get(reverse("jobs"), {"format": "csv"})
        [head, row] = csv.reader(io.StringIO(response.text.removeprefix("\ufeff")))
        assert (head[0], row[1], row[8], row[13]) == ("作业号", "'=HYPERLINK(1)", "待发送", "9.00")

    def test_the_workbook_says_the_same_with_numbers_one_can_add_up(self, scene):
        job = submitted(scene, title="=HYPERLINK(1)")
        client = client_of(scene.researcher)
        response = client.get(reverse("jobs"), {"format": "xlsx"})
        assert response["Content-Disposition"] == 'attachment; filename="jobs.xlsx"'
        head, row = load_workbook(io.BytesIO(response.content)).active.iter_rows()
        assert [head[at].value for at in (0, 13)] == ["作业号", "冻结（元）"]
        assert (row[0].value, row[1].value, row[1].data_type) == (job.number, "=HYPERLINK(1)", "s")
        assert (row[4].value, row[13].value, row[13].data_type) == (job.cards, 9, "n")
        narrowed = client.get(reverse("jobs"), {"format": "xlsx", "q": "没有这个"})
        assert load_workbook(io.BytesIO(narrowed.content)).active.max_row == 1

    def test_queries_do_not_grow_with_jobs(self, scene, django_assert_num_queries):
        client = client_of(scene.researcher)
        submitted(scene)
        with django_assert_num_queries(6):
            client.get(reverse("jobs"))
        for _ in range(5):
            submitted(scene)
        with django_assert_num_queries(6):
            client.get(reverse("jobs"))


class TestPage:
    @pytest.fixture
    def running(self, scene):
        job = submitted(scene, title="训练", voucher=scene.voucher, cards=2)
        folder = handrun.place(job)
        handrun.start(job, folder)
        handrun.say(folder, "第 1 步\n".encode())
        return job, folder

    def test_a_waiting_job_says_how_many_are_ahead(self, scene, clock):
        first, second = submitted(scene), submitted(scene)
        clock.now = make.NOW + timedelta(minutes=5)
        client = client_of(scene.researcher)
        assert "本分区前面还有 1 个作业" in client.get(url("job", second)).text
        page = client.get(url("job", first)).text
        assert "本分区前面没有等待的作业" in page
        assert "5 分" in page

    def test_a_running_job_shows_log_cost_and_the_way_out(self, scene, running, clock):
        job, _folder = running
        clock.now = job.started_at + timedelta(minutes=10)
        page = client_of(scene.researcher).get(url("job", job))
        assert "第 1 步" in page.text
        assert "¥3.00" in page.text  # 2 cards, a sixth of an hour, 9 yuan
        assert "最多 ¥18.00，已冻结" in page.text
        assert f'data-stream="{url("job_stream", job)}"' in page.text
        assert 'data-after="10"' in page.text
        assert "data-ended" not in page.text
        assert url("job_cancel", job) in page.text

    def test_an_ended_job_shows_what_was_taken_and_given_back(self, scene, running, clock):
        job, folder = running
        handrun.end(job, folder, "failed", code=137, elapsed_s=600)
        clock.now = job.settled_at + timedelta(minutes=1)
        page = client_of(scene.researcher).get(url("job", job))
        assert "被强制终止，常见原因是内存不足（退出码 137）。请查看日志末尾。" in page.text
        assert "600 秒" in page.text
        assert UsageRecord.objects.get().duration_s == 600
        money = re.findall(r"¥[\d.]+", page.text[page.text.index("按时限冻结") : page.text.index("提交时的价格")])
        assert money == ["¥9.00", "¥9.00", "¥1.50", "¥1.50", "¥7.50", "¥7.50"]
        assert 'data-ended="1"' in page.text
        assert url("job_cancel", job) not in page.text
        assert f"?again={job.number}" in page.text

    def test_the_script_is_shown_escaped_and_handed_over_as_it_is(self, scene):
        script = "#!/usr/bin/env python3\nprint('<script>alert(1)</script>')\n"
        job = submitted(scene, script=script, title="<b>x</b>")
        client = client_of(scene.researcher)
        page = client.get(url("job", job)).text
        assert "<script>alert" not in page
        assert "<b>x</b>" not in page
        file = client.get(url("job_script", job))
        assert file.text == script
        assert file["Content-Disposition"] == f'attachment; filename="{job.number}.py"'

    def test_the_parts_that_change_are_had_without_the_page(self, scene, running):
        job, _folder = running
        response = client_of(scene.researcher).get(url("job_status", job))
        assert re.findall(r'data-part="(\w+)"', response.text) == [
            "acts",
            "progress",
            "facts",
            "money",
            "runs",
            "trail",
        ]
        assert "<html" not in response.text
        assert response["Cache-Control"] == "no-store"

    def test_nobody_else_sees_it(self, scene, running):
        job, _folder = running
        rival = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.OWNER)
        for name in ("job", "job_status", "job_script", "job_cancel"):
            assert client_of(rival).get(url(name, job)).status_code == 404
            assert client_of(scene.operator).get(url(name, job)).status_code == 403
            assert Client().get(url(name, job)).status_code == 302

    def test_queries_are_few(self, scene, running, django_assert_max_num_queries):
        job, _folder = running
        client = client_of(scene.researcher)
        with django_assert_max_num_queries(11):
            client.get(url("job", job))


class TestCancelling:
    def test_before_it_left_everything_comes_back_at_once(self, scene):
        job = submitted(scene, voucher=scene.voucher)
        client = client_of(scene.researcher)
        assert "冻结的 ¥9.00 全部退回，不收取任何费用" in client.get(url("job_cancel", job)).text
        response = client.post(url("job_cancel", job))
        assert response["Location"] == url("job", job)
        job.refresh_from_db()
        assert (job.state, job.charge.state) == ("cancelled", "released")
        page = client.get(url("job", job)).text
        assert "作业已取消，冻结的费用已全部退回。" in page
        assert "作业在发送到集群之前取消，没有产生费用。" in page

    def test_a_running_job_is_stopped_by_the_cluster_and_charged_what_it_ran(self, scene, clock):
        job = submitted(scene)
        folder = handrun.place(job)
        handrun.start(job, folder)
        clock.now = job.started_at + timedelta(minutes=20)
        client = client_of(scene.researcher)
        asked = client.get(url("job_cancel", job)).text
        assert "作业已运行 20 分。" in asked
        assert "到现在约 ¥3.00；冻结的 ¥9.00 中多余部分立即退回" in asked
        client.post(url("job_cancel", job))
        job.refresh_from_db()
        assert job.cancel_asked_at == clock.now
        page = client.get(url("job", job)).text
        assert "已请求取消，正在等集群停止作业。" in page
        assert url("job_cancel", job) not in page

    def test_a_finished_job_says_what_it_is_now(self, scene, clock):
        job = submitted(scene)
        folder = handrun.place(job)
        handrun.start(job, folder)
        handrun.end(job, folder)
        response = client_of(scene.researcher).post(url("job_cancel", job))
        assert response.status_code == 409
        assert "该记录现在是“已完成”，这一步已不适用。" in response.text
        job.refresh_from_db()
        assert job.state == "succeeded"


PASTED = "#!/bin/bash\n#SBATCH --gres=gpu:4 --time=2:00:00\n#SBATCH --mail-user=x\npython3 train.py\n"


class TestPastingAnSbatchScript:
    def post(self, scene, **changes):
        return client_of(scene.researcher).post(reverse("job_new"), values(scene, script=PASTED, **changes))

    def test_shows_the_difference_and_submits_nothing(self, scene):
        answer = self.post(scene)
        body = answer.content.decode()
        assert answer.status_code == 422
        assert "表单为 2，脚本为 4。" in body
        assert "表单为 60 min，脚本为 120 min。" in body
        assert "平台自己通知作业的开始和结束" in body
        assert "缺陷检测模型训练" in body
        assert not Job.objects.exists()

    def test_fills_the_form_from_the_script_with_its_price(self, scene):
        answer = self.post(scene, act="use_script")
        form = answer.context["form"]
        assert answer.status_code == 200
        assert [str(form[name].value()) for name in ("cards", "time_limit_min")] == ["4", "120"]
        assert form["script"].value() == PASTED.replace("#SBATCH", "##SBATCH")
        assert answer.context["offer"].quote.price.amount == Money(4 * 900 * 2)

    def test_keeps_the_form_and_makes_the_directives_remarks(self, scene):
        form = self.post(scene, act="use_form").context["form"]
        assert [str(form[name].value()) for name in ("cards", "time_limit_min")] == ["2", "60"]
        assert "\n##SBATCH" in form["script"].value()

    def test_submits_at_once_where_both_say_the_same(self, scene):
        script = "#!/bin/bash\n#SBATCH -G 2 -t 60\necho ok\n"
        answer = client_of(scene.researcher).post(reverse("job_new"), values(scene, script=script))
        assert answer.status_code == 302, answer.content.decode()[:2000]
        assert Job.objects.get().script == script.replace("#SBATCH", "##SBATCH")


class TestShortening:
    def test_submits_the_limit_the_voucher_buys(self, scene):
        """50,000 yuan that pay half of 8 cards at 9 yuan: 1,388 hours; a partition of 24 hours is the bound."""
        asked = values(scene, shorten="on", time_limit_min="6000", seen="")
        client = client_of(scene.researcher)
        shown = client.post(reverse("job_new"), asked)
        offer = shown.context["offer"]
        assert (shown.status_code, offer.quote.limit_s, offer.quote.is_shortened) == (409, 86400, True)
        client.post(reverse("job_new"), {**asked, "seen": offer.seen})
        assert Job.objects.get().time_limit_s == 86400


class TestComparingPartitions:
    def test_shows_price_and_waiting_of_each_and_marks_the_cheapest(self, scene, tmp_path):
        make.partition(scene, rate="6")
        body = client_of(scene.researcher).get(reverse("job_quote"), values(scene)).content.decode()
        assert body.count("最便宜") == 1
        assert "样本 0，太少，无法估计" in body
        assert "¥12.00" in body


class TestFurtherOptions:
    def offer(self, scene):
        cluster = scene.partition.cluster
        cluster.capabilities = {**cluster.capabilities, "features": ["arrays", "requeue"]}
        cluster.save()
        return client_of(scene.researcher)

    def test_shows_only_what_a_cluster_offers(self, scene):
        plain = client_of(scene.researcher).get(reverse("job_new")).context["form"]
        assert [bound.name for bound in plain.further] == ["environment"]
        form = self.offer(scene).get(reverse("job_new")).context["form"]
        assert [bound.name for bound in form.further] == ["array", "requeue", "environment"]

    def test_holds_for_every_task_and_sends_what_was_typed(self, scene):
        client = self.offer(scene)
        asked = values(scene, array="0-3", requeue="on", environment="EPOCHS=3\nNAME=a b\n", seen="")
        seen = client.post(reverse("job_new"), asked).context["offer"].seen
        assert seen == "7200/3600"
        client.post(reverse("job_new"), {**asked, "seen": seen})
        job = Job.objects.get()
        assert (job.array, job.requeue, job.environment) == ("0-3", True, {"EPOCHS": "3", "NAME": "a b"})

    def test_takes_them_from_a_pasted_script(self, scene):
        script = "#!/bin/bash\n#SBATCH -a 0-1 --requeue --export=EPOCHS=9\necho ok\n"
        answer = self.offer(scene).post(reverse("job_new"), values(scene, script=script, act="use_script"))
        form = answer.context["form"]
        assert (form["array"].value(), form["environment"].value()) == ("0-1", "EPOCHS=9")
