"""A lab's instrument list as a file, in the browser."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from scheduler.resources.models import Resource
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
HEAD = "单位内部编号,名称,类别,所在城市,原值"


@pytest.fixture
def lab(w):
    client = Client()
    client.force_login(make.user_of(w.keeper))
    return client


def sent(*lines: str) -> dict[str, object]:
    return {"file": SimpleUploadedFile("清单.csv", "\n".join([HEAD, *lines]).encode())}


def test_a_list_is_looked_at_then_taken_once(w, lab):
    page = lab.post(reverse("instrument_list_import"), sent("A-1,拉曼光谱仪,分析仪器,杭州,500000"))
    assert (page.status_code, Resource.objects.count()) == (200, 0)
    assert "拉曼光谱仪" in page.content.decode()
    token = {"token": page.context["token"]}
    assert lab.post(reverse("instrument_list_import"), token)["Location"] == reverse("my_instruments")
    assert Resource.objects.get().internal_no == "A-1"
    assert lab.post(reverse("instrument_list_import"), token).status_code == 409
    again = lab.post(reverse("instrument_list_import"), sent("A-1,拉曼光谱仪,分析仪器,杭州,500000"))
    assert (list(again.context["found"].new), again.context["found"].same) == ([], 1)


def test_every_wrong_row_is_named_and_nothing_can_be_taken(w, lab):
    page = lab.post(reverse("instrument_list_import"), sent("A-1,拉曼,玩具,杭州,1", "A-2,,分析仪器,杭州,-1"))
    text = page.content.decode()
    assert page.status_code == 422
    for said in ("第 2 行", "“玩具”不能识别。", "第 3 行“名称”没有填写。", "不是有效金额"):
        assert said in text
    assert lab.post(reverse("instrument_list_import"), {"token": page.context["token"]}).status_code == 409
    assert lab.post(reverse("instrument_list_import"), {}).status_code == 422
    assert not Resource.objects.exists()


def test_the_template_is_a_list_that_can_be_taken(w, lab):
    answer = lab.get(reverse("instrument_list_template"))
    page = lab.post(reverse("instrument_list_import"), {"file": SimpleUploadedFile("t.xlsx", answer.content)})
    assert (page.status_code, len(page.context["found"].new)) == (200, 1)


@pytest.mark.parametrize("form", ["xlsx", "csv"])
def test_what_is_given_out_is_taken_in_again_without_change(w, lab, form):
    make.instrument(w, internal_no="A-1", name='=HYPERLINK("http://x")', functions="一行\n两行")
    answer = lab.get(reverse("instrument_list_export", args=[form]))
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert rows[0]["名称"].startswith("'=")
    else:
        sheet = load_workbook(io.BytesIO(answer.content)).active
        assert sheet is not None
        assert {cell.data_type for cell in sheet[2]} <= {"s", "n"}
    Resource.objects.update(name="电镜")
    again = lab.get(reverse("instrument_list_export", args=[form])).content
    page = lab.post(reverse("instrument_list_import"), {"file": SimpleUploadedFile(f"t.{form}", again)})
    found = page.context["found"]
    assert (found.faults, [list(line.changed) for line in found.changed]) == ([], [["主要功能"]])


def test_json_has_the_platforms_fields(w, lab):
    resource = make.instrument(w, internal_no="A-1")
    (line,) = json.loads(lab.get(reverse("instrument_list_export", args=["json"])).content)["instruments"]
    assert (line["value"], line["fees"]) == ("4500000.00", "自主上机 企业及其他外单位 ¥480.00/小时")
    assert line["url"].endswith(f"/instruments/{resource.number}/")
    assert lab.get(reverse("instrument_list_export", args=["exe"])).status_code == 404


def test_only_labs_come_in(w):
    client = Client()
    client.force_login(make.user_of(w.researcher))
    for name, args in (
        ("instrument_list_import", []),
        ("instrument_list_template", []),
        ("instrument_list_export", ["csv"]),
    ):
        assert client.get(reverse(name, args=args)).status_code == 403
