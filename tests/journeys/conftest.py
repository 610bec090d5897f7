"""The running portal, a real Chromium, and a browser for each person."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.journeys import browsing, serving


@pytest.fixture(scope="session")
def running() -> Iterator[tuple[str, Path]]:
    """The address and the state directory of the portal, as its own launcher started it."""
    with serving.portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for a module, and no longer: Playwright's event loop keeps Django's database calls out."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in(running: tuple[str, Path]) -> Path:
    """Where the cookies of those who have signed in are kept, for all test processes."""
    path = running[1].parent / "signed-in"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture
def till(running: tuple[str, Path]) -> Path:
    """The lock of the cash desk: who settles takes all that is due, so two walks must take turns."""
    return running[1].parent / "till.lock"


@pytest.fixture
def people(chromium: Browser, running: tuple[str, Path], signed_in: Path) -> Iterator[browsing.Browsers]:
    """Browsers for the people of the demo province; the test fails where a page complains."""
    with browsing.browsers(chromium, running[0], signed_in) as opened:
        yield opened
