"""A NUL in an address is answered like any other unknown name, one in a form by saying so; never by a failure."""

from __future__ import annotations

import pytest

from tests import make
from tests.portal.pages.reading import enter
from vouchers.programmes import sections
from vouchers.programmes.models import ProgrammeDraft


@pytest.mark.parametrize("path", ["/instruments/a%00b/", "/programmes/%00/", "/programmes/a%00/file/"])
def test_a_strangers_nul_is_not_found(db, client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        *("/bookings/%00/", "/bookings/%00/calendar.ics", "/jobs/%00/", "/jobs/%00/log/", "/jobs/%00/stream/"),
        *("/jobs/%00/log/raw/", "/wallet/%00/", "/payments/%00/", "/applications/%00/", "/instruments/%00/book/"),
    ],
)
def test_an_enterprises_nul_is_not_found(w, client, path):
    assert enter(client, w.owner).get(path).status_code == 404


def test_a_departments_nul_is_not_found(w, client):
    assert enter(client, w.reviewer).get("/review/%00/").status_code == 404
    assert enter(client, w.finance).get("/settlements/%00/xlsx/").status_code == 404
    assert (
        enter(client, make.actor(w.lab, make.roles.Role.LAB_MANAGER)).get("/lab/instruments/%00/edit/").status_code
        == 404
    )


def test_a_nul_in_a_form_is_told(w, client):
    case = make.application(w, make.programme(w))
    answer = enter(client, w.reviewer).post(f"/review/{case.number}/recuse/", {"reason": "亲属\0任职"})
    assert answer.status_code == 422
    assert "NUL" in answer.content.decode()
    enter(client, w.officer).post("/programmes/drafts/")
    draft = ProgrammeDraft.objects.get()
    told = client.post(f"/programmes/drafts/{draft.pk}/{sections.PARTS[0].name}/", {"code": "a\0", "revision": "1"})
    assert told.status_code == 422
