"""Recoveries as pages: from the breach to the bank, each person with their own part, and what the public reads."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import LONG, enter, text_of
from tests.vouchers.claims import making
from vouchers.recoveries.models import Recovery

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def claim(w):
    version = making.reimbursing(w, in_force=LONG, sanctions=[{"breach": "虚报用量", "bar_years": 3, "publish": True}])
    return making.approved(w, making.filed(w, make.voucher(w, version), "30000"))


def act(client, case, which, **data):
    return client.post(reverse("recovery", args=[case.number]), {"act": which, **data})


def opened(client, claim, breach="虚报用量"):
    data = {"act": "open", "subject": claim.number, "breach": breach, "party": "applicant"}
    return client.post(reverse("recovery_open"), data)


def test_from_breach_to_bank(w, client, claim):
    enter(client, w.reviewer)
    assert "虚报用量" in client.get(f"{reverse('recovery_open')}?of={claim.number}").content.decode()
    assert opened(client, claim).status_code == 302
    case = Recovery.objects.get()
    refused = act(client, case, "hear")
    assert (refused.status_code, "请填写这一项" in text_of(refused)) == (422, True)
    assert act(client, case, "hear", reason="单位承认多报").status_code == 302
    assert "单位承认多报" in text_of(client.get(reverse("recovery", args=[case.number])))
    too_much = act(client, case, "decide", receivable="99999", reason="x", bar_years="3")
    assert (too_much.status_code, "追缴金额须不小于零" in text_of(too_much)) == (422, True)
    done = act(client, case, "decide", receivable="20000", reason="抽查不实", bar_years="3", publish="on")
    assert done.status_code == 302
    assert act(client, case, "confirm").status_code == 403
    assert "须由另一位同事确认" in text_of(client.get(reverse("recovery", args=[case.number])))

    enter(client, w.approver)
    assert act(client, case, "confirm").status_code == 302
    enter(client, w.finance)
    assert case.number in text_of(client.get(reverse("recoveries")))
    assert act(client, case, "receive", amount="20000", bank_reference="ICBC-9").status_code == 302
    case.refresh_from_db()
    assert (case.state, case.received_fen) == ("recovered", 2_000_000)


def test_the_public_reads_who_and_why_and_nothing_else(w, client, claim):
    assert "目前没有公示的处理决定" in text_of(client.get(reverse("sanctions")))
    enter(client, w.reviewer)
    opened(client, claim)
    case = Recovery.objects.get()
    act(client, case, "hear", reason="单位陈述的内容")
    act(client, case, "decide", receivable="20000", reason="内部说明", bar_years="3", publish="on")
    act(enter(client, w.approver), case, "confirm")
    client.logout()
    page = text_of(client.get(reverse("sanctions")))
    assert w.enterprise.name in page
    assert "虚报用量" in page
    for hidden in ("单位陈述的内容", "内部说明", case.number, claim.number, "20,000"):
        assert hidden not in page


def test_a_contract_refunded_is_assessed_again(w, client):
    version = make.programme(w, code="corpus-x", redeem={"mode": "award"}, in_force=LONG)
    application = make.passed(w, make.application(w, version))
    make.passed(w, application, by=w.approver)
    from vouchers.claims import paying

    (claim,) = paying.open_awards(now=make.NOW)
    making.approved(w, claim)
    enter(client, w.reviewer)
    data = {"act": "reassess", "subject": claim.number, "compute": "100000", "instrument_use": "100000"}
    assert client.post(reverse("recovery_open"), data).url == reverse("recoveries")
    answer = client.post(reverse("recovery_open"), data | {"compute": "0"})
    case = Recovery.objects.get()
    assert (answer.status_code, case.state, case.receivable_fen) == (302, "proposed", 5_000_000)
    assert act(client, case, "accept").status_code == 302


def test_unknown_subjects_and_strangers(w, client, claim):
    enter(client, w.reviewer)
    answer = client.post(
        reverse("recovery_open"), {"act": "open", "subject": "K0", "breach": "x", "party": "applicant"}
    )
    assert answer.status_code == 404
    opened(client, claim)
    case = Recovery.objects.get()
    assert enter(client, w.lab_owner).get(reverse("recovery", args=[case.number])).status_code == 404
    assert enter(client, w.owner).get(reverse("recovery", args=[case.number])).status_code == 200
    assert enter(client, w.owner).get(reverse("recovery_open")).status_code == 403
    assert enter(client, w.researcher).get(reverse("recoveries")).status_code == 403


def test_the_list_exports(w, client, claim):
    opened(enter(client, w.reviewer), claim)
    assert "Z26" in client.get(reverse("recoveries"), {"format": "csv"}).content.decode()
