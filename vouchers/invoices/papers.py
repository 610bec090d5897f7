"""A document as PDF/A-3b, set by typst with its structured data inside the file, and as XML."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import segno
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.numbers.services import PORTAL_ZONE
from portal.papers import archival, font
from vouchers.invoices import documents, words
from vouchers.invoices.models import ChargeDocument
from vouchers.programmes import names

__all__ = ["pdf", "title_of", "xml"]

TEMPLATE: Final = Path(__file__).with_name("document.typ")


def _storage() -> Storage:
    return storages["certificates"]


def title_of(kind: str) -> str:
    """Return what a kind of document is called."""
    return {
        "invoice": gettext("结算单"),
        "receipt": gettext("收款凭证"),
        "credit_note": gettext("退款单"),
        "cancellation": gettext("收款凭证作废单"),
        "write_off": gettext("自付核销单"),
    }[kind]


def pdf(*, document: ChargeDocument, url: str, lang: str) -> bytes:
    """Return the document as PDF/A-3b in Chinese (``zh``) or English (``en``), made once and kept: it never changes.

    The words are those of the active language, which must be `lang`; `url` is where it is checked. Outside any
    transaction: setting a page takes a moment. Raises FontMissing.
    """
    name = f"documents/{document.number}-{document.sha256[:16]}-{lang}.pdf"
    if _storage().exists(name):
        with _storage().open(name) as kept:
            return bytes(kept.read())
    made = archival(TEMPLATE.read_bytes(), data=_sheet(document, url=url, lang=lang), made_at=document.made_at)
    _storage().save(name, ContentFile(made))
    return made


def _said(told: Mapping[str, Any], name: str, lang: str) -> str:
    return str((told[f"{name}_en"] if lang == "en" else "") or told[name])


def _yuan(fen: int | None) -> str:
    return "—" if fen is None else str(Money(fen))


def _moment(text: str | None) -> str:
    if not text:
        return "—"
    return f"{datetime.fromisoformat(text).astimezone(PORTAL_ZONE):%Y-%m-%d %H:%M} {gettext('北京时间')}"


def _sheet(document: ChargeDocument, *, url: str, lang: str) -> dict[str, Any]:
    content = document.content
    seller, buyer = content["seller"], content["buyer"]
    return {
        "lang": lang,
        "fonts": [font()],
        "title": title_of(document.kind),
        "author": _said(seller, "name", lang),
        "number": document.number,
        "sha256": document.sha256,
        "facts": _facts(content, lang),
        "parties": [
            [gettext("服务单位（收款方）"), _said(seller, "name", lang), seller["credit_code"]],
            [gettext("付款单位"), _said(buyer, "name", lang), buyer["credit_code"]],
        ],
        "tables": [*_line_tables(content, lang), _payers(content, lang), *_arrivals(content)],
        "notes": _notes(content),
        "words": {
            "check": gettext("扫码核验真伪"),
            "address": gettext("核验地址："),
        },
        "url": url,
        "qr": _qr(url),
        "file": {
            "name": f"{document.number}.json",
            "content": json.dumps(documents.structured(document), ensure_ascii=False, indent=2, sort_keys=True),
            "description": gettext("本单据的结构化数据"),
        },
    }


def _facts(content: Mapping[str, Any], lang: str) -> list[list[str]]:
    told = content["delivered"]
    service = names.kind(content["service"]).say(lang)
    facts = [
        [gettext("服务"), _said(told, "title", lang) or service],
        [gettext("服务类别"), service],
        [gettext("业务单号"), content["subject"].partition(":")[2]],
        [gettext("费用单号"), content["charge"]],
    ]
    if told["starts_at"]:
        facts.append([gettext("服务时间"), f"{_moment(told['starts_at'])} – {_moment(told['ends_at'])}"])
    facts.append([gettext("结算时间"), _moment(told["settled_at"])])
    if content["refers_to"]:
        facts.append([gettext("对应结算单"), content["refers_to"]])
    if content["kind"] == "credit_note":
        facts.append([gettext("退款单号"), content["refund"]])
        facts.append([gettext("退款时间"), _moment(content["refunded_at"])])
        facts.append([gettext("退款原因"), content["reason"]])
    if content["kind"] == "cancellation":
        facts.append([gettext("作废的收款凭证"), content["cancels"]])
        facts.append([gettext("作废原因"), words.why(content["why"])])
    if content["kind"] == "write_off":
        facts.append([gettext("核销单号"), content["write_off"]])
        facts.append([gettext("核销时间"), _moment(content["written_off_at"])])
        facts.append([gettext("核销原因"), content["reason"]])
    facts.append([gettext("出具时间"), _moment(content["made_at"])])
    return facts


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], foot: Sequence[str]) -> dict[str, Any]:
    """Return a table whose first column takes the room and whose others are figures."""
    return {
        "title": title,
        "heads": list(heads),
        "widths": ["wide", *["auto"] * (len(heads) - 1)],
        "rows": [list(row) for row in rows],
        "foot": list(foot),
    }


def _line_tables(content: Mapping[str, Any], lang: str) -> list[dict[str, Any]]:
    if "lines" not in content:
        return []
    heads = [
        *(gettext("项目"), gettext("数量"), gettext("单价（元）"), gettext("税率")),
        *(gettext("不含税"), gettext("税额"), gettext("金额")),
    ]
    rows = []
    for line in content["lines"]:
        tax = line["tax"]
        unit = f"{line['quantity']} {words.unit(line['unit'])}".strip()
        rows.append(
            [
                _said(line, "name", lang) or words.what(line["what"]),
                unit,
                line["unit_price_yuan"],
                words.rate(tax["rate"]) if tax else "—",
                _yuan(tax["net_fen"] if tax else None),
                _yuan(tax["tax_fen"] if tax else None),
                _yuan(line["amount_fen"]),
            ]
        )
    totals = content["totals"]
    foot = [gettext("合计"), "", "", "", _yuan(totals["net_fen"]), _yuan(totals["tax_fen"])]
    return [_table(gettext("费用明细"), heads, rows, [*foot, _yuan(totals["amount_fen"])])]


def _payers(content: Mapping[str, Any], lang: str) -> dict[str, Any]:
    rows = []
    for payer in content["payers"]:
        if payer["by"] == "own":
            rows.append([gettext("企业自付"), "", _yuan(payer["amount_fen"])])
            continue
        name = f"{_said(payer, 'programme_name', lang)} · {payer['voucher']}"
        share = names.percent(Fraction(payer["share"]))
        if payer.get("lapsed_fen"):
            name += " · " + gettext("券已失效，%(amount)s 退回计划") % {"amount": _yuan(-payer["lapsed_fen"])}
        rows.append([name, share, _yuan(payer["amount_fen"])])
    titles = {
        "credit_note": gettext("退回给谁"),
        "cancellation": gettext("不再作为已收款"),
        "write_off": gettext("不再收取"),
    }
    title = titles.get(content["kind"]) or gettext("由谁支付")
    total = sum(payer["amount_fen"] for payer in content["payers"])
    return _table(
        title, [gettext("支付方"), gettext("比例"), gettext("金额")], rows, [gettext("合计"), "", _yuan(total)]
    )


def _arrivals(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "arrivals" not in content:
        return []
    rows = [
        [words.rail(row["rail"]), _moment(row["arrived_at"]), _yuan(row["amount_fen"])] for row in content["arrivals"]
    ]
    if content.get("taken_fen"):
        rows.append([gettext("争议扣回"), "—", _yuan(content["taken_fen"])])
    foot = [gettext("合计"), "", _yuan(content["totals"]["amount_fen"])]
    heads = [gettext("到账方式"), gettext("到账时间"), gettext("金额")]
    return [_table(gettext("自付款到账"), heads, rows, foot)]


def _notes(content: Mapping[str, Any]) -> list[str]:
    notes = {
        "invoice": gettext("券抵扣是支付方式，不是降价：服务价格是以上全额，券和企业各付一部分。"),
        "receipt": gettext("本凭证只证明自付款已到账；多付或未用完的预付款另行退还。"),
        "credit_note": gettext("本单冲减对应结算单的金额；原结算单不作改动。"),
        "cancellation": gettext("自本单出具起，对应收款凭证不再证明款项已到账；原凭证不作改动，仍可查看。"),
        "write_off": gettext("核销的自付款不再向付款单位收取；原结算单不作改动。"),
    }
    said = [notes[content["kind"]], gettext("本单据不是税务发票。发票由服务单位在税务系统开具。")]
    if content["kind"] == "invoice" and content["totals"]["tax_fen"] is None:
        said.append(gettext("服务单位没有登记税率，税额以其开具的发票为准。"))
    return said


def _qr(url: str) -> str:
    buffer = io.BytesIO()
    segno.make(url, error="m").save(buffer, kind="svg", xmldecl=False, border=2)
    return buffer.getvalue().decode()


def xml(document: ChargeDocument) -> bytes:
    """Return the document's data as XML: element names are the keys of the JSON, items of a list are ``item``."""
    root = Element("document")
    _fill(root, documents.structured(document))
    indent(root)
    found: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return found


def _fill(parent: Element, value: Any) -> None:
    if isinstance(value, Mapping):
        for name in sorted(value):
            _fill(SubElement(parent, name), value[name])
    elif isinstance(value, list):
        for item in value:
            _fill(SubElement(parent, "item"), item)
    elif value is not None:
        parent.text = _xml_text(str(value))


def _xml_text(text: str) -> str:
    """Return text without what XML cannot carry."""
    return "".join(letter for letter in text if letter in "\t\n\r" or letter >= " ")
