"""Answer `scheduler.proposals.ports.PagesOf` with pypdf."""

from __future__ import annotations

import io

import structlog
from pypdf import PdfReader

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
        return min(len(reader.pages), MOST)
    except Exception as error:  # whatever a broken or forged file makes the reader say
        logger.info("pdf.unreadable", error=type(error).__name__)
        return None
