"""The audit: recompute everything, verify the hash chain, reconcile each programme, and keep what was found."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.utils.module_loading import import_string

from vouchers.ledger import seals
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import AuditRun, Journal, Transfer
from vouchers.ledger.queries import TrialBalanceLine, trial_balance, unaccounted_fen
from vouchers.ledger.units import show
from vouchers.ledger.verification import CHECKS, Violation, verify

__all__ = ["Audit", "Reconciliation", "audit", "reconcile"]

logger = structlog.get_logger("ledger.audit")
MOST_FINDINGS = 100
K = AccountKind

PARTS: tuple[tuple[str, int, tuple[AccountKind, ...]], ...] = (
    ("budget", 1, (K.BUDGET,)),
    ("vouchers", 1, (K.VOUCHER,)),
    ("payable", 1, (K.PROVIDER_PAYABLE, K.CLAIMANT_PAYABLE)),
    ("clearing", 1, (K.SETTLEMENT_CLEARING,)),
    ("settled", 1, (K.SETTLED,)),
    ("expired", 1, (K.EXPIRED,)),
    ("clawed_back", 1, (K.CLAWED_BACK,)),
    ("receivable", -1, (K.RECEIVABLE_ENTERPRISE, K.RECEIVABLE_PROVIDER)),
    ("recovered", -1, (K.BANK_CLEARING,)),
    ("written_off", -1, (K.WRITE_OFF,)),
    ("quota", 1, (K.QUOTA_POOL, K.QUOTA_USED)),
    ("quota_granted", -1, (K.QUOTA_GRANT,)),
)
"""Where what was appropriated is: the part's name, its sign in the sum, the kinds of account."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One programme, year and unit: what was appropriated and where it is, in smallest steps. `difference` must be 0.

    `parts` are summed with the sign of `PARTS`; `held` is the part of the vouchers that is set aside.
    """

    programme: str
    fiscal_year: int | None
    unit: str
    appropriated: int
    parts: tuple[tuple[str, int], ...]
    held: int

    @property
    def difference(self) -> int:
        signs = {name: sign for name, sign, _kinds in PARTS}
        return self.appropriated - sum(signs[name] * amount for name, amount in self.parts)

    def __str__(self) -> str:
        signs = {name: sign for name, sign, _kinds in PARTS}
        said = [
            f"{'+' if signs[name] > 0 else '-'} {name} {show(self.unit, amount)}"
            + (f" (held {show(self.unit, self.held)})" if name == "vouchers" and self.held else "")
            for name, amount in self.parts
            if amount
        ]
        right = " ".join(said).removeprefix("+ ") or show(self.unit, 0)
        where = f"{self.programme} {self.fiscal_year} {self.unit}"
        return (
            f"{where}: appropriated {show(self.unit, self.appropriated)} = {right}"
            f"; difference {show(self.unit, self.difference)}"
        )


def reconcile(lines: Iterable[TrialBalanceLine]) -> list[Reconciliation]:
    """Return the reconciliation of each programme, year and unit in `lines`; own money has none."""
    grouped: dict[tuple[str, int | None, str], list[TrialBalanceLine]] = {}
    for line in lines:
        if line.programme:
            grouped.setdefault((line.programme, line.fiscal_year, line.unit), []).append(line)
    return [
        Reconciliation(
            *where,
            appropriated=sum(row.balance_fen for row in rows if row.kind is K.APPROPRIATION),
            parts=tuple(
                (name, sum(row.balance_fen for row in rows if row.kind in kinds)) for name, _sign, kinds in PARTS
            ),
            held=sum(row.held_debit_fen for row in rows if row.kind is K.VOUCHER),
        )
        for where, rows in grouped.items()
    ]


@dataclass(frozen=True, slots=True)
class Audit:
    """What one audit found. `clean` when no promise is broken and every fen is explained."""

    checks: int
    journals: int
    transfers: int
    violations: tuple[Violation, ...]
    unaccounted: int
    reconciliations: tuple[Reconciliation, ...]
    chain: seals.SealReport

    @property
    def clean(self) -> bool:
        return not self.violations and self.unaccounted == 0


def audit(*, now: datetime, since: datetime | None = None, head: str = "") -> Audit:
    """Recompute every balance and hold from the journal, verify the hash chain, reconcile, and store an `AuditRun`.

    `since` leaves out seals made before it; balances are always recomputed whole. `head` is an exported ``n:hash`` the chain
    must contain. Takes no lock: what is posted meanwhile is either seen whole or not at all by each check.
    """
    began = time.monotonic()
    chain = seals.check(since=since, head=head)
    lines = trial_balance()
    further = [violation for name in settings.LEDGER_CHECKS for violation in import_string(name)()]
    found = Audit(
        checks=len(CHECKS),
        journals=Journal.objects.count(),
        transfers=Transfer.objects.count(),
        violations=(*verify(), *further, *chain.violations),
        unaccounted=unaccounted_fen(),
        reconciliations=tuple(reconcile(lines)),
        chain=chain,
    )
    AuditRun.objects.create(
        started_at=now,
        finished_at=now + timedelta(seconds=time.monotonic() - began),
        journals=found.journals,
        transfers=found.transfers,
        violations=len(found.violations),
        unaccounted=found.unaccounted,
        seal_n=chain.head.n,
        seal_hash=chain.head.hash,
        unsealed=chain.unsealed,
        report={"violations": [asdict(one) for one in found.violations[:MOST_FINDINGS]]},
    )
    say = logger.info if found.clean else logger.error
    say("ledger.audited", violations=len(found.violations), unaccounted=found.unaccounted, head=str(chain.head))
    return found
