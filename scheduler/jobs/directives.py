"""Read a pasted sbatch script: what its ``#SBATCH`` lines ask for, beside what the form says. Pure.

``#SBATCH`` is a feature of the sbatch command: through a REST interface it is ignored, and a job of eight cards runs on
one. So every line is read into the fields a job has, what conflicts with the form is shown, and so is what cannot be
sent. A script always goes to the cluster with its directives as remarks (``##SBATCH``), line for line: what is sent is
what the fields say and nothing else.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from portal.kernel.errors import Invalid, Reason, Refused, noop
from scheduler.jobs import rules, slurmwords
from scheduler.jobs.slurmoptions import meaning
from scheduler.jobs.slurmwords import Option, Unread

__all__ = [
    "OPTIONAL",
    "Diff",
    "DirectiveRule",
    "DirectivesDiffer",
    "Form",
    "Item",
    "Treatment",
    "compare",
    "has_any",
    "offered_by",
    "remarked",
    "settle",
]

_ = noop


class Treatment(StrEnum):
    """What becomes of one option of a script."""

    AGREES = "agrees"
    CONFLICTS = "conflicts"
    UNSUPPORTED = "unsupported"
    INVALID = "invalid"
    OVERRIDDEN = "overridden"
    """A later option says otherwise; sbatch, too, takes the last."""
    LATE = "late"
    """It stands after the first command, where sbatch itself does not look."""


class DirectiveRule(StrEnum):
    """Who is right where a script and a form differ."""

    REFUSE = "refuse"
    SCRIPT = "script"
    FORM = "form"


class DirectivesDiffer(Refused, Invalid):
    code = "job.directives"
    message = _("脚本里的 #SBATCH 指令与表单不一致，或有不支持的指令。")


@dataclass(frozen=True, slots=True)
class Form:
    """What a job asks for, in a form's words; None where the form leaves it open. `time_limit_s` is whole minutes."""

    partition: str | None = None
    title: str | None = None
    cards: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    time_limit_s: int | None = None
    array: str | None = None
    requeue: bool | None = None
    environment: Mapping[str, str] | None = None
    after: Sequence[tuple[str, str]] | None = None
    """(kind, number of a job of the portal)."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields that are said."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Item:
    """One option, on line `line` (from 1). `message` says why, in a Chinese template filled from `params`."""

    line: int
    written: str
    outcome: Treatment
    field: str = ""
    message: str = ""
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diff:
    """A script read. `sent` is the form with the script's own words put in: what goes out by "use the script"."""

    items: Sequence[Item]
    sent: Form
    script: str
    """The script as it is sent: its directives are remarks."""

    def of(self, *outcomes: Treatment) -> list[Item]:
        """Return the items with one of these outcomes, in order."""
        return [item for item in self.items if item.outcome in outcomes]

    @property
    def conflicts(self) -> list[Item]:
        return self.of(Treatment.CONFLICTS)

    @property
    def unsupported(self) -> list[Item]:
        return self.of(Treatment.UNSUPPORTED)

    @property
    def invalid(self) -> list[Item]:
        return self.of(Treatment.INVALID)


LONGEST_LINE: Final = 4096
"""Characters of one directive line that are read: reading takes more than proportionally longer."""
TOO_LONG: Final = _("这一行指令太长，最多 %(most)s 个字符。")
DIRECTIVE: Final = re.compile(r"\s*#SBATCH\b")


def has_any(script: str) -> bool:
    """Say whether a script has a line that looks like a directive, wherever it stands."""
    return any(DIRECTIVE.match(line) for line in script.splitlines())


def remarked(script: str) -> str:
    """Return the script with each directive made a remark, line for line: error messages keep their line numbers."""
    lines = script.splitlines(keepends=True)
    return "".join(line.replace("#SBATCH", "##SBATCH", 1) if DIRECTIVE.match(line) else line for line in lines)


OPTIONAL: Final = frozenset({"array", "after", "requeue", "environment"})
"""Fields that not every cluster, or not every form, has."""


def offered_by(features: Collection[str]) -> frozenset[str]:
    """Return the optional fields a cluster with these features takes."""
    needs = {"array": "arrays", "after": "dependencies", "requeue": "requeue"}
    return frozenset(name for name in OPTIONAL if name not in needs or needs[name] in features)


