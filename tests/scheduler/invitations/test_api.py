from tests import make
from tests.calling import Caller


def test_one_chooses_whether_calendar_mails_come_and_in_which_language(w):
    caller = Caller(w.researcher)
    assert caller.get("/calendar-mails").body == {"wanted": True, "language": "zh-hans"}
    chosen = caller.put("/calendar-mails", {"wanted": False, "language": "en"})
    assert (chosen.status, chosen.body) == (200, {"wanted": False, "language": "en"})
    assert caller.get("/calendar-mails").body == chosen.body
    assert Caller(w.owner).get("/calendar-mails").body["wanted"] is True
    assert caller.put("/calendar-mails", {"wanted": True, "language": "fr"}).status == 422


def test_rewording_changes_the_words_and_the_stamp_and_nothing_else(w):
    made = make.booking(w, make.instrument(w))
    caller = Caller(w.researcher)
    said = caller.post(f"/bookings/{made.number}/reword", {"title": "失效分析"})
    assert (said.status, said.body["title"], said.body["state"]) == (200, "失效分析", "requested")
    before = made.sequence
    made.refresh_from_db()
    assert (made.title, made.sequence) == ("失效分析", before)
    assert made.updated_at > made.created_at
    assert Caller(w.keeper).post(f"/bookings/{made.number}/reword", {"title": "x"}).status in {403, 404}
    caller.post(f"/bookings/{made.number}/cancel")
    over = caller.post(f"/bookings/{made.number}/reword", {"title": "失效分析二"})
    assert (over.status, over.code) == (409, "booking.over")
