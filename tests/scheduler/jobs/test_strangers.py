"""Whatever pages and interface say of jobs and clusters: strangers get none of it, and operators no title, script or file name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import get_resolver

from portal.api import api
from scheduler.jobfiles import services as files
from scheduler.jobfiles.rules import Attachment
from scheduler.jobs import services
from scheduler.jobs.options import Options
from tests import make
from tests.calling import token_of
from tests.scheduler.jobfiles.test_services import sent, store  # noqa: F401 - a fixture
from tests.scheduler.jobs.test_services import wanted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock", "store")]

WORD = "topsecret"
ROOTS = ("jobs/", "operate/", "clusters/", "limits/", "allocations/", "compute/")


def _routes(patterns, before: str = "") -> Iterator[str]:
    for one in patterns:
        route = before + str(one.pattern)
        if hasattr(one, "url_patterns"):
            yield from _routes(one.url_patterns, route)
        else:
            yield route.replace("\\Z", "")


def _addresses(known: dict[str, str]) -> Iterator[str]:
    """Yield every address to read below `ROOTS`, filled in with what is `known`; others' parameters are left out."""
    api_paths = [path for path, methods in api.get_openapi_schema()["paths"].items() if "get" in methods]
    pages = ["/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in _routes(get_resolver().url_patterns)]
    for path in dict.fromkeys([*api_paths, *pages]):
        below = path.removeprefix("/api/v1").lstrip("/")
        if below.startswith(ROOTS) and not re.search(r"[\\^$(]", path):
            names = re.findall(r"{(\w+)}", path)
            if set(names) <= known.keys():
                query = "?path=x" if path.endswith("/content") else ""
                yield re.sub(r"{(\w+)}", lambda match: known[match[1]], path) + query


@pytest.fixture
def job(w):
    upload = sent(w.researcher, b"abc", name=f"{WORD}.bin")
    files.keep_secret(actor=w.researcher, name=f"{WORD}-key", value=WORD, now=make.NOW)
    asked = wanted(make.partition(w), title=f"{WORD} title", script=f"#!/bin/sh\necho {WORD}\n", cards=1)
    options = Options(environment={"PLAN": WORD})
    return services.submit(
        actor=w.researcher,
        wanted=replace(asked, files=[Attachment(upload.number)], options=options),
        now=make.NOW,
        key=make.key(),
        dispatch=lambda _job_id: None,
    )


def _read(who, address: str):
    if who is None:
        return Client().get(address)
    if address.startswith("/api/"):
        return Client().get(address, headers={"Authorization": f"Bearer {token_of(who)[1]}"})
    client = Client()
    client.force_login(make.user_of(who))
    return client.get(address)


@pytest.mark.parametrize("whose", ["nobody", "firm", "foreign operator", "operator", "officer", "owner of the lab"])
def test_no_stranger_reads_a_job(w, job, whose):
    who = {
        "nobody": lambda: None,
        "firm": make.applicant,
        "foreign operator": lambda: make.actor(
            make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.CLUSTER_OPERATOR
        ),
        "operator": lambda: w.operator,
        "officer": lambda: w.officer,
        "owner of the lab": lambda: make.actor(w.lab, make.roles.Role.OWNER),
    }[whose]()
    known = {"number": job.number, "code": job.partition.cluster.code, "name": job.partition.name, "no": "1"}
    seen = 0
    for address in _addresses(known):
        response = _read(who, address)
        said = b"" if response.streaming else response.content
        assert WORD.encode() not in said, address
        assert response.status_code < 500, address
        if f"jobs/{job.number}" in address:
            assert response.status_code in {302, 401, 403, 404, 405}, (address, response.status_code)
            seen += 1
        elif whose in {"foreign operator", "firm"} and "/operate/" in address and job.partition.cluster.code in address:
            assert response.status_code in {403, 404}, (address, response.status_code)
    assert seen > 12
