"""The house rules as checks on the source itself. What CONTRIBUTING.md says, this holds everybody to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import get_args

import pytest
from django.apps import apps
from django.db import models
from ninja import Schema

from portal.kernel.actors import Permission
from portal.organisations.rules import PERMISSIONS
from scheduler.beamtime import rules as beamtime
from scheduler.bookings import rules as bookings
from scheduler.bookings import swap_rules as swaps
from scheduler.displacements import rules as displacements
from scheduler.engagements import rules as engagements
from scheduler.invitations import rules as invitations
from scheduler.jobs import rules as jobs
from scheduler.metering import rules as metering
from scheduler.panels import rules as panels
from scheduler.proposals import rules as beam_proposals
from scheduler.resources import rules as resources
from scheduler.samples import rules as samples
from scheduler.waitlist import rules as waitlist
from vouchers.banking import rules as banking
from vouchers.campaigns import rules as campaigns
from vouchers.charges import proposal_rules as proposals
from vouchers.charges import rules as charges
from vouchers.claims import rules as claims
from vouchers.dryruns import rules as dryruns
from vouchers.flags import rules as flags
from vouchers.invoices import rules as invoices
from vouchers.issuance import rules as issuance
from vouchers.notices import rules as notices
from vouchers.offers import rules as offers
from vouchers.payees import rules as payees
from vouchers.payments import rail_rules as rails
from vouchers.payments import rules as payments
from vouchers.payments import unapplied_rules as unapplied
from vouchers.programmes import states as programmes
from vouchers.reconciliation import rules as reconciliation
from vouchers.recoveries import rules as recoveries
from vouchers.rounds import rules as rounds
from vouchers.settlements import order_rules as payment_orders
from vouchers.settlements import payout_rules as rail_payouts
from vouchers.settlements import rules as settlements
from vouchers.wallets import rules as wallets

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("portal", "vouchers", "scheduler", "integrations")
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts
)
CLOCK_READERS = {"api.py", "tasks.py", "middleware.py", "health.py"}
"""Besides whatever ends in ``_api.py``."""
CLOCK_READERS = {
    *("api.py", "draft_api.py", "casework_api.py", "terms_api.py", "metering_api.py", "order_api.py", "ruling_api.py"),
    *("moving_api.py", "files_api.py", "series_api.py"),
    *("moving_api.py", "files_api.py", "admissions_api.py", "withdrawals_api.py"),
    *("moving_api.py", "files_api.py", "series_api.py", "swap_api.py"),
    *("tasks.py", "middleware.py", "health.py"),
}
CLOCK_FOLDERS = {"pages", "commands", "launch", "integrations", "demo"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_modules_have_at_most_400_lines():
    long = {name_of(path): n for path in SOURCES if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}


def test_functions_have_at_most_60_lines():
    long = {
        f"{name_of(path)}:{node.name}": n
        for path in SOURCES
        for node in functions(path)
        if (n := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert long == {}


def services() -> list[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    files = [
        path
        for path in SOURCES
        if path.name in {"services.py", "dispatching.py", "resolving.py", "reconciling.py", "expiry.py"}
    ]
    return [
        (path, node)
        for path in files
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    ]


def test_public_services_are_keyword_only_typed_documented_and_take_few_parameters():
    wrong = []
    for path, node in services():
        where = f"{name_of(path)}:{node.name}"
        positional = [arg.arg for arg in node.args.args]
        if positional and (path.name, node.name) not in POSITIONAL:
            wrong.append(f"{where}: positional {positional}")
        if len(node.args.kwonlyargs) + len(positional) > 7:
            wrong.append(f"{where}: more than 7 parameters")
        if ast.get_docstring(node) is None:
            wrong.append(f"{where}: no docstring")
        if node.returns is None:
            wrong.append(f"{where}: no return type")
    assert wrong == []


POSITIONAL = {
    ("services.py", "read_calendar"),
    ("services.py", "lock"),
    ("services.py", "move"),
    ("services.py", "withdraw"),
    ("services.py", "record"),
    ("dispatching.py", "spec_of"),
    ("dispatching.py", "adopt"),
    ("dispatching.py", "release"),
    ("resolving.py", "declare_stale"),
    ("reconciling.py", "observe"),
    ("services.py", "terms_of"),
    ("services.py", "charge_of"),
    ("services.py", "own_leg"),
    ("services.py", "payable"),
    ("services.py", "parts_of"),
}
"""Small verbs on one thing, used beside their definition."""


def test_the_clock_is_read_at_the_edge_only():
    wrong = []
    for path in SOURCES:
        if (
            path.name in CLOCK_READERS
            or path.name.endswith("_api.py")
            or CLOCK_FOLDERS & set(path.relative_to(ROOT).parts)
        ):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                owner = node.value
                if isinstance(owner, ast.Name) and owner.id in {"timezone", "datetime", "date"}:
                    wrong.append(f"{name_of(path)}:{node.lineno}")
    assert wrong == []


def test_every_row_lock_is_ordered_and_leaves_keys_free():
    wrong = [
        f"{name_of(path)}: {found.group(0)}"
        for path in SOURCES
        for found in re.finditer(r"select_for_update\(([^)]*)\)", path.read_text(encoding="utf-8"))
        if "no_key=True" not in found.group(1)
    ]
    assert wrong == []


def test_no_two_modules_share_a_space_of_advisory_locks():
    """Else whoever holds one keeps strangers waiting: an upload of firm 5 for the poller of cluster 5."""
    named = re.compile(r"(?m)^\w*LOCK(?:_SPACE)?(?:: Final)? = (\d+)$")
    found = [(number, path.name) for path in SOURCES for number in named.findall(path.read_text())]
    assert len(found) > 5
    assert len({number for number, _path in found}) == len(found), sorted(found)


def test_there_are_no_signals():
    wrong = [
        name_of(path)
        for path in SOURCES
        if re.search(
            r"django\.(db\.models|dispatch|core)\.?(signals|dispatch)?\s+import\s+.*(post_save|pre_save|receiver)",
            path.read_text(encoding="utf-8"),
        )
        or re.search(r"@receiver\b|\.connect\(\s*\w+_handler", path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


def test_nothing_is_left_to_do_and_nothing_is_skipped():
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|pytest\.mark\.(skip|xfail)\b")
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    wrong = [
        name_of(path)
        for path in files
        if path.name != "test_house.py" and marks.search(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


def test_every_function_that_looks_like_a_test_is_collected():
    wrong = []
    for path in (ROOT / "tests").rglob("*.py"):
        has_tests = any(node.name.startswith("test_") for node in functions(path))
        if has_tests and not path.name.startswith("test_"):
            wrong.append(name_of(path))
    assert wrong == []


def test_every_table_says_what_it_is_for():
    undocumented = [
        model.__name__
        for label in ("portal", "vouchers", "scheduler", "integrations")
        for model in apps.get_app_config(label).get_models()
        if not model.__doc__ or model.__doc__.startswith(f"{model.__name__}(")
    ]
    assert undocumented == []


def test_money_columns_are_whole_fen():
    wrong = [
        f"{model.__name__}.{field.name}"
        for label in ("portal", "vouchers", "scheduler")
        for model in apps.get_app_config(label).get_models()
        for field in model._meta.get_fields()
        if (isinstance(field, models.DecimalField | models.FloatField))
        or (field.name.endswith("_fen") and not isinstance(field, models.BigIntegerField))
    ]
    assert wrong == []


def test_every_permission_is_held_by_some_role():
    held = frozenset().union(*PERMISSIONS.values())
    assert set(Permission) - held == set()


MACHINES = [
    (
        beam_proposals.InvitationState,
        beam_proposals.InvitationAction,
        beam_proposals.INVITATION_TRANSITIONS,
        {"invited"},
    ),
    (panels.GradingState, panels.GradingAction, panels.GRADING_TRANSITIONS, {"asked"}),
    (panels.RankingState, panels.RankingAction, panels.RANKING_TRANSITIONS, {"draft"}),
    (panels.AppealState, panels.AppealAction, panels.APPEAL_TRANSITIONS, {"open"}),
    (beamtime.DraftState, beamtime.DraftAction, beamtime.DRAFT_TRANSITIONS, {"queued"}),
    (beamtime.CompensationState, beamtime.CompensationAction, beamtime.COMPENSATION_TRANSITIONS, {"listed"}),
    (beamtime.BeamQuoteState, beamtime.BeamQuoteAction, beamtime.BEAM_QUOTE_TRANSITIONS, {"offered"}),
    (beamtime.VisitState, beamtime.VisitAction, beamtime.TRANSITIONS, {"offered"}),
    (beam_proposals.BeamProposalState, beam_proposals.BeamProposalAction, beam_proposals.TRANSITIONS, {"draft"}),
    (beam_proposals.RequestState, beam_proposals.RequestAction, beam_proposals.REQUEST_TRANSITIONS, {"open"}),
    (bookings.BookingState, bookings.BookingAction, bookings.TRANSITIONS, {"held", "requested", "confirmed"}),
    (waitlist.EntryState, waitlist.EntryAction, waitlist.TRANSITIONS, {"waiting"}),
    (waitlist.TimeOfferState, waitlist.TimeOfferAction, waitlist.OFFER_TRANSITIONS, {"open"}),
    (displacements.DisplacementState, displacements.DisplacementAction, displacements.TRANSITIONS, {"open"}),
    (invitations.MailState, invitations.MailAction, invitations.TRANSITIONS, {"pending"}),
    (bookings.CounterOfferState, bookings.CounterOfferAction, bookings.COUNTER_OFFER_TRANSITIONS, {"open"}),
    (swaps.SwapState, swaps.SwapAction, swaps.TRANSITIONS, {"proposed"}),
    (samples.SampleOrderState, samples.SampleOrderAction, samples.TRANSITIONS, {"requested"}),
    (samples.SampleState, samples.SampleAction, samples.SAMPLE_TRANSITIONS, {"expected"}),
    (engagements.EngagementState, engagements.EngagementAction, engagements.TRANSITIONS, {"requested"}),
    (engagements.QuoteState, engagements.QuoteAction, engagements.QUOTE_TRANSITIONS, {"open"}),
    (engagements.MilestoneState, engagements.MilestoneAction, engagements.MILESTONE_TRANSITIONS, {"planned"}),
    (jobs.JobState, jobs.JobAction, jobs.TRANSITIONS, {"pending"}),
    (metering.QuarantineState, metering.QuarantineAction, metering.TRANSITIONS, {"open"}),
    (resources.PublishState, resources.PublishAction, resources.TRANSITIONS, {"draft"}),
    (charges.ChargeState, charges.ChargeAction, charges.TRANSITIONS, {"held"}),
    (proposals.ProposalState, proposals.ProposalAction, proposals.PROPOSAL_TRANSITIONS, {"proposed"}),
    (issuance.ApplicationState, issuance.ApplicationAction, issuance.TRANSITIONS, {"draft"}),
    (offers.OfferState, offers.OfferAction, offers.OFFER_TRANSITIONS, {"draft"}),
    (offers.OrderState, offers.OrderAction, offers.TRANSITIONS, {"placed"}),
    (payments.PaymentState, payments.PaymentAction, payments.TRANSITIONS, {"due"}),
    (invoices.FapiaoState, invoices.FapiaoAction, invoices.TRANSITIONS, {"requested"}),
    (rails.AttemptState, rails.AttemptAction, rails.ATTEMPT_TRANSITIONS, {"created"}),
    (rails.RefundState, rails.RefundAction, rails.REFUND_TRANSITIONS, {"created"}),
    (rails.EventState, rails.EventAction, rails.EVENT_TRANSITIONS, {"stored"}),
    (unapplied.UseState, unapplied.UseAction, unapplied.TRANSITIONS, {"proposed", "asked", "done"}),
    (programmes.VersionState, programmes.VersionAction, programmes.TRANSITIONS, {"draft"}),
    (dryruns.DryRunState, dryruns.DryRunAction, dryruns.TRANSITIONS, {"queued"}),
    (flags.FlagState, flags.FlagAction, flags.TRANSITIONS, {"open"}),
    (campaigns.CampaignState, campaigns.CampaignAction, campaigns.TRANSITIONS, {"proposed"}),
    (rounds.RoundState, rounds.RoundAction, rounds.TRANSITIONS, {"open"}),
    (notices.NoticeState, notices.NoticeAction, notices.TRANSITIONS, {"draft"}),
    (notices.ItemState, notices.ItemAction, notices.ITEM_TRANSITIONS, {"noticed"}),
    (notices.ObjectionState, notices.ObjectionAction, notices.OBJECTION_TRANSITIONS, {"open"}),
    (recoveries.RecoveryState, recoveries.RecoveryAction, recoveries.TRANSITIONS, {"proposed", "open"}),
    (claims.ClaimState, claims.ClaimAction, claims.TRANSITIONS, {"draft", "proposed"}),
    (wallets.VoucherState, wallets.VoucherAction, wallets.TRANSITIONS, {"active"}),
    (payees.PayeeAccountState, payees.PayeeAccountAction, payees.TRANSITIONS, {"proposed"}),
    (
        reconciliation.ExplanationState,
        reconciliation.ExplanationAction,
        reconciliation.EXPLANATION_TRANSITIONS,
        {"proposed"},
    ),
    (banking.LineState, banking.LineAction, banking.LINE_TRANSITIONS, {"open"}),
    (banking.MatchState, banking.MatchAction, banking.MATCH_TRANSITIONS, {"proposed"}),
    (settlements.BatchState, settlements.BatchAction, settlements.TRANSITIONS, {"draft"}),
    (
        payment_orders.PaymentOrderState,
        payment_orders.PaymentOrderAction,
        payment_orders.ORDER_TRANSITIONS,
        {"exported"},
    ),
    (payment_orders.OrderLineState, payment_orders.OrderLineAction, payment_orders.LINE_TRANSITIONS, {"open"}),
    (
        rail_payouts.RailPayoutState,
        rail_payouts.RailPayoutAction,
        rail_payouts.RAIL_PAYOUT_TRANSITIONS,
        {"open"},
    ),
    (payment_orders.DiscrepancyState, payment_orders.DiscrepancyAction, payment_orders.CASE_TRANSITIONS, {"open"}),
]
ENDS = {
    "InvitationState": {"removed"},
    "GradingState": {"recused"},
    "RankingState": {"decided"},
    "AppealState": {"upheld", "dismissed"},
    "DraftState": {"failed", "adopted", "discarded"},
    "CompensationState": {"granted", "declined"},
    "BeamQuoteState": {"settled", "freed", "declined", "withdrawn", "expired"},
    "ExplanationState": {"returned", "undone"},
    "VisitState": {"closed", "declined", "cancelled", "missed"},
    "BeamProposalState": {"withdrawn", "closed"},
    "RequestState": {"lapsed", "withdrawn"},
    "LineState": set(),
    "MatchState": {"refused", "reversed"},
    "TimeOfferState": {"accepted", "refused", "lapsed", "taken_back"},
    "EntryState": {"booked", "withdrawn", "expired"},
    "DisplacementState": {"moved", "refunded", "lapsed"},
    "CounterOfferState": {"accepted", "refused", "replaced", "void", "lapsed"},
    "SwapState": {"accepted", "declined", "withdrawn", "lapsed"},
    "BookingState": {"completed", "declined", "cancelled", "lapsed", "no_show"},
    "MailState": {"sent", "failed", "dropped"},
    "EngagementState": {"closed", "declined", "cancelled"},
    "QuoteState": {"accepted", "refused", "replaced", "lapsed"},
    "MilestoneState": {"accepted", "dropped"},
    "SampleOrderState": {"closed", "declined", "cancelled"},
    "SampleState": {"returned", "disposed"},
    "QuarantineState": {"resolved"},
    "JobState": {state.value for state in jobs.FINAL},
    "PublishState": set(),
    "ChargeState": {"captured", "released"},
    "ApplicationState": {"issued", "paid", "withdrawn"},
    "OfferState": {"withdrawn"},
    "OrderState": {"completed", "cancelled", "declined", "lapsed"},
    "ProposalState": {"approved", "returned"},
    "PaymentState": {"cancelled", "written_off"},
    "FapiaoState": {"issued", "declined"},
    "AttemptState": {"succeeded"},
    "RefundState": {"failed"},
    "EventState": {"done", "ignored"},
    "UseState": {"undone"},
    "VoucherState": {"expired", "recovered"},
    "VersionState": {"superseded"},
    "DryRunState": {"done", "failed"},
    "FlagState": set(),
    "CampaignState": {"done", "withdrawn"},
    "RoundState": {"evaluated"},
    "NoticeState": {"closed", "discarded"},
    "ItemState": {"granted", "dropped"},
    "ObjectionState": {"upheld", "rejected", "moot"},
    "RecoveryState": {"recovered", "written_off", "dropped"},
    "ClaimState": {"settled", "refused", "withdrawn"},
    "PayeeAccountState": {"replaced", "rejected", "withdrawn"},
    "BatchState": {"discarded"},
    "PaymentOrderState": {"answered", "cancelled"},
    "OrderLineState": {"paid_late", "returned"},
    "DiscrepancyState": {"closed"},
    "RailPayoutState": {"failed", "reversed"},
}


@pytest.mark.parametrize(
    ("states", "actions", "table", "starts"), MACHINES, ids=lambda value: getattr(value, "__name__", "")
)
def test_every_state_is_reachable_and_every_dead_end_is_meant(states, actions, table, starts):
    reachable, frontier = set(starts), set(starts)
    while frontier:
        frontier = {target.value for (state, _action), target in table.items() if state.value in frontier} - reachable
        reachable |= frontier
    assert reachable == {state.value for state in states}
    assert {state.value for state in states} - {state.value for state, _ in table} == ENDS[states.__name__]
    assert {action for _state, action in table} == set(actions)


def test_every_endpoint_asks_who_calls_and_documents_its_errors():
    from portal.api import api

    schema = api.get_openapi_schema()
    wrong = []
    for address, methods in schema["paths"].items():
        for method, operation in methods.items():
            if not operation.get("security"):
                wrong.append(f"{method} {address}: open to strangers")
            if not {401, 403, 422} <= {int(code) for code in operation["responses"]}:
                wrong.append(f"{method} {address}: errors not documented")
    assert wrong == []


def test_no_two_schemas_of_the_api_share_a_name():
    """The OpenAPI document knows schemas by name: of two with one name, the first would be told wrongly."""
    named: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and re.search(r"(In|Out)$", node.name):
                named.setdefault(node.name, []).append(name_of(path))
    assert {name: where for name, where in named.items() if len(where) > 1} == {}


def test_no_two_enumerations_of_the_api_share_a_name():
    """They are named in the document as schemas are."""
    from portal import api as _loads_them_all  # noqa: F401

    named: dict[str, set[type]] = {}
    schemas = [Schema]
    while schemas:
        schema = schemas.pop()
        schemas += schema.__subclasses__()
        for field in schema.model_fields.values():
            for kind in _kinds(field.annotation):
                named.setdefault(kind.__name__, set()).add(kind)
    assert len(named) > 20
    assert {name: kinds for name, kinds in named.items() if len(kinds) > 1} == {}


def _kinds(annotation: object) -> set[type]:
    """Return the enumerations that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {annotation}
    return {kind for part in get_args(annotation) for kind in _kinds(part)}


def test_the_printed_state_machines_are_those_of_the_code():
    from portal.management.commands.states import document

    assert (ROOT / "docs" / "states.md").read_text(encoding="utf-8") == document()


def test_every_table_has_its_word_in_the_glossary():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    missing = [
        model.__name__
        for label in ("portal", "vouchers", "scheduler", "integrations")
        for model in apps.get_app_config(label).get_models()
        if f"`{model.__name__}`" not in glossary
    ]
    assert missing == []
