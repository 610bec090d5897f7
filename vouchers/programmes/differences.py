"""What changed between two versions of a programme, in words. Pure.

Every change of the document is told, with its place; nothing that stayed the same is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from portal.kernel.money import Money
from vouchers.programmes import names, phrases
from vouchers.programmes.conditions import condition, join
from vouchers.programmes.explanations import payer
from vouchers.programmes.options import option
from vouchers.programmes.parsing import Problems, child
from vouchers.programmes.predicates import predicate
from vouchers.programmes.schema_words import title
from vouchers.programmes.schemes import Programme
from vouchers.programmes.words import Words

__all__ = ["Difference", "differences", "said"]

W = Words
NOTHING: Final = W("", "")


@dataclass(frozen=True, slots=True)
class Difference:
    """One change: the section of the file, what stood there and what stands there now ("" = nothing), its path.

    `name` is what the changed key is called.
    """

    section: str
    before: str
    after: str
    path: str
    name: str


def differences(before: Programme, after: Programme, language: str) -> list[Difference]:
    """Return every change from one version to the next, in the order of the file; empty only for equal documents."""
    found = []
    for path, old, new in _changes(before.document, after.document, ""):
        bare = plain(path)
        with names.declared(before.facts):
            was = said(bare, old)
        with names.declared(after.facts):
            now = said(bare, new)
        section = _section(bare.partition(".")[0])
        words = [part.say(language) for part in (section, was, now, title(bare))]
        found.append(Difference(words[0], words[1], words[2], path, words[3]))
    return found


SECTIONS: Final[Sequence[tuple[Words, frozenset[str]]]] = (
    (
        W("依据与期限", "Basis and term"),
        frozenset(
            {
                *("schema", "code", "name", "doc_no", "issuer", "lead", "co_leads", "level", "source", "grade"),
                *("supersedes", "in_force", "side", "facts"),
            }
        ),
    ),
    (
        W("谁可以申请", "Who may apply"),
        frozenset({"eligibility", "applicant_kinds", "double_subsidy", "double_levels"}),
    ),
    (W("服务机构", "Providers"), frozenset({"provider", "related_party"})),
    (W("支持什么", "What is supported"), frozenset({"subject", "purpose", "channel", "cost"})),
    (W("支持多少", "How much"), frozenset({"lines", "choose", "floor", "rounding"})),
    (
        W("上限与次数", "Ceilings and counts"),
        frozenset({"caps", "count", "per_contract_count", "max_cycles", "year_basis"}),
    ),
    (W("资金", "Money"), frozenset({"pool", "pool_short", "funding"})),
    (W("使用与兑付", "Use and redemption"), frozenset({"voucher", "validity", "redeem"})),
    (
        W("公示与监督", "Notice and control"),
        frozenset({"notice", "confidential_fields", "audit", "sanctions", "metrics"}),
    ),
)
INTAKE: Final = W("受理与评审", "Intake and review")


def _section(key: str) -> Words:
    return next((words for words, keys in SECTIONS if key in keys), INTAKE)


CONDITIONS: Final = re.compile(r"(^|\.)(eligibility|purpose|when|unless|required_when)$")
IDENTITIES: Final = {
    "lines": "id",
    "co_leads": "name",
    "workflow": "stage",
    "facts": "path",
    "funding": "payer",
    "evidence": "doc",
    "sanctions": "breach",
    "applicant_kinds": "kind",
}
"""Lists whose items are known by a name rather than by their place."""


def plain(path: str) -> str:
    """Return a path without indices: ``caps[0].amount`` is ``caps.amount``."""
    return re.sub(r"\[[^\]]*\]", "", path)


def _is_condition(path: str, value: Any) -> bool:
    if value is None:
        return False
    if CONDITIONS.search(path):
        return True
    return path == "provider" and (isinstance(value, list) or bool({"all", "any", "not"} & set(value)))


def _changes(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield path, old and new value of every smallest change; None stands for what is not there."""
    if old == new and type(old) is type(new):
        return
    whole = _is_condition(plain(path), old) or _is_condition(plain(path), new)
    if not whole and isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _changes(old.get(key), new.get(key), child(path, key))
    elif not whole and path in IDENTITIES and isinstance(old, list) and isinstance(new, list):
        yield from _items(old, new, path)
    elif not whole and path == "caps" and isinstance(old, list) and isinstance(new, list):
        for at in range(max(len(old), len(new))):
            was, now = (part[at] if at < len(part) else None for part in (old, new))
            yield from _changes(was, now, child(path, at))
    else:
        yield path, old, new


