"""Granting without application: a list, what the rules say of each line, one reason, and what became of each."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from openpyxl import Workbook

from portal.audit.models import Record
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.issuance.models import Application

COMMON = {
    "contract_number": "名录〔2026〕1 号",
    "provider": "智算中心",
    "signed": "2026-10-08",
    "months": "12",
    "related": "no",
}


@pytest.fixture
def version(w):
    return make.programme(w, automation="no_application", in_force=LONG)


@pytest.fixture
def address(version):
    return reverse("programme_grants", args=[version.programme.code])


def common(client, address):
    form = client.get(address).context["form"]
    first = next(iter(form.kinds))
    return {**COMMON, first: "100000"}


def test_an_enterprise_is_found_added_checked_and_put_forward(w, client, version, address):
    enter(client, w.reviewer)
    assert address in client.get(reverse("programme", args=[version.programme.code])).content.decode()
    sent = common(client, address)
    found = client.post(address, {**sent, "act": "find", "q": w.enterprise.name})
    assert w.enterprise.credit_code in found.content.decode()
    added = client.post(address, {**sent, "act": "add", "pick": [w.enterprise.credit_code], "table": ""})
    assert added.context["form"]["table"].value() == w.enterprise.credit_code
    assert added.context["form"]["contract_number"].value() == COMMON["contract_number"]
    unknown = make.credit_code()
    seen = client.post(address, {**sent, "act": "check", "table": f"{w.enterprise.credit_code}\n{unknown}"})
    assert seen.context["ready"] == 1
    assert f"没有登记过统一社会信用代码为 {unknown} 的企业" in text_of(seen)
    assert not Application.objects.exists()
    confirm = {
        "act": "grant",
        "ready": seen.context["table"],
        "take": ["2"],
        "reason": "浙科〔2026〕8 号",
        "idempotency_key": seen.context["key"],
    }
    assert client.post(address, {**confirm, "reason": " "}).status_code == 422
    done = client.post(address, confirm)
    case = Application.objects.get()
    assert [each.application for each in done.context["done"]] == [case]
    assert (case.organisation, case.state, case.role) == (w.enterprise, "review", "approver")
    assert Record.objects.get(action="application.put_forward").data["reason"] == "浙科〔2026〕8 号"
    assert not Record.objects.filter(action="application.submitted").exists()
    trail = text_of(client.get(reverse("case", args=[case.number])))
    assert "主管部门提出，免申即享" in trail
    assert "提交申请" not in trail
    assert [each.application for each in client.post(address, confirm).context["done"]] == [case]
    assert Application.objects.count() == 1


def test_every_reason_against_a_line_is_told_and_the_others_go_on(w, client):
    version = make.programme(w, automation="no_application", in_force=LONG, eligibility=["applicant.city", "=", "杭州"])
    address = reverse("programme_grants", args=[version.programme.code])
    enter(client, w.reviewer)
    sent = common(client, address)
    stranger = make.organisation(make.roles.Kind.ENTERPRISE, city="宁波")
    table = f"{w.enterprise.credit_code}\n{stranger.credit_code}\n{w.enterprise.credit_code}"
    seen = client.post(address, {**sent, "act": "check", "table": table})
    text = text_of(seen)
    assert "出现了两次" in text
    assert seen.context["ready"] == 1
    (refused,) = [row for row in seen.context["told"] if row.look.organisation == stranger]
    assert not refused.look.ready
    assert refused.grounds[0].message in text
    bare = client.post(address, {"act": "check", "table": w.enterprise.credit_code})
    assert bare.context["ready"] == 0
    assert "请填写签订日期" in text_of(bare)
    assert "请说明合同双方是否为关联方" in text_of(bare)


def test_a_workbook_states_each_line_by_itself(w, client, version, address):
    enter(client, w.reviewer)
    titles = [title for title, _required in client.get(address).context["columns"]]
    book = Workbook()
    book.active.append(titles)
    row = [w.enterprise.credit_code, "HT-9", "智算中心", "2026-10-08", 12, "否", 100000]
    book.active.append(row)
    kept = io.BytesIO()
    book.save(kept)
    file = SimpleUploadedFile("名单.xlsx", kept.getvalue())
    seen = client.post(address, {"act": "check", "file": file})
    assert seen.context["ready"] == 1
    assert "HT-9" in text_of(seen)
    bad = SimpleUploadedFile("名单.csv", "单位,金额\n甲,1\n".encode())
    assert client.post(address, {"act": "check", "file": bad}).status_code == 409


def test_is_for_reviewers_of_the_programmes_department_and_such_a_programme(w, client, version, address):
    assert enter(client, w.owner).get(address).status_code == 403
    assert enter(client, make.world().reviewer).get(address).status_code == 403
    plain = make.programme(w, code="test-plain", in_force=LONG)
    other = reverse("programme_grants", args=[plain.programme.code])
    refused = enter(client, w.reviewer).get(other)
    assert refused.status_code == 409
    assert "不是免申即享" in text_of(refused)
    assert other not in client.get(reverse("programme", args=[plain.programme.code])).content.decode()


def test_reads_in_english(w, client, version, address):
    enter(client, w.reviewer)
    sent = common(client, address)
    pages = [
        client.get(f"/en{address}"),
        client.post(f"/en{address}", {**sent, "act": "check", "table": w.enterprise.credit_code}),
    ]
    for page in pages:
        assert page.status_code == 200
        assert raw_codes(text_of(page)) == []
