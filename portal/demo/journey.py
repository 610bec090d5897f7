"""The walk of value, done by people over HTTP against a running portal: programme → voucher → booking → job → paid.

Every step is an API call of the person whose step it is, signed in through the login page. Nothing is written past
the API, so what this proves is what a user gets.
"""

from __future__ import annotations

import http.cookiejar
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from portal.demo.people import PASSWORD

__all__ = ["Journey", "JourneyFailed", "Person"]

BEIJING = ZoneInfo("Asia/Shanghai")
SCRIPT = """#!/bin/bash
for step in 1 2 3 4 5; do
  echo "step $step/5 loss 0.$((9 - step))"
  sleep 1
done
"""
CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//Gongxiang//journey//ZH\r
BEGIN:VEVENT\r
UID:{uid}\r
DTSTAMP:{stamp}\r
DTSTART;TZID=Asia/Shanghai:{day}T090000\r
DTEND;TZID=Asia/Shanghai:{day}T110000\r
RRULE:FREQ=WEEKLY;COUNT=4\r
SUMMARY:课题组自用\r
END:VEVENT\r
END:VCALENDAR\r
"""


class JourneyFailed(Exception):
    """A step did not answer as it must; says which, and what came instead."""


class Person:
    """One signed-in person of the demo province."""

    def __init__(self, url: str, username: str) -> None:
        self.url = url.rstrip("/")
        self.username = username
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self._sign_in()

    def _cookie(self, name: str) -> str:
        return next((cookie.value or "" for cookie in self.cookies if cookie.name == name), "")

    def _sign_in(self) -> None:
        page = f"{self.url}/accounts/login/"
        self.opener.open(page, timeout=30).read()
        form = {"login": self.username, "password": PASSWORD, "csrfmiddlewaretoken": self._cookie("csrftoken")}
        request = urllib.request.Request(  # noqa: S310  the address is the operator's own
            page, data=urllib.parse.urlencode(form).encode(), headers={"Referer": page}
        )
        self.opener.open(request, timeout=30).read()
        if not self._cookie("sessionid"):
            raise JourneyFailed(f"{self.username} could not sign in: is this a demo portal with its own password?")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the API. Raises JourneyFailed with the problem's own words."""
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        return self._send(method, path, data, {"Content-Type": "application/json"} if data is not None else {})

    def upload(self, path: str, *, name: str, file: bytes) -> Any:
        """Post a file as a browser form would."""
        boundary = uuid.uuid4().hex
        parts = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="lab.ics"\r\n'
            "Content-Type: text/calendar\r\n\r\n"
        ).encode()
        body = parts + file + f"\r\n--{boundary}--\r\n".encode()
        return self._send("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def _send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/api/v1{path}",
            data=data if data is not None else (b"{}" if method == "POST" else None),
            method=method,
            headers={
                "Content-Type": "application/json",
                "X-CSRFToken": self._cookie("csrftoken"),
                "Referer": self.url,
                "Idempotency-Key": f"journey-{uuid.uuid4().hex}",
                **headers,
            },
        )
        try:
            with self.opener.open(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise JourneyFailed(
                f"{self.username} {method} {path}: {error.code} {error.read().decode()[:600]}"
            ) from None


@dataclass
class Journey:
    """One walk. `say` prints a line of the story; `wait_s` bounds how long the job may take."""

    url: str
    say: Callable[[str], None]
    now: datetime
    wait_s: int = 120
    people: dict[str, Person] = field(default_factory=dict)

    def person(self, username: str) -> Person:
        if username not in self.people:
            self.people[username] = Person(self.url, username)
        return self.people[username]

    def run(self) -> int:
        """Walk the whole way; return how many fen the ledger cannot account for."""
        code = self._programme()
        voucher = self._voucher(code)
        self._instrument_and_booking(voucher)
        self._job(voucher)
        self._settle()
        check = self.person("shenji").call("GET", "/ledger/check")
        self.say(f"7. 总账核对 · ledger check: {check['unaccounted_fen']} fen unaccounted")
        return int(check["unaccounted_fen"]) + len(check["violations"])

    def _programme(self) -> str:
        code = f"journey-{self.now.astimezone(BEIJING):%Y%m%d-%H%M%S}"
        document = {
            "code": code,
            "name": {"zh": f"旅程演示券 {code[8:]}", "en": f"Journey voucher {code[8:]}"},
            "doc_no": "演示〔旅程〕",
            "issuer": "省科技主管部门（演示）",
            "lead": "省科技主管部门（演示）",
            "level": "province",
            "source": "演示数据，非真实政策",
            "grade": "A",
            "in_force": [f"{self.now.year - 1}-01-01", f"{self.now.year + 1}-12-31"],
            "eligibility": ["applicant.type", "=", "enterprise"],
            "related_party": "forbidden",
            "cost": {"include": ["compute", "instrument_use"], "max_months": 12},
            "lines": [{"id": "60%", "rate": "0.60"}],
            "caps": [{"window": "year", "amount": 50000}],
            "validity": {"length": 6, "from": "issue"},
        }
        made = self.person("zhengce").call(
            "POST",
            "/programmes",
            {"document": document, "budget": {"yuan": "200000"}, "fiscal_year": self.now.year},
        )
        review = {
            "reviewer": "省市场监督管理部门（演示）",
            "reviewed_on": self.now.astimezone(BEIJING).date().isoformat(),
            "document_number": "演示公审 1 号",
            "opinion": "演示数据：未发现影响公平竞争的内容。",
        }
        self.person("fabu").call("PUT", f"/programmes/{code}/versions/{made['version']}/fair-review", review)
        self.person("fabu").call("POST", f"/programmes/{code}/versions/{made['version']}/publish")
        self.say(f"1. 政策 {code}：导入并由第二人发布，预算 ¥200,000.00，按 60 % 支持，每年最高 ¥50,000")
        return code

    def _voucher(self, code: str) -> dict[str, Any]:
        firm = self.person("qiye")
        contract = {
            "number": f"HT-{code[8:]}",
            "provider": "钱江大学电子显微中心",
            "signed": (self.now.astimezone(BEIJING) - timedelta(days=3)).date().isoformat(),
            "months": 12,
            "items": {"compute": {"yuan": "20000"}, "instrument_use": {"yuan": "30000"}},
            "related": False,
        }
        case = firm.call("POST", "/applications", {"programme": code, "contract": contract})
        self.person("chushen").call("POST", f"/applications/{case['number']}/pass", {})
        done = self.person("shenpi").call("POST", f"/applications/{case['number']}/pass", {})
        voucher = firm.call("GET", f"/vouchers/{done['voucher'] or done['number']}")
        self.say(
            f"2. 申请 {case['number']}：合同 ¥50,000.00 → 测算 ¥{case['amount']['yuan']}；初审、审批后发券"
            f" {voucher['number']}，面额 ¥{voucher['face']['yuan']}"
        )
        return dict(voucher)

    def _instrument_and_booking(self, voucher: dict[str, Any]) -> None:
        lab, firm = self.person("shiyan"), self.person("qiye")
        made = lab.call(
            "POST",
            "/instruments",
            {
                "name": "旅程演示显微镜",
                "name_en": "Journey microscope",
                "category": "analytical",
                "city": "杭州",
                "cleanup_s": 1800,
            },
        )
        number = made["number"]
        week = [{"weekdays": [1, 2, 3, 4, 5, 6, 7], "opens": "00:00", "closes": "00:00"}]
        lab.call("PUT", f"/instruments/{number}/hours", {"hours": week})
        lab.call("PUT", f"/instruments/{number}/rate", {"amount": {"yuan": "480"}})
        lab.call("POST", f"/instruments/{number}/publish")
        day = (self.now.astimezone(BEIJING) + timedelta(days=2)).strftime("%Y%m%d")
        calendar = CALENDAR.format(uid=uuid.uuid4(), stamp=f"{self.now:%Y%m%dT%H%M%SZ}", day=day)
        report = lab.upload(f"/instruments/{number}/calendars", name="课题组日历", file=calendar.encode())
        self.say(f"3. 仪器 {number}：开放时间、价格 ¥480.00/小时已发布；导入日历，占用 {report['blocked']} 段")

        start = self.now + (datetime.min.replace(tzinfo=self.now.tzinfo) - self.now) % timedelta(minutes=30)
        booking = firm.call(
            "POST",
            "/bookings",
            {
                "instrument": number,
                "starts_at": start.isoformat(),
                "ends_at": (start + timedelta(hours=2)).isoformat(),
                "title": "旅程：极片截面观察",
                "voucher": voucher["number"],
            },
        )
        path = f"/bookings/{booking['number']}"
        lab.call("POST", f"{path}/confirm")
        lab.call("POST", f"{path}/session/start", {"started_at": (self.now - timedelta(minutes=73)).isoformat()})
        done = lab.call("POST", f"{path}/session/finish", {"ended_at": self.now.isoformat()})
        lab.call("POST", f"/instruments/{number}/suspend")
        charge = done["charge"]
        self.say(
            f"4. 预约 {booking['number']}：冻结 ¥{charge['price']['yuan']}，实际 73 分钟 ¥{charge['actual']['yuan']}"
            f" = 券 ¥{charge['voucher_captured']['yuan']} + 自付 ¥{charge['own_captured']['yuan']}，其余释放"
        )
        self._pay(f"booking:{booking['number']}")

    def _pay(self, subject: str) -> None:
        firm, finance = self.person("qiye"), self.person("caiwu")
        due = firm.call("GET", "/payments?state=due&limit=100")["items"]
        payment = next(row for row in due if row["subject"] == subject)
        reference = f"J{uuid.uuid4().hex[:12]}"
        firm.call("POST", f"/payments/{payment['number']}/declare", {"bank_reference": reference})
        finance.call("POST", f"/payments/{payment['number']}/confirm", {})
        self.say(
            f"   自付 {payment['number']}：对公转账附言 {payment['reference']}，财务确认到账 ¥{payment['amount']['yuan']}"
        )

    def _job(self, voucher: dict[str, Any]) -> None:
        firm = self.person("qiye")
        clusters = firm.call("GET", "/clusters")
        rows = clusters["items"] if isinstance(clusters, dict) else clusters
        cluster = next(row for row in rows if row["accepts_work"] and row["health"]["ok"] is not False)
        partition = cluster["partitions"][0]
        job = firm.call(
            "POST",
            "/jobs",
            {
                "cluster": cluster["code"],
                "partition": partition["name"],
                "title": "旅程：训练五步",
                "script": SCRIPT,
                "cards": 1,
                "cpus": 1,
                "memory_mb": 500,
                "time_limit_s": 600,
                "voucher": voucher["number"],
            },
        )
        path, states = f"/jobs/{job['number']}", [job["state"]]
        deadline = time.monotonic() + self.wait_s
        while time.monotonic() < deadline:
            job = firm.call("GET", path)
            if job["state"] != states[-1]:
                states.append(job["state"])
            if job["charge"]["actual"] is not None:
                break
            time.sleep(0.5)
        else:
            raise JourneyFailed(f"job {job['number']} did not end within {self.wait_s} s: {' → '.join(states)}")
        log = firm.call("GET", f"{path}/log")["text"]
        charge = job["charge"]
        self.say(
            f"5. 作业 {job['number']}：{' → '.join(states)}，日志 {len(log.splitlines())} 行；冻结 ¥{charge['price']['yuan']}，"
            f"实际 ¥{charge['actual']['yuan']} = 券 ¥{charge['voucher_captured']['yuan']} + 自付 ¥{charge['own_captured']['yuan']}"
        )
        if charge["own_captured"]["fen"]:
            self._pay(f"job:{job['number']}")

    def _settle(self) -> None:
        finance, approver = self.person("caiwu"), self.person("fuhe")
        for row in finance.call("GET", "/settlements/due"):
            if row["amount"]["fen"] == 0:
                continue
            batch = finance.call("POST", "/settlements", {"payee": row["payee"]["credit_code"]})
            approver.call("POST", f"/settlements/{batch['number']}/approve")
            paid = finance.call(
                "POST", f"/settlements/{batch['number']}/pay", {"bank_reference": f"国库-{batch['number']}"}
            )
            self.say(
                f"6. 结算 {batch['number']}：{row['payee']['name']} {len(batch['lines'])} 笔，"
                f"¥{batch['total']['yuan']}，{paid['state_label']}"
            )
