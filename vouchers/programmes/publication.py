"""What stands in the way of publishing a version, all of it at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from portal.kernel.errors import Reason, noop
from vouchers.programmes import documents
from vouchers.programmes.schemes import Programme

__all__ = ["Standing", "obstacles"]

_ = noop

Period = tuple[date | None, date | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """A version that is in force now: how it is called, and the period it gives itself."""

    name: str
    in_force: Period | None


def obstacles(
    scheme: Programme,
    *,
    is_reviewed: bool,
    current: Standing | None,
    predecessors: Iterable[Standing],
    unknown: Iterable[int],
    today: date,
) -> list[Reason]:
    """Return every reason why the scheme may not be put in force `today` (Beijing).

    `current` is the version of the same programme now in force, which publishing supersedes; `predecessors` are open
    programmes of the department that the scheme says it replaces; `unknown` the co-lead departments, by place in the
    file, that are no registered department. Source of the review: 公平竞争审查条例 (国务院令第 783 号).
    """
    return [
        *_provenance(scheme),
        *_review(is_reviewed=is_reviewed),
        *(_unknown(scheme, at) for at in unknown),
        *_unit(scheme),
        *_period(scheme, current, today),
        *(_overlap(old) for old in predecessors if _meet(scheme.in_force, old.in_force)),
    ]


def _provenance(scheme: Programme) -> list[Reason]:
    return [
        Reason(
            "programme.provenance",
            _("规则文件缺少出处信息：%(path)s。"),
            _("请补充后重新导入。"),
            params={"path": gap.path},
        )
        for gap in documents.missing_to_publish(scheme)
    ] + [
        Reason(
            "programme.unknown_fact",
            _("规则文件 %(path)s 处的条件使用了未知的事实。"),
            _("请改用已知的事实，或在 facts 中声明后重新导入。"),
            params={"path": gap.path},
        )
        for gap in documents.unknown_facts(scheme)
    ]


def _review(*, is_reviewed: bool) -> list[Reason]:
    if is_reviewed:
        return []
    return [
        Reason(
            "programme.fair_review",
            _("还没有公平竞争审查记录。"),
            _("请由导入人以外的同事登记审查单位、日期、文号和结论。"),
        )
    ]


def _unknown(scheme: Programme, at: int) -> Reason:
    return Reason(
        "programme.co_lead_unknown",
        _("规则文件 %(path)s：配合单位“%(name)s”不是已登记的主管部门，或有同名单位。"),
        _("请先登记该部门，或在文件中写明它的统一社会信用代码（credit_code）后重新导入。"),
        params={"path": f"co_leads[{at}]", "name": scheme.co_leads[at].name},
    )


def _unit(scheme: Programme) -> list[Reason]:
    """A programme in card hours or tokens can be told, judged and tried, but its vouchers can not be spent here."""
    unit = scheme.terms.voucher.unit
    if unit == "CNY":
        return []
    return [
        Reason(
            "programme.unit",
            _("规则文件 voucher.unit 为“%(unit)s”：本系统只发放和核销以人民币计的券。"),
            _("请按单价折算成金额，把 voucher.unit 改为 CNY 后重新导入；试算不受影响。"),
            params={"unit": unit},
        )
    ]


def _period(scheme: Programme, current: Standing | None, today: date) -> list[Reason]:
    start, end = scheme.in_force or (None, None)
    if end is not None and end < today:
        return [
            Reason(
                "programme.ended",
                _("本版的有效期已于 %(end)s 届满。"),
                _("请导入有效期更新的版本。"),
                params={"end": end.isoformat()},
            )
        ]
    if current is None or start is None or start <= today:
        return []
    return [
        Reason(
            "programme.starts_later",
            _("本版自 %(start)s 起有效，在此之前由现行的%(name)s继续受理；现在发布会使受理中断。"),
            _("请在 %(start)s 当日或之后发布，或先使有效期衔接。"),
            params={"start": start.isoformat(), "name": current.name},
        )
    ]


def _meet(first: Period | None, second: Period | None) -> bool:
    """Tell whether two periods share a day; an open end is without limit, no period at all is always."""
    (a, b), (c, d) = first or (None, None), second or (None, None)
    return (a or date.min) <= (d or date.max) and (c or date.min) <= (b or date.max)


def _overlap(old: Standing) -> Reason:
    return Reason(
        "programme.overlap",
        _("本政策取代%(name)s，而后者仍在受理，有效期重叠。"),
        _("请先暂停后者，或调整有效期。"),
        params={"name": old.name},
    )
