"""Kinds of offers, the states of offers and orders, and when an order is accepted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, Refused, noop

__all__ = [
    "DEARER",
    "LATEST",
    "METERED",
    "MORE_THAN_DELIVERED",
    "NOTICE",
    "NOT_PAID",
    "OFFER_TRANSITIONS",
    "PREPAY_DAYS",
    "STATEMENT_GRACE",
    "TRANSITIONS",
    "UNANSWERED",
    "DeliveryForm",
    "FilePurpose",
    "Involved",
    "NoPrice",
    "NotDeliverable",
    "NoteMissing",
    "OfferAction",
    "OfferKind",
    "OfferState",
    "OrderAction",
    "OrderState",
    "Purchase",
    "SaleChannel",
    "Terms",
    "delivery_reasons",
    "is_accepted_by_silence",
    "notice_due",
    "programme_reasons",
]

_ = noop


class OfferKind(StrEnum):
    """What is sold, in the words a programme's `subject` and a contract's `items` use: it is the charge's service class."""

    CORPUS = "corpus"
    DATA_PRODUCT = "data_product"
    MODEL_API = "model_api"
    MODEL_PRIVATE = "model_private"
    AGENT_SERVICE = "agent_service"
    RD_SERVICE = "rd_service"


METERED: Final = frozenset({OfferKind.MODEL_API})
"""Kinds paid by use: delivered only with usage lines. Source: model voucher texts ask for the bill and the usage record
(e.g. 深圳市"模型券" 2025; 上海市"模型券" 2025)."""


class DeliveryForm(StrEnum):
    DOWNLOAD = "download"
    API = "api"
    MEDIA = "media"
    ON_SITE = "on_site"
    DEPLOYMENT = "deployment"


class SaleChannel(StrEnum):
    """Where the sale is made; a programme may ask for one. The words are those of the rule engine's facts."""

    DIRECT = "direct"
    DATA_EXCHANGE = "data_exchange"


class OfferState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class OfferAction(StrEnum):
    PUBLISH = "publish"
    SUSPEND = "suspend"
    WITHDRAW = "withdraw"


OFFER_TRANSITIONS: Final[Mapping[tuple[OfferState, OfferAction], OfferState]] = MappingProxyType(
    {
        (OfferState.DRAFT, OfferAction.PUBLISH): OfferState.PUBLISHED,
        (OfferState.SUSPENDED, OfferAction.PUBLISH): OfferState.PUBLISHED,
        (OfferState.PUBLISHED, OfferAction.SUSPEND): OfferState.SUSPENDED,
        (OfferState.DRAFT, OfferAction.WITHDRAW): OfferState.WITHDRAWN,
        (OfferState.PUBLISHED, OfferAction.WITHDRAW): OfferState.WITHDRAWN,
        (OfferState.SUSPENDED, OfferAction.WITHDRAW): OfferState.WITHDRAWN,
    }
)


class OrderState(StrEnum):
    PLACED = "placed"
    ACCEPTED = "accepted"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    DISPUTED = "disputed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    LAPSED = "lapsed"


class OrderAction(StrEnum):
    """`approve` is the buyer's acceptance, or its silence after notice; `give_up` the provider's way out.

    `lapse` ends what no provider answered, or whose advance did not arrive in time.
    """

    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"
    LAPSE = "lapse"
    BEGIN = "begin"
    DELIVER = "deliver"
    APPROVE = "approve"
    DISPUTE = "dispute"
    GIVE_UP = "give_up"
    RULE = "rule"
    """The department decides a dispute: what of the delivery counts is settled."""
    QUASH = "quash"
    """The department decides that nothing of the delivery counts."""


S, A = OrderState, OrderAction

