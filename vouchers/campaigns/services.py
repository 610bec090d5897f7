"""Propose, approve and issue campaigns; the only writer of campaigns and their batches.

A batch is one transaction: its cases, vouchers, codes and one journal under a key of the batch's own. Whoever dies in the
middle of a batch leaves nothing of it behind, and whoever sends a finished batch again changes nothing; so a campaign is
resumed by issuing it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations.models import Organisation
from vouchers.campaigns import rules
from vouchers.campaigns.models import Campaign, CampaignBatch
from vouchers.issuance import enrolling, funds
from vouchers.issuance.rules import NotOpen
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.programmes.models import Budget, ProgrammeVersion
from vouchers.programmes.states import VersionState
from vouchers.wallets import redeeming
from vouchers.wallets import services as wallets

__all__ = ["Keep", "Wanted", "approve", "issue", "issue_batch", "propose", "withdraw"]

Keep = Callable[[CampaignBatch, Sequence[tuple[str, str]]], None]
"""Keeps a batch's pairs of voucher number and code where their holders get them; called before the batch commits, once
for every try, so that a later try replaces what an earlier one left. Codes are stored by their hash only."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom a programme's vouchers are for, by unified social credit code, and facts by path that hold for all of them."""

    version: ProgrammeVersion
    credit_codes: Sequence[str]
    stated: Mapping[str, Any]


