"""What is wrong with a malformed payload, in the reader's language: the parser itself speaks only English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext

from portal.kernel.errors import noop

__all__ = ["payload_reason"]

_ = noop

OBJECT = _("须为对象。")
TIME = _("不是有效的时间。请按 2026-11-26T09:00:00+08:00 的格式填写。")
DAY = _("不是有效的日期。请按 2026-11-26 的格式填写。")
WHOLE = _("须为整数。")
TOO_SHORT = _("过短：长度至少为 %(min_length)s。")
TOO_LONG = _("过长：长度不能超过 %(max_length)s。")
FLAG = _("须为 true 或 false。")

TEXTS: Final[Mapping[str, str]] = {
    "missing": _("缺少此项。"),
    "extra_forbidden": _("没有这个字段，请检查拼写。"),
    "string_type": _("须为文本。"),
    "string_unicode": _("含有无法识别的字符。"),
    "string_too_short": TOO_SHORT,
    "string_too_long": TOO_LONG,
    "string_pattern_mismatch": _("格式不符，应匹配 %(pattern)s。"),
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "int_parsing_size": _("数值过大。"),
    "bool_type": FLAG,
    "bool_parsing": FLAG,
    "greater_than_equal": _("不能小于 %(ge)s。"),
    "less_than_equal": _("不能大于 %(le)s。"),
    "enum": _("只能是 %(expected)s 之一。"),
    "timezone_aware": _("时间须带时区偏移，例如 +08:00。"),
    "datetime_type": TIME,
    "datetime_parsing": TIME,
    "datetime_from_date_parsing": TIME,
    "datetime_object_invalid": TIME,
    "date_type": DAY,
    "date_parsing": DAY,
    "date_from_datetime_parsing": DAY,
    "date_from_datetime_inexact": DAY,
    "list_type": _("须为列表。"),
    "dict_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "too_short": TOO_SHORT,
    "too_long": TOO_LONG,
}
"""By the parser's own code of the error; our own checks already speak the reader's language."""

WHOLE_THINGS = frozenset({"payload", "wanted", "window"})
"""How endpoints call a whole body or a whole query: no part of a field's path."""


def payload_reason(error: Mapping[str, Any]) -> dict[str, str]:
    """Return one error of the parser as a reason that names the field by its path."""
    kind = str(error["type"])
    template = TEXTS.get(kind)
    text = gettext(template) % error.get("ctx", {}) if template else str(error["msg"])
    _where, *path = [str(part) for part in error["loc"]]
    if path and path[0] in WHOLE_THINGS:
        path = path[1:]
    return {"code": kind, "text": text, "remedy": str(error.get("ctx", {}).get("remedy", "")), "field": ".".join(path)}
