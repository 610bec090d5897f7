"""Words for payment rails: what a gateway is called, and what it calls the states of a dispute."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from django.utils.translation import gettext, pgettext_lazy

from portal.kernel.errors import noop
from vouchers.settlements.payout_models import RailPayout

__all__ = ["PLAIN", "dispute_words", "rail_name"]

_ = noop

RAILS: Final[Mapping[str, Any]] = MappingProxyType({"bank": _("对公转账"), "stripe": _("在线支付（Stripe）")})
"""By the code in ``settings.PAYMENT_RAILS``; one without a word shows its code."""
DISPUTES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "needs_response": pgettext_lazy("dispute", "待举证"),
        "under_review": pgettext_lazy("dispute", "支付机构审核中"),
        "won": pgettext_lazy("dispute", "胜诉，款项已退还"),
        "lost": pgettext_lazy("dispute", "败诉，款项不再退还"),
        "prevented": pgettext_lazy("dispute", "已避免"),
        "warning_needs_response": pgettext_lazy("dispute", "查询待答复，未扣款"),
        "warning_under_review": pgettext_lazy("dispute", "查询审核中，未扣款"),
        "warning_closed": pgettext_lazy("dispute", "查询已了结，未扣款"),
    }
)
"""Stripe's states of a dispute (API reference, ``dispute.status``)."""
PLAIN: Final[Mapping[str, Any]] = MappingProxyType(
    {"rail": RAILS, "rail_dispute": DISPUTES, "rail_payout": dict(RailPayout.State.choices)}
)


def rail_name(code: str) -> str:
    """Say what a way to pay is called; one without words by its code."""
    return gettext(str(RAILS[code])) if code in RAILS else code


def dispute_words(state: str) -> str:
    """Say a gateway's state of a dispute; one without words as the gateway says it."""
    return gettext(str(DISPUTES[state])) if state in DISPUTES else state
