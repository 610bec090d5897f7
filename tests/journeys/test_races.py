"""Two people at once, one person twice, pages too old: exactly one act, and everybody is told what happened."""

import re
import uuid

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.journeys.browsing import Browsers, sign_in, workday

pytestmark = [pytest.mark.browser, pytest.mark.servers]

INSTRUMENT = "聚焦离子束"
RIVALS = ("qiye", "clerk-lanting")
NUMBER = re.compile(r"/bookings/B[^/]+/$")


def instrument(page: Page, name: str) -> str:
    """Return the address of an instrument found by name."""
    page.goto(f"/instruments/?q={name}&view=week")
    return str(page.locator("table.week th a").first.get_attribute("href"))


def fill_in(page: Page, name: str, day: str, title: str) -> Locator:
    """Click the first free time of a day in the instrument's week; return the dialog, filled in."""
    page.goto(f"{instrument(page, name)}?day={day}")
    cell = page.locator(f"table.week a.track[href*='day={day}'] i.free").first
    box = cell.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("用途").fill(title)
    expect(dialog.locator("#quote dl")).to_be_visible()
    return dialog


def booked(page: Page, title: str) -> int:
    """Return how many bookings of that title the firm has."""
    page.goto(f"/bookings/?q={title}")
    return page.get_by_role("main").locator("tbody tr").count()


def title() -> str:
    return f"race {uuid.uuid4().hex[:8]}"


def test_one_slot_two_people(people: Browsers) -> None:
    """Both see the slot free and press at once: one has it, the other reads why not and takes another time."""
    day, name = workday(23), title()
    pages = [people.open(rival) for rival in RIVALS]
    dialogs = [fill_in(page, INSTRUMENT, day, name) for page in pages]
    slots = [dialog.locator("[name=start]").input_value() for dialog in dialogs]
    assert slots[0] == slots[1]
    for dialog in dialogs:
        dialog.get_by_role("button", name="提交预约").click(no_wait_after=True)

    for page in pages:
        expect(page.locator("dialog .errs, main ol.steps").first).to_be_visible()
    won = [page for page in pages if NUMBER.search(page.url)]
    assert len(won) == 1
    lost = pages[1 - pages.index(won[0])]
    refusal = lost.get_by_role("dialog")
    expect(refusal.locator(".errs")).to_contain_text("占用")
    expect(refusal).to_contain_text("附近的空闲时段")
    expect(refusal.get_by_label("用途")).to_have_value(name)
    assert [booked(people.open(rival), name) for rival in RIVALS].count(1) == 1

    refusal.locator(".notice").get_by_role("link").first.click()
    expect(refusal.locator(".errs")).to_have_count(0)
    refusal.get_by_role("button", name="提交预约").click()
    lost.wait_for_url(NUMBER)


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_double_click(people: Browsers, script: bool) -> None:
    """Pressing twice books once and confirms once, with and without JavaScript."""
    name, day = title(), workday(24 if script else 27)
    firm = people.open("qiye", script=script)
    firm.goto(f"{instrument(firm, INSTRUMENT)}book/?day={day}")
    firm.get_by_label("用途").fill(name)
    firm.get_by_role("button", name="提交预约").dblclick(no_wait_after=True)
    # The second press may abort the navigation of the first: look where the page ends up, do not wait for one of them.
    expect(firm).to_have_url(NUMBER)
    address = firm.url
    expect(firm.get_by_role("main")).to_contain_text("待确认")
    assert booked(firm, name) == 1

    lab = people.open("shiyan", address, script=script)
    lab.get_by_role("button", name="确认预约").dblclick(no_wait_after=True)
    expect(lab.get_by_role("heading", level=1)).to_contain_text("已确认")
    expect(lab.locator(".errs")).to_have_count(0)


def test_form_sent_twice(people: Browsers) -> None:
    """The line delivers the same form twice: the second answer is the first booking, not a second one nor a refusal."""

    def deliver_twice(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch(max_redirects=0)
        route.continue_()

    name = title()
    firm = people.open("qiye")
    firm.goto(f"{instrument(firm, INSTRUMENT)}book/?day={workday(33)}")
    firm.route("**/book/", deliver_twice)
    firm.get_by_label("用途").fill(name)
    firm.get_by_role("button", name="提交预约").click()
    firm.wait_for_url(NUMBER)
    assert booked(firm, name) == 1


def test_form_without_its_key(people: Browsers) -> None:
    """A form that has lost its key books nothing and says so; the page keeps what was filled in and works again."""
    name = title()
    firm = people.open("qiye")
    firm.goto(f"{instrument(firm, INSTRUMENT)}book/?day={workday(28)}")
    firm.get_by_label("用途").fill(name)
    firm.locator("main [name=idempotency_key]").evaluate("input => input.remove()")
    firm.get_by_role("button", name="提交预约").click()
    expect(firm.locator(".errs")).to_contain_text("页面已过期")
    expect(firm.get_by_label("用途")).to_have_value(name)
    firm.get_by_role("button", name="提交预约").click()
    firm.wait_for_url(NUMBER)
    assert booked(firm, name) == 1


def test_form_with_a_used_key(people: Browsers) -> None:
    """Going back after booking and sending the same page with another time is told apart from a double click."""
    name = title()
    firm = people.open("qiye")
    firm.goto(f"{instrument(firm, INSTRUMENT)}book/?day={workday(29)}")
    key = firm.locator("main [name=idempotency_key]").input_value()
    firm.get_by_label("用途").fill(name)
    firm.get_by_role("button", name="提交预约").click()
    firm.wait_for_url(NUMBER)
    number = firm.url.rstrip("/").rpartition("/")[2]
    firm.goto(f"{instrument(firm, INSTRUMENT)}book/?day={workday(30)}")
    firm.locator("main [name=idempotency_key]").evaluate("(input, key) => { input.value = key }", key)
    firm.get_by_label("用途").fill(name)
    firm.get_by_role("button", name="提交预约").click()
    expect(firm.locator(".errs")).to_contain_text(number)
    assert booked(firm, name) == 1


def test_form_of_another_session(people: Browsers) -> None:
    """A form whose CSRF token is gone gets a page in words, and nothing is booked."""
    name = title()
    people.watch.allowed.add(403)
    firm = people.open("qiye")
    firm.goto(f"{instrument(firm, INSTRUMENT)}book/?day={workday(31)}")
    firm.get_by_label("用途").fill(name)
    firm.context.clear_cookies(name="csrftoken")
    firm.get_by_role("button", name="提交预约").click()
    expect(firm.get_by_role("heading", level=1)).to_have_text("页面已过期，内容没有提交")
    assert booked(firm, name) == 0


@pytest.mark.parametrize("in_dialog", [True, False], ids=["dialog", "page"])
def test_session_ends_before_sending(people: Browsers, in_dialog: bool) -> None:
    """Whoever was signed out while filling in a form signs in and is back at the form; nothing was booked unseen."""
    name, day = title(), workday(32)
    firm = people.open("qiye")
    if in_dialog:
        form = fill_in(firm, INSTRUMENT, day, name)
    else:
        firm.goto(f"{instrument(firm, INSTRUMENT)}book/?day={day}")
        form = firm.get_by_role("main")
        form.get_by_label("用途").fill(name)
    firm.context.clear_cookies(name="sessionid")
    form.get_by_role("button", name="提交预约").click()
    firm.wait_for_url("**/accounts/login/**")
    sign_in(firm, "qiye")
    expect(firm.get_by_role("button", name="提交预约")).to_be_visible()
    assert "/book/" in firm.url
    assert booked(firm, name) == 0
