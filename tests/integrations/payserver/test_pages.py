"""The pages a person pays on: in both languages, on a phone, for every way to pay, refuse or walk away."""

from __future__ import annotations

import http.client
import re
import shutil
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.integrations.payserver.orders import BACK, intent, session, wallet


@pytest.fixture
def c(payserver):
    return payserver.client


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


class Browser:
    """Follows a person's steps without a browser: looks at a page, presses a button of its form."""

    def __init__(self, server):
        self.server = server
        self.at = ""
        self.text = ""
        self.status = 0
        self.headers = {}

    def go(self, url, form=None, **headers):
        """Open an address of the server; follow its own redirects, stop at the merchant's."""
        address = urlsplit(url)
        if url.startswith("http") and f"{address.scheme}://{address.netloc}" != self.server.address:
            self.at, self.text = url, ""
            return self
        link = http.client.HTTPConnection("127.0.0.1", urlsplit(self.server.address).port, timeout=10)
        try:
            path = address.path + (f"?{address.query}" if address.query else "")
            sent = urlencode(form) if form is not None else None
            kind = {"Content-Type": "application/x-www-form-urlencoded"} if sent is not None else {}
            link.request("POST" if sent is not None else "GET", path, sent, {**kind, **headers})
            answer = link.getresponse()
            self.status, self.headers, self.text = answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            link.close()
        if self.status == 303:
            return self.go(self.headers["Location"])
        self.at = url
        return self

    def press(self, **form):
        """Send the page's form."""
        action = re.search(r'<form method="post" action="([^"]*)"', self.text).group(1).replace("&amp;", "&")
        return self.go(action, form)


@pytest.fixture
def browser(payserver):
    return Browser(payserver)


def test_every_page_says_that_it_is_a_sandbox_in_both_languages(payserver, c, browser):
    opened = session(c)
    asked = wallet(c, "wechat_pay")
    code = asked.next_action.wechat_pay_display_qr_code.data
    alipay = wallet(c, "alipay").next_action.alipay_handle_redirect.url
    for url in (opened.url, code, alipay, f"{payserver.address}/", f"{payserver.address}/c/pay/cs_test_nothing"):
        glue = "&" if "?" in url else "?"
        browser.go(f"{url}{glue}lang=zh")
        assert '<html lang="zh-CN">' in browser.text
        assert "沙箱 SANDBOX" in browser.text
        assert "不会动用任何真实资金" in browser.text
        browser.go(f"{url}{glue}lang=en")
        assert '<html lang="en">' in browser.text
        assert "no real money moves" in browser.text
        body = browser.text.replace("沙箱", "").replace("中文", "").replace("预约", "")
        assert not re.search("[一-鿿]", body), re.findall("[一-鿿]+", body)
        assert "script" not in browser.text
        assert "default-src 'none'" in browser.headers["Content-Security-Policy"]


def test_the_language_is_the_orders_else_the_browsers_else_chinese(c, browser):
    assert 'lang="en"' in browser.go(session(c, locale="en").url).text[:60]
    assert "zh-CN" in browser.go(session(c, locale="zh").url, **{"Accept-Language": "en-GB"}).text[:60]
    url = session(c).url
    assert 'lang="en"' in browser.go(url, **{"Accept-Language": "en-GB,en;q=0.9"}).text[:60]
    assert "zh-CN" in browser.go(url).text[:60]


def test_a_card_pays_and_leads_back(c, browser):
    opened = session(c)
    browser.go(opened.url)
    assert "¥50.00" in browser.text
    assert "预约 B2026-000001" in browser.text
    browser.press(method="card", card="pm_card_visa")
    assert browser.at == f"http://127.0.0.1:9/ok?session={opened.id}"
    assert c.checkout.sessions.retrieve(opened.id).payment_status == "paid"
    again = browser.go(opened.url)
    assert "已支付" in again.text
    assert "<form" not in again.text


def test_a_declined_card_says_why_and_another_way_is_open(c, browser):
    opened = session(c)
    browser.go(opened.url).press(method="card", card="pm_card_visa_chargeDeclinedInsufficientFunds")
    assert (browser.status, "卡内余额不足。" in browser.text) == (402, True)
    browser.press(method="alipay")
    assert "/redirect/" in browser.at
    browser.press(outcome="succeeded")
    assert browser.at.startswith("http://127.0.0.1:9/ok")
    assert c.checkout.sessions.retrieve(opened.id).status == "complete"


def test_a_wallet_that_refuses_leads_back_to_the_checkout(c, browser):
    opened = session(c, locale="en")
    browser.go(opened.url).press(method="alipay")
    browser.press(outcome="failed")
    assert "The customer did not approve" in browser.text
    assert c.checkout.sessions.retrieve(opened.id).status == "open"
    browser.press(method="wechat_pay")
    assert "/qr/" in browser.at
    browser.press(outcome="processing")
    assert "please wait" in browser.text
    assert c.checkout.sessions.retrieve(opened.id).payment_status == "unpaid"


