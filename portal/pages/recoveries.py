"""Recoveries: the department's desk, one case step by step with finance's part, and the public list of sanctions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
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
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.fields import YuanField
from portal.pages.labels import label_of
from portal.pages.shell import (
    EXPORT_LIMIT,
    act_of,
    actor_of,
    csv_response,
    guarded,
    listing,
    needs,
    page,
    wants_csv,
)
from portal.pages.templatetags.show import bilingual
from vouchers.claims import access as claims
from vouchers.claims.models import RedemptionClaim
from vouchers.recoveries import access, collecting, queries, services
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.rules import Party, RecoveryState
from vouchers.wallets import access as wallets
from vouchers.wallets.models import Voucher

SORTS = {"number": ["pk"], "opened": ["opened_at"], "debtor": ["debtor__name"], "amount": ["receivable_fen"]}
READERS = (*access.OFFICERS, *access.FINANCE, Permission.CLAIM_FILE)
S = RecoveryState


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *Recovery.State.choices])
    q = forms.CharField(label=_("案件号或单位"), required=False, max_length=60)


class OpenForm(forms.Form):
    """What a case is about."""

    subject = forms.CharField(label=_("券号或申领号"), max_length=24, help_text=_("要追回的券，或已核定的申领。"))
    breach = forms.CharField(
        label=_("违规情形"), max_length=300, widget=forms.TextInput(attrs={"list": "breaches", "autocomplete": "off"})
    )
    party = forms.ChoiceField(label=_("责任方"), choices=Recovery.Party.choices)


class RuleForm(forms.Form):
    """The decision, or the words an act needs."""

    receivable = YuanField(label=_("追缴已用金额（元）"), required=False, least_fen=0)
    take_unused = forms.BooleanField(label=_("收回券内未用余额"), required=False)
    bar_years = forms.IntegerField(label=_("限制申报年数"), min_value=0, max_value=10, required=False)
    publish = forms.BooleanField(label=_("向社会公示"), required=False)
    reason = forms.CharField(label=_("说明"), max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class MoneyForm(forms.Form):
    """Money found on the bank statement."""

    amount = YuanField(label=_("来款金额（元）"))
    bank_reference = forms.CharField(
        label=_("银行流水号"), max_length=60, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


@needs(*READERS)
def desk(request: HttpRequest) -> HttpResponse:
    """List recoveries: the department's, finance's to collect, or the reader's own."""
    actor = actor_of(request)
    rows = access.visible_to(actor)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    if values.get("state"):
        rows = rows.filter(state=values["state"])
    if text := values.get("q"):
        rows = rows.filter(number__icontains=text) | rows.filter(debtor__name__icontains=text)
    if wants_csv(request):
        return _csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    return page(
        request,
        "recoveries/list.html",
        {
            "listing": listing(request, rows, sorts=SORTS, default="-number"),
            "filters": filters,
            "may_open": actor.may(Permission.RECOVERY_PROPOSE),
        },
    )


def _csv(rows: Any) -> HttpResponse:
    header = (_("案件号"), _("单位"), _("项目"), _("状态"), _("追缴金额（元）"), _("已收（元）"), _("立案时间"))
    return csv_response(
        "recoveries",
        header,
        (
            [
                row.number,
                bilingual(row.debtor),
                bilingual(row.version),
                label_of("recovery", row.state)[1],
                Money(row.receivable_fen).yuan(),
                Money(row.received_fen).yuan(),
                timezone.localtime(row.opened_at).isoformat(timespec="minutes"),
            ]
            for row in rows
        ),
    )


def _found(actor: Actor, number: str) -> tuple[Voucher | None, RedemptionClaim | None]:
    claim = claims.cases(actor).filter(number=number).first()
    voucher = None if claim else wallets.register(actor).filter(number=number).first()
    return voucher, claim


@needs(Permission.RECOVERY_PROPOSE)
def opened(request: HttpRequest) -> HttpResponse:
    """Open a case on a voucher or a claim, or ask the rules again on a contract that was cut after payment."""
    actor = actor_of(request)
    form = OpenForm(request.POST if request.method == "POST" else None, initial={"subject": request.GET.get("of", "")})
    number = (form.data.get("subject", "") if form.is_bound else request.GET.get("of", "")).strip()
    voucher, claim = _found(actor, number)
    items = _items(claim)
    error: Explained | None = None
    if request.method == "POST":
        act = act_of(request, "open", "reassess")
        amounts = forms.Form()
        if act == "reassess":
            amounts = _amounts_form(items)(request.POST)
        if act == "open" and form.is_valid():
            made, error = _open(actor, form, voucher, claim)
        elif act == "reassess" and claim is not None and amounts.is_valid():
            made, error = attempt_on(
                "recovery",
                lambda: services.reassess(actor=actor, claim=claim, items=amounts.cleaned_data, now=timezone.now()),
            )
            if made is None and error is None:
                messages.success(request, gettext("按现在的合同金额重新核算，没有应退的金额。"))
                return redirect("recoveries")
        else:
            made = None
        if made:
            return redirect("recovery", number=made.number)
    version = claim.version if claim else voucher.application.version if voucher else None
    return page(
        request,
        "recoveries/open.html",
        {
            "form": form,
            "found": claim or voucher,
            "claim": claim,
            "breaches": [each.breach for each in queries.sanctions_of(version)] if version else [],
            "amounts": _amounts_form(items)(initial=items) if items else None,
            "error": error,
        },
        status=error.status if error else 422 if form.is_bound and not form.is_valid() else 200,
    )


def _items(claim: RedemptionClaim | None) -> dict[str, Money]:
    application = claim and (claim.application or (claim.voucher.application if claim.voucher else None))
    if not application:
        return {}
    found = application.request.get("contract", {}).get("items", {})
    return {kind: Money.from_yuan(str(amount)) for kind, amount in found.items()}


