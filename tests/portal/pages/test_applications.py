"""Apply, see why, submit once; review by a second person, approve by a third."""

import pytest
from django.urls import reverse

from tests import make, standing
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.issuance import appeals
from vouchers.issuance.models import Application
from vouchers.wallets.models import Voucher

PURPOSE = [
    {"id": "training", "when": ["contract.purpose", "=", "training"], "rate": "0.50"},
    {"id": "other", "rate": "0.20"},
]


def build():
    w = make.world()
    return w, make.programme(w, in_force=LONG)


_standing, _own, w, version = standing.fixtures(build, "w", "version")


def contract(**changes):
    return {
        "contract_number": "HT-2026-001",
        "provider": "之江分析测试中心",
        "signed": "2026-11-01",
        "months": "12",
        "related": "no",
        "item.compute": "100000",
        "item.instrument_use": "",
        "step": "check",
        **changes,
    }


def apply(client, code="test-shared-2026", **changes):
    return client.post(reverse("apply", args=[code]), contract(**changes))


# ---- applying


def test_the_answer_is_shown_with_its_grounds_before_anything_is_stored(w, client, version):
    response = apply(enter(client, w.owner))
    text = text_of(response)
    assert response.status_code == 200
    assert "准予支持 ¥50,000。" in text
    assert "每自然年最高 ¥500,000" in text
    assert "提交申请" in text
    assert raw_codes(text) == []
    assert Application.objects.count() == 0


def test_a_refusal_names_the_ground_and_the_remedy_and_offers_no_submission(w, client, version):
    response = apply(enter(client, w.owner), months="24", related="yes")
    text = text_of(response)
    assert "合同期 24 个月，超过规定的 12 个月。" in text
    assert "请使用合同期不超过 12 个月的合同。" in text
    assert "合同双方是关联方。" in text
    assert 'value="submit"' not in response.content.decode()
    forced = apply(client, months="24", step="submit", idempotency_key=make.key())
    assert forced.status_code == 409
    assert Application.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"item.compute": "12.345"}, "金额“12.345”无效：请填写人民币元，最多两位小数。"),
        ({"item.compute": ""}, "请至少填写一项合同金额，金额须大于零。"),
        ({"signed": "2199-01-01"}, "签订日期在将来。"),
        ({"months": "0"}, "确保该值大于或等于1。"),
        ({"related": ""}, "这个字段是必填项。"),
        ({"contract_number": " "}, "这个字段是必填项。"),
    ],
)
def test_a_bad_contract_comes_back_with_what_is_wrong_and_all_that_was_written(w, client, version, changes, message):
    response = apply(enter(client, w.owner), **changes)
    assert response.status_code in {409, 422}
    assert message in text_of(response)
    assert response.context["form"]["provider"].value() == "之江分析测试中心"
    assert Application.objects.count() == 0


def test_a_missing_fact_is_asked_in_the_programmes_own_words(w, client):
    make.programme(w, in_force=LONG, lines=PURPOSE, code="asks")
    enter(client, w.owner)
    asked = apply(client, "asks")
    assert "准予支持 ¥20,000。" in text_of(asked)
    assert [bound.name for bound in asked.context["questions"]] == ["fact.contract.purpose"]
    assert ("0", "模型训练") in asked.context["questions"][0].field.choices
    answered = apply(client, "asks", **{"fact.contract.purpose": "0"})
    assert "准予支持 ¥50,000。" in text_of(answered)
    edited = apply(client, "asks", step="edit", **{"fact.contract.purpose": "0"})
    assert ("fact.contract.purpose", "0") in edited.context["carried"]
    assert edited.context["form"]["contract_number"].value() == "HT-2026-001"


def test_submitting_twice_makes_one_application(w, client, version):
    enter(client, w.owner)
    key = make.key()
    first, second = (apply(client, step="submit", idempotency_key=key) for _click in range(2))
    assert first.status_code == second.status_code == 302
    assert first["Location"] == second["Location"]
    application = Application.objects.get()
    assert (application.state, application.amount_fen) == ("review", 5_000_000)
    receipt = text_of(client.get(first["Location"]))
    assert "申请已提交" in receipt
    assert "已为您预留 ¥50,000.00" in receipt
    other = apply(client, step="submit", idempotency_key=key, months="6")
    assert other.status_code == 409
    assert "这一页之前已经提交过，内容与现在不同。" in text_of(other)
    assert other.context["key"] != key
    assert Application.objects.count() == 1


