"""The live log through a cut line: nothing lost, nothing twice."""

import re
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.browsing import Browsers, browsers
from tests.journeys.looking import examine, report
from tests.journeys.wire import wire

pytestmark = [pytest.mark.browser, pytest.mark.servers]

LINES = 40
SCRIPT = f"""#!/bin/bash
for line in $(seq 1 {LINES}); do
  echo "行 $line"
  sleep 0.3
done
"""


def submit(page: Page) -> None:
    page.get_by_label("作业名称").fill(f"log {uuid.uuid4().hex[:8]}")
    partition = page.get_by_label("分区")
    partition.select_option(next(text for text in partition.locator("option").all_inner_texts() if "H20" in text))
    page.get_by_label("加速卡").fill("1")
    page.get_by_label("时限", exact=True).fill("10")
    page.get_by_label("付款方式").select_option(label="全部自付")
    page.get_by_label("脚本", exact=True).fill(SCRIPT)
    expect(page.locator("#quote dd").first).to_have_text("10 分")
    page.get_by_role("button", name="提交作业", exact=True).click()
    page.wait_for_url("**/jobs/J*/")


def test_live_page(people: Browsers) -> None:
    """The page of a running job is as sound as any other, and so is the question whether to stop it; Esc keeps it."""
    page = people.open("qiye", "/jobs/new/")
    submit(page)
    expect(page.locator("section.log pre")).to_contain_text("行 1\n", timeout=120_000)
    report(examine(page).findings)
    page.get_by_role("link", name="取消作业").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="取消这个作业")).to_be_visible()
    report(examine(page).findings)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="取消作业").click()
    dialog.get_by_role("button", name="取消这个作业").click()
    expect(page.locator("#job-state")).to_contain_text("已取消", timeout=60_000)
    expect(page.locator("#job-state")).to_contain_text("实际费用")


def test_log_survives_a_cut(chromium: Browser, running: tuple[str, Path], signed_in: Path) -> None:
    """The line is cut while the job goes on writing: the page says so, reconnects by itself and has every line once."""
    with wire(running[0]) as line, browsers(chromium, line.origin, signed_in) as people:
        people.watch.forgiven.append("net::ERR_")
        page = people.open("qiye", "/jobs/new/")
        submit(page)
        log = page.locator("section.log pre")
        expect(log).to_contain_text("行 3\n", timeout=120_000)
        line.cut()
        expect(page.get_by_text("连接中断，正在重连")).to_be_visible()
        seen = log.inner_text()
        line.mend()
        expect(page.get_by_text("实时更新")).to_be_visible()
        expect(page.locator("#job-state")).to_contain_text("实际费用", timeout=120_000)
        expect(page.get_by_text("日志已结束")).to_be_visible()
        assert f"行 {LINES}" not in seen
        assert re.findall(r"^行 (\d+)$", log.inner_text(), re.MULTILINE) == [str(line + 1) for line in range(LINES)]
