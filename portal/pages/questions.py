"""Questions a programme's conditions ask of an applicant, as form fields.

The vocabulary is the programme's own: what kind of answer a fact takes, and between which values to choose, is read
from the conditions that test it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from django import forms
from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.pages.casework import capital, language
from portal.pages.fields import DayInput, YuanField
from vouchers.programmes import asking, names
from vouchers.programmes.predicates import ORDERED, Leaf, Operator, Scalar
from vouchers.programmes.readers import parsed_day
from vouchers.programmes.schemes import Programme
from vouchers.programmes.words import Words

__all__ = ["STANDARD", "Answer", "FactsForm", "Question", "vocabulary"]

ASKED: Final = ("applicant", "provider", "contract", "instrument", "request", "usage")
"""Sections an applicant may speak of; the rest is the department's to say."""
STANDARD: Final = frozenset(
    {"contract.id", "contract.items", "contract.related", "contract.signed", "contract.months", "provider.name"}
)
"""Facts every application states on its first page."""
NONE_OF_THESE: Final = "-"


class Answer(StrEnum):
    """What kind of answer a question takes."""

    YES_NO = "yes_no"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    CHOICE = "choice"
    CHOICES = "choices"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Question:
    """A fact to bring: its path, its name, the kind of answer and the values to choose from."""

    path: str
    name: Words
    answer: Answer
    values: tuple[Scalar, ...] = ()

    @property
    def field(self) -> str:
        return f"fact.{self.path}"


def vocabulary(*schemes: Programme) -> dict[str, Question]:
    """Return every fact the programmes may ask an applicant for, by path, in reading order."""
    asked: dict[str, list[Leaf]] = {}
    for leaf in (leaf for scheme in schemes for leaf in asking.leaves_asked(scheme)):
        asked.setdefault(leaf.path, []).append(leaf)
    with names.declared(fact for scheme in schemes for fact in scheme.facts):
        found = {path: _question(path, tests) for path, tests in asked.items()}
        for quota in (scheme.cost.free_quota for scheme in schemes if scheme.cost.free_quota):
            for path in (f"usage.{quota.unit}", "usage.price"):
                found.setdefault(path, _question(path, []))
    return {
        path: question for path, question in found.items() if path.partition(".")[0] in ASKED and path not in STANDARD
    }


def _question(path: str, tests: list[Leaf]) -> Question:
    about = names.fact(path)
    values = tuple(
        dict.fromkeys(
            value for test in tests for value in (test.value if isinstance(test.value, tuple) else (test.value,))
        )
    )
    operators = {test.operator for test in tests}
    if about.yes is not None or (
        values and operators != {Operator.EXISTS} and all(isinstance(v, bool) for v in values)
    ):
        return Question(path, about.name, Answer.YES_NO)
    if operators & {Operator.HAS, Operator.HAS_ANY}:
        return Question(path, about.name, Answer.CHOICES, values)
    if operators & ORDERED or not tests:
        is_day = any(isinstance(value, str) and parsed_day(value) for value in values)
        number = Answer.MONEY if about.is_money else Answer.NUMBER
        return Question(path, about.name, Answer.DATE if is_day else number)
    if operators <= {Operator.EXISTS}:
        return Question(path, about.name, Answer.TEXT)
    return Question(path, about.name, Answer.CHOICE, tuple(value for value in values if not isinstance(value, bool)))


def _json(value: Scalar) -> str | int | bool:
    """Return a value of a condition as the request's JSON has it."""
    return format(value, "f") if isinstance(value, Decimal) else value


class FactsForm(forms.Form):
    """Questions as fields. None has to be answered: what is not answered is not stated."""

    def __init__(self, questions: Iterable[Question], data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.questions = {question.field: question for question in questions}
        said = language()
        for name, question in self.questions.items():
            self.fields[name] = _field(question, said)

    def stated(self) -> dict[str, Any]:
        """Return what was answered, by path; *none of these* is a fact known to be absent. Only after `is_valid`."""
        found: dict[str, Any] = {}
        for name, question in self.questions.items():
            value = self.cleaned_data.get(name)
            if value not in (None, "", []):
                found[question.path] = _value(question, value)
        return found


def _field(question: Question, said: str) -> forms.Field:
    label = capital(question.name.say(said))
    about = names.fact(question.path)
    options = [(str(at), names.value(_json(v), about).say(said)) for at, v in enumerate(question.values)]
    match question.answer:
        case Answer.YES_NO:
            choices = [("", gettext("请选择")), ("yes", gettext("是")), ("no", gettext("否"))]
            return forms.ChoiceField(label=label, choices=choices, required=False)
        case Answer.CHOICE:
            choices = [("", gettext("请选择")), *options, (NONE_OF_THESE, gettext("以上都不是"))]
            return forms.ChoiceField(label=label, choices=choices, required=False)
        case Answer.CHOICES:
            return forms.MultipleChoiceField(
                label=label,
                choices=[*options, (NONE_OF_THESE, gettext("以上都不是"))],
                required=False,
                widget=forms.CheckboxSelectMultiple,
            )
        case Answer.MONEY:
            return YuanField(label=gettext("%(name)s（元）") % {"name": label}, required=False, least_fen=0)
        case Answer.NUMBER:
            unit = about.unit.say(said).strip() if about.unit else ""
            return forms.DecimalField(
                label=f"{label}（{unit}）" if unit and said == "zh" else f"{label} ({unit})" if unit else label,
                required=False,
                min_value=0,
                max_digits=15,
                decimal_places=4,
            )
        case Answer.DATE:
            return forms.DateField(label=label, required=False, widget=DayInput())
        case Answer.TEXT:
            return forms.CharField(label=label, required=False, max_length=200)


def _value(question: Question, value: Any) -> Any:
    match question.answer:
        case Answer.YES_NO:
            return value == "yes"
        case Answer.CHOICE:
            return None if value == NONE_OF_THESE else _json(question.values[int(value)])
        case Answer.CHOICES:
            return [_json(question.values[int(item)]) for item in value if item != NONE_OF_THESE]
        case Answer.MONEY:
            return value.yuan() if isinstance(value, Money) else value
        case Answer.NUMBER:
            return format(value, "f")
        case Answer.DATE:
            return value.isoformat()
        case Answer.TEXT:
            return value
