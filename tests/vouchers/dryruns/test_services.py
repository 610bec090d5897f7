"""Ask for a dry run and run it, on PostgreSQL."""

from __future__ import annotations

import json
from datetime import date

import pytest

from portal.kernel.errors import Forbidden, NotFound
from portal.kernel.money import Money
from tests import make
from tests.vouchers.dryruns.test_rules import request
from vouchers.dryruns import access, queries, rules, services, uploads
from vouchers.dryruns.models import DryRun
from vouchers.issuance.models import Application
from vouchers.programmes import documents
from vouchers.programmes.schemes import PoolShort
from vouchers.programmes.terms import AwardOrder

pytestmark = pytest.mark.django_db

YEAR = services.Past("test-shared-2026", date(2026, 1, 1), date(2026, 12, 31))


def generous(version, **changes):
    lines = [{"id": "60%", "rate": "0.60"}]
    return services.Rules({**version.document, "lines": lines, "in_force": ["2027-01-01", None], **changes})


def past(w, version, *numbers):
    return [make.application(w, version, number=number) for number in numbers]


def asked(w, tried, source=YEAR, **more):
    return services.request(actor=w.officer, tried=tried, source=source, now=make.NOW, **more)


def test_past_applications_are_judged_by_the_draft(w):
    version = make.programme(w, budget="10000000")
    past(w, version, "HT-1", "HT-2", "HT-3")
    run = asked(w, generous(version))
    assert (run.state, run.total) == ("queued", 3)
    services.run(run_id=run.pk, now=make.NOW)
    run.refresh_from_db()
    assert (run.state, run.done, run.finished_at) == ("done", 3, make.NOW)
    found = {row.number: (row.before_fen, row.after_fen, row.shift) for row in run.cases.all()}
    assert found == {row.number: (row.computed_fen, 120_000_00, "more") for row in Application.objects.all()}
    assert run.totals["after_fen"] == 360_000_00
    assert run.totals["lines"] == {"60%": 360_000_00}
    assert [len(run.charts[tongue]) for tongue in ("zh", "en")] == [4, 4]
    assert Application.objects.filter(state="issued").count() == 0


def test_a_run_done_is_left_alone_and_one_broken_off_begins_anew(w):
    version = make.programme(w)
    past(w, version, "HT-1")
    run = asked(w, generous(version))
    DryRun.objects.filter(pk=run.pk).update(state="running", done=1)
    services.run(run_id=run.pk, now=make.NOW)
    services.run(run_id=run.pk, now=make.NOW)
    run.refresh_from_db()
    assert (run.state, run.cases.count()) == ("done", 1)


def test_only_the_chosen_days_and_only_what_was_submitted(w):
    version = make.programme(w)
    past(w, version, "HT-1")
    with pytest.raises(rules.NothingToRun):
        asked(w, generous(version), services.Past(YEAR.code, date(2026, 1, 1), date(2026, 11, 24)))
    with pytest.raises(rules.BadRange):
        asked(w, generous(version), services.Past(YEAR.code, date(2026, 2, 1), date(2026, 1, 1)))
    assert asked(w, generous(version), services.Past(YEAR.code, date(2026, 11, 25), date(2026, 11, 25))).total == 1


def test_a_file_is_compared_with_the_rules_in_force(w):
    version = make.programme(w)
    upload = services.Upload("cases.json", json.dumps([request(), request("1000")]).encode())
    run = asked(w, generous(version), upload)
    services.run(run_id=run.pk, now=make.NOW)
    found = [(row.before_fen, row.after_fen) for row in run.cases.all()]
    assert found == [(100_000_00, 120_000_00), (500_00, 600_00)]


def test_a_case_that_cannot_be_read_fails_the_run_and_is_named(w):
    version = make.programme(w)
    [case] = past(w, version, "HT-1")
    Application.objects.update(request={"contract": {"items": "viele"}})
    run = asked(w, generous(version))
    services.run(run_id=run.pk, now=make.NOW)
    run.refresh_from_db()
    assert run.state == "failed"
    assert case.number in run.problem


def test_the_pool_is_divided_among_what_would_be_granted(w):
    version = make.programme(w, budget="10000000")
    past(w, version, "HT-1", "HT-2")
    run = asked(w, generous(version))
    kept = {"pool": Money.from_yuan("150000"), "order": AwardOrder.FIRST_COME, "short": PoolShort.PARTIAL, "seed": ""}
    with pytest.raises(rules.NotReady):
        queries.simulation(run, **kept)
    services.run(run_id=run.pk, now=make.NOW)
    run.refresh_from_db()
    divided = queries.simulation(run, **kept)
    assert [award.amount.yuan() for award in divided.awards] == ["120000.00", "30000.00"]
    assert divided.left == Money(0)


def test_a_worker_is_told_once_it_is_committed(w, django_capture_on_commit_callbacks):
    version = make.programme(w)
    past(w, version, "HT-1")
    told = []
    with django_capture_on_commit_callbacks(execute=True):
        run = asked(w, generous(version), wake=told.append)
        assert told == []
    assert told == [run.pk]


def test_it_is_the_departments_own_affair(w):
    version = make.programme(w)
    past(w, version, "HT-1")
    stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.PROGRAMME_OFFICER)
    for actor in (w.owner, w.finance, stranger):
        with pytest.raises(Forbidden):
            services.request(actor=actor, tried=generous(version), source=YEAR, now=make.NOW)
    run = asked(w, generous(version))
    with pytest.raises(NotFound):
        access.get_run(stranger, run.pk)
    assert access.get_run(w.publisher, run.pk) == run


def test_a_draft_that_is_no_programme_yet_is_not_tried(w):
    version = make.programme(w)
    with pytest.raises(documents.BadProgramme):
        asked(w, generous(version, lines=[]))


def test_a_table_without_one_known_fact_is_refused_and_its_headings_named():
    with pytest.raises(uploads.BadCaseTable) as refused:
        uploads.read_cases("编号,甲,乙\n1,2,3\n".encode(), "案例.csv")
    (problem,) = refused.value.problems
    assert "甲、乙" in problem.message.zh


def test_what_is_wrong_with_a_table_is_told_in_both_languages():
    with pytest.raises(uploads.BadCaseTable) as refused:
        uploads.read_cases("编号,contract.items.compute\n1,100.005\n".encode(), "案例.csv")
    (problem,) = refused.value.problems
    assert "超过两位小数" in problem.message.zh
    assert "more than two decimals" in problem.message.en
