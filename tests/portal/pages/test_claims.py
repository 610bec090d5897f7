"""Claims as pages: from a voucher to a paid claim, each person with their own part of it."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests import make, standing
from tests.portal.pages.reading import LONG, enter, text_of
from tests.vouchers.claims import making
from vouchers.charges.models import ChargePart
from vouchers.claims.models import RedemptionClaim

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
TABLE = "内容,日期,发票号码,发票金额,申领金额\n语料一,2026-11-20,25440001,200,100\n语料二,2026-11-21,25440002,100,50\n"


def build():
    w = make.world()
    version = making.reimbursing(w, in_force=LONG, evidence=[{"stage": "claim", "doc": "银行回单"}])
    return w, make.voucher(w, version)


_standing, _own, w, voucher = standing.fixtures(build, "w", "voucher")


def rows(*lines, total):
    data = {"form-TOTAL_FORMS": "5", "form-INITIAL_FORMS": "5", "amount": total, "act": "save"}
    data["idempotency_key"] = make.key()
    for at, (what, invoice, base, amount) in enumerate(lines):
        values = {"what": what, "invoice": invoice, "base": base, "amount": amount, "day": "2026-11-20"}
        data |= {f"form-{at}-{name}": value for name, value in values.items()}
    return data


def begin(client, voucher, *lines, total):
    return client.post(f"{reverse('claim_new')}?voucher={voucher.number}", rows(*lines, total=total))


def act(client, claim, which, **data):
    return client.post(reverse("claim", args=[claim.number]), {"act": which, **data})


def test_from_rows_to_receipt_to_approval(w, client, voucher):
    enter(client, w.owner)
    assert voucher.number in text_of(client.get(reverse("claims")))
    assert voucher.number in text_of(client.get(reverse("claim_new")))
    answer = begin(client, voucher, ("语料一", "A1", "200", "100"), ("语料二", "A2", "100", "50"), total="150")
    claim = RedemptionClaim.objects.get()
    assert (answer.status_code, answer.url) == (302, reverse("claim", args=[claim.number]))

    refused = act(client, claim, "file")
    assert refused.status_code == 409
    assert "缺少材料：银行回单。" in text_of(refused)
    upload = SimpleUploadedFile("回单.png", making.PNG)
    assert act(client, claim, "attach", document="银行回单", file=upload).status_code == 302
    assert act(client, claim, "file").status_code == 302
    page = text_of(client.get(reverse("claim", args=[claim.number])))
    assert "已受理" in page
    assert "审批通过后即可付款。" in page
    file = claim_file(client, claim)
    assert (file.status_code, file["Content-Disposition"].partition(";")[0]) == (200, "attachment")

    enter(client, w.reviewer)
    assert claim.number in text_of(client.get(reverse("claim_desk")))
    case = text_of(client.get(reverse("claim", args=[claim.number])))
    assert "语料二" in case
    assert "回单.png" in case
    refused = act(client, claim, "check", amount="100")
    assert (refused.status_code, "请写明原因" in text_of(refused)) == (422, True)
    assert act(client, claim, "check", amount="100", note="第二张发票抬头不符").status_code == 302
    enter(client, w.approver)
    assert act(client, claim, "approve").status_code == 302
    claim.refresh_from_db()
    assert (claim.state, claim.approved_fen) == ("payable", 10000)
    enter(client, w.owner)
    assert "第二张发票抬头不符" in text_of(client.get(reverse("claim", args=[claim.number])))


def claim_file(client, claim):
    from vouchers.evidence import access

    (file,) = access.files_of(f"claim:{claim.number}")
    return client.get(reverse("claim_file", args=[claim.number, file.pk]))


def test_faults_are_told_and_the_rows_stay(w, client, voucher):
    enter(client, w.owner)
    answer = begin(client, voucher, ("语料一", "A1", "200", "100.005"), total="100")
    assert answer.status_code == 422
    assert "最多两位小数" in text_of(answer)
    assert "语料一" in answer.content.decode()
    assert not RedemptionClaim.objects.exists()


def test_a_table_fills_the_rows_and_a_bad_one_says_what_is_wrong(w, client, voucher):
    enter(client, w.owner)
    address = f"{reverse('claim_new')}?voucher={voucher.number}"
    base = {"form-TOTAL_FORMS": "5", "form-INITIAL_FORMS": "5", "act": "upload", "idempotency_key": make.key()}
    answer = client.post(address, {**base, "file": SimpleUploadedFile("a.csv", TABLE.encode())})
    assert answer.status_code == 200
    shown = answer.content.decode()
    assert "25440002" in shown
    assert 'value="150.00"' in shown
    bad = client.post(address, {**base, "file": SimpleUploadedFile("a.csv", TABLE.replace("200", "20.005").encode())})
    assert bad.status_code == 409
    assert client.post(address, base).status_code in {409, 422}


def test_more_rows_keep_what_was_typed(w, client, voucher):
    enter(client, w.owner)
    data = rows(("语料一", "A1", "200", "100"), total="100") | {"act": "rows"}
    answer = client.post(f"{reverse('claim_new')}?voucher={voucher.number}", data)
    shown = answer.content.decode()
    assert 'name="form-9-what"' in shown
    assert "语料一" in shown


def test_a_provider_ticks_what_it_served(w, client):
    making.served(w, in_force=LONG)
    enter(client, w.lab_owner)
    page = client.get(reverse("claim_new"))
    assert "预约" in text_of(page)
    numbers = [f"{part.charge.number}/{part.voucher.number}" for part in ChargePart.objects.order_by("pk")]
    answer = client.post(reverse("claim_new"), {"charge": numbers, "idempotency_key": make.key()})
    claim = RedemptionClaim.objects.get()
    assert answer.status_code == 302
    assert (claim.mode, claim.amount_fen, claim.lines.count()) == ("deduct", 120_000, 2)
    nothing = client.post(reverse("claim_new"), {"idempotency_key": make.key()})
    assert nothing.status_code == 422


def test_strangers_see_nothing(w, client, voucher):
    claim = making.drafted(w, voucher)
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    for who in (stranger, w.reviewer, w.third, w.finance):
        assert enter(client, who).get(reverse("claim", args=[claim.number])).status_code == 404
    assert enter(client, w.researcher).get(reverse("claims")).status_code == 403
    assert enter(client, w.owner).get(reverse("claim_desk")).status_code == 403


def test_finance_calls_a_run_of_a_programme_paid_in_batches(w, client):
    version = making.reimbursing(w, in_force=LONG, redeem={"mode": "reimburse", "cadence": "batch"})
    claim = making.approved(w, making.filed(w, make.voucher(w, version)))
    enter(client, w.finance)
    assert version.name in text_of(client.get(reverse("claim_runs")))
    answer = client.post(reverse("claim_runs"), {"programme": version.programme.code})
    assert answer.status_code == 302
    claim.refresh_from_db()
    assert claim.eligible_at == make.NOW
    again = client.post(reverse("claim_runs"), {"programme": version.programme.code})
    assert (again.status_code, "没有可付款的申领" in text_of(again)) == (409, True)


def test_lists_export_and_do_not_query_by_row(w, client, voucher, django_assert_max_num_queries):
    making.drafted(w, voucher)
    making.drafted(w, voucher)
    enter(client, w.owner)
    assert "K26" in client.get(reverse("claims"), {"format": "csv"}).content.decode()
    with django_assert_max_num_queries(14):
        client.get(reverse("claims"))
    for _more in range(4):
        making.drafted(w, voucher)
    with django_assert_max_num_queries(14):
        client.get(reverse("claims"))


def test_english_pages_are_english(w, client, voucher):
    claim = making.drafted(w, voucher)
    enter(client, w.owner)
    for address in (reverse("claims"), reverse("claim_new"), reverse("claim", args=[claim.number])):
        page = client.get(f"/en{address}" if not address.startswith("/en") else address)
        assert page.status_code == 200
        assert "Claim" in text_of(page)


def test_a_table_that_cannot_be_read_leaves_what_was_typed(w, client, voucher):
    enter(client, w.owner)
    address = f"{reverse('claim_new')}?voucher={voucher.number}"
    typed = rows(("已经填好的一行", "A1", "200", "100"), total="100") | {"act": "upload"}
    picture = SimpleUploadedFile("表.xlsx", making.PNG)
    answer = client.post(address, typed | {"file": picture})
    assert answer.status_code == 409
    assert "按内容判断" in text_of(answer)
    assert "已经填好的一行" in answer.content.decode()
    long = "内容,日期,发票号码,发票金额,申领金额\n" + "".join(f"一,2026-11-20,N{at},2,1\n" for at in range(201))
    answer = client.post(address, typed | {"file": SimpleUploadedFile("表.csv", long.encode())})
    assert (answer.status_code, "200" in text_of(answer)) == (409, True)
