"""An application as a task list: contract, further facts, documents, undertaking, check and send. Left and resumed at will."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.organisations import access as people
from portal.pages import casework, questions
from portal.pages.acts import attempt_on
from portal.pages.applying import ContractForm
from portal.pages.files import handed_out, upload_of
from portal.pages.shell import act_of, actor_of, key_of, needs, page
from vouchers.evidence import access as evidence
from vouchers.evidence.models import EvidenceFile
from vouchers.evidence.rules import Upload
from vouchers.issuance import access, drafts, queries, services
from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationState
from vouchers.programmes import access as programmes
from vouchers.programmes import names
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.terms import EvidenceTerm

__all__ = ["application_file", "begin", "contract", "task_list"]


@dataclass(frozen=True, slots=True)
class Document:
    """A document asked for and the files that bring it."""

    term: EvidenceTerm
    files: list[EvidenceFile]


@require_POST
@needs(Permission.APPLICATION_SUBMIT)
def begin(request: HttpRequest, code: str) -> HttpResponse:
    """Begin a draft, with the contract and the answers where they were filled in already."""
    actor, now = actor_of(request), timezone.now()
    version = programmes.get_version(actor, code)
    scheme = programmes.scheme_of(version)
    made, error = attempt_on(
        "application", lambda: drafts.start(actor=actor, version=version, now=now, key=key_of(request))
    )
    if error:
        messages.error(request, error.text)
        return redirect("programme", code)
    asked = questions.FactsForm(questions.vocabulary(scheme).values(), request.POST)
    if asked.is_valid() and asked.stated():
        attempt_on("application", lambda: drafts.fill_facts(actor=actor, application=made, stated=asked.stated()))
    if "contract_number" not in request.POST:
        return redirect("application_tasks", made.number)
    return _contract(request, made, ContractForm(scheme, request.POST))


def _contract(request: HttpRequest, application: Application, form: ContractForm) -> HttpResponse:
    """Keep a contract that was sent with a draft, or show it again with what is wrong: nothing typed is lost."""
    error: Explained | None = None
    if form.is_valid():
        _done, error = attempt_on(
            "application",
            lambda: drafts.fill_contract(
                actor=actor_of(request), application=application, contract=form.contract(), now=timezone.now()
            ),
        )
        if error is None:
            return redirect("application_tasks", application.number)
    return _contract_page(request, application, form, error=error, status=error.status if error else 422)


def _own_draft(request: HttpRequest, number: str) -> Application | None:
    """Return the organisation's own draft of that number; None for a case that is none any more."""
    actor = actor_of(request)
    application = access.own_applications(actor).filter(number=number).first()
    if application is None:
        access.get_application(actor, number)
        return None
    return application if application.state == ApplicationState.DRAFT.value else None


@needs(Permission.APPLICATION_SUBMIT)
def task_list(request: HttpRequest, number: str) -> HttpResponse:
    """Show what is done and what is not, with the rules' answer to what is filled in; take one step at a time."""
    application = _own_draft(request, number)
    if application is None:
        return redirect("application", number)
    if request.method != "POST":
        return _tasks(request, application)
    done, error = _act(request, application)
    if error:
        fresh = _own_draft(request, number)
        if fresh is None:
            return redirect("application", number)
        return _tasks(request, fresh, error=error, status=error.status)
    if isinstance(done, Application) and done.state != ApplicationState.DRAFT.value:
        return redirect(f"{reverse('application', args=[number])}?receipt=1")
    return redirect("application_tasks", number)


def _act(request: HttpRequest, application: Application) -> tuple[Any, Explained | None]:
    """Do the step that was pressed."""
    actor, now = actor_of(request), timezone.now()
    act = act_of(request, "upload", "remove", "facts", "sign", "send")
    asked = questions.FactsForm(questions.vocabulary(programmes.scheme_of(application.version)).values(), request.POST)
    upload = upload_of(request)

    def facts() -> object:
        return drafts.fill_facts(
            actor=actor, application=application, stated=asked.stated() if asked.is_valid() else {}
        )

    def attach() -> object:
        return drafts.attach(
            actor=actor,
            application=application,
            purpose=request.POST.get("purpose", "")[:300],
            upload=upload or Upload("", b""),
            now=now,
        )

    def remove() -> object:
        file_id = request.POST.get("file_id", "")
        file = evidence.get_file(drafts.subject_of(application), int(file_id) if file_id.isdecimal() else 0)
        return drafts.detach(actor=actor, application=application, file=file, now=now)

    steps: dict[str, Callable[[], object]] = {
        "upload": attach,
        "remove": remove,
        "facts": facts,
        "sign": lambda: drafts.sign(actor=actor, application=application, now=now),
        "send": lambda: drafts.send(actor=actor, application=application, now=now),
    }
    return attempt_on("application", steps[act])


