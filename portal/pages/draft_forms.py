"""A section of a programme being written, as a form: fields from the outline, texts from the document, problems in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext

from portal.pages.casework import language
from portal.pages.fields import DayInput
from vouchers.programmes import drafting, drafting_conditions, fact_choices, names, previews
from vouchers.programmes.drafting_conditions import ABSENT
from vouchers.programmes.outline import Condition, Entry, Group, Item, Kind, Pairs, Part, Span, Table
from vouchers.programmes.parsing import Problem, child
from vouchers.programmes.predicates import PATHS, Operator
from vouchers.programmes.readers import MISSING, NOT_ALLOWED, parsed_day
from vouchers.programmes.words import Words

__all__ = ["Node", "PartForm", "problem_text"]

SHAPES = {"hx-post": "", "hx-trigger": "change consume", "hx-target": "#part", "hx-vals": '{"act": "shape"}'}
"""On a change of this field others appear or change: the section is drawn anew."""
FEW = 3
"""Tables of so few rows show all of them open."""


@dataclass(slots=True)
class Node:
    """What the template draws: a field, or a named thing with `parts`. `name` is the thing's place in the document."""

    shape: str
    name: str
    label: str = ""
    bound: BoundField | None = None
    unit: str = ""
    parts: list[Node] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    hint: str = ""
    said: str = ""
    """A row in a few words, or a condition as a sentence."""
    count: int = 0
    row: str = ""
    is_open: bool = True
    kind: str = ""
    """all, any, not, fact or empty, for a condition."""
    is_many: bool = False
    number: int = 0


EMPTY = tuple(NOT_ALLOWED.fill(found=found) for found in ('""', "[]", "null"))
"""What is said of a value that is not there yet."""


def problem_text(problem: Problem) -> str:
    """Say what is wrong with a field and what would do."""
    tongue = language()
    if problem.message == MISSING or problem.message in EMPTY:
        return gettext("必须填写。")
    if problem.allowed == PATHS:
        return gettext("没有这个事实，请从列表中选择。")
    allowed = gettext("可以填：%(allowed)s。") % {"allowed": problem.allowed.say(tongue)}
    return f"{problem.message.say(tongue)} {allowed}"


SHARE = Words("0 到 100 之间的百分数，最多四位小数", "a percentage from 0 to 100, at most four decimals")


def _widget(entry: Entry, texts: Sequence[str]) -> forms.Widget:
    said = "".join(texts[:1])
    tongue = language()
    match entry.kind:
        case Kind.LONG | Kind.LINES | Kind.AMOUNTS:
            return forms.Textarea(attrs={"rows": 2})
        case Kind.WHOLE | Kind.AMOUNT | Kind.RATE:
            return forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        case Kind.DAY:
            return _day_input(said)
        case Kind.FLAG | Kind.CHOICE:
            known = {code: word.say(tongue) for code, word in entry.choices}
            if entry.kind is Kind.FLAG:
                known = {"true": gettext("是"), "false": gettext("否")}
            if entry.key != "benefit":
                known = {"": gettext("未说明"), **known}
            if said and said not in known:
                known[said] = said
            return forms.Select(choices=list(known.items()), attrs=dict(SHAPES) if entry.shapes else {})
        case Kind.MANY:
            words = dict(entry.choices)
            codes = list(dict.fromkeys([*(text for text in texts if text), *words]))
            return forms.CheckboxSelectMultiple(
                choices=[(code, words[code].say(tongue) if code in words else code) for code in codes]
            )
    return forms.TextInput(attrs={"autocomplete": "off"})


def _day_input(said: str) -> forms.Widget:
    """Return a date input; plain text where it holds what no date input shows."""
    is_day = not said or parsed_day(said) is not None
    return DayInput() if is_day else forms.TextInput()


