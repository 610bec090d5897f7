"""Read the keys of a programme file that say how an award lives after the decision: see `terms`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from vouchers.programmes.parsing import Problems, Reader, child, shape_of, shaped
from vouchers.programmes.predicates import predicate
from vouchers.programmes.readers import (
    amount,
    choice,
    flag,
    listing,
    moment,
    nullable,
    rate,
    record,
    refuse,
    text,
    whole,
    word,
)
from vouchers.programmes.terms import (
    EVIDENCE_STAGES,
    NOTICE_FIELDS,
    AuditTerms,
    Automation,
    AwardOrder,
    Cadence,
    EvidenceTerm,
    IntakeWindow,
    InvoiceScope,
    Leftovers,
    Level,
    NoticeTerms,
    Redeem,
    RedeemMode,
    Sanction,
    Stage,
    Terms,
    Validity,
    VoucherForm,
    instant,
)
from vouchers.programmes.words import Words

__all__ = ["TERMS", "terms_of"]

ROLES: Final[Mapping[str, str]] = {"reviewer": "check", "expert": "score", "approver": "decide", "collective": "decide"}
"""The roles of a stage, each with the action it takes unless the file says otherwise."""

texts = listing(text(), most=100)
days = whole(0, 3660)
party = choice("applicant", "provider")


_validity_fields = record(
    {
        "length": whole(1, 600),
        "from": choice("issue", "contract"),
        "on_expiry": choice("return", "carry"),
        "grace": whole(0, 600),
        "roll_forward": flag,
    }
)


@shaped(_validity_fields)
def _validity(value: Any, path: str, problems: Problems) -> Validity:
    read = _validity_fields(value, path, problems)
    if "from" in read:
        read["starts"] = read.pop("from")
    return Validity(**read)


_redeem_fields = record(
    {
        "mode": choice(*RedeemMode),
        "claimant": party,
        "payee": party,
        "cadence": choice(*Cadence),
        "max_share": rate,
        "invoice": choice(*InvoiceScope),
    }
)


@shaped(_redeem_fields)
def _redeem(value: Any, path: str, problems: Problems) -> Redeem:
    read = _redeem_fields(value, path, problems)
    mode = RedeemMode(read.get("mode") or RedeemMode.DEDUCT)
    claimant = read.get("claimant") or ("provider" if mode is RedeemMode.DEDUCT else "applicant")
    return Redeem(
        mode=mode,
        claimant=claimant,
        payee=read.get("payee") or claimant,
        cadence=Cadence(read.get("cadence") or Cadence.ON_CLAIM),
        max_share=read.get("max_share"),
        invoice=InvoiceScope(read.get("invoice") or InvoiceScope.OWN),
    )


_window_fields = record({"from": moment, "to": nullable(moment), "note": text()}, required=("from",))


@shaped(_window_fields)
def _window(value: Any, path: str, problems: Problems) -> IntakeWindow | None:
    read = _window_fields(value, path, problems)
    if not read.get("from"):
        return None
    starts = instant(read["from"])
    ends = instant(read["to"], is_end=True) if read.get("to") else None
    if ends is not None and ends <= starts:
        refuse(value["to"], child(path, "to"), problems, Words("晚于 from 的时刻", "a time after from"))
        return None
    return IntakeWindow(starts, ends, read.get("note") or "")


_window_list = listing(_window)


@shaped(_window_list)
def _windows(value: Any, path: str, problems: Problems) -> tuple[IntakeWindow, ...]:
    return tuple(window for window in _window_list(value, path, problems) if window)


_stage_fields = record(
    {
        "stage": text(most=60),
        "role": choice(*ROLES),
        "level": choice(*Level),
        "action": choice("check", "recheck", "score", "decide"),
        "sla_days": days,
        "quorum": whole(1, 100),
        "returns_to": text(most=60),
    },
    required=("stage",),
)


_stage_list = listing(_stage_fields, least=1, most=20)


@shaped(_stage_list)
def _workflow(value: Any, path: str, problems: Problems) -> tuple[Stage, ...]:
    """Read the stages: names once each, returns go back, and the last stage alone decides."""
    rows = _stage_list(value, path, problems)
    stages: list[Stage] = []
    for at, row in enumerate(rows):
        here, earlier = child(path, at), [stage.stage for stage in stages]
        name, back = row.get("stage") or "", row.get("returns_to") or ""
        if name and name in earlier:
            refuse(name, child(here, "stage"), problems, Words("各项互不相同", "a value no other item has"))
        if back and back != "applicant" and back not in earlier:
            before = Words("applicant 或前面的环节", "applicant, or an earlier stage")
            refuse(back, child(here, "returns_to"), problems, before)
        role = row.get("role") or "reviewer"
        action = row.get("action") or ROLES[role]
        if (action == "decide") is not (at == len(rows) - 1):
            only = Words("最后一个环节作出决定（decide），也只有它", "decide in the last stage, and only there")
            refuse(action, child(here, "action"), problems, only)
        returns_to = "" if back == "applicant" else back
        given = {key: row[key] for key in ("level", "sla_days", "quorum") if row.get(key) is not None}
        stages.append(Stage(name, role, action=action, returns_to=returns_to, **given))
    return tuple(stages)


_notice_fields = record(
    {
        "min_working_days": days,
        "fields": listing(choice(*NOTICE_FIELDS), most=len(NOTICE_FIELDS)),
        "objection_to": text(),
    }
)


@shaped(_notice_fields)
def _notice(value: Any, path: str, problems: Problems) -> NoticeTerms:
    return NoticeTerms(**_notice_fields(value, path, problems))


_evidence_fields = record(
    {
        "stage": choice(*EVIDENCE_STAGES, "redeem"),
        "doc": text(),
        "required_when": predicate,
        "check": text(most=1000),
    },
    required=("doc",),
)


@shaped(_evidence_fields)
def _evidence(value: Any, path: str, problems: Problems) -> EvidenceTerm:
    read = _evidence_fields(value, path, problems)
    if read.get("stage") == "redeem":
        read["stage"] = "claim"
    return EvidenceTerm(**{"doc": "", **read})


_audit_fields = record({"sample_rate": rate, "third_party": flag, "on_site": flag})


@shaped(_audit_fields)
def _audit(value: Any, path: str, problems: Problems) -> AuditTerms:
    return AuditTerms(**_audit_fields(value, path, problems))


_sanction_fields = record(
    {
        "breach": text(),
        "recover": flag,
        "bar_years": whole(0, 100),
        "publish": flag,
        "party": choice("applicant", "provider", "agency"),
    },
    required=("breach",),
)


@shaped(_sanction_fields)
def _sanction(value: Any, path: str, problems: Problems) -> Sanction:
    return Sanction(**{"breach": "", **_sanction_fields(value, path, problems)})


@shaped({"const": False})
def _never(value: Any, path: str, problems: Problems) -> bool:
    if value is not False:
        refuse(value, path, problems, Words("false（券不得转让）", "false: a voucher is never transferable"))
    return False


_voucher_fields = record(
    {
        "unit": text(most=60),
        "face_values": listing(amount(least_fen=1), most=50),
        "multi_use": flag,
        "transferable": _never,
    }
)


@shaped(_voucher_fields)
def _voucher(value: Any, path: str, problems: Problems) -> VoucherForm:
    return VoucherForm(**_voucher_fields(value, path, problems))


@shaped({"type": "object", "minProperties": 1, "maxProperties": 200, "additionalProperties": shape_of(rate)})
def _region_quotas(value: Any, path: str, problems: Problems) -> dict[str, Fraction]:
    """Read each region's share of the money; together they are the whole."""
    if not isinstance(value, dict) or not value or len(value) > 200:
        refuse(value, path, problems, Words("对象：地区 → 份额", "an object: region → share"))
        return {}
    shares = {region: rate(share, child(path, region), problems) for region, share in value.items()}
    if sum(shares.values()) != 1:
        refuse(value, path, problems, Words("份额之和等于 1", "shares that add up to 1"))
    return shares


