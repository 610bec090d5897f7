"""Conditions in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vouchers.programmes import names
from vouchers.programmes.predicates import AllOf, AnyOf, Leaf, Not, Operator, Predicate
from vouchers.programmes.words import Words

__all__ = ["all_of", "condition", "join", "leaf", "sentence", "sentences", "stated", "where"]

COMPARISONS = {
    Operator.EQUAL: Words("%(name)s为%(value)s", "%(name)s is %(value)s"),
    Operator.UNEQUAL: Words("%(name)s不是%(value)s", "%(name)s is not %(value)s"),
    Operator.IN: Words("%(name)s为%(value)s之一", "%(name)s is one of %(value)s"),
    Operator.HAS: Words("%(name)s包括%(value)s", "%(name)s include %(value)s"),
    Operator.HAS_ANY: Words("%(name)s至少包括%(value)s中的一项", "%(name)s include at least one of %(value)s"),
    Operator.AT_LEAST: Words("%(name)s不少于%(value)s", "%(name)s: at least %(value)s"),
    Operator.AT_MOST: Words("%(name)s不超过%(value)s", "%(name)s: at most %(value)s"),
    Operator.OVER: Words("%(name)s超过%(value)s", "%(name)s: more than %(value)s"),
    Operator.UNDER: Words("%(name)s不足%(value)s", "%(name)s: less than %(value)s"),
}


def leaf(path: str, operator: str, value: Any) -> Words:
    """Return one comparison in words, without a full stop."""
    about = names.fact(path)
    word = Operator(operator)
    if word is Operator.EXISTS:
        given = Words("已有%(name)s", "%(name)s is given") if value else Words("没有%(name)s", "%(name)s is absent")
        return given.fill(name=about.name)
    if isinstance(value, bool) and word in (Operator.EQUAL, Operator.UNEQUAL):
        is_yes = value is (word is Operator.EQUAL)
        said = about.yes if is_yes else about.no
        return said or Words("%(name)s：%(value)s", "%(name)s: %(value)s").fill(
            name=about.name, value=names.value(is_yes)
        )
    said = names.value(list(value) if isinstance(value, tuple) else value, about)
    return COMPARISONS[word].fill(name=about.name, value=Words(_set_off(said.zh), said.en))


def _set_off(chinese: str) -> str:
    """Set a number or a Latin word off from the Chinese around it."""
    return f" {chinese}" if chinese[:1].isascii() or chinese.startswith("¥") else chinese


def where(predicate: Predicate) -> Words:
    """Return a condition as the opening of a sentence."""
    said = condition(predicate)
    gap = " " if said.zh[-1:].isascii() else ""
    return Words(f"当{said.zh}{gap}时", f"where {said.en}")


def condition(predicate: Predicate) -> Words:
    """Return a condition in words, without a full stop."""
    match predicate:
        case Leaf():
            return leaf(predicate.path, predicate.operator, predicate.value)
        case Not():
            return Words("不属于以下情形：%(part)s", "not the case that %(part)s").fill(part=condition(predicate.part))
        case AllOf():
            return all_of([_nested(part) for part in predicate.parts])
        case AnyOf():
            parts = [_nested(part) for part in predicate.parts]
            if len(parts) == 1:
                return parts[0]
            return Words(
                "满足以下任一项：" + "；或".join(part.zh for part in parts),
                "either " + "; or ".join(part.en for part in parts),
            )


def _nested(predicate: Predicate) -> Words:
    said = condition(predicate)
    many = isinstance(predicate, AllOf | AnyOf) and len(predicate.parts) > 1
    return Words(f"（{said.zh}）", f"({said.en})") if many else said


def all_of(parts: Iterable[Words]) -> Words:
    return join(parts, "，且", ", and ")


def join(parts: Iterable[Words], zh: str = "、", en: str = ", ") -> Words:
    several = list(parts)
    return Words(zh.join(part.zh for part in several), en.join(part.en for part in several))


def sentence(said: Words) -> Words:
    """Finish `said` as a sentence: a full stop, in English a capital."""
    return Words(said.zh.rstrip("。") + "。", said.en[:1].upper() + said.en[1:].rstrip(".") + ".")


def sentences(predicate: Predicate | None) -> list[Words]:
    """Return a condition as sentences, one for each part that must hold."""
    if predicate is None:
        return []
    if isinstance(predicate, AllOf):
        return [said for part in predicate.parts for said in sentences(part)]
    return [sentence(condition(predicate))]


def stated(found: list[Any]) -> Words:
    """Return one entry of `benefits.conditions`: what was asked, and what the request says."""
    path, operator, value, actual, negated, is_stated = found
    asked = leaf(path, operator, value)
    if negated:
        asked = Words("不得：%(asked)s", "must not be: %(asked)s").fill(asked=asked)
    if not is_stated:
        return Words("%(asked)s（未提供）", "%(asked)s (not stated)").fill(asked=asked)
    said = names.value(actual, names.fact(path))
    return Words("%(asked)s（申请中为：%(said)s）", "%(asked)s (the request says: %(said)s)").fill(
        asked=asked, said=said
    )
