"""What the pages say, in Chinese and English; the server stands alone, without the portal's catalogue."""

from __future__ import annotations

from typing import Final

__all__ = ["LANGUAGES", "language_of", "say"]

LANGUAGES: Final = {"zh": "中文", "en": "English"}
WORDS: Final = {
    "sandbox": ("沙箱 SANDBOX", "SANDBOX 沙箱"),
    "no_money": (
        "这是测试用的支付页面，不会动用任何真实资金。请勿输入真实卡号。",
        "A page for tests: no real money moves. Never enter a real card.",
    ),
    "checkout": ("收银台", "Checkout"),
    "amount": ("应付金额", "Amount due"),
    "order": ("订单", "Order"),
    "choose": ("选择支付方式", "Choose how to pay"),
    "card": ("银行卡", "Card"),
    "alipay": ("支付宝", "Alipay"),
    "wechat_pay": ("微信支付", "WeChat Pay"),
    "test_card": ("测试卡", "Test card"),
    "pay": ("支付", "Pay"),
    "back": ("不付了，返回商户", "Do not pay, back to the merchant"),
    "until": ("请在此时间前支付：", "Pay before "),
    "declined": ("支付未成功", "The payment did not succeed"),
    "again": ("可以换一种方式再试。", "You may try again in another way."),
    "paid": ("已支付", "Paid"),
    "authorised": ("已授权，等待商户扣款", "Authorised, the merchant will capture"),
    "expired": ("此支付页面已过期", "This page has expired"),
    "expired_more": ("没有扣款。请回到商户重新发起支付。", "Nothing was charged. Start again at the merchant."),
    "cancelled": ("此笔支付已取消", "This payment was cancelled"),
    "waiting": ("钱包正在处理，请稍候。", "The wallet is processing, please wait."),
    "continue": ("返回商户", "Back to the merchant"),
    "may_close": ("可以关闭此页面。", "You may close this page."),
    "alipay_title": ("支付宝 · 确认付款", "Alipay · confirm the payment"),
    "wechat_title": ("微信支付 · 扫码", "WeChat Pay · scan the code"),
    "bank_title": ("发卡行验证（3-D Secure）", "Your bank asks (3-D Secure)"),
    "scan": (
        "真实环境中用微信扫码；在沙箱里按下面的按钮代替手机。",
        "For real you scan it with WeChat; here the buttons stand in for the phone.",
    ),
    "agree": ("确认付款", "Agree and pay"),
    "refuse": ("拒绝付款", "Refuse"),
    "slow": ("钱包稍后才有结果", "Let the wallet take its time"),
    "confirm_bank": ("通过验证", "Complete the authentication"),
    "fail_bank": ("验证失败", "Fail the authentication"),
    "leave": ("离开，什么也不做", "Walk away, do nothing"),
    "not_found": ("没有这个页面", "There is no such page"),
    "not_found_more": ("链接不完整，或支付记录已被清空。", "The link is incomplete, or the records were cleared."),
    "home": ("沙箱支付服务器", "The sandbox payment server"),
    "home_more": (
        "门户的演示支付由它处理。命令见 docs/adapters.md。",
        "It handles the portal's demonstration payments; see docs/adapters.md.",
    ),
    "card_pays": ("支付成功", "pays"),
    "card_poor": ("余额不足", "insufficient funds"),
    "card_no": ("被拒绝", "declined"),
    "card_expired": ("已过期", "expired"),
    "card_asks": ("需要发卡行验证", "the bank asks first"),
    "card_dispute": ("付款后提出拒付", "pays, disputed later"),
}
CODES: Final = {
    "insufficient_funds": "卡内余额不足。",
    "generic_decline": "发卡行拒绝了这笔支付。",
    "expired_card": "卡已过期。",
    "payment_intent_authentication_failure": "发卡行验证没有通过。",
    "payment_method_customer_decline": "付款人没有同意付款。",
}


def say(key: str, language: str) -> str:
    return WORDS[key][0 if language == "zh" else 1]


def why(code: str, text: str, language: str) -> str:
    """Return why a payment did not succeed, to the payer."""
    return CODES.get(code, text) if language == "zh" else text


def language_of(asked: str, wanted: str, accepted: str) -> str:
    """Return the language: the one asked for in the link, the order's, the browser's, else Chinese."""
    for one in (asked, wanted, accepted):
        if one[:2].lower() in LANGUAGES:
            return one[:2].lower()
    return "zh"
