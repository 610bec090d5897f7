"""Connected accounts of providers, transfers to them and their reversals."""

from __future__ import annotations

from typing import Final

from integrations.local.payserver.balance import available, move
from integrations.local.payserver.errors import no_such, refused
from integrations.local.payserver.intents import amount_of, currency_of
from integrations.local.payserver.money import shown
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["PLATFORM", "create_account", "own_account"]

PLATFORM: Final = "acct_SandboxPlatform"


def create_account(act: Act, params: Params) -> Object:
    """Open an account that may receive transfers at once; nothing is asked of its owner here."""
    params.allow(
        ("type", "country", "email", "capabilities", "business_type", "metadata", "controller", "business_profile")
    )
    made = act.fresh(
        "account",
        "acct",
        business_type=params.text("business_type") or None,
        capabilities={"transfers": "active"},
        charges_enabled=True,
        country=params.text("country") or "HK",
        default_currency="cny",
        details_submitted=True,
        email=params.text("email") or None,
        metadata=params.metadata(),
        payouts_enabled=True,
        requirements={"currently_due": [], "disabled_reason": None, "past_due": []},
        type=params.choice("type", ("express", "custom", "standard")) or "express",
    )
    del made["livemode"]
    return act.put(made)


def own_account(act: Act, params: Params) -> Object:
    """Return the account the key opens: the connected one acted for, else the platform's, which is always the same."""
    params.allow(())
    if act.account:
        return Act(act.world).get("account", act.account)
    return {
        "id": PLATFORM,
        "object": "account",
        "business_type": "company",
        "capabilities": {f"{one}_payments": "active" for one in ("alipay", "card", "wechat_pay")}
        | {"transfers": "active"},
        "charges_enabled": True,
        "country": "HK",
        "default_currency": "cny",
        "details_submitted": True,
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }


def create_transfer(act: Act, params: Params) -> Object:
    params.allow(
        ("amount", "currency", "description", "destination", "metadata", "source_transaction", "transfer_group")
    )
    amount, currency = amount_of(params, act), currency_of(params)
    destination = params.text("destination", required=True)
    account = act.look(destination)
    if account is None or account["object"] != "account":
        raise no_such("destination", destination, "destination")
    if account["capabilities"].get("transfers") != "active":
        raise refused(
            "Your destination account needs to have at least one of the following capabilities enabled: transfers",
            code="insufficient_capabilities_for_transfer",
        )
    if amount > available(act, currency):
        raise refused("You have insufficient available funds in your Stripe account.", code="balance_insufficient")
    source = params.text("source_transaction")
    if source:
        act.get("charge", source, "source_transaction")
    made = act.fresh(
        "transfer",
        "tr",
        amount=amount,
        amount_reversed=0,
        balance_transaction=None,
        currency=currency,
        description=params.text("description") or None,
        destination=destination,
        destination_payment=None,
        metadata=params.metadata(),
        reversals={"object": "list", "data": [], "has_more": False, "url": ""},
        reversed=False,
        source_transaction=source or None,
        source_type="card",
        transfer_group=params.text("transfer_group") or None,
    )
    made["reversals"]["url"] = f"/v1/transfers/{made['id']}/reversals"
    moved = move(act, "transfer", -amount, currency, made["id"], words=made["description"] or "")
    made["balance_transaction"] = moved["id"]
    there = Act(act.world, account=destination, request=act.request, at=act.at)
    move(there, "payment", amount, currency, made["id"])
    act.put(made)
    act.emit("transfer.created", made)
    return made


def reverse_transfer(act: Act, params: Params, identifier: str) -> Object:
    params.allow(("amount", "description", "metadata"))
    found = act.get("transfer", identifier)
    left = found["amount"] - found["amount_reversed"]
    asked = params.whole("amount", smallest=1)
    amount = left if asked is None else asked
    if left == 0 or amount > left:
        raise refused(
            f"Transfer reversal amount ({shown(amount, found['currency'])}) is greater than the unreversed amount "
            f"({shown(left, found['currency'])}).",
            param="amount",
        )
    made = act.fresh(
        "transfer_reversal",
        "trr",
        amount=amount,
        balance_transaction=None,
        currency=found["currency"],
        destination_payment_refund=None,
        metadata=params.metadata(),
        source_refund=None,
        transfer=found["id"],
    )
    del made["livemode"]
    made["balance_transaction"] = move(act, "transfer_refund", amount, found["currency"], made["id"])["id"]
    there = Act(act.world, account=found["destination"], request=act.request, at=act.at)
    move(there, "payment_refund", -amount, found["currency"], made["id"])
    before = dict(found)
    found["amount_reversed"] += amount
    found["reversed"] = found["amount_reversed"] == found["amount"]
    found["reversals"]["data"] = [made, *found["reversals"]["data"]]
    act.put(made)
    act.put(found)
    act.emit("transfer.reversed", found, before)
    return made
