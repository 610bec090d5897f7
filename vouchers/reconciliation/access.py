"""Reach reconciliation: who reads the ledger reads it."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.banking.models import BankAccount
from vouchers.reconciliation.models import EntryExplanation, GatewayCheck

__all__ = ["bank_accounts", "explanations", "get_bank_account", "get_explanation", "get_rail", "rails_visible_to"]


def rails_visible_to(actor: Actor, *, configured: Iterable[str]) -> list[str]:
    """Return the gateways that are configured or that anything was ever seen of, by name. Raises Forbidden."""
    actor.require(Permission.LEDGER_READ)
    seen = GatewayCheck.objects.order_by().values_list("rail", flat=True).distinct()
    return sorted({*configured, *seen})


def get_rail(actor: Actor, code: str, *, configured: Iterable[str]) -> str:
    """Return a gateway's code. Raises NotFound, Forbidden."""
    if code not in rails_visible_to(actor, configured=configured):
        raise NotFound
    return code


def explanations(actor: Actor) -> QuerySet[EntryExplanation]:
    """Return what persons said of entries, newest first. Raises Forbidden."""
    actor.require(Permission.LEDGER_READ)
    return EntryExplanation.objects.select_related("proposed_by", "decided_by")


def get_explanation(actor: Actor, pk: int) -> EntryExplanation:
    """Return what a person said of an entry. Raises NotFound, Forbidden."""
    found = explanations(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def bank_accounts(actor: Actor) -> QuerySet[BankAccount]:
    """Return the operator's bank accounts, for who reads the ledger. Raises Forbidden."""
    actor.require(Permission.LEDGER_READ)
    return BankAccount.objects.order_by("pk")


def get_bank_account(actor: Actor, code: str) -> BankAccount:
    """Return a bank account by code. Raises NotFound, Forbidden."""
    found = bank_accounts(actor).filter(code=code).first()
    if found is None:
        raise NotFound
    return found
