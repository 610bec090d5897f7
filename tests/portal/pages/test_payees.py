"""Bank accounts on their pages: proposed with a proof, checked, verified; masked where the number is nobody's business."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests import make, standing
from tests.portal.pages.reading import enter, raw_codes, text_of
from tests.vouchers.payees import making
from vouchers.payees.models import PayeeAccount

_standing, _own, w = standing.fixtures(make.world, "w")


def propose(client, w, **changes):
    proof = SimpleUploadedFile("开户许可证.pdf", making.PDF, content_type="application/pdf")
    values = {
        "holder": w.lab.name,
        "bank": "中国工商银行杭州分行",
        "cnaps": making.ICBC,
        "number": "1202 0202 0990 0012 345",
        "file": proof,
    }
    return client.post(reverse("payee_account_new"), {**values, **changes})


def act(client, account, act, **values):
    return client.post(reverse("payee_account", args=[account.reference]), {"act": act, **values})


def test_from_proposal_to_verification(w, client):
    enter(client, w.lab_owner)
    assert "还没有可用的收款账户。" in text_of(client.get(reverse("payee_accounts")))
    assert propose(client, w).status_code == 302
    account = PayeeAccount.objects.get()
    shown = text_of(client.get(reverse("payee_account", args=[account.reference])))
    assert "1202020209900012345" in shown
    assert "您已办理过前面的步骤。请由另一位同事继续。" in shown
    enter(client, w.finance)
    listed = text_of(client.get(reverse("payee_accounts")))
    assert "**** 2345" in listed
    assert account.number not in listed
    assert act(client, account, "check").status_code == 302
    assert act(client, account, "verify").status_code == 403
    enter(client, w.finance_approver)
    assert act(client, account, "verify").status_code == 302
    shown = text_of(client.get(reverse("payee_account", args=[account.reference])))
    assert "冷静期内" in shown
    assert raw_codes(shown) == []
    assert account.number not in client.get(f"{reverse('payee_accounts')}?format=csv").content.decode()


def test_an_iban_keeps_the_form_and_says_what_to_do(w, client):
    enter(client, w.lab_owner)
    again = propose(client, w, number="DE89370400440532013000")
    assert again.status_code == 409
    shown = text_of(again)
    assert "这是国际银行账号（IBAN），不是境内银行账号。" in shown
    assert 'value="DE89370400440532013000"' in again.content.decode()
    assert not PayeeAccount.objects.exists()


def test_without_a_proof_nothing_is_kept(w, client):
    enter(client, w.lab_owner)
    assert propose(client, w, file="").status_code == 422
    assert not PayeeAccount.objects.exists()


def test_finance_sends_an_account_back(w, client):
    account = making.proposed(w.lab)
    enter(client, w.finance)
    assert act(client, account, "reject").status_code == 422
    assert act(client, account, "reject", reason="印章不清").status_code == 302
    enter(client, w.lab_owner)
    assert "印章不清" in text_of(client.get(reverse("payee_account", args=[account.reference])))


@pytest.mark.parametrize("who", ["owner", "keeper", "auditor"])
def test_strangers_see_nothing(w, client, who):
    account = making.proposed(w.lab)
    enter(client, getattr(w, who))
    assert client.get(reverse("payee_account", args=[account.reference])).status_code in (403, 404)


def test_the_number_of_queries_does_not_grow(w, client, django_assert_num_queries):
    making.proposed(w.lab)
    enter(client, w.finance)
    client.get(reverse("payee_accounts"))
    with django_assert_num_queries(5):
        client.get(reverse("payee_accounts"))
    for _each in range(3):
        making.proposed(make.organisation(make.roles.Kind.PROVIDER))
    with django_assert_num_queries(5):
        client.get(reverse("payee_accounts"))


def test_an_owner_adds_a_further_proof_while_the_account_is_on_its_way(w, client):
    account = making.proposed(w.lab)
    address = reverse("payee_account", args=[account.reference])
    enter(client, w.lab_owner)
    assert "补充账户证明" in text_of(client.get(address))
    assert client.post(address, {"act": "proof"}).status_code == 422
    file = SimpleUploadedFile("回单.pdf", making.PDF + b"% 2\n", content_type="application/pdf")
    assert client.post(address, {"act": "proof", "file": file}).status_code == 302
    shown = text_of(client.get(address))
    assert "回单.pdf" in shown
    assert raw_codes(shown) == []
    enter(client, w.finance)
    assert client.post(address, {"act": "proof", "file": SimpleUploadedFile("x.pdf", making.PDF)}).status_code == 403
