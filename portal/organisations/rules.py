"""Kinds, roles, the permission table and the unified social credit code. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from portal.kernel.actors import Permission as P
from portal.kernel.errors import Conflict, Invalid, noop

__all__ = [
    "PERMISSIONS",
    "ROLES_OF_KIND",
    "BadCreditCode",
    "CreditCodeTaken",
    "Kind",
    "Role",
    "check_credit_code",
    "permissions_of",
]

_ = noop


class Kind(StrEnum):
    """What an organisation is to the portal."""

    ENTERPRISE = "enterprise"
    PROVIDER = "provider"
    DEPARTMENT = "department"


class Role(StrEnum):
    """What a member is in one organisation."""

    OWNER = "owner"
    RESEARCHER = "researcher"
    LAB_MANAGER = "lab_manager"
    CLUSTER_OPERATOR = "cluster_operator"
    SERVICE_MANAGER = "service_manager"
    USER_OFFICER = "user_officer"
    """Runs the user office of a large facility: calls, checks, panels, visits' papers."""
    BEAM_PLANNER = "beam_planner"
    BEAMLINE_SCIENTIST = "beamline_scientist"
    SAFETY_OFFICER = "safety_officer"
    FACILITY_DIRECTOR = "facility_director"
    """Decides what panels propose; never the one who proposed it."""
    PROGRAMME_OFFICER = "programme_officer"
    PROGRAMME_PUBLISHER = "programme_publisher"
    REVIEWER = "reviewer"
    EXPERT = "expert"
    APPROVER = "approver"
    FINANCE_OFFICER = "finance_officer"
    FINANCE_APPROVER = "finance_approver"
    AUDITOR = "auditor"
    CLAIM_AUDITOR = "claim_auditor"
    """A third party's auditor, appointed by the department: sees the claims drawn by lot, and nothing else."""


ROLES_OF_KIND: Final[Mapping[Kind, tuple[Role, ...]]] = MappingProxyType(
    {
        Kind.ENTERPRISE: (Role.OWNER, Role.RESEARCHER),
        Kind.PROVIDER: (
            Role.OWNER,
            Role.RESEARCHER,
            Role.LAB_MANAGER,
            Role.CLUSTER_OPERATOR,
            Role.SERVICE_MANAGER,
            Role.USER_OFFICER,
            Role.BEAM_PLANNER,
            Role.BEAMLINE_SCIENTIST,
            Role.SAFETY_OFFICER,
            Role.FACILITY_DIRECTOR,
        ),
        Kind.DEPARTMENT: (
            Role.OWNER,
            Role.PROGRAMME_OFFICER,
            Role.PROGRAMME_PUBLISHER,
            Role.REVIEWER,
            Role.EXPERT,
            Role.APPROVER,
            Role.FINANCE_OFFICER,
            Role.FINANCE_APPROVER,
            Role.AUDITOR,
            Role.CLAIM_AUDITOR,
        ),
    }
)
"""A role exists only in organisations of its kind: an enterprise can never hold a reviewer."""

