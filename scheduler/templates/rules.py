"""What a template of an application is, how its parameters are checked, and how a script is made of it. Pure.

A value is never written into the text of a template. It travels as a quoted word of one assignment at the head of the
script (``export EPOCHS='10'``), which the body reads as ``"$EPOCHS"``: nothing a person types can become a command.
Secrets and files are named by their path in the job's directory; their contents never enter a script.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import Conflict, Reason, Refused, noop
from scheduler.templates import patterns

__all__ = [
    "TRANSITIONS",
    "BadDocument",
    "BadValues",
    "Kind",
    "Parameter",
    "Resources",
    "Template",
    "TemplateAction",
    "TemplateCategory",
    "TemplateState",
    "read",
    "rendered",
]

_ = noop

MAX_PARAMETERS: Final = 40
MAX_SCRIPT: Final = 200_000
MAX_TEXT: Final = 500
INTERPRETERS: Final = ("#!/bin/bash", "#!/bin/sh", "#!/usr/bin/env bash")
"""A template is a shell script: its head is assignments a shell reads. It may call anything."""


class TemplateCategory(StrEnum):
    """What an application does."""

    TRAINING = "training"
    INFERENCE = "inference"
    CFD = "cfd"
    MOLECULAR = "molecular"
    DATA = "data"
    OTHER = "other"


class Kind(StrEnum):
    """What a parameter takes."""

    INTEGER = "integer"
    CHOICE = "choice"
    TEXT = "text"
    FILE = "file"
    """A path beneath the job's directory."""
    SECRET = "secret"  # noqa: S105  the name of a kind
    """The path of a file with a secret: its content is uploaded as a file, never typed into a form."""


class TemplateState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class TemplateAction(StrEnum):
    PUBLISH = "publish"
    WITHDRAW = "withdraw"


TRANSITIONS: Final[Mapping[tuple[TemplateState, TemplateAction], TemplateState]] = MappingProxyType(
    {
        (TemplateState.DRAFT, TemplateAction.PUBLISH): TemplateState.PUBLISHED,
        (TemplateState.DRAFT, TemplateAction.WITHDRAW): TemplateState.WITHDRAWN,
        (TemplateState.PUBLISHED, TemplateAction.WITHDRAW): TemplateState.WITHDRAWN,
        (TemplateState.WITHDRAWN, TemplateAction.PUBLISH): TemplateState.PUBLISHED,
    }
)


class BadDocument(Refused):
    code = "template.document"
    message = _("模板文件有误，原因如下。")


class BadValues(Refused):
    code = "template.values"
    message = _("参数填写有误，原因如下。")


class CodeTaken(Conflict):
    code = "template.code_taken"
    message = _("其他单位已使用模板代号“%(code)s”。请换一个代号。")


@dataclass(frozen=True, slots=True)
class Words:
    """A text in Chinese and English; English may be missing."""

    zh: str = ""
    en: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a person fills in. `name` is the variable the body reads."""

    name: str
    kind: Kind
    label: Words
    help: Words = Words()
    default: str = ""
    required: bool = True
    least: int = 0
    most: int = 10**9
    pattern: str = ""
    choices: Sequence[tuple[str, Words]] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run of the application sensibly asks for; people may change it."""

    cards: int = 0
    cpus: int = 1
    memory_mb: int = 4000
    time_limit_min: int = 60


@dataclass(frozen=True, slots=True)
class Template:
    code: str
    name: Words
    summary: Words
    category: TemplateCategory
    parameters: Sequence[Parameter]
    resources: Resources
    script: str


NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,39}", re.ASCII)
RESERVED: Final = frozenset(
    {"PATH", "HOME", "USER", "SHELL", "PWD", "IFS", "ENV", "BASH_ENV", "TMPDIR", "PYTHONPATH", "CUDA_VISIBLE_DEVICES"}
)
FAMILIES: Final = ("LD_", "SLURM", "SBATCH", "BASH_", "DYLD_")
PATH: Final = re.compile(r"[\w.@+-]+(?:/[\w.@+-]+)*")