def _items(old: list[Any], new: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    """Compare items of the same name, wherever they stand; a change of their order is one change of its own."""
    was, now = _named(old, IDENTITIES[path]), _named(new, IDENTITIES[path])
    if was is None or now is None:
        yield path, old, new
        return
    places = {name: at for at, name in enumerate(now)} | {name: at for at, name in enumerate(was) if name not in now}
    for name in [*was, *(name for name in now if name not in was)]:
        yield from _changes(was.get(name), now.get(name), child(path, places[name]))
    kept = [name for name in was if name in now], [name for name in now if name in was]
    if kept[0] != kept[1]:
        yield path, kept[0], kept[1]


def _named(items: list[Any], key: str) -> dict[str, Any] | None:
    """Return items by name; None where a name is missing or not the only one."""
    found = {}
    for item in items:
        name = item.get(key) if isinstance(item, Mapping) else item
        if not isinstance(name, str) or name in found:
            return None
        found[name] = item
    return found


AMOUNTS: Final = re.compile(
    r"(^|\.)(amount|cap|soft|floor|min_base|amount_cap|per_application_max|holding_max|to|face_values)$"
)
RATES: Final = re.compile(
    r"(^|\.)(rate|share|rate_cap|combined_rate_cap|max_share|sample_rate|admin_share)$|^region_quotas\."
)
NO_AMOUNTS: Final = frozenset({"windows.to", "cost.period.to", "cost.free_quota.amount", "notice.objection_to"})


def said(path: str, value: Any) -> Words:
    """Return the value of the key at `path` (without indices) in words; nothing for what is not there."""
    if value is None:
        return NOTHING
    if _is_condition(path, value):
        read = predicate(value, "", Problems())
        return condition(read) if read is not None else NOTHING
    if isinstance(value, Mapping):
        return join(
            (_pair(f"{path}.{key}", part) for key, part in value.items()),
            "；",
            "; ",
        )
    if isinstance(value, list):
        if path == "in_force":
            first, last = ("—" if day is None else str(day) for day in value)
            return W(f"{first} 至 {last}", f"{first} to {last}")
        if path == "lines.brackets.table":
            return join(_bracket(*row) for row in value)
        return join((said(path, part) for part in value), "、", ", ")
    return _scalar(path, value)


def _bracket(upper: Any, rate: Any) -> Words:
    share, to = names.percent(Fraction(Decimal(str(rate)))), "" if upper is None else _money(upper).zh
    return W(f"不超过 {to} 的 {share}", f"{share} up to {to}") if to else W(f"以上 {share}", f"{share} above that")


def _pair(path: str, value: Any) -> Words:
    key = path.rpartition(".")[2]
    name = title(path) if title(path).zh != path else W(key, key)
    return W("%(name)s：%(value)s", "%(name)s: %(value)s").fill(name=name, value=said(path, value))


def _scalar(path: str, value: Any) -> Words:
    if isinstance(value, bool):
        return names.value(value)
    if path not in NO_AMOUNTS and AMOUNTS.search(path):
        return _money(value)
    if RATES.search(path):
        share = names.percent(Fraction(Decimal(str(value))))
        return W(share, share)
    if not isinstance(value, str):
        return W(str(value), str(value))
    if path == "funding.payer":
        return payer(value)
    called = option(path, value)
    return called if called.zh != value else phrases.phrase(value)


def _money(value: Any) -> Words:
    amount = names.money(Money(int(Decimal(str(value)) * 100)))
    return W(amount, amount)
