"""Every write of the API, tried by every role: who is not meant to do it is told so, and nothing changes."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from portal.api import api
from portal.audit.models import Record
from tests import make
from tests.beam_writes import BEAM_ROLES, BEAM_WRITES
from tests.calling import Caller, Write
from tests.everything import ROLES, WRITES, Things, everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

FORMS = {f"POST /orders/{{order}}/{form}" for form in ("files", "usage/file", "usage/preview")}
STATEMENTS = {f"POST /banking/accounts/{{account}}/{form}" for form in ("imports", "preview")}
"""Forms, tried in ``banking/test_api.py``."""
CALENDARS = {
    f"POST /instruments/{{instrument}}/calendars{verb}"
    for verb in ("", "/preview", "/subscription", "/subscription/preview")
}
ADMISSIONS = {f"POST /instruments/{{instrument}}/{act}" for act in ("propose", "recall", "admit", "return")}
"""Tried in ``catalogue/test_admitting.py``."""
WITHDRAWALS = {f"POST /instruments/{{instrument}}/{act}" for act in ("withdraw", "restore")}
"""Tried in ``catalogue/test_withdrawing.py``."""
INSTRUMENT_FILES = {
    "POST /instruments/{instrument}/files",
    "PUT /instruments/{instrument}/files/order",
    "PUT /instruments/{instrument}/files/1",
    "DELETE /instruments/{instrument}/files/1",
}
"""Tried in ``catalogue/test_files_api.py``."""
ELSEWHERE = {
    "POST /organisations",
    *CALENDARS,
    "POST /applications/{application}/files",
    "DELETE /applications/{application}/files/1",
    "POST /applications/decisions",
    "POST /claims/{claim}/files",
    "POST /payees/accounts",
    "POST /payment-orders/{payment-order}/answers",
    "POST /samples/{sample}/draft",
    "POST /engagements/{engagement}/milestones/1/deliver",
    "POST /bookings/{booking}/displacement",
    *FORMS,
    *STATEMENTS,
    "POST /bookings/readings/file",
    "POST /instruments/import",
    "POST /instruments/import/preview",
    "DELETE /instruments/{instrument}/prices/1",
    "DELETE /clusters/{cluster}/partitions/1/prices/1",
    "DELETE /operators/{operator}/absences/1",
    *INSTRUMENT_FILES,
    "POST /job-files/{job-file}/chunks",
    *ADMISSIONS,
    *WITHDRAWALS,
    "POST /payments/{payment}/attempts",
    "POST /fapiao/import",
    "POST /fapiao/import/preview",
    "POST /fapiao/{fapiao}/file",
    "POST /beam-proposals/{beam-proposal}/files/1",
    "POST /visits/{visit}/report",
    "POST /calls/{call}/import",
    "POST /calls/{call}/import/preview",
}
"""A person without organisation does the first (``test_api.py``); calendars and orders' files are forms or
lie elsewhere, tried below; pieces of files
for jobs in ``jobfiles/test_api.py``; files
of cases and decisions in bulk, which answer for each case by itself, are tried in ``issuance/test_casework_api.py``,
those of claims in ``claims/test_api.py``, bank accounts in ``payees/test_api.py``,
return files in ``settlements/test_orders.py``, results of samples in ``samples/test_api.py``, deliveries in
``engagements/test_api.py``; instrument lists in
``catalogue/test_services.py``, prices taken off in ``resources/test_api.py`` and
``clusters/test_operating.py``, leave
taken back in ``portal/pages/test_lab_operators.py``, logs of
instruments in ``bookings/test_clocks.py``, files of tax invoices in ``invoices/test_desk_api.py``, attempts to pay in ``payments/test_rail_api.py``, where there is a rail,
files of proposals in ``proposals/test_api.py``, reports of visits in ``beamtime/test_visit_api.py``,
tables of proposals in ``proposals/test_importing.py``."""


@pytest.fixture
def things(w, monkeypatch) -> Things:
    """One of everything, and callers who may write more in a minute than there are writes."""
    monkeypatch.setattr("portal.throttling.WRITES_PER_MINUTE", 10 * len(WRITES))
    return everything(w)


def test_lists_every_write_there_is():
    known = set()
    for path, methods in api.get_openapi_schema()["paths"].items():
        parts = path.removeprefix("/api/v1").split("/")
        for at, part in enumerate(parts):
            if part in {"{number}", "{code}"} and "versions" not in parts[at - 1 : at]:
                parts[at] = (
                    "{"
                    + parts[at - 1]
                    .rstrip("s")
                    .replace("settlement", "batch")
                    .replace("recoverie", "recovery")
                    .replace("benche", "bench")
                    .replace("serie", "series")
                    + "}"
                )
            elif part.startswith("{") and part != "{instrument}":
                parts[at] = "2025" if part == "{year}" else "1"
        known |= {f"{method.upper()} {'/'.join(parts)}" for method in methods if method != "get"}
    assert known - ELSEWHERE == {re.sub(r"/\d(?=/|$)", "/1", write.operation) for write in WRITES}


def alike(write: Write) -> set[str]:
    """Return roles of a facility that may do what is everybody's, and the leader of a team what any researcher may.

    She is of another enterprise than the one that owns the things: what she finds of them is the next tests' business.
    """
    if write in BEAM_WRITES:
        return set()
    everybody = set(ROLES) - set(BEAM_ROLES) == write.roles
    return set(BEAM_ROLES) if everybody else {"leader"} if "researcher" in write.roles else set()


def test_tells_everybody_else_that_it_is_not_theirs(w, things):
    """Over the whole matrix: 403, or 404 where the role may not even know that the thing is there."""
    before, wrong = Record.objects.count(), []
    for write in WRITES:
        for role in sorted(set(ROLES) - write.roles - alike(write)):
            answer = things.attempt(role, write)
            if answer.status not in {403, 404}:
                wrong.append(f"{write.operation} {role} {answer.status} {answer.body}")
    assert not wrong, "\n".join(wrong)
    assert Record.objects.count() == before, "a denied act left a trace of having been done"


def test_lets_those_do_it_whose_it_is(things):
    """Not stopped by permission; whether the state allows it is for the capability's own tests.

    Each attempt meets everything as it was built: what the one before did is taken back.
    """
    wrong = []
    for write in WRITES:
        for role in sorted(write.roles):
            with transaction.atomic():
                answer = things.attempt(role, write)
                transaction.set_rollback(True)
            if answer.status in {401, 403, 404, 422, 500}:
                wrong.append((write.operation, role, answer))
    assert wrong == []


def test_importing_a_calendar_is_the_labs(things):
    path = things.fill("/instruments/{instrument}/calendars")
    for role in set(ROLES) - {"keeper"}:
        for verb in ("", "/preview"):
            file = SimpleUploadedFile("lab.ics", b"BEGIN:VCALENDAR", content_type="text/calendar")
            assert things.callers[role].upload(path + verb, file=file, name="x").status == 403, role
        for verb in ("/subscription", "/subscription/preview"):
            wanted = {"name": "x", "url": "https://lab.invalid/x.ics"}
            assert things.callers[role].post(path + verb, wanted).status == 403, role


def test_forms_of_an_order_are_its_providers(things):
    for form in ("files", "usage/file", "usage/preview"):
        path = things.fill(f"/orders/{{order}}/{form}")
        for role in ROLES:
            file = SimpleUploadedFile("a.csv", "日期,参考号,数量\n2026-11-25,a,1\n".encode())
            said = {"purpose": "delivery_proof"} if form == "files" else {}
            status = things.callers[role].upload(path, file=file, **said).status
            assert (status in {403, 404}) == (role != "seller"), (form, role, status)


def test_another_enterprise_finds_nothing(w, things):
    """Every numbered thing that belongs to somebody is 404 for a rival of the same kind."""
    rival = Caller(make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER))
    for kind in ("application", "payment", "booking", "job", "order", "claim"):
        path = things.fill(f"/{kind}s/{{{kind}}}")
        assert rival.get(path).status == 404, path
        for write in WRITES:
            if f" /{kind}s/{{{kind}}}/" in write.operation:
                _method, address = things.fill(write.operation).split()
                send = rival.put if write.operation.startswith("PUT") else rival.post
                assert send(address, write.body).status == 404, write.operation


OTHERS = ("1", "booking", "wished", "swap", "series", "sample", "dispute", "outage", "operator", "bench")
"""What belongs to one enterprise or lab: by number, or by the first id."""


def test_another_lab_or_enterprise_of_the_same_roles_finds_nothing(w, things):
    """What a role may do, it may do to what is its own organisation's: over every write that names such a thing."""
    kinds = make.roles.Kind
    firm = make.actor(make.organisation(kinds.ENTERPRISE), make.roles.Role.OWNER, make.roles.Role.RESEARCHER)
    lab = make.actor(make.organisation(kinds.PROVIDER), make.roles.Role.LAB_MANAGER, make.roles.Role.OWNER)
    things.callers.update(firm=Caller(firm), lab=Caller(lab))
    before, found = Record.objects.count(), []
    named = {f"{{{one}}}" if one != "1" else one for one in OTHERS}
    for write in WRITES:
        parts = set(write.operation.split("/"))
        if not parts & named or not write.roles & {"keeper", "lab_owner", "owner", "researcher"}:
            continue
        for role in ("firm", "lab"):
            answer = things.attempt(role, write)
            if answer.status not in {403, 404}:
                found.append((write.operation, role, answer.status))
    assert sorted(found) == [(f"POST /benches/{{bench}}/check-{way}", "firm", 409) for way in ("in", "out")]
    assert Record.objects.count() == before
