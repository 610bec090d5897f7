"""Published schemes as data: what they pay, once over all levels, again when facts change, and what may be published."""

import json

from jsonschema import Draft202012Validator

from portal.kernel.errors import Refused
from portal.kernel.money import Money
from tests import make
from tests.vouchers.programmes.given import CASES, DATA, catalogue
from tests.vouchers.scenarios import scenario
from vouchers.programmes import cases, documents, rules, services
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.differences import differences
from vouchers.programmes.json_schema import FILE
from vouchers.programmes.requests import Request, load_request
from vouchers.programmes.rules import Reassessment

SCHEMES = catalogue()
WUHAN, QIAOKOU, HANYANG = "wh-compute-2025", "qiaokou-compute-2025", "hanyang-topup-2026"


def firm(district: str, *history: dict[str, object]) -> Request:
    """Return the request of a Wuhan firm with one contract of 380,000 yuan of compute."""
    return load_request(
        {
            "applicant": {
                "type": "enterprise",
                "region": district,
                "legal_person": True,
                "major_accident_free_years": 3,
            },
            "provider": {"recognised": True},
            "contract": {"id": "HT-1", "items": {"compute": 380000}, "related": False},
            "year": 2025,
            "today": "2025-12-01",
            "history": list(history),
        }
    )


def paid(programme: str, amount: str, **changes: object) -> dict[str, object]:
    return {"programme": programme, "year": 2025, "amount": amount, "contract": "HT-1", **changes}


def decide(code: str, request: Request) -> Decision:
    return rules.evaluate(SCHEMES[code], request, catalogue=SCHEMES)


def again(code: str, request: Request, before: str) -> Reassessment:
    return rules.reassess(SCHEMES[code], request, Money.from_yuan(before), catalogue=SCHEMES)


@scenario("G1")
def the_worked_cases() -> str:
    """The 59 worked cases over 32 published schemes give the stated decision, amount and rule."""
    results = list(cases.run(cases.load_cases(CASES.read_bytes()), SCHEMES))
    assert len(results) == 59
    assert [result.line() for result in results if not result.is_passed] == []
    return f"{len(results)} cases, {len(SCHEMES)} schemes"


@scenario("G2")
def the_format_as_json_schema() -> str:
    """Every published scheme is valid under the published JSON Schema, names only known facts, and is read."""
    validator = Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
    for file in sorted(DATA.glob("*.json")):
        raw = file.read_bytes()
        assert list(validator.iter_errors(json.loads(raw))) == []
        assert documents.admit(raw).code == file.stem
    return f"{len(SCHEMES)} files"


@scenario("L5")
def a_district_follows_the_citys_recovery() -> str:
    """The city recovers 50,000 of the 200,000 it paid; of the district's 20 % top-up, 10,000 is proposed as receivable."""
    given = decide(HANYANG, firm("汉阳区", paid(WUHAN, "200000")))
    assert given.amount == Money.from_yuan("40000")
    found = again(HANYANG, firm("汉阳区", paid(WUHAN, "200000", paid="150000")), "40000")
    assert (found.after, found.receivable, found.top_up) == (
        Money.from_yuan("30000"),
        Money.from_yuan("10000"),
        Money(0),
    )
    unchanged = again(HANYANG, firm("汉阳区", paid(WUHAN, "200000", paid="200000")), "40000")
    assert (unchanged.receivable, unchanged.top_up) == (Money(0), Money(0))
    return "40,000 -> 30,000"


@scenario("L6")
def two_levels_pay_once() -> str:
    """380,000 of compute: city 190,000 or district 190,000, never both; the top-up on the city's payment is allowed."""
    city = decide(WUHAN, firm("武汉"))
    assert (city.decision, city.amount) == (DecisionKind.GRANT, Money.from_yuan("190000"))
    district = decide(QIAOKOU, firm("硚口区"))
    assert district.amount == Money.from_yuan("190000")

    after_city = decide(QIAOKOU, firm("硚口区", paid(WUHAN, "190000")))
    assert (after_city.decision, after_city.rule) == (DecisionKind.REJECT, "R10")
    after_district = decide(WUHAN, firm("武汉", paid(QIAOKOU, "190000")))
    assert (after_district.decision, after_district.rule) == (DecisionKind.REJECT, "R10")

    top_up = decide(HANYANG, firm("汉阳区", paid(WUHAN, "190000")))
    assert (top_up.decision, top_up.amount) == (DecisionKind.GRANT, Money.from_yuan("38000"))
    return "190,000 once; top-up 38,000"


@scenario("L8")
def a_refunded_purchase() -> str:
    """40 % of a 2,000,000 corpus is refunded after 600,000 was paid: the rest earns 360,000, 240,000 is receivable."""

    def bought(amount: int) -> Request:
        contract = {"id": "C-1", "items": {"corpus": amount}, "related": False}
        return load_request({"applicant": {"type": "enterprise"}, "contract": contract, "year": 2025})

    assert decide("sh-corpus-2025", bought(2_000_000)).amount == Money.from_yuan("600000")
    found = again("sh-corpus-2025", bought(1_200_000), "600000")
    assert (found.after, found.receivable) == (Money.from_yuan("360000"), Money.from_yuan("240000"))
    assert found.difference == Money.from_yuan("-240000")

    refused = load_request({"contract": {"id": "C-1", "items": {"corpus": 2_000_000}, "related": True}, "year": 2025})
    assert again("sh-corpus-2025", refused, "600000").receivable == Money.from_yuan("600000")
    unknown = load_request({"contract": {"id": "C-1", "items": {"corpus": 2_000_000}}, "year": 2025})
    assert again("sh-corpus-2025", unknown, "600000").difference is None
    return "600,000 -> 360,000"


@scenario("P1")
def a_version_and_its_review(w: make.World) -> str:
    """A draft is published only with a fair-competition review by a second person; what changed is told in words."""
    first = make.programme(w)
    second = make.draft(w, caps=[{"window": "year", "amount": 300000}], provider=["provider.region", "=", "杭州"])
    try:
        services.publish(actor=w.publisher, version=second, now=make.NOW)
    except Refused as refused:
        assert [reason.code for reason in refused.reasons] == ["programme.fair_review"]
    else:
        raise AssertionError("published without a review")
    make.fair_review(w, second)
    services.publish(actor=w.publisher, version=second, now=make.NOW)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("superseded", "published")
    assert [one["path"] for one in second.fair_review.exposed] == ["provider[0]"]
    changes = differences(documents.load(first.document), documents.load(second.document), "en")
    assert [(one.section, one.before, one.after) for one in changes] == [
        ("Ceilings and counts", "¥500,000", "¥300,000"),
        ("Providers", "", "the provider's place is Hangzhou"),
    ]
    return f"{len(changes)} changes told"


@scenario("P2")
def a_case_keeps_its_version(w: make.World) -> str:
    """A case is decided by the version in force when it was submitted, whatever is published afterwards."""
    case = make.application(w, make.programme(w))
    assert case.amount_fen == 100_000_00
    make.programme(w, lines=[{"id": "10%", "rate": "0.10"}])
    case.refresh_from_db()
    assert (case.version.number, case.version.state) == (1, "superseded")
    make.approved(w, make.passed(w, case))
    case.refresh_from_db()
    assert case.amount_fen == 100_000_00
    later = make.application(w, make.programmes.Programme.objects.get().versions.get(number=2), number="HT-2")
    assert later.amount_fen == 20_000_00
    return "50 % before, 10 % after"
