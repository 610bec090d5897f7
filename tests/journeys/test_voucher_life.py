"""The life of a voucher, walked by people in their browsers in two languages: from the call to the claw-back."""

import json
import os
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.utils.translation import gettext, override, pgettext
from playwright.sync_api import Locator, Page, expect

from tests.journeys import serving
from tests.journeys.browsing import Browsers
from tests.journeys.looking import HAN, examine, report
from tests.journeys.test_walk import row, yuan

pytestmark = [pytest.mark.browser, pytest.mark.servers]

BEIJING = ZoneInfo("Asia/Shanghai")
FIRM = "杭州星禾智能科技有限公司"
FIRM_EN = "Hangzhou Xinghe Intelligence"
PROVIDER = "杭州语料数据服务有限公司"
BREACH = "提供虚假发票"
FACE, FIRST, SECOND = Decimal(30000), Decimal("6000.00"), Decimal("3000.55")
CLAIMED = FIRST + SECOND
PAPER = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PAST = """
from datetime import timedelta
from django.utils import timezone
from vouchers.notices import services
from vouchers.notices.models import Notice
now = timezone.now()
Notice.objects.filter(number="{number}", state="published").update(
    published_at=now - timedelta(days=4), ends_at=now - timedelta(seconds=1)
)
print("ended", services.close_due(now=now))
"""
"""The clock's part: the notice's days are put into the past, and its end is done as the hourly task does it."""


ADDRESS = """
from django.urls import reverse
from vouchers.wallets import certificates
from vouchers.wallets.models import Certificate
print(reverse("verify", args=[certificates.token_of(Certificate.objects.get(voucher__number="{number}"))]))
"""
"""What the square on the certificate says, as a phone reads it."""


def paper(name: str) -> dict[str, object]:
    return {"name": name, "mimeType": "application/pdf", "buffer": PAPER}