TERMS: Final[Mapping[str, Reader]] = {
    "validity": _validity,
    "redeem": _redeem,
    "order": word(AwardOrder),
    "region_quotas": _region_quotas,
    "region_leftovers": word(Leftovers),
    "windows": _windows,
    "workflow": _workflow,
    "notice": _notice,
    "evidence": listing(_evidence),
    "audit": _audit,
    "sanctions": listing(_sanction),
    "voucher": _voucher,
    "automation": word(Automation),
    "confidential_fields": texts,
    "metrics": texts,
    "appeal_days": days,
    "supplement_days": days,
}
"""The keys of a programme file this module reads."""


def terms_of(read: Mapping[str, Any], problems: Problems) -> Terms:
    """Return the terms among the keys already read, and say what they lack together."""
    given = {key: read[key] for key in TERMS if key in read and read[key] is not None}
    by_region = given.get("order") is AwardOrder.REGION_QUOTA
    if by_region is not ("region_quotas" in given):
        together = Words("order 为 region_quota 时填写，且仅在此时", "given with order region_quota, and only then")
        refuse(sorted(given.get("region_quotas", ())), "region_quotas", problems, together)
    if "region_leftovers" in given and not by_region:
        only = Words("仅在 order 为 region_quota 时填写", "given with order region_quota only")
        refuse(given["region_leftovers"].value, "region_leftovers", problems, only)
    return Terms(**given, stated=frozenset(given))
