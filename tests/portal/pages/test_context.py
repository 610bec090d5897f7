from types import SimpleNamespace

import pytest
from django.test import RequestFactory
from django.urls import reverse
from django.utils import translation

from portal.kernel.actors import Actor, Permission
from portal.pages.context import NAVIGATION, shell


def shell_of(path="/", *permissions, signed_in=True, **extra):
    request = RequestFactory().get(path, **extra)
    request.actor = Actor(1, 1, "某人", frozenset(permissions)) if signed_in else None
    return SimpleNamespace(**shell(request)["shell"])


def labels(links):
    return [link.label for link in links]


@pytest.mark.parametrize("entry", NAVIGATION, ids=lambda entry: entry.url_name)
def test_every_entry_leads_somewhere(entry):
    assert reverse(entry.url_name).startswith("/")


def test_a_stranger_sees_only_what_is_open():
    seen = shell_of(signed_in=False)
    assert labels(seen.open) == [
        "政策项目",
        "资格自测",
        "仪器预约",
        "大科学装置",
        "算力集群",
        "服务目录",
        "机时征集",
        "公示",
    ]
    assert seen.work == []
    assert vars(seen)["self"] == []


def test_an_actor_sees_what_the_permissions_open():
    seen = shell_of("/", Permission.JOB_SUBMIT, Permission.APPLICATION_APPROVE)
    assert labels(seen.work) == [
        "工作台",
        "驾驶舱",
        "作业",
        "算力用量",
        "应用模板",
        "算力配额",
        "申请审核",
        "批次与公示",
        "应入网仪器",
    ]


def test_the_place_one_is_at_is_marked():
    jobs = reverse("jobs")
    at = {link.url: link.current for link in shell_of(jobs, Permission.JOB_SUBMIT).work}
    below = {link.url: link.current for link in shell_of(f"{jobs}17/", Permission.JOB_SUBMIT).work}
    assert (at[jobs], below[jobs]) == ("page", "true")


def test_the_language_link_keeps_page_and_query():
    assert shell_of("/instruments/?city=x").other_url == "/en/instruments/?city=x"
    with translation.override("en"):
        seen = shell_of("/en/instruments/")
        assert (seen.lang, seen.other_lang, seen.other_name) == ("en", "zh-Hans", "中文")
        assert seen.other_url == "/instruments/"


def test_a_form_fetched_into_the_dialog_extends_the_bare_base():
    assert shell_of().base == "base.html"
    assert shell_of(headers={"HX-Target": "dialog"}).base == "parts/dialog.html"