def test_a_form_without_a_key_is_refused(w, client, version):
    response = apply(enter(client, w.owner), step="submit", idempotency_key="")
    assert response.status_code == 422
    assert "页面已过期，什么都没有提交。" in text_of(response)
    assert Application.objects.count() == 0


def test_a_suspended_programme_can_be_tried_but_not_submitted_to(w, client, version):
    make.programmes.change_state(
        actor=w.publisher, version=version, action=make.programmes.states.VersionAction.SUSPEND, now=make.NOW
    )
    enter(client, w.owner)
    assert 'value="submit"' not in apply(client).content.decode()
    refused = apply(client, step="submit", idempotency_key=make.key())
    assert refused.status_code == 409
    assert "该政策当前不接受申请" in text_of(refused)
    assert Application.objects.count() == 0


@pytest.mark.parametrize("who", ["researcher", "reviewer", "officer", "lab_owner"])
def test_only_an_enterprises_owner_applies(w, client, version, who):
    assert apply(enter(client, getattr(w, who))).status_code == 403
    assert Application.objects.count() == 0


def test_an_incomplete_application_is_completed_and_reserved(w, client):
    make.programme(
        w, in_force=LONG, code="asks", eligibility=["applicant.major_accident_free_years", ">=", 3], lines=PURPOSE[1:]
    )
    enter(client, w.owner)
    made = apply(client, "asks", step="submit", idempotency_key=make.key())
    application = Application.objects.get()
    assert application.state == "supplement"
    page = client.get(reverse("application", args=[application.number]))
    assert "需要补充：未发生重大事故年数" in text_of(page)
    address = reverse("application_complete", args=[application.number])
    assert "未发生重大事故年数（年）" in text_of(client.get(address))
    bad = client.post(address, {"fact.applicant.major_accident_free_years": "-2"})
    assert bad.status_code == 422
    assert client.post(address, {"fact.applicant.major_accident_free_years": "5"}).status_code == 302
    application.refresh_from_db()
    assert (application.state, application.amount_fen) == ("review", 2_000_000)
    assert made.status_code == 302


def test_withdrawing_gives_the_reservation_back_once(w, client, version):
    application = make.application(w, version)
    enter(client, w.owner)
    address = reverse("application_withdraw", args=[application.number])
    assert client.get(address).status_code == 405
    assert client.post(address).status_code == 302
    again = client.post(address)
    assert again.status_code == 409
    assert "该记录现在是“已撤回”" in text_of(again)


def test_another_enterprise_sees_nothing(w, client, version):
    application = make.application(w, version)
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    enter(client, stranger)
    assert client.get(reverse("application", args=[application.number])).status_code == 404
    assert client.post(reverse("application_withdraw", args=[application.number])).status_code == 404
    assert application.number not in text_of(client.get(reverse("applications")))


def test_the_export_holds_no_formula(w, client, version):
    make.application(w, version, number="=HYPERLINK(1)")
    response = enter(client, w.owner).get(reverse("applications"), {"format": "csv"})
    assert response["Content-Type"].startswith("text/csv")
    assert ",'=HYPERLINK(1)," in response.content.decode()


# ---- review


def decide(client, application, act, **values):
    return client.post(reverse("case", args=[application.number]), {"act": act, **values})


def test_three_people_make_a_voucher(w, client, version):
    application = make.application(w, version)
    shown = enter(client, w.reviewer).get(reverse("case", args=[application.number]))
    text = text_of(shown)
    assert "规则逐条核对" in text
    assert "¥100,000.00" in text
    assert raw_codes(text) == []
    assert decide(client, application, "pass", amount="80000").status_code == 302
    assert decide(client, application, "pass").status_code == 403
    assert decide(enter(client, w.approver), application, "pass").status_code == 302
    voucher = Voucher.objects.get()
    assert voucher.face_fen == 8_000_000
    again = decide(client, application, "pass")
    assert again.status_code == 409
    assert "该记录现在是“已发券”" in text_of(again)
    assert Voucher.objects.count() == 1


