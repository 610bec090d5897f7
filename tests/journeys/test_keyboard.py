"""Apply and book with the keyboard alone, and without JavaScript."""

import re
import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.browsing import Browsers, workday

pytestmark = [pytest.mark.browser, pytest.mark.servers]

SIGNED = (datetime.now(ZoneInfo("Asia/Shanghai")) - timedelta(days=5)).date()
INSTRUMENT = "三坐标"


def tab_to(page: Page, place: Locator, *, presses: int = 60) -> None:
    """Press Tab until `place` has the focus, as somebody without a mouse does."""
    for _press in range(presses):
        if place.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{presses} presses of Tab do not reach {place}")


def focus(page: Page) -> Locator:
    return page.locator(":focus")


def test_book_by_keyboard(people: Browsers) -> None:
    """Arrow keys walk the week, Enter opens the form with the focus in it, Esc and the way back lead to the cell."""
    page = people.open("qiye", f"/instruments/?q={INSTRUMENT}&day={workday(14)}")
    cells = page.locator("table.week a.track:visible")
    tab_to(page, cells.first)
    page.keyboard.press("ArrowRight")
    cell = cells.nth(1)
    expect(cell).to_be_focused()
    expect(cell).to_have_accessible_name(re.compile("空闲|可预约"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.locator(":focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cell).to_be_focused()

    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    tab_to(page, dialog.get_by_role("link", name="返回"))
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(cell).to_be_focused()

    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    tab_to(page, dialog.get_by_label("用途"))
    page.keyboard.type(f"keys {uuid.uuid4().hex[:6]}")
    tab_to(page, dialog.get_by_role("button", name="提交预约"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/bookings/B*/")
    expect(page.get_by_role("status").first).to_contain_text("已提交预约")


def test_focus_stays_in_the_dialog(people: Browsers) -> None:
    """Tab goes round inside the form: nothing behind it is reached."""
    page = people.open("qiye", f"/instruments/?q={INSTRUMENT}&day={workday(7)}")
    tab_to(page, page.locator("table.week a.track:visible").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    for _press in range(30):
        page.keyboard.press("Tab")
        behind = page.evaluate("() => document.activeElement.closest('header.top, main, footer') !== null")
        assert not behind, focus(page).inner_text()


def test_apply_by_keyboard(people: Browsers) -> None:
    page = people.open("qiye", "/programmes/zj-share-2026/apply/")
    for label, text in (("合同编号", f"KB-{uuid.uuid4().hex[:8]}"), ("服务单位", "西溪分析测试研究院")):
        tab_to(page, page.get_by_label(label))
        page.keyboard.type(text)
    tab_to(page, page.get_by_label("签订日期"))
    for _part in ("year", "month", "day"):  # in the browser's own order: up from empty is this year, January, the 1st
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
    expect(page.get_by_label("签订日期")).to_have_value(f"{SIGNED:%Y}-01-01")
    tab_to(page, page.get_by_label("合同期限"))
    page.keyboard.type("12")
    tab_to(page, page.get_by_label("否", exact=True))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("group", name="合同各项金额").get_by_role("textbox").last)
    page.keyboard.type("20000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("核对申请")
    tab_to(page, page.get_by_role("button", name="提交申请"))
    page.keyboard.press("Enter")
    expect(page.locator(".receipt .no")).to_have_text(re.compile(r"^A\d{4}-\d+$"))


def test_skip_link(people: Browsers) -> None:
    """The first Tab offers to skip the navigation, and does."""
    page = people.open("", "/instruments/?view=week")
    page.keyboard.press("Tab")
    expect(focus(page)).to_have_text("跳到正文")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('main') !== null")


def test_book_without_script(people: Browsers) -> None:
    """Every cell of the week is a link to the booking form's page, which shows the price before it takes the request."""
    page = people.open("qiye", f"/instruments/?q={INSTRUMENT}&day={workday(7)}", script=False)
    page.locator("table.week a.track:visible").last.click()
    page.get_by_label("用途").fill(f"plain {uuid.uuid4().hex[:6]}")
    page.get_by_label("付款方式").select_option(label="全部自付")
    page.get_by_role("button", name="提交预约").click()
    expect(page.locator(".errs")).to_contain_text("价格已更新")
    page.get_by_role("button", name="提交预约").click()
    page.wait_for_url("**/bookings/B*/")
    expect(page.get_by_role("status").first).to_contain_text("已提交预约")


def test_apply_without_script(people: Browsers) -> None:
    page = people.open("qiye", "/programmes/zj-share-2026/apply/", script=False)
    page.get_by_label("合同编号").fill(f"NS-{uuid.uuid4().hex[:8]}")
    page.get_by_label("服务单位").fill("西溪分析测试研究院")
    page.get_by_label("签订日期").fill(SIGNED.isoformat())
    page.get_by_label("合同期限").fill("12")
    page.get_by_label("否", exact=True).check()
    page.get_by_role("group", name="合同各项金额").get_by_role("textbox").first.fill("20000")
    page.get_by_role("button", name="核对并测算").click()
    page.get_by_role("button", name="提交申请").click()
    expect(page.locator(".receipt .no")).to_have_text(re.compile(r"^A\d{4}-\d+$"))
