"""A whole run cycle at their browsers: forty proposals from a file, judged, ranked, scheduled, offered, a visit, its report."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from portal.demo.catalogue import ENTERPRISES
from portal.demo.people import ACCOUNTS
from tests.journeys import serving
from tests.journeys.browsing import Browsers, workday
from tests.journeys.looking import examine, report

pytestmark = [pytest.mark.browser, pytest.mark.servers]

FIRM = next(entry.name for entry in ENTERPRISES if entry.key == "xinghe")
NUMBER = 40
BACK = """
from django.db import connection
from scheduler.beamtime.models import BeamVisit
visit = BeamVisit.objects.get(number="{number}")
with connection.cursor() as cursor:
    cursor.execute(
        "UPDATE beam_visit SET during = tstzrange(lower(during) - d, upper(during) - d),"
        " sample_approved_at = sample_approved_at - d, safety_approved_at = safety_approved_at - d FROM (SELECT lower(during) - now()"
        " + interval '2 hours' AS d FROM beam_visit WHERE id = %s) AS by WHERE id = %s", [visit.pk, visit.pk])
    cursor.execute(
        "UPDATE claim SET during = v.during, blocked = v.during FROM beam_visit v WHERE v.id = visit_id AND v.id = %s",
        [visit.pk])
"""
"""Time passes: the visit began two hours ago, what was approved for it lies back as far."""

FETCH = """async ([path, method, body]) => {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const headers = {"Content-Type": "application/json", "X-CSRFToken": token, "Idempotency-Key": crypto.randomUUID()};
    const answer = await fetch(`/api/v1${path}`, {method, headers, body: method === "GET" ? undefined : JSON.stringify(body)});
    return [answer.status, answer.status === 204 ? null : await answer.json()];
}"""


def ask(page: Page, method: str, path: str, body: Any = None) -> Any:
    """Call the API in a person's own session, as her page could."""
    status, answer = page.evaluate(FETCH, [path, method, body or {}])
    assert status < 300, (path, status, answer)
    return answer


def everything(page: Page, path: str) -> list[Any]:
    """Return every row of a list of the API."""
    rows, after = [], ""
    while True:
        answer = ask(page, "GET", f"{path}{'&' if '?' in path else '?'}limit=100{after}")
        rows += answer["items"]
        if not answer["next_before"]:
            return rows
        after = f"&before={answer['next_before']}"


def press(page: Page, name: str) -> None:
    """Press what opens a dialog, or the button in it."""
    page.get_by_role("main").get_by_role("link", name=name, exact=True).first.click()


def confirm(page: Page, name: str) -> None:
    dialog = page.get_by_role("dialog")
    report(examine(page).findings)
    dialog.get_by_role("button", name=name, exact=True).click()
    expect(dialog).to_be_hidden()


