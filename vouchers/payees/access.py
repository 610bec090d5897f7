"""Reach bank accounts of payees: the payee's owners their own, finance all; who settles reads them masked."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.evidence import access as evidence
from vouchers.evidence.models import EvidenceFile
from vouchers.payees.models import PayeeAccount

__all__ = ["READERS", "get_account", "get_proof", "may_read_number", "subject_of", "visible_to"]

READERS = (Permission.PAYEE_MANAGE, Permission.PAYEE_VERIFY)
RELATED = ("organisation", "proposed_by", "checked_by", "verified_by")


def subject_of(account: PayeeAccount) -> str:
    """Return what the trail and the evidence store call the account."""
    return f"payee_account:{account.reference}"


def visible_to(actor: Actor) -> QuerySet[PayeeAccount]:
    """Return the accounts the actor may see."""
    accounts = PayeeAccount.objects.select_related(*RELATED)
    if actor.may(Permission.PAYEE_VERIFY):
        return accounts
    if actor.may(Permission.PAYEE_MANAGE):
        return accounts.filter(organisation_id=actor.acting_for)
    return accounts.none()


def get_account(actor: Actor, reference: str) -> PayeeAccount:
    """Return one account. Raises NotFound."""
    found = visible_to(actor).filter(reference=reference).first()
    if found is None:
        raise NotFound
    return found


def get_proof(actor: Actor, reference: str, file_id: int) -> EvidenceFile:
    """Return a proof of an account the actor may see. Raises NotFound."""
    return evidence.get_file(subject_of(get_account(actor, reference)), file_id)


def may_read_number(actor: Actor, account: PayeeAccount) -> bool:
    """Say whether the whole number is shown: to the payee's owners, and to finance, who compare it with the proof."""
    own = actor.may(Permission.PAYEE_MANAGE) and actor.organisation_id == account.organisation_id
    return own or actor.may(Permission.PAYEE_VERIFY)
