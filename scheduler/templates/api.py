"""Endpoints of application templates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.wire import ActorRequest, Document, Number, StrictIn, Text, Whole, language, problems
from scheduler.templates import access, rules, services
from scheduler.templates.models import JobTemplateVersion
from scheduler.templates.rules import Kind, TemplateCategory, TemplateState

router = Router(tags=["job templates"])


class TemplateParameterOut(Schema):
    """One thing to fill in; `least` and `most` bound whole numbers, `pattern` text."""

    name: str
    kind: Kind
    label: str
    help: str
    default: str
    required: bool
    least: int
    most: int
    pattern: str
    choices: list[str]


class TemplateOut(Schema):
    """One version of a template, in the reader's language."""

    code: str
    version: int
    name: str
    summary: str
    category: TemplateCategory
    state: TemplateState
    public: bool
    cards: int
    cpus: int
    memory_mb: int
    time_limit_s: int
    parameters: list[TemplateParameterOut]
    published_at: datetime | None


class TemplateIn(StrictIn):
    """A template's document; what it may hold is in docs/jobs.md."""

    document: Document


class TemplateVersionIn(StrictIn):
    version: Annotated[Whole, Field(ge=1, le=10**6)]


class TemplateValuesIn(StrictIn):
    """Values by parameter; those left out take their defaults."""

    values: Annotated[dict[Text, Annotated[Text, Field(max_length=2000)]], Field(max_length=100)] = {}


class RenderedOut(Schema):
    """The script these values make. Every value is one quoted word."""

    script: str


def _said(words: rules.Words) -> str:
    return (language() == "en" and words.en) or words.zh


def _shown(version: JobTemplateVersion) -> dict[str, Any]:
    template = rules.read(version.document)
    return {
        "code": template.code,
        "version": version.number,
        "name": _said(template.name),
        "summary": _said(template.summary),
        "category": template.category,
        "state": version.state,
        "public": version.template.is_public,
        "cards": template.resources.cards,
        "cpus": template.resources.cpus,
        "memory_mb": template.resources.memory_mb,
        "time_limit_s": template.resources.time_limit_min * 60,
        "parameters": [
            {
                "name": parameter.name,
                "kind": parameter.kind,
                "label": _said(parameter.label),
                "help": _said(parameter.help),
                "default": parameter.default,
                "required": parameter.required,
                "least": parameter.least,
                "most": parameter.most,
                "pattern": parameter.pattern,
                "choices": [value for value, _label in parameter.choices],
            }
            for parameter in template.parameters
        ],
        "published_at": version.published_at,
    }


@router.get("", response={200: list[TemplateOut], **problems()})
def list_templates(request: ActorRequest) -> list[dict[str, Any]]:
    """List the templates the caller may use: everybody's and the own organisation's."""
    return [_shown(version) for version in access.published_for(request.actor)]


@router.post("", response={201: TemplateOut, **problems(409)})
def import_template(request: ActorRequest, payload: TemplateIn) -> Status[dict[str, Any]]:
    """Import a document as a draft: for everybody by who publishes templates, else for the own organisation."""
    version = services.import_document(actor=request.actor, document=payload.document, now=timezone.now())
    return Status(201, _shown(version))


@router.get("/{code}", response={200: TemplateOut, **problems(404)})
def get_template(request: ActorRequest, code: Number) -> dict[str, Any]:
    """Return a template's published version."""
    return _shown(access.get_published(request.actor, code))


@router.post("/{code}/publish", response={200: TemplateOut, **problems(404, 409)})
def publish_template(request: ActorRequest, code: Number, payload: TemplateVersionIn) -> dict[str, Any]:
    """Offer a version in place of the one offered so far."""
    version = access.get_own_version(request.actor, code, payload.version)
    return _shown(services.publish(actor=request.actor, version=version, now=timezone.now()))


@router.post("/{code}/withdraw", response={200: TemplateOut, **problems(404, 409)})
def withdraw_template(request: ActorRequest, code: Number, payload: TemplateVersionIn) -> dict[str, Any]:
    """Offer a version no longer."""
    version = access.get_own_version(request.actor, code, payload.version)
    return _shown(services.withdraw(actor=request.actor, version=version, now=timezone.now()))


@router.post("/{code}/render", response={200: RenderedOut, **problems(404, 409)})
def render_template(request: ActorRequest, code: Number, payload: TemplateValuesIn) -> dict[str, Any]:
    """Return the script these values make, to be submitted as a job's."""
    version = access.get_published(request.actor, code)
    return {"script": rules.rendered(rules.read(version.document), payload.values, version=version.number)}
