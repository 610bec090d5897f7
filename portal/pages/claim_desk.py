"""The department's desk for claims: the queue, one claim with its lines beside the evidence, and payment runs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import flags as flag_pages
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.claims import READERS, act_as_claimant, claim_page, listed_csv, pay_words
from portal.pages.fields import YuanField
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, listing, needs, page, wants_csv
from vouchers.claims import access, deciding, paying, printed, queries
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.rules import ClaimState
from vouchers.evidence import access as evidence
from vouchers.flags import queries as flags
from vouchers.programmes.models import Programme

SORTS = {"number": ["pk"], "filed": ["filed_at"], "amount": ["amount_fen"], "claimant": ["claimant__name"]}
S = ClaimState
TABS: dict[str, tuple[Any, Q]] = {
    "checking": (_("待核查"), Q(state__in=[S.CHECKING.value, S.PROPOSED.value])),
    "audit": (_("抽样审计"), Q(state=S.AUDIT.value)),
    "approval": (_("待审批"), Q(state=S.APPROVAL.value)),
    "supplement": (_("待补充"), Q(state=S.SUPPLEMENT.value)),
    "payable": (_("待付款"), Q(state__in=[S.PAYABLE.value, S.BATCHED.value])),
    "closed": (_("已办结"), Q(state__in=[S.SETTLED.value, S.REFUSED.value, S.WITHDRAWN.value])),
}


@needs(*access.DESK)
def queue(request: HttpRequest) -> HttpResponse:
    """List the department's claims by what they wait for, the longest waiting first."""
    actor = actor_of(request)
    default = next(
        name
        for name, permission in (
            ("checking", Permission.CLAIM_CHECK),
            ("approval", Permission.CLAIM_APPROVE),
            ("audit", Permission.CLAIM_AUDIT),
        )
        if actor.may(permission)
    )
    tab = request.GET.get("tab", default)
    tab = tab if tab in TABS else default
    cases = access.cases(actor)
    if wants_csv(request):
        return listed_csv(cases.filter(TABS[tab][1]).order_by("-pk")[:EXPORT_LIMIT])
    counts = cases.order_by().aggregate(**{name: Count("pk", filter=which) for name, (_label, which) in TABS.items()})
    found = listing(request, cases.filter(TABS[tab][1]), sorts=SORTS, default="-number" if tab == "closed" else "filed")
    marked = flags.of_subjects([queries.subject_of(claim) for claim in found.rows])
    return page(
        request,
        "claims/desk.html",
        {
            "listing": found,
            "rows": [(claim, len(marked.get(queries.subject_of(claim), []))) for claim in found.rows],
            "tab": tab,
            "tabs": [(name, label, counts[name]) for name, (label, _which) in TABS.items()],
        },
    )


class DecideForm(forms.Form):
    """The amount found, and a note the claimant will read."""

    amount = YuanField(label=_("核定金额（元）"), required=False, help_text=_("可以核减，不能调高。"))
    note = forms.CharField(
        label=_("意见或审计结论"),
        required=False,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("核减、退回或不予通过时必须写明原因，申领单位会看到。"),
    )


@needs(*READERS)
def claim(request: HttpRequest, number: str) -> HttpResponse:
    """Show a claim: to its claimant with what to do next, to the department with lines beside the evidence."""
    actor = actor_of(request)
    found = access.get_claim(actor, number)
    if found.claimant_id == actor.organisation_id:
        return act_as_claimant(request, found) if request.method == "POST" else claim_page(request, found)
    form = DecideForm(initial={"amount": Money(found.checked_fen or found.amount_fen)})
    if request.method != "POST":
        return _shown(request, found, form)
    form = DecideForm(request.POST)
    if not form.is_valid():
        return _shown(request, found, form, status=422)
    done, error = _decide(request, found, form)
    if error:
        return _shown(request, access.get_claim(actor, number), form, error=error, status=error.status)
    messages.success(request, done)
    return redirect("claim_desk")


