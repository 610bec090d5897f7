"""Claims as their claimant sees them: what can be claimed, a new claim with its lines, documents, status and receipt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound, noop
from portal.kernel.money import Money
from portal.pages.actions import events, subject_link
from portal.pages.acts import attempt_on
from portal.pages.fields import DayInput, YuanField
from portal.pages.files import handed_out, upload_of
from portal.pages.labels import label_of
from portal.pages.shell import (
    EXPORT_LIMIT,
    act_of,
    actor_of,
    attempt,
    csv_response,
    key_of,
    listing,
    needs,
    new_key,
    page,
    wants_csv,
)
from portal.pages.templatetags.show import bilingual
from portal.tables.reading import read_table
from portal.tables.values import BadTable, Column, Kind, Limits
from vouchers.charges.models import ChargePart
from vouchers.claims import access, printed, queries, services
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.rules import ClaimState
from vouchers.evidence import access as evidence
from vouchers.ledger import queries as ledger
from vouchers.programmes.terms import Cadence, RedeemMode

SORTS = {"number": ["pk"], "amount": ["amount_fen"], "filed": ["filed_at"], "programme": ["version__name"]}
ROWS = 5
MOST_ROWS = 200
LIMITS = Limits(rows=MOST_ROWS)
COLUMNS = (
    Column("what", noop("内容"), names=("项目", "服务", "what", "item"), max_length=120),
    Column("day", noop("日期"), Kind.DAY, names=("开票日期", "date"), required=False),
    Column("invoice", noop("发票号码"), names=("发票号", "invoice"), max_length=40),
    Column("base", noop("发票金额"), Kind.MONEY, names=("发票金额（元）", "invoiced")),
    Column("amount", noop("申领金额"), Kind.MONEY, names=("申领金额（元）", "claimed")),
    Column("reference", noop("凭据编号"), names=("用量或交付编号", "reference"), required=False, max_length=80),
)
"""What an uploaded table of lines holds."""


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(
        label=_("状态"), required=False, choices=[("", _("全部")), *RedemptionClaim.State.choices]
    )
    q = forms.CharField(label=_("申领号"), required=False, max_length=30)


class LineForm(forms.Form):
    """One row of a claim."""

    what = forms.CharField(label=_("内容"), max_length=120)
    day = forms.DateField(label=_("日期"), required=False, widget=DayInput())
    invoice = forms.CharField(label=_("发票号码"), max_length=40, required=False)
    base = YuanField(label=_("发票金额（元）"))
    amount = YuanField(label=_("申领金额（元）"))
    reference = forms.CharField(label=_("凭据编号"), max_length=80, required=False)
    charge = forms.CharField(max_length=50, required=False, widget=forms.HiddenInput)


LineSet = forms.formset_factory(LineForm, extra=0, max_num=MOST_ROWS, absolute_max=MOST_ROWS)


class ClaimForm(forms.Form):
    """The claim as a whole."""

    amount = YuanField(label=_("申领金额（元）"), help_text=_("必须等于各行申领金额之和。"))


class DocumentForm(forms.Form):
    """Which document a file is."""

    document = forms.ChoiceField(label=_("材料"))
    file = forms.FileField(label=_("文件"), required=False)

    def __init__(self, documents: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, name) for name in documents] + [(services.OTHER, gettext(services.OTHER))]
        self.fields["document"] = forms.ChoiceField(label=_("材料"), choices=choices)


def pay_words(claim: RedemptionClaim) -> str:
    """Say when a claim is paid, in the words of its programme's cadence."""
    now = timezone.now()
    if claim.state == ClaimState.SETTLED.value:
        return gettext("已于 %(day)s 付款。") % {"day": timezone.localtime(claim.settled_at).strftime("%Y-%m-%d")}
    if claim.eligible_at is not None:
        return gettext("可以付款，等待财务编制结算批次。")
    cadence = queries.cadence_of(claim.version)
    if cadence is Cadence.ON_CLAIM:
        return gettext("审批通过后即可付款。")
    if cadence is Cadence.BATCH:
        return gettext("审批通过后，由主管部门分批付款。")
    period = queries.window_of(claim, now=now)
    assert period is not None
    day = timezone.localtime(period.end - timedelta(seconds=1)).strftime("%Y-%m-%d")
    return gettext("本期于 %(day)s 结束，之后统一付款。") % {"day": day}


def narrowed(request: HttpRequest, rows: QuerySet[RedemptionClaim]) -> tuple[Filters, QuerySet[RedemptionClaim]]:
    """Return the filter form and the rows it leaves."""
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    if values.get("state"):
        rows = rows.filter(state=values["state"])
    if values.get("q"):
        rows = rows.filter(number__icontains=values["q"])
    return filters, rows


