"""Apply for a voucher: state the contract, see what the rules say, answer what they ask, submit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.organisations import access as people
from portal.pages import casework, questions
from portal.pages.acts import attempt_on
from portal.pages.casework import language
from portal.pages.fields import DayInput, YuanField
from portal.pages.shell import actor_of, key_of, needs, new_key, page
from vouchers.issuance import queries, services
from vouchers.issuance.facts import Contract
from vouchers.issuance.rules import ApplicationState
from vouchers.programmes import access, names
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.schemes import Programme


class ContractForm(forms.Form):
    """The contract, with an amount for each kind of spending the programme knows."""

    contract_number = forms.CharField(label=_("合同编号"), max_length=60)
    provider = forms.CharField(
        label=_("服务单位"),
        max_length=120,
        widget=forms.TextInput(attrs={"list": "providers", "autocomplete": "off"}),
        help_text=_("可从名录中选择，也可填写合同上的单位全称。"),
    )
    signed = forms.DateField(label=_("签订日期"), widget=DayInput())
    months = forms.IntegerField(label=_("合同期限（月）"), min_value=1, max_value=120)
    related = forms.ChoiceField(
        label=_("合同双方是否为关联方"),
        choices=[("no", _("否")), ("yes", _("是"))],
        widget=forms.RadioSelect,
        help_text=_("直接或间接控股、受同一方控制、主要人员互相兼职等，为关联方。"),
    )

    def __init__(self, scheme: Programme, data: Any = None) -> None:
        super().__init__(data)
        self.kinds = {f"item.{kind}": kind for kind in (scheme.cost.include or names.KINDS)}
        for name, kind in self.kinds.items():
            label = casework.capital(names.kind(kind).say(language()))
            self.fields[name] = YuanField(label=label, required=False, least_fen=0)

    def amounts(self) -> Iterator[BoundField]:
        """Yield the fields of amounts."""
        for name in self.kinds:
            yield self[name]

    def contract(self) -> Contract:
        """Return what was filled in. Only after `is_valid`."""
        values = self.cleaned_data
        amounts = {kind: values.get(name) for name, kind in self.kinds.items()}
        return Contract(
            number=values["contract_number"],
            provider=values["provider"],
            signed=values["signed"],
            months=values["months"],
            items={kind: amount for kind, amount in amounts.items() if isinstance(amount, Money) and amount},
            related=values["related"] == "yes",
        )

    def summary(self) -> list[tuple[str, Any]]:
        """Return what was filled in as label and value, for checking. Only after `is_valid`."""
        contract = self.contract()
        signed: date = contract.signed
        return [
            (gettext("合同编号"), contract.number),
            (gettext("服务单位"), contract.provider),
            (gettext("签订日期"), signed),
            (
                gettext("合同期限"),
                ngettext("%(months)s 个月", "%(months)s 个月", contract.months) % {"months": contract.months},
            ),
            (gettext("合同双方是否为关联方"), gettext("是") if contract.related else gettext("否")),
        ]


@needs(Permission.APPLICATION_SUBMIT)
def apply(request: HttpRequest, code: str) -> HttpResponse:
    """Lead through an application. Nothing is stored before it is submitted; everything filled in travels along."""
    version = access.get_version(actor_of(request), code)
    scheme = access.scheme_of(version)
    if request.method != "POST":
        return _contract_page(request, version, ContractForm(scheme))
    form = ContractForm(scheme, request.POST)
    asked = questions.FactsForm(questions.vocabulary(scheme).values(), request.POST)
    answers_fit = asked.is_valid()
    step = request.POST.get("step", "check")
    if step == "edit":
        form.is_valid()
        form.errors.clear()
        return _contract_page(request, version, form, asked=asked)
    if not form.is_valid():
        return _contract_page(request, version, form, asked=asked, status=422)
    if not answers_fit:
        return _check_page(request, version, form, asked=asked, error=None, status=422)
    if step == "submit":
        return _submit(request, version, form, asked)
    return _check_page(request, version, form, asked=asked, error=None)


def _submit(
    request: HttpRequest, version: ProgrammeVersion, form: ContractForm, asked: questions.FactsForm
) -> HttpResponse:
    wanted = services.Wanted(version=version, contract=form.contract(), stated=asked.stated())
    application, error = attempt_on(
        "application",
        lambda: services.submit(actor=actor_of(request), wanted=wanted, now=timezone.now(), key=key_of(request)),
    )
    if error:
        return _check_page(request, version, form, asked=asked, error=error, status=error.status)
    if application.state == ApplicationState.SUPPLEMENT.value:
        messages.warning(request, gettext("申请已保存，但还缺信息。补齐后才会进入审核。"))
    return redirect(f"{reverse('application', args=[application.number])}?receipt=1")


def _contract_page(
    request: HttpRequest,
    version: ProgrammeVersion,
    form: ContractForm,
    *,
    asked: questions.FactsForm | None = None,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    return page(
        request,
        "applications/contract.html",
        {
            "version": version,
            "form": form,
            "carried": list(_hidden(asked)) if asked else [],
            "providers": people.providers().order_by("name").values_list("name", flat=True)[:300],
            "is_open": version.state == "published",
            "closed": casework.closed_words(version, now=timezone.now()),
            "error": error,
        },
        status=status,
    )


def _hidden(form: forms.Form) -> Iterator[tuple[str, str]]:
    """Yield the names and values a page has to carry on for a form it does not show."""
    for name in form.fields:
        data = form.data
        values = data.getlist(name) if hasattr(data, "getlist") else [data.get(name, "")]
        for value in values:
            if value:
                yield name, value


def _check_page(
    request: HttpRequest,
    version: ProgrammeVersion,
    form: ContractForm,
    *,
    asked: questions.FactsForm,
    error: Explained | None,
    status: int = 200,
) -> HttpResponse:
    """Show the decision in words with its steps, the contract to check, and what is still to answer."""
    stated = asked.stated() if asked.is_valid() else {}
    wanted = services.Wanted(version=version, contract=form.contract(), stated=stated)
    decision, refusal = attempt_on(
        "application", lambda: services.assess(actor=actor_of(request), wanted=wanted, now=timezone.now())
    )
    if refusal:
        return _contract_page(request, version, form, asked=asked, error=refusal, status=refusal.status)
    open_questions = _open(decision, asked, stated)
    may_submit = decision.decision is not DecisionKind.REJECT and asked.is_valid() and version.state == "published"
    return page(
        request,
        "applications/check.html",
        {
            "version": version,
            "form": form,
            "asked": asked,
            "carried": [
                *_hidden(form),
                *(
                    (name, value)
                    for name, value in _hidden(asked)
                    if name not in {bound.name for bound in open_questions}
                ),
            ],
            "questions": open_questions,
            "unaskable": casework.listed(_unaskable(decision, asked)),
            "summary": form.summary(),
            "items": [(bound.label, form.cleaned_data[bound.name]) for bound in form.amounts()],
            "told": casework.explained(decision),
            "error": error if error and error.code != "refused" else None,
            "may_submit": may_submit,
            "needs_tasks": any(term.stage == "application" for term in queries.terms(version).evidence),
            "is_complete": decision.decision in {DecisionKind.GRANT, DecisionKind.MANUAL},
            "key": new_key(),
        },
        status=status,
    )


def _open(decision: Decision, asked: questions.FactsForm, stated: dict[str, Any]) -> list[BoundField]:
    """Return the fields to show: what is missing, what might open a better line, what was answered, what is wrong."""
    paths = [fact.path for fact in decision.missing]
    paths += [path for left in decision.left_out for path in left.missing]
    paths += [path for path in stated if path not in paths]
    wanted = dict.fromkeys(f"fact.{path}" for path in paths)
    wanted.update(dict.fromkeys(asked.errors))
    return [asked[name] for name in wanted if name in asked.fields]


def _unaskable(decision: Decision, asked: questions.FactsForm) -> list[str]:
    """Return the names of missing facts that are not the applicant's to state."""
    return [fact.name.say(language()) for fact in decision.missing if f"fact.{fact.path}" not in asked.fields]
