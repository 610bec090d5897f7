"""Public notices, objections and rounds as strangers and officers see them, in both languages."""

import io
from datetime import timedelta

import openpyxl
import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone, translation

from portal.organisations.rules import Role
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.issuance.models import Application
from vouchers.notices import services
from vouchers.notices.models import Notice, Objection
from vouchers.rounds import services as rounds
from vouchers.rounds.models import Round

NOTICED = {"notice": {"min_working_days": 5, "objection_to": "科技处 0571-88880000"}, "in_force": LONG}
BATCH = {"order": "all_then_prorate", "pool_short": "prorate", **NOTICED}
SAID = {
    "name": "张三",
    "contact": "138-0000-0000",
    "text": "该单位与服务方为同一实际控制人。",
    "idempotency_key": "k" * 12,
}


@pytest.fixture(autouse=True)
def _empty_cache():
    cache.clear()


@pytest.fixture
def notice(w):
    """Put two cases on notice today; one firm's name starts a formula."""
    now = timezone.now()
    version = make.programme(w, **NOTICED)
    make.waiting(w, version, "10000", owner=make.applicant("=cmd|' /C calc'!A0 公司"), now=now)
    make.waiting(w, version, "20000", owner=make.applicant("杭州甲公司"), now=now)
    return make.noticed(w, version, now=now)


def in_english(client, name, *args):
    """Fetch a page in English and go back to Chinese, in which addresses are reversed."""
    with translation.override("en"):
        return client.get(reverse(name, args=args))


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_a_stranger_reads_the_list_and_a_notice(client, notice, language):
    with translation.override(language):
        listed = client.get(reverse("notices"))
        shown = client.get(reverse("notice", args=[notice.number]))
    assert (listed.status_code, shown.status_code) == (200, 200)
    assert notice.number in text_of(listed)
    text = text_of(shown)
    assert "¥10,000.00" in text
    assert "杭州甲公司" in text
    assert ("5 working days" if language == "en" else "5 个工作日") in text
    assert raw_codes(text) == []


def test_drafts_are_nobodys_business(w, client):
    version = make.programme(w, **NOTICED)
    make.waiting(w, version, now=timezone.now())
    draft = services.draft(actor=w.reviewer, version=version, now=timezone.now())
    assert client.get(reverse("notice", args=[draft.number])).status_code == 404
    assert draft.number not in text_of(client.get(reverse("notices")))
    assert client.get(reverse("notice_desk", args=[draft.number])).status_code == 302
    assert enter(client, w.owner).get(reverse("notice_desk", args=[draft.number])).status_code == 403


def test_files_hold_what_the_page_prints_and_no_formula(client, notice):
    address = reverse("notice", args=[notice.number])
    table = client.get(address, {"format": "csv"}).content.decode("utf-8-sig")
    assert "'=cmd" in table
    assert "10000.00" in table
    book = openpyxl.load_workbook(io.BytesIO(client.get(address, {"format": "xlsx"}).content))
    cells = [cell for row in book["notice"].iter_rows() for cell in row]
    assert not any(cell.data_type == "f" for cell in cells)
    assert {10000, 20000} <= {cell.value for cell in cells}
    paper = client.get(address, {"format": "pdf"})
    assert paper["Content-Type"] == "application/pdf"
    assert paper.content.startswith(b"%PDF-")
    assert client.get(address, {"format": "exe"})["Content-Type"].startswith("text/html")


