import pytest

from portal.organisations.rules import Kind, Role
from portal.pages.labels import LABELS, Tone, label_of
from scheduler.bookings.clocks import SessionClock
from scheduler.bookings.rules import BookingState
from scheduler.catalogue import checklist
from scheduler.catalogue import rules as catalogue
from scheduler.conduct import rules as conduct
from scheduler.displacements.rules import DisplacementState
from scheduler.disputes.rules import DisputeState
from scheduler.engagements import rules as engagements
from scheduler.jobs import directives
from scheduler.jobs.rules import JobState
from scheduler.resources import fees, profile
from scheduler.resources.rules import Category, PublishState, ResourceKind, ServiceClass, Unit
from scheduler.samples import rules as samples
from scheduler.templates import rules as templates
from scheduler.waitlist.rules import EntryState
from vouchers.charges import prices
from vouchers.charges.rules import ChargeState
from vouchers.dryruns import rules as dryruns
from vouchers.issuance.rules import ApplicationState
from vouchers.ledger.chart import AccountKind, JournalKind
from vouchers.offers import rules as offers
from vouchers.payees.rules import PayeeAccountState
from vouchers.payments.rules import PaymentState
from vouchers.programmes.decisions import DecisionKind
from vouchers.programmes.states import VersionState
from vouchers.settlements import order_rules, statements
from vouchers.settlements.rules import BatchState, Leg
from vouchers.wallets.rules import VoucherState

ENUMS = {
    "application": ApplicationState,
    "dry_run": dryruns.DryRunState,
    "shift": dryruns.Shift,
    "voucher": VoucherState,
    "programme": VersionState,
    "charge": ChargeState,
    "payment": PaymentState,
    "payee_account": PayeeAccountState,
    "settlement": BatchState,
    "movement": statements.MovementKind,
    "payment_order": order_rules.PaymentOrderState,
    "order_line": order_rules.OrderLineState,
    "discrepancy": order_rules.DiscrepancyState,
    "discrepancy_kind": order_rules.DiscrepancyKind,
    "settlement_cadence": order_rules.SettlementCadence,
    "answer_outcome": order_rules.AnswerOutcome,
    "leg": Leg,
    "resource": PublishState,
    "booking": BookingState,
    "session_clock": SessionClock,
    "displacement": DisplacementState,
    "dispute": DisputeState,
    "violation": conduct.ViolationState,
    "violation_kind": conduct.ViolationKind,
    "standing": conduct.Level,
    "waiting": EntryState,
    "engagement": engagements.EngagementState,
    "engagement_quote": engagements.QuoteState,
    "milestone": engagements.MilestoneState,
    "sample": samples.SampleOrderState,
    "sample_unit": samples.QuoteUnit,
    "specimen": samples.SampleState,
    "hazard": samples.Hazard,
    "custody": samples.SampleAction,
    "job": JobState,
    "category": Category,
    "resource_kind": ResourceKind,
    "service_mode": profile.ServiceMode,
    "source": profile.Source,
    "purpose": profile.Purpose,
    "running_state": profile.RunningState,
    "share_mode": profile.ShareMode,
    "service": [*ServiceClass, *offers.OfferKind],
    "offer": offers.OfferState,
    "offer_kind": offers.OfferKind,
    "order": offers.OrderState,
    "delivery": offers.DeliveryForm,
    "channel": offers.SaleChannel,
    "price_unit": prices.PriceUnit,
    "tiering": prices.Tiering,
    "rounding": prices.PriceRounding,
    "order_file": offers.FilePurpose,
    "unit": Unit,
    "user_class": fees.UserClass,
    "instrument_file": catalogue.FilePurpose,
    "admission": checklist.Outcome,
    "directive": directives.Treatment,
    "template": templates.TemplateState,
    "template_category": templates.TemplateCategory,
    "finding": checklist.Found,
    "organisation": Kind,
    "role": Role,
    "decision": DecisionKind,
    "account": AccountKind,
    "journal": JournalKind,
}


@pytest.mark.parametrize("kind", ENUMS)
def test_every_code_has_words(kind):
    assert set(LABELS[kind]) == {member.value for member in ENUMS[kind]}


@pytest.mark.parametrize("kind", LABELS)
def test_no_words_are_empty_or_a_code(kind):
    for code in LABELS[kind]:
        tone, text = label_of(kind, code)
        assert tone in Tone
        assert text
        assert not text.isascii()


def test_a_code_without_words_is_an_error_not_a_raw_code():
    with pytest.raises(KeyError):
        label_of("booking", "no_such_state")