def _decide(request: HttpRequest, found: RedemptionClaim, form: DecideForm) -> tuple[str, Explained | None]:
    actor, now = actor_of(request), timezone.now()
    act = act_of(request, "check", "return", "refuse", "find", "approve", "recheck", "confirm")
    amount, note = form.cleaned_data["amount"], form.cleaned_data["note"]
    verbs = {
        "check": lambda: deciding.check(actor=actor, claim=found, amount=amount, note=note, now=now),
        "return": lambda: deciding.send_back(actor=actor, claim=found, note=note, now=now),
        "refuse": lambda: deciding.refuse(actor=actor, claim=found, note=note, now=now),
        "find": lambda: deciding.find(actor=actor, claim=found, amount=amount, finding=note, now=now),
        "approve": lambda: deciding.approve(actor=actor, claim=found, amount=amount, note=note, now=now),
        "recheck": lambda: deciding.recheck(actor=actor, claim=found, note=note, now=now),
        "confirm": lambda: paying.confirm_topup(actor=actor, claim=found, now=now),
    }
    done, error = attempt_on("redemption", verbs[act])
    if error:
        return "", error
    said = {
        S.AUDIT: _("申领 %(number)s 核查通过，被抽中，等待第三方审计。"),
        S.APPROVAL: _("申领 %(number)s 已办理，等待审批。"),
        S.PAYABLE: _("申领 %(number)s 已审批，等待付款。"),
        S.SUPPLEMENT: _("申领 %(number)s 已退回申领单位补充。"),
        S.CHECKING: _("申领 %(number)s 已退回重新核查。"),
        S.REFUSED: _("申领 %(number)s 不予通过，额度已退回。"),
    }
    return str(said[S(done.state)]) % {"number": done.number}, None


def _acts(actor: Actor, found: RedemptionClaim) -> list[str]:
    """Return what this person may press now."""
    offers = {
        S.PROPOSED: (Permission.CLAIM_CHECK, ["confirm", "refuse"]),
        S.CHECKING: (Permission.CLAIM_CHECK, ["check", "return", "refuse"]),
        S.AUDIT: (Permission.CLAIM_AUDIT, ["find"]),
        S.APPROVAL: (Permission.CLAIM_APPROVE, ["approve", "recheck", "refuse"]),
    }
    permission, acts = offers.get(S(found.state), (None, []))
    return acts if permission is not None and actor.may(permission) else []


def _shown(
    request: HttpRequest,
    found: RedemptionClaim,
    form: forms.Form,
    *,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    subject = queries.subject_of(found)
    asked = queries.documents_asked(found)
    files = list(evidence.files_of(subject))
    held = {file.purpose for file in files}
    return page(
        request,
        "claims/case.html",
        {
            "claim": found,
            "lines": printed.marked(found),
            "parts": found.parts.all(),
            "asked": [(name, name in held) for name in asked],
            "files": files,
            "others": queries.other_support(found),
            "may_flags": flag_pages.may_read(actor),
            "flags": [(flag, flag_pages.said(flag)) for flag in flags.of_subjects([subject]).get(subject, [])],
            "events": events(audit.trail(subject, actor=actor)),
            "pay_words": pay_words(found),
            "acts": _acts(actor, found),
            "may_recover": found.approved_fen is not None and actor.may(Permission.RECOVERY_PROPOSE),
            "had_part": actor.user_id in {found.filed_by_id, found.checked_by_id, found.audited_by_id},
            "form": form,
            "error": error,
        },
        status=status,
    )


@needs(*access.FINANCE, *access.OFFICERS)
def runs(request: HttpRequest) -> HttpResponse:
    """List payment runs and what waits for one; finance calls the runs of programmes that pay in batches."""
    actor = actor_of(request)
    error: Explained | None = None
    if request.method == "POST":
        code = request.POST.get("programme", "")
        programme = Programme.objects.filter(code=code).first()
        if programme is None:
            raise NotFound
        run, error = attempt_on(
            "redemption", lambda: paying.call_run(actor=actor, programme=programme, now=timezone.now())
        )
        if run:
            messages.success(
                request, gettext("付款批次 %(number)s 已列出，可以编制结算批次。") % {"number": run.number}
            )
            return redirect("claim_runs")
    found = access.runs(actor).annotate(count=Count("claims"))
    return page(
        request,
        "claims/runs.html",
        {
            "listing": listing(request, found, sorts={"number": ["pk"], "opened": ["opened_at"]}, default="-number"),
            "waiting": queries.waiting_for_runs(now=timezone.now()),
            "may_call": actor.may(Permission.SETTLEMENT_DRAFT),
            "error": error,
        },
        status=error.status if error else 200,
    )
