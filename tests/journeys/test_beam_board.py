"""The schedule board at planners' browsers: mouse, keyboard, form and finger, and two planners at one shift."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.browsing import NARROW, Browsers
from tests.journeys.looking import examine, report
from tests.journeys.test_beam_cycle import command

pytestmark = [pytest.mark.browser, pytest.mark.servers]

SEED = """
from datetime import datetime, time, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo
from allauth.account.models import EmailAddress
from django.utils import timezone
from portal.kernel.period import Period
from portal.organisations.models import Member, User
from scheduler.beamtime.models import BeamAllocation
from scheduler.facilities.models import Facility, RunCycle
from tests import beam

zls = Facility.objects.get(code="zls")
zone = ZoneInfo(zls.zone)
begins = datetime.combine(timezone.localdate(timezone=zone), time(), zone) + timedelta(days=400 + 400 * {slot})
while RunCycle.objects.filter(facility=zls, during__overlap=(begins, begins + timedelta(days=20))).exists():
    begins += timedelta(days=20)
span = Period(begins, begins + timedelta(days=20))
shut = Period(begins + timedelta(days=10), begins + timedelta(days=12))
cycle = beam.cycle(zls, f"B{slot}-{{begins:%y%m%d}}", span, shut)
lead = Member.objects.get(user__username="yanfa")
s = SimpleNamespace(
    facility=zls, call=None, cycle=cycle, lines=list(zls.beamlines.order_by("code")),
    leader=SimpleNamespace(organisation_id=lead.organisation_id, user_id=lead.user_id),
)
for at, shifts in enumerate([3, 6, 3]):
    number = f"{{cycle.code}}-{{at + 1}}"
    order = int(begins.timestamp()) // 1000 + at
    proposal = beam.proposal(
        s, state="accepted", kind="rapid", shifts=shifts, number=number, key=number, sent_order=order
    )
    BeamAllocation.objects.create(request=beam.request(proposal), pool="open", shifts=shifts, given_at=timezone.now())
known = User.objects.get(username="paiban")
user, is_new = User.objects.get_or_create(
    username="paiban2", defaults={{"display_name": "柳含烟", "email": "paiban2@demo.invalid", "password": known.password}}
)
if is_new:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    Member.objects.create(user=user, organisation_id=zls.owner_id, roles=["beam_planner"])
open({file!r}, "w").write(cycle.code)
"""
"""A cycle of sixty shifts, the 31st to 36th without beam, three requests for one beamline, and a second planner."""
FREE, SHUT = 39, 31
"""Numbers of shifts: with beam and nothing on it, and without."""


@pytest.fixture
def board(running: tuple[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the path of a board of the test's own."""
    file = tmp_path / "code"
    slot = sorted(each.name for each in request.session.items if each.path == request.path).index(request.node.name)
    command(running[1], SEED.format(slot=slot, file=str(file)))
    yield f"/schedule/zls/{file.read_text()}/"


def ready(planner: Page) -> None:
    expect(planner.get_by_role("button", name="采用草案并发给课题组")).to_be_visible(timeout=120_000)


def drafted(planner: Page) -> None:
    """Have a draft computed, and see how good it is at least."""
    planner.get_by_label("每条线站计算时间（秒）").fill("2")
    planner.get_by_role("button", name="生成草案").click()
    ready(planner)
    expect(planner.get_by_role("main")).to_contain_text(re.compile(r"任何排法最多再好 [\d.]+%"))
    expect(planner.locator("#board a[data-place]")).to_have_count(3)


def place(page: Page, number: int) -> Locator:
    """Return the place of the test's request with that number."""
    return page.locator("#board a[data-place]").filter(has_text=re.compile(rf"-{number}\b"))


def at(grip: Locator) -> int:
    return int(grip.locator("xpath=ancestor::td").get_attribute("data-at") or -1)


def centre(thing: Locator) -> tuple[float, float]:
    thing.scroll_into_view_if_needed()
    box = thing.bounding_box()
    assert box is not None
    return box["x"] + 6, box["y"] + box["height"] / 2


def cell(page: Page, shift: int) -> Locator:
    return page.locator(f"#board tr[data-line='BL01'] td[data-at='{shift}']")


def carry(page: Page, grip: Locator, shift: int) -> None:
    """Take a place up with the mouse and hold it over a shift."""
    page.mouse.move(*centre(grip))
    page.mouse.down()
    x, y = centre(cell(page, shift))
    page.mouse.move(x - 20, y, steps=3)
    page.mouse.move(x, y)


def room(page: Page) -> tuple[int, int]:
    """Return which request can go how many shifts along the line, a few: all it needs there is free or its own."""
    free = {
        int(one.get_attribute("data-at") or -1) for one in page.locator("#board tr[data-line='BL01'] td.open").all()
    }
    for number in (1, 2, 3):
        grip = place(page, number)
        home, span = at(grip), int(grip.get_attribute("data-span") or 0)
        for step in (3, -3, 2, -2, 1, -1):
            if set(range(home + step, home + step + span)) <= free | set(range(home, home + span)):
                return number, step
    pytest.fail("no room beside any place")


