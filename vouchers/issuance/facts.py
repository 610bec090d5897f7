"""Turn a contract and what is registered into the request the rule engine reads. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from portal.kernel.errors import Reason, noop
from portal.kernel.money import Money

__all__ = ["Award", "Contract", "build", "build_without_contract", "contract_reasons", "history_json"]

_ = noop


STATED_SECTIONS = frozenset({"applicant", "provider", "contract", "instrument", "request", "usage"})
"""Sections of a request in which an applicant may state facts."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What an enterprise says of its contract. `items` are fen by cost kind, `months` the whole term."""

    number: str
    provider: str
    signed: date
    months: int
    items: Mapping[str, Money]
    related: bool


@dataclass(frozen=True, slots=True)
class Award:
    """An earlier award of the same organisation that still counts: reserved or issued."""

    programme: str
    year: int
    amount: Money
    contract: str
    level: str | None
    side: str


def contract_reasons(contract: Contract, *, today: date) -> list[Reason]:
    """Return what is wrong with the contract as data, before any rule of a programme is asked."""
    reasons: list[Reason] = []
    if not contract.number.strip() or len(contract.number) > 60:
        reasons.append(Reason("contract.number", _("请填写合同编号（60 字以内）。"), field="contract_number"))
    if not contract.provider.strip():
        reasons.append(Reason("contract.provider", _("请填写服务单位名称。"), field="provider"))
    if contract.signed > today:
        reasons.append(
            Reason("contract.signed", _("签订日期在将来。"), _("请填写合同上的实际签订日期。"), field="signed")
        )
    if not 1 <= contract.months <= 120:
        reasons.append(Reason("contract.months", _("合同期限须在 1 到 120 个月之间。"), field="months"))
    if not contract.items or not all(amount.fen > 0 for amount in contract.items.values()):
        reasons.append(Reason("contract.items", _("请至少填写一项合同金额，金额须大于零。"), field="items"))
    return reasons


def build(
    *,
    registered: Mapping[str, Any],
    contract: Contract,
    stated: Mapping[str, Any],
    history: Iterable[Award],
    pool: Money | None,
    today: date,
) -> dict[str, Any]:
    """Return the request as plain JSON. Registered facts win over stated ones: nobody states itself eligible.

    `stated` holds further facts by path, such as ``contract.purpose``; only the sections applicant, provider,
    contract, instrument, request and usage may be stated.
    """
    request = build_without_contract(registered=registered, stated=stated, history=history, today=today)
    request["provider"]["name"] = contract.provider.strip()
    request["contract"].update(
        {
            "id": contract.number.strip(),
            "items": {kind: amount.yuan() for kind, amount in contract.items.items()},
            "related": contract.related,
            "signed": contract.signed.isoformat(),
            "months": contract.months,
        }
    )
    if pool is not None:
        request["pool"] = pool.yuan()
    return request


def build_without_contract(
    *, registered: Mapping[str, Any], stated: Mapping[str, Any], history: Iterable[Award], today: date
) -> dict[str, Any]:
    """Return the request of somebody given a voucher without a contract yet, as `build` does."""
    request: dict[str, Any] = {section: {} for section in ("applicant", "provider", "contract")}
    for path, value in stated.items():
        section, _dot, name = path.partition(".")
        if section in STATED_SECTIONS and name:
            request.setdefault(section, {})[name] = value
    request["applicant"].update(registered)
    request["year"] = today.year
    request["today"] = today.isoformat()
    request["history"] = history_json(history)
    return request


def history_json(history: Iterable[Award]) -> list[dict[str, Any]]:
    """Return earlier awards as the engine's file format has them."""
    return [
        {
            "programme": award.programme,
            "year": award.year,
            "amount": award.amount.yuan(),
            "contract": award.contract,
            "side": award.side,
        }
        | ({"level": award.level} if award.level else {})
        for award in history
    ]
