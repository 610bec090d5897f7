"""Sample orders on real PostgreSQL: the whole way, its money, its custody, and who sees what."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, transaction

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.idempotency import KeyReused
from portal.kernel.money import Money
from portal.organisations import rules as roles
from scheduler.samples import access, reports, rules, services, testing
from scheduler.samples.models import Custody, Sample, SampleOrder
from tests import make, standing
from vouchers.charges.models import Charge
from vouchers.evidence import rules as evidence
from vouchers.evidence.services import Upload, read
from vouchers.ledger import queries as ledger


def build():
    w = make.world()
    return w, make.instrument(w, modes=("self", "sample"))


_standing, _own, w, sem = standing.fixtures(build, "w", "sem")


def act(w, sample, which, **more):
    return testing.handle(
        actor=w.keeper, sample=sample, handling=testing.Handling(rules.SampleAction(which), **more), now=make.NOW
    )


class TestAsking:
    def test_names_every_reason_at_once(self, w, sem):
        one = services.Declared(label="S", hazards=["toxic"])
        wanted = services.Wanted(resource=sem, title=" ", wanted="", samples=[one, one])
        with pytest.raises(Refused) as refused:
            services.request(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())
        codes = [reason.code for reason in refused.value.reasons]
        assert codes == ["sample.title", "sample.wanted", "sample.label_twice", "sample.hazard_note"]
        assert not SampleOrder.objects.exists()

    def test_an_instrument_takes_samples_only_where_it_says_so(self, w):
        with pytest.raises(Refused) as refused:
            make.sample_order(w, make.instrument(w))
        assert [reason.code for reason in refused.value.reasons] == ["sample.not_offered"]

    def test_one_key_asks_once(self, w, sem):
        wanted = services.Wanted(
            resource=sem, title="A", wanted="B", samples=[services.Declared(label="S", hazards=["none"])]
        )
        first = services.request(actor=w.researcher, wanted=wanted, now=make.NOW, key="same-key-1")
        assert services.request(actor=w.researcher, wanted=wanted, now=make.NOW, key="same-key-1").pk == first.pk
        other = services.Wanted(resource=sem, title="C", wanted="B", samples=wanted.samples)
        with pytest.raises(KeyReused):
            services.request(actor=w.researcher, wanted=other, now=make.NOW, key="same-key-1")
        assert Sample.objects.count() == 1

    def test_a_test_that_needs_a_method_or_cannot_be_done_needs_a_note(self, w, sem):
        order = make.sample_order(w, sem)
        for feasibility in (rules.Feasibility.NEEDS_METHOD, rules.Feasibility.CANNOT):
            with pytest.raises(rules.NoteMissing):
                services.answer(actor=w.keeper, order=order, feasibility=feasibility, note=" ", now=make.NOW)
        services.answer(
            actor=w.keeper, order=order, feasibility=rules.Feasibility.NEEDS_METHOD, note="须两周", now=make.NOW
        )
        assert make.quoted(w, order).state == "quoted"


class TestMoney:
    def test_accepting_holds_the_price_by_voucher_and_oneself(self, w, sem):
        voucher = make.voucher(w)
        order = make.accepted(w, make.quoted(w, make.sample_order(w, sem)), pay_with=[voucher])
        assert (order.charge.price_fen, order.charge.voucher_held_fen, order.charge.own_held_fen) == (
            60000,
            30000,
            30000,
        )

    def test_a_changed_or_ended_quote_is_not_accepted(self, w, sem):
        order = make.quoted(w, make.sample_order(w, sem))
        seen = order.price_fen
        dearer = services.Quote(rules.QuoteUnit.TEST, Money.from_yuan("400"), 2)
        services.quote(actor=w.keeper, order=order, quote=dearer, now=make.NOW)
        with pytest.raises(rules.QuoteChanged):
            services.accept(actor=w.researcher, order=order, seen_fen=seen, now=make.NOW)
        with pytest.raises(rules.QuoteEnded):
            late = make.NOW + timedelta(days=rules.QUOTE_DAYS)
            services.accept(actor=w.researcher, order=order, seen_fen=80000, now=late)
        assert not Charge.objects.exists()

    def test_cancelling_before_receipt_frees_everything_and_not_after(self, w, sem):
        order = make.accepted(w, make.quoted(w, make.sample_order(w, sem)))
        assert services.cancel(actor=w.researcher, order=order, now=make.NOW).charge.state == "released"
        kept = make.received(w, make.accepted(w, make.quoted(w, make.sample_order(w, sem))))
        with pytest.raises(InvalidTransition):
            services.cancel(actor=w.researcher, order=kept, now=make.NOW)
        assert ledger.unaccounted_fen() == 0

    def test_what_was_tested_is_captured_and_the_rest_is_free(self, w, sem):
        order = make.received(w, make.accepted(w, make.quoted(w, make.sample_order(w, sem, count=3))))
        issued = make.reported(w, make.drafted(w, order, counted=2))
        billed = testing.bill(actor=w.researcher, order=issued, now=make.NOW)
        assert (billed.state, billed.charge.actual_fen, billed.charge.price_fen) == ("billed", 60000, 90000)
        assert ledger.unaccounted_fen() == 0

    def test_technical_service_beside_the_tests_is_held_and_billed_once(self, w, sem):
        order = make.sample_order(w, sem, count=3)
        services.answer(actor=w.keeper, order=order, feasibility=rules.Feasibility.CAN, note="", now=make.NOW)
        unit, each, extra = rules.QuoteUnit.SAMPLE, Money.from_yuan("300"), Money.from_yuan("450")
        for lone in (services.Quote(unit, each, 3, "", "数据分析"), services.Quote(unit, each, 3, "", " ", extra)):
            with pytest.raises(Refused) as refused:
                services.quote(actor=w.keeper, order=order, quote=lone, now=make.NOW)
            assert [reason.code for reason in refused.value.reasons] == ["sample.surcharge"]
        both = services.Quote(unit, each, 3, "", "数据分析", extra)
        quoted = services.quote(actor=w.keeper, order=order, quote=both, now=make.NOW)
        assert quoted.price_fen == 135000
        issued = make.reported(w, make.drafted(w, make.received(w, make.accepted(w, quoted)), counted=2))
        billed = testing.bill(actor=w.researcher, order=issued, now=make.NOW)
        assert (billed.charge.price_fen, billed.charge.actual_fen) == (135000, 105000)
        assert ledger.unaccounted_fen() == 0

    def test_the_lab_bills_only_after_a_week(self, w, sem):
        order = make.tested(w, sem)
        with pytest.raises(rules.TooEarlyToBill):
            testing.bill(actor=w.keeper, order=order, now=make.NOW + timedelta(days=6, hours=23))
        assert testing.bill(actor=w.keeper, order=order, now=make.NOW + timedelta(days=7)).state == "billed"

    @pytest.mark.parametrize("counted", [0, 3])
    def test_no_more_is_billed_than_was_quoted(self, w, sem, counted):
        order = make.received(w, make.accepted(w, make.quoted(w, make.sample_order(w, sem))))
        with pytest.raises(rules.TooManyCounted):
            make.drafted(w, order, counted=counted)


class TestCustody:
    def test_every_hand_leaves_a_link_that_nobody_can_change(self, w, sem):
        order = make.accepted(w, make.quoted(w, make.sample_order(w, sem)))
        first, second = order.samples.all()
        act(w, first, "receive", place="冷柜 3 号")
        assert SampleOrder.objects.get(pk=order.pk).state == "accepted"
        act(w, second, "reject", note="容器破损")
        assert SampleOrder.objects.get(pk=order.pk).state == "received"
        with pytest.raises(rules.PlaceMissing):
            act(w, first, "move", place=" ")
        act(w, first, "move", place="实验台 2")
        act(w, first, "return")
        links = [(link.act, link.place, link.person_id) for link in Custody.objects.filter(sample=first)]
        assert links == [
            ("receive", "冷柜 3 号", w.keeper.user_id),
            ("move", "实验台 2", w.keeper.user_id),
            ("return", "", w.keeper.user_id),
        ]
        with pytest.raises(DatabaseError), transaction.atomic():
            Custody.objects.update(place="别处")
        with pytest.raises(InvalidTransition):
            act(w, first, "dispose", note="已满期")

    def test_samples_all_rejected_may_come_again(self, w, sem):
        order = make.accepted(w, make.quoted(w, make.sample_order(w, sem)))
        for sample in order.samples.all():
            with pytest.raises(rules.NoteMissing):
                act(w, sample, "reject")
            act(w, sample, "reject", note="没有标签")
        assert SampleOrder.objects.get(pk=order.pk).state == "samples_rejected"
        again = testing.resend(actor=w.researcher, order=order, now=make.NOW)
        assert again.charge.state == "held"
        assert make.received(w, again).state == "received"

    def test_nothing_is_received_before_the_quote_is_accepted(self, w, sem):
        order = make.quoted(w, make.sample_order(w, sem))
        with pytest.raises(InvalidTransition):
            act(w, order.samples.first(), "receive")


class TestReporting:
    def test_four_eyes(self, w, sem):
        order = make.drafted(w, make.received(w, make.accepted(w, make.quoted(w, make.sample_order(w, sem)))))
        with pytest.raises(rules.SameEyes):
            testing.review(actor=w.keeper, order=order, now=make.NOW)
        second = make.actor(w.lab, roles.Role.LAB_MANAGER)
        back = testing.send_back(actor=second, order=order, note="单位有误", now=make.NOW)
        assert back.state == "testing"
        corrected = Upload("report2.pdf", b"%PDF-1.7\ncorrected\n%%EOF\n")
        again = make.drafted(w, back, report=corrected)
        assert [file.name for file in reports.drafts_of(again)] == ["report2.pdf"]

    def test_the_enterprise_reads_a_report_only_once_issued(self, w, sem):
        order = make.drafted(w, make.received(w, make.accepted(w, make.quoted(w, make.sample_order(w, sem)))))
        assert list(reports.reports_for(w.researcher, order)) == []
        draft = reports.reports_for(w.keeper, order).get()
        with pytest.raises(NotFound):
            reports.get_report(w.researcher, order, draft.pk)
        issued = make.reported(w, order)
        assert read(file=reports.get_report(w.researcher, issued, draft.pk)) == make.REPORT.content

    def test_a_report_is_judged_by_its_content(self, w, sem):
        order = make.received(w, make.accepted(w, make.quoted(w, make.sample_order(w, sem))))
        with pytest.raises(evidence.BadFile):
            make.drafted(w, order, report=Upload("report.pdf", b"MZ\x90\0program"))

    def test_a_retest_keeps_the_first_report_and_hides_the_second_until_issued(self, w, sem):
        order = testing.retest(actor=w.researcher, order=make.tested(w, sem), note="偏差过大", now=make.NOW)
        second = make.drafted(w, order, report=Upload("second.pdf", b"%PDF-1.7\nsecond\n%%EOF\n"))
        assert [file.name for file in reports.reports_for(w.researcher, second)] == ["report.pdf"]
        issued = make.reported(w, second)
        assert [file.name for file in reports.reports_for(w.researcher, issued)] == ["report.pdf", "second.pdf"]


class TestConfidentiality:
    def test_a_third_enterprise_and_another_lab_find_nothing(self, w, sem):
        order = make.tested(w, sem)
        strangers = [
            make.applicant(),
            make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER),
            w.reviewer,
            w.auditor,
        ]
        for stranger in strangers:
            with pytest.raises(NotFound):
                access.get_order(stranger, order.number)

    def test_each_side_does_only_its_own(self, w, sem):
        order = make.quoted(w, make.sample_order(w, sem))
        other = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.LAB_MANAGER)
        with pytest.raises(Forbidden):
            services.accept(actor=w.keeper, order=order, seen_fen=60000, now=make.NOW)
        with pytest.raises(Forbidden):
            services.answer(actor=other, order=order, feasibility=rules.Feasibility.CAN, note="", now=make.NOW)
        with pytest.raises(Forbidden):
            services.cancel(actor=make.applicant(), order=order, now=make.NOW)


@pytest.mark.django_db(transaction=True)
def test_two_people_accept_one_quote_once():
    w = make.world()
    order = make.quoted(w, make.sample_order(w, make.instrument(w, modes=("self", "sample"))))
    results: list[str] = []
    gate = threading.Barrier(2)

    def accept(who):
        gate.wait()
        try:
            services.accept(actor=who, order=order, seen_fen=60000, now=make.NOW)
            results.append("accepted")
        except InvalidTransition:
            results.append("late")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=accept, args=[who]) for who in (w.researcher, w.owner)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(results) == ["accepted", "late"]
    assert Charge.objects.count() == 1
