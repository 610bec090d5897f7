"""What is looked at before an instrument is admitted to the catalogue. Pure.

Source of the list: what 国发〔2014〕70号 asks holders to publish (value from 500,000 yuan on by region, open hours, fees,
contact); the asset number keeps an instrument from being counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop
from portal.kernel.money import Money
from scheduler.catalogue.duties import Threshold

__all__ = [
    "Facts",
    "Finding",
    "Found",
    "Involved",
    "NotReviewed",
    "Outcome",
    "ReasonsMissing",
    "blocking",
    "checklist",
]

_ = noop


class Found(StrEnum):
    """OK: in order. LOOK: the officer judges. MISSING: the lab must mend it first."""

    OK = "ok"
    LOOK = "look"
    MISSING = "missing"


class Outcome(StrEnum):
    """How a proposal ended."""

    ADMITTED = "admitted"
    RETURNED = "returned"
    RECALLED = "recalled"


class NotReviewed(Conflict):
    """The provider's instruments need no review."""

    code = "instrument.not_reviewed"
    message = _("本单位的仪器不需要审核，可以直接发布。")


class ReasonsMissing(Invalid):
    code = "instrument.return_reasons"
    message = _("请写明退回的原因（10 到 1000 个字），提供单位会看到。")


class Involved(Forbidden):
    """Who belongs to the lab does not judge its instruments."""

    code = "instrument.involved"
    message = _("您是该仪器提供单位的成员，不能审核它。请由其他人员审核。")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an instrument when it is looked at. `lacks` is what publishing itself refuses."""

    internal_no: str
    value: Money
    threshold: Threshold
    contact: str
    phone: str
    lacks: Sequence[Reason] = ()
    twins: Sequence[str] = ()
    """Numbers of other instruments with the same asset number, whosever they are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checklist."""

    title: str
    found: Found
    reason: Reason


def checklist(facts: Facts) -> list[Finding]:
    """Return every line of the checklist, in the order it is read."""
    return [
        _value(facts),
        _asset(facts),
        _lacking(facts, _("收费标准"), {"rate"}, _("已公布对企业的价格。")),
        _contact(facts),
        _lacking(facts, _("开放时间"), {"hours"}, _("已设置开放时间。")),
        _lacking(facts, _("共享与运行状态"), {"share_mode", "running_state"}, _("对外共享，未报废。")),
    ]


def blocking(findings: Sequence[Finding]) -> list[Reason]:
    """Return what the lab must mend before the instrument can be proposed or admitted."""
    return [finding.reason for finding in findings if finding.found is Found.MISSING]


def _value(facts: Facts) -> Finding:
    title = _("原值与入网标准")
    params = {
        "value": str(facts.value),
        "threshold": str(facts.threshold.value),
        "source": facts.threshold.source,
    }
    if not facts.value.fen:
        missing = Reason(
            "instrument.no_value",
            _("还没有填写原值，不能判断是否应当入网。"),
            _("请在资料中填写原值。"),
            field="original_value_fen",
        )
        return Finding(title, Found.MISSING, missing)
    if facts.value.fen >= facts.threshold.value.fen:
        due = Reason(
            "instrument.must_list",
            _("原值 %(value)s，达到 %(threshold)s（%(source)s），应当入网。"),
            params=params,
        )
        return Finding(title, Found.OK, due)
    free = Reason(
        "instrument.may_list",
        _("原值 %(value)s，低于 %(threshold)s（%(source)s），自愿入网。"),
        params=params,
    )
    return Finding(title, Found.OK, free)


def _asset(facts: Facts) -> Finding:
    title = _("资产编号与重复登记")
    if not facts.internal_no:
        missing = Reason(
            "instrument.no_asset_number",
            _("还没有填写资产编号，不能核对是否重复登记。"),
            _("请在资料中填写单位内部编号（资产编号）。"),
            field="internal_no",
        )
        return Finding(title, Found.MISSING, missing)
    if facts.twins:
        twice = Reason(
            "instrument.asset_twice",
            _("资产编号“%(number)s”另有登记：%(twins)s。"),
            _("请核对是否为同一台仪器；同一台只保留一条。"),
            field="internal_no",
            params={"number": facts.internal_no, "twins": ", ".join(facts.twins)},
        )
        return Finding(title, Found.LOOK, twice)
    once = Reason("instrument.asset_once", _("资产编号“%(number)s”没有重复。"), params={"number": facts.internal_no})
    return Finding(title, Found.OK, once)


def _contact(facts: Facts) -> Finding:
    title = _("联系方式")
    if not facts.contact.strip() or not facts.phone.strip():
        missing = Reason(
            "instrument.no_contact",
            _("还没有填写联系人和电话。"),
            _("请在资料中填写，企业按它联系。"),
            field="contact",
        )
        return Finding(title, Found.MISSING, missing)
    known = Reason(
        "instrument.contact",
        _("%(contact)s，%(phone)s"),
        params={"contact": facts.contact, "phone": facts.phone},
    )
    return Finding(title, Found.OK, known)


def _lacking(facts: Facts, title: str, fields: set[str], fine: str) -> Finding:
    wrong = [reason for reason in facts.lacks if reason.field in fields]
    if wrong:
        return Finding(title, Found.MISSING, wrong[0])
    return Finding(title, Found.OK, Reason("instrument.in_order", fine))
