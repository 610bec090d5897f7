"""Dry runs and drafts over the API."""

from __future__ import annotations

import pytest

from tests import make
from tests.calling import Caller, queries_of
from tests.vouchers.dryruns.test_rules import request
from tests.vouchers.dryruns.test_services import past
from vouchers.dryruns import services

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def officer(w):
    return Caller(w.officer)


def test_a_draft_is_written_tried_and_finished(w, officer):
    version = make.programme(w)
    past(w, version, "HT-1")
    draft = officer.post("/programme-drafts", {"programme": version.programme.code}).body
    assert (draft["revision"], draft["problems"], draft["started_from"]) == (1, [], "test-shared-2026 v1")
    path = f"/programme-drafts/{draft['id']}"
    worse = {**draft["document"], "lines": [{"id": "a", "rate": "2"}]}
    saved = officer.put(path, {"document": worse, "revision": 1}).body
    assert [problem["path"] for problem in saved["problems"]] == ["lines[0].rate"]
    assert officer.put(path, {"document": worse, "revision": 1}).code == "programme.draft_changed"
    better = {**draft["document"], "lines": [{"id": "a", "rate": "0.25"}]}
    assert officer.put(path, {"document": better, "revision": 2}).status == 200
    days = {"programme": "test-shared-2026", "starts": "2026-01-01", "ends": "2026-12-31"}
    run = officer.post("/dry-runs", {"draft": draft["id"], "past": days}).body
    assert (run["state"], run["total"]) == ("queued", 1)
    assert officer.get(f"/dry-runs/{run['id']}/pool?pool=1&order=first_come").code == "dry_run.not_ready"
    services.run(run_id=run["id"], now=make.NOW)
    [case] = officer.get(f"/dry-runs/{run['id']}/cases?shift=less").body["items"]
    assert (case["before"]["yuan"], case["after"]["yuan"], case["lines"]) == ("100000.00", "50000.00", ["a"])
    pool = officer.get(f"/dry-runs/{run['id']}/pool?pool=20000&order=all_then_prorate").body
    assert (pool["coefficient"], pool["left"]["yuan"]) == ("2/5", "0.00")
    finish = {"revision": 3, "budget": {"yuan": "10"}, "fiscal_year": 2026}
    made = officer.post(f"{path}/finish", finish)
    assert (made.status, made.body["version"]) == (201, 2)
    assert officer.get(path).status == 404


def test_requests_are_tried_as_they_are(w, officer):
    make.programme(w)
    body = {"programme": "test-shared-2026", "requests": [request()]}
    run = officer.post("/dry-runs", body).body
    services.run(run_id=run["id"], now=make.NOW)
    assert officer.get(f"/dry-runs/{run['id']}").body["totals"]["after_fen"] == 100_000_00
    assert officer.post("/dry-runs", {**body, "draft": 1}).status == 422
    assert officer.post("/dry-runs", {"programme": "test-shared-2026"}).status == 422


def test_a_list_takes_the_same_queries_however_long(w, officer):
    version = make.programme(w)
    for _again in range(2):
        officer.post("/dry-runs", {"programme": version.programme.code, "requests": [request()]})
    few = queries_of(lambda: officer.get("/dry-runs"))
    for _again in range(5):
        officer.post("/dry-runs", {"programme": version.programme.code, "requests": [request()]})
    assert queries_of(lambda: officer.get("/dry-runs")) == few
