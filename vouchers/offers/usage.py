"""Usage lines as they arrive: which columns a file has, what a line must say, when two lines are the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import Conflict, Reason, Refused, noop
from portal.kernel.idempotency import fingerprint
from portal.kernel.money import Money
from portal.tables.values import Column, Kind, Problem, Row, Table, heading
from vouchers.charges.prices import Line, PriceItem, PriceUnit, text

__all__ = [
    "COLUMNS",
    "MICRO",
    "UNIT_NAMES",
    "BadUsage",
    "NotDelivering",
    "Read",
    "UsageValue",
    "check",
    "read",
    "summed",
]

_ = noop

MICRO: Final = 1_000_000
MOST: Final = 10**12

COLUMNS: Final = (
    Column("day", _("日期"), Kind.DAY, ("date", "使用日期", "日")),
    Column("reference", _("参考号"), names=("reference id", "ref", "流水号", "请求编号"), max_length=80),
    Column("item", _("价目项"), names=("price item", "项目", "code"), required=False, max_length=80),
    Column("quantity", _("数量"), Kind.QUANTITY, ("用量", "usage")),
    Column("unit", _("单位"), required=False, max_length=40),
    Column("model", _("模型或数据集"), names=("模型", "数据集", "data set"), required=False, max_length=80),
    Column("tokens_in", _("输入词元"), Kind.WHOLE, ("输入token", "input tokens"), required=False),
    Column("tokens_out", _("输出词元"), Kind.WHOLE, ("输出token", "output tokens"), required=False),
    Column("amount", _("金额"), Kind.MONEY, ("金额（元）",), required=False),
)
"""What a usage file may hold. `amount` is what the provider's own bill says; it is compared, never charged."""

UNIT_NAMES: Final[Mapping[PriceUnit, tuple[str, ...]]] = MappingProxyType(
    {
        PriceUnit.HOUR: ("小时", "hour", "hours", "h"),
        PriceUnit.DAY: ("天", "日", "day", "days"),
        PriceUnit.SAMPLE: ("样品", "个样品", "sample", "samples"),
        PriceUnit.TEST: ("次测试", "测试", "test", "tests"),
        PriceUnit.CARD_HOUR: ("卡时", "card-hour", "card-hours"),
        PriceUnit.CORE_HOUR: ("核时", "core-hour", "core-hours"),
        PriceUnit.NODE_DAY: ("节点天", "节点·天", "node-day", "node-days"),
        PriceUnit.TB_DAY: ("TB·天", "TB天", "TB-day", "TB-days"),
        PriceUnit.GB_DAY: ("GB·天", "GB天", "GB-day", "GB-days"),
        PriceUnit.TOKEN: ("词元", "token", "tokens"),
        PriceUnit.MILLION_TOKENS: ("百万词元", "百万token", "million tokens", "M tokens", "1M tokens"),
        PriceUnit.CALL: ("次", "call", "calls"),
        PriceUnit.RECORD: ("条", "record", "records"),
        PriceUnit.MB: ("MB", "兆字节"),
        PriceUnit.ITEM: ("件", "item", "items"),
        PriceUnit.PROJECT: ("项", "project", "projects"),
        PriceUnit.VALUE: ("元金额", "元", "yuan of value", "yuan"),
    }
)
"""What a unit may be called in a file; the first is its Chinese name."""
FOLDED: Final = {heading(name): unit for unit, names in UNIT_NAMES.items() for name in (unit.value, *names)}


class BadUsage(Refused):
    """The lines cannot be taken; nothing was. `reasons` name row, column and remedy, or the conflicting reference."""

    code = "usage.bad"
    message = _("用量明细没有导入，原因如下。")


class NotDelivering(Conflict):
    code = "usage.not_delivering"
    message = _("只有交付中或有异议的订单可以导入、撤回用量明细。")


@dataclass(frozen=True, slots=True)
class UsageValue:
    """One line. `quantity` in units of the price item `code`, at most six decimals; `row` is where it stood."""

    row: int
    day: date
    reference: str
    code: str
    quantity: Fraction
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    stated: Money | None = None

    @property
    def digest(self) -> str:
        """Return what makes two lines the same: everything but where they stood."""
        return fingerprint(
            {
                "day": self.day.isoformat(),
                "reference": self.reference,
                "code": self.code,
                "quantity": text(self.quantity),
                "model": self.model,
                "tokens": [self.tokens_in, self.tokens_out],
                "stated": None if self.stated is None else self.stated.fen,
            }
        )


@dataclass(frozen=True, slots=True)
class Read:
    """What a file's rows mean: the lines, and what is wrong with them."""

    lines: tuple[UsageValue, ...]
    problems: tuple[Problem, ...]


def _problem(row: int, column: str, code: str, message: str, remedy: str, **params: Any) -> Problem:
    title = next((known.title for known in COLUMNS if known.key == column), column)
    reason = Reason(code, message, remedy, field="file", params={"row": row, "column": title, **params})
    return Problem(row, column, reason)


