"""The walk of value, walked by people in their browsers: programme, voucher, instrument, job, settlement, ledger."""

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Locator, Page, expect

from portal.kernel.money import round_half_up
from tests.journeys import serving
from tests.journeys.browsing import Browsers
from tests.journeys.looking import examine, report

pytestmark = [pytest.mark.browser, pytest.mark.servers]

BEIJING = ZoneInfo("Asia/Shanghai")
LAB = "钱江大学电子显微中心"
SUM = 12
"""The statement's column M: what each line comes to; behind it stands who bears it."""
RATE, CARD_HOUR, CARDS = Decimal("480.00"), Decimal("9.00"), 2
SHARE = Decimal("0.6")
SCRIPT = """#!/bin/bash
for step in 1 2 3 4 5 6; do
  echo "step $step/6 loss 0.$((9 - step))"
  sleep 1
done
"""
CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//Gongxiang//walk//ZH\r
BEGIN:VEVENT\r
UID:{uid}\r
DTSTAMP:{stamp:%Y%m%dT%H%M%S}Z\r
DTSTART;TZID=Asia/Shanghai:{day:%Y%m%d}T090000\r
DTEND;TZID=Asia/Shanghai:{day:%Y%m%d}T110000\r
RRULE:FREQ=WEEKLY;COUNT=4\r
SUMMARY:Group use\r
END:VEVENT\r
END:VCALENDAR\r
"""


def yuan(place: Locator | str) -> list[Decimal]:
    """Return every amount a place shows, in order."""
    text = place if isinstance(place, str) else place.inner_text()
    return [Decimal(amount.replace(",", "")) for amount in re.findall(r"¥\s?([\d,]+\.\d\d)", text)]


def row(page: Page, name: str | re.Pattern[str]) -> Locator:
    """Return the line of a table or a list of facts that starts with `name`."""
    return page.locator("tr, dl.sum > div").filter(has=page.locator("th, dt").filter(has_text=name)).first


def settled(page: Page) -> None:
    """Wait until what was last put into the page answers: its fields are there a moment before it listens to them."""
    expect(page.get_by_role("dialog").locator("form[hx-post]")).to_be_visible()
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added")).to_have_count(0)


def voucher_part(amount: Decimal) -> Decimal:
    return (amount * SHARE).quantize(Decimal("0.01"), ROUND_DOWN)


@dataclass
class Walk:
    """What the people tell each other on the way."""

    people: Browsers
    serial: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    pages: dict[str, Page] = field(default_factory=dict)
    application: str = ""
    voucher: str = ""
    instrument: str = ""
    booking: str = ""
    job: str = ""

    @property
    def programme(self) -> str:
        return f"旅程券 {self.serial}"

    @property
    def microscope(self) -> str:
        return f"旅程显微镜 {self.serial}"

    def person(self, name: str, path: str = "") -> Page:
        """Return the person's page, gone to `path` where one is named."""
        if name not in self.pages:
            self.pages[name] = self.people.open(name, "/desk/")
        page = self.pages[name]
        if path:
            page.goto(path)
        return page

    def purse(self) -> tuple[Decimal, ...]:
        """Return face, used, held and left of the voucher as the wallet shows them."""
        wallet = self.person("qiye", "/wallet/")
        return tuple(yuan(row(wallet, self.voucher)))


def test_walk_of_value(people: Browsers, tmp_path: Path, till: Path) -> None:
    """Each person does their step on the pages; the numbers agree at every one of them."""
    walk = Walk(people)
    programme_is_imported_and_published(walk)
    voucher_is_applied_for_and_issued(walk)
    instrument_is_published(walk)
    time_is_booked(walk)
    with serving.locked(till):
        session_is_measured(walk)
        own_share_is_paid(walk, walk.booking)
        job_is_run(walk)
        lab_is_settled(walk, tmp_path)
    ledger_accounts_for_all(walk)


