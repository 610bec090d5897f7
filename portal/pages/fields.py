"""Form fields for values the domain knows."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from portal.http import explain
from portal.kernel.money import BadAmount, Money

__all__ = ["DayInput", "YuanField"]


class DayInput(forms.DateInput):
    """A browser's own date picker: it shows a day only where it is written as ISO 8601, whatever the page's language."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")


class YuanField(forms.Field):
    """Yuan with at most two decimals, cleaned to `Money`; None where it may be left empty and was.

    `least_fen` is the smallest amount taken. Separators and a yuan sign, as people copy them, are read.
    """

    def __init__(self, *, least_fen: int = 1, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(**{"widget": widget, **kwargs})
        self.least_fen = least_fen

    def to_python(self, value: Any) -> Money | None:
        text = str(value or "").strip().lstrip("¥￥")
        if not text:
            return None
        try:
            amount = Money.from_yuan(text)
        except BadAmount as error:
            raise ValidationError(explain(error).text) from error
        if amount.fen < self.least_fen:
            raise ValidationError(gettext("金额不能小于 %(least)s。") % {"least": Money(self.least_fen)})
        return amount

    def prepare_value(self, value: Any) -> Any:
        return value.yuan() if isinstance(value, Money) else value
