"""Try a programme's rules on past applications: ask for a run, watch it, read who gains and loses, divide a pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import shell
from portal.pages.casework import language
from portal.pages.exports import exported
from portal.pages.fields import DayInput
from portal.pages.labels import LABELS, label_of
from portal.pages.templatetags.show import bilingual
from vouchers.dryruns import access, rules, services
from vouchers.dryruns.models import DryRun, DryRunCase
from vouchers.dryruns.tasks import wake
from vouchers.programmes import access as programmes
from vouchers.programmes.models import Programme

__all__ = ["cases", "new", "progress", "run", "runs"]

NEEDED = (Permission.PROGRAMME_DRAFT, Permission.PROGRAMME_PUBLISH)
MAX_BYTES = 4 * 1024 * 1024
SORTS = {
    "number": ["number"],
    "name": ["name"],
    "before": ["before_fen"],
    "after": ["after_fen"],
    "change": ["change_fen"],
    "shift": ["shift"],
}


class RunForm(forms.Form):
    """Which cases the rules are tried on."""

    source = forms.ChoiceField(
        label=_("试算哪些案例"),
        choices=[("past", _("以往的申请")), ("file", _("上传的案例文件"))],
        widget=forms.RadioSelect,
        initial="past",
    )
    programme = forms.ChoiceField(label=_("哪个项目的申请"), required=False)
    starts = forms.DateField(label=_("提交日期自"), required=False, widget=DayInput())
    ends = forms.DateField(label=_("提交日期至"), required=False, widget=DayInput())
    file = forms.FileField(
        label=_("案例文件"),
        required=False,
        help_text=_("JSON（申请或案例，可多件），或每行一件的 xlsx、CSV，表头为事实名称。"),
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = Programme.objects.filter(department_id=actor.organisation_id).order_by("code")
        field = self.fields["programme"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(row.code, row.code) for row in own]

    def clean(self) -> None:
        said = self.cleaned_data
        needed = ("file",) if said.get("source") == "file" else ("programme", "starts", "ends")
        for name in needed:
            if not said.get(name) and name not in self.errors:
                self.add_error(name, gettext("必须填写。"))

    def source_of(self) -> services.Past | services.Upload:
        """Return what was chosen."""
        said = self.cleaned_data
        if said["source"] == "past":
            return services.Past(said["programme"], said["starts"], said["ends"])
        file = said["file"]
        assert isinstance(file, UploadedFile)
        return services.Upload(str(file.name or "")[:120], bytes(file.read(MAX_BYTES + 1)))


@shell.needs(*NEEDED)
def runs(request: HttpRequest) -> HttpResponse:
    """List the department's dry runs, newest first."""
    found = shell.listing(
        request, access.runs_of(shell.actor_of(request)), sorts={"at": ["requested_at"]}, default="-at"
    )
    return shell.page(request, "dryruns/list.html", {"listing": found})


def _tried(request: HttpRequest, actor: Actor) -> tuple[services.Rules, dict[str, str]]:
    """Return the rules the address names: ``?draft=3`` or ``?code=…&version=2``, and what the page says of them."""
    draft = request.GET.get("draft", "")
    if draft.isdecimal() and len(draft) < 18:
        found = programmes.get_draft(actor, int(draft))
        url = reverse("programme_draft", args=[found.pk])
        return services.Rules(found.document), {"name": bilingual(found) or str(found), "code": found.code, "url": url}
    number = request.GET.get("version", "")
    chosen = int(number) if number.isdecimal() and len(number) < 9 else None
    version = programmes.get_version(actor, request.GET.get("code", ""), chosen)
    url = reverse("programme_version", args=[version.programme.code, version.number])
    about = {"name": bilingual(version), "code": version.programme.code, "url": url, "number": str(version.number)}
    return services.Rules(version.document, version), about


@shell.needs(*NEEDED)
def new(request: HttpRequest) -> HttpResponse:
    """Choose the cases and ask for a run."""
    actor, now = shell.actor_of(request), timezone.now()
    tried, about = _tried(request, actor)
    today = timezone.localdate(now)
    initial = {"programme": about["code"], "starts": today - timedelta(days=365), "ends": today, "source": "past"}
    form = RunForm(actor, request.POST or None, request.FILES or None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        source = form.source_of()
        made, error = shell.attempt(
            lambda: services.request(actor=actor, tried=tried, source=source, now=now, wake=wake)
        )
        if error is None:
            return redirect("dry_run", made.pk)
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "dryruns/new.html", {"form": form, "error": error, "about": about}, status=status)


