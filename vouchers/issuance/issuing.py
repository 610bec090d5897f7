"""From the final amount to the voucher: what a decided case waits for, and issuing."""

from __future__ import annotations

from datetime import date, datetime

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from vouchers.issuance import cases, queries, rules
from vouchers.issuance.models import Application
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKind, JournalKind, Outcome, Posting, ResolveOp
from vouchers.programmes.access import scheme_of
from vouchers.programmes.decisions import Decision
from vouchers.programmes.terms import RedeemMode
from vouchers.wallets import services as wallets
from vouchers.wallets.models import Voucher


def conclude(application: Application, *, actor: Actor, now: datetime) -> None:
    """Carry a locked case on after its last stage was passed.

    A batch order, or a pool that was short and is queued for, makes it wait; a notice period stops it at `decided`.
    Otherwise its amount is final at once and the voucher issued in the same transaction.
    """
    cases.leave_stages(application)
    if queries.is_batch(application.version) or application.reserve_hold_id is None:
        cases.move(application, rules.ApplicationAction.AWAIT)
        application.save()
        cases.record(application, action="application.waiting", actor=actor, now=now)
        return
    finish(application, actor=actor, now=now)


def finish(application: Application, *, actor: Actor, now: datetime, first: str = "") -> None:
    """Make a locked case's reserved amount final; without a notice period it is granted at once.

    `first` is the signature of the person who decided before `actor`, where that is not the last reviewer.
    """
    cases.move(application, rules.ApplicationAction.CONCLUDE)
    application.decided_at = now
    application.save()
    cases.record(application, action="application.decided", actor=actor, now=now)
    if queries.notice_days(application.version) == 0:
        grant(application, actor=actor, now=now, first=first)


def grant(
    application: Application, *, actor: Actor, now: datetime, first: str = "", second: str = ""
) -> Voucher | None:
    """Grant a locked case whose amount is final and whose notice is over, and issue its voucher.

    An award is paid without a voucher: its case stays `granted` until the treasury pays, and None is returned.
    """
    cases.move(application, rules.ApplicationAction.GRANT)
    if scheme_of(application.version).terms.redeem.mode is RedeemMode.AWARD:
        application.save()
        cases.record(application, action="application.granted", actor=actor, now=now)
        return None
    return issue(application, actor=actor, now=now, first=first, second=second)


def issue(application: Application, *, actor: Actor, now: datetime, first: str = "", second: str = "") -> Voucher:
    """Turn a granted case's reservation into its voucher's balance; what was cut goes back to the pool.

    The journal is signed by two: `first`, else the last hand before the decision, and `second`, else `actor`. Takes a
    locked case in `granted`.
    """
    cases.move(application, rules.ApplicationAction.ISSUE)
    assert application.reserve_hold_id is not None
    ledger.post(
        posting=Posting(
            kind=JournalKind.ISSUE,
            key=f"application:{application.number}/issue",
            operations=[ResolveOp(application.reserve_hold_id, Outcome.CAPTURED, application.amount_fen)],
            actor=first or signed_before(application),
            approved_by=second or actor.signature,
            source_type="application",
            source_id=application.number,
        )
    )
    application.save()
    voucher = _voucher(application, now=now)
    cases.record(application, action="voucher.issued", actor=actor, now=now, voucher=voucher.number)
    return voucher


def signed_before(application: Application) -> str:
    """Return the signature of the last person before the deciding one: the reviewer, else who applied."""
    hand, pk = application.reviewed_by, application.reviewed_by_id
    if hand is None:
        hand, pk = application.submitted_by, application.submitted_by_id
    return f"{hand} #{pk}"


def _voucher(application: Application, *, now: datetime) -> Voucher:
    version = application.version
    scheme = scheme_of(version)
    signed = application.request.get("contract", {}).get("signed", "")
    grant = wallets.Grant(
        application_id=application.pk,
        holder_id=application.organisation_id,
        account_id=ledger.account(
            kind=AccountKind.VOUCHER,
            owner=f"application:{application.number}",
            programme=version.programme.code,
            fiscal_year=application.fiscal_year,
        ),
        fiscal_year=application.fiscal_year,
        face=Money(application.amount_fen),
        share=queries.bill_share(scheme, Decision.from_json(application.decision)),
        services=queries.services_of(scheme),
        scheme=scheme,
        contract_signed=date.fromisoformat(signed) if signed else None,
    )
    return wallets.issue(grant=grant, now=now)
