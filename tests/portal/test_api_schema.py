"""The API held against its own schema by generated calls: well-formed and malformed ones, as those who may make them.

Numbers of real things stand in for generated ones, so that the calls get past "not found" and into the services.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal import throttling
from tests import make
from tests.calling import zoned
from tests.everything import WRITES, Things, everything

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 2
"""Calls for each operation, well-formed and malformed each."""


def caller_of(method: str, path: str, things: Things) -> str:
    """Return the role of somebody who may do it; an enterprise's owner reads what everybody reads."""
    for write in WRITES:
        theirs, address = write.operation.split()
        if theirs == method and _shape(address) == _shape(path):
            return write.allowed.split()[0]
    readers = {"settlements": "finance", "ledger": "auditor"}
    return readers.get(path.split("/")[1], "keeper" if "calendars" in path else "owner")


def _shape(path: str) -> list[str]:
    return ["{}" if part.startswith("{") or part == "1" else part for part in path.split("/")]


SLOT = {name: zoned(moment) for name, moment in (("starts_at", make.slot(4).start), ("ends_at", make.slot(4).end))}


def real(case: Case, things: Things) -> Case:
    """Put numbers of real things, and a time that can be had, where a generated call names one."""
    collection = case.path.removeprefix("/api/v1/").split("/")[0].rstrip("s")
    numbers = {**things.numbers, "settlement": things.numbers["batch"]}
    stand_ins: dict[str, Any] = {
        **numbers,
        **SLOT,
        "code": numbers.get(collection, numbers["programme"]),
        "partition": "gpu",
        "provider": numbers["credit_code"],
        "number": 1 if "/versions/" in case.path else numbers.get(collection),
    }
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            for name in part.keys() & stand_ins.keys():
                if isinstance(part[name], str | int) and stand_ins[name] is not None:
                    part[name] = stand_ins[name]
    return case


ENDINGS = ("suspend", "maintenance", "cancel", "withdraw", "discard", "decline")
"""Acts after which little can be done with a thing: they come last."""


def statuses_of(operation: APIOperation, mode: GenerationMode, call: Callable[[Case], Response]) -> set[int]:
    """Make the generated calls of one operation, hold each answer against the schema, return the statuses seen."""
    statuses: set[int] = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def hold(case: Case) -> None:
        response = call(case)
        case.validate_response(response, checks=CHECKS)
        statuses.add(response.status_code)

    hold()
    return statuses


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_answers_generated_calls_as_documented(w, clock, monkeypatch, mode):
    monkeypatch.setattr(throttling, "WRITES_PER_MINUTE", 10**6)
    things, schema = everything(w), schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
    answered: dict[str, set[int]] = {}

    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda operation: operation.path.endswith(ENDINGS)):
        role = caller_of(operation.method.upper(), operation.path.removeprefix("/api/v1"), things)
        headers = {"Authorization": f"Bearer {things.callers[role].secret}"}
        if any(parameter.name == "Idempotency-Key" for parameter in operation.headers):
            headers["Idempotency-Key"] = "key-of-the-call"

        answered[operation.label] = statuses_of(
            operation,
            mode,
            lambda case, headers=headers: real(case, things).call(headers=headers),
        )

    assert len(answered) > 50
    if mode is GenerationMode.POSITIVE:
        reached = [label for label, statuses in answered.items() if statuses & {200, 201, 204, 409}]
        assert len(reached) > len(answered) // 2, sorted(set(answered) - set(reached))
    else:
        refused = [label for label, statuses in answered.items() if statuses & {400, 404, 422}]
        assert len(refused) > len(answered) // 2