class _Reading:
    """Reads a document and collects everything wrong with it, each with its path."""

    def __init__(self) -> None:
        self.wrong: list[Reason] = []

    def blame(self, path: str, message: str, **params: Any) -> None:
        remedy = _("请修改模板文件的 %(path)s。")
        self.wrong.append(Reason("template.document", message, remedy, field="file", params={"path": path, **params}))

    def only(self, at: Mapping[str, Any], path: str, known: Sequence[str]) -> None:
        for key in at:
            if key not in known:
                self.blame(f"{path}{key}"[:80], _("不认识的字段。"))

    def words(self, value: Any, path: str, *, needed: bool = True, most: int = 200) -> Words:
        if value is None and not needed:
            return Words()
        said = value if isinstance(value, Mapping) else {}
        zh, en = said.get("zh", ""), said.get("en", "")
        good = isinstance(zh, str) and isinstance(en, str) and len(zh) <= most and len(en) <= most
        if not good or (needed and not zh.strip()) or _control(f"{zh}{en}"):
            self.blame(path, _('须写成中文和英文：{"zh": …, "en": …}。'))
            return Words()
        return Words(zh.strip(), en.strip())

    def whole(self, value: Any, path: str, *, least: int, most: int, default: int) -> int:
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.blame(path, _("须为 %(least)s 到 %(most)s 之间的整数。"), least=least, most=most)
            return default
        return value

    def parameter(self, raw: Any, path: str) -> Parameter | None:
        if not isinstance(raw, Mapping):
            self.blame(path, _("须为对象。"))
            return None
        self.only(
            raw,
            f"{path}.",
            ("name", "kind", "label", "help", "default", "required", "least", "most", "pattern", "choices"),
        )
        name, kind = raw.get("name"), raw.get("kind")
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED or name.startswith(FAMILIES):
            self.blame(f"{path}.name", _("参数名须为大写字母、数字和下划线，且不能是系统变量。"))
            return None
        if not isinstance(kind, str) or kind not in set(Kind):
            self.blame(f"{path}.kind", _("参数类型须为 %(kinds)s 之一。"), kinds=[kind.value for kind in Kind])
            return None
        pattern = raw.get("pattern", "")
        if not isinstance(pattern, str) or not _is_pattern(pattern):
            self.blame(f"{path}.pattern", _("格式须为简单的正则表达式：字符、字符集和次数，不含括号分组。"))
            pattern = ""
        default = raw.get("default", "")
        made = Parameter(
            name=name,
            kind=Kind(kind),
            label=self.words(raw.get("label"), f"{path}.label"),
            help=self.words(raw.get("help"), f"{path}.help", needed=False),
            default=str(default) if isinstance(default, str | int) else "",
            required=raw.get("required", True) is True,
            least=self.whole(raw.get("least"), f"{path}.least", least=-(10**12), most=10**12, default=0),
            most=self.whole(raw.get("most"), f"{path}.most", least=-(10**12), most=10**12, default=10**9),
            pattern=pattern,
            choices=self.choices(raw.get("choices"), f"{path}.choices") if kind == Kind.CHOICE else (),
        )
        if made.default and (reason := _against(made, made.default)):
            self.blame(f"{path}.default", reason.message, **reason.params)
        return made

    def choices(self, raw: Any, path: str) -> Sequence[tuple[str, Words]]:
        rows = raw if isinstance(raw, list) else []
        found = []
        for at, row in enumerate(rows[:100]):
            value = row.get("value") if isinstance(row, Mapping) else None
            if not isinstance(value, str) or not value or len(value) > MAX_TEXT or _control(value):
                self.blame(f"{path}[{at}].value", _("须为一行文字。"))
                continue
            found.append((value, self.words(row.get("label", {"zh": value, "en": value}), f"{path}[{at}].label")))
        if not found:
            self.blame(path, _("至少须有一个选项。"))
        return found

    def script(self, raw: Any) -> str:
        text = raw if isinstance(raw, str) else "\n".join(raw) if _is_lines(raw) else ""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if text.split("\n", 1)[0].rstrip() not in INTERPRETERS:
            self.blame("script", _("第一行须为 %(allowed)s 之一。"), allowed=list(INTERPRETERS))
        if "\0" in text or len(text) > MAX_SCRIPT or re.search(r"(?m)^[^\S\n]*#SBATCH\b", text):
            self.blame("script", _("脚本不能含有空字符或 #SBATCH 行，也不能超过 200 KB。"))
        return text if text.endswith("\n") else f"{text}\n"


def _is_lines(raw: Any) -> bool:
    return isinstance(raw, list) and all(isinstance(line, str) for line in raw)


def _is_pattern(pattern: str) -> bool:
    try:
        patterns.parsed(pattern)
    except patterns.BadPattern:
        return False
    return True


def _control(text: str) -> bool:
    """Say whether a text has what ends a line or is no character: no value of one line has."""
    return any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in text)


