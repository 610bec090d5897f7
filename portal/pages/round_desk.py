"""The department's rounds: open, close, propose and confirm, with the whole allocation on the page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import charts
from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.casework import language
from portal.pages.fields import YuanField
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, act_of, actor_of, csv_response, listing, needs, page, wants_csv
from portal.pages.templatetags.show import bilingual
from vouchers.issuance import queries as issuance
from vouchers.programmes.access import in_force
from vouchers.programmes.models import ProgrammeVersion
from vouchers.rounds import access, deciding, queries, services
from vouchers.rounds.models import Round, RoundAward
from vouchers.rounds.rules import TRANSITIONS, RoundAction, RoundState

SORTS = {"number": ["pk"], "closes": ["closes_at"], "state": ["state"]}
AWARD_SORTS = {"place": ["place"], "asked": ["asked_fen"], "amount": ["amount_fen"]}
MOST_CHARTED = 30


class OpenForm(forms.Form):
    """Which programme, until when, and for a lottery the public value to mix in."""

    version = forms.ChoiceField(label=_("政策项目"))
    closes_at = forms.DateTimeField(
        label=_("受理截止（北京时间）"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=_("到这一时刻为止，不含这一时刻。不填则由您手动截止。公布后不能提前。"),
    )
    public_source = forms.CharField(
        label=_("并入种子的公开数值"),
        required=False,
        max_length=120,
        help_text=_("仅用于抽签：写明截止之后才会产生的公开数值，例如“2026 年 12 月 1 日上证指数收盘价”。"),
    )

    def __init__(self, *args: Any, versions: list[ProgrammeVersion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.versions = {str(version.pk): version for version in versions}
        field = self.fields["version"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(pk, bilingual(version)) for pk, version in self.versions.items()]

    def chosen(self) -> ProgrammeVersion:
        """Return the programme chosen; only of a valid form."""
        return self.versions[self.cleaned_data["version"]]


class ProposeForm(forms.Form):
    """How much the round may give, and the announced public value."""

    pool = YuanField(label=_("本批可用资金（元）"), required=False, help_text=_("不填则为资金池全部余额。"))
    public_value = forms.CharField(label=_("公开数值"), required=False, max_length=60)
    note = forms.CharField(label=_("说明"), required=False, max_length=300, widget=forms.Textarea(attrs={"rows": 2}))


def batch_versions(actor: Actor) -> list[ProgrammeVersion]:
    """Return the department's programmes in force that decide in rounds."""
    versions = in_force().filter(programme__department_id=actor.organisation_id)
    return [version for version in versions if issuance.is_batch(version)]


@needs(*access.OFFICERS)
def desk(request: HttpRequest) -> HttpResponse:
    """List the department's rounds; a publisher opens the next one here."""
    actor = actor_of(request)
    may_open = actor.may(Permission.PROGRAMME_PUBLISH)
    versions = batch_versions(actor) if may_open else []
    form = OpenForm(request.POST or None, versions=versions)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        made, error = attempt_on(
            "round",
            lambda: services.open_round(
                actor=actor,
                version=form.chosen(),
                closes_at=values["closes_at"],
                public_source=values["public_source"],
                now=timezone.now(),
            ),
        )
        if error is None:
            messages.success(request, gettext("已开始受理。"))
            return redirect("round_desk", number=made.number)
    status = error.status if error else 422 if form.is_bound and not form.is_valid() else 200
    return page(
        request,
        "rounds/desk.html",
        {
            "listing": listing(request, access.own(actor), sorts=SORTS, default="-number"),
            "form": form,
            "error": error,
            "may_open": may_open and bool(versions),
            "may_notice_desk": actor.may(Permission.APPLICATION_REVIEW) or actor.may(Permission.APPLICATION_APPROVE),
            "tab": "rounds",
        },
        status=status,
    )


@needs(*access.OFFICERS)
def round_page(request: HttpRequest, number: str) -> HttpResponse:
    """Show a round with its allocation, and take it one step further."""
    actor = actor_of(request)
    found = access.get_own(actor, number)
    if wants_csv(request):
        return _csv(found)
    form = ProposeForm(initial={"public_value": found.public_value})
    if request.method != "POST":
        return _shown(request, found, form)
    act = act_of(request, "close", "propose", "reject", "confirm", "evaluate")
    form = ProposeForm(request.POST)
    if not form.is_valid():
        return _shown(request, found, form, status=422)
    said, error = _do(actor, found, act, form.cleaned_data, timezone.now())
    if error:
        return _shown(request, access.get_own(actor, number), form, error=error, status=error.status)
    messages.success(request, said)
    return redirect("round_desk", number=number)