def test_the_queries_of_a_notice_do_not_grow(w, client, notice, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        client.get(reverse("notice", args=[notice.number]))


def test_a_stranger_objects_once_and_asks_with_the_receipt(w, client, notice):
    address = reverse("notice_object", args=[notice.number, 2])
    assert "提出异议" in text_of(client.get(address))
    empty = client.post(address, {"idempotency_key": "k" * 12})
    assert empty.status_code == 422
    assert client.post(address, {**SAID, "text": "不公平"}).status_code == 422
    filed = client.post(address, SAID)
    again = client.post(address, SAID)
    assert filed.status_code == again.status_code == 302
    assert filed["Location"] == again["Location"]
    objection = Objection.objects.get()
    answer = text_of(client.get(filed["Location"]))
    assert objection.receipt in answer
    assert "核查中" in answer
    assert "张三" not in answer
    assert "张三" not in text_of(client.get(reverse("notice", args=[notice.number])))
    assert "有异议，核查中" in text_of(client.get(reverse("notice", args=[notice.number])))
    assert client.get(reverse("objection_result"), {"receipt": "0000"}).status_code == 404


def test_a_flood_of_objections_is_stopped(client, notice):
    address = reverse("notice_object", args=[notice.number, 1])
    answers = [client.post(address, {**SAID, "idempotency_key": f"key-{at:04}"}).status_code for at in range(12)]
    assert answers == [302] * 10 + [409] * 2
    assert Objection.objects.count() == 10


def test_evidence_of_an_unknown_kind_is_refused_and_a_picture_kept(w, client, notice):
    address = reverse("notice_object", args=[notice.number, 1])
    bad = io.BytesIO(b"MZ\x90\x00")
    bad.name = "证据.exe"
    assert client.post(address, {**SAID, "file": bad}).status_code == 409
    assert not Objection.objects.exists()
    good = io.BytesIO(b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n")
    good.name = "证据.pdf"
    assert client.post(address, {**SAID, "file": good}).status_code == 302
    objection = Objection.objects.get()
    page = enter(client, w.approver).get(reverse("objection_desk", args=[objection.number]))
    assert "证据.pdf" in text_of(page)
    file_id = page.context["files"][0].pk
    sent = client.get(reverse("objection_file", args=[objection.number, file_id]))
    assert sent["Content-Disposition"].startswith("attachment")
    assert enter(client, w.owner).get(reverse("objection_file", args=[objection.number, file_id])).status_code == 403


def test_an_applicant_reads_where_its_case_stands(w, client):
    now = timezone.now()
    version = make.programme(w, budget="15000", **BATCH)
    opened = make.round_of(w, version, closes_at=now + timedelta(seconds=1), now=now)
    owner = make.applicant()
    case = make.waiting(w, version, "20000", owner=owner, now=now)
    done = make.decided(w, opened)
    notice = make.noticed(w, version, round_=done, now=now)
    enter(client, owner)
    text = text_of(client.get(reverse("application", args=[case.number])))
    assert "第 1 批，次序 1：部分 ¥15,000.00。按本批公布的系数折减。" in text
    assert notice.number in text
    with translation.override("en"):
        assert raw_codes(text_of(client.get(reverse("application", args=[case.number])))) == []


def test_the_desk_says_what_waits(w, client):
    now = timezone.now()
    version = make.programme(w, **BATCH)
    opened = make.round_of(w, version, closes_at=now + timedelta(seconds=1), now=now)
    make.waiting(w, version, "20000", now=now)
    rounds.close_due(now=now + timedelta(seconds=2))

    def tasks(actor):
        return [task.what for task in enter(client, actor).get(reverse("dashboard")).context["tasks"]]

    assert tasks(w.reviewer) == ["提出分配方案"]
    proposed = rounds.propose(actor=w.reviewer, round_=opened, now=now)
    assert tasks(w.approver) == ["复核分配方案"]
    make.deciding.confirm(actor=w.approver, round_=proposed, now=now)
    assert tasks(w.reviewer) == ["拟公示稿"]
    drafted = services.draft(actor=w.reviewer, version=version, now=now)
    assert tasks(w.reviewer) == []
    assert tasks(w.approver) == ["发布公示"]
    services.publish(actor=w.approver, notice=drafted, now=now)
    client.logout()
    client.post(reverse("notice_object", args=[drafted.number, 1]), SAID)
    assert tasks(w.approver) == []
    assert tasks(make.actor(w.department, Role.APPROVER)) == ["处理异议"]


def test_officers_draft_publish_and_decide(w, client):
    version = make.programme(w, **NOTICED)
    case = make.waiting(w, version, now=timezone.now())
    enter(client, w.reviewer)
    assert "待公示" in text_of(client.get(reverse("notices_desk")))
    assert client.post(reverse("notices_desk"), {"version": version.pk}).status_code == 302
    assert client.post(reverse("notices_desk"), {"version": version.pk}).status_code == 409
    notice = Notice.objects.get()
    address = reverse("notice_desk", args=[notice.number])
    assert case.organisation.name in text_of(client.get(address))
    assert client.post(address, {"act": "publish"}).status_code == 403
    enter(client, w.approver)
    assert client.post(address, {"act": "publish"}).status_code == 302
    stale = client.post(address, {"act": "publish"})
    assert stale.status_code == 409
    client.post(reverse("notice_object", args=[notice.number, 1]), SAID)
    objection = Objection.objects.get()
    desk = reverse("objection_desk", args=[objection.number])
    assert "您经办过这份申请" in text_of(client.get(desk))
    assert client.post(desk, {"act": "reject", "reason": "不属实"}).status_code == 403
    judge = make.actor(w.department, Role.APPROVER)
    enter(client, judge)
    assert objection.number in text_of(client.get(reverse("objections_desk")))
    assert client.post(desk, {"act": "reject", "reason": " "}).status_code == 422
    assert client.post(desk, {"act": "reject", "reason": "不属实"}).status_code == 302
    assert Application.objects.get(pk=case.pk).state == "noticed"
    shown = text_of(in_english(client, "objection_desk", objection.number))
    assert raw_codes(shown) == []


def test_a_round_from_opening_to_the_notice(w, client):
    version = make.programme(w, budget="15000", **BATCH)
    enter(client, w.publisher)
    desk = reverse("rounds_desk")
    assert "开始受理一批" in text_of(client.get(desk))
    assert client.post(desk, {"version": version.pk, "closes_at": "2020-01-01T00:00"}).status_code == 422
    assert client.post(desk, {"version": version.pk}).status_code == 302
    assert client.post(desk, {"version": version.pk}).status_code == 409
    found = Round.objects.get()
    now = timezone.now()
    for _ in range(2):
        make.waiting(w, version, "10000", now=now)
    address = reverse("round_desk", args=[found.number])
    assert client.post(address, {"act": "close"}).status_code == 302
    enter(client, w.reviewer)
    assert client.post(address, {"act": "propose", "pool": "99999999"}).status_code == 422
    assert client.post(address, {"act": "propose"}).status_code == 302
    shown = client.get(address)
    assert "¥7,500.00" in text_of(shown)
    assert "<svg" in shown.content.decode()
    assert "3/4" in text_of(shown)
    enter(client, w.approver)
    for page in (client.get(address), in_english(client, "round_desk", found.number)):
        assert raw_codes(text_of(page).replace("3/4", "")) == []
    assert client.post(address, {"act": "confirm"}).status_code == 302
    enter(client, w.reviewer)
    table = client.get(address, {"format": "csv"}).content.decode("utf-8-sig")
    assert "7500.00" in table
    drafted = client.post(reverse("notices_desk"), {"version": version.pk, "round": found.number})
    assert drafted.status_code == 302
    assert Notice.objects.get().round == found


def test_a_stranger_follows_a_lottery(w, client):
    now = timezone.now()
    version = make.programme(w, budget="10000", order="lottery", pool_short="reject", in_force=LONG)
    opened = make.round_of(w, version, closes_at=now + timedelta(seconds=1), now=now, public_source="上证指数收盘价")
    address = reverse("round", args=[opened.number])
    before = text_of(client.get(address))
    assert opened.seed_commitment in before
    secret = bytes(opened.seed_secret).hex()
    owners = [make.applicant() for _ in range(3)]
    owned = {make.waiting(w, version, "10000", owner=owner, now=now).number: owner for owner in owners}
    rounds.close_due(now=now + timedelta(seconds=2))
    rounds.propose(actor=w.reviewer, round_=opened, public_value="3412.55", now=now)
    assert secret not in client.get(address).content.decode()
    assert client.get(address, {"format": "csv"})["Content-Type"].startswith("text/html")
    enter(client, w.reviewer)
    assert secret not in client.get(reverse("round_desk", args=[opened.number])).content.decode()
    enter(client, w.approver).post(reverse("round_desk", args=[opened.number]), {"act": "confirm"})
    client.logout()
    after = text_of(client.get(address))
    assert secret in after
    assert "3412.55" in after
    rows = client.get(address, {"format": "csv"}).content.decode("utf-8-sig").splitlines()[1:]
    drawn = [row.split(",")[1] for row in rows]
    first, last = (Application.objects.get(number=number) for number in (drawn[0], drawn[-1]))
    assert (first.state, last.note) == ("issued", "未抽中：排在前面的申请用完了本批资金。")
    enter(client, owned[last.number])
    told = client.get(reverse("application", args=[last.number]))
    assert "未抽中，签号排第 3。" in text_of(told)
    assert address in told.content.decode()
    assert "¥0.00" not in text_of(told)
    assert "资金池已用完" not in text_of(told)
    client.logout()
    assert drawn == list(opened.awards.order_by("place").values_list("application__number", flat=True))
    assert opened.number in text_of(client.get(reverse("rounds")))


def test_an_officer_keeps_the_calendar(w, client):
    enter(client, w.publisher)
    address = reverse("workdays")
    counted = client.get(address, {"start": "2025-09-29", "days": "5"})
    assert "2025年10月13日" in text_of(counted)
    assert client.post(address, {"act": "import", "text": "2027-13-01,休", "source": "国办"}).status_code == 422
    done = client.post(address, {"act": "import", "text": "2025-10-13,休,停电", "source": "测试通知"})
    assert done.status_code == 302
    assert "2025年10月14日" in text_of(client.get(address, {"start": "2025-09-29", "days": "5"}))
    assert client.post(address, {"act": "remove", "day": "2025-10-13"}).status_code == 302
    assert client.post(address, {"act": "remove", "day": "nonsense"}).status_code == 404
    enter(client, w.reviewer)
    assert client.post(address, {"act": "import", "text": "2027-01-01,休", "source": "国办"}).status_code == 403
    assert enter(client, w.owner).get(address).status_code == 403
