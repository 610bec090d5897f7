"""The printed document is PDF/A-3b with its data inside, in both languages, the same for ever; and XML."""

import json
import re
import zlib
from xml.etree import ElementTree as ET

import pytest
from django.core.files.storage import storages
from django.utils import translation

from tests.vouchers.invoices import making
from vouchers.invoices import documents, papers

pytestmark = pytest.mark.django_db
URL = "https://gongxiang.example/documents/verify/abc/"


@pytest.fixture
def made(w):
    making.taxed(w)
    charge = making.taken(w, 8_800_000)
    making.paid(charge)
    making.refunded(w, charge, 800_000, reason="*#[未完成]$")
    return documents.all_for(actor=w.owner, charge=charge, now=making.LATER)


def streams(pdf):
    """Return the content of every stream of a PDF, unpacked where it is packed."""
    found = []
    for head, body in re.findall(rb"<<((?:(?!endobj).)*?)>>\s*stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        # The checksum at the end may itself end in a byte that reads as a line end: then the pattern takes it away.
        found.append(zlib.decompressobj().decompress(body) if b"FlateDecode" in head else body)
    return found


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_document_claims_pdf_a_and_keeps_to_what_can_be_checked(made, lang):
    with translation.override("zh-hans" if lang == "zh" else "en"):
        for one in made:
            pdf = papers.pdf(document=one, url=URL, lang=lang)
            assert pdf.startswith(b"%PDF-1.7")
            assert re.search(rb"pdfaid:part>\s*3\s*<", pdf)
            assert re.search(rb"pdfaid:conformance>\s*B\s*<", pdf)
            assert b"/Encrypt" not in pdf
            assert b"/JavaScript" not in pdf
            assert b"OutputIntent" in pdf
            fonts, embedded = pdf.count(b"/FontDescriptor "), len(re.findall(rb"/FontFile[23]? ", pdf))
            descriptors = len(re.findall(rb"/Type\s*/FontDescriptor", pdf))
            assert descriptors == embedded > 0, fonts
            attached = [body for body in streams(pdf) if body.lstrip().startswith(b"{")]
            assert [json.loads(body) for body in attached] == [documents.structured(one)]
            assert b"/AFRelationship" in pdf


def test_a_paper_is_set_once_and_kept(made, monkeypatch):
    with translation.override("zh-hans"):
        first = papers.pdf(document=made[0], url=URL, lang="zh")
        monkeypatch.setattr(papers, "archival", lambda *_args, **_more: b"another")
        assert papers.pdf(document=made[0], url=URL, lang="zh") == first
    assert len(storages["certificates"].listdir("documents")[1]) == 1


def test_the_same_data_give_the_same_bytes(made):
    with translation.override("zh-hans"):
        first = papers.pdf(document=made[0], url=URL, lang="zh")
        [name] = storages["certificates"].listdir("documents")[1]
        storages["certificates"].delete(f"documents/{name}")
        assert papers.pdf(document=made[0], url=URL, lang="zh") == first


def test_xml_says_what_the_json_says(made):
    for one in made:
        root = ET.fromstring(papers.xml(one))
        assert root.findtext("number") == one.number
        assert root.findtext("totals/amount_fen") == str(one.content["totals"]["amount_fen"])
        assert root.findtext("sha256") == one.sha256
        assert len(root.findall("payers/item")) == len(one.content["payers"])
    assert ET.fromstring(papers.xml(made[-1])).findtext("reason") == "*#[未完成]$"
