"""Flags on the desk: seen by those who check, decided with a reason, never shown to the flagged."""

from django.urls import reverse

from portal.controls import services as controls
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from tests.vouchers.claims import making as claims
from vouchers.claims import deciding
from vouchers.flags import services
from vouchers.flags.models import Flag
from vouchers.flags.rules import Pattern

SMALL = {"compute": make.Money.from_yuan("20000")}


def raised(w, **changes):
    values = {
        "subject": "application:A2611-000001",
        "pattern": Pattern.BACKDATED,
        "facts": {
            "said": "合同签订日 %(signed)s 与其他日期的先后不合。",
            "params": {"signed": "2026-11-01"},
            "rows": [["发票日期", "", "≥ 2026-11-01", "2026-10-31"]],
        },
        "organisations": [w.enterprise.pk],
        "department_id": w.department.pk,
        "now": make.NOW,
    }
    return services.raise_flag(**{**values, **changes})


def test_the_facts_stand_side_by_side_and_the_decision_needs_a_reason(w, client):
    flag = raised(w)
    enter(client, w.reviewer)
    assert "日期先后不合" in text_of(client.get(reverse("flags")))
    address = reverse("flag", args=[flag.pk])
    text = text_of(client.get(address))
    assert "合同签订日 2026-11-01 与其他日期的先后不合" in text
    assert "≥ 2026-11-01 2026-10-31" in text
    assert raw_codes(text) == []
    assert client.post(address, {"act": "clear", "reason": ""}).status_code == 422
    assert client.post(address, {"act": "confirm", "reason": "发票早于合同一日"}).status_code == 302
    flag.refresh_from_db()
    assert (flag.state, flag.reason) == ("confirmed", "发票早于合同一日")
    assert "没有待核查的提示" in text_of(client.get(reverse("flags")))


def test_the_flagged_see_nothing(w, client):
    flag = raised(w)
    enter(client, w.owner)
    assert client.get(reverse("flags")).status_code == 403
    assert client.get(reverse("flag", args=[flag.pk])).status_code == 403


def test_a_formula_in_a_name_stays_text_in_the_file(w, client):
    raised(w, facts={"said": "=HYPERLINK(1)", "params": {}, "rows": []})
    enter(client, w.auditor)
    assert "'=HYPERLINK(1)" in client.get(reverse("flags"), {"format": "csv"}).content.decode()


def test_a_percent_sign_in_a_fact_breaks_nothing(w, client):
    flag = raised(
        w, facts={"said": "到期前 10 天内使用了面额的 %(percent)s。", "params": {"percent": "61 %"}, "rows": []}
    )
    enter(client, w.reviewer)
    assert "61 %" in text_of(client.get(reverse("flag", args=[flag.pk])))


def test_the_sweep_notices_related_parties_once(w):
    w.enterprise.facts = {**w.enterprise.facts, "legal_representative": "张三"}
    w.enterprise.save()
    w.lab.facts = {"legal_representative": "张三"}
    w.lab.save()
    case = make.application(w, make.programme(w, in_force=LONG))
    assert controls.sweep(now=make.NOW) == 1
    assert controls.sweep(now=make.NOW) == 1
    flag = Flag.objects.get()
    assert (flag.subject, flag.pattern, flag.department) == (
        f"application:{case.number}",
        "related_party",
        w.department,
    )
    assert case.state != "refused"


def test_the_sweep_over_everything_that_happened_asks_a_fixed_number_of_queries(w, django_assert_max_num_queries):
    version = make.programme(w, in_force=LONG)
    make.application(w, version)
    controls.sweep(now=make.NOW)
    for number in range(3):
        make.application(w, version, number=f"HT-{number}")
    with django_assert_max_num_queries(20):
        controls.sweep(now=make.NOW)


def test_the_sweep_notices_one_contract_under_two_programmes(w):
    first = make.programme(w, in_force=LONG)
    second = make.programme(w, code="test-second", in_force=LONG)
    one, two = make.application(w, first), make.application(w, second)
    controls.sweep(now=make.NOW)
    flagged = Flag.objects.filter(pattern="double_claim").values_list("subject", flat=True)
    assert set(flagged) == {f"application:{one.number}", f"application:{two.number}"}


def test_the_sweep_notices_an_official_who_decides_nearly_everything_of_one_enterprise(w):
    version = make.programme(w, in_force=LONG)
    for number in range(4):
        make.passed(w, make.application(w, version, number=f"HT-{number}", items=SMALL))
    controls.sweep(now=make.NOW)
    assert not Flag.objects.filter(pattern="insider").exists()
    make.passed(w, make.application(w, version, number="HT-5", items=SMALL))
    controls.sweep(now=make.NOW)
    assert Flag.objects.filter(pattern="insider").count() == 5


def test_the_sweep_notices_an_invoice_older_than_its_contract(w):
    voucher = make.voucher(w, claims.reimbursing(w))
    claim = claims.filed(w, voucher)
    claim.lines.update(day="2026-10-01")
    controls.sweep(now=make.NOW)
    assert Flag.objects.get(pattern="backdated").subject == f"claim:{claim.number}"


def test_a_flag_opens_no_door_its_reader_may_not_pass(w, client):
    case = make.application(w, make.programme(w, in_force=LONG))
    booked = make.booking(w, make.instrument(w))
    enter(client, w.reviewer)
    for subject, may in ((f"application:{case.number}", True), (f"booking:{booked.number}", False)):
        flag = raised(w, subject=subject)
        page = client.get(reverse("flag", args=[flag.pk])).content.decode()
        kind, number = subject.split(":")
        assert number in page
        assert (f'href="{reverse(kind, args=[number])}"' in page) is may


def test_who_may_not_read_flags_is_told_of_one_without_a_door(w, client):
    voucher = make.voucher(w, claims.reimbursing(w, in_force=LONG, audit={"sample_rate": "1"}))
    claim = deciding.check(actor=w.reviewer, claim=claims.filed(w, voucher), now=make.NOW)
    flag = raised(w, subject=f"claim:{claim.number}")
    door = f'href="{reverse("flag", args=[flag.pk])}"'
    for official, may in ((w.reviewer, True), (w.third, False)):
        page = enter(client, official).get(reverse("claim", args=[claim.number]))
        assert "日期先后不合" in text_of(page)
        assert (door in page.content.decode()) is may
