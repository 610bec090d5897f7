"""Every act on a sample order: what it is called, what follows, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import acts, files, purses, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.fields import YuanField
from portal.pages.ratings import RateForm
from portal.pages.samples import PARTIES, can, sample_page
from portal.pages.templatetags.show import label
from scheduler.ratings import services as ratings
from scheduler.resources import queries as prices
from scheduler.resources import rules as resource_rules
from scheduler.resources.profile import ServiceMode
from scheduler.samples import access, rules, services, testing
from scheduler.samples.models import Custody, SampleOrder

__all__ = ["sample_act", "sample_handle"]


class PressForm(forms.Form):
    """Nothing but the button."""


class NoteForm(forms.Form):
    """Why, for the other party to read."""

    note = forms.CharField(label=_("原因"), max_length=400, widget=forms.Textarea(attrs={"rows": 3}))


class MaybeNoteForm(NoteForm):
    """Why, if one likes."""

    note = forms.CharField(label=_("说明"), max_length=400, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class AnswerForm(forms.Form):
    """Whether it can be done."""

    feasibility = forms.ChoiceField(
        label=_("答复"),
        choices=[
            ("can", pgettext_lazy("sample", "可以检测")),
            ("needs_method", pgettext_lazy("sample", "须先开发方法")),
            ("cannot", pgettext_lazy("sample", "不能检测")),
        ],
    )
    note = forms.CharField(
        label=_("说明"),
        max_length=400,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("不能检测或须开发方法的，必须说明。"),
    )


class QuoteForm(forms.Form):
    """The lab's price."""

    unit = forms.ChoiceField(label=_("计价单位"), choices=SampleOrder.Unit.choices)
    unit_price = YuanField(label=_("单价"), least_fen=0)
    quantity = forms.IntegerField(label=_("数量"), min_value=1, max_value=10_000)
    surcharge = forms.CharField(
        label=_("实验技术服务内容"),
        max_length=120,
        required=False,
        help_text=_("例如数据分析、方法开发，在检测之外一次计费；没有的留空。"),
    )
    surcharge_price = YuanField(label=_("技术服务费"), least_fen=0, required=False)
    note = forms.CharField(label=_("说明"), max_length=400, required=False, widget=forms.Textarea(attrs={"rows": 3}))


class AcceptForm(forms.Form):
    """What to pay with; the price seen goes with it."""

    voucher = purses.PayWith()
    more = purses.MoreVouchers()
    seen = forms.IntegerField(widget=forms.HiddenInput)


class DraftForm(forms.Form):
    """The report, what is billed, and the machine time."""

    report = forms.FileField(label=_("检测报告"), help_text=_("PDF、OFD、docx、xlsx 或图片，不超过 20 MB。"))
    counted = forms.IntegerField(label=_("计费数量"), min_value=1)
    machine_h = forms.DecimalField(
        label=_("占用机时"), min_value=0, max_value=9999, max_digits=6, decimal_places=2, initial=0
    )