def _do(actor: Actor, found: Round, act: str, values: dict[str, Any], now: datetime) -> tuple[str, Explained | None]:
    """Do what was pressed; return the sentence to say, or what went wrong."""
    note = values["note"]
    acts = {
        "close": (lambda: services.close(actor=actor, round_=found, now=now), gettext("已截止受理。")),
        "propose": (
            lambda: services.propose(
                actor=actor,
                round_=found,
                pool=values["pool"],
                public_value=values["public_value"],
                note=note,
                now=now,
            ),
            gettext("分配方案已提出，请另一位同事复核。"),
        ),
        "reject": (
            lambda: services.reject(actor=actor, round_=found, note=note, now=now),
            gettext("方案已驳回，可以重新提出。"),
        ),
        "confirm": (
            lambda: deciding.confirm(actor=actor, round_=found, now=now),
            gettext("本批已确定，资金已逐项预留。"),
        ),
        "evaluate": (
            lambda: services.evaluate(actor=actor, round_=found, note=note, now=now),
            gettext("本批已评价归档。"),
        ),
    }
    service, said = acts[act]
    _done, error = attempt_on("round", service)
    return said, error


def _score(award: RoundAward) -> str:
    return "" if award.score_num is None else f"{award.score_num / award.score_den:.2f}"


def _csv(found: Round) -> HttpResponse:
    header = (
        _("次序"),
        _("申请号"),
        _("申请单位"),
        _("地区"),
        _("评分"),
        _("申请金额（元）"),
        _("分配金额（元）"),
        _("结果"),
        _("原因"),
    )
    awards = found.awards.select_related("application__organisation").order_by("place")[:EXPORT_LIMIT]
    return csv_response(
        found.number,
        header,
        (
            [
                award.place,
                award.application.number,
                award.application.organisation.name,
                award.region,
                _score(award),
                Money(award.asked_fen).yuan(),
                Money(award.amount_fen).yuan(),
                label_of("award", award.outcome)[1],
                label_of("award_why", award.why)[1],
            ]
            for award in awards
        ),
    )


def _chart(found: Round, awards: list[RoundAward]) -> charts.Chart | None:
    """Return asked and given by place; None for a round too long to draw or without awards."""
    if not awards or len(awards) > MOST_CHARTED:
        return None
    asked, given = gettext("申请"), gettext("分配")
    points = [
        charts.Point(
            label=f"{award.place}. {bilingual(award.application.organisation)}",
            amount=fen / 100,
            text=str(Money(fen)),
            series=series,
        )
        for award in awards
        for series, fen in ((asked, award.asked_fen), (given, award.amount_fen))
    ]
    return charts.Chart(
        kind=charts.Kind.GROUPED,
        title=gettext("批次 %(number)s：申请与分配") % {"number": found.number},
        description=charts.text_of([point for point in points if point.series == given]),
        points=tuple(points),
        amounts=gettext("元"),
        tones=((asked, charts.Tone.QUIET), (given, charts.Tone.ACCENT)),
        language=language(),
    )


def _shown(
    request: HttpRequest, found: Round, form: ProposeForm, *, error: Explained | None = None, status: int = 200
) -> HttpResponse:
    actor = actor_of(request)
    state = RoundState(found.state)
    awards = found.awards.select_related("application", "application__organisation")
    rows = listing(request, awards, sorts=AWARD_SORTS, default="place")
    drawn = _chart(found, list(awards.order_by("place")[: MOST_CHARTED + 1]))

    def may(action: RoundAction, permission: Permission) -> bool:
        return (state, action) in TRANSITIONS and actor.may(permission)

    is_closed = state is RoundState.CLOSED
    return page(
        request,
        "rounds/case.html",
        {
            "round": found,
            "listing": rows,
            "awards": [(award, _score(award)) for award in rows.rows],
            "chart": charts.cached(drawn) if drawn else "",
            "coefficient": queries.coefficient(found),
            "by_region": sorted(found.by_region.items()),
            "total_fen": sum(awards.values_list("amount_fen", flat=True)),
            "members": queries.members(found).count() if state in {RoundState.OPEN, RoundState.CLOSED} else 0,
            "pending": queries.pending(found).count() if is_closed or state is RoundState.OPEN else 0,
            "left": queries.pool_left(found, now=timezone.now()),
            "form": form,
            "error": error,
            "events": events(audit.trail(f"round:{found.number}", actor=actor)),
            "is_decided": found.pool_fen > 0,
            "is_proposer": actor.user_id == found.decided_by_id,
            "asks_value": is_closed and bool(found.public_source) and not found.public_value,
            "may_close": may(RoundAction.CLOSE, Permission.PROGRAMME_PUBLISH),
            "may_propose": may(RoundAction.PROPOSE, Permission.APPLICATION_REVIEW),
            "may_confirm": may(RoundAction.CONFIRM, Permission.APPLICATION_APPROVE),
            "may_notice": state is RoundState.DECIDED and actor.may(Permission.APPLICATION_REVIEW),
            "may_evaluate": may(RoundAction.EVALUATE, Permission.PROGRAMME_PUBLISH),
        },
        status=status,
    )
