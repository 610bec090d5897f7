from types import SimpleNamespace

import pytest
from django.test import RequestFactory
from django.urls import reverse
from django.utils import translation

from portal.kernel.actors import Actor, Permission
from portal.pages.context import shell
from portal.pages.navigation import NAVIGATION


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


FINANCE = (
    *(Permission.LEDGER_READ, Permission.PAYMENT_CONFIRM, Permission.BANK_MATCH, Permission.SETTLEMENT_DRAFT),
    *(Permission.PAYEE_VERIFY, Permission.VOUCHER_REGISTER),
)


def test_an_actor_sees_what_the_permissions_open():
    seen = shell_of("/", Permission.JOB_SUBMIT, Permission.APPLICATION_APPROVE)
    assert labels(seen.work) == [
        "工作台",
        "驾驶舱",
        "券与申报",
        "应入网仪器",
        "算力",
    ]
    assert labels(seen.work[2].below) == ["申请审核", "批次与公示"]
    assert labels(seen.work[4].below) == ["作业", "算力用量", "应用模板", "算力配额"]


def test_few_places_stand_in_one_row():
    seen = shell_of("/", Permission.JOB_SUBMIT)
    assert labels(seen.work) == ["工作台", "作业", "算力用量", "应用模板", "算力配额"]
    assert not any(link.below for link in seen.work)


def test_the_place_one_is_at_is_marked():
    jobs = reverse("jobs")
    at = {link.url: link.current for link in shell_of(jobs, Permission.JOB_SUBMIT).work}
    below = {link.url: link.current for link in shell_of(f"{jobs}17/", Permission.JOB_SUBMIT).work}
    assert (at[jobs], below[jobs]) == ("page", "true")


def test_the_subject_one_is_at_is_marked_with_its_place():
    seen = shell_of(reverse("bank_lines"), *FINANCE)
    at = {link.label: link for link in seen.work}
    assert [link.label for link in seen.work if link.current] == ["资金"]
    assert [link.label for link in at["资金"].below if link.current] == ["银行流水"]
    assert at["资金"].url == at["资金"].below[0].url


def test_the_language_link_keeps_page_and_query():
    assert shell_of("/instruments/?city=x").other_url == "/en/instruments/?city=x"
    with translation.override("en"):
        seen = shell_of("/en/instruments/")
        assert (seen.lang, seen.other_lang, seen.other_name) == ("en", "zh-Hans", "中文")
        assert seen.other_url == "/instruments/"


def test_a_form_fetched_into_the_dialog_extends_the_bare_base():
    assert shell_of().base == "base.html"
    assert shell_of(headers={"HX-Target": "dialog"}).base == "parts/dialog.html"