class _Reader:
    """Collects what the options say; later ones win, as with sbatch."""

    def __init__(self, offered: Collection[str]) -> None:
        self.offered = offered
        self.said: dict[str, Any] = {}
        self.by: dict[int, tuple[str, ...]] = {}

    def take(self, at: int, option: Option) -> str | None:
        """Note what an option says. Return why it is not supported, or None. Raises Unread for a value it cannot read."""
        notes, why = meaning(option)
        if any(name in OPTIONAL and notes[name] and name not in self.offered for name in notes):
            return _("该集群不支持。")
        if notes:
            self.said.update(notes)
            self.by[at] = tuple(notes)
        return why

    def fields(self, form: Form) -> dict[str, Any]:
        """Return the fields of the form that the script speaks of."""
        said = self.said
        found: dict[str, Any] = {
            name: said[name] for name in ("partition", "title", "time_limit_s", "array", "requeue") if name in said
        }
        found |= {name: said[name] for name in ("environment", "after") if name in said}
        tasks = said.get("ntasks", 1)
        if {"ntasks", "cpus_per_task"} & said.keys():
            found["cpus"] = tasks * said.get("cpus_per_task", 1)
        if "cards" in said:
            found["cards"] = said["cards"] * (tasks if said["cards_per_task"] else 1)
        if "memory" in said:
            amount, per = said["memory"]
            each = {"": 1, "cpu": found.get("cpus", form.cpus) or 1, "card": found.get("cards", form.cards) or 1}[per]
            found["memory_mb"] = amount * each
        return found


FIELD_OF: Final = {
    "ntasks": "cpus",
    "cpus_per_task": "cpus",
    "memory": "memory_mb",
    "cards_per_task": "cards",
    "card_type": "cards",
}


def _directives(script: str) -> list[tuple[int, str, bool]]:
    """Return (line from 1, text after ``#SBATCH``, whether sbatch would not see it)."""
    found: list[tuple[int, str, bool]] = []
    late = False
    for number, line in enumerate(script.splitlines(), start=1):
        if DIRECTIVE.match(line):
            found.append((number, DIRECTIVE.sub("", line, count=1), late or not line.startswith("#SBATCH")))
        elif line.strip() and not line.lstrip().startswith("#"):
            late = True
    return found[:500]


def compare(script: str, form: Form, *, card_type: str = "", offered: Collection[str] = OPTIONAL) -> Diff:
    """Read a script's directives and lay them beside the form. Never raises, whatever the text is.

    `card_type` is what the form's partition has: a script that names another type conflicts with it. `offered` are the
    optional fields that can be sent; what a script says of others is unsupported.
    """
    reader = _Reader(offered)
    outcome: Treatment | None
    raw: list[tuple[int, Option, Treatment | None, str, Mapping[str, Any]]] = []
    for line, text, late in _directives(rules.normalised(script)):
        if len(text) > LONGEST_LINE:
            outcome = Treatment.LATE if late else Treatment.INVALID
            raw.append((line, Option("", "", text.strip()[:200]), outcome, TOO_LONG, {"most": LONGEST_LINE}))
            continue
        for option in slurmwords.options(text):
            outcome = Treatment.LATE if late else None
            why: str = ""
            params: Mapping[str, Any] = {}
            if not late:
                try:
                    if (reason := reader.take(len(raw), option)) is not None:
                        outcome, why = Treatment.UNSUPPORTED, reason
                except Unread as error:
                    outcome, why, params = Treatment.INVALID, error.message, error.params
            raw.append((line, option, outcome, why, params))
    beside = _Beside(form, reader.fields(form), reader.said, card_type)
    last = {name: at for at, names in reader.by.items() for name in names}
    items = []
    for at, (line, option, outcome, why, params) in enumerate(raw):
        names = reader.by.get(at, ())
        if outcome is not None:
            items.append(Item(line, option.written[:200], outcome, _field_of(option), why, params))
        else:
            items.append(beside.judged(line, option, names, stands=any(last[name] == at for name in names)))
    return Diff(tuple(items), replace(form, **beside.fields), remarked(rules.normalised(script)))


