"""Every page each person can reach, looked at in both languages and on both widths."""

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import Page, expect

from tests.journeys.browsing import NARROW, WIDE, Browsers, workday
from tests.journeys.looking import ELEMENTS, examine, look, report

pytestmark = [pytest.mark.browser, pytest.mark.servers]

ROLES = (
    *("", "qiye", "yanfa", "shiyan", "jiqun", "zhengce", "fabu", "chushen", "shenpi", "caiwu", "fuhe", "shenji"),
    "bangong",
)
STARTS = {
    "": ("/", "/accounts/login/"),
    "shiyan": ("/lab/instruments/", "/lab/bookings/?tab=all", "/lab/bookings/?tab=in_use", "/desk/"),
}
"""Where somebody's looking begins, so that of each kind of page it meets the one with most to do."""
FILES = re.compile(
    r"/(file|files/[\w-]+|proofs/\d+|xlsx|csv|script|raw|certificate)/(\?|$)|\.ics$|/accounts/logout/|^/(static|api|calendar|feeds)/|/export/|/import/template/|/import-template/|/receipts/\d+\.(pdf|json)$|/documents/[\w-]+/(pdf|json|xml)/$|format=(csv|json|xlsx|pdf)"
)
"""Addresses that answer with a file, end the session or are no page."""


def kind(path: str) -> str:
    return view_of(path.partition("?")[0])


@cache
def view_of(path: str) -> str:
    try:
        return resolve(path).view_name
    except Resolver404:
        return f"nothing at {path}"


def pages(links: Iterable[str], origin: str) -> Iterable[str]:
    """Return the pages that links lead to, each by its Chinese address."""
    for link in links:
        parts = urlsplit(link)
        path = "/" + parts.path.removeprefix("/en/").removeprefix("/") + (f"?{parts.query}" if parts.query else "")
        if link.startswith(f"{origin}/") and not FILES.search(path):
            yield path


@pytest.fixture(scope="module")
def looked_at(running: tuple[str, Path]) -> Path:
    """Where all test processes of the session note which kinds of page have been looked at with axe."""
    path = running[1].parent / f"looked-at-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    path.mkdir(exist_ok=True)
    return path


def is_new(kind_of_page: str, looked_at: Path) -> bool:
    try:
        (looked_at / quote(kind_of_page, safe="")).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def resized(screen: Page, width: int) -> list[str]:
    """Make the window so wide, say what is wrong with the page then, and make it as it was."""
    before = screen.viewport_size
    assert before is not None
    screen.set_viewport_size({"width": width, "height": before["height"]})
    findings = [f"{width} wide: {finding}" for finding in examine(screen, axe=False).findings]
    screen.set_viewport_size(before)
    return findings


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role or "public")
def test_every_page(people: Browsers, role: str, looked_at: Path) -> None:
    """Follow the links from the front page; of each kind of page look at one.

    Everybody's own pages are looked at narrow and in English: a word left in Chinese and a line too long show there.
    Once for each kind of page, by whoever comes first, it is looked at wide and in Chinese too, there with axe, and in
    windows made the other width: those judge the template, not what is in it.
    """
    screens = {width: people.context(role, width=width).new_page() for width in (WIDE, NARROW)}
    for screen in screens.values():
        screen.goto("/")
    waiting = list(STARTS.get(role, ("/", "/desk/")))
    kinds = {kind(path) for path in waiting}
    findings: list[str] = []
    while waiting:
        path = waiting.pop(0)
        new = is_new(kind(path), looked_at)
        for language, width in (("", WIDE), ("/en", NARROW)) if new else (("/en", NARROW),):
            address, screen = f"{language}{path}", screens[width]
            seen = look(screen, address, axe=width == WIDE)
            findings += [f"{address} at {width}: {finding}" for finding in seen.findings]
            if new and seen.links:
                findings += [f"{address} made {finding}" for finding in resized(screen, WIDE + NARROW - width)]
            for found in pages(seen.links, people.origin):
                if kind(found) not in kinds:
                    kinds.add(kind(found))
                    waiting.append(found)
    report(findings)


@pytest.mark.parametrize(("language", "width"), [("", WIDE), ("", NARROW), ("/en", NARROW)])
class TestStates:
    """Pages in the states that no link leads to."""

    def test_a_dialog(self, people: Browsers, language: str, width: int) -> None:
        page = people.open("qiye", f"{language}/instruments/?day={workday(7)}", width=width)
        page.locator("table.week a.track:visible").first.click()
        expect(page.get_by_role("dialog").locator("form[method=post]")).to_be_visible()
        report(examine(page).findings)

    def test_a_form_sent_back(self, people: Browsers, language: str, width: int) -> None:
        page = people.open("shiyan", f"{language}/lab/instruments/new/", width=width)
        page.locator("main form button[type=submit]").click()
        expect(page.locator(".errs")).to_be_focused()
        report(examine(page).findings)

    def test_an_application_to_check(self, people: Browsers, language: str, width: int) -> None:
        page = people.open("qiye", f"{language}/programmes/zj-share-2026/apply/", width=width)
        page.locator("[name=contract_number]").fill("HT-1")
        page.locator("[name=provider]").fill("LAB")
        page.locator("[name=signed]").fill(workday(-9))
        page.locator("[name=months]").fill("12")
        page.locator("[name=related][value=no]").check()
        page.locator("#id_items input").first.fill("20000")
        page.locator("main form button.primary").click()
        expect(page.locator("main form[method=post].split")).to_be_visible()
        report(examine(page).findings)

    def test_open_menus(self, people: Browsers, language: str, width: int) -> None:
        page = people.open("qiye", f"{language}/desk/", width=width)
        if width == NARROW:
            page.locator("details.menu summary").click()
        page.locator("details.drop summary").click()
        report(examine(page).findings)

    def test_pages_that_refuse(self, people: Browsers, language: str, width: int) -> None:
        people.watch.allowed |= {403, 404}
        page = people.open("qiye", width=width)
        findings = look(page, f"{language}/no/such/page/", status=404).findings
        findings += look(page, f"{language}/bookings/B0000-000000/", status=404).findings
        report(findings + look(page, f"{language}/review/", status=403).findings)


def test_faults_are_seen(people: Browsers) -> None:
    """The looking itself: a page with one fault of each sort is told in so many findings."""
    page = people.open()
    page.goto("/en/")
    page.set_content(
        "<!doctype html><html lang=fr><title> · x</title><main><h1>a</h1><h1>b</h1><img src='/static/x'>"
        "<p>in_use</p><p>booking.taken</p><p>None</p><p>预约</p><p lang=zh-Hans>预约</p>"
        "<pre>set_x</pre><textarea cols=600></textarea>" + "<i></i>" * ELEMENTS
    )
    findings = " ".join(examine(page).findings)
    for word in (
        "no title",
        "lang is",
        "2 h1",
        "wider",
        "elements",
        "'in_use'",
        "'booking.taken'",
        "'None'",
        "axe image-alt",
    ):
        assert word in findings
    assert findings.count("Chinese") == 1
    assert "set_x" not in findings
    people.watch.complaints.clear()
