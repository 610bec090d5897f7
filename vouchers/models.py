"""Index of the vouchers app's tables, for Django only; nothing inside the app imports it."""

from vouchers.banking.models import BankAccount, BankClaim, BankMatch, MatchPart, StatementImport, StatementLine
from vouchers.campaigns.models import Campaign, CampaignBatch
from vouchers.charges.models import Charge, ChargePart, ChargeProposal, Refund
from vouchers.claims.models import ClaimInvoice, ClaimLine, ClaimPart, PaymentRun, RedemptionClaim
from vouchers.dryruns.models import DryRun, DryRunCase
from vouchers.evidence.models import EvidenceFile
from vouchers.flags.models import Flag
from vouchers.invoices.models import BuyerFacts, ChargeDocument, DocumentSeries, Fapiao, SalesTax
from vouchers.issuance.models import Application, Assignment, Recusal, StageDecision
from vouchers.ledger.models import *  # noqa: F403
from vouchers.notices.models import Notice, NoticeItem, Objection
from vouchers.offers.models import Offer, Order, PriceList, UsageImport, UsageLine
from vouchers.payees.models import PayeeAccount
from vouchers.payments.models import Arrival, ArrivalReversal, Payment
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, PaymentEvent, RefundAttempt
from vouchers.payments.unapplied_models import UnappliedUse
from vouchers.programmes.models import Budget, CoLead, FairReview, Programme, ProgrammeDraft, ProgrammeVersion
from vouchers.reconciliation.models import GatewayCheck, GatewayLine, MonthClose, MonthFigure, MonthProposal
from vouchers.recoveries.models import Recovery, RecoveryPayment
from vouchers.rounds.models import Round, RoundAward
from vouchers.settlements.models import SettlementBatch, SettlementLine, YearProposal
from vouchers.settlements.order_models import (
    BankFormat,
    Discrepancy,
    DraftRun,
    PaymentOrder,
    PaymentOrderLine,
    ReturnFile,
    SettlementTerms,
)
from vouchers.settlements.payout_models import RailPayout
from vouchers.wallets.models import Certificate, RedemptionAttempt, Voucher, VoucherCode

__all__ = [
    "Application",
    "Arrival",
    "ArrivalReversal",
    "Assignment",
    "BankAccount",
    "BankClaim",
    "BankFormat",
    "BankMatch",
    "Budget",
    "BuyerFacts",
    "Campaign",
    "CampaignBatch",
    "Certificate",
    "Charge",
    "ChargeDocument",
    "ChargePart",
    "ChargeProposal",
    "ClaimInvoice",
    "ClaimLine",
    "ClaimPart",
    "CoLead",
    "Discrepancy",
    "DocumentSeries",
    "DraftRun",
    "DryRun",
    "DryRunCase",
    "EvidenceFile",
    "FairReview",
    "Fapiao",
    "Flag",
    "GatewayCheck",
    "GatewayLine",
    "MatchPart",
    "MonthClose",
    "MonthFigure",
    "MonthProposal",
    "Notice",
    "NoticeItem",
    "Objection",
    "Offer",
    "Order",
    "PayeeAccount",
    "Payment",
    "PaymentAttempt",
    "PaymentDispute",
    "PaymentEvent",
    "PaymentOrder",
    "PaymentOrderLine",
    "PaymentRun",
    "PriceList",
    "Programme",
    "ProgrammeDraft",
    "ProgrammeVersion",
    "RailPayout",
    "Recovery",
    "RecoveryPayment",
    "Recusal",
    "RedemptionAttempt",
    "RedemptionClaim",
    "Refund",
    "RefundAttempt",
    "ReturnFile",
    "Round",
    "RoundAward",
    "SalesTax",
    "SettlementBatch",
    "SettlementLine",
    "SettlementTerms",
    "StageDecision",
    "StatementImport",
    "StatementLine",
    "UnappliedUse",
    "UsageImport",
    "UsageLine",
    "Voucher",
    "VoucherCode",
    "YearProposal",
]
