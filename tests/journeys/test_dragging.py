"""Move a booking in the week by mouse, by keyboard and with a finger."""

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
    expect(said).to_contain_text("券抵扣")
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