def listed_csv(rows: Any) -> HttpResponse:
    """Return claims as a file."""
    header = (_("申领号"), _("项目"), _("申领单位"), _("状态"), _("申领金额（元）"), _("核定金额（元）"), _("提交时间"))
    return csv_response(
        "claims",
        header,
        (
            [
                row.number,
                bilingual(row.version),
                bilingual(row.claimant),
                label_of("redemption", row.state)[1],
                Money(row.amount_fen).yuan(),
                Money(row.approved_fen).yuan() if row.approved_fen is not None else "",
                timezone.localtime(row.filed_at).isoformat(timespec="minutes") if row.filed_at else "",
            ]
            for row in rows
        ),
    )


@needs(Permission.CLAIM_FILE)
def claims(request: HttpRequest) -> HttpResponse:
    """List the organisation's claims, and what can still be claimed."""
    actor = actor_of(request)
    filters, rows = narrowed(request, access.own_claims(actor))
    if wants_csv(request):
        return listed_csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    charges = list(queries.claimable(actor.acting_for))
    vouchers = queries.reimbursable(actor.acting_for)
    balances = ledger.balances(account_ids=[voucher.account_id for voucher in vouchers])
    return page(
        request,
        "claims/list.html",
        {
            "listing": listing(request, rows, sorts=SORTS, default="-number"),
            "filters": filters,
            "claimable_fen": sum(part.payable_fen for part in charges),
            "charges": len(charges),
            "vouchers": [(voucher, balances[voucher.account_id].available_fen) for voucher in vouchers],
        },
    )


@needs(Permission.CLAIM_FILE)
def new(request: HttpRequest) -> HttpResponse:
    """Begin a claim: on a voucher, row by row or from a table; or on charges that were served."""
    if number := request.GET.get("voucher", ""):
        return _edit(request, voucher=number)
    actor = actor_of(request)
    charges = list(queries.claimable(actor.acting_for))
    error: Explained | None = None
    if request.method == "POST":
        wanted = set(request.POST.getlist("charge"))
        lines = [_line_of(part) for part in charges if _name(part) in wanted]
        total = Money(sum(line.amount.fen for line in lines))
        made, error = attempt_on(
            "redemption",
            lambda: services.draft(
                actor=actor,
                wanted=services.Wanted(amount=total, lines=lines),
                now=timezone.now(),
                key=key_of(request),
            ),
        )
        if made:
            return redirect("claim", number=made.number)
    context = {
        "charges": [(part, _name(part), subject_link(part.charge.subject)[0]) for part in charges],
        "vouchers": queries.reimbursable(actor.acting_for),
        "key": new_key(),
        "error": error,
    }
    return page(request, "claims/new.html", context, status=error.status if error else 200)


def _name(part: ChargePart) -> str:
    return f"{part.charge.number}/{part.voucher.number}"


def _line_of(part: ChargePart) -> services.Line:
    at = part.charge.resolved_at
    return services.Line(
        what=subject_link(part.charge.subject)[0],
        amount=Money(part.payable_fen),
        charge=_name(part),
        day=timezone.localtime(at).date() if at else None,
    )


@needs(Permission.CLAIM_FILE)
def edit(request: HttpRequest, number: str) -> HttpResponse:
    """Change the amount and the lines of a draft, or of a claim returned for supplements."""
    claim = access.own_claims(actor_of(request)).filter(number=number, state__in=services.EDITABLE).first()
    if claim is None or claim.mode == RedeemMode.AWARD.value:
        raise NotFound
    return _edit(request, claim=claim)


def _edit(request: HttpRequest, *, claim: RedemptionClaim | None = None, voucher: str = "") -> HttpResponse:
    form, rows, key, error = ClaimForm(), _rows(claim), new_key(), None
    if request.method == "POST":
        form, rows = ClaimForm(request.POST), LineSet(request.POST, form_kwargs={"empty_permitted": True})
        act = act_of(request, "rows", "upload", "save")
        key = request.POST.get("idempotency_key") or key
        if act == "rows":
            rows = LineSet(initial=_typed(rows) + [{}] * ROWS)
            form = ClaimForm(initial={"amount": request.POST.get("amount", "")})
        elif act == "upload":
            form, rows, error = _from_table(request, rows)
        elif form.is_valid() and rows.is_valid():
            saved, error = _saved(request, form, rows, claim=claim, voucher=voucher)
            if saved:
                messages.success(request, gettext("申领已保存。请核对材料后提交。"))
                return redirect("claim", number=saved.number)
        else:
            error = None
    elif claim is not None:
        form = ClaimForm(initial={"amount": Money(claim.amount_fen)})
    invalid = form.errors or (rows.is_bound and not rows.is_valid())
    return page(
        request,
        "claims/edit.html",
        {"claim": claim, "voucher": voucher, "form": form, "rows": rows, "key": key, "error": error},
        status=error.status if error else 422 if invalid else 200,
    )


def _rows(claim: RedemptionClaim | None) -> Any:
    if claim is None:
        return LineSet(initial=[{}] * ROWS)
    lines = claim.lines.select_related("charge", "voucher").order_by("position")
    return LineSet(
        initial=[
            {
                "what": line.what,
                "day": line.day,
                "invoice": line.invoice,
                "reference": line.reference,
                "base": Money(line.base_fen),
                "amount": Money(line.amount_fen),
                "charge": f"{line.charge.number}/{line.voucher.number}" if line.charge and line.voucher else "",
            }
            for line in lines
        ]
    )


