"""Papers as PDF: typst sets them, data goes in as data, so that nothing typed by people is ever read as markup.

Chinese needs a font of the machine: Noto Sans CJK or Noto Serif CJK (Debian: ``fonts-noto-cjk``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import typst

from portal.kernel.errors import Unavailable, noop

__all__ = ["FONTS", "MOST_ROWS", "FontMissing", "Sheet", "archival", "font", "pdf"]

_ = noop

FONTS: Final = (
    *("Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "Noto Serif CJK SC", "WenQuanYi Micro Hei"),
    *("Microsoft YaHei", "PingFang SC", "SimSun"),
)
"""Chinese fonts a machine may have, the wanted one first. Debian: package ``fonts-noto-cjk``."""

MOST_ROWS: Final = 5_000
SOURCE: Final = """
#let d = json(bytes(sys.inputs.sheet))
#set document(title: d.title, date: if d.archival { auto } else { none })
#set page(paper: "a4", flipped: d.heads.len() > 5, margin: (x: 18mm, y: 20mm), numbering: "1 / 1",
  footer: context [#set text(size: 8pt, fill: luma(90)); #d.foot #h(1fr) #counter(page).display("1 / 1", both: true)])
#set text(font: (d.font, "Libertinus Serif"), size: 10pt, lang: d.lang)
#align(center, text(size: 16pt, weight: "bold", d.title))
#v(4mm)
#for line in d.lines [#par(line)]
#v(3mm)
#let width(at) = if d.numbers.contains(at) { auto } else { 1fr }
#table(
  columns: range(d.heads.len()).map(width),
  stroke: 0.4pt + luma(150), inset: 5pt,
  align: (at, row) => if row > 0 and d.numbers.contains(at) { right } else { left },
  table.header(..d.heads.map(head => strong(head))),
  ..d.rows.flatten(),
)
#v(6mm)
#for line in d.closing [#align(right, line)]
"""


class FontMissing(Unavailable):
    code = "font_missing"
    message = _(
        "服务器缺少中文字体，暂不能生成 PDF。请联系管理员安装字体（Debian：apt-get install fonts-noto-cjk）后再试。"
    )


@cache
def font() -> str:
    """Return the Chinese font this machine has. Raises FontMissing."""
    families = set(typst.Fonts().families())
    for name in FONTS:
        if name in families:
            return name
    raise FontMissing


@dataclass(frozen=True, slots=True)
class Sheet:
    """A titled table: `lines` stand above it, `closing` below it on the right, `numbers` are columns of figures."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[str] = ()
    closing: Sequence[str] = ()
    numbers: Sequence[int] = ()
    foot: str = ""
    lang: str = "zh"


def pdf(sheet: Sheet, *, made_at: datetime | None = None) -> bytes:
    """Return the sheet as PDF; equal sheets give equal pages. At most `MOST_ROWS` rows are set. Raises FontMissing.

    With `made_at`, the date in the file, it is PDF/A-2b (ISO 19005-2), to be kept: equal sheets and dates, equal bytes.
    """
    kept: dict[str, Any] = {}
    if made_at is not None:
        kept = {"pdf_standards": "a-2b", "timestamp": int(made_at.timestamp())}
    said = {
        "archival": made_at is not None,
        "title": sheet.title,
        "heads": list(sheet.heads),
        "rows": [list(row) for row in sheet.rows[:MOST_ROWS]],
        "lines": list(sheet.lines),
        "closing": list(sheet.closing),
        "numbers": list(sheet.numbers),
        "foot": sheet.foot,
        "lang": sheet.lang,
        "font": font(),
    }
    made = typst.compile(SOURCE.encode(), sys_inputs={"sheet": json.dumps(said, ensure_ascii=False)}, **kept)
    assert isinstance(made, bytes)
    return made


def archival(template: bytes, *, data: Mapping[str, Any], made_at: datetime) -> bytes:
    """Return a page of one's own as PDF/A-3b (ISO 19005-3): fonts and attached files inside, no encryption.

    `template` reads `data` as ``sys.inputs.data``. `made_at` is the date in the file: equal data give equal bytes. typst
    refuses to export what breaks the standard. Raises FontMissing from `font`.
    """
    made = typst.compile(
        template,
        format="pdf",
        sys_inputs={"data": json.dumps(data, ensure_ascii=False, sort_keys=True)},
        pdf_standards="a-3b",
        timestamp=int(made_at.timestamp()),
    )
    assert isinstance(made, bytes)
    return made
