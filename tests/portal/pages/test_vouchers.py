"""The register, a provider's counter and the public check of certificates."""

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from portal.kernel.money import Money
from portal.pages import vouchers as pages
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.wallets import certificates
from vouchers.wallets.models import Voucher


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def voucher(w, now):
    return make.voucher(w, make.programme(w, in_force=LONG), now=now)


@pytest.fixture(autouse=True)
def _fresh(settings, tmp_path):
    cache.clear()
    settings.STORAGES = {
        **settings.STORAGES,
        "certificates": {**settings.STORAGES["certificates"], "OPTIONS": {"location": tmp_path}},
    }


class TestRegister:
    def test_lists_filters_and_shows_what_is_left(self, w, client, voucher):
        enter(client, w.reviewer)
        text = text_of(client.get(reverse("voucher_register")))
        assert voucher.number in text
        assert w.enterprise.name in text
        assert raw_codes(text) == []
        assert "没有符合条件的券" in text_of(client.get(reverse("voucher_register"), {"state": "frozen"}))
        found = client.get(reverse("voucher_register"), {"q": "星河"}).context["listing"]
        assert found.total == 1

    def test_a_name_that_looks_like_a_formula_stays_text_in_the_file(self, w, client, voucher):
        w.enterprise.name = "=HYPERLINK(1)"
        w.enterprise.save()
        file = enter(client, w.auditor).get(reverse("voucher_register"), {"format": "csv"}).content.decode()
        assert "'=HYPERLINK(1)" in file
        assert ",=HYPERLINK" not in file

    def test_the_number_of_queries_does_not_grow(self, w, client, now, django_assert_num_queries):
        version = make.programme(w, in_force=LONG)
        enter(client, w.reviewer)
        for number in range(9):
            make.voucher(w, version, now=now, number=f"HT-{number}", items={"compute": Money.from_yuan("1000")})
            if number in {1, 8}:
                with django_assert_num_queries(6):
                    client.get(reverse("voucher_register"))

    def test_only_an_approver_stops_a_voucher_and_the_holder_reads_why(self, w, client, voucher):
        address = reverse("registered_voucher", args=[voucher.number])
        assert "暂停使用" not in text_of(enter(client, w.reviewer).get(address))
        assert client.post(address, {"act": "freeze", "reason": "x"}).status_code == 403
        enter(client, w.approver)
        assert client.post(address, {"act": "freeze", "reason": ""}).status_code == 422
        assert client.post(address, {"act": "freeze", "reason": "发票重复"})["Location"] == address
        assert Voucher.objects.get().state == "frozen"
        assert "暂停用券" in text_of(client.get(address))
        told = text_of(enter(client, w.owner).get(reverse("voucher", args=[voucher.number])))
        assert "该券正在核查" in told
        assert "发票重复" in told
        enter(client, w.approver).post(address, {"act": "unfreeze", "reason": "已核实"})
        assert Voucher.objects.get().state == "active"
        assert client.post(address, {"act": "unfreeze", "reason": "再次"}).status_code == 409

    def test_another_department_sees_nothing(self, w, client, voucher):
        other = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.APPROVER)
        enter(client, other)
        assert client.get(reverse("registered_voucher", args=[voucher.number])).status_code == 404
        assert client.get(reverse("voucher_register")).context["listing"].total == 0
        assert enter(client, w.owner).get(reverse("voucher_register")).status_code == 403


class TestCounter:
    def test_a_code_is_shown_once_and_tells_the_counter_what_it_is_good_for(self, w, client, voucher):
        enter(client, w.owner)
        made = client.post(reverse("voucher_code", args=[voucher.number])).context["code"]
        assert made not in text_of(client.get(reverse("voucher_code", args=[voucher.number])))
        assert made[-4:] in text_of(client.get(reverse("voucher", args=[voucher.number])))
        answer = enter(client, w.keeper).post(reverse("voucher_counter"), {"code": made, "service": "compute"})
        text = text_of(answer)
        assert "每笔账单支付 50%，最多 ¥100,000.00。" in text
        assert voucher.number not in text
        assert w.enterprise.name not in text

    def test_a_wrong_code_says_no_more_than_that(self, w, client):
        answer = enter(client, w.keeper).post(reverse("voucher_counter"), {"code": "AAAA", "service": "compute"})
        assert answer.status_code == 409
        assert "券码无效或暂不可用" in text_of(answer)
        assert enter(client, w.reviewer).get(reverse("voucher_counter")).status_code == 403


class TestCertificate:
    def test_leads_a_stranger_to_what_is_printed_and_to_no_more(self, w, client, voucher, now):
        enter(client, w.owner)
        pdf = client.get(reverse("voucher_certificate", args=[voucher.number]))
        assert pdf["Content-Type"] == "application/pdf"
        assert pdf.content.startswith(b"%PDF-1.")
        client.logout()
        text = text_of(client.get(reverse("verify", args=[certificates.token_of(voucher.certificate)])))
        assert "真实无误" in text
        for said in (voucher.number, w.enterprise.name, "¥100,000.00", "可用"):
            assert said in text
        assert "已用" not in text
        assert w.enterprise.credit_code not in text
        assert raw_codes(text.replace("test", "")) == []

    def test_a_forged_address_is_told_as_forged(self, client, voucher, w, now):
        made = certificates.certificate_of(actor=w.owner, voucher=voucher, now=now)
        answer = client.get(reverse("verify", args=[made.token]))
        assert answer.status_code == 404
        assert "没有这张凭证" in text_of(answer)

    def test_one_address_cannot_search_for_certificates(self, client, monkeypatch):
        monkeypatch.setattr(pages, "CHECKS_PER_MINUTE", 2)
        codes = [client.get(reverse("verify", args=["x"])).status_code for _ in range(4)]
        assert codes[0] == 404
        assert codes[-1] == 429
