import dataclasses

from portal.organisations import rules as roles
from portal.organisations.models import Member
from scheduler.feeds import access
from tests import make
from tests.calling import Caller


def test_a_lab_makes_lists_and_ends_addresses(w, client):
    number = make.instrument(w).number
    caller = Caller(w.keeper)
    made = caller.post("/feeds", {"label": "大屏", "kind": "events", "privacy": "title", "instrument": number})
    assert (made.status, made.body["kind"], made.body["privacy"], made.body["instrument"]) == (
        201,
        "events",
        "title",
        number,
    )
    assert client.get(made.body["path"], headers={"User-Agent": "khal"}).status_code == 200
    listed = caller.get("/feeds", instrument=number).body
    assert [row["fetches"] for row in listed] == [1]
    assert [reader["program"] for reader in listed[0]["readers"]] == ["khal"]
    assert "path" not in listed[0]
    ended = caller.post(f"/feeds/{made.body['id']}/revoke")
    assert (ended.status, bool(ended.body["revoked_at"])) == (200, True)
    assert client.get(made.body["path"]).status_code == 410


def test_a_person_has_addresses_of_its_own_bookings(w):
    caller = Caller(w.researcher)
    made = caller.post("/feeds", {"label": "手机", "kind": "freebusy"})
    assert (made.status, made.body["instrument"]) == (201, None)
    assert [row["id"] for row in caller.get("/feeds").body] == [made.body["id"]]
    assert Caller(w.owner).get("/feeds").body == []
    assert Caller(w.owner).post(f"/feeds/{made.body['id']}/revoke").status == 404


def test_a_token_of_one_organisation_reads_nothing_of_another(w, client):
    """A token acts for the person who made it; what that person books for others is none of its business."""
    other = make.organisation(roles.Kind.ENTERPRISE)
    Member.objects.create(user_id=w.researcher.user_id, organisation=other, roles=[roles.Role.RESEARCHER.value])
    elsewhere = dataclasses.replace(w.researcher, organisation_id=other.pk)
    sem = make.instrument(w)
    make.booking(w, sem, title="本单位的用途")
    make.booking(w, sem, by=elsewhere, period=make.slot(start="14:00", end="16:00"), title="另一单位的用途")
    own, _secret = make.feed(w.researcher)

    caller = Caller(w.researcher)
    made = caller.post("/feeds", {"label": "排程", "kind": "events", "privacy": "full"}).body
    told = client.get(made["path"]).content.decode().replace("\r\n ", "")
    assert ("本单位的用途" in told, "另一单位的用途" in told) == (True, False)
    assert [row["id"] for row in caller.get("/feeds").body] == [made["id"]]
    assert caller.post(f"/feeds/{own.pk}/revoke").status == 404
    assert set(access.own_feeds(w.researcher).values_list("pk", flat=True)) == {own.pk, made["id"]}


def test_refuses_others_instruments_and_words_where_none_are_told(w):
    number = make.instrument(w).number
    other = Caller(make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER))
    assert other.post("/feeds", {"label": "x", "kind": "events", "instrument": number}).status == 403
    assert other.get("/feeds", instrument=number).status == 403
    answer = Caller(w.keeper).post(
        "/feeds", {"label": "x", "kind": "freebusy", "privacy": "full", "instrument": number}
    )
    assert (answer.status, answer.code) == (422, "feed.privacy")
    assert Caller(w.keeper).post("/feeds", {"label": "x", "kind": "todo", "instrument": number}).status == 422