@pytest.mark.parametrize(
    ("act", "values", "status", "message"),
    [
        ("pass", {"amount": "100000.01"}, 422, "审定金额只能小于或等于上一环节的金额 ¥100,000.00，且须大于零。"),
        ("pass", {"amount": "abc"}, 422, "金额“abc”无效"),
        ("return", {"note": " "}, 422, "请写明原因，申请单位会看到。"),
        ("refuse", {}, 422, "请写明原因，申请单位会看到。"),
    ],
)
def test_a_wrong_decision_changes_nothing(w, client, version, act, values, status, message):
    application = make.application(w, version)
    response = decide(enter(client, w.reviewer), application, act, **values)
    assert response.status_code == status
    assert message in text_of(response)
    application.refresh_from_db()
    assert (application.state, application.amount_fen) == ("review", 10_000_000)


def test_one_person_cannot_do_both_steps(w, client, version):
    both = make.both_roles(w)
    application = make.application(w, version)
    enter(client, both)
    decide(client, application, "pass")
    refused = decide(client, application, "pass")
    assert refused.status_code == 403
    assert "同一份申请的申请人和各环节办理人须为不同的人。" in text_of(refused)
    assert "您办过这份申请的另一环节" in text_of(client.get(reverse("case", args=[application.number])))
    assert Voucher.objects.count() == 0


def test_a_returned_case_tells_the_applicant_why(w, client, version):
    application = make.application(w, version)
    decide(enter(client, w.reviewer), application, "return", note="请补充合同附件。")
    page = text_of(enter(client, w.owner).get(reverse("application", args=[application.number])))
    assert "请补充合同附件。" in page
    assert "退回 李初审" in page
    again = client.post(reverse("application_complete", args=[application.number]))
    assert again.status_code == 302
    application.refresh_from_db()
    assert application.state == "review"


@pytest.mark.parametrize("who", ["owner", "researcher", "officer", "finance", "auditor"])
def test_only_deciders_see_the_queue(w, client, who):
    assert enter(client, getattr(w, who)).get(reverse("review_queue")).status_code == 403


def test_the_queues_queries_do_not_grow(w, client, version, django_assert_num_queries):
    make.application(w, version, number="HT-0")
    enter(client, w.reviewer)
    with django_assert_num_queries(6):
        client.get(reverse("review_queue"))
    for number in range(1, 6):
        make.application(w, version, number=f"HT-{number}", items={"compute": make.Money.from_yuan("20000")})
    with django_assert_num_queries(6):
        assert client.get(reverse("review_queue")).context["listing"].total == 6


def test_the_page_says_who_holds_the_case_and_until_when(w, client, clock):
    stages = [
        {"stage": "初审", "role": "reviewer", "level": "city", "action": "check", "sla_days": 5},
        {"stage": "审批", "role": "approver", "level": "city", "action": "decide", "sla_days": 5},
    ]
    version = make.programme(w, in_force=LONG, workflow=stages, supplement_days=3)
    case = make.application(w, version)
    enter(client, w.owner)

    def told():
        return text_of(client.get(reverse("application", args=[case.number])))

    assert "现在由 省科技厅 办理“初审”，期限 2026-12-03 00:00（北京时间）。" in told()
    case.due_at = make.NOW
    case.save(update_fields=["due_at"])
    assert "期限 2026-11-25 10:00（北京时间），已超过期限。" in told()
    make.returned(w, case, note="请补充盖章页")
    assert "现在由本单位补充信息，补齐前办理时限暂停计算，期限 2026-12-01 00:00（北京时间）。" in told()


def test_an_appeal_upheld_is_told_as_such_and_no_registry_ties_travel_with_a_case(w, version, client):
    w.enterprise.facts = {**w.enterprise.facts, "legal_representative": "赵一", "phones": ["0571-1"]}
    w.enterprise.save()
    case = make.application(w, version)
    assert {"legal_representative", "phones"}.isdisjoint(case.request["applicant"])
    make.refused(w, case, note="不符")
    appeals.appeal(actor=w.owner, application=case, note="请复核", now=make.NOW)
    enter(client, w.owner)
    address = reverse("application", args=[case.number])
    assert "没有办过本申请的人员处理" in text_of(client.get(address))
    appeals.admit(actor=w.approver, application=case, note="重审", now=make.NOW)
    assert "申诉成立，重新审核" in text_of(client.get(address))