def _typed(rows: Any) -> list[dict[str, Any]]:
    """Return what stands in the rows, right or wrong."""
    return [{name: row[name].value() or "" for name in row.fields} for row in rows.forms]


def _from_table(request: HttpRequest, typed: Any) -> tuple[ClaimForm, Any, Explained | None]:
    """Fill the rows from an uploaded xlsx or CSV; of one that has faults nothing is taken, and what was typed stays."""
    upload = upload_of(request)

    def read() -> Any:
        table = read_table(upload.content if upload else b"", upload.name if upload else "", COLUMNS, limits=LIMITS)
        if table.problems:
            raise BadTable([problem.reason for problem in table.problems])
        return table

    table, error = attempt(read)
    if error:
        kept = LineSet(initial=_typed(typed) or [{}] * ROWS)
        return ClaimForm(initial={"amount": request.POST.get("amount", "")}), kept, error
    initial = [{name: value for name, value in row.values.items() if value is not None} for row in table.rows]
    total = Money(sum(row.values["amount"].fen for row in table.rows))
    return ClaimForm(initial={"amount": total}), LineSet(initial=initial), None


def _saved(
    request: HttpRequest, form: ClaimForm, rows: Any, *, claim: RedemptionClaim | None, voucher: str
) -> tuple[RedemptionClaim | None, Explained | None]:
    number = claim.voucher.number if claim and claim.voucher else voucher
    lines = [services.Line(**row.cleaned_data) for row in rows.forms if row.has_changed() or row.initial]
    lines = [line for line in lines if line.what]
    wanted = services.Wanted(amount=form.cleaned_data["amount"], voucher=number, lines=lines)
    actor, now = actor_of(request), timezone.now()
    if claim is not None:
        return attempt_on("redemption", lambda: services.change(actor=actor, claim=claim, wanted=wanted, now=now))
    return attempt_on("redemption", lambda: services.draft(actor=actor, wanted=wanted, now=now, key=key_of(request)))


def claim_page(
    request: HttpRequest, claim: RedemptionClaim, *, error: Explained | None = None, status: int = 200
) -> HttpResponse:
    """Show a claim to its claimant: state, lines, documents, what is missing, and when it is paid."""
    actor = actor_of(request)
    asked = queries.documents_asked(claim)
    files = list(evidence.files_of(queries.subject_of(claim)))
    held = {file.purpose for file in files}
    editable = claim.state in services.EDITABLE and claim.claimant_id == actor.organisation_id
    withdrawable = claim.mode != RedeemMode.AWARD.value and claim.state in {
        *services.EDITABLE,
        ClaimState.CHECKING.value,
    }
    return page(
        request,
        "claims/claim.html",
        {
            "claim": claim,
            "lines": printed.marked(claim),
            "parts": claim.parts.all(),
            "asked": [(name, name in held) for name in asked],
            "files": files,
            "documents": DocumentForm(asked),
            "pay_words": pay_words(claim),
            "events": events(audit.trail(queries.subject_of(claim), actor=actor)),
            "may_edit": editable,
            "may_change": editable and claim.mode != RedeemMode.AWARD.value,
            "may_withdraw": withdrawable and claim.claimant_id == actor.organisation_id,
            "error": error,
        },
        status=status,
    )


def act_as_claimant(request: HttpRequest, claim: RedemptionClaim) -> HttpResponse:
    """Do what the claimant pressed: attach a document, file, or withdraw."""
    actor, now = actor_of(request), timezone.now()
    act = act_of(request, "attach", "file", "withdraw")
    if act == "attach":
        upload = upload_of(request)
        if upload is None:
            messages.error(request, gettext("请选择要上传的文件。"))
            return redirect("claim", number=claim.number)
        document = request.POST.get("document", "")
        _done, error = attempt_on(
            "redemption",
            lambda: services.attach(actor=actor, claim=claim, document=document, upload=upload, now=now),
        )
        said = gettext("材料已上传。")
    elif act == "file":
        _done, error = attempt_on("redemption", lambda: services.file(actor=actor, claim=claim, now=now))
        said = gettext("申领 %(number)s 已提交，主管部门将核查。") % {"number": claim.number}
    else:
        _done, error = attempt_on("redemption", lambda: services.withdraw(actor=actor, claim=claim, now=now))
        said = gettext("申领已撤回。")
    if error:
        fresh = access.get_claim(actor, claim.number)
        return claim_page(request, fresh, error=error, status=error.status)
    messages.success(request, said)
    return redirect("claim", number=claim.number)


READERS = (Permission.CLAIM_FILE, *access.DESK, *access.FINANCE)


@needs(*READERS)
def file(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand out a document of a claim to those who may see the claim."""
    claim = access.get_claim(actor_of(request), number)
    return handed_out(request, evidence.get_file(queries.subject_of(claim), file_id))
