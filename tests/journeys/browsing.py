"""People at their browsers: each has an own context, and everything their pages complain about is kept."""

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from portal.demo.people import PASSWORD

WIDE, NARROW = 1440, 390
OWN = ("data:", "blob:", "chrome://", "chrome-extension://")
"""What a browser takes from itself; its reader of PDF files is made of such parts."""
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Watch:
    """What a browser complained about. Chromium itself prints a line for each answer of 400 and above: `allowed`
    holds the statuses a test provokes on purpose, `forgiven` other texts."""

    origin: str
    allowed: set[int] = field(default_factory=lambda: {409, 422})
    forgiven: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    """Other origins a test goes to on purpose: the sandbox payment server's pages."""
    complaints: list[str] = field(default_factory=list)

    def follow(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"{error.page and error.page.url}: {error.error}"))
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        provoked = [f"the server responded with a status of {status}" for status in self.allowed] + self.forgiven
        if not any(text in message.text for text in provoked):
            where = message.page.url if message.page else ""
            self.complaints.append(f"{where}: console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", *OWN, *self.beside)):
            self.complaints.append(f"request off the origin: {request.url}")


@dataclass
class Browsers:
    """Opens browsers for the people of the demo province; closes them at the end of a test."""

    browser: Browser
    origin: str
    states: Path
    watch: Watch
    contexts: list[BrowserContext] = field(default_factory=list)

    def context(self, person: str = "", *, width: int = WIDE, script: bool = True, **options: Any) -> BrowserContext:
        """Open a browser of its own, signed in as `person` where one is named."""
        if person:
            options["storage_state"] = self._signed_in(person)
        context = self.browser.new_context(
            base_url=self.origin,
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            **options,
        )
        context.set_default_timeout(PATIENCE_MS)
        self.watch.follow(context)
        self.contexts.append(context)
        return context

    def open(self, person: str = "", path: str = "/", **options: Any) -> Page:
        """Open `path` in a new browser of `person`."""
        page = self.context(person, **options).new_page()
        page.goto(path)
        return page

    def _signed_in(self, person: str) -> Path:
        """Sign in once per person and session: the cookies are kept, the sign-in page limits how often it is asked."""
        state = self.states / f"{person}.json"
        with (self.states / f"{person}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not state.exists():
                context = self.browser.new_context(base_url=self.origin)
                self.watch.follow(context)
                sign_in(context.new_page(), person)
                context.storage_state(path=state)
                context.close()
        return state

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        self.contexts.clear()


def workday(ahead: int) -> str:
    """Return the first weekday from so many days ahead on: every instrument of the demo province is open then."""
    day = datetime.now(ZoneInfo("Asia/Shanghai")).date() + timedelta(days=ahead)
    while day.isoweekday() > 5:
        day += timedelta(days=1)
    return day.isoformat()


def sign_in(page: Page, person: str) -> None:
    """Sign in through the page."""
    if "/accounts/login/" not in page.url:
        page.goto("/accounts/login/")
    page.get_by_label("用户名或邮箱").fill(person)
    page.get_by_label("密码", exact=True).fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="登录").click()
    expect(page.locator("details.drop .who")).to_be_visible()


@contextlib.contextmanager
def browsers(browser: Browser, origin: str, states: Path) -> Iterator[Browsers]:
    """Open browsers, and say at the end what they complained about."""
    opened = Browsers(browser, origin, states, Watch(origin))
    try:
        yield opened
    finally:
        opened.close()
    assert not opened.watch.complaints, "\n".join(opened.watch.complaints)