def programme_is_imported_and_published(walk: Walk) -> None:
    now = datetime.now(BEIJING)
    document = {
        "code": f"walk-{walk.serial}",
        "name": {"zh": walk.programme, "en": f"Journey voucher {walk.serial}"},
        "doc_no": "WALK 2026-1",
        "issuer": "省科技主管部门（演示）",
        "lead": "省科技主管部门（演示）",
        "level": "province",
        "source": "演示数据，非真实政策",
        "grade": "A",
        "in_force": [f"{now.year - 1}-01-01", f"{now.year + 1}-12-31"],
        "eligibility": ["applicant.type", "=", "enterprise"],
        "related_party": "forbidden",
        "cost": {"include": ["compute", "instrument_use"], "max_months": 12},
        "lines": [{"id": "60%", "rate": "0.60"}],
        "caps": [{"window": "year", "amount": 50000}],
        "validity": {"length": 6, "from": "issue"},
    }
    officer = walk.person("zhengce", "/programmes/")
    officer.get_by_role("link", name="导入项目文件").click()
    file = {"name": "walk.json", "mimeType": "application/json", "buffer": json.dumps(document).encode()}
    officer.get_by_label("项目文件").set_input_files(file)
    officer.get_by_label("预算（元）").fill("200000")
    officer.get_by_role("button", name="检查并存为草稿").click()
    expect(officer.get_by_role("heading", level=1)).to_contain_text(walk.programme)
    main = officer.get_by_role("main")
    expect(main).to_contain_text("60%")
    expect(main).to_contain_text("企业")
    assert yuan(row(officer, "发布时注入")) == [Decimal(200000)]
    expect(officer.get_by_role("button", name="发布")).to_have_count(0)

    publisher = walk.person("fabu", "/desk/")
    publisher.get_by_role("link", name=walk.programme).click()
    publisher.get_by_label("审查单位").fill("省市场监督管理部门（演示）")
    publisher.get_by_label("审查日期").fill(now.date().isoformat())
    publisher.get_by_label("审查文号").fill("演示公审 1 号")
    publisher.get_by_label("审查结论").fill("未发现影响公平竞争的内容。")
    publisher.get_by_role("button", name="保存审查记录").click()
    expect(publisher.get_by_role("status")).to_contain_text("已登记公平竞争审查")
    publisher.get_by_role("button", name="我已复核，发布本版").click()
    expect(publisher.get_by_role("status")).to_contain_text("已发布")


def voucher_is_applied_for_and_issued(walk: Walk) -> None:
    firm = walk.person("qiye", "/programmes/")
    firm.get_by_role("link", name=walk.programme).first.click()
    firm.get_by_role("link", name="申请", exact=True).last.click()
    firm.get_by_label("合同编号").fill(f"HT-{walk.serial}")
    firm.get_by_label("服务单位").fill(LAB)
    firm.get_by_label("签订日期").fill((datetime.now(BEIJING) - timedelta(days=3)).date().isoformat())
    firm.get_by_label("合同期限").fill("12")
    firm.get_by_label("否", exact=True).check()
    items = firm.get_by_role("group", name="合同各项金额").get_by_role("textbox")
    for place, amount in enumerate(("20000", "30000")):
        items.nth(place).fill(amount)
    firm.get_by_role("button", name="核对并测算").click()
    expect(firm.get_by_role("heading", level=1)).to_have_text("核对申请")
    assert Decimal(30000) in yuan(firm.get_by_role("main"))
    report(examine(firm).findings)
    firm.get_by_role("button", name="提交申请").click()
    walk.application = firm.locator(".receipt .no").inner_text()
    assert yuan(firm.locator(".receipt")) == [Decimal(30000)]

    reviewer = walk.person("chushen", f"/review/{walk.application}/")
    assert yuan(row(reviewer, "测算金额")) == [Decimal(30000)]
    reviewer.get_by_role("button", name="通过", exact=True).click()
    expect(reviewer.get_by_role("status")).to_contain_text("审批")
    approver = walk.person("shenpi", f"/review/{walk.application}/")
    approver.get_by_role("button", name="通过", exact=True).click()
    expect(approver.get_by_role("status")).to_contain_text("券")

    firm.goto(f"/applications/{walk.application}/")
    firm.get_by_role("link", name="查看券").click()
    walk.voucher = firm.get_by_role("heading", level=1).inner_text().split()[0]
    assert walk.purse() == (Decimal(30000), Decimal(0), Decimal(0), Decimal(30000))