TRANSITIONS: Final[Mapping[tuple[OrderState, OrderAction], OrderState]] = MappingProxyType(
    {
        (S.PLACED, A.ACCEPT): S.ACCEPTED,
        (S.PLACED, A.DECLINE): S.DECLINED,
        (S.PLACED, A.CANCEL): S.CANCELLED,
        (S.PLACED, A.LAPSE): S.LAPSED,
        (S.ACCEPTED, A.CANCEL): S.CANCELLED,
        (S.ACCEPTED, A.LAPSE): S.LAPSED,
        (S.ACCEPTED, A.BEGIN): S.DELIVERING,
        (S.ACCEPTED, A.GIVE_UP): S.CANCELLED,
        (S.DELIVERING, A.DELIVER): S.DELIVERED,
        (S.DELIVERING, A.GIVE_UP): S.CANCELLED,
        (S.DELIVERED, A.APPROVE): S.COMPLETED,
        (S.DELIVERED, A.DISPUTE): S.DISPUTED,
        (S.DISPUTED, A.APPROVE): S.COMPLETED,
        (S.DISPUTED, A.DELIVER): S.DELIVERED,
        (S.DISPUTED, A.GIVE_UP): S.CANCELLED,
        (S.DISPUTED, A.RULE): S.COMPLETED,
        (S.DISPUTED, A.QUASH): S.CANCELLED,
    }
)


class FilePurpose(StrEnum):
    """What a file kept with an order is."""

    DELIVERY_PROOF = "delivery_proof"
    LICENCE = "licence"
    EXCHANGE_CERTIFICATE = "exchange_certificate"
    BILL = "bill"
    USAGE = "usage"
    ACCEPTANCE_NOTE = "acceptance_note"
    DISPUTE = "dispute"


UNANSWERED: Final = timedelta(days=7)
"""How long an order waits for the provider's answer before it lapses and the money is free again."""
STATEMENT_GRACE: Final = timedelta(days=3)
"""How much longer an order waits for a transfer its buyer declared in time: the bank's statement comes after it."""
LATEST: Final = timedelta(days=30)
"""How late an advance may come for the same to be ordered again; after that it goes back."""
NOTICE: Final = timedelta(days=2)
"""How long before acceptance by silence the buyer has been told that it is coming, at least."""


PREPAY_DAYS: Final = 15
"""How many days a provider may give for an advance, at most. An engineering value, as for bookings by bank transfer."""

NOT_PAID: Final = Reason(
    "order.not_paid",
    _("这个订单须预付自付部分，款项还没有到账，不能开始交付。"),
    _("请等待采购单位付款；到账后即可开始交付。逾期未付的，订单自动失效。"),
)
DEARER: Final = Reason(
    "order.dearer",
    _("付款期限已过，价格或付款条件在此期间有变，不能按原价下单。"),
    _("请按现行价格重新下单。"),
)


class NoPrice(Conflict):
    code = "offer.no_price"
    message = _("该服务目前没有生效的价目表，暂不能下单。请联系提供单位公布价格。")


class NoteMissing(Invalid):
    code = "order.note"
    message = _("请写明原因（200 字以内），对方会看到。")


class Involved(Forbidden):
    code = "order.involved"
    message = _("您是采购单位或提供单位的成员，不能裁决这个订单。请由其他同事办理。")


MORE_THAN_DELIVERED: Final = Reason(
    "order.more_than_delivered",
    _("认可的数量须不小于零，且不超过交付数量。"),
    _("请对照交付数量修改。"),
    field="quantities",
)


class NotDeliverable(Refused):
    code = "order.not_deliverable"
    message = _("还不能提交交付，原因如下。")


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the rules of a voucher's programme look at. Facts as the rule engine has them, below ``contract``/``provider``."""

    channel: SaleChannel
    model_filed: bool
    related: bool
    provider: Mapping[str, object]

    def facts(self) -> dict[str, object]:
        contract = {"channel": self.channel.value, "model_filed": self.model_filed, "related": self.related}
        return {"contract": contract, "provider": dict(self.provider)}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a voucher's programme asks of a purchase, judged: paths of facts that fail; relation between the parties."""

    failed: frozenset[str]
    related_forbidden: bool