class PartForm(forms.Form):
    """The fields of one section, each named by its place in the document, with what the document says in them.

    `problems` are those of the whole document, told where their field is; `open_row` is the row of a long table to
    show in full. The form takes whatever is typed: only `documents.load` judges it.
    """

    def __init__(
        self,
        part: Part,
        document: Mapping[str, Any],
        *,
        problems: Iterable[Problem] = (),
        open_row: str = "",
    ) -> None:
        self.document = document
        self.open_row = open_row
        self.told: dict[str, list[str]] = {}
        for problem in problems:
            self.told.setdefault(drafting.place_of(problem.path, document), []).append(problem_text(problem))
        self.texts = drafting.form_of(part.items, document, language())
        super().__init__(MultiValueDict(self.texts))
        self.nodes: list[Node] = []
        self.asked: set[str] = set()
        self.required: set[str] = set()
        self.nodes = self._nodes(part.items, document, "", ())
        self.full_clean()
        for name, texts in self.told.items():
            for text in texts:
                self.add_error(name if name in self.fields else None, text) if self._is_here(name, part) else None
        for name in self.required:
            self.fields[name].required = True

    def _is_here(self, name: str, part: Part) -> bool:
        return name.partition(".")[0].partition("[")[0].partition("~")[0] in part.keys

    def facts(self) -> list[str]:
        """Return the names of the facts a condition can be about."""
        return [name.say(language()) for _path, name in fact_choices.facts()]

    def values(self) -> dict[str, list[str]]:
        """Return the known values, in words, of each fact asked about here."""
        found = {path: fact_choices.values_of(path) for path in sorted(self.asked)}
        return {path: [names.value(code).say(language()) for code in codes] for path, codes in found.items() if codes}

    # ---- nodes

    def _field(self, name: str, label: str, trail: Sequence[str], widget: forms.Widget, **more: Any) -> BoundField:
        """Add a field; its label in the summary of problems says in which row it stands."""
        full = " · ".join([*trail, label])
        self.fields[name] = forms.Field(required=False, widget=widget, label=full, **more)
        return self[name]

    def _nodes(self, items: Sequence[Item], value: Any, prefix: str, trail: Sequence[str]) -> list[Node]:
        return [self._node(item, value, child(prefix, item.key), trail) for item in items]

    def _node(self, item: Item, holder: Any, name: str, trail: Sequence[str]) -> Node:
        value = holder.get(item.key, ABSENT) if isinstance(holder, dict) else ABSENT
        label = item.label.say(language()) if item.label else ""
        match item:
            case Entry():
                return self._entry(item, name, label, trail)
            case Condition():
                node = self._condition(value, name, [*trail, label])
                words = previews.condition_words(None if value is ABSENT else value)
                hint = item.hint.say(language()) if item.hint else ""
                said = words.say(language()) if words else ""
                return Node("condition", name, label, parts=[node], hint=hint, said=said, problems=self._at(name))
            case Span():
                parts = [
                    self._bound(child(name, at), word, trail, _day_input(self.texts[child(name, at)][0]))
                    for at, word in enumerate((gettext("起始日"), gettext("截止日")))
                ]
                return Node("span", name, label, parts=parts, problems=self._at(name))
            case Group():
                parts = self._nodes(item.items, value, name, [*trail, label] if label else trail)
                return Node("group", name, label, parts=parts, problems=self._at(name))
            case Pairs():
                return self._pairs(item, value, name, label, trail)
        return self._table(item, value, name, label, trail)

    def _at(self, name: str) -> list[str]:
        return self.told.get(name, [])

    def _bound(self, name: str, label: str, trail: Sequence[str], widget: forms.Widget, **more: Any) -> Node:
        return Node("field", name, label, bound=self._field(name, label, trail, widget, **more))

    def _entry(self, item: Entry, name: str, label: str, trail: Sequence[str]) -> Node:
        hint = item.hint.say(language()) if item.hint else ""
        node = self._bound(name, label, trail, _widget(item, self.texts.get(name, [""])), help_text=hint)
        if item.kind is Kind.RATE and name in self.told:
            self.told[name] = [gettext("可以填：%(allowed)s。") % {"allowed": SHARE.say(language())}]
        node.unit = item.unit.say(language()) if item.unit else ""
        node.is_many = item.kind is Kind.MANY
        if item.required:
            self.required.add(name)
        return node

    def _pairs(self, item: Pairs, value: Any, name: str, label: str, trail: Sequence[str]) -> Node:
        node = Node("pairs", name, label, row=label, problems=self._at(name))
        for at in range(len(drafting.rows_of(item, value))):
            here = child(name, at)
            parts = []
            for place, entry in enumerate((item.first, item.second)):
                cell, word = child(here, place), entry.label.say(language())
                parts.append(self._bound(cell, word, [*trail, f"{label} {at + 1}"], _widget(entry, self.texts[cell])))
            node.parts.append(Node("pair", here, f"{label} {at + 1}", parts=parts, number=at + 1))
        node.count = len(node.parts)
        return node

    def _table(self, item: Table, value: Any, name: str, label: str, trail: Sequence[str]) -> Node:
        rows = value if isinstance(value, list) else []
        word = item.row.say(language())
        node = Node("table", name, label, row=word, count=len(rows), problems=self._at(name))
        for at, row in enumerate(rows):
            here, title = child(name, at), f"{word} {at + 1}"
            below = [place for place in self.told if place == here or place.startswith((f"{here}.", f"{here}~"))]
            is_open = len(rows) <= FEW or bool(below) or self.open_row == here
            shown = drafting.shown(item.items, drafting.benefit_of(row) if item.has_benefit else "")
            parts = self._nodes(shown, row, here, [*trail, title]) if is_open else []
            node.parts.append(
                Node(
                    "row",
                    here,
                    title,
                    parts=parts,
                    said=self._row_words(shown, row, here),
                    problems=self._at(here),
                    is_open=is_open,
                    number=at + 1,
                )
            )
        return node

    def _row_words(self, items: Sequence[Item], row: Any, name: str) -> str:
        """Say a row in a few words, for the line it is folded into."""
        said = []
        for item in items:
            text = "".join(self.texts.get(child(name, item.key), [""])[:1])
            if isinstance(item, Entry) and text and item.kind is not Kind.FLAG:
                word = dict(item.choices).get(text)
                unit = item.unit.say(language()) if item.unit else ""
                said.append(f"{word.say(language()) if word else text} {unit}".strip())
            elif isinstance(item, Condition) and isinstance(row, dict):
                words = previews.condition_words(row.get(item.key))
                said += [words.say(language()).rstrip("。.")] if words else []
        return " · ".join(said[:5])

    # ---- conditions

    def _condition(self, value: Any, name: str, trail: Sequence[str]) -> Node:
        kind, parts = drafting_conditions.parts_of(value)
        node = Node("node", name, kind=kind, count=len(parts), problems=self._at(name))
        if kind == "fact":
            node.parts = self._leaf(value, name, trail)
        else:
            node.parts = [self._condition(part, f"{name}~{at}", trail) for at, part in enumerate(parts)]
            for at, part in enumerate(node.parts):
                part.number = at + 1
        if kind in ("all", "any"):
            choices = [("all", gettext("同时满足以下各项")), ("any", gettext("满足以下任一项"))]
            node.label = gettext("组合方式")
            node.bound = self._field(f"{name}.kind", node.label, trail, forms.Select(choices=choices))
        return node

    def _leaf(self, value: Any, name: str, trail: Sequence[str]) -> list[Node]:
        path = str(value[0]) if isinstance(value, list) and value else ""
        operator = "".join(self.texts[f"{name}.op"])
        self.asked.add(path)
        operators = [
            (word.value, fact_choices.OPERATORS[word].say(language()))
            for word in fact_choices.operators_of(path, current=operator)
        ]
        if operator not in dict(operators):
            operators.append((operator, operator or gettext("请选择")))
        about = names.fact(path)
        unit = gettext("元") if about.is_money else about.unit.say(language()).strip() if about.unit else ""
        fact = forms.TextInput(attrs={"list": "facts", "autocomplete": "off", **SHAPES})
        parts = [
            self._bound(f"{name}.fact", gettext("看什么"), trail, fact),
            self._bound(
                f"{name}.op",
                gettext("怎么比"),
                trail,
                forms.Select(choices=operators, attrs=dict(SHAPES)),
            ),
            *self._values(path, operator, name, trail),
        ]
        parts[-1].unit = unit
        return parts

    def _values(self, path: str, operator: str, name: str, trail: Sequence[str]) -> list[Node]:
        texts, kind = self.texts.get(f"{name}.value", [""]), fact_choices.kind_of(path)
        label, known = gettext("值"), fact_choices.values_of(path)
        if drafting_conditions.listed(operator):
            hint = gettext("几个值之间用顿号分开。")
            more = self._bound(
                f"{name}.more", gettext("其他值") if known else label, trail, forms.TextInput(), help_text=hint
            )
            if not known:
                return [more]
            choices = [(code, names.value(code).say(language())) for code in known]
            box = self._bound(f"{name}.value", label, trail, forms.CheckboxSelectMultiple(choices=choices))
            box.is_many = True
            return [box, more]
        widget: forms.Widget = forms.TextInput(attrs={"autocomplete": "off"})
        if operator == Operator.EXISTS.value or kind is fact_choices.FactKind.YES_NO:
            words = {"true": gettext("是"), "false": gettext("否")}
            chosen = "".join(texts[:1])
            choices = [*words.items(), *([] if chosen in words else [(chosen, chosen or gettext("请选择"))])]
            widget = forms.Select(choices=choices)
        elif kind is fact_choices.FactKind.DAY:
            widget = _day_input("".join(texts[:1]))
        elif known:
            widget = forms.TextInput(attrs={"list": f"values-{path}", "autocomplete": "off"})
        return [self._bound(f"{name}.value", label, trail, widget)]