def instrument_is_published(walk: Walk) -> None:
    lab = walk.person("shiyan", "/lab/instruments/")
    lab.get_by_role("link", name="登记仪器").click()
    lab.get_by_label("名称", exact=True).fill(walk.microscope)
    lab.get_by_label("英文名称").fill(f"Journey microscope {walk.serial}")
    lab.get_by_label("类别").select_option(index=1)
    lab.get_by_label("所在城市").fill("杭州")
    lab.get_by_label("使用后清理").fill("30")
    lab.get_by_role("button", name="保存为草稿").click()
    walk.instrument = row(lab, "编号").locator("dd").inner_text()

    lab.get_by_role("link", name="开放时间", exact=True).click()
    lab.get_by_role("button", name="周一增加一段").click()
    lab.get_by_label("开放", exact=True).fill("00:00")
    lab.get_by_label("关闭", exact=True).fill("00:00")
    lab.get_by_role("button", name="完成", exact=True).click()
    lab.locator("[data-copy='1'] summary").click()
    for box in lab.locator("[data-copy='1']").get_by_role("checkbox").all():
        box.check()
    lab.locator("[data-copy='1']").get_by_role("button").click()
    lab.get_by_role("button", name="保存开放时间").click()
    expect(lab.locator("#toasts")).to_contain_text("开放时间已保存")

    lab.goto(f"/instruments/{walk.instrument}/")
    lab.get_by_role("link", name="价目表", exact=True).click()
    lab.get_by_label("单价").fill(str(RATE))
    lab.get_by_role("button", name="公布新价格").click()
    expect(lab.locator("#toasts")).to_contain_text("价格")
    lab.goto(f"/instruments/{walk.instrument}/")
    assert RATE in yuan(row(lab, re.compile("^价格$")))
    lab.get_by_role("button", name="发布，接受预约").click()
    expect(lab.get_by_role("button", name="暂停开放")).to_be_visible()

    now = datetime.now(BEIJING)
    text = CALENDAR.format(uid=uuid.uuid4(), stamp=now, day=now + timedelta(days=2))
    lab.get_by_role("link", name="导入日历").click()
    upload = lab.locator("form", has=lab.locator("input[type=file]"))
    upload.get_by_label("日历名称").fill("Group calendar")
    upload.get_by_label("文件").set_input_files(
        {"name": "课题组.ics", "mimeType": "text/calendar", "buffer": text.encode()}
    )
    lab.get_by_role("button", name="检查文件").click()
    expect(lab.get_by_role("heading", level=1)).to_contain_text("Group calendar")
    expect(lab.locator(".tile", has_text="新占用")).to_contain_text("8 小时")
    report(examine(lab).findings)
    lab.get_by_role("button", name="导入", exact=True).click()
    expect(lab.get_by_text("的导入结果")).to_be_visible()
    report(examine(lab).findings)


