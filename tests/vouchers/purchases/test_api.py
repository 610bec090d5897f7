"""The list of purchases asked over the API: what is asked for strangely gets an answer, never an error of the server."""

import pytest

from tests.calling import Caller

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"since": "2026-11-01T00:00:00+17:58"}, 200),
        ({"since": "2026-11-01T00:00:00+08:00", "until": "2026-12-01T00:00:00Z"}, 200),
        ({"since": "5478-05-17T00:58:41Z"}, 422),
        ({"since": "2026-11-01T00:00:00"}, 422),
        ({"q": "a\0b"}, 422),
        ({"q": "%' OR 1"}, 200),
    ],
)
def test_a_strange_question_is_answered(w, asked, status):
    assert Caller(w.owner).get("/purchases", **asked).status == status
