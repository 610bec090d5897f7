"""Addresses nobody has: a NUL in one is answered like any other unknown name, never by a failure."""

from __future__ import annotations

import pytest

from tests import make
from tests.portal.pages.reading import enter


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
