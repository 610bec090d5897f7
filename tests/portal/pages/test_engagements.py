"""Technical service on the pages: asking, quote, payment shown before, delivery, acceptance; strangers find nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.organisations import rules as roles
from scheduler.engagements.models import Engagement
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of

pytestmark = pytest.mark.usefixtures("clock")

DAY = (make.NOW.date() + timedelta(days=30)).isoformat()


@pytest.fixture
def firm(w):
    return enter(Client(), w.researcher)


@pytest.fixture
def lab(w):
    return enter(Client(), w.keeper)


@pytest.fixture
def line(w):
    return make.instrument(w, modes=("self", "technical"))


def asked(**more):
    said = {"title": "中试放大", "description": "涂覆配方", "wanted": "样品", "wanted_by": DAY}
    return {**said, "idempotency_key": "engagement-form-1", **more}


def plan(**more):
    first = {"name0": "小试", "deliverable0": "小试报告", "due_on0": DAY, "price0": "1000"}
    second = {"name1": "中试", "deliverable1": "中试样品", "due_on1": DAY, "price1": "2000"}
    return {**first, **second, "rows": "3", "acceptance_days": "7", "act": "send", **more}


def page_of(client, found):
    return client.get(reverse("engagement", args=[found.number]))


def act(client, found, name, **said):
    return client.post(reverse("engagement_act", args=[found.number, name]), said)


def on(client, found, position, name, **said):
    return client.post(reverse("milestone_act", args=[found.number, position, name]), said)


def deliver(client, found, position, *names):
    files = [SimpleUploadedFile(name, make.REPORT.content + name.encode()) for name in names]
    return on(client, found, position, "deliver", file=files, note="请查收")


def test_the_whole_way_through_the_pages(w, firm, lab, line):
    assert "委托技术服务" in text_of(firm.get(reverse("instrument", args=[line.number])))
    sent = firm.post(reverse("engagement_new", args=[line.number]), asked())
    found = Engagement.objects.get()
    assert sent.headers["Location"] == reverse("engagement", args=[found.number])
    assert found.number in text_of(lab.get(reverse("engagement_desk")))
    lab.post(reverse("engagement_quote", args=[found.number]), plan())
    before = text_of(firm.get(reverse("engagement_accept", args=[found.number])))
    assert "¥3,000.00" in before
    assert "7 天内未答复" in before
    assert "选填" not in before, "who pays is a choice with an answer always: all oneself"
    firm.post(reverse("engagement_accept", args=[found.number]), {"version": "1", "seen": "300000", "voucher": ""})
    assert deliver(lab, found, 1, "a.pdf", "b.pdf").status_code == 302
    shown = page_of(firm, found)
    assert "a.pdf" in text_of(shown)
    assert "前未答复视为验收通过" in text_of(shown)
    file = shown.context["rows"][0].files[1]
    got = firm.get(reverse("milestone_file", args=[found.number, 1, file.pk]))
    assert (got.content, got.headers["X-Content-Type-Options"]) == (make.REPORT.content + b"b.pdf", "nosniff")
    on(firm, found, 1, "return", note="缺数据")
    assert "缺数据" in text_of(page_of(lab, found))
    deliver(lab, found, 1, "c.pdf")
    on(firm, found, 1, "accept")
    act(firm, found, "stop", note="方向调整")
    act(firm, found, "rate", stars="4", comment="专业")
    found.refresh_from_db()
    states = [(row.state, row.charge.state) for row in found.milestones.select_related("charge")]
    assert (found.state, states) == ("closed", [("accepted", "captured"), ("dropped", "released")])
    assert "专业" in text_of(Client().get(reverse("instrument", args=[line.number])))
    assert raw_codes(text_of(page_of(firm, found)).replace(".pdf", "")) == []


def test_the_button_that_declines_does_not_read_as_a_state(w, lab, line):
    found = make.engagement(w, line)
    shown = text_of(lab.get(f"/en{reverse('engagement', args=[found.number])}"))
    assert "Decline " in shown
    assert "Declined" not in shown


def test_who_pays_what_is_shown_before_by_the_voucher_chosen(w, firm, line):
    cost = {"include": ["compute", "instrument_use", "rd_service"], "max_months": 12}
    voucher = make.voucher(w, make.programme(w, cost=cost))
    found = make.engagement(w, line)
    make.proposed_plan(w, found)
    url = reverse("engagement_accept", args=[found.number])
    assert firm.get(url).context["form"]["voucher"].value() == voucher.number
    assert str(firm.get(url).context["paying"].voucher) == "¥1,500.00"
    said = {"version": "1", "seen": "300000", "act": "show"}
    alone = firm.post(url, {**said, "voucher": ""})
    assert str(alone.context["paying"].own) == "¥3,000.00"
    firm.post(url, {**said, "act": "", "voucher": voucher.number})
    first = found.milestones.select_related("charge").get(position=1)
    assert (first.charge.voucher_held_fen, first.charge.own_held_fen) == (50000, 50000)


def test_a_quote_changed_meanwhile_is_not_accepted_unseen(w, firm, line):
    found = make.engagement(w, line)
    make.proposed_plan(w, found)
    make.proposed_plan(w, found, "5000")
    url = reverse("engagement_accept", args=[found.number])
    refused = firm.post(url, {"version": "1", "seen": "300000", "voucher": ""})
    assert refused.status_code == 409
    assert "¥5,000.00" in text_of(refused)


def test_a_plan_left_incomplete_is_asked_for_and_nothing_is_lost(w, lab, line):
    found = make.engagement(w, line)
    url = reverse("engagement_quote", args=[found.number])
    refused = lab.post(url, plan(price1="", deliverable0=""))
    assert refused.status_code == 422
    assert "请填写价款" in text_of(refused)
    assert "小试" in refused.content.decode()
    assert lab.post(url, plan(deliverable0="")).status_code == 409
    more = lab.post(url, plan(act="more"))
    assert (more.status_code, 'name="name4"' in more.content.decode()) == (200, True)
    assert not found.quotes.exists()


def test_a_change_starts_from_what_is_left_and_replaces_it(w, firm, lab, line):
    found = make.planned(w, make.engagement(w, line))
    make.delivered(w, found)
    on(firm, found, 1, "accept")
    url = reverse("engagement_quote", args=[found.number])
    initial = lab.get(url).context["form"].initial
    assert (initial["name0"], str(initial["price0"]), "name1" in initial) == ("阶段2", "¥2,000.00", False)
    lab.post(url, plan())
    assert "变更方案，等待答复" in text_of(page_of(firm, found))
    firm.post(reverse("engagement_accept", args=[found.number]), {"version": "2", "seen": "300000", "voucher": ""})
    assert [row.state for row in found.milestones.all()] == ["accepted", "dropped", "planned", "planned"]


def test_strangers_find_neither_project_nor_file(w, line):
    found = make.planned(w, make.engagement(w, line))
    make.delivered(w, found)
    others = [make.applicant(), make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)]
    for stranger in others:
        client = enter(Client(), stranger)
        assert page_of(client, found).status_code == 404
        assert client.get(reverse("milestone", args=[f"{found.number}.1"])).status_code == 404
        assert client.get(reverse("milestone_file", args=[found.number, 1, 1])).status_code == 404
        assert act(client, found, "stop", note="停").status_code == 404
        assert on(client, found, 1, "accept").status_code == 404
    assert found.number not in enter(Client(), others[0]).get(reverse("engagements")).content.decode()


def test_lists_filter_export_and_cost_the_same(w, firm, lab, line, django_assert_max_num_queries):
    make.engagement(w, line)
    found = make.planned(w, make.engagement(w, line))
    shown = text_of(firm.get(reverse("engagements"), {"state": "running"}))
    assert found.number in shown
    assert "¥3,000.00" in shown
    assert "没有符合条件的项目" in text_of(firm.get(reverse("engagements"), {"q": "不存在"}))
    assert "隔膜涂覆中试" in firm.get(reverse("engagements"), {"format": "csv"}).content.decode()
    assert firm.get(reverse("milestone", args=[f"{found.number}.2"])).headers["Location"].endswith(f"{found.number}/")
    with django_assert_max_num_queries(12):
        lab.get(reverse("engagement_desk"), {"tab": "all"})
    with django_assert_max_num_queries(20):
        page_of(lab, found)


def test_a_delivery_that_is_a_program_is_refused_where_it_was_chosen(w, lab, line):
    found = make.planned(w, make.engagement(w, line))
    bad = SimpleUploadedFile("report.pdf", b"MZ\x90\0program")
    refused = on(lab, found, 1, "deliver", file=bad, note="")
    assert refused.status_code == 409
    assert "不支持这种文件" in text_of(refused)
