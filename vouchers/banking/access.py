"""Reach bank accounts, statements and their lines: finance alone sees them."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from vouchers.banking.models import BankAccount, BankClaim, BankMatch, StatementImport, StatementLine
from vouchers.payments.rules import bank_reference

__all__ = [
    "FINANCE",
    "accounts",
    "claims_like",
    "get_account",
    "get_claim",
    "get_import",
    "get_line",
    "get_match",
    "imports",
    "lines",
    "require_finance",
]

FINANCE = (Permission.BANK_MATCH, Permission.BANK_APPROVE)


def is_finance(actor: Actor) -> bool:
    return any(actor.may(permission) for permission in FINANCE)


def require_finance(actor: Actor) -> None:
    """Raises Forbidden unless the actor may match or approve."""
    if not is_finance(actor):
        raise Forbidden


def accounts(actor: Actor) -> QuerySet[BankAccount]:
    """Return the operator's bank accounts, for finance."""
    return BankAccount.objects.all() if is_finance(actor) else BankAccount.objects.none()


def get_account(actor: Actor, code: str) -> BankAccount:
    """Return one account by code. Raises NotFound."""
    found = accounts(actor).filter(code=code).first()
    if found is None:
        raise NotFound
    return found


def imports(actor: Actor) -> QuerySet[StatementImport]:
    """Return statements that were taken, without the faulty rows themselves."""
    rows = StatementImport.objects.select_related("account", "imported_by").defer("faults")
    return rows if is_finance(actor) else rows.none()


def get_import(actor: Actor, pk: int) -> StatementImport:
    """Return one statement with its faulty rows. Raises NotFound."""
    found = imports(actor).defer(None).select_related("account", "imported_by").filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def lines(actor: Actor) -> QuerySet[StatementLine]:
    """Return statement lines with their account."""
    rows = StatementLine.objects.select_related("account")
    return rows if is_finance(actor) else rows.none()


def get_line(actor: Actor, pk: int) -> StatementLine:
    """Return one line. Raises NotFound."""
    found = lines(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def get_match(actor: Actor, pk: int) -> BankMatch:
    """Return one match with its line. Raises NotFound."""
    rows = BankMatch.objects.select_related("line__account")
    found = rows.filter(pk=pk).first() if is_finance(actor) else None
    if found is None:
        raise NotFound
    return found


def claims(actor: Actor) -> QuerySet[BankClaim]:
    """Return the bank references of which a person said what they are for, for finance."""
    rows = BankClaim.objects.select_related("doubted_by", "released_by")
    return rows if is_finance(actor) else rows.none()


def claims_like(actor: Actor, text: str, *, doubted: bool = False) -> QuerySet[BankClaim]:
    """Return those whose reference or subject holds a text; `doubted` those only that wait for a second person."""
    rows = claims(actor)
    if value := bank_reference(text):
        rows = rows.filter(Q(reference__startswith=value) | Q(right=value) | Q(subject__endswith=f":{value}"))
    return rows.filter(released_at=None).exclude(doubter="") if doubted else rows


def get_claim(actor: Actor, pk: int) -> BankClaim:
    """Return one of them. Raises NotFound."""
    found = claims(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found