def command(state: Path, code: str) -> None:
    """Run a piece of Python beside the running server, on its database."""
    given = ("DATABASE_URL", "REDIS_URL", "GONGXIANG_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(given)}
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=serving.ROOT,
        env={**environment, "GONGXIANG_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def table() -> bytes:
    head = "题目,摘要,单位,负责人账号,线站,班次数,样品,样品数量,实验后去向"
    rows = [
        f"正极材料 {at},充放电中的结构变化。,{FIRM},yanfa,{'BL01' if at % 5 < 3 else 'BL02'},3,电池,3 片,带回"
        for at in range(NUMBER)
    ]
    return "\n".join([head, *rows]).encode()


def imported(office: Page) -> None:
    """The office takes forty proposals in from a file, after a look, and checks them all."""
    office.goto("/call-desk/")
    office.get_by_role("main").get_by_role("link", name="导入申请").first.click()
    office.get_by_role("main").locator("input[type=file]").set_input_files(
        {"name": "申请.csv", "mimeType": "text/csv", "buffer": table()}
    )
    office.get_by_role("button", name="检查文件").click()
    report(examine(office).findings)
    office.get_by_role("button", name=f"导入 {NUMBER} 行").click()
    expect(office.get_by_role("heading", level=1)).to_have_text("导入结果")
    office.goto("/proposal-desk/?state=submitted")
    report(examine(office).findings)
    while ticks := office.get_by_role("main").locator("input[name=number]").all():
        for tick in ticks:
            tick.check()
        with office.expect_navigation():
            office.get_by_role("button", name="所选申请通过形式审查").click()
        office.goto("/proposal-desk/?state=submitted")


def assessed(staff: Page, kind: str) -> None:
    """One of the staff files the first finding on the page, the others over the API."""
    staff.goto(f"/assessments/?kind={kind}")
    report(examine(staff).findings)
    staff.get_by_role("main").get_by_role("link", name="审查 ").first.click()
    dialog = staff.get_by_role("dialog")
    dialog.get_by_label("通过", exact=True).check()
    if kind == "safety":
        dialog.get_by_label("安全等级").select_option("green")
    dialog.get_by_role("button", name="提交结论").click()
    expect(dialog).to_be_hidden()
    body = {"kind": kind, "passed": True, **({"safety_class": "green"} if kind == "safety" else {})}
    for row in everything(staff, f"/assessments?kind={kind}"):
        ask(staff, "POST", f"/assessments/{row['number']}", body)


def judged(people: Browsers, office: Page) -> None:
    """Two reviewers are asked for each proposal; each grades one on her page, the others over the API."""
    office.goto("/panels/")
    office.get_by_role("main").get_by_role("link", name="材料科学评审组").click()
    main = office.get_by_role("main")
    main.get_by_label("用户名或电子邮箱").fill("shiyan")
    main.get_by_label("姓名").fill(next(row[1] for row in ACCOUNTS if row[0] == "shiyan"))
    main.get_by_role("button", name="聘请评审人").click()
    panel = office.url.rstrip("/").split("/")[-1]
    found = ask(office, "GET", f"/panels/{panel}")
    seats = [seat["id"] for seat in found["panelists"]]
    assert len(seats) == 2
    for row in found["proposals"]:
        for seat in seats:
            ask(office, "POST", f"/panels/{panel}/ask", {"proposal": row["number"], "panelist": seat})
    office.reload()
    report(examine(office).findings)
    for name in ("pingshen", "shiyan"):
        reviewer = people.open(name, "/reviews/")
        report(examine(reviewer).findings)
        reviewer.get_by_role("main").locator("tbody a").first.click()
        reviewer.get_by_label("评分", exact=True).fill("5.6")
        reviewer.get_by_label("给课题组的意见").fill("论证充分。")
        form = reviewer.get_by_role("main").locator("form.card")
        form.get_by_role("button").click()
        expect(form).to_contain_text("评分须在 0 到 5.5 之间")
        reviewer.get_by_label("评分", exact=True).fill("5.5")
        form.get_by_role("button").click()
        expect(reviewer.locator("#toasts")).to_be_visible()
        for at, row in enumerate(everything(reviewer, "/reviews")):
            if row["state"] == "asked":
                grade = f"{3 + at % 20 / 10:.1f}"
                ask(reviewer, "POST", f"/reviews/{row['id']}/grade", {"grade": grade, "to_team": "已评。"})


def ranked(office: Page, director: Page) -> None:
    """The office has each beamline ranked and proposes the list; the director decides it."""
    for line in ("BL01", "BL02"):
        office.goto("/panels/")
        office.get_by_role("main").get_by_role("link", name="材料科学评审组").click()
        office.get_by_role("main").get_by_role("link", name=f"为 {line} 排序").click()
        office.get_by_role("dialog").get_by_role("button", name="排序", exact=True).click()
        office.get_by_role("main").get_by_role("link", name=f"查看 {line} 的排序").click()
        expect(office.get_by_role("heading", level=1)).to_contain_text(f"{line} 的排序")
        report(examine(office).findings)
        press(office, "提交主任批准")
        confirm(office, "提交主任批准")
        director.goto(office.url)
        press(director, "批准并分配")
        confirm(director, "批准并分配")


def scheduled(planner: Page) -> None:
    """The planner has a schedule drafted, fixes one place, has the rest placed around it, and sends the offers."""
    planner.goto("/schedule/")
    rows = planner.get_by_role("main").locator("tbody tr").filter(has_text="40")
    rows.get_by_role("link").first.click()
    planner.get_by_label("每条线站计算时间（秒）").fill("5")
    planner.get_by_role("button", name="生成草案").click()
    draft = planner.get_by_role("button", name="采用草案并发给课题组")
    expect(draft).to_be_visible(timeout=120_000)
    report(examine(planner).findings)
    planner.locator("#board td.place a").first.click()
    planner.get_by_role("button", name="固定", exact=True).click()
    expect(planner.get_by_role("button", name="解开", exact=True)).to_be_visible()
    planner.get_by_role("button", name="围绕固定的重新计算").click()
    expect(draft).to_be_visible(timeout=120_000)
    expect(planner.locator("#board td.place.fixed")).to_have_count(1)
    draft.click()
    expect(planner.locator("#board td.visit").first).to_be_visible()


def visited(people: Browsers, team: Page, state: Path) -> None:
    """A team takes an offer, is prepared for, has its beam and reports."""
    team.goto("/beam-offers/?state=offered")
    report(examine(team).findings)
    team.get_by_role("main").locator("tbody a").first.click()
    team.get_by_role("button", name="接受机时").click()
    number = team.url.rstrip("/").split("/")[-1]
    where = f"/visits/{number}/"
    team.goto(where)
    press(team, "确认到访人员")
    team.get_by_role("dialog").get_by_role("checkbox").first.check()
    confirm(team, "确认到访人员")
    scientist, safety = people.open("xianzhan", where), people.open("anquan", where)
    press(scientist, "批准样品单")
    confirm(scientist, "批准样品单")
    press(safety, "通过安全审查")
    confirm(safety, "通过安全审查")
    press(safety, "登记安全培训")
    safety.get_by_role("dialog").get_by_label("有效期至（不含当日）").fill(workday(400))
    confirm(safety, "登记安全培训")
    scientist.reload()
    press(scientist, "确认准备就绪")
    confirm(scientist, "确认准备就绪")
    command(state, BACK.format(number=number))
    scientist.goto("/beam-desk/")
    report(examine(scientist).findings)
    scientist.goto(where)
    for name in ("签到", "开始供束", "结束机时"):
        press(scientist, name)
        confirm(scientist, name)
    team.goto(where)
    press(team, "提交实验报告")
    team.get_by_role("dialog").get_by_label("实验报告摘要").fill("测得相变温度。")
    confirm(team, "提交实验报告")
    expect(team.get_by_role("heading", level=1)).to_contain_text("已完成")


def test_a_cycle_from_its_call_to_a_report(people: Browsers, running: tuple[str, Path]) -> None:
    office = people.open("bangong", "/")
    imported(office)
    for name, kind in (("xianzhan", "technical"), ("anquan", "safety")):
        assessed(people.open(name, "/"), kind)
    judged(people, office)
    director, planner, team = people.open("zhuren", "/"), people.open("paiban", "/"), people.open("yanfa", "/")
    ranked(office, director)
    scheduled(planner)
    visited(people, team, running[1])
    director.goto("/facilities/zls/figures/")
    report(examine(director).findings)
