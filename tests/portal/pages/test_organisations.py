"""Organisations: registered once, run by their owners, changed between by their members."""

import pytest
from django.urls import reverse

from portal.organisations import access
from portal.organisations.models import ApiToken, Member, Organisation
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of


def registration(**changes):
    return {"name": "宁波启明科技有限公司", "name_en": "", "credit_code": make.credit_code(), "city": "宁波", **changes}


def test_a_new_user_registers_an_enterprise_and_owns_it(w, client):
    person = make.user("新用户")
    client.force_login(person)
    assert "您还没有加入任何单位" in text_of(client.get(reverse("dashboard")))
    assert client.get(reverse("organisation"))["Location"] == reverse("register_organisation")
    response = client.post(reverse("register_organisation"), registration(kind="department"))
    assert response["Location"] == reverse("dashboard")
    member = Member.objects.get(user=person)
    assert (member.roles, member.organisation.kind) == (["owner"], "enterprise")
    assert "宁波启明科技有限公司" in text_of(client.get(reverse("organisation")))


@pytest.mark.parametrize("code", ["91330100MA0000000X", "123", "９１３３０１００ＭＡ", "91330100MA26000O1X"])
def test_a_wrong_credit_code_is_told_exactly_and_nothing_is_stored(w, client, code):
    client.force_login(make.user())
    before = Organisation.objects.count()
    response = client.post(reverse("register_organisation"), registration(credit_code=code))
    assert response.status_code == 422
    assert (
        f"统一社会信用代码“{code}”无效：应为 18 位数字或大写字母（不含 I、O、Z、S、V），末位校验码须相符。请对照营业执照核对。"
        in text_of(response)
    )
    assert response.context["form"]["name"].value() == "宁波启明科技有限公司"
    assert Organisation.objects.count() == before


def test_a_code_is_registered_once_and_a_second_click_is_no_error(w, client):
    values = registration()
    client.force_login(make.user())
    client.post(reverse("register_organisation"), values)
    assert client.post(reverse("register_organisation"), values)["Location"] == reverse("organisation")
    client.force_login(make.user())
    taken = client.post(reverse("register_organisation"), values)
    assert taken.status_code == 409
    assert f"统一社会信用代码 {values['credit_code']} 已登记。" in text_of(taken)
    assert Organisation.objects.filter(credit_code=values["credit_code"]).count() == 1


def test_roles_are_told_in_words(w, client):
    text = text_of(enter(client, w.owner).get(reverse("organisation")))
    assert "单位管理员" in text
    assert "研究人员" in text
    assert raw_codes(text) == []


def test_an_owner_adds_changes_and_removes_a_member(w, client):
    person = make.user("新同事")
    enter(client, w.owner)
    added = client.post(reverse("member_add"), {"username": person.username, "roles": ["researcher"]})
    assert added.status_code == 302
    member = Member.objects.get(user=person)
    address = reverse("member_change", args=[member.pk])
    client.post(address, {"roles": ["owner", "researcher"]})
    member.refresh_from_db()
    assert member.roles == ["owner", "researcher"]
    assert client.post(address, {"roles": []}).status_code == 422
    client.post(address, {"act": "remove"})
    member.refresh_from_db()
    assert member.left_at is not None
    assert client.post(address, {"act": "remove"}).status_code == 404


@pytest.mark.parametrize(
    ("username", "roles", "status", "message"),
    [
        ("nobody", ["researcher"], 422, "没有用户名为“nobody”的用户。"),
        ("", ["researcher"], 422, "这个字段是必填项。"),
        ("nobody", ["reviewer"], 422, "请从列表中选择；如果选项刚刚变了，请刷新页面。"),
    ],
)
def test_a_member_that_cannot_be_added_is_told_why(w, client, username, roles, status, message):
    response = enter(client, w.owner).post(reverse("member_add"), {"username": username, "roles": roles})
    assert response.status_code == status
    assert message in text_of(response)


def test_the_last_owner_stays(w, client):
    founder = Member.objects.get(organisation=w.enterprise, user__username__startswith="founder")
    own = Member.objects.get(organisation=w.enterprise, user_id=w.owner.user_id)
    enter(client, w.owner)
    client.post(reverse("member_change", args=[founder.pk]), {"act": "remove"})
    refused = client.post(reverse("member_change", args=[own.pk]), {"act": "remove"})
    assert refused.status_code == 409
    assert "这是本单位最后一位管理员。请先指定另一位管理员。" in text_of(refused)
    own.refresh_from_db()
    assert own.left_at is None


def test_members_of_others_are_out_of_reach(w, client):
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    member = Member.objects.get(user_id=w.researcher.user_id)
    enter(client, stranger)
    assert client.post(reverse("member_change", args=[member.pk]), {"act": "remove"}).status_code == 404
    assert enter(client, w.researcher).post(reverse("member_add"), {}).status_code == 403


def test_a_secret_is_shown_once_and_a_second_click_makes_no_second_token(w, client):
    enter(client, w.owner)
    values = {"name": "财务系统", "roles": ["researcher"], "idempotency_key": make.key()}
    made = client.post(reverse("token_create"), values)
    secret = made.context["secret"]
    assert access.actor_for_token(secret) is not None
    again = client.post(reverse("token_create"), values, follow=True)
    assert "密钥只显示一次" in text_of(again)
    assert secret not in again.content.decode()
    token = ApiToken.objects.get()
    assert client.post(reverse("token_revoke", args=[token.pk])).status_code == 302
    assert access.actor_for_token(secret) is None


def test_a_token_cannot_do_more_than_its_maker(w, client):
    enter(client, w.lab_owner)
    values = {"name": "越权", "roles": ["lab_manager"], "idempotency_key": make.key()}
    response = client.post(reverse("token_create"), values)
    assert response.status_code == 422
    assert ApiToken.objects.count() == 0
    assert enter(client, w.researcher).post(reverse("token_create"), values).status_code == 403
    old = enter(client, w.owner).post(reverse("token_create"), {"name": "x", "roles": ["owner"]})
    assert old.status_code == 422
    assert "页面已过期" in text_of(old)
    assert ApiToken.objects.count() == 0


def test_one_changes_between_ones_own_organisations_only(w, client):
    other = make.organisation(make.roles.Kind.ENTERPRISE, name="第二家公司")
    Member.objects.create(user=make.user_of(w.owner), organisation=other, roles=["owner"])
    enter(client, w.owner)
    assert "第二家公司" in text_of(client.get(reverse("organisation")))
    switched = client.post(reverse("switch_organisation"), {"organisation": other.pk, "next": "https://evil.example/"})
    assert switched["Location"] == reverse("dashboard")
    assert "第二家公司" in text_of(client.get(reverse("dashboard")))
    assert client.post(reverse("switch_organisation"), {"organisation": w.department.pk}).status_code == 404
    assert client.get(reverse("switch_organisation")).status_code == 405