def read(table: Table, items: Sequence[PriceItem], *, since: date, today: date) -> Read:
    """Return the lines a table holds for these price items, with every fault; days from `since` to `today`, inclusive."""
    problems = list(table.problems)
    lines: list[UsageValue] = []
    for row in table.rows:
        item, faults = _item_of(row, items)
        faults += _unit_faults(row, item)
        problems += faults
        if item is not None and not faults:
            lines.append(_line(row, item))
    problems += check(lines, since=since, today=today)
    if not problems:
        problems += _total_faults(table)
    return Read(tuple(lines), tuple(sorted(problems, key=lambda one: one.row)))


def _line(row: Row, item: PriceItem) -> UsageValue:
    said = row.values
    return UsageValue(
        row=row.number,
        day=said["day"],
        reference=said["reference"],
        code=item.code,
        quantity=said["quantity"],
        model=said.get("model") or "",
        tokens_in=said.get("tokens_in"),
        tokens_out=said.get("tokens_out"),
        stated=said.get("amount"),
    )


def _item_of(row: Row, items: Sequence[PriceItem]) -> tuple[PriceItem | None, list[Problem]]:
    said = row.values.get("item")
    if not said:
        if len(items) == 1:
            return items[0], []
        return None, [
            _problem(
                row.number,
                "item",
                "usage.item_missing",
                _("第 %(row)s 行没有填写“%(column)s”，而价目表有多项。"),
                _("请填写价目项的编码或名称。"),
            )
        ]
    for item in items:
        if heading(said) in {heading(item.code), heading(item.name), heading(item.name_en or item.code)}:
            return item, []
    return None, [
        _problem(
            row.number,
            "item",
            "usage.item_unknown",
            _("第 %(row)s 行“%(column)s”“%(value)s”不在订单的价目表里。"),
            _("请填写价目项的编码或名称，可在订单页查看。"),
            value=said[:40],
        )
    ]


def _unit_faults(row: Row, item: PriceItem | None) -> list[Problem]:
    said = row.values.get("unit")
    if not said or item is None or FOLDED.get(heading(said)) is item.unit:
        return []
    return [
        _problem(
            row.number,
            "unit",
            "usage.unit",
            _("第 %(row)s 行“%(column)s”是“%(value)s”，而“%(item)s”按“%(unit)s”计价。"),
            _("请换算成该单位后重新上传。"),
            value=said[:40],
            item=item.name,
            unit=UNIT_NAMES[item.unit][0],
        )
    ]


def check(lines: Sequence[UsageValue], *, since: date, today: date) -> list[Problem]:
    """Return what is wrong with lines among themselves and with their days; for a file's lines and for the API's."""
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for line in lines:
        if line.reference in seen:
            problems.append(
                _problem(
                    line.row,
                    "reference",
                    "usage.twice",
                    _("第 %(row)s 行的参考号“%(value)s”与第 %(first)s 行重复。"),
                    _("每一行须有自己的参考号。"),
                    value=line.reference[:40],
                    first=seen[line.reference],
                )
            )
        seen.setdefault(line.reference, line.row)
        if not since <= line.day <= today:
            problems.append(
                _problem(
                    line.row,
                    "day",
                    "usage.day",
                    _("第 %(row)s 行的日期 %(value)s 不在 %(since)s 到 %(today)s 之间。"),
                    _("用量须发生在下单之后、今天之前（含）。"),
                    value=line.day.isoformat(),
                    since=since.isoformat(),
                    today=today.isoformat(),
                )
            )
        if line.quantity > MOST:
            problems.append(
                _problem(
                    line.row,
                    "quantity",
                    "usage.too_much",
                    _("第 %(row)s 行“%(column)s”过大。"),
                    _("请检查单位是否填错。"),
                )
            )
    return problems


def _total_faults(table: Table) -> list[Problem]:
    """Compare rows of totals with the sums of the rows: a bill whose total is not its lines is no bill."""
    faults: list[Problem] = []
    for total in table.totals:
        for key in ("quantity", "amount", "tokens_in", "tokens_out"):
            stated = total.values.get(key)
            if stated is None:
                continue
            found = _sum(row.values.get(key) for row in table.rows)
            if found != (stated.fen if isinstance(stated, Money) else stated):
                faults.append(
                    _problem(
                        total.number,
                        key,
                        "usage.total",
                        _("第 %(row)s 行“%(column)s”的合计是 %(stated)s，而各行之和是 %(found)s。"),
                        _("请核对是否漏行或多行，改正合计后重新上传。"),
                        stated=_shown(stated),
                        found=_shown(Money(int(found)) if isinstance(stated, Money) else found),
                    )
                )
    return faults


def _sum(values: Iterable[Any]) -> Fraction:
    return sum((Fraction(v.fen if isinstance(v, Money) else v) for v in values if v is not None), Fraction(0))


def _shown(value: Any) -> str:
    return value.yuan() if isinstance(value, Money) else text(Fraction(value))


def summed(lines: Iterable[UsageValue]) -> list[Line]:
    """Return lines by item."""
    sums: dict[str, Fraction] = {}
    for line in lines:
        sums[line.code] = sums.get(line.code, Fraction(0)) + line.quantity
    return [Line(code, quantity) for code, quantity in sums.items()]
