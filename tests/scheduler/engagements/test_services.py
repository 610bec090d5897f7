"""Engagements on real PostgreSQL: the whole way, its money, changes of plan, and who sees what."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.idempotency import KeyReused
from portal.organisations import rules as roles
from scheduler.engagements import access, delivering, quoting, rules, services
from scheduler.engagements.models import Engagement
from scheduler.messages.models import Message
from scheduler.messages.wording import worded
from scheduler.ratings import rules as rating_rules
from scheduler.ratings import services as ratings
from scheduler.resources.rules import ResourceKind
from tests import make
from vouchers.charges.models import Charge
from vouchers.evidence import rules as evidence
from vouchers.evidence.services import Upload
from vouchers.ledger import queries as ledger
from vouchers.payments.models import Payment


@pytest.fixture
def line(w):
    return make.instrument(w, modes=("self", "technical"))


@pytest.fixture
def running(w, line):
    return make.planned(w, make.engagement(w, line))


def wanted(resource, **changes):
    said = {"title": "中试", "description": "放大", "wanted": "样品", "wanted_by": make.NOW.date(), **changes}
    return services.Wanted(resource=resource, **said)


def accept(w, milestone, *, now=make.NOW):
    return delivering.accept(actor=w.researcher, milestone=milestone, now=now)


def paying(w):
    """Return a voucher of 100,000 yuan that pays half of research services, too."""
    cost = {"include": ["compute", "instrument_use", "rd_service"], "max_months": 12}
    return make.voucher(w, make.programme(w, cost=cost))


def held(found) -> list[tuple[str, int]]:
    return [(row.charge.state, row.charge.price_fen) for row in found.milestones.select_related("charge")]


class TestAsking:
    def test_names_every_reason_at_once(self, w, line):
        asked = wanted(line, title=" ", description="", wanted="", wanted_by=make.NOW.date() - timedelta(days=1))
        with pytest.raises(Refused) as refused:
            services.request(actor=w.researcher, wanted=asked, now=make.NOW, key=make.key())
        assert [reason.code for reason in refused.value.reasons] == [
            "engagement.title",
            "engagement.description",
            "engagement.wanted",
            "engagement.wanted_by",
        ]
        assert not Engagement.objects.exists()

    def test_only_what_offers_it_is_asked(self, w):
        with pytest.raises(Refused) as refused:
            make.engagement(w, make.instrument(w))
        assert [reason.code for reason in refused.value.reasons] == ["engagement.not_offered"]
        assert make.engagement(w, make.instrument(w, kind=ResourceKind.PILOT_LINE)).state == "requested"

    def test_one_key_asks_once(self, w, line):
        first = services.request(actor=w.researcher, wanted=wanted(line), now=make.NOW, key="same-key-1")
        again = services.request(actor=w.researcher, wanted=wanted(line), now=make.NOW, key="same-key-1")
        assert again.pk == first.pk
        with pytest.raises(KeyReused):
            services.request(actor=w.researcher, wanted=wanted(line, title="别的"), now=make.NOW, key="same-key-1")

    def test_the_lab_declines_with_a_reason_and_the_enterprise_withdraws(self, w, line):
        found = make.engagement(w, line)
        with pytest.raises(rules.NoteMissing):
            services.decline(actor=w.keeper, engagement=found, note=" ", now=make.NOW)
        assert services.decline(actor=w.keeper, engagement=found, note="无设备", now=make.NOW).state == "declined"
        other = make.engagement(w, line)
        made = quoting.quote(actor=w.keeper, engagement=other, plan=make.milestone_plan("1"), now=make.NOW)
        assert services.cancel(actor=w.researcher, engagement=other, now=make.NOW).state == "cancelled"
        made.refresh_from_db()
        assert made.state == "lapsed"


class TestQuoting:
    def test_a_plan_that_is_wrong_is_refused_whole(self, w, line):
        plan = quoting.Plan([rules.Line("", "", make.NOW.date() - timedelta(days=2), 0)], 0)
        with pytest.raises(Refused) as refused:
            quoting.quote(actor=w.keeper, engagement=make.engagement(w, line), plan=plan, now=make.NOW)
        assert len(refused.value.reasons) == 5

    def test_a_refused_quote_is_quoted_again(self, w, line):
        found = make.engagement(w, line)
        quoting.quote(actor=w.keeper, engagement=found, plan=make.milestone_plan("900"), now=make.NOW)
        with pytest.raises(rules.NoteMissing):
            quoting.refuse(actor=w.researcher, engagement=found, note="", now=make.NOW)
        assert quoting.refuse(actor=w.researcher, engagement=found, note="太贵", now=make.NOW).state == "requested"
        with pytest.raises(rules.NoQuote):
            quoting.refuse(actor=w.researcher, engagement=found, note="太贵", now=make.NOW)
        assert make.planned(w, found, "800").state == "running"
        assert [row.state for row in found.quotes.all()] == ["refused", "accepted"]

    def test_a_changed_or_ended_quote_is_not_accepted(self, w, line):
        found = make.engagement(w, line)
        for price in ("900", "950"):
            quoting.quote(actor=w.keeper, engagement=found, plan=make.milestone_plan(price), now=make.NOW)
        with pytest.raises(rules.PlanChanged):
            quoting.accept(actor=w.researcher, engagement=found, seen=(1, 90000), now=make.NOW)
        with pytest.raises(rules.QuoteEnded):
            late = make.NOW + timedelta(days=rules.QUOTE_DAYS)
            quoting.accept(actor=w.researcher, engagement=found, seen=(2, 95000), now=late)
        assert not Charge.objects.exists()


class TestMoney:
    def test_accepting_holds_each_milestone_as_the_plan_shown_said(self, w, line):
        voucher, found = paying(w), make.engagement(w, line)
        made = quoting.quote(actor=w.keeper, engagement=found, plan=make.milestone_plan("100.01", "0.01"), now=make.NOW)
        shown = quoting.payment_plan(engagement=found, quote=made, vouchers=[voucher], now=make.NOW)
        assert (shown.voucher.fen, shown.own.fen, list(shown.reasons)) == (5000, 5002, [])
        quoting.accept(actor=w.researcher, engagement=found, seen=(1, 10002), vouchers=[voucher], now=make.NOW)
        charges = [row.charge for row in found.milestones.select_related("charge")]
        assert [(one.voucher_held_fen, one.own_held_fen) for one in charges] == [(5000, 5001), (0, 1)]
        assert [(plan.split.voucher.fen, plan.split.own.fen) for plan in shown.plans] == [(5000, 5001), (0, 1)]
        assert ledger.unaccounted_fen() == 0

    def test_a_voucher_too_small_for_all_milestones_together_is_refused(self, w, line):
        voucher = paying(w)
        found = make.engagement(w, line)
        with pytest.raises(Refused) as refused:
            make.planned(w, found, "150000", "150000", pay_with=[voucher])
        assert [reason.code for reason in refused.value.reasons] == ["voucher.too_small"]
        assert not Charge.objects.exists()
        assert make.planned(w, found, "100000", "100000", pay_with=[voucher]).state == "running"

    def test_an_accepted_milestone_is_billed_and_the_last_completes(self, w, running):
        assert held(running) == [("held", 100000), ("held", 200000)]
        first = accept(w, make.delivered(w, running))
        assert (first.state, first.charge.actual_fen, Payment.objects.get().amount_fen) == ("accepted", 100000, 100000)
        running.refresh_from_db()
        assert running.state == "running"
        accept(w, make.delivered(w, running, 2))
        running.refresh_from_db()
        assert running.state == "completed"
        assert ledger.unaccounted_fen() == 0
        with pytest.raises(InvalidTransition):
            accept(w, first)

    def test_a_returned_delivery_comes_again_with_both_files(self, w, running):
        delivered = make.delivered(w, running)
        with pytest.raises(rules.NoteMissing):
            delivering.send_back(actor=w.researcher, milestone=delivered, note="", now=make.NOW)
        back = delivering.send_back(actor=w.researcher, milestone=delivered, note="缺数据", now=make.NOW)
        assert (back.state, back.deemed_at, back.charge.state) == ("returned", None, "held")
        again = Upload("second.pdf", b"%PDF-1.7\nsecond\n%%EOF\n")
        delivering.deliver(actor=w.keeper, milestone=back, uploads=[again], now=make.NOW)
        (files,) = access.files_of_all(access.milestones_of(running)).values()
        assert [(file.name, file.purpose) for file in files] == [
            ("report.pdf", "delivery-1"),
            ("second.pdf", "delivery-2"),
        ]

    def test_a_delivery_needs_files_that_are_what_they_say(self, w, running):
        one = make.milestone(running)
        with pytest.raises(rules.FileMissing):
            delivering.deliver(actor=w.keeper, milestone=one, uploads=[], now=make.NOW)
        with pytest.raises(rules.TooManyFiles):
            delivering.deliver(actor=w.keeper, milestone=one, uploads=[make.REPORT] * 6, now=make.NOW)
        with pytest.raises(evidence.BadFile):
            program = Upload("report.pdf", b"MZ\x90\0program")
            delivering.deliver(actor=w.keeper, milestone=one, uploads=[program], now=make.NOW)
        assert make.milestone(running).state == "planned"

    def test_silence_accepts_after_the_days_agreed_and_not_before(self, w, line):
        running = make.planned(w, make.engagement(w, line), acceptance_days=3)
        make.delivered(w, running)
        end = make.NOW + timedelta(days=3)
        assert delivering.accept_due(now=end - timedelta(microseconds=1)) == 0
        assert delivering.accept_due(now=end) == 1
        assert delivering.accept_due(now=end) == 0
        first = make.milestone(running)
        assert (first.state, first.is_deemed, first.charge.actual_fen) == ("accepted", True, 100000)


class TestChanging:
    def test_a_change_of_plan_frees_the_rest_and_holds_the_new(self, w, running):
        accept(w, make.delivered(w, running))
        make.planned(w, running, "500", "700")
        assert [row.state for row in running.milestones.all()] == ["accepted", "dropped", "planned", "planned"]
        assert held(running) == [("captured", 100000), ("released", 200000), ("held", 50000), ("held", 70000)]
        assert ledger.unaccounted_fen() == 0

    def test_what_the_change_frees_pays_for_it(self, w, line):
        voucher = paying(w)
        running = make.planned(w, make.engagement(w, line), "200000", pay_with=[voucher])
        made = quoting.quote(actor=w.keeper, engagement=running, plan=make.milestone_plan("199999"), now=make.NOW)
        shown = quoting.payment_plan(engagement=running, quote=made, vouchers=[voucher], now=make.NOW)
        assert list(shown.reasons) == []
        quoting.accept(actor=w.researcher, engagement=running, seen=(2, 19999900), vouchers=[voucher], now=make.NOW)
        assert held(running) == [("released", 20000000), ("held", 19999900)]

    def test_a_refused_change_leaves_the_plan(self, w, running):
        quoting.quote(actor=w.keeper, engagement=running, plan=make.milestone_plan("9"), now=make.NOW)
        assert quoting.refuse(actor=w.researcher, engagement=running, note="不必", now=make.NOW).state == "running"
        assert held(running) == [("held", 100000), ("held", 200000)]

    def test_a_change_that_waits_keeps_the_last_acceptance_from_completing_until_it_is_refused(self, w, line):
        running = make.planned(w, make.engagement(w, line), "1000")
        delivered = make.delivered(w, running)
        quoting.quote(actor=w.keeper, engagement=running, plan=make.milestone_plan("9"), now=make.NOW)
        with pytest.raises(rules.AwaitsAcceptance):
            quoting.accept(actor=w.researcher, engagement=running, seen=(2, 900), now=make.NOW)
        accept(w, delivered)
        running.refresh_from_db()
        assert running.state == "running"
        assert quoting.refuse(actor=w.researcher, engagement=running, note="不必", now=make.NOW).state == "completed"

    def test_delivering_lets_a_change_that_waits_lapse(self, w, running):
        made = quoting.quote(actor=w.keeper, engagement=running, plan=make.milestone_plan("9"), now=make.NOW)
        make.delivered(w, running)
        made.refresh_from_db()
        assert made.state == "lapsed"

    def test_stopping_between_milestones_frees_what_is_not_delivered(self, w, running):
        accept(w, make.delivered(w, running))
        stopped = services.stop(actor=w.researcher, engagement=running, note="方向调整", now=make.NOW)
        assert (stopped.state, held(stopped)) == ("stopped", [("captured", 100000), ("released", 200000)])
        assert ledger.unaccounted_fen() == 0

    def test_nobody_stops_over_work_that_waits_and_the_enterprise_not_over_returned_work(self, w, running):
        delivered = make.delivered(w, running)
        with pytest.raises(rules.AwaitsAcceptance):
            services.stop(actor=w.keeper, engagement=running, note="停", now=make.NOW)
        delivering.send_back(actor=w.researcher, milestone=delivered, note="缺数据", now=make.NOW)
        with pytest.raises(rules.ReturnedWork):
            services.stop(actor=w.researcher, engagement=running, note="停", now=make.NOW)
        assert services.stop(actor=w.keeper, engagement=running, note="停", now=make.NOW).state == "stopped"


def test_a_rating_closes_it_once(w, running):
    with pytest.raises(rating_rules.NotOver):
        ratings.rate_engagement(actor=w.researcher, engagement=running, stars=5, comment="", now=make.NOW)
    accept(w, make.delivered(w, running))
    accept(w, make.delivered(w, running, 2))
    rated = ratings.rate_engagement(actor=w.researcher, engagement=running, stars=5, comment="好", now=make.NOW)
    running.refresh_from_db()
    assert (running.state, rated.engagement_id) == ("closed", running.pk)
    with pytest.raises(rating_rules.AlreadyRated):
        ratings.rate_engagement(actor=w.researcher, engagement=running, stars=1, comment="", now=make.NOW)
    assert ratings.answer(actor=w.keeper, rating=rated, text="谢谢", now=make.NOW).answer == "谢谢"


def test_the_enterprise_is_told_what_waits_for_its_answer_and_no_word_of_the_work(w, line):
    running = make.planned(w, make.engagement(w, line), acceptance_days=3)
    make.delivered(w, running)
    delivering.accept_due(now=make.NOW + timedelta(days=3))
    services.decline(actor=w.keeper, engagement=make.engagement(w, line), note="无设备", now=make.NOW)
    told = list(Message.objects.filter(user_id=w.researcher.user_id).order_by("pk"))
    assert [message.kind for message in told] == [
        "engagement_quoted",
        "milestone_delivered",
        "milestone_deemed",
        "engagement_declined",
    ]
    text = worded(told[1]).text
    assert "2026-11-" in text
    assert running.number in text
    assert not any(word in str([(worded(one).headline, worded(one).text) for one in told]) for word in ("阶段", "隔膜"))


class TestConfidentiality:
    def test_a_third_enterprise_another_lab_and_the_department_find_nothing(self, w, running):
        other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
        for stranger in (make.applicant(), other, w.reviewer, w.auditor):
            with pytest.raises(NotFound):
                access.get_engagement(stranger, running.number)

    def test_each_side_does_only_its_own(self, w, running):
        other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
        one = make.milestone(running)
        for actor in (w.researcher, other):
            with pytest.raises(Forbidden):
                delivering.deliver(actor=actor, milestone=one, uploads=[make.REPORT], now=make.NOW)
            with pytest.raises(Forbidden):
                quoting.quote(actor=actor, engagement=running, plan=make.milestone_plan("1"), now=make.NOW)
        delivered = make.delivered(w, running)
        for actor in (w.keeper, make.applicant()):
            with pytest.raises(Forbidden):
                delivering.accept(actor=actor, milestone=delivered, now=make.NOW)
            with pytest.raises(Forbidden):
                delivering.send_back(actor=actor, milestone=delivered, note="缺", now=make.NOW)
        for actor in (other, make.applicant()):
            with pytest.raises(Forbidden):
                services.stop(actor=actor, engagement=running, note="停", now=make.NOW)

    def test_the_record_says_what_was_done_but_no_word_of_the_work(self, w, running):
        delivering.send_back(actor=w.researcher, milestone=make.delivered(w, running), note="秘密", now=make.NOW)
        kept = str(list(Record.objects.filter(subject=running.subject).values_list("action", "data")))
        assert "engagement.returned" in kept
        assert not any(word in kept for word in ("秘密", "阶段", "隔膜"))


@pytest.mark.django_db(transaction=True)
def test_two_people_accept_one_quote_and_one_delivery_once():
    w = make.world()
    found = make.engagement(w, make.instrument(w, modes=("self", "technical")))
    quoting.quote(actor=w.keeper, engagement=found, plan=make.milestone_plan("1000"), now=make.NOW)

    def both(do) -> list[str]:
        results: list[str] = []
        gate = threading.Barrier(2)

        def run(who):
            gate.wait()
            try:
                do(who)
                results.append("done")
            except (InvalidTransition, rules.NoQuote):
                results.append("late")
            finally:
                connections.close_all()

        threads = [threading.Thread(target=run, args=[who]) for who in (w.researcher, w.owner)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        return sorted(results)

    seen = (1, 100000)
    assert both(lambda who: quoting.accept(actor=who, engagement=found, seen=seen, now=make.NOW)) == ["done", "late"]
    delivered = make.delivered(w, found)
    assert both(lambda who: delivering.accept(actor=who, milestone=delivered, now=make.NOW)) == ["done", "late"]
    assert Charge.objects.count() == Payment.objects.count() == 1
