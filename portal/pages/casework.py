"""An application as people read it: its facts, its decision and the way to it, and what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.translation import get_language, gettext

from portal.audit import queries as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import noop
from portal.kernel.money import Money
from portal.pages.actions import Event, events
from vouchers.issuance.drafts import refuse_closed
from vouchers.issuance.models import Application
from vouchers.issuance.rules import DeadlinePassed, NotYetOpen
from vouchers.programmes import access, names, wording
from vouchers.programmes.decisions import Decision, DecisionKind, Outcome
from vouchers.programmes.models import ProgrammeVersion

__all__ = [
    "Explanation",
    "Fact",
    "Group",
    "Step",
    "awards_of",
    "capital",
    "closed_words",
    "decision_of",
    "explained",
    "facts_of",
    "language",
    "listed",
    "purchases_of",
    "timeline",
]

_ = noop

SECTIONS: Final[Mapping[str, str]] = {
    "contract": _("合同"),
    "applicant": _("申请单位"),
    "provider": _("服务单位"),
    "instrument": _("仪器"),
    "request": _("申报"),
    "usage": _("用量"),
    "approval": _("审批"),
}
TONES: Final[Mapping[Outcome, str]] = {
    Outcome.PASS: "ok",
    Outcome.FAIL: "bad",
    Outcome.UNKNOWN: "wait",
    Outcome.SKIPPED: "",
    Outcome.NOTE: "",
}
WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.PASS: _("通过"),
    Outcome.FAIL: _("不符合"),
    Outcome.UNKNOWN: _("未明"),
    Outcome.SKIPPED: _("不适用"),
    Outcome.NOTE: _("计算"),
}


def language() -> str:
    """Return the reader's language as the rule engine's words take it."""
    return "en" if (get_language() or "").startswith("en") else "zh"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact in words."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """The facts of one party or thing."""

    title: str
    facts: list[Fact]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the decision in words; `tone` as of a rule, `outcome` its word."""

    tone: str
    outcome: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision in words: the answer, its grounds, what is missing, and every step."""

    kind: str
    headline: str
    grounds: list[wording.Ground]
    missing: list[str]
    left_out: list[str]
    steps: list[Step]
    amount: Money | None
    lowered: list[str]
    """What made a granted amount smaller, such as a ceiling or what is held already."""

    @property
    def tone(self) -> str:
        return {"grant": "ok", "reject": "bad"}.get(self.kind, "wait")


def listed(parts: Iterable[str]) -> str:
    """Return several words as a list in the reader's language."""
    return ("、" if language() == "zh" else ", ").join(parts)


def capital(text: str) -> str:
    """Return `text` with its first letter raised, as a label has it."""
    return text[:1].upper() + text[1:]


def explained(decision: Decision) -> Explanation:
    """Return `decision` in the reader's language. One query, for the names of other programmes."""
    said = language()
    told = wording.explain(decision, said, catalogue=access.catalogue())
    is_granted = decision.decision in {DecisionKind.GRANT, DecisionKind.MANUAL}
    return Explanation(
        kind=decision.decision.value,
        headline=wording.headline(decision, said),
        grounds=wording.reasons(decision, said),
        missing=[capital(fact.name.say(said)) for fact in decision.missing],
        left_out=[
            gettext("第 %(number)s 档未计入：尚不清楚%(facts)s。")
            % {"number": left.number, "facts": listed(names.fact(path).name.say(said) for path in left.missing)}
            for left in decision.left_out
        ],
        steps=[Step(TONES[step.outcome], gettext(WORDS[step.outcome]), step.text) for step in told],
        amount=decision.amount if is_granted else None,
        lowered=[step.text for step in told if step.lowers] if is_granted else [],
    )


def decision_of(application: Application) -> Decision:
    """Return the decision stored with an application."""
    return Decision.from_json(application.decision)


def facts_of(request: Mapping[str, Any]) -> list[Group]:
    """Return what the rules were told, party by party, in words; a contract's amounts are `purchases_of`."""
    said = language()
    groups = []
    for section, title in SECTIONS.items():
        facts = [
            _fact(f"{section}.{key}", value, said)
            for key, value in (request.get(section) or {}).items()
            if key not in {"items", "name_en"}
        ]
        if facts:
            groups.append(Group(gettext(title), facts))
    return groups


def _fact(path: str, value: Any, said: str) -> Fact:
    about = names.fact(path)
    whose = f"the {path.partition('.')[0]}'s "
    # The heading above already says whose fact it is.
    name = gettext("名称") if path == "provider.name" else capital(about.name.say(said).removeprefix(whose))
    if isinstance(value, str) and path in {"provider.name", "contract.id"}:
        return Fact(name, value)
    return Fact(name, capital(names.value(value, about).say(said).replace("“", "").replace("”", "")))


def purchases_of(request: Mapping[str, Any]) -> list[tuple[str, Money]]:
    """Return what the contract buys: kind in words and amount."""
    items = (request.get("contract") or {}).get("items") or {}
    return [(capital(names.kind(kind).say(language())), Money.from_yuan(str(yuan))) for kind, yuan in items.items()]


def awards_of(request: Mapping[str, Any]) -> list[tuple[int, str, Money]]:
    """Return earlier awards the rules counted: year, contract and amount."""
    awards = request.get("history") or []
    return [(award["year"], award.get("contract") or "", Money.from_yuan(str(award["amount"]))) for award in awards]


def timeline(application: Application, actor: Actor) -> list[Event]:
    """Return what was done with an application, oldest first, as far as `actor` may read it. One query."""
    return events(audit.trail(f"application:{application.number}", actor=actor))


def closed_words(version: ProgrammeVersion, *, now: datetime) -> str:
    """Say that a programme takes no applications at this moment, and since or until when; empty where it takes them."""
    try:
        refuse_closed(version, now=now)
    except DeadlinePassed as error:
        text = gettext(
            "本批申请已于 %(deadline)s（北京时间）截止，现在提交不会受理。您可以测算，请留意下一批申报通知。"
        )
        return text % error.params
    except NotYetOpen as error:
        return gettext("本批申请从 %(opens)s（北京时间）开始受理。您可以先测算，届时再提交。") % error.params
    return ""
