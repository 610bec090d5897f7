"""Keeping away from an organisation, seeing what one keeps away from, and another ending it with a reason."""

import pytest
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.issuance.models import Recusal


@pytest.fixture
def version(w):
    return make.programme(w, in_force=LONG)


def declare(client, organisation, reason="配偶在该单位任职"):
    return client.post(reverse("recusals"), {"organisation": organisation, "reason": reason})


def test_a_reviewer_keeps_away_from_an_organisation_by_name_or_code(w, client, version):
    case = make.application(w, version)
    enter(client, w.reviewer)
    assert reverse("recusals") in client.get(reverse("review_queue")).content.decode()
    assert declare(client, w.enterprise.name).status_code == 302
    assert "您已申请回避" in text_of(client.get(reverse("case", args=[case.number])))
    shown = text_of(client.get(reverse("recusals")))
    assert w.enterprise.name in shown
    assert "回避中" in shown
    again = declare(client, w.enterprise.credit_code.lower())
    assert again.status_code == 409
    assert "您已经申请过回避" in text_of(again)


def test_what_is_wrong_stands_at_its_field_and_the_rest_is_kept(w, client):
    enter(client, w.reviewer)
    answer = declare(client, "没有这家公司", "持股")
    assert answer.status_code == 422
    assert "没有登记过这个单位" in text_of(answer)
    assert "持股" in answer.content.decode()
    assert declare(client, w.enterprise.name, " ").status_code == 422
    assert not Recusal.objects.exists()


def test_an_approver_ends_it_and_it_stays_on_record(w, client, version):
    case = make.application(w, version)
    declare(enter(client, w.reviewer), w.enterprise.name)
    made = Recusal.objects.get()
    lift = reverse("recusal_lift", args=[made.pk])
    assert lift not in client.get(reverse("recusals")).content.decode()
    assert client.get(lift).status_code == 403
    enter(client, w.approver)
    assert lift in client.get(reverse("recusals")).content.decode()
    assert client.post(lift, {"reason": ""}).status_code == 422
    answer = client.post(lift, {"reason": "登记有误"}, headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, reverse("recusals"))
    assert client.post(lift, {"reason": "再次"}).status_code == 409
    shown = text_of(client.get(reverse("recusals")))
    assert "已解除" in shown
    assert "登记有误" in shown
    page = text_of(enter(client, w.reviewer).get(reverse("case", args=[case.number])))
    assert "您已申请回避" not in page


def test_another_departments_are_not_seen(w, client):
    declare(enter(client, w.reviewer), w.enterprise.name)
    made = Recusal.objects.get()
    enter(client, make.world().approver)
    assert client.get(reverse("recusal_lift", args=[made.pk])).status_code == 404
    assert w.enterprise.name not in text_of(client.get(reverse("recusals")))


def test_an_own_recusal_offers_no_lifting(w, client):
    declare(enter(client, w.approver), w.enterprise.name)
    lift = reverse("recusal_lift", args=[Recusal.objects.get().pk])
    assert lift not in client.get(reverse("recusals")).content.decode()
    refused = client.post(lift, {"reason": "已消除"})
    assert refused.status_code == 403
    assert "自己申请的回避不能由自己解除" in text_of(refused)


def test_reads_in_english_with_a_fixed_number_of_queries(w, client, django_assert_max_num_queries):
    enter(client, w.reviewer)
    for _ in range(3):
        declare(client, make.organisation(make.roles.Kind.ENTERPRISE).name)
    enter(client, w.approver)
    address = reverse("recusals")
    client.get(f"/en{address}")
    with django_assert_max_num_queries(12):
        page = client.get(f"/en{address}")
    assert raw_codes(text_of(page)) == []
    assert "Keeping away" in text_of(page)
