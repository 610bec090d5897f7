"""Errors the portal answers with.

* PortalError
  + NotFound     404  absent, or not for this actor to see
  + Forbidden    403  seen, but not this actor's to do
  + Invalid      422  a value is malformed; names the field
  + Conflict     409  the record's state does not allow it
    - InvalidTransition
  + Refused      409  policy says no; carries every reason, each with its remedy
  + Unavailable  503  an outside system did not answer: retry
  + Rejected     502  an outside system said no: do not retry

HTTP statuses are decided in ``portal/api.py`` and ``portal/pages``; the numbers above only tell the reader.
``code`` is stable and dotted, ``message`` a translatable Chinese template filled from the keyword parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Conflict",
    "Forbidden",
    "Invalid",
    "InvalidTransition",
    "NotFound",
    "PortalError",
    "Reason",
    "Refused",
    "Rejected",
    "Unavailable",
    "noop",
]


def noop(text: str) -> str:
    """Mark `text` for translation without translating it (the kernel knows no language)."""
    return text


_ = noop


class PortalError(Exception):
    """Base of every error a user may see.

    `params` fill the message template; `field` names the input to blame ("" = the whole request).
    """

    code = "error"
    message = _("出错了，请稍后再试。")

    def __init__(self, *, field: str = "", **params: Any) -> None:
        self.field = field
        self.params = params
        super().__init__(self.code)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.field, self.params)

    def __str__(self) -> str:
        return f"{self.code}: {self.message % self.params if self.params else self.message}"


def _rebuild(kind: type[PortalError], field: str, params: dict[str, Any]) -> PortalError:
    error = kind.__new__(kind)
    PortalError.__init__(error, field=field, **params)
    return error


class NotFound(PortalError):
    """Absent, or hidden from this actor: the two are never told apart."""

    code = "not_found"
    message = _("没有找到您要的内容，或您无权查看。")


class Forbidden(PortalError):
    code = "forbidden"
    message = _("您的角色不能执行此操作。")


class Invalid(PortalError):
    """A value is malformed. Always give `field`."""

    code = "invalid"
    message = _("填写有误。")


class Conflict(PortalError):
    code = "conflict"
    message = _("当前状态不允许此操作，请刷新后再试。")


class InvalidTransition(Conflict):
    """`state` does not allow `action`: both are codes, for the API; the message speaks without them."""

    code = "conflict.transition"
    message = _("该记录的当前状态不允许此操作，请刷新页面查看最新状态。")


@dataclass(frozen=True, slots=True)
class Reason:
    """One ground for a refusal: what is wrong and what would fix it.

    `message` and `remedy` are translatable Chinese templates filled from `params`.
    """

    code: str
    message: str
    remedy: str = ""
    field: str = ""
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Refused(PortalError):
    """Policy says no. `reasons` holds *all* grounds, never just the first; `data` may carry alternatives."""

    code = "refused"
    message = _("申请未被接受，原因如下。")

    def __init__(
        self, reasons: Sequence[Reason] = (), *, field: str = "", data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(field=field)
        self.reasons = tuple(reasons)
        self.data = dict(data or {})
        if self.reasons:
            self.field = field or self.reasons[0].field

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reasons,), {"field": self.field, "data": self.data}

    def __str__(self) -> str:
        return f"{self.code}: {', '.join(r.code for r in self.reasons)}"


class Unavailable(PortalError):
    """An outside system did not answer; the same call may succeed later."""

    code = "unavailable"
    message = _("外部系统暂时没有响应，稍后会自动重试。")


class Rejected(PortalError):
    """An outside system understood and said no; repeating the call is pointless."""

    code = "rejected"
    message = _("外部系统拒绝了请求：%(reason)s")
