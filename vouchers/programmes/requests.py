"""What is asked of a programme: the facts of one application. Facts are free; what the engine itself reads is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from portal.kernel.errors import noop
from portal.kernel.money import Money
from vouchers.programmes import readers
from vouchers.programmes.parsing import BadDocument, Problems, Reader, child, decode, shaped
from vouchers.programmes.predicates import ABSENT, SECTIONS, lookup
from vouchers.programmes.readers import amount, flag, listing, nullable, record, refuse, text, whole
from vouchers.programmes.schemes import Side
from vouchers.programmes.terms import instant
from vouchers.programmes.words import Words

__all__ = ["BadRequest", "PastAward", "Request", "load_request", "read_request"]

_ = noop


class BadRequest(BadDocument):
    code = "invalid.request"
    message = _("申请数据有 %(count)s 处问题。第一处：%(first)s")


@dataclass(frozen=True, slots=True)
class PastAward:
    """An award made before. What is not stated is ABSENT; a null contract is none.

    `amount` is what was granted, `paid` what was paid less what was recovered (as granted where not stated); `date` the
    day of the decision; `cycle` the number of the support cycle; `invoices` the numbers of the invoices it rests on;
    `of_group`: another company of the applicant's group received it; `free_used`: units used of the free quota.
    """

    programme: str
    amount: Money
    year: Any = ABSENT
    contract: Any = ABSENT
    level: Any = ABSENT
    side: Any = ABSENT
    paid: Any = ABSENT
    date: Any = ABSENT
    service_year: Any = ABSENT
    cycle: Any = ABSENT
    project: Any = ABSENT
    invoices: Any = ABSENT
    of_group: bool = False
    free_used: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Request:
    """The facts of one application. `year` is the award year, `today` the day of the test, `pool` what is left.

    `at` is the instant of submission, `cycle` the number of the support cycle, `holding` what the applicant holds unspent
    under the programme, `k` the coefficient the batch fixed for rates that are ceilings.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    year: int | None = None
    today: date | None = None
    history: tuple[PastAward, ...] = ()
    pool: Money | None = None
    at: datetime | None = None
    cycle: int | None = None
    holding: Money | None = None
    k: Fraction = Fraction(1)

    def fact(self, path: str) -> Any:
        """Return the fact at `path`: None where known to be absent, ABSENT where not stated."""
        return lookup(self.facts, path)

    @property
    def award_year(self) -> int | None:
        """The calendar year of the decision, in which yearly caps count."""
        return self.year or (self.today.year if self.today else None)

    @property
    def items(self) -> Mapping[str, Money] | None:
        """What the contract buys, by kind; None where not stated, empty where known to be nothing."""
        return self.priced("contract.items")

    def priced(self, path: str) -> Mapping[str, Money] | None:
        """Return the amounts by kind at `path`; None where not stated, empty where known to be nothing."""
        items = self.fact(path)
        if items is ABSENT:
            return None
        return {kind: _money(value) for kind, value in (items or {}).items() if value is not None}


def _money(value: Any) -> Money:
    exact = readers.number(value)
    assert exact is not None, "load_request checked it"
    return Money(int(exact * 100))


_contract_id = text(most=200)


@shaped({})
def _identity(value: Any, path: str, problems: Problems) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _contract_id(value, path, problems)


def _months(value: Any, path: str, problems: Problems) -> Any:
    exact = readers.number(value)
    if exact is None or not 0 <= exact <= 1200:
        refuse(value, path, problems, Words("0 到 1200 的月数", "a number of months from 0 to 1200"))
    return exact


@shaped({})
def _items(value: Any, path: str, problems: Problems) -> None:
    if not isinstance(value, dict):
        refuse(value, path, problems, Words("对象：种类 → 金额", "an object: kind → amount"))
        return
    for kind, price in value.items():
        nullable(amount())(price, child(path, kind), problems)


_texts = listing(text(most=200), most=1000)

READ_BY_THE_ENGINE: Mapping[str, Reader] = {
    "contract.items": _items,
    "contract.approved_items": _items,
    "contract.ordered_items": _items,
    "contract.invoiced_items": _items,
    "contract.paid_items": _items,
    "usage.items": _items,
    "contract.id": _identity,
    "contract.project": _identity,
    "contract.invoices": _texts,
    "contract.relations": _texts,
    "contract.service_year": whole(1900, 9999),
    "contract.service_from": readers.day,
    "contract.service_to": readers.day,
    "contract.signed": readers.day,
    "contract.months": _months,
    "contract.related": flag,
    "approval.soft_cap_waived": flag,
    "applicant.cycles_used": whole(0, 1000),
    "applicant.cycles_in_a_row": whole(0, 1000),
    "applicant.barred_until": readers.day,
}


@shaped({})
def _section(value: Any, path: str, problems: Problems) -> Any:
    if value is not None and not isinstance(value, dict):
        refuse(value, path, problems, Words("对象或 null", "an object or null"))
        return {}
    return value


_award = record(
    {
        "programme": text(most=80),
        "year": whole(1900, 9999),
        "amount": amount(),
        "contract": nullable(_identity),
        "level": nullable(text(most=40)),
        "side": readers.choice(*Side),
        "paid": amount(),
        "date": readers.day,
        "service_year": whole(1900, 9999),
        "cycle": whole(1, 1000),
        "project": nullable(_identity),
        "invoices": listing(text(most=200), most=1000),
        "of_group": flag,
        "free_used": amount(),
    },
    required=("programme", "amount"),
)

_request = record(
    {
        **dict.fromkeys(SECTIONS, _section),
        "year": nullable(whole(1900, 9999)),
        "today": nullable(readers.day),
        "history": nullable(listing(_award, most=5000)),
        "pool": nullable(amount()),
        "at": nullable(readers.moment),
        "cycle": nullable(whole(1, 1000)),
        "holding": nullable(amount()),
        "k": nullable(readers.rate),
    }
)


def load_request(raw: bytes | str | Mapping[str, Any]) -> Request:
    """Read and check a request. Raises BadRequest with every problem found. Limits as `documents.load`."""
    problems = Problems()
    document = decode(raw, problems)
    problems.raise_as(BadRequest)
    request = read_request(document, "", problems)
    problems.raise_as(BadRequest)
    return request


def read_request(value: Any, path: str, problems: Problems) -> Request:
    """Read a decoded request; a reader, see `parsing`."""
    before = len(problems)
    read = _request(value, path, problems)
    facts = {key: read[key] for key in SECTIONS if key in read}
    for fact, reader in READ_BY_THE_ENGINE.items():
        stated = lookup(facts, fact)
        if stated is not ABSENT and stated is not None:
            section, key = fact.split(".")
            reader(stated, child(child(path, section), key), problems)
    if len(problems) > before:
        return Request()
    return Request(
        facts=facts,
        year=read.get("year"),
        today=read.get("today"),
        history=tuple(PastAward(**row) for row in read.get("history") or ()),
        pool=read.get("pool"),
        at=instant(read["at"]) if read.get("at") else None,
        cycle=read.get("cycle"),
        holding=read.get("holding"),
        k=Fraction(1) if read.get("k") is None else read["k"],
    )
