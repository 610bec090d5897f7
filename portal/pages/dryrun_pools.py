"""Divide a pool among what a dry run would grant: who gets what, in which order, and what is left."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.charts import Chart, Kind, Point, Tone, cached, text_of
from portal.http import Explained
from portal.kernel.money import Money
from portal.pages import dryruns, shell
from portal.pages.casework import language
from portal.pages.exports import exported
from portal.pages.fields import YuanField
from portal.pages.labels import label_of
from vouchers.dryruns import access, queries
from vouchers.dryruns.models import DryRun
from vouchers.programmes import documents, pools
from vouchers.programmes.allocation import Allocation, AwardOutcome
from vouchers.programmes.schemes import PoolShort
from vouchers.programmes.terms import AwardOrder

__all__ = ["pool"]


class PoolForm(forms.Form):
    """The pool, and how it is divided."""

    pool = YuanField(label=_("资金池（元）"), least_fen=0)
    order = forms.ChoiceField(label=_("次序"))
    short = forms.ChoiceField(label=_("余额不足时"))
    seed = forms.CharField(label=_("抽签种子"), required=False, max_length=100, help_text=_("只在抽签时使用。"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, kind in (("order", "award_order"), ("short", "pool_short")):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = dryruns.choices_of(kind)


@shell.needs(*dryruns.NEEDED)
def pool(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show who gets what of a pool: ``?pool=1000000&order=first_come&short=partial``; as CSV or xlsx, too."""
    found = access.get_run(shell.actor_of(request), run_id)
    dryruns.not_ready(found)
    scheme = documents.load(found.document)
    initial = {
        "pool": Money(found.totals["after_fen"] // 2),
        "order": scheme.terms.order.value,
        "short": scheme.pool_short.value,
    }
    if (planned := pools.planned(scheme.pool, at=timezone.now(), windows=scheme.terms.windows)) is not None:
        initial["pool"] = planned
    asked = "pool" in request.GET
    form = PoolForm(request.GET if asked else None, initial=initial)
    error: Explained | None = None
    divided: Allocation | None = None
    if asked and form.is_valid():
        said = form.cleaned_data
        divided, error = shell.attempt(
            lambda: queries.simulation(
                found,
                pool=said["pool"],
                order=AwardOrder(said["order"]),
                short=PoolShort(said["short"]),
                seed=said["seed"],
            )
        )
    if divided is not None and request.GET.get("format") in ("csv", "xlsx"):
        return _export(request, found, divided)
    context = {"run": found, "form": form, "error": error, **(_told(request, found, divided) if divided else {})}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "dryruns/pool.html", context, status=status)


def _told(request: HttpRequest, found: DryRun, divided: Allocation) -> dict[str, Any]:
    names = dryruns.names_of(found)
    page = Paginator(divided.awards, shell.PAGE_SIZE).get_page(request.GET.get("page"))
    k = divided.coefficient
    return {
        "divided": divided,
        "asked_fen": sum(award.asked.fen for award in divided.awards),
        "rows": [{"award": award, "name": names.get(award.id, "")} for award in page.object_list],
        "page": page,
        "coefficient": "1" if k == 1 else f"{float(k):.6f}",
        "exact": "" if k == 1 else f"{k.numerator}/{k.denominator}",
        "by_region": [(region, f"{float(share):.6f}") for region, share in divided.by_region.items()],
        "chart": cached(_chart(divided)),
    }


TONES = {
    AwardOutcome.FULL: Tone.OK,
    AwardOutcome.LESS: Tone.ACCENT,
    AwardOutcome.WAITS: Tone.WARN,
    AwardOutcome.NOTHING: Tone.BAD,
}


def _chart(divided: Allocation) -> Chart:
    """Draw how many get all, part or nothing of what they asked."""
    points = []
    for outcome in TONES:
        count = sum(award.outcome is outcome for award in divided.awards)
        points.append(Point(label_of("award", outcome.value)[1], count, f"{count:,}", outcome.value))
    return Chart(
        Kind.BAR,
        gettext("各申请得到多少"),
        text_of([Point(point.label, point.amount, point.text) for point in points]),
        tuple(points),
        amounts=gettext("件数"),
        tones=tuple((outcome.value, tone) for outcome, tone in TONES.items()),
        legend=False,
        language=language(),
    )


def _export(request: HttpRequest, found: DryRun, divided: Allocation) -> HttpResponse:
    names = dryruns.names_of(found)
    head = (_("顺序"), _("编号"), _("单位"), _("申请（元）"), _("获得（元）"), _("结果"), _("原因"))
    rows = (
        (
            award.place,
            award.id,
            names.get(award.id, ""),
            award.asked,
            award.amount,
            label_of("award", award.outcome.value)[1],
            label_of("award_why", award.why.value)[1],
        )
        for award in divided.awards
    )
    return exported(f"pool-{found.pk}", request.GET["format"], head, rows)
