"""A certificate is set as data, found genuine by its signed address, and kept under the digest of what is on it."""

import json

import pytest
from django.core.files.storage import storages
from django.utils import translation

from portal.kernel.errors import NotFound
from tests import make
from vouchers.wallets import certificates
from vouchers.wallets.models import Certificate

pytestmark = pytest.mark.django_db


@pytest.fixture
def w():
    return make.world()


@pytest.fixture(autouse=True)
def _kept_apart(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "certificates": {**settings.STORAGES["certificates"], "OPTIONS": {"location": tmp_path}},
    }


def made(w, **changes):
    voucher = make.voucher(w, make.programme(w, **changes))
    return certificates.certificate_of(actor=w.owner, voucher=voucher, now=make.NOW)


def test_the_pdf_is_made_once_for_the_same_content_in_each_language(w):
    certificate = made(w)
    files = {}
    for code, lang in (("zh-hans", "zh"), ("en", "en")):
        with translation.override(code):
            pdf = certificates.pdf(certificate=certificate, url="https://x.test/verify/t/", lang=lang)
            assert pdf.startswith(b"%PDF-1.")
            assert certificates.pdf(certificate=certificate, url="https://x.test/verify/t/", lang=lang) == pdf
            files[lang] = pdf
    assert files["zh"] != files["en"]
    assert len(storages["certificates"].listdir("")[1]) == 2


def test_what_people_typed_is_set_as_text_not_as_markup(w, monkeypatch):
    w.enterprise.name = '#panic("x") *公司* $ 1/0 $ #read("/etc/passwd")'
    w.enterprise.save()
    certificate = made(w)
    given = {}
    compiled = certificates.typst.compile

    def spy(source, **more):
        given.update(source=source, **more)
        return compiled(source, **more)

    monkeypatch.setattr(certificates.typst, "compile", spy)
    assert certificates.pdf(certificate=certificate, url="https://x.test/", lang="zh").startswith(b"%PDF-1.")
    assert given["source"] == certificates.TEMPLATE.read_bytes()
    assert w.enterprise.name in json.loads(given["sys_inputs"]["data"])["rows"][0]


def test_a_missing_font_is_told_with_its_remedy(w, monkeypatch):
    certificate = made(w)
    certificates.font.cache_clear()
    monkeypatch.setattr("portal.papers.FONTS", ("No Such Font",))
    with pytest.raises(certificates.FontMissing, match="fonts-noto-cjk"):
        certificates.pdf(certificate=certificate, url="https://x.test/", lang="zh")
    certificates.font.cache_clear()


def test_a_signed_token_shows_what_is_printed_and_forged_ones_cost_no_query(w, django_assert_num_queries):
    certificate = made(w)
    token = certificates.token_of(certificate)
    with django_assert_num_queries(1):
        found = certificates.genuine(token=token, now=make.NOW)
    assert (found.number, found.state, found.face.fen) == (certificate.voucher.number, "active", 10_000_000)
    assert certificates.genuine(token=token, now=certificate.voucher.valid_until).state == "expired"
    with django_assert_num_queries(0):
        for wrong in (token[:-1], certificate.token, f"{certificate.token}.AAAA", "", "."):
            with pytest.raises(NotFound):
                certificates.genuine(token=wrong, now=make.NOW)


def test_a_voucher_has_one_certificate_for_its_holder_only(w):
    certificate = made(w)
    again = certificates.certificate_of(actor=w.researcher, voucher=certificate.voucher, now=make.NOW)
    assert again == certificate
    assert Certificate.objects.count() == 1
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    with pytest.raises(NotFound):
        certificates.certificate_of(actor=stranger, voucher=certificate.voucher, now=make.NOW)