OPTION_FIELD: Final = {
    "time": "time_limit_min",
    "mem": "memory_mb",
    "mem-per-cpu": "memory_mb",
    "mem-per-gpu": "memory_mb",
    "gres": "cards",
    "gpus": "cards",
    "gpus-per-node": "cards",
    "gpus-per-task": "cards",
    "cpus-per-task": "cpus",
    "ntasks": "cpus",
    "ntasks-per-node": "cpus",
    "partition": "partition",
    "job-name": "title",
    "array": "array",
    "dependency": "after",
    "export": "environment",
    "requeue": "requeue",
    "no-requeue": "requeue",
}
"""The form's field an option speaks of."""


def _field_of(option: Option) -> str:
    return OPTION_FIELD.get(option.name, "script")


@dataclass(frozen=True, slots=True)
class _Beside:
    """A form, what the script as a whole comes to in the form's fields, and what it said option by option."""

    form: Form
    fields: Mapping[str, Any]
    said: Mapping[str, Any]
    card_type: str

    def judged(self, line: int, option: Option, names: Sequence[str], *, stands: bool) -> Item:
        """Lay what one option says beside the form; `stands`: no later option says otherwise."""
        written, where = option.written[:200], _field_of(option)
        if names and not stands:
            return Item(line, written, Treatment.OVERRIDDEN, where, _("后面的指令另有规定，以后者为准。"))
        kind = self.said.get("card_type", "")
        if "card_type" in names and kind and self.card_type and kind.lower() != self.card_type.lower():
            text = _("该分区的加速卡是 %(form)s，脚本要 %(script)s。")
            return Item(line, written, Treatment.CONFLICTS, "partition", text, {"form": self.card_type, "script": kind})
        for name in dict.fromkeys(FIELD_OF.get(name, name) for name in names):
            had, has = getattr(self.form, name), self.fields[name]
            if had is not None and had != has:
                params = {"form": shown(name, had), "script": shown(name, has)}
                return Item(
                    line, written, Treatment.CONFLICTS, where, _("表单为 %(form)s，脚本为 %(script)s。"), params
                )
        return Item(line, written, Treatment.AGREES, where)


def shown(name: str, value: Any) -> str:
    """Return a field's value as people read it beside another."""
    if name == "time_limit_s":
        return f"{value // 60} min"
    if name == "memory_mb":
        return f"{value} MB"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={text}" for key, text in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(f"{kind}:{number}" for kind, number in value) or "–"
    return {True: "✓", False: "–"}[value] if isinstance(value, bool) else str(value) or "–"


def settle(
    script: str, form: Form, *, rule: DirectiveRule, card_type: str = "", offered: Collection[str] = OPTIONAL
) -> Diff:
    """Return what is sent under `rule`; a script without directives passes as it is.

    Raises DirectivesDiffer with one reason for each conflict, unsupported option and value that cannot be read, unless
    the form or the script was said to be right; values that cannot be read are refused then, too, where the script is.
    """
    diff = compare(script, form, card_type=card_type, offered=offered)
    wrong = diff.of(*WRONG[rule])
    if wrong:
        raise DirectivesDiffer([_reason(item) for item in wrong])
    return replace(diff, sent=form) if rule is DirectiveRule.FORM else diff


WRONG: Final[Mapping[DirectiveRule, Sequence[Treatment]]] = {
    DirectiveRule.REFUSE: (Treatment.CONFLICTS, Treatment.UNSUPPORTED, Treatment.INVALID),
    DirectiveRule.SCRIPT: (Treatment.INVALID,),
    DirectiveRule.FORM: (),
}


REASONS: Final = {
    Treatment.CONFLICTS: (
        "job.directive_conflict",
        _("脚本第 %(line)s 行：%(written)s。请改表单或改脚本，或选择以脚本为准。"),
    ),
    Treatment.UNSUPPORTED: (
        "job.directive_unsupported",
        _("脚本第 %(line)s 行：%(written)s。请删去这一项，或选择忽略。"),
    ),
    Treatment.INVALID: ("job.directive_invalid", _("脚本第 %(line)s 行：%(written)s。请改正或删去。")),
}


def _reason(item: Item) -> Reason:
    code, remedy = REASONS[item.outcome]
    params = {**item.params, "line": item.line, "written": item.written}
    where = "script" if item.outcome is Treatment.UNSUPPORTED else item.field
    return Reason(code, item.message, remedy, field=where, params=params)