@transaction.atomic
def propose(*, actor: Actor, wanted: Wanted, now: datetime, key: str, size: int = rules.BATCH) -> Campaign:
    """Put a list of enterprises forward; nothing is granted before another person approves.

    `size` is the number of vouchers of a batch, at most `rules.BATCH`. Who stands on the list twice counts once.
    Idempotent on (version, `key`). Raises NoRecipients, TooManyRecipients, UnknownRecipients, NotForCampaigns, NotOpen,
    KeyReused, Forbidden.
    """
    actor.require(Permission.APPLICATION_REVIEW)
    version = wanted.version
    if version.programme.department_id != actor.organisation_id:
        raise Forbidden
    listed = list(dict.fromkeys(code.strip().upper() for code in wanted.credit_codes))
    print_ = idempotency.fingerprint({"codes": listed, "stated": dict(wanted.stated)})
    ProgrammeVersion.objects.select_for_update(no_key=True).order_by("pk").get(pk=version.pk)
    if existing := Campaign.objects.filter(version=version, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    if not enrolling.lets_campaigns(version):
        raise rules.NotForCampaigns
    if version.state != VersionState.PUBLISHED.value:
        raise NotOpen
    recipients = _recipients(listed)
    campaign = Campaign.objects.create(
        number=next_number(prefix="E", now=now),
        version=version,
        stated=dict(wanted.stated),
        recipients=len(recipients),
        key=idempotency.check_key(key),
        fingerprint=print_,
        proposed_by_id=actor.person,
        proposed_at=now,
    )
    CampaignBatch.objects.bulk_create(
        CampaignBatch(campaign=campaign, number=number, organisations=part)
        for number, part in enumerate(rules.batches(recipients, size=min(size, rules.BATCH)), start=1)
    )
    _record(campaign, action="campaign.proposed", actor=actor, now=now, recipients=len(recipients))
    return campaign


def _recipients(credit_codes: Sequence[str]) -> list[int]:
    if not credit_codes:
        raise rules.NoRecipients(field="credit_codes")
    if len(credit_codes) > rules.MOST:
        raise rules.TooManyRecipients(field="credit_codes", limit=rules.MOST)
    found = Organisation.objects.filter(kind=Organisation.Kind.ENTERPRISE, credit_code__in=credit_codes)
    known = dict(found.values_list("credit_code", "pk"))
    if unknown := [code for code in credit_codes if code not in known]:
        raise rules.UnknownRecipients(field="credit_codes", count=len(unknown), first="、".join(unknown[:5]))
    return [known[code] for code in credit_codes]


@transaction.atomic
def approve(*, actor: Actor, campaign: Campaign, now: datetime) -> Campaign:
    """Approve a campaign somebody else put forward: from now on `issue` grants it. Raises SamePerson, InvalidTransition."""
    locked = _official(actor, campaign, Permission.APPLICATION_APPROVE)
    if locked.proposed_by_id == actor.person:
        raise rules.SamePerson
    _move(locked, rules.CampaignAction.APPROVE)
    locked.approved_by_id, locked.approved_at = actor.person, now
    locked.save()
    _record(locked, action="campaign.approved", actor=actor, now=now, recipients=locked.recipients)
    return locked


@transaction.atomic
def withdraw(*, actor: Actor, campaign: Campaign, now: datetime) -> Campaign:
    """Take a campaign back before it is approved. Raises InvalidTransition, Forbidden."""
    locked = _official(actor, campaign, Permission.APPLICATION_REVIEW)
    _move(locked, rules.CampaignAction.WITHDRAW)
    locked.finished_at = now
    locked.save()
    _record(locked, action="campaign.withdrawn", actor=actor, now=now)
    return locked


def issue(
    *, campaign: Campaign, actor: Actor, now: datetime, keep: Keep | None = None, most: int | None = None
) -> Iterator[CampaignBatch]:
    """Issue an approved campaign's batches that are not issued yet, in order, each by itself; at most `most` of them.

    Yields each batch as it is committed. Start it again after whatever ended it. Raises NotApproved, and InsufficientFunds
    when somebody else has taken the pool since the batch was cut to it.
    """
    todo = campaign.batches.filter(issued_at__isnull=True).order_by("number").values_list("number", flat=True)
    for number in list(todo[:most] if most is not None else todo):
        yield issue_batch(campaign=campaign, number=number, actor=actor, now=now, keep=keep)


@transaction.atomic
def issue_batch(
    *, campaign: Campaign, number: int, actor: Actor, now: datetime, keep: Keep | None = None
) -> CampaignBatch:
    """Issue one batch of an approved campaign, once: asked again, it answers with what was issued and changes nothing.

    Locks campaign, batch, recipients and version, in this order, and posts last: one journal under the batch's key, signed
    by who proposed and who approved. Recipients whom the rules give nothing, or whom the pool no longer reaches, are
    named in `left_out`, and so are those to whom either of the two belongs. With `keep` every voucher gets a code, where it
    pays at the counter. Raises NotApproved, and NotOpen while the programme is suspended.
    """
    held = _official(actor, campaign, Permission.APPLICATION_APPROVE)
    batch = held.batches.select_for_update(no_key=True).order_by("pk").get(number=number)
    if batch.issued_at is not None:
        return batch
    if held.state != rules.CampaignState.APPROVED.value or held.approved_by_id is None:
        raise rules.NotApproved
    chosen = Organisation.objects.select_for_update(no_key=True).filter(pk__in=batch.organisations).order_by("pk")
    by_id = {organisation.pk: organisation for organisation in chosen}
    version = ProgrammeVersion.objects.select_for_update(no_key=True, of=("self",)).select_related("programme")
    issued = version.order_by("pk").get(pk=held.version_id)
    if issued.state != VersionState.PUBLISHED.value:
        raise NotOpen
    source = enrolling.Source(
        version=issued,
        stated=held.stated,
        key=f"campaign/{held.number}",
        proposed_by=held.proposed_by_id,
        approved_by=held.approved_by_id,
        year=funds.lock(issued, now=now),
    )
    decided = enrolling.decide_for([by_id[pk] for pk in batch.organisations], source=source, now=now)
    grants = enrolling.enrol(decided, source=source, now=now)
    vouchers = wallets.issue_many(grants=grants, now=now)
    if keep is not None and enrolling.pays_at_counter(source.version):
        made = redeeming.make_codes(
            vouchers=vouchers,
            programme=source.version.programme.code,
            fiscal_year=source.year,
            made_by=source.approved_by,
            now=now,
        )
        keep(batch, made)
    batch.issued_at = now
    batch.vouchers = len(vouchers)
    batch.amount_fen = sum(grant.face.fen for grant in grants)
    batch.left_out = decided.left_out
    batch.save()
    if not held.batches.filter(issued_at__isnull=True).exists():
        _move(held, rules.CampaignAction.FINISH)
        held.finished_at = now
        held.save()
    _record(
        held, action="campaign.batch_issued", actor=actor, now=now, holders=[grant.holder_id for grant in grants],
        batch=number, vouchers=batch.vouchers, amount_fen=batch.amount_fen, left_out=len(batch.left_out),
    )  # fmt: skip
    if grants:
        ledger.post(posting=_posting(held, batch, grants))
    return batch


def _posting(campaign: Campaign, batch: CampaignBatch, grants: Sequence[wallets.Grant]) -> Posting:
    version = campaign.version
    pool = Budget.objects.get(programme=version.programme_id, fiscal_year=grants[0].fiscal_year).account_id
    return Posting(
        kind=JournalKind.ISSUE,
        key=batch_key(campaign=campaign, number=batch.number),
        operations=[TransferOp(pool, grant.account_id, grant.face.fen) for grant in grants],
        actor=f"{campaign.proposed_by} #{campaign.proposed_by_id}",
        approved_by=f"{campaign.approved_by} #{campaign.approved_by_id}",
        source_type="campaign",
        source_id=f"{campaign.number}/{batch.number}",
    )


def batch_key(*, campaign: Campaign, number: int) -> str:
    """Return the ledger's key of a batch."""
    return f"campaign:{campaign.number}/batch/{number}"


def _locked(campaign: Campaign) -> Campaign:
    return (
        Campaign.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version__programme", "proposed_by", "approved_by")
        .order_by("pk")
        .get(pk=campaign.pk)
    )


def _official(actor: Actor, campaign: Campaign, permission: Permission) -> Campaign:
    """Lock a campaign for an officer of its programme's department, or for the system. Raises Forbidden."""
    actor.require(permission)
    locked = _locked(campaign)
    if not actor.is_system and locked.version.programme.department_id != actor.organisation_id:
        raise Forbidden
    return locked


def _move(campaign: Campaign, action: rules.CampaignAction) -> None:
    campaign.state = next_state(rules.TRANSITIONS, rules.CampaignState(campaign.state), action).value


def _record(
    campaign: Campaign, *, action: str, actor: Actor, now: datetime, holders: Sequence[int] = (), **data: Any
) -> None:
    audit.record(
        action=action,
        subject=f"campaign:{campaign.number}",
        actor=actor,
        now=now,
        organisations=[*holders, campaign.version.programme.department_id],
        data={"state": campaign.state, **data},
    )
