"""The review desk: evidence beside claim, decisions one by one and in bulk, keeping away, never another's business."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import LONG, enter, text_of
from tests.vouchers.evidence.test_rules import PDF
from vouchers.evidence import services as evidence
from vouchers.evidence.models import EvidenceFile
from vouchers.flags import services as flags
from vouchers.flags.rules import Pattern
from vouchers.issuance.models import StageDecision

EVIDENCE = [{"stage": "application", "doc": "合同", "check": "签章齐全"}]


@pytest.fixture
def version(w):
    return make.programme(w, in_force=LONG)


def attached(w, case, content=PDF, name="合同.pdf"):
    return evidence.store(
        actor=w.owner,
        subject=f"application:{case.number}",
        purpose="合同",
        upload=evidence.Upload(name, content),
        now=make.NOW,
    )


def test_the_document_stands_beside_the_facts(w, client, version):
    case = make.application(w, version)
    kept = attached(w, case)
    response = enter(client, w.reviewer).get(reverse("case", args=[case.number]))
    assert response.context["shown"] == kept
    address = reverse("case_file", args=[case.number, kept.pk])
    assert f'src="{address}?inline=1"' in response.content.decode()
    answer = client.get(address, {"inline": "1"})
    assert answer["Content-Type"] == "application/pdf"
    assert "frame-ancestors 'self'" in answer["Content-Security-Policy"]


def test_a_file_is_for_those_on_the_case(w, client, version):
    case = make.application(w, version)
    kept = attached(w, case)
    address = reverse("case_file", args=[case.number, kept.pk])
    other = make.world()
    assert enter(client, other.reviewer).get(address).status_code == 404
    assert enter(client, w.researcher).get(address).status_code == 403
    elsewhere = make.application(w, version, number="HT-2")
    assert enter(client, w.reviewer).get(reverse("case_file", args=[elsewhere.number, kept.pk])).status_code == 404


def test_open_flags_stand_above_the_decision(w, client, version):
    case = make.application(w, version)
    flags.raise_flag(
        subject=f"application:{case.number}",
        pattern=Pattern.BACKDATED,
        facts={"said": "日期不合", "params": {}, "rows": []},
        organisations=[w.enterprise.pk],
        department_id=w.department.pk,
        now=make.NOW,
    )
    assert "日期先后不合" in text_of(enter(client, w.reviewer).get(reverse("case", args=[case.number])))


def test_several_cases_are_decided_each_with_its_own_reason(w, client, version):
    first, second, third = (make.application(w, version, number=f"HT-{n}") for n in range(3))
    enter(client, w.reviewer)
    shown = client.get(reverse("review_bulk"), {"case": [first.number, second.number, third.number]})
    assert len(shown.context["rows"]) == 3
    sent = {
        "case": [first.number, second.number, third.number],
        f"act.{first.number}": "pass",
        f"act.{second.number}": "refuse",
        f"note.{second.number}": "合同与申报不符",
        f"act.{third.number}": "return",
    }
    results = client.post(reverse("review_bulk"), sent).context["results"]
    assert [(number, state) for number, state, _problem in results] == [
        (first.number, "review"),
        (second.number, "refused"),
        (third.number, ""),
    ]
    assert "请写明原因" in results[2][2]
    assert StageDecision.objects.get(application=second).note == "合同与申报不符"
    assert not StageDecision.objects.filter(application=third).exists()


def test_a_bulk_of_nothing_says_so_and_keeps_what_was_typed(w, client, version):
    case = make.application(w, version)
    enter(client, w.reviewer)
    response = client.post(reverse("review_bulk"), {"case": [case.number], f"note.{case.number}": "写了一半"})
    assert response.status_code == 422
    assert "写了一半" in response.content.decode()


def test_who_keeps_away_loses_the_case_and_may_not_decide_it(w, client, version):
    case = make.application(w, version)
    enter(client, w.reviewer)
    assert client.post(reverse("case_recuse", args=[case.number]), {"reason": ""}).status_code == 422
    assert client.post(reverse("case_recuse", args=[case.number]), {"reason": "亲属在该单位任职"}).status_code == 302
    page = text_of(client.get(reverse("case", args=[case.number])))
    assert "您已申请回避" in page
    assert client.post(reverse("case", args=[case.number]), {"act": "pass", "amount": "100000"}).status_code == 403


def test_the_queue_narrows_to_what_is_mine_and_late(w, client, version):
    case = make.application(w, version)
    enter(client, w.reviewer)
    assert client.get(reverse("review_queue"), {"whose": "mine"}).context["listing"].total == 1
    assert client.get(reverse("review_queue"), {"q": "没有这个单位"}).context["listing"].total == 0
    assert client.get(reverse("review_queue"), {"due": "week", "tab": "review"}).status_code == 200
    assert case.number in client.get(reverse("review_queue"), {"format": "csv"}).content.decode()


def test_the_queue_and_a_case_ask_a_fixed_number_of_queries(w, client, version, django_assert_max_num_queries):
    cases = [make.application(w, version, number=f"HT-{n}") for n in range(4)]
    enter(client, w.reviewer)
    with django_assert_max_num_queries(9):
        client.get(reverse("review_queue"))
    with django_assert_max_num_queries(34):
        client.get(reverse("case", args=[cases[0].number]))


def test_a_case_drawn_for_a_check_afterwards_waits_in_a_tab_until_it_is_checked(w, client):
    automatic = make.programme(w, in_force=LONG, automation="instant", audit={"sample_rate": "1"})
    case = make.application(w, automatic)
    enter(client, w.reviewer)
    queue = reverse("review_queue")
    assert case.number in text_of(client.get(queue, {"tab": "sampled"}))
    address = reverse("case", args=[case.number])
    assert "随机抽中事后复核" in text_of(client.get(address))
    assert client.post(address, {"act": "unsound", "note": " "}).status_code == 422
    done = client.post(address, {"act": "sound"}, follow=True)
    assert f"{case.number} 的复核结果已登记。" in text_of(done)
    assert case.number not in [row.number for row in client.get(queue, {"tab": "sampled"}).context["listing"].rows]


def test_more_is_asked_inside_an_appeal_and_the_answer_brings_it_back(w, client, version):
    case = make.refused(w, make.application(w, version), note="不符合条件")
    enter(client, w.owner)
    client.post(reverse("application_appeal", args=[case.number]), {"note": "合同属实"})
    enter(client, w.approver)
    address = reverse("case", args=[case.number])
    assert client.post(address, {"act": "ask", "note": ""}).status_code == 422
    assert client.post(address, {"act": "ask", "note": "请补充验收单"}).status_code == 302
    enter(client, w.owner)
    answering = reverse("application_complete", args=[case.number])
    shown = text_of(client.get(answering))
    assert "请补充验收单" in shown
    assert "申诉办理中" in shown
    sheet = SimpleUploadedFile("验收单.pdf", PDF)
    assert client.post(answering, {"act": "upload", "purpose": "补充材料", "file": sheet}).status_code == 302
    kept = EvidenceFile.objects.get()
    assert "验收单.pdf" in text_of(client.get(answering))
    assert client.post(answering, {"act": "remove", "file_id": kept.pk}).status_code == 302
    assert "验收单.pdf" not in text_of(client.get(answering))
    assert client.post(answering, {"act": "upload", "purpose": "补充材料"}).status_code == 409
    assert client.post(answering, {"answer": "验收单已上传"}).status_code == 302
    assert client.get(reverse("application", args=[case.number])).context["steps"][1][1] == "now"
    case.refresh_from_db()
    assert case.state == "appeal"
    page = text_of(enter(client, w.approver).get(address))
    assert "验收单已上传" in page
    assert client.post(address, {"act": "admit", "note": "证据充分"}).status_code == 302
    case.refresh_from_db()
    assert case.state == "review"
