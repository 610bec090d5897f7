"""States of a flag, and the patterns a flag may name. Pure.

A flag never refuses anything: it explains what was noticed and waits for a person, who clears or confirms it with a
reason. Source of the patterns: audit reports on subsidy fraud, listed in ``docs/controls.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Forbidden, Invalid, noop

__all__ = ["TRANSITIONS", "FlagAction", "FlagState", "InvolvedPerson", "Pattern", "ReasonMissing"]

_ = noop


class FlagState(StrEnum):
    OPEN = "open"
    CLEARED = "cleared"
    CONFIRMED = "confirmed"


class FlagAction(StrEnum):
    CLEAR = "clear"
    CONFIRM = "confirm"
    REOPEN = "reopen"


S, A = FlagState, FlagAction

TRANSITIONS: Final[Mapping[tuple[FlagState, FlagAction], FlagState]] = MappingProxyType(
    {
        (S.OPEN, A.CLEAR): S.CLEARED,
        (S.OPEN, A.CONFIRM): S.CONFIRMED,
        (S.CLEARED, A.REOPEN): S.OPEN,
        (S.CONFIRMED, A.REOPEN): S.OPEN,
    }
)


class Pattern(StrEnum):
    """The twelve patterns that data can see, and two that claims report themselves."""

    PRICE_ABOVE_LIST = "price_above_list"
    OWN_SHARE_RETURNED = "own_share_returned"
    RELATED_PARTY = "related_party"
    EMPTY_USE = "empty_use"
    SPLIT_CONTRACT = "split_contract"
    BACKDATED = "backdated"
    DOUBLE_CLAIM = "double_claim"
    SAME_PEOPLE = "same_people"
    LAST_DAYS_BURN = "last_days_burn"
    SHARED_ACCOUNT = "shared_account"
    INSIDER = "insider"
    INFLATED_HOURS = "inflated_hours"
    DUPLICATE_INVOICE = "duplicate_invoice"


class ReasonMissing(Invalid):
    code = "flag.reason"
    message = _("请写明核查结论和依据。")


class InvolvedPerson(Forbidden):
    code = "flag.involved"
    message = _("您是相关单位的成员，不能处理这条提示。请由其他同事办理。")