def _amounts_form(items: dict[str, Money]) -> type[forms.Form]:
    fields = {kind: YuanField(label=label_or_code(kind), least_fen=0) for kind in items}
    return type("AmountsForm", (forms.Form,), fields)


def label_or_code(kind: str) -> str:
    """Say a cost kind in the reader's language where it is a service that the portal sells."""
    try:
        return label_of("service", kind)[1]
    except KeyError:
        return kind


def _open(
    actor: Actor, form: OpenForm, voucher: Voucher | None, claim: RedemptionClaim | None
) -> tuple[Recovery | None, Explained | None]:
    def act() -> Recovery:
        if voucher is None and claim is None:
            raise NotFound(field="subject")
        breach = services.Breach(
            text=form.cleaned_data["breach"], party=Party(form.cleaned_data["party"]), voucher=voucher, claim=claim
        )
        return services.open_case(actor=actor, breach=breach, now=timezone.now())

    return attempt_on("recovery", act)


@needs(*READERS)
def recovery(request: HttpRequest, number: str) -> HttpResponse:
    """Show one case and take it one step further."""
    actor = actor_of(request)
    case = access.get_recovery(actor, number)
    if request.method != "POST":
        return _shown(request, case)
    act = act_of(request, *ACTS)
    form, money = RuleForm(request.POST), MoneyForm(request.POST if act == "receive" else None)
    if not form.is_valid() or (act == "receive" and not money.is_valid()):
        return _shown(request, case, form=form, money=money, status=422)
    values = {**form.cleaned_data, **(money.cleaned_data if act == "receive" else {})}
    _done, error = attempt_on("recovery", lambda: ACTS[act](actor, case, values))
    if error:
        fresh = access.get_recovery(actor, number)
        return _shown(request, fresh, form=form, error=error, status=error.status)
    messages.success(request, gettext("已办理并记录。"))
    return redirect("recovery", number=number)


def _decide(actor: Actor, case: Recovery, values: dict[str, Any]) -> Recovery:
    ruling = services.Ruling(
        receivable=values["receivable"] or Money(0),
        reason=values["reason"],
        take_unused=values["take_unused"],
        bar_years=values["bar_years"] or 0,
        publish=values["publish"],
    )
    return services.decide(actor=actor, recovery=case, ruling=ruling, now=timezone.now())


Act = Callable[[Actor, Recovery, dict[str, Any]], Recovery]
ACTS: dict[str, Act] = {
    "accept": lambda actor, case, _v: services.accept(actor=actor, recovery=case, now=timezone.now()),
    "hear": lambda actor, case, v: services.hear(actor=actor, recovery=case, note=v["reason"], now=timezone.now()),
    "drop": lambda actor, case, v: services.drop(actor=actor, recovery=case, reason=v["reason"], now=timezone.now()),
    "decide": _decide,
    "return": lambda actor, case, v: services.send_back(
        actor=actor, recovery=case, reason=v["reason"], now=timezone.now()
    ),
    "confirm": lambda actor, case, _v: services.confirm(actor=actor, recovery=case, now=timezone.now()),
    "receive": lambda actor, case, v: collecting.receive(
        actor=actor, recovery=case, amount=v["amount"], bank_reference=v["bank_reference"], now=timezone.now()
    ),
    "ask": lambda actor, case, v: collecting.ask_write_off(
        actor=actor, recovery=case, reason=v["reason"], now=timezone.now()
    ),
    "write_off": lambda actor, case, _v: collecting.write_off(actor=actor, recovery=case, now=timezone.now()),
}


def _offered(actor: Actor, case: Recovery) -> list[str]:
    """Return what this person may press now."""
    proposes, decides = actor.may(Permission.RECOVERY_PROPOSE), actor.may(Permission.RECOVERY_DECIDE)
    state = S(case.state)
    own = case.version.programme.department_id == actor.organisation_id
    offers = {
        S.PROPOSED: [("accept", proposes), ("drop", proposes or decides)],
        S.OPEN: [("hear", proposes), ("drop", proposes or decides)],
        S.HEARD: [("decide", proposes or decides), ("drop", proposes or decides)],
        S.DECIDED: [("confirm", decides), ("return", decides)],
    }
    found = [name for name, may in offers.get(state, []) if may and own]
    if state is S.RECOVERING:
        found += ["receive", "ask"] if actor.may(Permission.PAYMENT_CONFIRM) else []
        found += ["write_off"] if actor.may(Permission.SETTLEMENT_APPROVE) and case.write_off_asked_by_id else []
    return found


def _shown(
    request: HttpRequest,
    case: Recovery,
    *,
    form: RuleForm | None = None,
    money: MoneyForm | None = None,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    limit = queries.limit_fen(case)
    initial = {
        "receivable": Money(case.receivable_fen or limit),
        "take_unused": case.take_unused,
        "bar_years": case.bar_years,
        "publish": case.publish,
    }
    return page(
        request,
        "recoveries/recovery.html",
        {
            "case": case,
            "acts": _offered(actor, case),
            "limit_fen": limit,
            "payments": case.payments.order_by("pk"),
            "events": events(audit.trail(queries.subject_of(case), actor=actor)),
            "is_first": case.state == S.DECIDED.value and actor.user_id == case.decided_by_id,
            "form": form or RuleForm(initial=initial),
            "money": money or MoneyForm(),
            "error": error,
        },
        status=status,
    )


@guarded
def sanctions(request: HttpRequest) -> HttpResponse:
    """List published sanctions for everybody: who, under which programme, for what, barred until when."""
    found = listing(request, access.published(), sorts={"day": ["confirmed_at"]}, default="-day")
    return page(request, "recoveries/public.html", {"listing": found})
