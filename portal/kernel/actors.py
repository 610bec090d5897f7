"""Who acts: a person in an organisation, an API token, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from portal.kernel.errors import Forbidden

__all__ = ["Actor", "Permission"]


class Permission(StrEnum):
    """Everything that can be allowed, as ``resource:action``. Alphabetical."""

    ACCOUNTS_MANAGE = "accounts:manage"
    ALLOCATION_MANAGE = "allocation:manage"
    APPLICATION_APPROVE = "application:approve"
    APPLICATION_REVIEW = "application:review"
    APPLICATION_SCORE = "application:score"
    APPLICATION_SUBMIT = "application:submit"
    AUDIT_READ = "audit:read"
    BANK_APPROVE = "bank:approve"
    BANK_MATCH = "bank:match"
    BEAMTIME_PLAN = "beamtime:plan"
    BEAMTIME_RUN = "beamtime:run"
    BOOKING_DECIDE = "booking:decide"
    BOOKING_REQUEST = "booking:request"
    CHARGE_REFUND = "charge:refund"
    CLAIM_APPROVE = "claim:approve"
    CLAIM_AUDIT = "claim:audit"
    CLAIM_CHECK = "claim:check"
    CLAIM_FILE = "claim:file"
    CLUSTER_MANAGE = "cluster:manage"
    CLUSTER_READ = "cluster:read"
    FACILITY_DECIDE = "facility:decide"
    FACILITY_MANAGE = "facility:manage"
    FLAG_DECIDE = "flag:decide"
    INSTRUMENT_ADMIT = "instrument:admit"
    INSTRUMENT_MANAGE = "instrument:manage"
    INVOICE_ISSUE = "invoice:issue"
    INVOICE_REQUEST = "invoice:request"
    JOB_SUBMIT = "job:submit"
    LEDGER_READ = "ledger:read"
    MEMBERS_MANAGE = "members:manage"
    OFFER_MANAGE = "offer:manage"
    ORDER_PLACE = "order:place"
    ORDER_READ = "order:read"
    ORDER_RULE = "order:rule"
    ORDER_SERVE = "order:serve"
    PAYEE_MANAGE = "payee:manage"
    PAYEE_VERIFY = "payee:verify"
    PAYMENT_CONFIRM = "payment:confirm"
    PAYMENT_DECLARE = "payment:declare"
    PROGRAMME_DRAFT = "programme:draft"
    PROGRAMME_PUBLISH = "programme:publish"
    PROPOSAL_ASSESS = "proposal:assess"
    PROPOSAL_CLEAR = "proposal:clear"
    PROPOSAL_SUBMIT = "proposal:submit"
    RECOVERY_DECIDE = "recovery:decide"
    RECOVERY_PROPOSE = "recovery:propose"
    SESSION_RECORD = "session:record"
    SETTLEMENT_APPROVE = "settlement:approve"
    SETTLEMENT_DRAFT = "settlement:draft"
    SETTLEMENT_PAY = "settlement:pay"
    SETTLEMENT_READ_OWN = "settlement:read_own"
    TEMPLATE_PUBLISH = "template:publish"
    VOUCHER_CHECK = "voucher:check"
    VOUCHER_FREEZE = "voucher:freeze"
    VOUCHER_READ_OWN = "voucher:read_own"
    VOUCHER_REGISTER = "voucher:register"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks, with what they may do *in the organisation they act for*.

    `user_id` and `organisation_id` are None only for the system. `label` goes into audit records.
    """

    user_id: int | None
    organisation_id: int | None
    label: str
    permissions: frozenset[Permission] = field(default_factory=frozenset)
    token_id: int | None = None
    is_system: bool = False

    @classmethod
    def system(cls, label: str = "system") -> Actor:
        return cls(user_id=None, organisation_id=None, label=label, permissions=frozenset(Permission), is_system=True)

    @property
    def signature(self) -> str:
        """Who signs a ledger journal: unlike the label, never the same for two persons."""
        return f"{self.label} #{self.user_id}" if self.user_id is not None else self.label

    @property
    def acting_for(self) -> int:
        """The organisation acted for. Raises Forbidden where there is none: nothing can be done for nobody."""
        if self.organisation_id is None:
            raise Forbidden
        return self.organisation_id

    @property
    def person(self) -> int:
        """The user who answers for the act. Raises Forbidden where there is none: some acts are a person's alone."""
        if self.user_id is None:
            raise Forbidden
        return self.user_id

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raises Forbidden unless `permission` is held."""
        if permission not in self.permissions:
            raise Forbidden(permission=permission.value)
