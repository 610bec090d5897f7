"""Templates: whose they are, who sees them, and which version is offered."""

from __future__ import annotations

import pytest

from portal.kernel.errors import Forbidden, NotFound
from scheduler.templates import access, rules, services
from scheduler.templates.models import JobTemplateVersion
from tests import make
from tests.calling import Caller
from tests.scheduler.templates.catalogue import document, published

pytestmark = pytest.mark.django_db


def test_an_operators_template_is_for_everybody_once_published(w):
    version = services.import_document(actor=w.operator, document=document(), now=make.NOW)
    with pytest.raises(NotFound):
        access.get_published(w.researcher, "echo-words")
    services.publish(actor=w.operator, version=version, now=make.NOW)
    assert access.get_published(w.researcher, "echo-words").number == 1


def test_an_enterprises_template_is_its_own(w):
    published(w.researcher, "house-recipe")
    other = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER)
    assert access.get_published(w.owner, "house-recipe").number == 1
    with pytest.raises(NotFound):
        access.get_published(other, "house-recipe")
    with pytest.raises(rules.CodeTaken):
        services.import_document(actor=other, document=document("house-recipe"), now=make.NOW)
    with pytest.raises(Forbidden):
        access.published_for(w.keeper)


def test_one_version_is_offered_and_each_stays_as_it_was(w):
    first = published(w.operator)
    again = services.import_document(actor=w.operator, document=document(), now=make.NOW)
    second = published(w.operator, name={"zh": "新名称"})
    assert (again.pk, second.number) == (first.pk, 2)
    states = dict(JobTemplateVersion.objects.values_list("number", "state"))
    assert states == {1: "withdrawn", 2: "published"}
    services.publish(actor=w.operator, version=first, now=make.NOW)
    assert access.get_published(w.researcher, "echo-words").number == 1
    services.withdraw(actor=w.operator, version=first, now=make.NOW)
    services.withdraw(actor=w.operator, version=first, now=make.NOW)
    assert not access.published_for(w.researcher).exists()


def test_over_http_a_script_is_made_and_submitted(w):
    published(w.operator)
    caller = Caller(w.researcher)
    (row,) = caller.get("/job-templates").body
    assert (row["code"], row["cards"], [one["kind"] for one in row["parameters"]][:2]) == (
        "echo-words",
        1,
        ["integer", "choice"],
    )
    bad = caller.post("/job-templates/echo-words/render", {"values": {"EPOCHS": "0"}})
    assert (bad.status, list(bad.body["fields"])) == (409, ["EPOCHS"])
    script = caller.post("/job-templates/echo-words/render", {"values": {"NOTE": "a'b"}}).body["script"]
    assert """export NOTE='a'"'"'b'""" in script
    broken = caller.post("/job-templates", {"document": {"code": "x"}})
    assert broken.status == 409
    assert len(broken.body["reasons"]) >= 3
