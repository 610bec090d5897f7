import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouchers.evidence import rules
from vouchers.evidence.rules import BadFile, Upload, clean_name, recognise

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40 + b"\0\0\0\0IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 40 + b"\xff\xd9"


def container(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


XLSX = container({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})

DEFLATED = container({"xl/workbook.xml": bytes(range(256)) * 200})
STORED = container({"xl/workbook.xml": b"<workbook/>"}, method=zipfile.ZIP_STORED)


def codes(upload: Upload) -> list[str]:
    with pytest.raises(BadFile) as refused:
        recognise(upload)
    return [reason.code for reason in refused.value.reasons]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("合同.pdf", PDF, rules.PDF),
        ("a.PNG", PNG, rules.PNG),
        ("a.jpeg", JPEG, rules.JPEG),
        ("明细.xlsx", XLSX, rules.XLSX),
        ("b.docx", container({"word/document.xml": b"<w/>"}), rules.DOCX),
        ("发票.ofd", container({"OFD.xml": b"<ofd/>"}), rules.OFD),
        ("用量.csv", "日期,数量\n2026-11-25,3\n".encode("gb18030"), rules.TEXT),
        ("用量.txt", "﻿日期".encode(), rules.TEXT),
    ],
)
def test_a_file_is_known_by_its_content(name, content, kind):
    assert recognise(Upload(name, content)) is kind


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.pdf", b"", "evidence.empty"),
        ("a.pdf", PNG, "evidence.wrong_extension"),
        ("a", PDF, "evidence.wrong_extension"),
        ("a.pdf", PDF[:20], "evidence.cut_short"),
        ("a.png", PNG[:30], "evidence.cut_short"),
        ("a.jpg", JPEG[:20], "evidence.cut_short"),
        ("a.xlsx", XLSX[: len(XLSX) // 2], "evidence.cut_short"),
        ("a.xlsx", DEFLATED[:50] + b"\xff" * 30 + DEFLATED[80:], "evidence.cut_short"),
        ("a.xlsx", STORED.replace(b"<workbook/>", b"<workb00k/>"), "evidence.cut_short"),
        ("a.html", b"<html><script>alert(1)</script>", "evidence.unknown_type"),
        ("a.txt", b"  <!doctype html>", "evidence.unknown_type"),
        ("a.svg", b"<svg onload='x'/>", "evidence.unknown_type"),
        ("a.exe", b"MZ\x90\0\3\0", "evidence.unknown_type"),
        ("a.zip", container({"readme.txt": b"x"}), "evidence.unknown_type"),
        ("a.pdf", b"\0" * (rules.MAX_BYTES + 1), "evidence.too_large"),
    ],
)
def test_what_cannot_be_kept_says_why(name, content, code):
    assert code in codes(Upload(name, content))


def test_a_bomb_is_refused_before_it_is_unpacked():
    bomb = container({"xl/workbook.xml": b"<w/>", "xl/big.xml": b"0" * 60_000_000})

    assert len(bomb) < 100_000
    assert codes(Upload("a.xlsx", bomb)) == ["evidence.unpacks_too_large"]


def test_every_ground_is_told_at_once():
    macros = container({"xl/workbook.xml": b"<w/>", "xl/vbaProject.bin": b"x"}, method=zipfile.ZIP_STORED)

    assert codes(Upload("a.pdf", macros)) == ["evidence.macros", "evidence.wrong_extension"]


@given(st.text(max_size=300))
def test_a_name_never_carries_a_path_or_a_control_character(name):
    clean = clean_name(name)

    assert 0 < len(clean) <= rules.MAX_NAME
    assert not set(clean) & set("/\\\0\n\r")
    assert clean not in {".", ".."}


def test_shortening_keeps_the_extension():
    assert clean_name("长" * 300 + ".pdf").endswith("长.pdf")


@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail_otherwise_than_by_saying_why(content):
    try:
        kind = recognise(Upload("a.txt", content))
    except BadFile as refused:
        assert refused.reasons
    else:
        assert kind is rules.TEXT
