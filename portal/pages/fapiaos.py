"""Tax invoices: the payer asks and reads, the provider takes up, issues or declines; finance and auditors read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import exports, shell, slots
from portal.pages.actions import events, subject_link
from portal.pages.acts import attempt_on
from portal.pages.fields import YuanField
from portal.pages.files import handed_out, upload_of
from portal.pages.labels import label_of
from vouchers.invoices import access, issuing, replacing, rules, services
from vouchers.invoices.models import Fapiao

__all__ = ["READERS", "fapiao", "fapiaos", "file", "new"]

READERS = (Permission.VOUCHER_READ_OWN, Permission.INVOICE_ISSUE, Permission.LEDGER_READ)
SORTS = {"number": ["pk"], "amount": ["amount_fen"], "asked": ["asked_at"], "buyer": ["charge__payer__name"]}
S = rules.FapiaoState


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *Fapiao.State.choices])
    q = forms.CharField(label=_("申请单号、发票号码或单位"), required=False, max_length=60)


class BuyerForm(forms.Form):
    """Whom a tax invoice names."""

    kind = forms.ChoiceField(label=_("发票种类"), choices=Fapiao.Kind.choices)
    title = forms.CharField(label=_("发票抬头"), max_length=100)
    credit_code = forms.CharField(label=_("统一社会信用代码"), max_length=24)
    address = forms.CharField(label=_("单位地址"), max_length=200, required=False, help_text=_("专票必填。"))
    phone = forms.CharField(label=_("单位电话"), max_length=30, required=False, help_text=_("专票必填。"))
    bank = forms.CharField(label=_("开户银行"), max_length=100, required=False, help_text=_("专票必填。"))
    account = forms.CharField(label=_("银行账号"), max_length=40, required=False, help_text=_("专票必填。"))
    email = forms.CharField(
        label=_("收票邮箱"), max_length=120, required=False, help_text=_("服务单位可把电子发票发到这里。")
    )


class IssueForm(forms.Form):
    """What the tax system printed."""

    number = forms.CharField(label=_("发票号码"), max_length=40, help_text=_("数电发票为 20 位；旧版发票为 8 位。"))
    code = forms.CharField(label=_("发票代码"), max_length=40, required=False, help_text=_("数电发票没有，请留空。"))
    issued_on = forms.DateField(label=_("开票日期"), widget=forms.DateInput(attrs={"type": "date"}))
    amount = YuanField(label=_("价税合计（元）"))
    file = forms.FileField(
        label=_("发票文件"), required=False, help_text=_("PDF、OFD 或 XML，不超过 20 MB；也可以以后上传。")
    )


class FileForm(forms.Form):
    """The file of a tax invoice that was registered without one."""

    file = forms.FileField(label=_("发票文件"), help_text=_("PDF、OFD 或 XML，不超过 20 MB。"))


class ReissueForm(BuyerForm):
    """What is wrong with an issued one, and whom the right one names."""

    reason = forms.CharField(
        label=_("原发票错在哪里"),
        max_length=200,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("付款单位会看到。"),
    )


class DeclineForm(forms.Form):
    """Why none is issued."""

    reason = forms.CharField(
        label=_("不予开具的原因"),
        max_length=200,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("付款单位会看到。"),
    )


@shell.needs(*READERS)
def fapiaos(request: HttpRequest) -> HttpResponse:
    """List requests: the payer's own, the provider's queue, or for finance all; to see and to take into tax software."""
    actor = shell.actor_of(request)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    rows = access.fapiaos_visible_to(actor)
    if values.get("state"):
        rows = rows.filter(state=values["state"])
    if text := values.get("q"):
        rows = rows.filter(
            Q(number__icontains=text)
            | Q(printed_key__icontains=text)
            | Q(charge__payer__name__icontains=text)
            | Q(charge__provider__name__icontains=text)
        )
    if (wanted := request.GET.get("format", "")) in exports.FORMATS:
        taken = rows.order_by("pk")[: shell.EXPORT_LIMIT].iterator(chunk_size=500)
        return exports.exported("fapiao", wanted, HEAD, _rows(taken))
    is_seller = actor.may(Permission.INVOICE_ISSUE)
    return shell.page(
        request,
        "fapiao/list.html",
        {
            "listing": shell.listing(request, rows, sorts=SORTS, default="-asked"),
            "filters": filters,
            "filtered": any(values.values()),
            "is_seller": is_seller,
            "waiting": access.open_for(actor).count() if is_seller else None,
        },
    )


HEAD = (
    *(_("申请单号"), _("蓝字或红字"), _("发票种类"), _("发票抬头"), _("统一社会信用代码"), _("单位地址")),
    *(_("单位电话"), _("开户银行"), _("银行账号"), _("收票邮箱"), _("项目名称"), _("税收分类编码")),
    *(_("税率"), _("不含税金额（元）"), _("税额（元）"), _("价税合计（元）"), _("原蓝字发票号码"), _("状态")),
    *(_("费用单号"), _("业务单号"), _("发票代码"), _("发票号码"), _("开票日期")),
)
"""Columns of the export: it can be filled in and imported again."""


def _rows(found: Iterator[Fapiao]) -> Iterator[list[Any]]:
    for row in found:
        sign = -1 if row.colour == rules.Colour.RED.value else 1
        yield [
            *(row.number, label_of("fapiao_colour", row.colour)[1], label_of("fapiao_kind", row.kind)[1]),
            *(row.buyer[name] for name in ("title", "credit_code", "address", "phone", "bank", "account", "email")),
            *(row.goods, row.category, label_of("tax_rate", row.rate)[1] if row.rate else ""),
            "" if row.net_fen is None else Money(sign * row.net_fen),
            "" if row.tax_fen is None else Money(sign * row.tax_fen),
            Money(row.signed_fen),
            row.original.printed_key if row.original else "",
            label_of("fapiao", row.state)[1],
            *(row.charge.number, row.charge.subject.partition(":")[2], row.printed_code, row.printed_number),
            row.printed_on.isoformat() if row.printed_on else "",
        ]


def _buyer(values: dict[str, Any]) -> rules.Buyer:
    said = {name: values[name] for name in BuyerForm.base_fields if name != "kind"}
    return rules.Buyer(kind=rules.FapiaoKind(values["kind"]), **said)


@shell.needs(Permission.INVOICE_REQUEST)
def new(request: HttpRequest, number: str) -> HttpResponse:
    """Ask for the tax invoice of a charge, with the buyer as remembered."""
    actor = shell.actor_of(request)
    charge = access.get_taken(actor, number)
    if charge.payer_id != actor.organisation_id:
        raise NotFound
    known = services.own_buyer(actor=actor)
    initial = {name: getattr(known, name) for name in BuyerForm.base_fields}
    form = BuyerForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        made, error = shell.attempt(
            lambda: services.request(actor=actor, charge=charge, buyer=_buyer(form.cleaned_data), now=timezone.now())
        )
        if error is None:
            messages.success(request, gettext("已提交开票申请，服务单位开具后会在这里显示。"))
            return redirect("fapiao", number=made.number)
        error = slots.put_back(form, error)
    about, _url = subject_link(charge.subject)
    covers = services.covers_of(charge=charge)
    context = {
        "charge": charge,
        "about": about,
        "covers": covers.value,
        "amount_fen": services.covered_fen(charge=charge, covers=covers),
        "form": form,
        "error": error,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "fapiao/new.html", context, status=status)


@shell.needs(*READERS)
def fapiao(request: HttpRequest, number: str) -> HttpResponse:
    """Show a request and do what its state asks for."""
    actor = shell.actor_of(request)
    found = access.get_fapiao(actor, number)
    if request.method != "POST":
        return _shown(request, found)
    act = shell.act_of(request, "accept", "issue", "attach", "decline", "withdraw", "reissue")
    kinds: dict[str, type[forms.Form]] = {
        "issue": IssueForm,
        "attach": FileForm,
        "decline": DeclineForm,
        "reissue": ReissueForm,
    }
    form = kinds[act](request.POST, request.FILES) if act in kinds else None
    if form is not None and not form.is_valid():
        return _shown(request, found, act=act, form=form, status=422)
    done, error = _do(request, found, act, form.cleaned_data if form is not None else {})
    if error is not None:
        error = slots.put_back(form, error) if form is not None else error
        again = access.get_fapiao(actor, number)
        return _shown(request, again, act=act, form=form, error=error, status=error.status)
    messages.success(request, done)
    anew = Fapiao.objects.filter(replaces=found).first() if act == "reissue" else None
    return redirect("fapiao", number=anew.number if anew else number)


def _do(request: HttpRequest, found: Fapiao, act: str, values: dict[str, Any]) -> tuple[str, Explained | None]:
    actor, now, upload = shell.actor_of(request), timezone.now(), upload_of(request)

    def perform() -> Fapiao:
        if act == "accept":
            return issuing.accept(actor=actor, fapiao=found, now=now)
        if act == "decline":
            return issuing.decline(actor=actor, fapiao=found, reason=values["reason"], now=now)
        if act == "withdraw":
            return services.withdraw(actor=actor, fapiao=found, now=now)
        if act == "reissue":
            buyer = _buyer(values)
            return replacing.reissue(actor=actor, fapiao=found, buyer=buyer, reason=values["reason"], now=now).anew
        if act == "attach":
            assert upload is not None
            return issuing.attach(actor=actor, fapiao=found, upload=upload, now=now)
        printed = rules.Printed(values["number"], values["issued_on"], values["amount"].fen, values["code"])
        return issuing.issue(actor=actor, fapiao=found, printed=printed, upload=upload, now=now)

    _done, error = attempt_on("fapiao", perform)
    told = {
        "accept": gettext("已受理，请在税务系统开具后登记。"),
        "issue": gettext("已登记发票，付款单位可以查看。"),
        "attach": gettext("已上传发票文件。"),
        "decline": gettext("已告知付款单位不予开具的原因。"),
        "withdraw": gettext("已撤回开票申请。"),
        "reissue": gettext("已申请红字和重开。请在税务系统先开红字发票、再开新发票，并分别登记。"),
    }
    return told[act], error


def _shown(
    request: HttpRequest,
    found: Fapiao,
    *,
    act: str = "",
    form: forms.Form | None = None,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = shell.actor_of(request)
    serves = actor.may(Permission.INVOICE_ISSUE) and found.charge.provider_id == actor.organisation_id
    is_open = found.state in {S.REQUESTED.value, S.ACCEPTED.value}
    is_late = found.state == S.WITHDRAWN.value
    is_blue = found.colour == rules.Colour.BLUE.value
    expected = Money(found.amount_fen or found.asked_fen)
    about, url = subject_link(found.charge.subject)
    return shell.page(
        request,
        "fapiao/fapiao.html",
        {
            "fapiao": found,
            "about": about,
            "about_url": url if actor.organisation_id == found.charge.payer_id else "",
            "form": form,
            "issue": form if act == "issue" and form else IssueForm(initial={"amount": expected}),
            "attach": form if act == "attach" and form else FileForm(),
            "decline": form if act == "decline" and form else DeclineForm(),
            "reissue": form if act == "reissue" and form else ReissueForm(initial=found.buyer),
            "replaced_by": getattr(found, "replaced_by", None),
            "reds": list(found.reds.order_by("pk")),
            "may_reissue": serves and replacing.may_reissue(found),
            "may_accept": serves and found.state == S.REQUESTED.value,
            "may_issue": serves and (is_open or is_late),
            "is_late": is_late,
            "may_decline": serves and is_open and is_blue,
            "may_attach": serves and found.state == S.ISSUED.value and found.file_id is None,
            "may_withdraw": is_blue
            and found.state == S.REQUESTED.value
            and actor.may(Permission.INVOICE_REQUEST)
            and found.charge.payer_id == actor.organisation_id,
            "events": events(audit.trail(f"fapiao:{found.number}", actor=actor)),
            "error": error,
        },
        status=status,
    )


@shell.needs(*READERS)
def file(request: HttpRequest, number: str) -> HttpResponse:
    """Hand out the file of an issued tax invoice to those who may see it."""
    found = access.get_fapiao(shell.actor_of(request), number)
    if found.file is None:
        raise NotFound
    return handed_out(request, found.file)
