"""A booking paid in advance: booked, paid by Alipay on the sandbox's page, confirmed, given up in time, paid back the same way."""

import re
import uuid
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.browsing import Browsers, workday

pytestmark = [pytest.mark.browser, pytest.mark.servers]

INSTRUMENT = "球差校正"
"""The one of the demo province that asks in advance."""
BOOKING = re.compile(r"B\d{4}-\d{6}")


def form(firm: Page, day: str) -> None:
    """Open the instrument's booking form at a day."""
    firm.goto(f"/instruments/?q={INSTRUMENT}&view=week")
    path = firm.locator("main a[href*='/instruments/R']").first.get_attribute("href") or ""
    firm.goto(f"{path.partition('?')[0]}book/?day={day}")


def pay(people: Browsers, firm: Page) -> None:
    """Pay what is to be paid by Alipay, on the page of the sandbox."""
    firm.locator("#pay").get_by_role("button", name="支付宝").click()
    link = firm.get_by_role("link", name="前往支付机构付款")
    expect(link).to_be_visible()
    there = urlsplit(link.get_attribute("href") or "")
    people.watch.beside.append(f"{there.scheme}://{there.netloc}/")
    # The sandbox's pages have no icon.
    people.watch.allowed.add(404)
    link.click()
    firm.get_by_role("button", name="确认付款").click()
    expect(firm.get_by_role("heading", level=1)).to_contain_text("已到账")


def test_a_booking_is_paid_first_and_paid_back_when_it_is_given_up(people: Browsers) -> None:
    title = f"界面原子结构 {uuid.uuid4().hex[:6]}"
    firm = people.open("qiye")
    form(firm, workday(20))
    expect(firm.locator("#quote")).to_contain_text("须预付")
    firm.get_by_label("用途").fill(title)
    firm.get_by_role("button", name="提交预约").click()
    firm.wait_for_url("**/payments/**")
    payment = firm.url
    expect(firm.get_by_role("status").first).to_contain_text("已为贵单位保留时段")
    number = BOOKING.search(firm.get_by_role("main").inner_text())
    assert number is not None
    firm.goto(f"/bookings/{number.group()}/")
    expect(firm.get_by_role("main")).to_contain_text("待预付")
    expect(firm.locator("[data-left]")).to_have_text(re.compile(r"\d\d:\d\d"))
    firm.get_by_role("link", name="去付款").click()
    pay(people, firm)

    lab = people.open("shiyan", f"/bookings/{number.group()}/")
    expect(lab.get_by_role("heading", level=1)).to_contain_text("待确认")
    expect(lab.get_by_role("main")).to_contain_text("已到账")
    lab.get_by_role("button", name="确认预约").click()
    expect(lab.get_by_role("heading", level=1)).to_contain_text("已确认")

    firm.goto(f"/bookings/{number.group()}/cancel/")
    expect(firm.get_by_role("main")).to_contain_text("已预付的自付部分全额退还")
    firm.get_by_role("button", name="取消这次预约").click()
    expect(firm.get_by_role("heading", level=1)).to_contain_text("已取消")
    for _look in range(20):
        firm.goto(payment)
        if "退款成功" in firm.get_by_role("main").inner_text() or "已退还" in firm.get_by_role("main").inner_text():
            break
        firm.wait_for_timeout(3000)
    expect(firm.get_by_role("main")).to_contain_text("已退还")
