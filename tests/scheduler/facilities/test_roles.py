"""Who may write what of a facility, over the API: the matrix of the staff's roles."""

import json

import pytest
from django.db import transaction

from tests import beam, make
from tests.beam_writes import BEAM_ROLES, facilities, market
from tests.calling import Caller, Write

pytestmark = pytest.mark.django_db


def test_each_write_is_its_roles_alone():
    site = beam.site()
    firm = make.organisation(make.roles.Kind.ENTERPRISE)
    names = {"facilitie": site.facility.code, "firm_code": firm.credit_code, **facilities.things(site)}
    names |= market.things(site)
    callers = {role: Caller(site.graders[1] if role == "grader" else getattr(site, role)) for role in BEAM_ROLES}

    def attempt(role: str, write: Write) -> int:
        text = json.dumps([write.operation, write.body])
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        operation, body = json.loads(text)
        method, path = operation.split()
        caller = callers[role]
        with transaction.atomic():
            if method == "DELETE":
                answer = caller.delete(path)
            else:
                answer = caller.put(path, body) if method == "PUT" else caller.post(path, body, key=f"a-{role}-key")
            transaction.set_rollback(True)
        return answer.status

    wrong = [
        (write.operation, role, status)
        for write in (*facilities.WRITES, *market.WRITES)
        for role in BEAM_ROLES
        if ((status := attempt(role, write)) in {200, 201, 204}) != (role in write.roles)
    ]
    assert wrong == []
