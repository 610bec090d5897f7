"""Try rules on past applications as an officer does in the browser."""

from __future__ import annotations

import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import translation
from openpyxl import load_workbook

from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.vouchers.dryruns.test_rules import request
from tests.vouchers.dryruns.test_services import asked, generous, past
from vouchers.dryruns import services
from vouchers.dryruns.models import DryRun
from vouchers.programmes import drafts


@pytest.fixture(autouse=True)
def chinese():
    with translation.override("zh-hans"):
        yield


@pytest.fixture
def desk(w, client):
    enter(client, w.officer)
    client.w, client.version = w, make.programme(w, budget="10000000")
    return client


def done(desk, count=3):
    past(desk.w, desk.version, *(f"HT-{count}-{at}" for at in range(count)))
    run = asked(desk.w, generous(desk.version))
    services.run(run_id=run.pk, now=make.NOW)
    return run


def test_a_draft_is_tried_from_its_page(desk, monkeypatch):
    told = []
    monkeypatch.setattr("portal.pages.dryruns.wake", told.append)
    past(desk.w, desk.version, "HT-1")
    draft = drafts.start(actor=desk.w.officer, origin=desk.version, now=make.NOW)
    address = reverse("dry_run_new") + f"?draft={draft.pk}"
    assert address.replace("&", "&amp;") in desk.get(reverse("programme_draft", args=[draft.pk])).content.decode()
    page = desk.get(address)
    assert "创新资源共享券" in text_of(page)
    form = {"source": "past", "programme": "test-shared-2026", "starts": "2026-01-01", "ends": "2026-12-31"}
    answer = desk.post(address, form)
    run = DryRun.objects.get()
    assert answer["Location"] == reverse("dry_run", args=[run.pk])
    waiting = text_of(desk.get(answer["Location"]))
    assert "已完成 0 件，共 1 件" in waiting
    assert desk.get(reverse("dry_run_progress", args=[run.pk])).status_code == 200
    services.run(run_id=run.pk, now=make.NOW)
    assert desk.get(reverse("dry_run_progress", args=[run.pk]))["HX-Refresh"] == "true"


def test_a_file_is_tried(desk):
    address = reverse("dry_run_new") + f"?code=test-shared-2026&version={desk.version.number}"
    file = SimpleUploadedFile("cases.json", json.dumps([request()]).encode())
    answer = desk.post(address, {"source": "file", "file": file})
    assert answer.status_code == 302, text_of(answer)
    run = DryRun.objects.get()
    assert (run.file_name, run.version_number, run.total) == ("cases.json", desk.version.number, 1)
    bad = desk.post(address, {"source": "file", "file": SimpleUploadedFile("c.json", b"[{]")})
    assert bad.status_code == 422
    assert "JSON" in text_of(bad)
    assert desk.post(address, {"source": "past", "starts": "x"}).status_code == 422


@pytest.mark.parametrize("language", ["", "/en"])
def test_the_result_is_told_drawn_and_listed(desk, language):
    run = done(desk)
    overview, cases = (language + reverse(name, args=[run.pk]) for name in ("dry_run", "dry_run_cases"))
    page = desk.get(overview)
    body, read = page.content.decode(), text_of(page)
    assert body.count('<svg xmlns="http://www.w3.org/2000/svg" class="chart"') == 4
    assert "¥360,000" in read
    assert "style=" not in body
    assert ("谁得到更多，谁得到更少" if not language else "Who gains and who loses") in read
    assert raw_codes(read.replace("test-shared-2026", "")) == []
    listed = text_of(desk.get(cases))
    assert listed.count("¥120,000") >= 3


def test_cases_are_narrowed_sorted_and_taken_away(desk):
    run = done(desk)
    address = reverse("dry_run_cases", args=[run.pk])
    assert "没有符合条件的案例" in text_of(desk.get(address + "?shift=lost"))
    assert desk.get(address + "?sort=-after&decision=grant").status_code == 200
    csv = desk.get(address + "?format=csv").content.decode("utf-8-sig").splitlines()
    assert len(csv) == 4
    assert csv[1].split(",")[3:6] == ["100000.00", "120000.00", "20000.0"]
    sheet = load_workbook(io.BytesIO(desk.get(address + "?format=xlsx").content)).active
    assert sheet["E2"].value == 120000
    assert sheet["A1"].value == "编号"


def test_a_pool_is_simulated(desk):
    run = done(desk)
    address = reverse("dry_run_pool", args=[run.pk])
    assert "资金池金额和次序" in text_of(desk.get(address))
    page = desk.get(address + "?pool=180000&order=all_then_prorate&short=partial&seed=")
    read = text_of(page)
    assert "0.500000" in read
    assert "1/2" in read
    assert read.count("¥60,000") >= 3
    first = text_of(desk.get(address + "?pool=180000&order=first_come&short=reject"))
    assert "资金池剩余 ¥60,000" in first
    assert desk.get(address + "?pool=1&order=region_quota&short=partial").status_code == 422
    assert desk.get(address + "?pool=x&order=first_come&short=partial").status_code == 422
    csv = desk.get(address + "?pool=180000&order=first_come&short=partial&format=csv").content.decode("utf-8-sig")
    assert len(csv.splitlines()) == 4


def test_a_run_that_is_not_done_has_no_pool(desk):
    past(desk.w, desk.version, "HT-1")
    run = asked(desk.w, generous(desk.version))
    assert desk.get(reverse("dry_run_pool", args=[run.pk])).status_code == 409


def test_others_see_nothing(desk, client):
    run = done(desk, 1)
    stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.PROGRAMME_OFFICER)
    for actor, status in ((stranger, 404), (desk.w.owner, 403), (desk.w.publisher, 200)):
        enter(client, actor)
        for name in ("dry_run", "dry_run_cases", "dry_run_pool"):
            assert client.get(reverse(name, args=[run.pk])).status_code == status


def test_a_longer_list_takes_no_more_queries(desk, django_assert_num_queries):
    run = done(desk, 2)
    desk.get(reverse("dry_run_cases", args=[run.pk]))
    with django_assert_num_queries(6):
        desk.get(reverse("dry_run_cases", args=[run.pk]))
    more = done(desk, 3)
    with django_assert_num_queries(6):
        desk.get(reverse("dry_run_cases", args=[more.pk]))
    assert text_of(desk.get(reverse("dry_runs"))).count("test-shared-2026") == 2
