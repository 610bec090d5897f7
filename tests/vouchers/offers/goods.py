"""Offers and orders as tests need them, reached by calling services."""

from __future__ import annotations

import io
from datetime import timedelta
from fractions import Fraction
from typing import Any

import openpyxl

from portal.kernel.actors import Actor
from tests import make
from vouchers.charges.prices import Line, PriceItem, PriceUnit, Tier
from vouchers.evidence.services import Upload
from vouchers.offers import orders, rules, services
from vouchers.offers.models import Offer, Order
from vouchers.wallets.models import Voucher

PDF = Upload("交付清单.pdf", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n")
RECORDS = PriceItem(
    code="record", name="标注语料", name_en="Annotated records", unit=PriceUnit.RECORD, tiers=(Tier(Fraction(50)),)
)
TOKENS = PriceItem(
    code="tokens", name="文本词元", name_en="Text tokens", unit=PriceUnit.MILLION_TOKENS, tiers=(Tier(Fraction(800)),)
)


def seller(w: make.World) -> Actor:
    """Return a service manager of the world's provider."""
    return w.seller


def values(**changes: Any) -> services.OfferValues:
    said: dict[str, Any] = {
        "kind": "corpus",
        "title": "工业设备故障问答语料",
        "title_en": "Industrial fault Q&A corpus",
        "description": "十二万条经人工校对的设备故障问答。",
        "description_en": "120,000 hand-checked questions and answers on equipment faults.",
        "licence": "仅限贵单位内部研发与模型训练，不得转售，永久有效。",
        "filing_number": "",
        "delivery": "download",
        "channel": "direct",
        "acceptance_days": 7,
    }
    return services.OfferValues(**{**said, **changes})


def offer(
    w: make.World, *, by: Actor | None = None, items: tuple[PriceItem, ...] = (RECORDS,), **changes: Any
) -> Offer:
    """Publish an offer with a price list in force: records at 0.50 yuan."""
    actor = by or seller(w)
    made = services.create_offer(actor=actor, values=values(**changes), now=make.NOW)
    services.publish_prices(actor=actor, offer=made, items=items, effective_from=make.NOW, now=make.NOW)
    return services.change_state(actor=actor, offer=made, action=rules.OfferAction.PUBLISH, now=make.NOW)


def model(w: make.World, **changes: Any) -> Offer:
    """Publish a model API: tokens at 8 yuan a million."""
    said = {"kind": "model_api", "title": "之江文语大模型", "filing_number": "Zhejiang-2025-001", "delivery": "api"}
    return offer(w, items=(TOKENS,), **{**said, **changes})


def voucher(w: make.World, *kinds: str, **changes: Any) -> Voucher:
    """Issue a voucher of 50,000 yuan that pays half of these kinds; corpora if none is named."""
    named = kinds or ("corpus",)
    cost = {"include": list(named), "max_months": 12}
    version = make.programme(w, code=f"buy-{make.key()[:8]}", **{"cost": cost, **changes})
    items = {kind: make.Money.from_yuan(100000 // len(named)) for kind in named}
    return make.voucher(w, version, number=f"HT-{make.key()[:8]}", items=items)


def wanted(thing: Offer, quantity: str = "1000", *, code: str = "", **changes: Any) -> orders.Wanted:
    code = code or thing.price_lists.all()[0].items[0]["code"]
    said: dict[str, Any] = {"lines": [Line(code, Fraction(quantity))], "purpose": "故障诊断模型微调", "related": False}
    return orders.Wanted(offer=thing, **{**said, **changes})


def order(
    w: make.World, thing: Offer, quantity: str = "1000", *, pay_with: Voucher | None = None, **changes: Any
) -> Order:
    vouchers = [pay_with] if pay_with else []
    return orders.place(
        actor=w.researcher,
        wanted=wanted(thing, quantity, vouchers=vouchers, **changes),
        now=make.NOW,
        key=make.key(),
    )


def delivering(w: make.World, made: Order, *, by: Actor) -> Order:
    """Bring a placed order to delivery."""
    orders.accept(actor=by, order=made, now=make.NOW)
    return orders.begin(actor=by, order=made, now=make.NOW)


def delivered(w: make.World, made: Order, *, by: Actor, quantity: str | None = None) -> Order:
    """Bring a placed order to the buyer's acceptance, with a proof of delivery, an hour after it was placed."""
    delivering(w, made, by=by)
    orders.add_file(actor=by, order=made, purpose="delivery_proof", upload=PDF, now=make.NOW)
    stated = None if quantity is None else [Line(made.wanted[0]["code"], Fraction(quantity))]
    return orders.deliver(actor=by, order=made, quantities=stated, now=make.NOW + timedelta(hours=1))


HEAD = ("日期", "参考号", "数量", "模型", "输入词元", "输出词元", "金额（元）")


def usage_file(*rows: tuple[Any, ...], head: tuple[str, ...] = HEAD, name: str = "十一月用量.xlsx") -> Upload:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (head, *rows):
        sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return Upload(name, buffer.getvalue())


DAY = "2026-11-25"
ROWS = (
    (DAY, "call-1", 1.5, "wenyu-72b", 1_200_000, 300_000, 12),
    (DAY, "call-2", 2.25, "wenyu-72b", 2_000_000, 250_000, 18),
)