def figures(found: DryRun) -> dict[str, Any]:
    """Return a run's totals as a page shows them."""
    said = found.totals
    return {
        "before_fen": said.get("before_fen", 0),
        "after_fen": said.get("after_fen", 0),
        "change_fen": said.get("after_fen", 0) - said.get("before_fen", 0),
        "shifts": [(kind.value, said.get("shifts", {}).get(kind.value, 0)) for kind in rules.Shift],
        "decisions": [(code, count) for code, count in said.get("decisions", {}).items() if count],
    }


@shell.needs(*NEEDED)
def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show a run: how far it is, then who gains, who loses and what it would cost."""
    found = access.get_run(shell.actor_of(request), run_id)
    drawn = DryRun.objects.filter(pk=found.pk).values_list("charts", flat=True).get()
    charts = [{"title": one["title"], "svg": SafeString(one["svg"])} for one in drawn.get(language(), [])]
    context = {"run": found, "charts": charts, "figures": figures(found), "is_over": _is_over(found)}
    return shell.page(request, "dryruns/run.html", context)


def _is_over(found: DryRun) -> bool:
    return found.state in (DryRun.State.DONE.value, DryRun.State.FAILED.value)


@shell.needs(*NEEDED)
def progress(request: HttpRequest, run_id: int) -> HttpResponse:
    """Answer the page's question how far the run is; once it is over, the page is loaded anew."""
    found = access.get_run(shell.actor_of(request), run_id)
    if _is_over(found):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return shell.page(request, "dryruns/progress.html", {"run": found})


class CaseFilter(forms.Form):
    """What the list of cases may be narrowed to."""

    q = forms.CharField(label=_("编号或单位"), required=False, max_length=60)
    shift = forms.ChoiceField(label=_("变化"), required=False, choices=[("", _("全部")), *DryRunCase.Shift.choices])
    decision = forms.ChoiceField(
        label=_("结论"), required=False, choices=[("", _("全部")), *DryRunCase.Decision.choices]
    )

    def narrow(self, rows: QuerySet[DryRunCase]) -> QuerySet[DryRunCase]:
        values = self.cleaned_data if self.is_valid() else {}
        for name in ("shift", "decision"):
            if values.get(name):
                rows = rows.filter(**{name: values[name]})
        if text := values.get("q"):
            rows = rows.filter(Q(number__icontains=text) | Q(name__icontains=text))
        return rows


@shell.needs(*NEEDED)
def cases(request: HttpRequest, run_id: int) -> HttpResponse:
    """List what the rules say of every case; as CSV or xlsx, too."""
    found = access.get_run(shell.actor_of(request), run_id)
    filters = CaseFilter(request.GET)
    rows = filters.narrow(found.cases.all())
    wanted = request.GET.get("format", "")
    if wanted in ("csv", "xlsx"):
        return exported(f"dry-run-{found.pk}", wanted, HEAD, _lines(rows.order_by("pk")[: shell.EXPORT_LIMIT]))
    listing = shell.listing(request, rows, sorts=SORTS, default="-change")
    context = {"run": found, "filters": filters, "listing": listing, "is_past": found.starts is not None}
    return shell.page(request, "dryruns/cases.html", context)


HEAD = (
    _("编号"),
    _("单位"),
    _("地区"),
    _("原来核算（元）"),
    _("按本规则（元）"),
    _("增减（元）"),
    _("变化"),
    _("结论"),
    _("决定规则"),
    _("适用档次"),
)


def _lines(rows: QuerySet[DryRunCase]) -> Iterator[Sequence[Any]]:
    for row in rows:
        yield (
            row.number,
            row.name,
            row.region,
            Money(row.before_fen),
            Money(row.after_fen),
            row.change_fen / 100,
            label_of("shift", row.shift)[1],
            label_of("decision", row.decision)[1],
            row.rule,
            " + ".join(row.lines),
        )


def choices_of(kind: str) -> list[tuple[str, str]]:
    """Return every code of a kind with its words."""
    return [(code, label_of(kind, code)[1]) for code in LABELS[kind]]


def names_of(found: DryRun) -> Mapping[str, str]:
    """Return what the cases of a run are called."""
    return dict(found.cases.values_list("number", "name"))


def not_ready(found: DryRun) -> None:
    """Raises NotReady while a run is not done."""
    if found.state != DryRun.State.DONE.value:
        raise rules.NotReady
