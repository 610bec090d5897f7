"""Reading: one object, a page of a list, and what is expanded in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from integrations.local.payserver.balance import settled
from integrations.local.payserver.errors import Problem, no_such
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["expand", "page", "retrieve"]

FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "balance_transaction": ("currency", "payout", "source", "type"),
    "charge": ("customer", "payment_intent", "transfer_group"),
    "checkout.session": ("customer", "payment_intent", "status"),
    "customer": ("email",),
    "dispute": ("charge", "payment_intent"),
    "event": ("type",),
    "payment_intent": ("customer",),
    "payment_method": ("customer", "type"),
    "payout": ("status",),
    "refund": ("charge", "payment_intent"),
    "transfer": ("destination", "transfer_group"),
    "transfer_reversal": (),
    "account": (),
}
EXPANDABLE: Final = {
    *("balance_transaction", "charge", "customer", "destination", "dispute", "failure_balance_transaction"),
    *("latest_charge", "payment_intent", "payment_method", "source", "source_transaction", "transfer"),
}
COMPARES: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
DEEPEST: Final = 4


def retrieve(kind: str) -> Callable[..., Object]:
    """Return the handler of ``GET /v1/…/ID``."""

    def handler(act: Act, params: Params, identifier: str) -> Object:
        params.allow(())
        found = act.get(kind, identifier)
        return settled(act, found) if kind == "balance_transaction" else found

    return handler


def page(kind: str, url: str) -> Callable[..., Object]:
    """Return the handler of ``GET /v1/…``: newest first, `limit` 1 to 100, `created`, `starting_after`, `ending_before`."""

    def handler(act: Act, params: Params, **fixed: str) -> Object:
        filters = tuple(name for name in FILTERS[kind] if name not in fixed)
        params.allow((*filters, "created", "ending_before", "limit", "starting_after", "types"))
        where = {name: text for name in filters if (text := params.text(name))} | fixed
        more, values = _created(params)
        if types := params.words("types"):
            more += f" AND json_extract(body, '$.type') IN ({', '.join('?' * len(types))})"
            values += types
        limit = params.whole("limit", smallest=1)
        limit = 10 if limit is None else limit
        if limit > 100:
            raise Problem(400, "invalid_request_error", "Limit must be between 1 and 100.", param="limit")
        order = "DESC"
        for name, sign in (("starting_after", "<"), ("ending_before", ">")):
            if last := params.text(name):
                more += f" AND seq {sign} ?"
                values.append(_seq(act, kind, last, name))
                order = "DESC" if sign == "<" else "ASC"
        more += f" ORDER BY seq {order} LIMIT ?"
        found = act.world.store.select(kind, act.account, where, more, *values, limit + 1)
        data = found[:limit] if order == "DESC" else found[:limit][::-1]
        if kind == "balance_transaction":
            data = [settled(act, one) for one in data]
        return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url.format(**fixed)}

    return handler


def _seq(act: Act, kind: str, identifier: str, param: str) -> int:
    act.get(kind, identifier, param)
    found = act.world.store.seq(identifier)
    if found is None:
        raise no_such(kind, identifier, param)
    return found


def _created(params: Params) -> tuple[str, list[object]]:
    """Return the SQL and values of ``created``, an equal time or bounds."""
    if not isinstance(params.values.get("created", {}), dict):
        return " AND created = ?", [params.whole("created")]
    bounds = params.sub("created", COMPARES)
    more, values = "", []
    for name in bounds.values:
        more += f" AND created {COMPARES[name]} ?"
        values.append(bounds.whole(name))
    return more, [*values]


def expand(act: Act, found: Any, wanted: list[str]) -> Any:
    """Replace ids by the objects they name, along paths such as ``data.latest_charge.balance_transaction``."""
    for path in wanted:
        parts = path.split(".")
        if len(parts) > DEEPEST + (parts[0] == "data"):
            raise Problem(
                400,
                "invalid_request_error",
                f"You cannot expand more than {DEEPEST} levels of a property.",
                param="expand",
            )
        _expand(act, found, parts, path)
    return found


def _expand(act: Act, found: Any, parts: list[str], path: str) -> None:
    if isinstance(found, list):
        for one in found:
            _expand(act, one, parts, path)
        return
    head, rest = parts[0], parts[1:]
    if not isinstance(found, dict) or (head not in found and head != "line_items"):
        raise _not_expandable(path)
    if head == "line_items" and found.get("object") == "checkout.session":
        found[head] = _line_items(found)
    value = found[head]
    if isinstance(value, str):
        if head not in EXPANDABLE:
            raise _not_expandable(path)
        named = act.look(value)
        if named is None:
            return
        found[head] = value = settled(act, named) if named["object"] == "balance_transaction" else named
    elif value is not None and not isinstance(value, dict | list):
        raise _not_expandable(path)
    if rest and value is not None:
        _expand(act, value, rest, path)


def _line_items(session: Object) -> Object:
    data = [
        {
            "id": f"li_{session['id'][8:24]}{number}",
            "object": "item",
            "amount_subtotal": line["unit_amount"] * line["quantity"],
            "amount_total": line["unit_amount"] * line["quantity"],
            "currency": session["currency"],
            "description": line["name"],
            "quantity": line["quantity"],
        }
        for number, line in enumerate(session["_lines"])
    ]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "url": f"/v1/checkout/sessions/{session['id']}/line_items",
    }


def _not_expandable(path: str) -> Problem:
    return Problem(400, "invalid_request_error", f"This property cannot be expanded ({path[:80]}).", param="expand")
