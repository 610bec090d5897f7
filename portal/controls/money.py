"""Controls on prices, payments, contracts and claims. Pure: facts in, a finding or None out.

Source of the patterns: published audit and court reports on subsidy fraud (Chaoyang prosecutors 2025; Northern Ireland
Audit Office, grant fraud guide; see ``docs/controls.md``). Thresholds are conventions of this portal, stated beside each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Final

from portal.controls.findings import Finding, Row
from portal.kernel.errors import noop
from portal.kernel.money import Money
from vouchers.charges.prices import unit_price_text
from vouchers.flags.rules import Pattern

__all__ = [
    "Alike",
    "Award",
    "Contract",
    "OwnShare",
    "Spending",
    "backdated",
    "double_claim",
    "last_days_burn",
    "own_share_returned",
    "price_above_list",
    "split_contract",
]

_ = noop

LEAST_PEERS: Final = 5
"""Prices of fewer other things than this tell nothing."""
FAR_ABOVE: Final = Fraction(110, 100)
"""Somebody is always in the dearest tenth; a price is far above from a tenth over it."""
REFUND_DAYS: Final = 30
SPLIT_DAYS: Final = 90
NEAR: Final = Fraction(95, 100)
"""A yearly total of 95 % to 100 % of a limit is near it."""
LAST_DAYS: Final = 10
BURNT: Final = Fraction(60, 100)
"""A voucher is burnt when over 60 % of its face was spent in its last ten days."""


@dataclass(frozen=True, slots=True)
class Alike:
    """What a unit price is compared with: the prices, in fen a unit, of other things of one kind, model family and unit.

    `kind` and `unit` are codes with their register, such as ``category:analytical`` and ``price_unit:hour``.
    """

    kind: str
    model: str
    unit: str
    prices: tuple[Fraction, ...]


def price_above_list(
    *, unit_price: Fraction, list_price: Fraction | None, alike: Alike | None = None
) -> Finding | None:
    """Flag a unit price above the provider's published list, or far above those of comparable things.

    Far above is over 110 % of the 90th percentile (of fewer than ten, of the highest) of at least five other things, one
    price each; the flag says with what it was compared. Prices in fen a unit, exact.
    """
    rows, said, params = [], _("单价 %(price)s 高于公示价。"), {"price": _price_text(unit_price)}
    if list_price is not None and unit_price > list_price:
        rows.append(Row(_("公示价"), _price_text(list_price), params["price"]))
    if alike is not None and len(alike.prices) >= LEAST_PEERS:
        ordered = sorted(alike.prices)
        high = ordered[-(-len(ordered) * 9 // 10) - 1]
        if unit_price > high * FAR_ABOVE:
            said = _(
                "单价 %(price)s 明显偏高：与另外 %(count)s 个同类对象（%(kind)s，每%(unit)s）相比，"
                "超过其价格第 90 百分位一成以上。"
            )
            params |= {"count": str(len(ordered)), "kind": alike.kind, "unit": alike.unit}
            rows.append(Row(_("同类价格第 90 百分位"), _price_text(high), params["price"], alike.model))
            rows.append(
                Row(
                    _("同类价格范围"),
                    f"{_price_text(ordered[0])} – {_price_text(ordered[-1])}",
                    params["price"],
                    alike.model,
                )
            )
    return Finding(Pattern.PRICE_ABOVE_LIST, said, params, tuple(rows)) if rows else None


def _price_text(price: Fraction) -> str:
    """Return fen a unit as money; below a fen with as many decimals as the price has."""
    return str(Money(int(price))) if price.denominator == 1 else f"¥{unit_price_text(price)}"


@dataclass(frozen=True, slots=True)
class OwnShare:
    """The buyer's own part of one purchase: what it owed, what was received and when, what went back to it later."""

    owed: Money
    received: Money
    received_on: date | None
    payer: str
    buyer: str
    returned: tuple[tuple[date, Money], ...] = ()