@dataclass
class Life:
    """What the people tell each other on the way, and in which language the officials and everybody else read."""

    people: Browsers
    state: Path
    official: str
    outside: str
    serial: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    pages: dict[str, Page] = field(default_factory=dict)
    application: str = ""
    notice: str = ""
    voucher: str = ""
    claim: str = ""
    case: str = ""

    @property
    def programme(self) -> tuple[str, str]:
        return f"全程券 {self.serial}", f"Whole-life voucher {self.serial}"

    def named(self, name: str) -> str:
        """Return the programme's name as the person reads it."""
        return self.programme[self.tongue(name) == "en"]

    def tongue(self, name: str) -> str:
        return self.outside if name in {"qiye", ""} else self.official

    def go(self, name: str, path: str = "/desk/") -> Page:
        """Return the page of a person (nobody's name: a stranger), gone to `path` in their language."""
        prefix = "/en" if self.tongue(name) == "en" else ""
        if name not in self.pages:
            self.pages[name] = self.people.open(name, prefix + path)
        else:
            self.pages[name].goto(prefix + path)
        return self.pages[name]

    def say(self, name: str, text: str, context: str = "") -> str:
        """Return a text of the portal in the person's language."""
        with override(self.tongue(name)):
            said = pgettext(context, text) if context else gettext(text)
        assert self.tongue(name) != "en" or not HAN.search(said), f"{text} is not said in English"
        return said

    def press(self, name: str, text: str, context: str = "") -> None:
        self.main(name).get_by_role("button", name=self.say(name, text, context), exact=True).click()

    def follow(self, name: str, text: str, context: str = "") -> None:
        self.main(name).get_by_role("link", name=self.say(name, text, context), exact=True).first.click()

    def label(self, name: str, text: str) -> Locator:
        return self.main(name).get_by_label(self.say(name, text))

    def main(self, name: str) -> Locator:
        return self.pages[name].get_by_role("main")

    def told(self, name: str, text: str) -> None:
        expect(self.pages[name].get_by_role("status")).to_contain_text(self.say(name, text))

    def sum(self, name: str, text: str) -> list[Decimal]:
        return yuan(row(self.pages[name], self.say(name, text)))

    def command(self, *arguments: str) -> str:
        """Run ``manage.py`` beside the running server, on its database."""
        given = ("DATABASE_URL", "REDIS_URL", "GONGXIANG_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(given)}
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=serving.ROOT,
            env={**environment, "GONGXIANG_STATE_DIR": str(self.state)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.mark.parametrize(("official", "outside"), [("zh-hans", "en"), ("en", "zh-hans")])
def test_life_of_a_voucher(
    people: Browsers, running: tuple[str, Path], till: Path, official: str, outside: str
) -> None:
    """Everybody does their step on the pages; sums agree at each of them, and the ledger's own audit at the end."""
    people.watch.allowed.add(404)  # a forged certificate
    life = Life(people, running[1], official, outside)
    programme_is_published(life)
    eligibility_is_checked(life)
    application_is_sent(life)
    application_is_decided(life)
    decision_is_noticed(life)
    objection_is_rejected(life)
    voucher_is_issued(life)
    with serving.locked(till):
        cost_is_claimed(life)
        claim_is_paid(life)
        money_is_taken_back(life)
    assert life.command("audit").splitlines()[-1] == "0 fen unaccounted"


def document(life: Life) -> dict[str, object]:
    now = datetime.now(BEIJING)
    department = "省科技主管部门（演示）"
    return {
        "code": f"life-{life.serial}",
        "name": dict(zip(("zh", "en"), life.programme, strict=True)),
        "doc_no": "LIFE 2026-1",
        "issuer": department,
        "lead": department,
        "level": "province",
        "source": "演示数据，非真实政策",
        "grade": "A",
        "in_force": [f"{now.year - 1}-01-01", f"{now.year + 1}-12-31"],
        "eligibility": ["applicant.type", "=", "enterprise"],
        "related_party": "forbidden",
        "cost": {"include": ["corpus"], "max_months": 12},
        "lines": [{"id": "60%", "rate": "0.60"}],
        "caps": [{"window": "year", "amount": 50000}],
        "validity": {"length": 6, "from": "issue"},
        "workflow": [
            {"stage": "初审", "role": "reviewer", "level": "province", "action": "check", "sla_days": 5},
            {"stage": "审批", "role": "approver", "level": "province", "action": "decide", "sla_days": 5},
        ],
        "evidence": [
            {"stage": "application", "doc": "服务合同", "check": "双方盖章，金额与申请一致"},
            {"stage": "claim", "doc": "发票"},
        ],
        "notice": {"min_working_days": 1, "fields": ["number", "applicant", "amount"], "objection_to": department},
        "redeem": {"mode": "reimburse", "cadence": "on_claim"},
        "sanctions": [{"breach": BREACH, "recover": True, "bar_years": 0, "publish": True, "party": "applicant"}],
    }


def programme_is_published(life: Life) -> None:
    """One officer imports the rules and reads them as sentences; another records the review and publishes."""
    officer = life.go("zhengce", "/programmes/")
    life.follow("zhengce", "导入项目文件")
    file = {"name": "life.json", "mimeType": "application/json", "buffer": json.dumps(document(life)).encode()}
    life.label("zhengce", "项目文件（.json）").set_input_files(file)
    life.label("zhengce", "发布时注入的预算（元）").fill("200000")
    life.press("zhengce", "检查并存为草稿")
    expect(officer.get_by_role("heading", level=1)).to_contain_text(life.named("zhengce"))
    for told in ("60%", "服务合同", BREACH):
        expect(officer.get_by_role("main")).to_contain_text(told)
    report(examine(officer, axe=False).findings)

    publisher = life.go("fabu")
    publisher.get_by_role("link", name=life.named("fabu")).click()
    life.label("fabu", "审查单位").fill("省市场监督管理部门（演示）")
    life.label("fabu", "审查日期").fill(datetime.now(BEIJING).date().isoformat())
    life.label("fabu", "审查文号").fill("演示公审 2 号")
    life.label("fabu", "审查结论").fill("未发现影响公平竞争的内容。")
    life.press("fabu", "保存审查记录")
    life.told("fabu", "已登记公平竞争审查。")
    life.press("fabu", "我已复核，发布本版")
    life.told("fabu", "已发布，预算已注入资金池，企业现在可以申请。")


def eligibility_is_checked(life: Life) -> None:
    """A stranger tells what is to be bought and reads what the new programme would pay."""
    stranger = life.go("", "/eligibility/")
    life.label("", "准备购买").select_option("corpus")
    life.label("", "预计合同金额（元）").fill("50000")
    stranger.locator("[name='fact.applicant.type']").select_option(index=1)
    life.press("", "测一测")
    outlook = stranger.get_by_role("article").filter(has_text=life.named(""))
    expect(outlook).to_contain_text(f"¥{FACE:,.0f}")
    report(examine(stranger, axe=False).findings)


def application_is_sent(life: Life) -> None:
    """The firm tries the rules, keeps a draft, brings the contract, signs and sends."""
    firm = life.go("qiye", f"/programmes/life-{life.serial}/")
    life.follow("qiye", "申请", "act")
    life.label("qiye", "合同编号").fill(f"HT-{life.serial}")
    life.label("qiye", "服务单位").fill(PROVIDER)
    life.label("qiye", "签订日期").fill((datetime.now(BEIJING) - timedelta(days=3)).date().isoformat())
    life.label("qiye", "合同期限").fill("12")
    firm.get_by_label(life.say("qiye", "否"), exact=True).check()
    firm.get_by_role("group", name=life.say("qiye", "合同各项金额（元）")).get_by_role("textbox").first.fill("50000")
    life.press("qiye", "核对并测算")
    expect(life.main("qiye")).to_contain_text(f"¥{FACE:,.0f}")
    life.press("qiye", "存为草稿并上传材料")
    firm.wait_for_url("**/tasks/")
    life.application = firm.url.rstrip("/").split("/")[-2]
    expect(life.main("qiye")).to_contain_text(f"¥{FACE:,.0f}")
    send = life.main("qiye").get_by_role("button", name=life.say("qiye", "提交申请"))
    expect(send).to_have_count(0)

    life.main("qiye").get_by_label("服务合同").set_input_files(paper("合同.pdf"))
    life.press("qiye", "上传")
    expect(firm.get_by_role("link", name="合同.pdf")).to_be_visible()
    life.main("qiye").locator("#undertaking button").click()
    report(examine(firm, axe=False).findings)
    send.click()
    expect(firm.locator(".receipt .no")).to_have_text(life.application)
    assert yuan(firm.locator(".receipt")) == [FACE]


def application_is_decided(life: Life) -> None:
    """A reviewer ticks the list beside the evidence, an approver decides; nothing is issued before the notice."""
    reviewer = life.go("chushen", f"/review/{life.application}/")
    expect(reviewer.get_by_role("region", name=life.say("chushen", "证据文件"))).to_contain_text("合同.pdf")
    assert life.sum("chushen", "测算金额") == [FACE]
    report(examine(reviewer, axe=False).findings)
    reviewer.get_by_role("group", name=life.say("chushen", "核对清单")).get_by_role("checkbox").check()
    life.press("chushen", "通过", "stage")
    expect(reviewer.get_by_role("status")).to_contain_text(life.application)
    approver = life.go("shenpi", f"/review/{life.application}/")
    expect(approver.get_by_role("main")).to_contain_text("双方盖章，金额与申请一致")
    life.press("shenpi", "通过", "stage")
    with override(life.official):
        decided = gettext("%(number)s 已审定，等待后续公示或发放。") % {"number": life.application}
    expect(approver.get_by_role("status")).to_contain_text(decided)


def decision_is_noticed(life: Life) -> None:
    """The reviewer drafts what will be public, the approver publishes it, a stranger reads and takes it away."""
    drafter = life.go("chushen", "/casework/notices/")
    drafter.get_by_role("button", name=life.named("chushen")).click()
    drafter.wait_for_url("**/notices/N*/")
    life.notice = drafter.url.rstrip("/").rpartition("/")[2]
    expect(drafter.get_by_role("button", name=life.say("chushen", "发布公示"))).to_have_count(0)
    publisher = life.go("shenpi", f"/casework/notices/{life.notice}/")
    expect(publisher.get_by_role("main")).to_contain_text(life.application)
    life.press("shenpi", "发布公示")
    life.told("shenpi", "公示已发布，公示期从明天起算。")

    stranger = life.go("", f"/notices/?q={life.notice}")
    stranger.get_by_role("main").get_by_role("row").filter(has_text=life.notice).get_by_role("link").click()
    expect(stranger.get_by_role("main")).to_contain_text(life.application)
    assert FACE in yuan(life.main(""))
    for kind in ("PDF", "XLSX", "CSV"):
        with stranger.expect_download() as download:
            stranger.get_by_role("link", name=kind, exact=True).click()
        assert download.value.suggested_filename.endswith(kind.lower())
    report(examine(stranger, axe=False).findings)


def objection_is_rejected(life: Life) -> None:
    """A stranger objects to the item; who passed the case may not decide about it, a second approver does."""
    stranger = life.pages[""]
    life.main("").get_by_role("link", name=life.say("", "提出异议")).click()
    life.label("", "姓名或单位").fill("同业企业")
    life.label("", "联系方式").fill("0571-0000000")
    life.label("", "事实和理由").fill("合同签订日期与服务单位成立日期不符，请核查合同原件。")
    life.press("", "提交异议")
    receipt = stranger.locator(".receipt .no").inner_text()

    owner = life.go("shenji", "/organisation/")
    member = owner.get_by_role("row").filter(has_text="clerk-kejiting")
    member.locator("summary").click()
    member.locator("input[value=approver]").check()
    member.get_by_role("button", name=life.say("shenji", "保存角色")).click()

    first = life.go("shenpi", f"/casework/notices/{life.notice}/")
    number = first.locator("a[href*='/objections/']").first.inner_text()
    first.goto(first.url.partition("/casework/")[0] + f"/casework/objections/{number}/")
    expect(first.get_by_role("button", name=life.say("shenpi", "异议不成立"))).to_have_count(0)
    second = life.go("clerk-kejiting", f"/casework/objections/{number}/")
    expect(second.get_by_role("main")).to_contain_text("合同签订日期与服务单位成立日期不符")
    life.label("clerk-kejiting", "处理理由").fill("已核对合同原件和登记信息，日期无误。")
    report(examine(second, axe=False).findings)
    life.press("clerk-kejiting", "异议不成立")
    life.told("clerk-kejiting", "异议已处理。")

    life.go("", f"/notices/objection/?receipt={receipt}")
    expect(life.main("")).to_contain_text("已核对合同原件和登记信息")


def voucher_is_issued(life: Life) -> None:
    """The notice ends; the firm finds the voucher in its wallet, with its certificate; a stranger verifies that."""
    assert "ended 1" in life.command("shell", "-c", PAST.format(number=life.notice))
    firm = life.go("qiye", f"/applications/{life.application}/")
    life.follow("qiye", "查看券")
    life.voucher = firm.get_by_role("heading", level=1).inner_text().split()[0]
    assert life.sum("qiye", "面额") == [FACE]
    expect(firm.get_by_role("table").last).to_contain_text(f"{FACE:,.2f}")
    report(examine(firm, axe=False).findings)
    with firm.expect_download() as download:
        life.follow("qiye", "下载凭证 PDF")
    pdf = download.value.path().read_bytes()
    assert pdf.startswith(b"%PDF-")
    address = life.command("shell", "-c", ADDRESS.format(number=life.voucher)).strip().splitlines()[-1]
    stranger = life.go("", address)
    expect(stranger.get_by_role("heading", level=2)).to_contain_text(life.voucher)
    assert life.sum("", "面额") == [FACE]
    report(examine(stranger, axe=False).findings)
    life.go("", f"{address[:-3]}AA/")
    expect(life.main("")).to_contain_text(life.say("", "没有这张凭证"))


def cost_is_claimed(life: Life) -> None:
    """The firm claims two invoices; a sum that is not theirs is refused in words and nothing typed is lost."""
    firm = life.go("qiye", f"/claims/new/?voucher={life.voucher}")
    life.label("qiye", "申领金额（元）").first.fill("9000")
    yesterday = (datetime.now(BEIJING) - timedelta(days=1)).date().isoformat()
    lines = (("语料采购", "10000", FIRST), ("语料标注", "5000.92", SECOND))
    for place, (what, base, amount) in enumerate(lines):
        line = firm.locator("fieldset").nth(place)
        line.get_by_label(life.say("qiye", "内容")).fill(what)
        line.get_by_label(life.say("qiye", "日期")).fill(yesterday)
        line.get_by_label(life.say("qiye", "发票号码")).fill(f"26{life.serial}{place}")
        line.get_by_label(life.say("qiye", "发票金额（元）")).fill(base)
        line.get_by_label(life.say("qiye", "申领金额（元）")).fill(str(amount))
    life.press("qiye", "保存草稿")
    firm.wait_for_url(re.compile(r"/claims/K[\d-]+/$"))
    life.claim = firm.url.rstrip("/").rpartition("/")[2]
    life.press("qiye", "提交申领")
    wrong = firm.get_by_role("alert")
    expect(wrong).to_contain_text(f"{CLAIMED:,.2f}")
    expect(wrong).to_contain_text("0.55")
    expect(wrong).to_contain_text(life.say("qiye", "发票"))
    report(examine(firm, axe=False).findings)

    life.follow("qiye", "修改明细")
    expect(firm.locator("fieldset").nth(1).get_by_label(life.say("qiye", "内容"))).to_have_value("语料标注")
    expect(firm.locator("fieldset").nth(1).get_by_label(life.say("qiye", "日期"))).to_have_value(yesterday)
    life.label("qiye", "申领金额（元）").first.fill(str(CLAIMED))
    life.press("qiye", "保存草稿")
    life.label("qiye", "材料").select_option("发票")
    life.label("qiye", "文件").set_input_files(paper("发票.pdf"))
    life.press("qiye", "上传")
    expect(firm.get_by_role("link", name="发票.pdf")).to_be_visible()
    life.press("qiye", "提交申领")
    expect(firm.locator(".receipt .no")).to_have_text(life.claim)
    life.go("qiye", f"/wallet/{life.voucher}/")
    held = yuan(life.main("qiye"))
    assert CLAIMED in held
    assert FACE - CLAIMED in held


def claim_is_paid(life: Life) -> None:
    """One checks, another approves, finance drafts the batch, a fourth approves it, finance pays."""
    checker = life.go("chushen", f"/claims/{life.claim}/")
    expect(checker.get_by_role("link", name="发票.pdf")).to_be_visible()
    life.press("chushen", "核查通过")
    expect(checker.get_by_role("status")).to_contain_text(life.claim)
    approver = life.go("shenpi", f"/claims/{life.claim}/")
    report(examine(approver, axe=False).findings)
    life.press("shenpi", "审批通过")
    expect(approver.get_by_role("status")).to_contain_text(life.claim)

    finance = life.go("caiwu", "/settlements/")
    payee = FIRM_EN if life.official == "en" else FIRM
    finance.get_by_role("row").filter(has_text=payee).get_by_role("button").click()
    number = finance.get_by_role("heading", level=1).inner_text().split()[0]
    line = finance.get_by_role("row").filter(has_text=life.claim)
    assert yuan(line)[-1] == CLAIMED
    second = life.go("fuhe", f"/settlements/{number}/")
    life.press("fuhe", "审批通过")
    expect(second.get_by_role("status")).to_be_visible()
    life.go("caiwu", f"/settlements/{number}/")
    life.label("caiwu", "付款凭证号").fill(f"L-{life.serial}")
    life.press("caiwu", "登记已付款")
    expect(finance.get_by_role("button", name=life.say("caiwu", "登记已付款"))).to_have_count(0)
    firm = life.go("qiye", f"/claims/{life.claim}/")
    expect(firm.get_by_role("heading", level=1)).not_to_have_text(life.claim)
    assert life.sum("qiye", "核定金额") == [CLAIMED]


def money_is_taken_back(life: Life) -> None:
    """A case on the paid claim is heard, decided by one and confirmed by another, repaid, and read by a stranger."""
    opener = life.go("chushen", f"/recoveries/open/?of={life.claim}")
    assert opener.locator("#breaches option").get_attribute("value") == BREACH
    life.label("chushen", "违规情形").fill(BREACH)
    life.press("chushen", "立案")
    opener.wait_for_url(re.compile(r"/recoveries/Z[\d-]+/$"))
    life.case = opener.url.rstrip("/").rpartition("/")[2]
    life.label("chushen", "说明").fill("企业承认发票有误，愿意退回。")
    life.press("chushen", "记录陈述")
    life.label("chushen", "追缴已用金额（元）").fill(str(CLAIMED))
    life.label("chushen", "说明").fill("发票经核验系伪造。")
    expect(life.label("chushen", "向社会公示")).to_be_checked()
    report(examine(opener, axe=False).findings)
    life.press("chushen", "作出决定")
    expect(opener.get_by_role("button", name=life.say("chushen", "确认决定"))).to_have_count(0)
    confirmer = life.go("shenpi", f"/recoveries/{life.case}/")
    life.press("shenpi", "确认决定")
    expect(confirmer.get_by_role("status")).to_be_visible()
    assert life.sum("shenpi", "未收") == [CLAIMED]

    life.go("caiwu", f"/recoveries/{life.case}/")
    life.label("caiwu", "来款金额（元）").fill(str(CLAIMED))
    life.label("caiwu", "银行流水号").fill(f"R-{life.serial}")
    life.press("caiwu", "登记来款")
    life.told("caiwu", "已办理并记录。")
    assert life.sum("caiwu", "未收") == [Decimal(0)]
    stranger = life.go("", "/sanctions/")
    public = stranger.get_by_role("row").filter(has_text=life.named(""))
    expect(public).to_contain_text(BREACH)
    report(examine(stranger, axe=False).findings)