PERMISSIONS: Final[Mapping[tuple[Kind, Role], frozenset[P]]] = MappingProxyType(
    {
        (Kind.ENTERPRISE, Role.OWNER): frozenset(
            {
                P.MEMBERS_MANAGE,
                P.APPLICATION_SUBMIT,
                P.VOUCHER_READ_OWN,
                P.BOOKING_REQUEST,
                P.JOB_SUBMIT,
                P.ORDER_PLACE,
                P.PAYMENT_DECLARE,
                P.INVOICE_REQUEST,
                P.CLAIM_FILE,
                P.PAYEE_MANAGE,
                P.PROPOSAL_SUBMIT,
            }
        ),
        (Kind.ENTERPRISE, Role.RESEARCHER): frozenset(
            {P.VOUCHER_READ_OWN, P.BOOKING_REQUEST, P.JOB_SUBMIT, P.ORDER_PLACE, P.PROPOSAL_SUBMIT}
        ),
        (Kind.PROVIDER, Role.OWNER): frozenset(
            {
                P.MEMBERS_MANAGE,
                P.SETTLEMENT_READ_OWN,
                P.CLAIM_FILE,
                P.VOUCHER_CHECK,
                P.CHARGE_REFUND,
                P.PAYEE_MANAGE,
                P.INVOICE_ISSUE,
            }
        ),
        (Kind.PROVIDER, Role.LAB_MANAGER): frozenset(
            {
                P.INSTRUMENT_MANAGE,
                P.BOOKING_DECIDE,
                P.SESSION_RECORD,
                P.VOUCHER_CHECK,
                P.CHARGE_REFUND,
                P.INVOICE_ISSUE,
            }
        ),
        (Kind.PROVIDER, Role.CLUSTER_OPERATOR): frozenset(
            {
                P.TEMPLATE_PUBLISH,
                P.CLUSTER_READ,
                P.CLUSTER_MANAGE,
                P.ACCOUNTS_MANAGE,
                P.ALLOCATION_MANAGE,
                P.VOUCHER_CHECK,
            }
        ),
        (Kind.PROVIDER, Role.SERVICE_MANAGER): frozenset(
            {P.OFFER_MANAGE, P.ORDER_SERVE, P.VOUCHER_CHECK, P.CHARGE_REFUND, P.INVOICE_ISSUE}
        ),
        # Universities and institutes propose experiments at other people's facilities.
        (Kind.PROVIDER, Role.RESEARCHER): frozenset({P.PROPOSAL_SUBMIT}),
        (Kind.PROVIDER, Role.USER_OFFICER): frozenset({P.FACILITY_MANAGE}),
        (Kind.PROVIDER, Role.BEAM_PLANNER): frozenset({P.BEAMTIME_PLAN}),
        (Kind.PROVIDER, Role.BEAMLINE_SCIENTIST): frozenset({P.PROPOSAL_ASSESS, P.BEAMTIME_RUN}),
        (Kind.PROVIDER, Role.SAFETY_OFFICER): frozenset({P.PROPOSAL_CLEAR}),
        (Kind.PROVIDER, Role.FACILITY_DIRECTOR): frozenset({P.FACILITY_DECIDE}),
        (Kind.DEPARTMENT, Role.OWNER): frozenset({P.MEMBERS_MANAGE}),
        (Kind.DEPARTMENT, Role.PROGRAMME_OFFICER): frozenset({P.PROGRAMME_DRAFT, P.ALLOCATION_MANAGE}),
        (Kind.DEPARTMENT, Role.PROGRAMME_PUBLISHER): frozenset({P.PROGRAMME_PUBLISH}),
        (Kind.DEPARTMENT, Role.REVIEWER): frozenset(
            {
                P.ORDER_READ,
                P.APPLICATION_REVIEW,
                P.FLAG_DECIDE,
                P.CLAIM_CHECK,
                P.RECOVERY_PROPOSE,
                P.VOUCHER_REGISTER,
                P.INSTRUMENT_ADMIT,
            }
        ),
        (Kind.DEPARTMENT, Role.EXPERT): frozenset({P.APPLICATION_SCORE}),
        (Kind.DEPARTMENT, Role.APPROVER): frozenset(
            {
                P.ORDER_READ,
                P.ORDER_RULE,
                P.APPLICATION_APPROVE,
                P.FLAG_DECIDE,
                P.CLAIM_APPROVE,
                P.RECOVERY_DECIDE,
                P.VOUCHER_REGISTER,
                P.VOUCHER_FREEZE,
            }
        ),
        (Kind.DEPARTMENT, Role.FINANCE_OFFICER): frozenset(
            {
                P.PAYMENT_CONFIRM,
                P.BANK_MATCH,
                P.SETTLEMENT_DRAFT,
                P.SETTLEMENT_PAY,
                P.LEDGER_READ,
                P.VOUCHER_REGISTER,
                P.PAYEE_VERIFY,
            }
        ),
        (Kind.DEPARTMENT, Role.FINANCE_APPROVER): frozenset(
            {P.SETTLEMENT_APPROVE, P.BANK_APPROVE, P.LEDGER_READ, P.PAYEE_VERIFY}
        ),
        (Kind.DEPARTMENT, Role.AUDITOR): frozenset({P.ORDER_READ, P.AUDIT_READ, P.LEDGER_READ, P.VOUCHER_REGISTER}),
        (Kind.DEPARTMENT, Role.CLAIM_AUDITOR): frozenset({P.CLAIM_AUDIT}),
    }
)
"""The one permission table. What is not listed is denied."""


def permissions_of(kind: Kind, roles: frozenset[Role]) -> frozenset[P]:
    """Return what the roles may do together in an organisation of `kind`."""
    return frozenset().union(*(PERMISSIONS.get((kind, role), frozenset()) for role in roles))


class BadCreditCode(Invalid):
    """`field` is always ``credit_code``."""

    code = "organisation.credit_code"
    message = _(
        "统一社会信用代码“%(value)s”无效：应为 18 位数字或大写字母（不含 I、O、Z、S、V），末位校验码须相符。请对照营业执照核对。"
    )


class CreditCodeTaken(Conflict):
    code = "organisation.credit_code_taken"
    message = _("统一社会信用代码 %(value)s 已登记。请联系本单位管理员将您加入，而不是重复登记。")


def check_credit_code(value: str) -> str:
    """Return the code in its canonical form. Raises BadCreditCode.

    Source: GB 32100-2015, structure and check character (mod 31-3).
    """
    try:
        return str(uscc.validate(value.strip().upper()))
    except ValidationError:
        raise BadCreditCode(field="credit_code", value=value.strip()) from None