def test_a_planner_drags_by_mouse_keys_and_form(people: Browsers, board: str) -> None:
    """What a drop would break is said in words while it is held; Escape leaves all; what is fixed stays when solved anew."""
    page = people.open("paiban", board)
    drafted(page)
    said, first = page.locator("#said"), place(page, 1)
    home = at(first)
    carry(page, first, SHUT)
    expect(said).to_contain_text("不全在用户束流时间内")
    expect(page.locator("#board td.over.no").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(said).to_be_empty()
    page.mouse.move(300, 300)
    page.mouse.up()
    assert at(place(page, 1)) == home, "a dropped drag changed something"

    carry(page, first, FREE)
    expect(said).to_contain_text("可以放在这里")
    page.mouse.up()
    expect(page.locator("#toasts")).to_contain_text("已移动并固定")
    assert at(place(page, 1)) == FREE
    expect(page.locator("#board td.place.fixed")).to_have_count(1)
    report(examine(page).findings)

    second = place(page, 2)
    home = at(second)
    second.focus()
    page.keyboard.press("Enter")
    for _press in range(3):
        page.keyboard.press("PageDown")
    expect(said).to_contain_text(re.compile("可以放在这里|。"))
    page.keyboard.press("Enter")
    expect(page.locator("#board td.place.fixed")).to_have_count(2)
    keyed = at(place(page, 2))
    assert keyed == 54 != home, "six shifts at the end of the cycle"

    place(page, 3).click()
    form = page.locator("#pick")
    form.get_by_label("移到（开始班次）").select_option(index=1)
    form.get_by_role("button", name="移动并固定").click()
    expect(page.locator("#board td.place.fixed")).to_have_count(3)
    form.get_by_role("button", name="解开", exact=True).click()
    expect(page.locator("#board td.place.fixed")).to_have_count(2)
    page.get_by_role("button", name="围绕固定的重新计算").click()
    ready(page)
    assert (at(place(page, 1)), at(place(page, 2))) == (FREE, keyed)
    expect(place(page, 3)).to_be_visible()


def test_the_second_of_two_planners_is_told_who_was_first(people: Browsers, board: str) -> None:
    """Both drag the same request: the second learns who moved it where, sees it there, and can then go on from it."""
    one = people.open("paiban", board)
    drafted(one)
    two = people.open("paiban2", board)
    carry(two, place(two, 1), FREE)
    expect(two.locator("#said")).to_contain_text("可以放在这里")
    carry(one, place(one, 1), FREE + 6)
    one.mouse.up()
    expect(one.locator("#toasts")).to_contain_text("已移动并固定")
    with two.expect_navigation():
        two.mouse.up()
    main = two.get_by_role("main")
    expect(main).to_contain_text(re.compile("顾长庚 已先改动了这项安排（现在：BL01 .*）。您的改动没有执行"))
    expect(two.locator("#pick")).to_contain_text("顾长庚")
    report(examine(two).findings)
    assert at(place(two, 1)) == FREE + 6
    carry(two, place(two, 1), FREE)
    expect(two.locator("#said")).to_contain_text("可以放在这里")
    two.mouse.up()
    expect(two.locator("#toasts")).to_contain_text("已移动并固定")
    one.reload()
    assert at(place(one, 1)) == FREE
    expect(one.locator("#board a[data-place]")).to_have_count(3)


def test_a_finger_holds_to_drag_and_swipes_to_scroll(people: Browsers, board: str) -> None:
    drafted(people.open("paiban", board))
    page = people.open("paiban", board, width=NARROW, has_touch=True)
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        given = [{"x": x, "y": y} for x, y in points]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})

    grip, said = place(page, 1), page.locator("#said")
    home, (x, y) = at(grip), centre(grip)
    region = page.locator(".scroll.shifts")
    before = region.evaluate("area => area.scrollLeft")
    touch("touchStart", (x, y))
    for step in range(1, 7):
        touch("touchMove", (x - 20 * step if before == 0 else x + 20 * step, y))
    touch("touchEnd")
    page.wait_for_timeout(600)
    assert region.evaluate("area => area.scrollLeft") != before, "a swipe over a place did not scroll the board"
    expect(said).to_be_empty()
    assert at(place(page, 1)) == home

    number, step = room(page)
    grip = place(page, number)
    home, (x, y) = at(grip), centre(grip)
    touch("touchStart", (x, y))
    expect(said).to_contain_text("已拿起")
    for share in (0.3, 0.7, 1):
        touch("touchMove", (x + 26 * step * share, y))
    expect(said).to_contain_text("可以放在这里")
    touch("touchEnd")
    expect(page.locator("#toasts")).to_contain_text("已移动并固定")
    assert at(place(page, number)) == home + step
    report(examine(page).findings)
