"""States of notices, their items and objections; when a notice ends; what it may print. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Forbidden, Invalid, NotFound, noop
from portal.kernel.workdays import Workdays

__all__ = [
    "ITEM_TRANSITIONS",
    "MINIMAL",
    "OBJECTION_TRANSITIONS",
    "TRANSITIONS",
    "HadPart",
    "ItemAction",
    "ItemState",
    "NoSuchReceipt",
    "NothingToNotice",
    "NoticeAction",
    "NoticeState",
    "ObjectionAction",
    "ObjectionEmpty",
    "ObjectionState",
    "PeriodOver",
    "ReasonMissing",
    "SamePerson",
    "TooManyObjections",
    "end_of",
    "may_print",
    "printed",
]

_ = noop

BEIJING: Final = ZoneInfo("Asia/Shanghai")


class NoticeState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    CLOSED = "closed"
    DISCARDED = "discarded"


class NoticeAction(StrEnum):
    PUBLISH = "publish"
    CLOSE = "close"
    DISCARD = "discard"


class ItemState(StrEnum):
    """What became of one item: `dropped` when its case left the notice (withdrawn, appealed, objection upheld)."""

    NOTICED = "noticed"
    OBJECTED = "objected"
    GRANTED = "granted"
    DROPPED = "dropped"


class ItemAction(StrEnum):
    OBJECT = "object"
    DISMISS = "dismiss"
    GRANT = "grant"
    DROP = "drop"


class ObjectionState(StrEnum):
    OPEN = "open"
    UPHELD = "upheld"
    REJECTED = "rejected"
    MOOT = "moot"


class ObjectionAction(StrEnum):
    UPHOLD = "uphold"
    REJECT = "reject"
    LAPSE = "lapse"


TRANSITIONS: Final[Mapping[tuple[NoticeState, NoticeAction], NoticeState]] = MappingProxyType(
    {
        (NoticeState.DRAFT, NoticeAction.PUBLISH): NoticeState.PUBLISHED,
        (NoticeState.DRAFT, NoticeAction.DISCARD): NoticeState.DISCARDED,
        (NoticeState.PUBLISHED, NoticeAction.CLOSE): NoticeState.CLOSED,
    }
)
ITEM_TRANSITIONS: Final[Mapping[tuple[ItemState, ItemAction], ItemState]] = MappingProxyType(
    {
        (ItemState.NOTICED, ItemAction.OBJECT): ItemState.OBJECTED,
        (ItemState.NOTICED, ItemAction.GRANT): ItemState.GRANTED,
        (ItemState.NOTICED, ItemAction.DROP): ItemState.DROPPED,
        (ItemState.OBJECTED, ItemAction.DISMISS): ItemState.NOTICED,
        (ItemState.OBJECTED, ItemAction.DROP): ItemState.DROPPED,
    }
)
OBJECTION_TRANSITIONS: Final[Mapping[tuple[ObjectionState, ObjectionAction], ObjectionState]] = MappingProxyType(
    {
        (ObjectionState.OPEN, ObjectionAction.UPHOLD): ObjectionState.UPHELD,
        (ObjectionState.OPEN, ObjectionAction.REJECT): ObjectionState.REJECTED,
        (ObjectionState.OPEN, ObjectionAction.LAPSE): ObjectionState.MOOT,
    }
)

MINIMAL: Final = ("number", "applicant", "programme", "amount")
"""What a notice prints when its programme names no fields: who gets how much under what, and nothing else."""

PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {"applicant": "applicant.name", "provider": "provider.name", "project": "contract.project", "base": "cost.base"}
)
"""The fact each printed field shows, as ``confidential_fields`` may name it."""


class SamePerson(Forbidden):
    code = "notice.same_person"
    message = _("拟稿人不能发布自己拟的公示。请由另一位同事核对后发布。")


class HadPart(Forbidden):
    code = "objection.had_part"
    message = _("您经办过这份申请，或是申请单位的成员，不能处理对它的异议。请由其他同事办理。")


class NothingToNotice(Conflict):
    code = "notice.nothing"
    message = _("没有已审定、待公示的申请。")


class PeriodOver(Conflict):
    code = "notice.over"
    message = _("公示期已结束，或这一项已不在公示中，不再受理异议。如有线索，请直接联系主管部门。")


class ObjectionEmpty(Invalid):
    code = "objection.empty"
    message = _("请写明异议的事实和理由（至少 %(least)s 个字），并留下姓名和联系方式以便核实。")


class TooManyObjections(Conflict):
    code = "objection.too_many"
    message = _("来自您网络的异议提交过于频繁，请一小时后再试，或按公示所列联系方式反映。")


class ReasonMissing(Invalid):
    code = "objection.reason"
    message = _("请写明处理理由，提出异议的人会看到。")


class NoSuchReceipt(NotFound):
    code = "objection.receipt"
    message = _("没有这个回执号。请核对后再查，字母不分大小写。")


def end_of(published: datetime, *, working_days: int, calendar: Workdays) -> tuple[date, datetime]:
    """Return a notice's last day, and the instant it is over: midnight in Beijing after that day.

    The day of publication is not counted; the period is `working_days` days of the State Council's calendar, make-up
    Saturdays included. Source: 武汉市资金管理办法 2025 第十三条 (at least five working days); Civil Code, Article 201.
    """
    last = calendar.add_working_days(published.astimezone(BEIJING).date(), working_days)
    return last, datetime.combine(last + timedelta(days=1), time(), BEIJING)


def may_print(fields: Iterable[str], confidential: Iterable[str]) -> tuple[str, ...]:
    """Return the fields a notice prints: those asked for, else the minimal ones, never a confidential one.

    A confidential field is named by itself or by the fact it shows; the case's number is never hidden, an objection has
    to name its item.
    """
    hidden = set(confidential)
    wanted = tuple(fields) or MINIMAL
    shown = [name for name in wanted if name not in hidden and PATHS.get(name, name) not in hidden]
    return ("number", *(name for name in shown if name != "number"))


def printed(fields: Iterable[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is frozen into an item: the printed fields that have a value."""
    return {name: values[name] for name in fields if values.get(name) not in (None, "")}