class HandleForm(forms.Form):
    """What is done with one sample, and where it lies since."""

    act = forms.ChoiceField(label=_("操作"))
    place = forms.CharField(label=_("存放地点"), max_length=120, required=False)
    note = forms.CharField(
        label=_("说明"), max_length=400, required=False, help_text=_("拒收和处置必须说明原因或方式。")
    )

    def __init__(self, data: Any = None, *, state: str, begun: bool) -> None:
        super().__init__(data)
        open_ = {action.value for (at, action) in rules.SAMPLE_TRANSITIONS if at.value == state}
        open_ -= {"resend"} if begun else {"resend", "receive", "reject"}
        field = self.fields["act"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [choice for choice in Custody.Act.choices if choice[0] in open_]


@dataclass(frozen=True, slots=True)
class Act:
    """One act on an order: its words, what follows, what it asks for; `do` takes actor, order, now and the form."""

    do: Callable[..., Any]
    name: str
    done: str
    form: type[forms.Form] = PressForm
    follows: str = ""


def _plain(service: Callable[..., Any]) -> Callable[..., Any]:
    def do(*, actor: Actor, order: SampleOrder, form: forms.Form, now: Any) -> Any:
        more = {"note": form.cleaned_data["note"]} if "note" in form.fields else {}
        return service(actor=actor, order=order, now=now, **more)

    return do


def _answer(*, actor: Actor, order: SampleOrder, form: forms.Form, now: Any) -> Any:
    said = form.cleaned_data
    feasibility = rules.Feasibility(said["feasibility"])
    return services.answer(actor=actor, order=order, feasibility=feasibility, note=said["note"], now=now)


def _quote(*, actor: Actor, order: SampleOrder, form: forms.Form, now: Any) -> Any:
    said = form.cleaned_data
    quote = services.Quote(
        rules.QuoteUnit(said["unit"]),
        said["unit_price"],
        said["quantity"],
        said["note"],
        said["surcharge"],
        said["surcharge_price"] or Money(0),
    )
    return services.quote(actor=actor, order=order, quote=quote, now=now)


def _accept(*, actor: Actor, order: SampleOrder, form: forms.Form, now: Any) -> Any:
    said = form.cleaned_data
    paying = purses.chosen(actor, purses.purses_of(actor, now=now), said)
    return services.accept(actor=actor, order=order, seen_fen=said["seen"], vouchers=paying, now=now)


def _draft(*, actor: Actor, order: SampleOrder, form: forms.Form, now: Any, request: HttpRequest) -> Any:
    upload = files.upload_of(request, "report")
    assert upload is not None
    machine_s = int(form.cleaned_data["machine_h"] * 3600)
    draft = testing.Draft(report=upload, counted=form.cleaned_data["counted"], machine_s=machine_s)
    return testing.draft(actor=actor, order=order, draft=draft, now=now)


def _rate(*, actor: Actor, order: SampleOrder, form: forms.Form, now: Any) -> Any:
    said = form.cleaned_data
    return ratings.rate_sample(actor=actor, order=order, stars=said["stars"], comment=said["comment"], now=now)


def _acts() -> Mapping[str, Act]:
    return {
        "answer": Act(_answer, gettext("答复能否检测"), gettext("已答复。"), AnswerForm),
        "quote": Act(
            _quote,
            pgettext("act", "报价"),
            gettext("已报价，等待送样单位接受。"),
            QuoteForm,
            gettext("报价 30 天内有效，接受前可以修改。"),
        ),
        "accept": Act(
            _accept,
            gettext("接受报价"),
            gettext("已接受报价，费用已冻结。请寄送样品。"),
            AcceptForm,
            gettext("费用立即冻结，收到报告并确认后才结算；收样前可以取消，冻结的费用全部退回。"),
        ),
        "cancel": Act(
            _plain(services.cancel),
            gettext("取消送样"),
            gettext("已取消。"),
            MaybeNoteForm,
            gettext("冻结的费用立即全部退回，取消后不能恢复。"),
        ),
        "decline": Act(
            _plain(_declined),
            gettext("不能检测"),
            gettext("已答复不能检测。"),
            NoteForm,
            gettext("送样单位会看到原因。"),
        ),
        "resend": Act(_plain(testing.resend), gettext("重新寄送"), gettext("已登记重新寄送。"), MaybeNoteForm),
        "queue": Act(_plain(testing.queue), gettext("排队检测"), gettext("已进入检测队列。")),
        "start": Act(_plain(testing.start), gettext("开始检测"), gettext("已开始检测。")),
        "draft": Act(
            _draft,
            gettext("提交结果"),
            gettext("结果已提交复核。"),
            DraftForm,
            gettext("须由另一位同事复核后才能签发；签发前送样单位看不到报告。"),
        ),
        "review": Act(_plain(testing.review), gettext("复核通过"), gettext("已复核。")),
        "send_back": Act(_plain(testing.send_back), gettext("退回重测"), gettext("已退回。"), NoteForm),
        "issue": Act(_plain(testing.issue), gettext("签发报告"), gettext("报告已签发，送样单位可以下载。")),
        "retest": Act(
            _plain(testing.retest),
            gettext("要求复测"),
            gettext("已要求复测。"),
            NoteForm,
            gettext("结算前可以要求复测，不另收费；已签发的报告仍可下载。"),
        ),
        "bill": Act(
            _plain(testing.bill),
            gettext("确认报告并结算"),
            gettext("已结算。"),
            PressForm,
            gettext("立即按实际检测数量结算，多余的冻结退回，不能撤回。"),
        ),
        "rate": Act(_rate, gettext("评价并完结"), gettext("感谢评价，服务已完结。"), RateForm),
    }


def _declined(*, actor: Actor, order: SampleOrder, note: str, now: Any) -> SampleOrder:
    cannot = rules.Feasibility.CANNOT
    return services.answer(actor=actor, order=order, feasibility=cannot, note=note, now=now)


def _form(request: HttpRequest, name: str, act: Act, order: SampleOrder) -> forms.Form:
    initial: dict[str, Any] = {}
    if name == "quote":
        initial = _quoted(order)
    if name == "accept":
        initial = {"seen": order.price_fen}
    if name == "draft":
        held = order.samples.filter(state=rules.SampleState.HELD.value).count()
        most = order.quantity or 1
        initial = {"counted": min(held, most) if order.unit == "sample" else most}
    posted = request.method == "POST"
    listed = initial.pop("listed", None)
    form = act.form(request.POST if posted else None, request.FILES if posted else None, initial=initial)
    if listed is not None:
        price = {"price": Money(listed.amount_fen), "unit": label(listed.unit, "unit")}
        form.fields["unit_price"].help_text = gettext("已按价目表填入：%(price)s / %(unit)s。") % price
    if name == "accept":
        purses.offer_all(form, purses.purses_of(shell.actor_of(request), now=timezone.now()))
    return form


def _quoted(order: SampleOrder) -> dict[str, Any]:
    """Return what the quote form starts from: the quote before, else the published price of a sample, or of a test."""
    count = order.quantity or order.samples.count()
    if order.unit_price_fen is not None:
        extra = {"surcharge": order.surcharge, "surcharge_price": Money(order.surcharge_fen)} if order.surcharge else {}
        return {"unit": order.unit, "unit_price": Money(order.unit_price_fen), "quantity": count, **extra}
    now = timezone.now()
    for unit in rules.QuoteUnit:
        listed = prices.price_of(
            order.resource_id, mode=ServiceMode.SAMPLE, unit=resource_rules.Unit(unit.value), at=now
        )
        if listed is not None:
            return {"unit": unit.value, "unit_price": Money(listed.amount_fen), "quantity": count, "listed": listed}
    return {"unit": rules.QuoteUnit.SAMPLE.value, "quantity": count}


@shell.needs(*PARTIES)
def sample_act(request: HttpRequest, number: str, act: str) -> HttpResponse:
    """Do one act on a sample order; those that ask for something or cannot be undone ask first, saying what follows."""
    actor, now = shell.actor_of(request), timezone.now()
    known = _acts()
    if act not in known:
        raise NotFound
    one, order = known[act], access.get_order(actor, number)
    form = _form(request, act, one, order)
    if request.method != "POST":
        if act not in can(actor, order):
            return arrived(request, reverse("sample_order", args=[number]))
        return _act_page(request, order, one, form)
    if not form.is_valid():
        return _act_page(request, order, one, form)
    more = {"request": request} if act == "draft" else {}
    _done, error = acts.attempt_on("sample", lambda: one.do(actor=actor, order=order, form=form, now=now, **more))
    if error is None:
        messages.success(request, one.done)
        return arrived(request, reverse("sample_order", args=[number]))
    if error.fields or any(reason["field"] for reason in error.reasons):
        return _act_page(request, order, one, form, error=slots.put_back(form, error, NAMES))
    return sample_page(request, access.get_order(actor, number), error=error)


NAMES = {"file": "report", "vouchers": "voucher"}


def _act_page(
    request: HttpRequest, order: SampleOrder, act: Act, form: forms.Form, *, error: Explained | None = None
) -> HttpResponse:
    context = {"order": order, "act": act, "form": form, "error": error, "path": request.path}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "samples/act.html", context, status=status)


@shell.needs(Permission.SESSION_RECORD)
def sample_handle(request: HttpRequest, number: str, position: int) -> HttpResponse:
    """Receive, reject, move, return or dispose of one sample, as the lab."""
    actor, now = shell.actor_of(request), timezone.now()
    order = access.get_served(actor, number)
    sample = access.get_sample(order, position)
    begun = order.state == rules.SampleOrderState.ACCEPTED.value
    form = HandleForm(request.POST if request.method == "POST" else None, state=sample.state, begun=begun)
    error = None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        handling = testing.Handling(rules.SampleAction(said["act"]), said["place"], said["note"])
        _done, error = acts.attempt_on(
            "specimen", lambda: testing.handle(actor=actor, sample=sample, handling=handling, now=now)
        )
        if error is None:
            messages.success(request, gettext("已登记。"))
            return arrived(request, reverse("sample_order", args=[number]))
        error = slots.put_back(form, error)
    context = {"order": order, "sample": sample, "form": form, "error": error, "path": request.path}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "samples/handle.html", context, status=status)