def programme_reasons(purchase: Purchase, *, terms: Terms, voucher: str) -> list[Reason]:
    """Return every ground on which the programme behind `voucher` does not pay for this purchase."""
    reasons: list[Reason] = []

    def refuse(code: str, message: str, remedy: str) -> None:
        reasons.append(Reason(code, message, remedy, field="vouchers", params={"voucher": voucher}))

    if purchase.related and terms.related_forbidden:
        refuse(
            "order.related",
            _("券 %(voucher)s 所属政策不允许向关联方采购。"),
            _("请选择没有关联关系的提供单位，或全部自付。"),
        )
    if "contract.channel" in terms.failed:
        refuse(
            "order.channel",
            _("券 %(voucher)s 只能用于规定渠道的采购，这项服务的成交渠道不符合。"),
            _("请选择经数据交易所成交的服务，或全部自付。"),
        )
    if "contract.model_filed" in terms.failed:
        refuse(
            "order.not_filed",
            _("券 %(voucher)s 只能用于已备案的模型，这项服务没有登记备案号。"),
            _("请选择已备案的模型，或全部自付。"),
        )
    if any(path.startswith("provider") for path in terms.failed):
        refuse(
            "order.provider",
            _("提供单位不符合券 %(voucher)s 所属政策的要求。"),
            _("请在政策页面查看对服务机构的要求，换一家提供单位，或全部自付。"),
        )
    if (
        terms.failed
        - {"contract.channel", "contract.model_filed"}
        - {p for p in terms.failed if p.startswith("provider")}
    ):
        refuse(
            "order.purchase",
            _("这项采购不符合券 %(voucher)s 所属政策的条件。"),
            _("请在政策页面查看支持范围，或全部自付。"),
        )
    return reasons


def delivery_reasons(
    *, kind: OfferKind, channel: SaleChannel, purposes: Sequence[str], has_usage: bool, stated: bool
) -> list[Reason]:
    """Return everything that lacks before an order can be handed over as delivered."""
    reasons: list[Reason] = []
    if kind in METERED and not has_usage:
        reasons.append(
            Reason(
                "order.no_usage",
                _("按用量计费的服务须先导入用量明细。"),
                _("请在“用量明细”中上传表格或用接口写入。"),
                field="usage",
            )
        )
    if not has_usage and FilePurpose.DELIVERY_PROOF.value not in purposes:
        reasons.append(
            Reason(
                "order.no_proof",
                _("缺少交付凭证。"),
                _("请上传交付清单、签收单或成果报告。"),
                field="file",
            )
        )
    if channel is SaleChannel.DATA_EXCHANGE and FilePurpose.EXCHANGE_CERTIFICATE.value not in purposes:
        reasons.append(
            Reason(
                "order.no_certificate",
                _("经数据交易所成交的，须有交易凭证。"),
                _("请上传数据交易所出具的交易凭证。"),
                field="file",
            )
        )
    if has_usage and stated:
        reasons.append(
            Reason(
                "order.stated_twice",
                _("已导入用量明细，实际数量以明细为准，不能另填。"),
                _("请去掉填写的数量，或撤回用量明细。"),
                field="quantities",
            )
        )
    return reasons


def notice_due(*, accept_by: datetime, noticed_at: datetime | None, now: datetime) -> bool:
    """Say whether the buyer is to be told now that silence will count as acceptance: `NOTICE` before the deadline."""
    return noticed_at is None and now >= accept_by - NOTICE


def is_accepted_by_silence(*, accept_by: datetime, noticed_at: datetime | None, now: datetime) -> bool:
    """Say whether silence counts as acceptance: after the deadline, and at least `NOTICE` after the buyer was told."""
    return noticed_at is not None and now >= accept_by and now >= noticed_at + NOTICE
