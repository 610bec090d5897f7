"""Every state, reason and exit code is said in words."""

import re
from datetime import timedelta

import pytest

from portal.pages import jobwords
from scheduler.jobs.models import Job
from scheduler.jobs.rules import ACTIVE, JobState
from tests import make

OWN_CODES = {"attempts"}
"""Why the portal itself gives a job up."""
REFUSAL_CODES = {"partition", "account", "qos", "time_limit", "resources", "limit", "script", "access", "other"}


def job(state, **more):
    values = {"time_limit_s": 3600, "memory_mb": 2000, "cluster_job_id": "7", **more}
    return Job(state=JobState(state).value, **values)


def test_every_refusal_the_port_names_has_its_sentence():
    assert set(jobwords.REFUSALS) == REFUSAL_CODES | OWN_CODES


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("reason", ["", "Resources", "SomethingNew", "QOSMaxCpuPerUserLimit", "partition", "exit"])
def test_every_state_is_a_sentence_without_codes(state, reason):
    words = jobwords.reason_words(job(state, reason=reason, exit_code=1 if state is JobState.FAILED else None))
    assert words.endswith("。")
    assert not re.findall(r"[A-Za-z_]{4,}|%\(", words)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Resources", "正在排队：前面的作业用着所需的卡或节点，空出来就轮到它。"),
        ("ReqNodeNotAvail, UnavailableNodes:gpu[1-4]", "正在排队：所需节点正在维护或已被预留。"),
        ("AssocGrpCPURunMinutesLimit", "正在排队：贵单位在集群上的用量已达上限，等已有作业结束后继续。"),
        ("NobodyKnowsThis", "正在集群排队，等待调度。"),
    ],
)
def test_why_it_waits(reason, words):
    assert jobwords.reason_words(job("queued", reason=reason)) == words


def test_what_became_of_it():
    say = jobwords.reason_words
    assert "超过申请的 2,000 MB" in say(job("out_of_memory"))
    assert "运行到时限 1 小时" in say(job("timed_out"))
    assert say(job("failed", exit_code=137)) == "被强制终止，常见原因是内存不足（退出码 137）。请查看日志末尾。"
    assert say(job("failed", exit_code=42)) == "脚本以退出码 42 结束。请查看日志末尾。"
    assert "没有产生费用" in say(job("cancelled", cluster_job_id=""))
    assert "只收取已运行部分" in say(job("cancelled", cancel_asked_at=make.NOW, started_at=make.NOW))
    assert "在集群一侧被取消" in say(job("cancelled"))
    assert say(job("running", cancel_asked_at=make.NOW)) == "已请求取消，正在等集群停止作业。"
    assert "自动重新发送" in say(job("pending", reason="cluster_away"))


@pytest.mark.parametrize("state", JobState)
def test_the_steps_say_where_it_stands(state):
    steps = jobwords.steps_of(job(state, started_at=make.NOW + timedelta(minutes=1)))
    marks = [step.css for step in steps]
    assert marks.count("now") == (1 if state in ACTIVE else 0)
    assert ("bad" in marks) == (state not in ACTIVE and state is not JobState.SUCCEEDED)


def test_a_refused_job_never_ran():
    steps = jobwords.steps_of(job("rejected", cluster_job_id=""))
    assert [(step.name, step.css) for step in steps] == [("提交", "done"), ("送达集群", "bad"), ("结算", "done")]