def test_three_d_secure_on_the_checkout(c, browser):
    opened = session(c)
    browser.go(opened.url).press(method="card", card="pm_card_authenticationRequired")
    assert "3-D Secure" in browser.text
    browser.press(outcome="failed")
    assert "发卡行验证没有通过" in browser.text
    browser.press(method="card", card="pm_card_authenticationRequired")
    browser.press(outcome="succeeded")
    assert browser.at.startswith("http://127.0.0.1:9/ok")


def test_walking_away_changes_nothing(c, browser):
    opened = session(c)
    browser.go(opened.url)
    assert 'href="http://127.0.0.1:9/no"' in browser.text
    browser.press(method="alipay").press(outcome="leave")
    assert "/c/pay/" in browser.at
    assert c.checkout.sessions.retrieve(opened.id).status == "open"


def test_an_expired_checkout_says_so(payserver, c, browser):
    opened = session(c)
    payserver.advance(24 * 3600)
    browser.go(opened.url)
    assert (browser.status, "已过期" in browser.text) == (410, True)
    assert browser.go(opened.url, {"method": "card", "card": "pm_card_visa"}).status == 410
    assert c.payment_intents.list().data == []


def test_a_wallets_page_leads_back_to_the_merchant_with_what_became_of_it(c, browser):
    for outcome, state in (("succeeded", "succeeded"), ("failed", "failed"), ("processing", "pending")):
        asked = wallet(c, "alipay", return_url=f"{BACK}?a=1")
        browser.go(asked.next_action.alipay_handle_redirect.url).press(outcome=outcome)
        told = parse_qs(urlsplit(browser.at).query)
        assert (told["a"], told["payment_intent"], told["redirect_status"]) == (["1"], [asked.id], [state])


def test_a_code_is_a_picture_and_a_page(payserver, c, browser):
    asked = wallet(c, "wechat_pay", return_url="")
    code = asked.next_action.wechat_pay_display_qr_code
    assert browser.go(code.image_url_svg).headers["Content-Type"] == "image/svg+xml"
    browser.go(code.hosted_instructions_url).press(outcome="succeeded")
    assert "可以关闭此页面" in browser.text
    assert c.payment_intents.retrieve(asked.id).status == "succeeded"


def test_without_the_secret_nobody_pays_and_twice_is_once(payserver, c, browser):
    asked = wallet(c, "alipay")
    url = asked.next_action.alipay_handle_redirect.url
    assert browser.go(url.split("?", maxsplit=1)[0], {"outcome": "succeeded"}).status == 404
    assert browser.go(f"{url}x", {"outcome": "succeeded"}).status == 404
    for _ in range(2):
        browser.go(url, {"outcome": "succeeded"})
    assert len(payserver.objects("charge")) == 1


def test_what_others_wrote_is_shown_and_not_run(c, browser):
    nasty = '<img src=x onerror=alert(1)>"&'
    data = {"currency": "cny", "unit_amount": 100, "product_data": {"name": nasty}}
    opened = session(c, line_items=[{"quantity": 2, "price_data": data}], cancel_url='http://127.0.0.1:9/"><script>')
    browser.go(opened.url)
    assert "<img src=x" not in browser.text
    assert "<script>" not in browser.text
    assert "&lt;img src=x onerror=alert(1)&gt;&quot;&amp; × 2" in browser.text


def test_a_card_that_is_not_offered_is_not_taken(c, browser):
    opened = session(c, allowed_payment_method_types=["alipay"], payment_method_options={})
    assert browser.go(opened.url, {"method": "card", "card": "pm_card_visa"}).status == 400
    opened = session(c)
    assert browser.go(opened.url, {"method": "card", "card": "pm_card_refundFail"}).status == 400
    assert intent(c, confirm=False).status == "requires_confirmation"


@pytest.mark.browser
@pytest.mark.parametrize("language", ["zh", "en"])
def test_on_a_phone_a_person_pays_with_the_keyboard_and_nothing_is_cut_off(payserver, c, language, chromium):
    opened = session(c, locale=language)
    page = chromium.new_page(viewport={"width": 390, "height": 780})
    try:
        page.goto(opened.url)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_label("支付宝" if language == "zh" else "Alipay").check()
        page.get_by_role("button", name="支付 ¥50.00" if language == "zh" else "Pay ¥50.00").press("Enter")
        expect(page.get_by_role("heading")).to_have_text(
            "支付宝 · 确认付款" if language == "zh" else "Alipay · confirm the payment"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.route("http://127.0.0.1:9/**", lambda route: route.fulfill(body="merchant"))
        page.get_by_role("button", name="确认付款" if language == "zh" else "Agree and pay").press("Enter")
        page.wait_for_url("http://127.0.0.1:9/ok**")
    finally:
        page.close()
    assert c.checkout.sessions.retrieve(opened.id).payment_status == "paid"