def _tasks(
    request: HttpRequest, application: Application, *, error: Explained | None = None, status: int = 200
) -> HttpResponse:
    actor, now = actor_of(request), timezone.now()
    contract_ = drafts.contract_of(application)
    scheme = programmes.scheme_of(application.version)
    stated = application.draft.get("stated") or {}
    decision, refusal = _assessed(request, application, now=now)
    asked = questions.FactsForm(questions.vocabulary(scheme).values(), _answers(scheme, stated))
    asked.is_valid()
    documents = _documents(application)
    is_signed = drafts.is_signed(application)
    has_documents = all(document.files for document in documents)
    is_fit = decision is not None and decision.decision is not DecisionKind.REJECT
    return page(
        request,
        "applications/tasks.html",
        {
            "application": application,
            "contract": contract_,
            "items": _items(application),
            "total": Money(sum(part.fen for part in contract_.items.values())) if contract_ else None,
            "told": casework.explained(decision) if decision else None,
            "refusal": refusal,
            "questions": [asked[name] for name in asked.fields],
            "answered": len(stated),
            "documents": documents,
            "has_documents": has_documents,
            "is_signed": is_signed,
            "undertaking": gettext(drafts.UNDERTAKING),
            "may_send": bool(contract_ and has_documents and is_signed and is_fit),
            "windows": [window for window in queries.terms(application.version).windows if now in window],
            "actor": actor,
            "error": error,
        },
        status=status,
    )


def _answers(scheme: Any, stated: dict[str, Any]) -> dict[str, Any]:
    """Return what was stated as a form's data, so that the page shows it."""
    data: dict[str, Any] = {}
    for path, question in questions.vocabulary(scheme).items():
        if path not in stated:
            continue
        value = stated[path]
        match question.answer:
            case questions.Answer.YES_NO:
                data[question.field] = "yes" if value is True else "no"
            case questions.Answer.CHOICE | questions.Answer.CHOICES:
                wanted = value if isinstance(value, list) else [value]
                places = [str(at) for at, each in enumerate(question.values) if each in wanted]
                data[question.field] = (
                    (places or ["-"]) if question.answer is questions.Answer.CHOICES else (places or ["-"])[0]
                )
            case _other:
                data[question.field] = value
    return data


def _assessed(
    request: HttpRequest, application: Application, *, now: datetime
) -> tuple[Decision | None, Explained | None]:
    contract_ = drafts.contract_of(application)
    if contract_ is None:
        return None, None
    wanted = services.Wanted(
        version=application.version, contract=contract_, stated=application.draft.get("stated") or {}
    )
    found: tuple[Decision | None, Explained | None] = attempt_on(
        "application", lambda: services.assess(actor=actor_of(request), wanted=wanted, now=now)
    )
    return found


def _items(application: Application) -> list[tuple[str, Money]]:
    contract_ = drafts.contract_of(application)
    return (
        [(casework.capital(names.kind(kind).say(casework.language())), part) for kind, part in contract_.items.items()]
        if contract_
        else []
    )


def _documents(application: Application) -> list[Document]:
    """Return the documents asked for, each with what was uploaded for it. One query."""
    files = list(evidence.files_of(drafts.subject_of(application)))
    request = {"contract": application.draft.get("contract") or {}, **_sections(application)}
    return [
        Document(term, [file for file in files if file.purpose == term.doc])
        for term in queries.evidence_asked(application.version, request)
    ]


def _sections(application: Application) -> dict[str, Any]:
    found: dict[str, Any] = {"applicant": queries.registered_facts(application.organisation)}
    for path, value in (application.draft.get("stated") or {}).items():
        section, _dot, name = path.partition(".")
        found[section] = {**found.get(section, {}), name: value}
    return found


@needs(Permission.APPLICATION_SUBMIT)
def contract(request: HttpRequest, number: str) -> HttpResponse:
    """Fill in or change the contract of a draft."""
    application = _own_draft(request, number)
    if application is None:
        return redirect("application", number)
    scheme = programmes.scheme_of(application.version)
    if request.method == "POST":
        return _contract(request, application, ContractForm(scheme, request.POST))
    form = ContractForm(scheme)
    if (held := drafts.contract_of(application)) is not None:
        form.initial = {
            "contract_number": held.number,
            "provider": held.provider,
            "signed": held.signed,
            "months": held.months,
            "related": "yes" if held.related else "no",
            **{f"item.{kind}": part for kind, part in held.items.items()},
        }
    return _contract_page(request, application, form)


def _contract_page(
    request: HttpRequest,
    application: Application,
    form: ContractForm,
    *,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "application": application,
        "form": form,
        "providers": people.providers().order_by("name").values_list("name", flat=True)[:300],
        "error": error,
        "action": reverse("application_task_contract", args=[application.number]),
    }
    return page(request, "applications/task_contract.html", context, status=status)


@needs(Permission.APPLICATION_SUBMIT, Permission.VOUCHER_READ_OWN)
def application_file(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand the applicant back a file of its own application."""
    actor = actor_of(request)
    application = access.get_application(actor, number)
    return handed_out(request, evidence.get_file(drafts.subject_of(application), file_id))
