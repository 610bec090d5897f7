"""Answer what an application is asked for: facts, documents, and inside an appeal words; then send it back."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.pages import casework, questions
from portal.pages.acts import attempt_on
from portal.pages.applications import allows
from portal.pages.files import upload_of
from portal.pages.shell import actor_of, needs, page
from vouchers.evidence import access as evidence
from vouchers.evidence.rules import Upload
from vouchers.issuance import access, appeals, drafts, queries, services
from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationAction, ApplicationState
from vouchers.programmes.access import scheme_of

__all__ = ["complete"]

FURTHER: Final = noop("补充材料")
"""What a document is called that the programme does not ask for by name."""


@needs(Permission.APPLICATION_SUBMIT)
def complete(request: HttpRequest, number: str) -> HttpResponse:
    """Bring the facts and documents an application lacks; the rules decide anew, or the appeal goes on."""
    actor = actor_of(request)
    application = access.get_application(actor, number)
    if not allows(application, ApplicationAction.COMPLETE):
        return redirect("application", number=number)
    form = _form(request, application)
    error: Explained | None = None
    if request.method == "POST" and request.POST.get("act") in {"upload", "remove"}:
        error = _files(request, application)
        if error is None:
            return redirect(f"{reverse('application_complete', args=[number])}#evidence")
    elif request.method == "POST" and form.is_valid():
        done, error = attempt_on(
            "application",
            lambda: services.complete(
                actor=actor,
                application=application,
                stated=form.stated(),
                now=timezone.now(),
                answer=request.POST.get("answer", ""),
            ),
        )
        if error is None:
            _say_completed(request, done)
            return redirect("application", number=number)
    status = error.status if error else 422 if form.is_bound and form.errors else 200
    return page(request, "applications/complete.html", _shown(request, application, form, error), status=status)


def _form(request: HttpRequest, application: Application) -> questions.FactsForm:
    """Return the questions: first what the rules lack, then what nobody has stated yet."""
    decision = casework.decision_of(application)
    vocabulary = questions.vocabulary(scheme_of(application.version))
    known = {f"{section}.{key}" for section in questions.ASKED for key in application.request.get(section) or {}}
    wanted = [fact.path for fact in decision.missing]
    wanted += [path for path in vocabulary if path not in wanted and path not in known]
    is_sent = request.method == "POST" and request.POST.get("act") not in {"upload", "remove"}
    return questions.FactsForm(
        [vocabulary[path] for path in wanted if path in vocabulary], request.POST if is_sent else None
    )


def _shown(
    request: HttpRequest, application: Application, form: questions.FactsForm, error: Explained | None
) -> dict[str, Any]:
    decision = casework.decision_of(application)
    missing = {f"fact.{fact.path}" for fact in decision.missing}
    asked = queries.evidence_asked(application.version, application.request)
    return {
        "application": application,
        "form": form,
        "required": [form[name] for name in form.fields if name in missing],
        "optional": [form[name] for name in form.fields if name not in missing],
        "told": casework.explained(decision),
        "in_appeal": appeals.is_asked(application),
        "answer": request.POST.get("answer", ""),
        "purposes": [*dict.fromkeys(term.doc for term in asked), FURTHER],
        "files": evidence.files_of(drafts.subject_of(application)),
        "error": error,
    }


def _files(request: HttpRequest, application: Application) -> Explained | None:
    """Keep a document with the case, or take a mistaken one out."""
    actor, now = actor_of(request), timezone.now()
    if request.POST["act"] == "upload":
        upload = upload_of(request) or Upload("", b"")
        purpose = request.POST.get("purpose", "")[:300]
        _done, error = attempt_on(
            "application",
            lambda: drafts.attach(actor=actor, application=application, purpose=purpose, upload=upload, now=now),
        )
        return error
    file_id = request.POST.get("file_id", "")
    file = evidence.get_file(drafts.subject_of(application), int(file_id) if file_id.isdecimal() else 0)
    _done, error = attempt_on(
        "application", lambda: drafts.detach(actor=actor, application=application, file=file, now=now)
    )
    return error


def _say_completed(request: HttpRequest, application: Application) -> None:
    if application.state == ApplicationState.SUPPLEMENT.value:
        messages.warning(request, gettext("已保存，但还缺信息。"))
    elif application.state == ApplicationState.APPEAL.value:
        messages.success(request, gettext("已提交，申诉继续办理。"))
    else:
        messages.success(
            request,
            gettext("信息已补齐，测算金额 %(amount)s，已进入审核。") % {"amount": Money(application.amount_fen)},
        )
