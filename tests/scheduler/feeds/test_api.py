from portal.organisations import rules as roles
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
