"""Move a booking in the week by mouse, by keyboard and with a finger; paint opening hours."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.browsing import NARROW, Browsers, workday
from tests.journeys.looking import examine, report

pytestmark = [pytest.mark.browser, pytest.mark.servers]


def booked(page: Page) -> Locator:
    """Return a booking of the week that can be moved."""
    grip = page.locator("a[data-move]:visible").first
    grip.scroll_into_view_if_needed()
    return grip


def drag(page: Page, grip: Locator) -> None:
    """Drag a booking along its row to a day on which the page knows it to be free, and hold it there."""
    box = grip.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 3, box["y"] + 8)
    page.mouse.down()
    for day in reversed(grip.locator("xpath=ancestor::tr").locator("td").all()):
        track = day.bounding_box()
        assert track is not None
        for share in (0.2, 0.4, 0.6):
            page.mouse.move(track["x"] + track["width"] * share, box["y"] + 30)
            if page.locator(".ghost:not(.no)").count():
                return
    pytest.fail("no free time in the week")


def test_move_by_dragging(people: Browsers) -> None:
    """Its price and difference follow the booking; Escape leaves all as it is; dropped, the form asks; undone, it is back."""
    page = people.open("qiye", f"/bookings/?tab=week&day={workday(7)}")
    grip = booked(page)
    name, said = grip.get_attribute("aria-label"), page.locator("[data-picked]")
    assert name is not None
    drag(page, grip)
    expect(said).to_contain_text("自付")
    expect(said).to_have_text(re.compile("（(不变|[多少] ¥[\\d.,]+)）"))
    page.keyboard.press("Escape")
    expect(page.locator(".ghost")).to_have_count(0)
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_be_hidden()

    drag(page, grip)
    page.mouse.up()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("差额")
    report(examine(page).findings)
    dialog.get_by_role("button", name="确认改期").click()
    toast = page.locator("#toasts")
    expect(toast).to_contain_text("已改到")
    toast.get_by_role("button", name="撤销").click()
    expect(toast).to_contain_text("已撤销改期")
    expect(page.get_by_label(name, exact=True)).to_be_visible()


def test_move_by_keyboard(people: Browsers) -> None:
    """Enter takes a booking up, arrows move it, Enter opens the form for that time, Esc leads back to the booking."""
    page = people.open("qiye", f"/bookings/?tab=week&day={workday(7)}")
    grip, said = booked(page), page.locator("[data-picked]")
    start = grip.get_attribute("data-start")
    grip.focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("已选中预约")
    page.keyboard.press("Escape")
    expect(said).to_be_empty()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowLeft" if start and start > "12:00" else "ArrowRight")
    expect(said).to_have_text(re.compile("¥|冲突|空闲"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert dialog.get_by_label("开始", exact=True).input_value() != start
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(grip).to_be_focused()


def test_a_finger_gets_the_form(people: Browsers) -> None:
    page = people.open("qiye", f"/bookings/?tab=week&day={workday(7)}", width=NARROW, has_touch=True)
    for day in page.locator("nav.days a").all()[:5]:
        if page.locator("a[data-move]:visible").count():
            break
        day.click()
    booked(page).tap()
    expect(page.get_by_role("dialog").get_by_role("button", name="确认改期")).to_be_visible()


def weekdays(page: Page) -> list[str]:
    """Return every period of the week in words: day and times."""
    return page.locator("button.period").evaluate_all(
        "blocks => blocks.map(block => block.getAttribute('aria-label').split(',')[0])"
    )


def test_paint_opening_hours(people: Browsers) -> None:
    """Paint, resize, move by keys, copy to a day, take back; see which booking a change would break; save; read it."""
    lab = people.open("shiyan", "/lab/instruments/")
    lab.get_by_role("link", name="场发射扫描电子显微镜", exact=True).first.click()
    page_of = lab.url
    lab.get_by_role("link", name="开放时间", exact=True).click()
    expect(lab.locator("button.period").first).to_be_visible()
    before = weekdays(lab)
    report(examine(lab).findings)

    sunday = lab.locator("[data-weekday='7']")
    sunday.scroll_into_view_if_needed()
    box = sunday.bounding_box()
    assert box is not None
    lab.mouse.move(box["x"] + box["width"] * 9.1 / 24, box["y"] + 20)
    lab.mouse.down()
    lab.mouse.move(box["x"] + box["width"] * 11.9 / 24, box["y"] + 22, steps=3)
    lab.mouse.up()
    assert weekdays(lab) == [*before, "周日 09:00–12:00"]
    expect(lab.locator("#impact")).to_contain_text("没有已有预约会落在开放时间之外")
    painted = sunday.locator("button.period")
    expect(painted).to_be_focused()
    lab.keyboard.press("Shift+ArrowRight")
    lab.keyboard.press("ArrowLeft")
    assert weekdays(lab)[-1] == "周日 08:30–12:00"
    report(examine(lab).findings)
    lab.get_by_role("button", name="撤销上一步").click()
    assert weekdays(lab)[-1] == "周日 09:00–12:30"

    lab.locator("[data-copy='7'] summary").click()
    lab.locator("[data-copy='7']").get_by_label("周一").check()
    lab.locator("[data-copy='7']").get_by_role("button").click()
    assert weekdays(lab)[0] == "周一 09:00–12:30"
    expect(lab.locator("#impact")).to_contain_text(re.compile("仍然有效，不会自动取消|每周开放"))
    lab.get_by_role("button", name="撤销上一步").click()

    lab.get_by_role("button", name="保存开放时间").click()
    expect(lab.locator("#toasts")).to_contain_text("开放时间已保存")
    expect(lab.get_by_role("main")).to_contain_text("周日 09:00–12:30")
    lab.goto(f"{page_of.replace('/instruments/', '/lab/instruments/')}hours/")
    lab.locator("[data-weekday='7'] button.period").focus()
    lab.keyboard.press("Delete")
    lab.get_by_role("button", name="保存开放时间").click()
    accept = lab.get_by_label("我已核对，仍要保存")
    if accept.count():
        accept.check()
        lab.get_by_role("button", name="保存开放时间").click()
    expect(lab.locator("#toasts")).to_contain_text("开放时间已保存")
    lab.goto(f"{page_of.replace('/instruments/', '/lab/instruments/')}hours/")
    assert weekdays(lab) == before
