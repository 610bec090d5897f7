"""What a gateway's codes mean for the payer: a reason and a remedy in words. Pure.

Codes are those of the gateways' own catalogues (Stripe: error and decline codes) and ours (``not_found``, ``expired``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Reason, noop

__all__ = ["explained"]

_ = noop

ANOTHER: Final = _("请换一种支付方式，或对公转账。")
BANK: Final = _("请联系发卡银行，或换一张卡、换一种支付方式。")
AGAIN: Final = _("请重新发起支付。")
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "card_declined": (_("发卡银行拒绝了这笔支付。"), BANK),
        "generic_decline": (_("发卡银行拒绝了这笔支付。"), BANK),
        "do_not_honor": (_("发卡银行拒绝了这笔支付。"), BANK),
        "lost_card": (_("发卡银行拒绝了这笔支付。"), BANK),
        "stolen_card": (_("发卡银行拒绝了这笔支付。"), BANK),
        "fraudulent": (_("发卡银行拒绝了这笔支付。"), BANK),
        "insufficient_funds": (_("余额不足。"), _("请充值后重试，或换一种支付方式。")),
        "expired_card": (_("银行卡已过期。"), _("请换一张卡。")),
        "incorrect_cvc": (_("银行卡安全码有误。"), _("请核对后重试。")),
        "incorrect_number": (_("银行卡号有误。"), _("请核对后重试。")),
        "processing_error": (_("支付机构处理出错，没有扣款。"), AGAIN),
        "authentication_required": (_("没有通过银行的身份验证。"), AGAIN),
        "payment_intent_authentication_failure": (_("没有通过身份验证，没有扣款。"), AGAIN),
        "payment_method_provider_decline": (_("支付平台拒绝了这笔支付。"), ANOTHER),
        "payment_intent_payment_attempt_expired": (_("二维码或支付页面已过期。"), AGAIN),
        "payment_intent_payment_attempt_failed": (_("支付没有完成，没有扣款。"), AGAIN),
        "payment_method_not_available": (_("这种支付方式暂不可用。"), ANOTHER),
        "amount_too_small": (_("金额低于支付机构的下限。"), _("请对公转账。")),
        "amount_too_large": (_("金额超过支付机构的上限。"), _("请对公转账。")),
        "expired": (_("支付已超时。"), AGAIN),
        "not_found": (_("支付机构没有收到这笔支付，没有扣款。"), AGAIN),
    }
)
OTHER: Final = (_("支付没有成功：%(code)s。"), ANOTHER)


def explained(code: str, text: str = "") -> Reason:
    """Return a gateway's code as a reason with its remedy; an unknown one is named.

    Where its own words hold a more precise code (``card_declined``: ``insufficient_funds``), that is explained.
    """
    precise = next((word for word in re.findall(r"[a-z_]{4,}", text) if word in WORDS), code)
    message, remedy = WORDS.get(precise, OTHER)
    params = {} if precise in WORDS else {"code": code}
    return Reason(code=f"payment.failed.{precise}", message=message, remedy=remedy, params=params)
