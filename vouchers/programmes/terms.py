"""The keys of a programme file that the engine does not evaluate: how a voucher lives after the decision.

Their shapes follow the parameters found in the published schemes; issuance, redemption and settlement read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vouchers.programmes.parsing import Reader
from vouchers.programmes.predicates import predicate
from vouchers.programmes.readers import amount, choice, flag, listing, moment, nullable, rate, record, text, whole

__all__ = ["TERMS"]

texts = listing(text(), most=100)
days = whole(0, 3660)

TERMS: Final[Mapping[str, Reader]] = {
    # months; what happens to the unused rest, and for how many months it may still be claimed
    "validity": record(
        {
            "length": whole(1, 600),
            "from": choice("issue", "contract"),
            "on_expiry": choice("return", "carry"),
            "grace": whole(0, 600),
        }
    ),
    # max_share: of one bill
    "redeem": record(
        {
            "mode": choice("deduct", "reimburse", "award"),
            "claimant": choice("applicant", "provider"),
            "payee": choice("applicant", "provider"),
            "cadence": choice("on_claim", "month", "quarter", "year", "batch"),
            "max_share": rate,
        }
    ),
    "order": choice("first_come", "all_then_prorate", "ranked", "lottery", "region_quota"),
    "windows": listing(record({"from": moment, "to": nullable(moment), "note": text()}, required=("from",))),
    "workflow": listing(
        record(
            {
                "stage": text(),
                "role": text(),
                "level": text(),
                "action": text(),
                "sla_days": days,
                "quorum": whole(1, 100),
                "returns_to": text(),
            },
            required=("stage",),
        )
    ),
    "notice": record({"min_working_days": days, "fields": texts, "objection_to": text()}),
    "evidence": listing(
        record({"stage": text(), "doc": text(), "required_when": predicate, "check": text()}, required=("doc",))
    ),
    "audit": record({"sample_rate": rate, "third_party": flag, "on_site": flag}),
    "sanctions": listing(
        record(
            {"breach": text(), "recover": flag, "bar_years": whole(0, 100), "publish": flag, "party": text()},
            required=("breach",),
        )
    ),
    "voucher": record(
        {"unit": text(most=60), "face_values": listing(amount(least_fen=1)), "multi_use": flag, "transferable": flag}
    ),
    "automation": choice("none", "no_application", "instant"),
    "confidential_fields": texts,
    "metrics": texts,
}