def read(document: Any) -> Template:
    """Read a template's document. Raises BadDocument with everything that is wrong, each with its path."""
    reading = _Reading()
    if not isinstance(document, Mapping):
        reading.blame("$", _("须为对象。"))
        raise BadDocument(reading.wrong)
    reading.only(document, "", ("code", "name", "summary", "category", "parameters", "resources", "script"))
    code = document.get("code")
    if not isinstance(code, str) or not re.fullmatch(r"[a-z][a-z0-9-]{1,39}", code):
        reading.blame("code", _("代号须为小写字母、数字和连字符，2 到 40 个字符。"))
    category = document.get("category", "other")
    if not isinstance(category, str) or category not in set(TemplateCategory):
        reading.blame("category", _("类别须为 %(kinds)s 之一。"), kinds=[kind.value for kind in TemplateCategory])
    raw = document.get("parameters", [])
    if not isinstance(raw, list) or len(raw) > MAX_PARAMETERS:
        reading.blame("parameters", _("须为不超过 %(most)s 项的列表。"), most=MAX_PARAMETERS)
        raw = []
    parameters = [made for at, row in enumerate(raw) if (made := reading.parameter(row, f"parameters[{at}]"))]
    names = [parameter.name for parameter in parameters]
    for name in sorted({name for name in names if names.count(name) > 1}):
        reading.blame("parameters", _("参数“%(name)s”重复。"), name=name)
    asked = document.get("resources", {})
    asked = asked if isinstance(asked, Mapping) else {}
    reading.only(asked, "resources.", ("cards", "cpus", "memory_mb", "time_limit_min"))
    resources = Resources(
        cards=reading.whole(asked.get("cards"), "resources.cards", least=0, most=10_000, default=0),
        cpus=reading.whole(asked.get("cpus"), "resources.cpus", least=1, most=100_000, default=1),
        memory_mb=reading.whole(asked.get("memory_mb"), "resources.memory_mb", least=16, most=10**7, default=4000),
        time_limit_min=reading.whole(
            asked.get("time_limit_min"), "resources.time_limit_min", least=1, most=10**6, default=60
        ),
    )
    title = reading.words(document.get("name"), "name", most=80)
    summary = reading.words(document.get("summary"), "summary", needed=False, most=500)
    script = reading.script(document.get("script"))
    if reading.wrong:
        raise BadDocument(reading.wrong)
    return Template(str(code), title, summary, TemplateCategory(category), tuple(parameters), resources, script)


def _against(parameter: Parameter, value: str) -> Reason | None:
    """Return what is wrong with a value that is not empty, or None."""

    def said(message: str, **params: Any) -> Reason:
        return Reason("template.value", message, field=parameter.name, params={"name": parameter.name, **params})

    if len(value) > MAX_TEXT or _control(value):
        return said(_("%(name)s 须为一行文字，不超过 %(most)s 个字符。"), most=MAX_TEXT)
    if parameter.kind is Kind.INTEGER:
        if not re.fullmatch(r"-?[0-9]{1,13}", value) or not parameter.least <= int(value) <= parameter.most:
            return said(
                _("%(name)s 须为 %(least)s 到 %(most)s 之间的整数。"), least=parameter.least, most=parameter.most
            )
    elif parameter.kind is Kind.CHOICE:
        if value not in {choice for choice, _label in parameter.choices}:
            return said(_("%(name)s 须从列表中选择。"))
    elif parameter.kind in {Kind.FILE, Kind.SECRET}:
        if not PATH.fullmatch(value) or ".." in value.split("/") or value.startswith("-"):
            return said(_("%(name)s 须为作业目录中的相对路径，不能含有“..”。"))
    elif parameter.pattern and not patterns.fits(parameter.pattern, value):
        return said(_("%(name)s 的格式不对，须符合 %(pattern)s。"), pattern=parameter.pattern)
    return None


def checked(template: Template, values: Mapping[str, str]) -> dict[str, str]:
    """Return each parameter's value, defaults filled in. Raises BadValues with everything that is wrong."""
    known = {parameter.name for parameter in template.parameters}
    wrong = [
        Reason("template.value", _("模板没有参数“%(name)s”。"), field=name[:80], params={"name": name[:80]})
        for name in values
        if name not in known
    ]
    found: dict[str, str] = {}
    for parameter in template.parameters:
        value = values.get(parameter.name, parameter.default).strip(" ")
        if parameter.kind is Kind.INTEGER and re.fullmatch(r"-?[0-9]{1,13}", value):
            value = str(int(value))
        if value:
            reason = _against(parameter, value)
        elif parameter.required:
            text = _("请填写 %(name)s。")
            reason = Reason("template.value", text, field=parameter.name, params={"name": parameter.name})
        else:
            reason = None
        if reason is not None:
            wrong.append(reason)
        found[parameter.name] = value
    if wrong:
        raise BadValues(wrong)
    return found


def rendered(template: Template, values: Mapping[str, str], *, version: int) -> str:
    """Return the script for these values. Raises BadValues.

    Each value is one quoted word (``shlex.quote``); the body follows as it was published, byte for byte.
    """
    found = checked(template, values)
    interpreter, _newline, body = template.script.partition("\n")
    head = [
        f"# template {template.code} v{version}",
        *(f"export {name}={shlex.quote(text)}" for name, text in found.items()),
    ]
    return "\n".join([interpreter, *head, body])
