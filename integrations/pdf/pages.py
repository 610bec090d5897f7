"""Answer `scheduler.proposals.ports.PagesOf` with pypdf."""

from __future__ import annotations

import io

import structlog
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject

__all__ = ["count"]

MOST = 2_000
"""Pages counted at most: no form takes so many."""

logger = structlog.get_logger("pdf")


def count(content: bytes) -> int | None:
    """Return how many pages a PDF has, `MOST` at most; None for what is no PDF, is encrypted or cannot be read."""
    if not content.startswith(b"%PDF-"):
        return None
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted:
            return None
        return _leaves(reader)
    except Exception as error:  # whatever a broken or forged file makes the reader say
        logger.info("pdf.unreadable", error=type(error).__name__)
        return None


def _leaves(reader: PdfReader) -> int | None:
    """Walk the page tree, at most `MOST` pages of it; None where it is no tree.

    Nodes that share what hangs below them would make a file of a few hundred bytes have billions of pages
    (ISO 32000-1, 7.7.3.2: a node has one parent).
    """
    catalogue = reader.trailer["/Root"].get_object()
    if not isinstance(catalogue, DictionaryObject):
        return None
    waiting, inner, found = [catalogue["/Pages"]], set[tuple[int, int]](), 0
    while waiting:
        node = waiting.pop().get_object()
        if not isinstance(node, DictionaryObject):
            return None
        if "/Kids" not in node:
            found += 1
            if found == MOST:
                return found
            continue
        own = node.indirect_reference
        if isinstance(own, IndirectObject):
            if (own.idnum, own.generation) in inner:
                return None
            inner.add((own.idnum, own.generation))
        kids = node["/Kids"].get_object()
        if not isinstance(kids, ArrayObject):
            return None
        if len(kids) > MOST or len(waiting) > MOST:
            return MOST
        waiting.extend(kids)
    return found
