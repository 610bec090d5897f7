"""States of a round, the lottery's seed and its published commitment. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, noop

__all__ = [
    "NOT_DRAWN",
    "SEED_BYTES",
    "TRANSITIONS",
    "AlreadyOpen",
    "BadWindow",
    "NobodyWaits",
    "NotABatch",
    "PoolTooLarge",
    "PublicValueMissing",
    "RoundAction",
    "RoundChanged",
    "RoundState",
    "SamePerson",
    "StillOpen",
    "StillReviewed",
    "TakesPart",
    "commitment",
    "is_committed",
    "seed_of",
]

_ = noop

SEED_BYTES: Final = 32
NOT_DRAWN: Final = _("未抽中：排在前面的申请用完了本批资金。")
"""What its applicant reads of an application the lots decided against."""


class RoundState(StrEnum):
    """Where a round stands; `deciding` = a first person has proposed the allocation."""

    OPEN = "open"
    CLOSED = "closed"
    DECIDING = "deciding"
    DECIDED = "decided"
    NOTICED = "noticed"
    GRANTED = "granted"
    EVALUATED = "evaluated"


class RoundAction(StrEnum):
    CLOSE = "close"
    PROPOSE = "propose"
    REJECT = "reject"
    CONFIRM = "confirm"
    NOTICE = "notice"
    GRANT = "grant"
    EVALUATE = "evaluate"


S, A = RoundState, RoundAction

TRANSITIONS: Final[Mapping[tuple[RoundState, RoundAction], RoundState]] = MappingProxyType(
    {
        (S.OPEN, A.CLOSE): S.CLOSED,
        (S.CLOSED, A.PROPOSE): S.DECIDING,
        (S.DECIDING, A.REJECT): S.CLOSED,
        (S.DECIDING, A.CONFIRM): S.DECIDED,
        (S.DECIDED, A.NOTICE): S.NOTICED,
        (S.DECIDED, A.GRANT): S.GRANTED,
        (S.NOTICED, A.GRANT): S.GRANTED,
        (S.GRANTED, A.EVALUATE): S.EVALUATED,
    }
)
"""Source: decided collectively, then shown publicly, then paid (武汉市资金管理办法 2025 第十三条)."""


class NotABatch(Conflict):
    code = "round.not_a_batch"
    message = _("该政策按提交先后随到随批，没有批次。")


class AlreadyOpen(Conflict):
    code = "round.already_open"
    message = _("该政策已有一批正在受理。请等它截止后再开新的一批。")


class BadWindow(Invalid):
    code = "round.window"
    message = _("受理截止时间须晚于开始时间，且晚于现在。")


class StillOpen(Conflict):
    code = "round.still_open"
    message = _("本批受理截至 %(ends)s，届时方可截止。已公布的受理期不能缩短。")


class StillReviewed(Conflict):
    code = "round.still_reviewed"
    message = _("本批还有 %(count)s 份申请未审完（%(numbers)s）。请先办结这些申请，再确定本批结果。")


class NobodyWaits(Conflict):
    code = "round.nobody"
    message = _("本批没有等待分配的申请。")


class PoolTooLarge(Invalid):
    code = "round.pool"
    message = _("本批可用资金须大于零，且不超过资金池余额 %(limit)s。")


class PublicValueMissing(Invalid):
    code = "round.public_value"
    message = _("开批时已公布抽签种子将并入“%(source)s”。请填写该数值。")


class RoundChanged(Conflict):
    code = "round.changed"
    message = _("提出方案之后，申请或资金池有变化，方案已不适用。请驳回本方案，由经办人重新提出。")


class SamePerson(Forbidden):
    code = "round.same_person"
    message = _("同一批次须由两人先后确定。您已提出方案，请由另一位同事复核。")


class TakesPart(Forbidden):
    code = "round.takes_part"
    message = _("您是本批某申请单位的成员，应当回避。请由其他同事办理。")


def commitment(secret: bytes) -> str:
    """Return what is published before the intake closes: SHA-256 of the secret, as hexadecimal text."""
    return hashlib.sha256(secret).hexdigest()


def is_committed(secret: bytes, published: str) -> bool:
    """Say whether `secret` is the one whose commitment was published."""
    return hmac.compare_digest(commitment(secret), published)


def seed_of(secret: bytes, public_value: str = "") -> bytes:
    """Return the seed lots are drawn with: the secret, mixed with a value nobody here can choose, if one was announced.

    With a public value it is SHA-256 of the secret followed by the value in UTF-8: whoever knows the secret early does
    not know the value, and whoever knows the value does not know the secret.
    """
    return hashlib.sha256(secret + public_value.encode()).digest() if public_value else secret
