"""Pages are counted as a reader of the file would see them, whatever a forged file says of itself."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfWriter

from integrations.pdf import pages


def made(number: int, *, password: str = "") -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    for _ in range(number):
        writer.add_blank_page(width=200, height=200)
    if password:
        writer.encrypt(password)
    writer.write(out)
    return out.getvalue()


def written(objects: list[str]) -> bytes:
    """Return a PDF of these objects, numbered from 1; the first is its catalogue."""
    body, at = "%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        at.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in at)
    start, size = len(body), len(objects) + 1
    body += f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return (body + f"startxref\n{start}\n%%EOF\n").encode()


LEAF = "<< /Type /Page /MediaBox [0 0 200 200] >>"


@pytest.mark.parametrize("number", [1, 2, 3, 200])
def test_counts_what_is_there(number):
    assert pages.count(made(number)) == number


@pytest.mark.parametrize("content", [b"", b"Hello", b"%PDF-1.7\nnothing", made(2)[:300], made(1, password="x")])
def test_what_cannot_be_read_has_no_pages(content):
    assert pages.count(content) is None


def test_a_page_shown_twice_counts_twice_whatever_count_says():
    tree = "<< /Type /Pages /Kids [3 0 R 3 0 R 3 0 R] /Count 1 >>"
    assert pages.count(written(["<< /Type /Catalog /Pages 2 0 R >>", tree, LEAF])) == 3


def test_nodes_that_share_their_kids_are_no_tree():
    """Forty levels of two shared kids are a million million pages in two thousand bytes."""
    levels = [f"<< /Type /Pages /Kids [{at} 0 R {at} 0 R] /Count 2 >>" for at in range(3, 43)]
    assert pages.count(written(["<< /Type /Catalog /Pages 2 0 R >>", *levels, LEAF])) is None


def test_a_node_below_itself_is_no_tree():
    tree = "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"
    assert pages.count(written(["<< /Type /Catalog /Pages 2 0 R >>", tree])) is None
