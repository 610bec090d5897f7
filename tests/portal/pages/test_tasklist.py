"""An application as a task list: left and resumed, sent only when whole, nothing judged before."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import LONG, enter, text_of
from tests.vouchers.evidence.test_rules import PDF
from vouchers.evidence.models import EvidenceFile
from vouchers.issuance.models import Application

CONTRACT = {
    "contract_number": "HT-9",
    "provider": "之江分析测试中心",
    "signed": "2026-11-01",
    "months": "12",
    "related": "no",
    "item.compute": "200000",
}


@pytest.fixture
def version(w):
    return make.programme(w, in_force=LONG, evidence=[{"stage": "application", "doc": "合同", "check": "签章齐全"}])


def begun(client, version):
    address = reverse("application_begin", args=[version.programme.code])
    client.post(address, {"idempotency_key": make.key()})
    return Application.objects.get()


def tasks(client, case, **values):
    address = reverse("application_tasks", args=[case.number])
    return client.post(address, values) if values else client.get(address)


def test_a_draft_is_filled_in_signed_and_sent(w, client, version, clock):
    enter(client, w.owner)
    case = begun(client, version)
    assert "完成左边各项后才能提交" in text_of(tasks(client, case))
    client.post(reverse("application_task_contract", args=[case.number]), CONTRACT)
    tasks(client, case, act="upload", purpose="合同", file=SimpleUploadedFile("合同.pdf", PDF))
    assert "¥100,000" in text_of(tasks(client, case))
    assert tasks(client, case, act="send").status_code == 409
    tasks(client, case, act="sign")
    assert tasks(client, case).context["may_send"]
    sent = tasks(client, case, act="send")
    assert sent.status_code == 302
    case.refresh_from_db()
    assert (case.state, case.amount_fen) == ("review", 10_000_000)
    assert "申请已提交" in text_of(client.get(sent["Location"]))


def test_a_change_after_signing_needs_a_new_signature(w, client, version, clock):
    enter(client, w.owner)
    case = begun(client, version)
    client.post(reverse("application_task_contract", args=[case.number]), CONTRACT)
    tasks(client, case, act="sign")
    client.post(reverse("application_task_contract", args=[case.number]), {**CONTRACT, "item.compute": "300000"})
    assert "需要重新签署" in text_of(tasks(client, case))


def test_a_forged_file_is_refused_and_the_draft_stays(w, client, version, clock):
    enter(client, w.owner)
    case = begun(client, version)
    response = tasks(client, case, act="upload", purpose="合同", file=SimpleUploadedFile("合同.pdf", b"<html>"))
    assert response.status_code == 409
    assert "不支持这种文件" in text_of(response)
    assert not EvidenceFile.objects.exists()


def test_a_draft_is_another_enterprises_secret(w, client, version):
    enter(client, w.owner)
    case = begun(client, version)
    enter(client, make.applicant())
    assert tasks(client, case).status_code == 404
    enter(client, w.reviewer)
    assert client.get(reverse("case", args=[case.number])).status_code == 404


def test_a_mistaken_file_is_taken_out(w, client, version, clock):
    enter(client, w.owner)
    case = begun(client, version)
    tasks(client, case, act="upload", purpose="合同", file=SimpleUploadedFile("合同.pdf", PDF))
    kept = EvidenceFile.objects.get()
    assert client.get(reverse("application_file", args=[case.number, kept.pk])).content == PDF
    tasks(client, case, act="remove", file_id=str(kept.pk))
    assert not tasks(client, case).context["has_documents"]


def test_what_was_typed_before_becomes_the_draft(w, client, version, clock):
    enter(client, w.owner)
    address = reverse("application_begin", args=[version.programme.code])
    client.post(address, {**CONTRACT, "idempotency_key": make.key()})
    case = Application.objects.get()
    assert case.contract_number == "HT-9"
    assert tasks(client, case).context["contract"].number == "HT-9"


def test_a_refusal_is_appealed_once(w, client, version):
    plain = make.programme(w, code="test-plain", in_force=LONG)
    case = make.refused(w, make.application(w, plain), note="合同不符", now=make.NOW)
    enter(client, w.owner)
    address = reverse("application_appeal", args=[case.number])
    assert client.post(address, {"note": ""}).status_code in {409, 422}
    client.post(address, {"note": "合同原件已补充，请复核。"})
    case.refresh_from_db()
    assert case.state == "appeal"
    enter(client, w.approver)
    page = client.get(reverse("case", args=[case.number]))
    assert "合同原件已补充" in text_of(page)
    client.post(reverse("case", args=[case.number]), {"act": "admit", "note": "受理"})
    case.refresh_from_db()
    assert case.state == "review"


def test_a_contract_that_will_not_do_comes_back_with_everything_typed(w, client, version, clock):
    enter(client, w.owner)
    address = reverse("application_begin", args=[version.programme.code])
    sent = {**CONTRACT, "signed": "2027-01-01", "idempotency_key": make.key()}
    response = client.post(address, sent)
    assert response.status_code in {409, 422}
    page = response.content.decode()
    assert 'value="HT-9"' in page
    assert "签订日期在将来" in page
    case = Application.objects.get()
    assert f'action="{reverse("application_task_contract", args=[case.number])}"' in page
