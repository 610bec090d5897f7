"""Bank accounts of payees: the owners' page, finance's queue, one account step by step, and its proofs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.organisations import access as people
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.files import handed_out, upload_of
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, csv_response, listing, needs, page, wants_csv
from vouchers.evidence import access as evidence
from vouchers.payees import access, queries, services
from vouchers.payees.models import PayeeAccount
from vouchers.payees.rules import OPEN, TRANSITIONS, Details, PayeeAccountAction, PayeeAccountState
from vouchers.settlements import routing

__all__ = ["account", "accounts", "new", "proof"]

SORTS = {"payee": ["organisation__name"], "proposed": ["proposed_at"]}


class Filters(forms.Form):
    """What finance's list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *PayeeAccount.State.choices])
    q = forms.CharField(label=_("单位、开户行或账号末四位"), required=False, max_length=60)


class AccountForm(forms.Form):
    """An account as the bank's certificate shows it."""

    holder = forms.CharField(label=_("户名"), max_length=200)
    bank = forms.CharField(label=_("开户行"), max_length=200, help_text=_("写到支行，与开户证明一致。"))
    cnaps = forms.CharField(
        label=_("联行号"),
        max_length=40,
        help_text=_("12 位支付系统行号（CNAPS），可向开户行查询。"),
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    number = forms.CharField(
        label=_("账号"),
        max_length=60,
        help_text=_("境内人民币对公账号，只含数字。"),
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    note = forms.CharField(
        label=_("说明"),
        max_length=300,
        required=False,
        help_text=_("户名与单位登记名称不同时必填，例如由上级单位统一收款。"),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    file = forms.FileField(
        label=_("账户证明"),
        required=False,
        help_text=_("开户许可证、基本存款账户信息或银行回执；PDF 或图片，不超过 20 MB。"),
    )


class RailAccountForm(AccountForm):
    """An account with a payment gateway: its number there instead of a bank's."""

    bank = None  # type: ignore[assignment]  # as Django takes a field away
    cnaps = None  # type: ignore[assignment]
    number = forms.CharField(
        label=_("支付机构账户编号"),
        max_length=60,
        help_text=_("以 acct_ 开头，可在支付机构后台的账户设置中查到。"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    file = forms.FileField(
        label=_("账户证明"),
        required=False,
        help_text=_("支付机构后台显示账户编号和单位名称的页面；PDF 或图片，不超过 20 MB。"),
    )


class ProofForm(forms.Form):
    """A further proof of an account on its way."""

    file = forms.FileField(label=_("补充账户证明"), required=False, help_text=_("PDF 或图片，不超过 20 MB。"))


class RejectForm(forms.Form):
    """Why an account is sent back."""

    reason = forms.CharField(
        label=_("退回原因"), max_length=300, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


@needs(*access.READERS)
def accounts(request: HttpRequest) -> HttpResponse:
    """List accounts: a payee's own with the one in use on top, or finance's queue."""
    actor = actor_of(request)
    rows = access.visible_to(actor)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    if values.get("state"):
        rows = rows.filter(state=values["state"])
    if text := values.get("q"):
        rows = rows.filter(
            Q(organisation__name__icontains=text) | Q(bank__icontains=text) | Q(number__endswith=text[-4:])
        )
    if wants_csv(request):
        return _csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    is_payee = actor.may(Permission.PAYEE_MANAGE)
    own = queries.in_force_of(actor.acting_for, now=timezone.now()) if is_payee else None
    return page(
        request,
        "payees/list.html",
        {
            "listing": listing(request, rows, sorts=SORTS, default="-proposed"),
            "filters": filters,
            "filtered": any(values.values()),
            "is_payee": is_payee,
            "is_finance": actor.may(Permission.PAYEE_VERIFY),
            "own": own,
            "passing": [(code, code.title()) for code in routing.passing_rails()] if is_payee else [],
            "on_the_way": is_payee
            and PayeeAccount.objects.filter(organisation_id=actor.acting_for, rail="", state__in=OPEN).exists(),
            "cooling_days": settings.PAYEE_COOLING_DAYS,
        },
    )


def _csv(rows: Any) -> HttpResponse:
    texts = (_("收款单位"), _("户名"), _("开户行"), _("联行号"), _("账号"), _("状态"), _("登记时间"), _("启用时间"))
    return csv_response(
        "payee-accounts",
        texts,
        (
            [
                row.organisation.name,
                row.holder,
                row.bank,
                row.cnaps,
                row.masked,
                label_of("payee_account", row.state)[1],
                timezone.localtime(row.proposed_at).isoformat(timespec="minutes"),
                timezone.localtime(row.in_force_from).isoformat(timespec="minutes") if row.in_force_from else "",
            ]
            for row in rows
        ),
    )


@needs(Permission.PAYEE_MANAGE)
def new(request: HttpRequest) -> HttpResponse:
    """Propose an account for the own organisation: a bank account, or by ``?rail=`` one with a payment gateway."""
    actor = actor_of(request)
    initial = {"holder": people.get_own(actor).name}
    rail = request.GET.get("rail", "")
    if rail and rail not in routing.passing_rails():
        raise NotFound
    kind = RailAccountForm if rail else AccountForm
    form = kind(request.POST, request.FILES) if request.method == "POST" else kind(initial=initial)
    error: Explained | None = None
    if form.is_bound and form.is_valid():
        values = form.cleaned_data
        bank = rail.title() if rail else values["bank"]
        details = Details(values["holder"], bank, values.get("cnaps", ""), values["number"], values["note"], rail)
        made, error = attempt_on(
            "payee_account",
            lambda: services.propose(actor=actor, details=details, proof=upload_of(request), now=timezone.now()),
        )
        if error is None:
            messages.success(request, gettext("收款账户已登记，等待另一位同事或财务核对。"))
            return redirect("payee_account", number=made.reference)
    status = error.status if error else 422 if form.is_bound else 200
    context = {"form": form, "error": error, "cooling_days": settings.PAYEE_COOLING_DAYS, "is_rail": bool(rail)}
    return page(request, "payees/new.html", context, status=status)


@needs(*access.READERS)
def account(request: HttpRequest, number: str) -> HttpResponse:
    """Show an account with its proofs, and take it one step further."""
    actor = actor_of(request)
    found = access.get_account(actor, number)
    if request.method != "POST":
        return _shown(request, found, form=RejectForm())
    form = RejectForm(request.POST)
    done, error = _do(request, found, form)
    if error:
        return _shown(request, access.get_account(actor, number), form=form, error=error, status=error.status)
    messages.success(request, done)
    return redirect("payee_account", number=number)


def _do(request: HttpRequest, found: PayeeAccount, form: forms.Form) -> tuple[str, Explained | None]:
    actor, now = actor_of(request), timezone.now()
    act = act_of(request, "check", "verify", "reject", "withdraw", "proof")
    reason = form.cleaned_data["reason"] if form.is_valid() else ""

    def step() -> PayeeAccount:
        if act == "proof":
            return services.add_proof(actor=actor, account=found, proof=upload_of(request), now=now)
        if act == "check":
            return services.check(actor=actor, account=found, now=now)
        if act == "verify":
            return services.verify(actor=actor, account=found, now=now)
        if act == "reject":
            return services.reject(actor=actor, account=found, reason=reason, now=now)
        return services.withdraw(actor=actor, account=found, now=now)

    words = {
        "check": gettext("已核对，等待财务另一人核验。"),
        "verify": gettext("已核验，冷静期后开始使用。"),
        "reject": gettext("已退回，收款单位会看到原因。"),
        "withdraw": gettext("已撤回，现用账户不变。"),
        "proof": gettext("已补充账户证明。"),
    }
    _done, error = attempt_on("payee_account", step)
    return words[act], error


def _shown(
    request: HttpRequest, found: PayeeAccount, *, form: forms.Form, error: Explained | None = None, status: int = 200
) -> HttpResponse:
    actor = actor_of(request)
    subject = access.subject_of(found)
    return page(
        request,
        "payees/account.html",
        {
            "account": found,
            "number": found.number if access.may_read_number(actor, found) else found.masked,
            "files": list(evidence.files_of(subject)),
            "events": events(audit.trail(subject, actor=actor)),
            "form": form,
            "proof": ProofForm(),
            "error": error,
            **_offered(actor, found),
            "cooling_days": settings.PAYEE_COOLING_DAYS,
            "registered": found.organisation.name,
        },
        status=status,
    )


def _offered(actor: Actor, found: PayeeAccount) -> dict[str, bool]:
    """Return what this person may press now."""
    state = PayeeAccountState(found.state)

    def may(action: PayeeAccountAction) -> bool:
        return (state, action) in TRANSITIONS

    own = actor.may(Permission.PAYEE_MANAGE) and actor.organisation_id == found.organisation_id
    finance = actor.may(Permission.PAYEE_VERIFY)
    acted = actor.user_id in (found.proposed_by_id, found.checked_by_id)
    return {
        "may_check": may(PayeeAccountAction.CHECK) and (own or finance) and not acted,
        "may_verify": may(PayeeAccountAction.VERIFY) and finance and not acted,
        "may_reject": may(PayeeAccountAction.REJECT) and finance,
        "may_withdraw": may(PayeeAccountAction.WITHDRAW) and own,
        "waits_for_other": acted and (may(PayeeAccountAction.CHECK) or (may(PayeeAccountAction.VERIFY) and finance)),
    }


@needs(*access.READERS)
def proof(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand out a proof of an account the reader may see."""
    return handed_out(request, access.get_proof(actor_of(request), number, file_id))
