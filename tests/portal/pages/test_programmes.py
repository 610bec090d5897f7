"""Programmes: read by everybody, imported by one person, published by another."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from portal.pages import pools
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.programmes.models import ProgrammeVersion


def posted(w, client, **changes):
    values = {"text": make.programme_file().decode(), "budget": "1000000", "fiscal_year": "2026", **changes}
    return client.post(reverse("programme_import"), values)


def test_a_stranger_reads_the_rules_in_words(w, client):
    make.programme(w, in_force=LONG)
    listed = client.get(reverse("programmes"))
    assert listed.status_code == 200
    assert "创新资源共享券" in text_of(listed)
    shown = client.get(reverse("programme", args=["test-shared-2026"]))
    text = text_of(shown)
    assert "按核定合同额的 50 % 支持" in text
    assert "合同双方不得为关联方" in text
    assert raw_codes(text) == []


def test_the_pool_adds_up(w, client):
    version = make.programme(w, in_force=LONG)
    make.voucher(w, version)
    make.application(w, version, number="HT-2")
    response = client.get(reverse("programme", args=[version.programme.code]))
    meter = response.context["meter"]
    assert (meter.total_fen, meter.issued_fen, meter.reserved_fen) == (100_000_000, 10_000_000, 10_000_000)
    assert meter.left_fen == 80_000_000
    assert "已发券 ¥100,000.00" in text_of(response)


def test_what_is_paid_as_money_is_no_voucher(w, client):
    version = make.programme(w, in_force=LONG, redeem={"mode": "award"})
    make.passed(w, make.application(w, version))
    text = text_of(client.get(reverse("programme", args=[version.programme.code])))
    assert "已发券" not in text
    meter = pools.Meter(2026, 300, 100, 100, vouchers=False)
    assert "已核定奖补 ¥1.00" in meter.bars()["sentence"]


def test_the_number_of_queries_does_not_grow_with_the_list(w, client, django_assert_num_queries):
    make.programme(w, in_force=LONG)
    client.get(reverse("programmes"))
    with django_assert_num_queries(5):
        client.get(reverse("programmes"))
    for number in range(4):
        make.programme(w, code=f"test-{number}", in_force=LONG)
    with django_assert_num_queries(5):
        assert len(client.get(reverse("programmes")).context["entries"]) == 5


def test_drafts_are_for_their_department_only(w, client):
    enter(client, w.officer)
    posted(w, client)
    address = reverse("programme_version", args=["test-shared-2026", 1])
    assert client.get(address).status_code == 200
    assert "待发布的草稿" in text_of(client.get(reverse("programmes")))
    client.logout()
    assert client.get(reverse("programme", args=["test-shared-2026"])).status_code == 404
    assert client.get(address).status_code == 302
    assert enter(client, w.owner).get(address).status_code == 403
    assert "待发布的草稿" not in text_of(client.get(reverse("programmes")))


def test_every_problem_of_a_file_is_told_with_its_place_and_the_input_is_kept(w, client):
    enter(client, w.officer)
    bad = make.programme_file(lines=[{"id": "50%", "rate": "1.5"}], colour="red").decode()
    response = posted(w, client, text=bad)
    text = text_of(response)
    assert response.status_code == 422
    assert "项目文件有 2 处问题，没有导入。" in text
    assert "lines[0].rate" in text
    assert "colour" in text
    assert "允许：" in text
    assert response.context["form"]["text"].value() == bad
    assert ProgrammeVersion.objects.count() == 0


def test_an_uploaded_file_stays_on_the_page_as_text(w, client):
    enter(client, w.officer)
    response = posted(w, client, file=SimpleUploadedFile("p.json", b'{"code": "x"'), text="")
    assert response.status_code == 422
    assert response.context["form"]["text"].value() == '{"code": "x"'
    assert ProgrammeVersion.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": ""}, "请选择项目文件，或粘贴其内容。"),
        ({"budget": "12.345"}, "金额“12.345”无效：请填写人民币元，最多两位小数。"),
        ({"budget": "-5"}, "金额不能小于 ¥0.01。"),
    ],
)
def test_bad_input_is_told_in_the_field(w, client, changes, message):
    response = posted(w, enter(client, w.officer), **changes)
    assert response.status_code == 422
    assert message in text_of(response)
    assert ProgrammeVersion.objects.count() == 0


def test_the_same_file_twice_is_one_version(w, client):
    enter(client, w.officer)
    assert posted(w, client).status_code == 302
    again = posted(w, client)
    assert again.status_code == 409
    assert "文件与现有第 1 版内容相同，无需再次导入。" in text_of(again)
    assert ProgrammeVersion.objects.count() == 1


def test_the_importer_cannot_publish_and_a_second_person_can(w, client):
    both = make.actor(w.department, make.roles.Role.PROGRAMME_OFFICER, make.roles.Role.PROGRAMME_PUBLISHER)
    posted(w, enter(client, both))
    address = reverse("programme_publish", args=["test-shared-2026", 1])
    refused = client.post(address)
    assert refused.status_code == 403
    assert "导入人不能发布自己导入的政策。请由另一位同事复核并发布。" in text_of(refused)
    assert ProgrammeVersion.objects.get().state == "draft"
    enter(client, w.publisher)
    assert client.post(address).status_code == 409
    page = client.get(reverse("programme_version", args=["test-shared-2026", 1]))
    assert "还没有审查记录，登记后才能发布。" in text_of(page)
    assert "发布前还须： 还没有公平竞争审查记录。" in text_of(page)
    assert address not in page.content.decode()
    review = {"reviewer": "市监局", "reviewed_on": "2026-01-05", "document_number": "公审 1 号", "opinion": "不影响。"}
    reviewed = reverse("programme_fair_review", args=["test-shared-2026", 1])
    assert client.post(reviewed, {**review, "reviewed_on": "2126-01-05"}).status_code == 422
    assert client.post(reviewed, {**review, "opinion": ""}).status_code == 422
    assert client.post(reviewed, review).status_code == 302
    assert address in client.get(reverse("programme_version", args=["test-shared-2026", 1])).content.decode()
    assert "公审 1 号" in text_of(client.get(reverse("programme_version", args=["test-shared-2026", 1])))
    assert client.post(address).status_code == 302
    assert ProgrammeVersion.objects.get().state == "published"
    assert client.post(reviewed, review).status_code == 409
    again = client.post(address)
    assert again.status_code == 409
    assert "该记录现在是“已发布”" in text_of(again)


@pytest.mark.parametrize("who", ["reviewer", "owner", "publisher", "finance"])
def test_only_officers_import(w, client, who):
    response = posted(w, enter(client, getattr(w, who)))
    assert response.status_code == 403
    assert ProgrammeVersion.objects.count() == 0


def test_a_suspended_programme_says_so_and_takes_nothing(w, client):
    version = make.programme(w, in_force=LONG)
    code = version.programme.code
    enter(client, w.publisher)
    assert client.post(reverse("programme_state", args=[code]), {"action": "suspend"}).status_code == 302
    page = client.get(reverse("programme", args=[code]))
    assert "本项目已暂停接受申请" in text_of(page)
    assert reverse("apply", args=[code]) not in page.content.decode()
    assert client.post(reverse("programme_state", args=[code]), {"action": "resume"}).status_code == 302
    version.refresh_from_db()
    assert version.state == "published"
    assert enter(client, w.officer).post(reverse("programme_state", args=[code])).status_code == 403


def test_the_file_comes_back_as_it_was_imported(w, client):
    make.programme(w, in_force=LONG)
    response = client.get(reverse("programme_download", args=["test-shared-2026"]))
    assert response["Content-Disposition"] == 'attachment; filename="test-shared-2026-v1.json"'
    assert json.loads(response.content) == json.loads(make.programme_file(in_force=LONG))


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"from": "2026-11-01T00:00:00+08:00", "to": "2026-11-25T10:00:00+08:00"}, "已于 2026-11-25 10:00:00"),
        ({"from": "2026-11-25T10:00:01+08:00", "to": "2026-12-25"}, "从 2026-11-25 10:00:01"),
        ({"from": "2026-11-01", "to": "2026-11-25T10:00:01+08:00"}, ""),
    ],
)
def test_a_closed_intake_is_told_before_the_form_is_filled_in(w, client, clock, window, said):
    version = make.programme(w, in_force=LONG, windows=[window])
    enter(client, w.owner)
    for name in ("programme", "apply"):
        text = text_of(client.get(reverse(name, args=[version.programme.code])))
        assert said in text
        assert ("现在提交不会受理" in text or "届时再提交" in text) is bool(said)
