"""Bank accounts for tests: proposed, or in force."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from portal.kernel.actors import Actor
from tests import make
from vouchers.evidence.services import Upload
from vouchers.payees import services
from vouchers.payees.models import PayeeAccount
from vouchers.payees.rules import Details

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
ICBC = "102100099996"
"""The clearing number of the head office of the Industrial and Commercial Bank of China."""


def details(holder: str, **changes: Any) -> Details:
    values = {"bank": "中国工商银行杭州分行", "cnaps": ICBC, "number": "1202020209900012345"}
    return Details(holder=holder, **{**values, **changes})


def owner_of(organisation: Any) -> Actor:
    return make.actor(organisation, make.roles.Role.OWNER)


def proposed(organisation: Any, *, by: Actor | None = None, now: datetime = make.NOW, **changes: Any) -> PayeeAccount:
    return services.propose(
        actor=by or owner_of(organisation),
        details=details(organisation.name, **changes),
        proof=Upload("开户许可证.pdf", PDF),
        now=now,
    )


def in_force(
    w: make.World, organisation: Any, *, now: datetime = make.NOW - timedelta(days=10), **changes: Any
) -> PayeeAccount:
    """Take an account through all hands; its cooling-off is over at `make.NOW` by default."""
    account = proposed(organisation, now=now, **changes)
    services.check(actor=w.finance, account=account, now=now)
    services.verify(actor=w.finance_approver, account=account, now=now)
    services.enforce_due(now=now + timedelta(days=3))
    account.refresh_from_db()
    return account
