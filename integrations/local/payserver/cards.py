"""Test cards: what each does when it is charged. Real numbers are refused, nothing here is a place for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CARDS", "Card", "by_number"]


@dataclass(frozen=True, slots=True)
class Card:
    """A card that pays, asks first (`asks`), is declined (`code`, `decline_code`) or makes trouble later (`later`)."""

    brand: str
    number: str
    code: str = ""
    decline_code: str = ""
    text: str = ""
    asks: bool = False
    later: str = ""

    @property
    def last4(self) -> str:
        return self.number[-4:]


def _declined(number: str, decline_code: str = "generic_decline", text: str = "Your card was declined.") -> Card:
    return Card("visa", number, "card_declined", decline_code, text)


CARDS: Final = {
    "pm_card_visa": Card("visa", "4242424242424242"),
    "pm_card_visa_debit": Card("visa", "4000056655665556"),
    "pm_card_mastercard": Card("mastercard", "5555555555554444"),
    "pm_card_unionpay": Card("unionpay", "6200000000000005"),
    "pm_card_jcb": Card("jcb", "3566002020360505"),
    "pm_card_chargeDeclined": _declined("4000000000000002"),
    "pm_card_visa_chargeDeclined": _declined("4000000000000002"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declined(
        "4000000000009995", "insufficient_funds", "Your card has insufficient funds."
    ),
    "pm_card_visa_chargeDeclinedLostCard": _declined("4000000000009987", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": _declined("4000000000009979", "stolen_card"),
    "pm_card_visa_chargeDeclinedFraudulent": _declined("4100000000000019", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": Card(
        "visa", "4000000000000069", "expired_card", "expired_card", "Your card has expired."
    ),
    "pm_card_chargeDeclinedIncorrectCvc": Card(
        "visa", "4000000000000127", "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."
    ),
    "pm_card_chargeDeclinedProcessingError": Card(
        "visa",
        "4000000000000119",
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "pm_card_chargeCustomerFail": _declined("4000000000000341"),
    "pm_card_authenticationRequired": Card("visa", "4000002760003184", asks=True),
    "pm_card_threeDSecure2Required": Card("visa", "4000000000003220", asks=True),
    "pm_card_threeDSecureRequired": Card("visa", "4000000000003063", asks=True),
    "pm_card_createDispute": Card("visa", "4000000000000259", later="dispute"),
    "pm_card_pendingRefund": Card("visa", "4000000000007726", later="refund_pending"),
    "pm_card_refundFail": Card("visa", "4000000000005126", later="refund_fails"),
}


def by_number(number: str) -> Card | None:
    return next((card for card in CARDS.values() if card.number == number), None)