def own_share_returned(share: OwnShare) -> Finding | None:
    """Flag an own share paid by somebody else, or money that went back to the buyer within 30 days of its payment."""
    rows = []
    if share.received and share.payer and share.payer != share.buyer:
        rows.append(Row(_("付款单位"), share.buyer, share.payer))
    if share.received_on is not None:
        limit = share.received_on + timedelta(days=REFUND_DAYS)
        back = [(day, amount) for day, amount in share.returned if share.received_on <= day <= limit]
        rows += [Row(_("付款后 30 天内退回"), str(Money(0)), f"{amount} ({day})") for day, amount in back]
    if share.received > share.owed:
        rows.append(Row(_("自付金额"), str(share.owed), str(share.received)))
    if not rows:
        return None
    said = _("自付部分的付款情况与约定不符，可能被返还或由他人代付。")
    return Finding(Pattern.OWN_SHARE_RETURNED, said, {}, tuple(rows))


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract of an applicant or of its group."""

    number: str
    provider: str
    signed: date
    amount: Money


def split_contract(*, contract: Contract, others: Sequence[Contract], limit: Money) -> Finding | None:
    """Flag several contracts with one provider within 90 days that stay within `limit` only because they are several.

    Also flags a group's yearly total of 95 % to 100 % of the limit, made of more than one contract. `limit` is the
    inclusive threshold of a better rate, such as 500,000 yuan a year for the 50 % line (杭州 2025, SME contracts).
    """
    if contract.amount > limit:
        return None
    near = [
        other
        for other in others
        if other.number != contract.number
        and other.provider == contract.provider
        and abs((other.signed - contract.signed).days) <= SPLIT_DAYS
        and other.amount <= limit
    ]
    together = Money(contract.amount.fen + sum(other.amount.fen for other in near))
    year = [other for other in others if other.signed.year == contract.signed.year and other.number != contract.number]
    total = Money(contract.amount.fen + sum(other.amount.fen for other in year))
    is_split = bool(near) and together > limit
    is_near = bool(year) and total <= limit and total.fen >= limit.fen * NEAR
    if not (is_split or is_near):
        return None
    shown = near if is_split else year
    rows = [Row(_("合同"), str(item.signed), str(item.amount), item.number) for item in (contract, *shown)]
    rows.append(Row(_("合计"), str(limit), str(together if is_split else total)))
    said = _("多份合同各自不超过 %(limit)s，合计恰好接近或超过该限额。")
    return Finding(Pattern.SPLIT_CONTRACT, said, {"limit": str(limit)}, tuple(rows))


def backdated(
    *, signed: date, e_signed: date | None, first_use: date | None, invoices: Sequence[date], submitted: date
) -> Finding | None:
    """Flag dates out of order: signing, electronic signature, first use and invoice must follow one another."""
    rows = []
    if e_signed is not None and e_signed > signed:
        rows.append(Row(_("电子签名日期"), f"≤ {signed}", str(e_signed)))
    if first_use is not None and first_use < signed:
        rows.append(Row(_("首次使用日期"), f"≥ {signed}", str(first_use)))
    rows += [Row(_("发票日期"), f"≥ {signed}", str(day)) for day in sorted(set(invoices)) if day < signed]
    if signed > submitted:
        rows.append(Row(_("申报日期"), f"≥ {signed}", str(submitted)))
    if not rows:
        return None
    said = _("合同签订日 %(signed)s 与其他日期的先后不合。")
    return Finding(Pattern.BACKDATED, said, {"signed": str(signed)}, tuple(rows))


@dataclass(frozen=True, slots=True)
class Award:
    """What another programme granted or another applicant claimed on the same contract."""

    case: str
    programme: str
    organisation: str
    amount: Money


def double_claim(*, case: str, contract: str, others: Sequence[Award]) -> Finding | None:
    """Flag further cases on the same contract fingerprint, whatever the programme, level or applicant."""
    rows = [
        Row(_("案件"), other.programme, f"{other.organisation} {other.amount}", other.case)
        for other in others
        if other.case != case
    ]
    if not rows:
        return None
    said = _("同一合同（%(contract)s）还出现在其他 %(count)s 个案件中。")
    return Finding(Pattern.DOUBLE_CLAIM, said, {"contract": contract, "count": len(rows)}, tuple(rows))


@dataclass(frozen=True, slots=True)
class Spending:
    """One amount of a voucher spent on a day."""

    day: date
    amount: Money


def last_days_burn(*, face: Money, last_day: date, spent: Sequence[Spending]) -> Finding | None:
    """Flag a voucher of which more than 60 % was spent in the last ten days of its validity."""
    first = last_day - timedelta(days=LAST_DAYS - 1)
    late = Money(sum(item.amount.fen for item in spent if first <= item.day <= last_day))
    if late.fen <= face.fen * BURNT:
        return None
    rows = (
        Row(_("面额"), "", str(face)),
        Row(_("最后 10 天使用"), f"≤ {Money(int(face.fen * BURNT))}", str(late)),
        Row(_("到期日"), str(last_day), ""),
    )
    said = _("到期前 10 天内使用了面额的 %(percent)s。")
    return Finding(Pattern.LAST_DAYS_BURN, said, {"percent": f"{late.fen * 100 // face.fen} %"}, rows)
