"""Bounds of a rating and the errors of giving one. Pure."""

from __future__ import annotations

from typing import Final

from portal.kernel.errors import Conflict, Invalid, noop

__all__ = [
    "LEAST",
    "MOST",
    "TEXT",
    "AlreadyAnswered",
    "AlreadyRated",
    "BadStars",
    "NotOver",
    "TextMissing",
    "TextTooLong",
]

_ = noop

LEAST: Final = 1
MOST: Final = 5
TEXT: Final = 400
"""Longest comment or answer, characters."""


class BadStars(Invalid):
    code = "rating.stars"
    message = _("评分须为 1 到 5 分。")


class TextTooLong(Invalid):
    code = "rating.too_long"
    message = _("评价和回复不超过 400 字。")


class TextMissing(Invalid):
    code = "rating.answer"
    message = _("请填写回复内容。")


class NotOver(Conflict):
    code = "rating.not_over"
    message = _("服务完成并结算后才能评价。")


class AlreadyRated(Conflict):
    code = "rating.given"
    message = _("这次服务已经评价过，每次服务评价一次。")


class AlreadyAnswered(Conflict):
    code = "rating.answered"
    message = _("这条评价已经回复过。")
