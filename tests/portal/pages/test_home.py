"""The front door, the desk, the audit trail, and the words for everything that is recorded."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import translation

from portal.audit.models import Record
from portal.organisations.models import Organisation
from portal.pages.actions import ACTIONS, action_words, events, system_words
from scheduler.bookings.rules import BookingState
from scheduler.bookings.swap_rules import SwapState
from scheduler.conduct.rules import ViolationState
from scheduler.disputes.rules import DisputeState
from scheduler.jobs.rules import JobState
from scheduler.resources.rules import PublishState
from scheduler.samples.rules import SampleAction, SampleOrderState
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.flags.rules import FlagState
from vouchers.notices import services as notices
from vouchers.offers.rules import OfferState, OrderState
from vouchers.programmes.states import VersionState


def test_the_front_door_says_what_is_open_and_how_much_is_left(w, client, django_assert_num_queries):
    make.voucher(w, make.programme(w, in_force=LONG))
    with django_assert_num_queries(8):
        text = text_of(client.get(reverse("home")))
    for words in ("申请券", "预约仪器", "提交算力作业", "创新资源共享券", "剩余 ¥900,000.00", "累计发券 ¥100,000.00"):
        assert words in text
    assert raw_codes(text) == []


def test_the_statement_on_accessibility_is_public(db, client):
    assert "无障碍声明" in text_of(client.get(reverse("accessibility")))


def test_whoever_is_appointed_for_single_cases_does_not_read_the_department(w, client):
    case = make.application(w, make.programme(w, in_force=LONG))
    expert = make.actor(w.department, make.roles.Role.EXPERT)
    assert case.number in text_of(enter(client, w.reviewer).get(reverse("dashboard")))
    for outsider in (expert, w.third):
        assert case.number not in text_of(enter(client, outsider).get(reverse("dashboard")))


def tasks(client, actor):
    response = enter(client, actor).get(reverse("dashboard"))
    assert raw_codes(text_of(response)) == []
    return [task.what for task in response.context["tasks"]]


def test_each_person_sees_what_waits_for_them(w, client):
    version = make.programme(w, in_force=LONG)
    application = make.application(w, version)
    assert tasks(client, w.reviewer) == ["审核申请"]
    assert tasks(client, w.approver) == []
    application = make.passed(w, application)
    assert tasks(client, w.reviewer) == []
    assert tasks(client, w.approver) == ["审批申请"]
    voucher = make.approved(w, application)
    made = make.booking(w, make.instrument(w), pay_with=voucher)
    assert tasks(client, w.keeper) == ["确认预约"]
    make.measured(w, made)
    assert tasks(client, w.owner) == ["支付自付部分"]
    assert tasks(client, w.finance) == ["编制结算批次"]
    make.programmes.import_version(
        actor=w.officer, raw=make.programme_file(code="new"), budget=make.Money(1), fiscal_year=2026, now=make.NOW
    )
    assert tasks(client, w.publisher) == ["复核并发布项目"]
    assert tasks(client, w.officer) == []


def test_the_desks_queries_do_not_grow(w, client, django_assert_num_queries):
    version = make.programme(w, in_force=LONG)
    make.application(w, version, number="HT-0")
    enter(client, w.reviewer)
    with django_assert_num_queries(11):
        client.get(reverse("dashboard"))
    for number in range(1, 5):
        make.application(w, version, number=f"HT-{number}", items={"compute": make.Money.from_yuan("20000")})
    with django_assert_num_queries(11):
        assert len(client.get(reverse("dashboard")).context["tasks"]) == 5


# ---- audit


def test_an_auditor_searches_and_takes_the_whole_record_away(w, client):
    version = make.programme(w, in_force=LONG)
    application = make.application(w, version)
    enter(client, w.auditor)
    found = client.get(reverse("audit"), {"action": "application.submitted", "subject": application.number})
    assert [event.what for event in found.context["events"]] == ["提交申请"]
    assert f"申请 {application.number}" in text_of(found)
    assert raw_codes(text_of(found).replace("application.submitted", "")) == []
    assert client.get(reverse("audit"), {"actor": "没有这个人"}).context["listing"].total == 0
    assert client.get(reverse("audit"), {"until": "2020-01-01"}).context["listing"].total == 0
    assert client.get(reverse("audit"), {"since": "nonsense"}).status_code == 422
    file = client.get(reverse("audit"), {"format": "csv"}).content.decode()
    assert len(file.splitlines()) == Record.objects.count() + 1


def test_an_english_trail_names_organisations_in_english(w, client, django_assert_num_queries):
    organisation = Organisation.objects.get(pk=w.owner.organisation_id)
    make.application(w, make.programme(w, in_force=LONG))
    recorded = Record.objects.get(action="application.submitted")
    assert recorded.actor_label.endswith(f" · {organisation.name}")

    def who():
        with translation.override("en"):
            return [event.who for event in events([recorded])]

    Organisation.objects.filter(pk=organisation.pk).update(name_en="")
    assert who() == [recorded.actor_label]
    Organisation.objects.filter(pk=organisation.pk).update(name_en="Star Grain")
    with django_assert_num_queries(1):
        assert who() == [recorded.actor_label.replace(organisation.name, "Star Grain")]
    with django_assert_num_queries(0):
        assert [event.who for event in events([recorded])] == [recorded.actor_label]


@pytest.mark.parametrize("who", ["owner", "reviewer", "finance", "lab_owner", "officer"])
def test_the_trail_is_for_auditors(w, client, who):
    assert enter(client, getattr(w, who)).get(reverse("audit")).status_code == 403


def recorded_actions():
    """Yield every action the sources record, patterns filled with the states they may name."""
    fillings = {
        "programme.": [VersionState.PUBLISHED, VersionState.SUSPENDED],
        "flag.": list(FlagState),
        "instrument.": list(PublishState),
        "booking.": [BookingState.DECLINED, BookingState.CANCELLED, BookingState.LAPSED, BookingState.NO_SHOW],
        "offer.": [OfferState.PUBLISHED, OfferState.SUSPENDED, OfferState.WITHDRAWN],
        "order.": [state for state in OrderState if state is not OrderState.PLACED],
        "sample.": [state for state in SampleOrderState if state is not SampleOrderState.REQUESTED],
        "sample.one_": [act for act in SampleAction if act is not SampleAction.RESEND],
        "conduct.": [state for state in ViolationState if state is not ViolationState.COUNTED],
        "swap.": [SwapState.DECLINED, SwapState.WITHDRAWN],
        "dispute.": [DisputeState.ACCEPTED, DisputeState.UPHELD],
        "job.": list(JobState),
        "job.resolved_": list(JobState),
    }
    for package in ("portal", "vouchers", "scheduler"):
        for path in (Path(settings.BASE_DIR) / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.keyword) and node.arg == "action"):
                    continue
                parts = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
                for part in parts:
                    if isinstance(part, ast.Constant) and "." in str(part.value):
                        yield part.value
                    elif isinstance(part, ast.JoinedStr):
                        head = part.values[0].value
                        yield from (f"{head}{state.value}" for state in fillings[head])


def test_every_recorded_action_has_words():
    actions = set(recorded_actions())
    assert len(actions) > 40
    assert {action for action in actions if action_words(action) == "其他操作"} == set()
    assert set(ACTIONS) <= actions


def test_whoever_acts_without_a_person_has_an_english_name():
    files = [path for app in ("portal", "scheduler", "vouchers") for path in (settings.BASE_DIR / app).rglob("*.py")]
    named = {name for path in files for name in re.findall(r'Actor\.system\((?:\w+\()?"([^"]+)"', path.read_text())}
    assert "自动处理" in named
    with translation.override("en"):
        assert {name for name in named if re.search(r"[\u3400-\u9fff]", system_words(name))} == set()


def test_what_waits_on_the_way_to_a_voucher_is_listed(w, client):
    version = make.programme(w, in_force=LONG, notice={"min_working_days": 5})
    case = make.application(w, version)
    make.passed(w, case)
    make.passed(w, case, by=w.approver)
    notices.draft(actor=w.reviewer, version=version, now=make.NOW)
    enter(client, w.owner)
    client.post(reverse("application_begin", args=[version.programme.code]), {"idempotency_key": make.key()})
    assert tasks(client, w.owner) == ["继续填写申请"]
    assert tasks(client, w.approver) == ["发布公示"]
