"""The form of a proposal, row by row without a script: whatever is typed can be kept, whole or half-finished."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.pages.beam_words import HAZARDS
from portal.pages.templatetags.show import bilingual
from scheduler.facilities.models import Beamline, Device, RunCycle
from scheduler.proposals import drafting, rules
from scheduler.proposals.models import BeamProposal, CallForm

__all__ = ["ProposalForm", "days_text", "rows_of"]

SAMPLE = ("name", "amount", "substance", "form", "hazards", "handling", "afterwards")
REQUEST = ("beamline", "cycle", "shifts", "reason", "good", "bad", "devices", "setup", "by_mail")
STEP = 2


class DaysField(forms.CharField):
    """Days as ISO dates, several separated by spaces, commas or semicolons."""

    def __init__(self, **more: Any) -> None:
        super().__init__(required=False, max_length=2000, **more)

    def clean(self, value: Any) -> list[date]:
        text = super().clean(value)
        days = []
        for word in re.split(r"[\s,;，；、]+", text):
            if not word:
                continue
            try:
                days.append(date.fromisoformat(word))
            except ValueError as error:
                said = gettext("“%(day)s”不是日期。请写成 2027-01-31 这样的日期。")
                raise forms.ValidationError(said % {"day": word[:20]}) from error
        return days


def days_text(days: Sequence[str]) -> str:
    return " ".join(days)


def rows_of(data: Mapping[str, Any], name: str, *, kept: int, most: int) -> int:
    """Return how many rows a sent form has, `STEP` more where that was asked for; one more than there are to begin with."""
    said = str(data.get(name, ""))
    rows = int(said) if said.isascii() and said.isdigit() and len(said) < 4 else kept + 1
    return max(1, min(rows + (STEP if data.get("act") == f"more_{name}" else 0), most))


class ProposalForm(forms.Form):
    """Everything a team writes. Nothing is required here: what is missing is said on sending, all at once."""

    title = forms.CharField(label=_("题目"), max_length=200, required=False)
    summary = forms.CharField(
        label=_("摘要"),
        max_length=3000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("科学目标、为什么需要这条线站、预期结果。至多 3000 字。"),
    )
    no_samples = forms.BooleanField(label=_("不带样品"), required=False)

    def __init__(
        self,
        data: Any = None,
        files: Any = None,
        *,
        proposal: BeamProposal,
        samples: int,
        requests: int,
        lines: Sequence[Beamline],
        cycles: Sequence[RunCycle],
        devices: Sequence[Device],
        **more: Any,
    ) -> None:
        super().__init__(data, files, **more)
        self.sample_rows, self.request_rows = samples, requests
        self.call_forms: list[CallForm] = list(proposal.call.forms.all()) if proposal.call else []
        if proposal.kind == "urgent":
            self.fields["urgency"] = forms.CharField(
                label=_("紧急理由"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 4})
            )
        for form in self.call_forms:
            self._ask(form)
        for at in range(samples):
            self._sample(f"s{at}_")
        for at in range(requests):
            self._request(f"r{at}_", lines, cycles, devices)

    def _ask(self, form: CallForm) -> None:
        if form.kind == rules.FormKind.TEXT.value:
            self.fields[f"text_{form.code}"] = forms.CharField(
                label=bilingual(form),
                max_length=100_000,
                required=False,
                widget=forms.Textarea(attrs={"rows": 5}),
                help_text=gettext("至多 %(letters)s 字。") % {"letters": form.letters},
            )
        else:
            said = gettext("PDF，至多 %(pages)s 页、%(size)s MB。")
            self.fields[f"file_{form.code}"] = forms.FileField(
                label=bilingual(form),
                required=False,
                allow_empty_file=True,
                widget=forms.FileInput(attrs={"accept": ".pdf,application/pdf"}),
                help_text=said % {"pages": form.pages, "size": f"{form.size / 1e6:g}"},
            )

    def _sample(self, at: str) -> None:
        self.fields[f"{at}name"] = forms.CharField(label=_("名称"), max_length=120, required=False)
        self.fields[f"{at}amount"] = forms.CharField(label=_("数量"), max_length=60, required=False)
        self.fields[f"{at}substance"] = forms.CharField(label=_("成分或化学式"), max_length=200, required=False)
        self.fields[f"{at}form"] = forms.CharField(label=_("形态"), max_length=60, required=False)
        self.fields[f"{at}hazards"] = forms.MultipleChoiceField(
            label=_("危险性"),
            required=False,
            choices=[(code, gettext(text)) for code, text in HAZARDS.items()],
            widget=forms.CheckboxSelectMultiple,
        )
        self.fields[f"{at}handling"] = forms.CharField(label=_("防护与处置"), max_length=500, required=False)
        self.fields[f"{at}afterwards"] = forms.CharField(label=_("实验后去向"), max_length=200, required=False)

    def _request(
        self, at: str, lines: Sequence[Beamline], cycles: Sequence[RunCycle], devices: Sequence[Device]
    ) -> None:
        shown = [(one.code, f"{one.code} {bilingual(one.resource)}") for one in lines]
        self.fields[f"{at}beamline"] = forms.ChoiceField(
            label=_("线站"), choices=[("", gettext("请选择")), *shown], required=False
        )
        self.fields[f"{at}cycle"] = forms.ChoiceField(
            label=_("运行周期"), choices=[(one.code, one.code) for one in cycles], required=False
        )
        self.fields[f"{at}shifts"] = forms.IntegerField(
            label=_("班次数"), min_value=1, max_value=drafting.MOST_SHIFTS, required=False
        )
        self.fields[f"{at}reason"] = forms.CharField(
            label=_("班次数说明"), max_length=300, required=False, help_text=_("不是规定倍数时填写。")
        )
        example = {"placeholder": "2027-01-31 2027-02-01"}
        for name, label in (("good", _("希望的日期")), ("bad", _("不便的日期"))):
            self.fields[f"{at}{name}"] = DaysField(label=label, widget=forms.TextInput(attrs=example))
        self.fields[f"{at}setup"] = forms.CharField(label=_("实验布置"), max_length=60, required=False)
        self.fields[f"{at}by_mail"] = forms.BooleanField(label=_("可寄样，无须到场"), required=False)
        if devices:
            self.fields[f"{at}devices"] = forms.MultipleChoiceField(
                label=_("机载装置与样品环境"),
                required=False,
                choices=[(one.code, f"{one.code} {bilingual(one.resource)}") for one in devices],
                widget=forms.CheckboxSelectMultiple,
            )

    def _rows(self, letter: str, count: int, names: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {
                "no": at + 1,
                **{name: self[f"{letter}{at}_{name}"] for name in names if f"{letter}{at}_{name}" in self.fields},
            }
            for at in range(count)
        ]

    @property
    def sample_lines(self) -> list[dict[str, Any]]:
        return self._rows("s", self.sample_rows, SAMPLE)

    @property
    def request_lines(self) -> list[dict[str, Any]]:
        return self._rows("r", self.request_rows, REQUEST)

    @property
    def answer_fields(self) -> list[Any]:
        return [self[name] for name in self.fields if name.startswith(("text_", "file_"))]

    def used_samples(self) -> list[int]:
        """Return the rows in which a sample is declared."""
        said = self.cleaned_data
        return [at for at in range(self.sample_rows) if any(said.get(f"s{at}_{name}") for name in SAMPLE)]

    def used_requests(self) -> list[int]:
        """Return the rows in which beam time is asked for: on a beamline, with a number of shifts or still without."""
        said = self.cleaned_data
        return [at for at in range(self.request_rows) if said.get(f"r{at}_beamline")]

    def clean(self) -> dict[str, Any]:
        """Say which beam time cannot be kept: without its beamline, or asked for in a row before."""
        said = super().clean() or self.cleaned_data
        seen: set[tuple[str, str]] = set()
        for at in range(self.request_rows):
            field, line = f"r{at}_beamline", said.get(f"r{at}_beamline")
            if not line and any(said.get(f"r{at}_{name}") for name in REQUEST if name != "cycle"):
                self.add_error(field, gettext("请选择线站；不申请这一项，请清空这一行。"))
            elif line and (line, said.get(f"r{at}_cycle")) in seen:
                self.add_error(field, gettext("同一周期的这条线站已在上面申请，请合并为一项。"))
            elif line:
                seen.add((line, said.get(f"r{at}_cycle") or ""))
        return said

    def content(self) -> drafting.Content:
        """Return what can be kept: a part with a fault in it stays as it was, all others are kept."""
        said = self.cleaned_data
        bad = {name[:1] for name in self.errors if re.match(r"[sr]\d", name)}
        plain = {name: said[name] for name in ("title", "summary", "urgency", "no_samples") if name in said}
        return drafting.Content(
            **plain,
            texts={name.removeprefix("text_"): said[name] for name in said if name.startswith("text_")},
            samples=None if "s" in bad else [self._sample_wanted(at) for at in self.used_samples()],
            requests=None if "r" in bad else [self._request_wanted(at) for at in self.used_requests()],
        )

    def _sample_wanted(self, at: int) -> drafting.SampleWanted:
        said = {name: self.cleaned_data[f"s{at}_{name}"] for name in SAMPLE}
        return drafting.SampleWanted(**{**said, "hazards": [rules.Hazard(code) for code in said["hazards"]]})

    def _request_wanted(self, at: int) -> drafting.RequestWanted:
        said: dict[str, Any] = {name: self.cleaned_data.get(f"r{at}_{name}") for name in REQUEST}
        return drafting.RequestWanted(**{**said, "shifts": said["shifts"] or 0, "devices": said["devices"] or []})

    def names(self, proposal: BeamProposal) -> dict[str, str]:
        """Return the form's names of the fields that reasons against a saved proposal name."""
        found = {f"forms.{form.code}": f"{form.kind}_{form.code}".replace("pdf_", "file_") for form in self.call_forms}
        for at, row in enumerate(self.used_samples()):
            found |= {f"samples.{at}.{name}": f"s{row}_{name}" for name in SAMPLE}
        rows = {
            (self.cleaned_data[f"r{row}_beamline"], self.cleaned_data[f"r{row}_cycle"]): row
            for row in self.used_requests()
        }
        for at, one in enumerate(proposal.requests.select_related("beamline", "cycle")):
            row = rows.get((one.beamline.code, one.cycle.code), 0)
            found |= {f"requests.{at}.{name}": f"r{row}_{name}" for name in REQUEST}
        return {**found, "shifts": "r0_shifts", "samples": "s0_name", "requests": "r0_beamline"}
