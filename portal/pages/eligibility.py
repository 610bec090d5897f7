"""The two-minute eligibility check: before anybody signs in, what would the open programmes pay?

Everything is in the address: nothing is stored, and a result can be kept or sent on as a link.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import casework, questions
from portal.pages.casework import language
from portal.pages.fields import YuanField
from portal.pages.shell import guarded, page, stranger_or_actor
from vouchers.issuance import funds
from vouchers.issuance import queries as issuance
from vouchers.programmes import access, names, outlook
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.schemes import Programme

MOST_QUESTIONS: Final = 8
"""How many open questions are put at a time: the whole check should take two minutes."""
FIRST: Final = ("applicant.type", "applicant.region")
"""Facts the first part of the form asks for."""


class AboutForm(forms.Form):
    """Who asks, what is to be bought, and for how much."""

    kind = forms.ChoiceField(label=_("准备购买"))
    amount = YuanField(label=_("预计合同金额（元）"))

    def __init__(self, schemes: Sequence[Programme], data: Any = None) -> None:
        super().__init__(data)
        found = dict.fromkeys(kind for scheme in schemes for kind in (scheme.cost.include or ()))
        if any(not scheme.cost.include for scheme in schemes):
            found = dict.fromkeys([*found, *names.KINDS])
        said = language()
        choices = [(kind, casework.capital(names.kind(kind).say(said))) for kind in found]
        self.fields["kind"] = forms.ChoiceField(label=_("准备购买"), choices=choices)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one programme would do."""

    version: ProgrammeVersion
    decision: Decision
    told: casework.Explanation


@guarded
def check(request: HttpRequest) -> HttpResponse:
    """Ask the rules of every open programme about a purchase that is only imagined."""
    versions = list(access.in_force().order_by("-published_at", "pk"))
    schemes = {version.pk: access.scheme_of(version) for version in versions}
    about = AboutForm(list(schemes.values()), request.GET or None)
    vocabulary = questions.vocabulary(*schemes.values())
    first = questions.FactsForm([vocabulary[path] for path in FIRST if path in vocabulary], request.GET or None)
    asked = questions.FactsForm(
        [question for path, question in vocabulary.items() if path not in FIRST], request.GET or None
    )
    actor = stranger_or_actor(request)
    outlooks: list[Outlook] = []
    shown: list[forms.BoundField] = []
    is_asked = bool(request.GET.get("kind") or request.GET.get("amount"))
    if is_asked and about.is_valid() and first.is_valid() and asked.is_valid():
        stated = {**first.stated(), **asked.stated()}
        kind = about.cleaned_data["kind"]
        imagined = outlook.imagined(
            kind=kind, amount=about.cleaned_data["amount"], stated=stated, today=timezone.localdate()
        )
        stands = funds.standings(versions, now=timezone.now())
        left = {
            version.programme.code: stands[version.pk].left for version in versions if not issuance.is_batch(version)
        }
        by_code = {version.programme.code: version for version in versions}
        outlooks = [
            Outlook(by_code[code], decision, casework.explained(decision))
            for code, decision in outlook.outlooks(
                schemes.values(),
                kind=kind,
                request=imagined,
                holdings=_holdings(actor, schemes.values()),
                pools=left,
            )
        ]
        shown = _questions(outlooks, asked, request.GET)
    return page(
        request,
        "programmes/eligibility.html",
        {
            "about": about if is_asked else AboutForm(list(schemes.values())),
            "first": first,
            "questions": shown,
            "invalid": [about, first, asked] if is_asked else [],
            "outlooks": outlooks,
            "is_answered": bool(outlooks),
            "may_apply": actor is None or actor.may(Permission.APPLICATION_SUBMIT),
            "counts": Counter(one.decision.decision.value for one in outlooks),
        },
        status=422 if is_asked and not outlooks and versions else 200,
    )


def _holdings(actor: Actor | None, schemes: Iterable[Programme]) -> dict[str, Money]:
    """Return what the asker holds already, where an enterprise that may apply asks; nothing of a stranger."""
    if actor is None or not actor.may(Permission.APPLICATION_SUBMIT):
        return {}
    return issuance.holdings_of(actor.acting_for, schemes)


def _questions(outlooks: Iterable[Outlook], asked: questions.FactsForm, answered: QueryDict) -> list[forms.BoundField]:
    """Return what is answered already and what would decide the most programmes, eight at most at a time."""
    missing: Counter[str] = Counter()
    for one in outlooks:
        if one.decision.decision is not DecisionKind.REJECT:
            paths = [fact.path for fact in one.decision.missing]
            paths += [path for left in one.decision.left_out for path in left.missing]
            missing.update(set(paths))
    names_ = [name for name in asked.fields if any(answered.getlist(name))]
    names_ += [
        f"fact.{path}"
        for path, _often in sorted(missing.items(), key=lambda item: (-item[1], item[0]))
        if f"fact.{path}" in asked.fields
    ][:MOST_QUESTIONS]
    return [asked[name] for name in dict.fromkeys(names_)]