def time_is_booked(walk: Walk) -> None:
    """Click free time in the week grid, move it to the next half hour: the form says who pays what."""
    firm = walk.person("qiye", f"/instruments/?q={walk.serial}&view=week")
    free = firm.locator("table.week a.track i.free:visible").first
    box = free.bounding_box()
    assert box is not None
    firm.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    dialog = firm.get_by_role("dialog")
    dialog.get_by_label("用途").fill("electrode section")
    soon = datetime.now(BEIJING) + timedelta(minutes=3)  # the half hour must not begin while the form is filled in
    start = soon.replace(minute=0, second=0) + timedelta(minutes=30 * (soon.minute // 30 + 1))
    end = start + timedelta(hours=1)
    dialog.get_by_label("日期").fill(f"{start:%Y-%m-%d}")
    dialog.get_by_label("开始", exact=True).select_option(f"{start:%H:%M}")
    midnight = f"{end:%H:%M}" == "00:00"
    dialog.get_by_label("结束日").select_option("0" if midnight else str((end.date() - start.date()).days))
    dialog.get_by_label("结束", exact=True).select_option("24:00" if midnight else f"{end:%H:%M}")
    dialog.get_by_label("付款方式").select_option(walk.voucher)
    quote = dialog.locator("#quote")
    settled(firm)  # every change asks for a quote: only the last answer is about what the form now says
    expect(quote).to_contain_text("券抵扣 60%")
    expect(quote).to_contain_text("¥288.00")
    assert yuan(quote.locator("dd").nth(0)) == [RATE]
    assert [yuan(quote.locator("dd").nth(place)) for place in (1, 2)] == [[Decimal("288.00")], [Decimal("192.00")]]
    dialog.get_by_role("button", name="提交预约").click()
    firm.wait_for_url("**/bookings/*/")
    walk.booking = firm.url.rstrip("/").rpartition("/")[2]
    assert walk.purse() == (Decimal(30000), Decimal(0), Decimal(288), Decimal(29712))


def session_is_measured(walk: Walk) -> None:
    """The lab confirms and measures 33 minutes; what they cost is captured, the rest comes back."""
    lab = walk.person("shiyan", f"/bookings/{walk.booking}/")
    lab.get_by_role("button", name="确认预约").click()
    end = datetime.now(BEIJING).replace(second=0)
    for button, moment, done in (
        ("登记开始使用", end - timedelta(minutes=33), "登记开始"),
        ("登记使用结束", end, "登记结束并结算"),
    ):
        lab.get_by_role("link", name=button).click()
        dialog = lab.get_by_role("dialog")
        settled(lab)
        dialog.get_by_label("日期").fill(f"{moment:%Y-%m-%d}")
        dialog.get_by_label("时间").fill(f"{moment:%H:%M}")
        if moment == end:
            expect(dialog.locator("#expected")).to_contain_text("¥264.00")
        dialog.get_by_role("button", name=done, exact=True).click()
        expect(dialog).to_be_hidden()

    firm = walk.person("qiye", f"/bookings/{walk.booking}/")
    used, spare = Decimal("158.40"), Decimal("129.60")
    assert yuan(row(firm, "实际结算")) == [used, Decimal("105.60"), Decimal("264.00")]
    assert yuan(row(firm, re.compile("退回"))) == [spare, Decimal("86.40"), Decimal("216.00")]
    assert walk.purse() == (Decimal(30000), used, Decimal(0), Decimal(30000) - used)


def own_share_is_paid(walk: Walk, about: str) -> None:
    """The firm transfers its share and says so; finance finds the money and confirms."""
    firm = walk.person("qiye", "/payments/?state=due")
    line = firm.get_by_role("row").filter(has_text=about)
    number = line.get_by_role("rowheader").inner_text()
    firm.get_by_role("link", name=number).click()
    firm.get_by_label("银行流水号").fill(f"W{walk.serial}{number[-4:]}")
    firm.get_by_role("button", name="登记已付款").click()
    expect(firm.get_by_role("heading", level=1)).to_contain_text("待确认")
    finance = walk.person("caiwu", f"/payments/{number}/")
    finance.get_by_role("button", name="确认到账").click()
    expect(finance.get_by_role("status")).to_contain_text("到账")
    firm.reload()
    expect(firm.get_by_role("heading", level=1)).to_contain_text("已到账")


def job_is_run(walk: Walk) -> None:
    """Submit a job for the voucher, watch its log to the end, see what was captured and what came back."""
    firm = walk.person("qiye", "/jobs/new/")
    before = walk.purse()
    firm.goto("/jobs/new/")
    firm.get_by_label("作业名称").fill(f"training {walk.serial}")
    firm.get_by_label("分区").select_option(label=partition(firm))
    firm.get_by_label("加速卡").fill(str(CARDS))
    firm.get_by_label("时限", exact=True).fill("30")
    firm.get_by_label("付款方式").select_option(walk.voucher)
    firm.get_by_label("脚本", exact=True).fill(SCRIPT)
    quote = firm.locator("#quote dl")
    expect(quote).to_contain_text("30 分")
    # Held with the limit: the seconds this cluster may take to end a job.
    guard = re.search(r"停止余量 (?:(\d+) 分)?\s*(?:(\d+) 秒)?", quote.inner_text())
    guard_s = 60 * int(guard[1] or 0) + int(guard[2] or 0) if guard else 0
    price = Decimal(round_half_up(Fraction(CARD_HOUR) * 100 * CARDS * (1800 + guard_s) / 3600)) / 100
    expect(quote).to_contain_text(f"{voucher_part(price)}")
    assert yuan(quote) == [CARD_HOUR, price, voucher_part(price), price - voucher_part(price)]
    firm.get_by_role("button", name="提交作业", exact=True).click()
    firm.wait_for_url("**/jobs/J*/")
    walk.job = firm.url.rstrip("/").rpartition("/")[2]

    log = firm.locator("section.log pre")
    expect(log).to_contain_text("step 6/6", timeout=120_000)
    expect(firm.locator("#job-state")).to_contain_text("实际费用", timeout=60_000)
    assert re.findall(r"step (\d)/6", log.inner_text()) == list("123456")
    seconds = int(re.search(r"(\d+) 秒", firm.locator("#job-state").inner_text())[1])  # type: ignore[index]
    cost_fen = round_half_up(Fraction(CARD_HOUR) * 100 * CARDS * seconds / 3600)
    money = firm.locator("[data-part=money]")
    expect(money).to_contain_text("已结算")
    report(examine(firm).findings)
    captured = yuan(row(firm, "实际结算"))
    assert sum(captured) == Decimal(cost_fen) / 100
    assert captured[0] == voucher_part(sum(captured))
    used = before[1] + captured[0]
    assert walk.purse() == (Decimal(30000), used, Decimal(0), Decimal(30000) - used)


def partition(page: Page) -> str:
    """Return the label of the training partition whose card-hour costs ¥9.00."""
    options = page.get_by_label("分区").locator("option").all_inner_texts()
    return next(text for text in options if "A100 训练分区" in text)


def lab_is_settled(walk: Walk, downloads: Path) -> None:
    """Finance drafts what the lab is owed, a second person approves, the workbook's sum is the page's."""
    finance = walk.person("caiwu", "/settlements/")
    due = yuan(row(finance, LAB))[0]
    finance.get_by_role("button", name=f"编制批次 {LAB}").click()
    number = finance.get_by_role("heading", level=1).inner_text().split()[0]
    assert yuan(row(finance, "合计")) == [due]
    lines = finance.locator("tbody tr").filter(has_text=walk.booking)
    assert [yuan(line) for line in lines.all()] == [[Decimal("158.40")], [Decimal("105.60")]]

    approver = walk.person("fuhe", f"/settlements/{number}/")
    approver.get_by_role("button", name="审批通过").click()
    expect(approver.get_by_role("status")).to_contain_text("可以付款")
    with approver.expect_download() as download:
        approver.get_by_role("link", name="下载结算单（xlsx）").click()
    file = downloads / "batch.xlsx"
    download.value.save_as(file)
    assert totals(file) == [due, due]

    finance.goto(f"/settlements/{number}/")
    finance.get_by_label("付款凭证号").fill(f"T-{walk.serial}")
    finance.get_by_role("button", name="登记已付款").click()
    expect(finance.get_by_role("heading", level=1)).to_contain_text("已付款")
    expect(walk.person("caiwu", "/settlements/").get_by_role("button", name=f"编制批次 {LAB}")).to_have_count(0)


def totals(file: Path) -> list[Decimal]:
    """Return the sum of a statement's lines, and the total it states."""
    rows = list(load_workbook(file, data_only=True).worksheets[0].iter_rows(values_only=True))
    at = next(place for place, cells in enumerate(rows) if cells[0] == "合计")
    lines = [cells[SUM] for cells in rows[:at] if str(cells[1] or "").startswith("C")]
    return [Decimal(str(number)).quantize(Decimal("0.01")) for number in (sum(map(float, lines)), rows[at][SUM])]


def ledger_accounts_for_all(walk: Walk) -> None:
    for name in ("shenji", "caiwu"):
        ledger = walk.person(name, "/ledger/")
        expect(ledger.get_by_role("main")).to_contain_text("账实相符：0 分不明。")
        for table in ledger.locator("table").all():
            debit, credit = yuan(table.locator("tfoot"))
            assert debit == credit
