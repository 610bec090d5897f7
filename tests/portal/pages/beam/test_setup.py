"""The user office sets its facility up by pages: what is wrong is said at once, nothing typed is lost, nobody overwrites."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.kernel.period import Period
from scheduler.availability.models import Closure
from scheduler.facilities import cycles, queries
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Beamline, Device, Facility, Partner, RunCycle
from scheduler.facilities.shares import Pool
from tests import beam, make
from tests.portal.pages.reading import enter, text_of

pytestmark = pytest.mark.django_db
FACILITY = {
    "code": "hz-ring",
    "name": "杭州光源",
    "name_en": "Hangzhou Ring",
    "city": "杭州",
    "zone": "Asia/Shanghai",
    "first": "00:00",
    "length_min": "480",
    "multiple": "3",
    "shift_0": "夜班",
    "shift_1": "早班",
    "shift_2": "中班",
    "lowest": "1",
    "highest": "5",
    "step": "0.5",
    "best": "low",
    "ageing": "0.2",
    "ageing_cycles": "2",
    "graders": "3",
    "together_years": "4",
    "answer_days": "7",
    "forms_days": "21",
    "report_weeks": "8",
    "report_rule": "block",
    "market_days": "10",
    "act": "save",
}


@pytest.fixture
def site():
    return beam.site()


@pytest.fixture
def office(site):
    return enter(Client(), site.office)


def url(site: beam.Site, name: str, *more: object) -> str:
    return reverse(name, args=[site.facility.code, *more])


def told(site: beam.Site, client: Client, name: str, *more: object) -> dict[str, object]:
    """Return what the form on a page would send if it were saved as it stands."""
    page = client.get(url(site, name, *more))
    said: dict[str, object] = {"act": "save", "opened_on": page.context["opened_on"]}
    for bound in page.context["form"]:
        value = bound.value()
        if isinstance(value, bool):
            said |= {bound.html_name: "on"} if value else {}
        elif value not in (None, ""):
            widget = bound.field.widget
            said[bound.html_name] = value if isinstance(value, list | str) else widget.format_value(value)
    return said


class TestFacility:
    def test_the_office_enters_a_facility_and_shows_it(self, office):
        answer = office.post(reverse("facility_new"), FACILITY)
        assert answer.status_code == 302
        made = Facility.objects.get(code="hz-ring")
        assert (made.lowest_c, made.highest_c, made.step_c, made.best, made.ageing_c) == (100, 500, 50, "low", 20)
        assert (made.shift_names, made.graders, made.forms_days, made.report_weeks) == (
            ["夜班", "早班", "中班"],
            3,
            21,
            8,
        )
        assert not made.is_published
        assert "还没有公开" in text_of(office.get(answer["Location"]))
        office.post(reverse("facility_show", args=["hz-ring"]), {"act": "show"})
        assert Client().get(reverse("facility", args=["hz-ring"])).status_code == 200
        office.post(reverse("facility_show", args=["hz-ring"]), {"act": "hide"})
        assert Client().get(reverse("facility", args=["hz-ring"])).status_code == 404

    def test_everything_wrong_is_said_at_once_with_the_remedy_and_what_was_typed_stays(self, office):
        wrong = {
            "code": "杭州",
            "name": "",
            "length_min": "450",
            "zone": "Mars/Base",
            "highest": "0",
            "market_days": "900",
        }
        answer = office.post(reverse("facility_new"), {**FACILITY, **wrong})
        assert answer.status_code == 422
        assert set(answer.context["form"].errors) == {"code", "name", "length_min", "zone", "lowest", "market_days"}
        text = text_of(answer)
        assert "请填写如 480（8 小时）" in text
        assert b'value="Mars/Base"' in answer.content
        assert "早班".encode() in answer.content
        assert not Facility.objects.filter(name_en="Hangzhou Ring").exists()

    def test_a_code_that_is_taken_is_said_at_its_field(self, site, office):
        answer = office.post(reverse("facility_new"), {**FACILITY, "code": site.facility.code})
        assert (answer.status_code, list(answer.context["form"].errors)) == (409, ["code"])

    def test_a_longer_shift_asks_for_as_many_names_as_its_day_has_shifts_and_keeps_those_typed(self, office):
        listed = office.post(reverse("facility_new"), {**FACILITY, "length_min": "240", "act": "shifts"})
        assert listed.status_code == 200
        assert listed.context["form"].shift_rows == 6
        assert "中班".encode() in listed.content
        refused = office.post(reverse("facility_new"), {**FACILITY, "length_min": "720"})
        assert "一天有 2 个班次" in text_of(refused)
        assert "中班".encode() in refused.content

    def test_saving_what_stands_changes_nothing(self, site, office):
        before = queries.grid_of(site.facility), site.facility.ageing_c
        assert office.post(url(site, "facility_edit"), told(site, office, "facility_edit")).status_code == 302
        site.facility.refresh_from_db()
        assert (queries.grid_of(site.facility), site.facility.ageing_c) == before

    def test_whoever_saves_second_is_told_who_was_first_and_what_differs(self, site, office):
        opened = told(site, office, "facility_edit")
        other = enter(Client(), make.actor(site.owner, make.roles.Role.USER_OFFICER, name="另一位"))
        assert other.post(url(site, "facility_edit"), {**opened, "market_days": "30"}).status_code == 302
        late = office.post(url(site, "facility_edit"), {**opened, "city": "宁波"})
        assert late.status_code == 409
        assert "另一位" in text_of(late)
        assert [(row["stands"], row["typed"]) for row in late.context["differences"]] == [
            ("杭州", "宁波"),
            ("30", "14"),
        ]
        site.facility.refresh_from_db()
        assert site.facility.city == "杭州"
        again = {**opened, "city": "宁波", "market_days": "30", "opened_on": late.context["opened_on"]}
        assert office.post(url(site, "facility_edit"), again).status_code == 302
        site.facility.refresh_from_db()
        assert (site.facility.city, site.facility.market_days) == ("宁波", 30)

    def test_nobody_but_the_office_sets_up(self, site):
        for who in (site.planner, site.scientist, site.director, site.leader, site.graders[0]):
            client = enter(Client(), who)
            for name in ("facility_edit", "facility_courses", "beamline_new", "device_new"):
                assert client.get(url(site, name)).status_code == 403
        stranger = beam.site()
        assert enter(Client(), stranger.office).get(url(site, "facility_edit")).status_code == 403


class TestKinds:
    def test_a_kind_is_taken_with_its_own_course_and_one_left_out_is_not_offered(self, site, office):
        said = told(site, office, "facility_courses")
        said |= {"block_cycles": "6", "block_report_months": "3"}
        said.pop("rapid_taken")
        assert office.post(url(site, "facility_courses"), said).status_code == 302
        found = queries.courses_of(site.facility)
        assert ProposalKind.RAPID not in found
        block = found[ProposalKind.BLOCK]
        assert (block.cycles, block.report_months, block.own_schedule) == (6, 3, True)
        assert found[ProposalKind.PROPRIETARY].confidential

    def test_contradictions_and_bounds_are_said_at_the_kind(self, site, office):
        said = {**told(site, office, "facility_courses"), "urgent_peer_review": "on", "block_cycles": "99"}
        answer = office.post(url(site, "facility_courses"), said)
        assert set(answer.context["form"].errors) == {"urgent_reviewed_after", "urgent_pool", "block_cycles"}

    def test_how_many_of_each_kind_are_under_way_stands_there(self, site, office):
        beam.proposal(site, kind="block")
        assert " 1" in office.get(url(site, "facility_courses")).context["intro"]


BEAMLINE = {
    "code": "BL07",
    "name": "小角散射线站",
    "name_en": "SAXS",
    "techniques": "SAXS",
    "functions": "纳米结构",
    "contact": "王工",
    "phone": "0571-1",
    "changeover_shifts": "2",
    "needs_operator": "on",
    "act": "save",
}


class TestBeamlines:
    def test_the_office_enters_a_beamline_and_is_led_to_its_price(self, site, office):
        answer = office.post(url(site, "beamline_new"), BEAMLINE)
        assert answer["Location"] == url(site, "facility_line", "BL07")
        made = Beamline.objects.get(code="BL07")
        assert (made.changeover_shifts, made.needs_operator, made.resource.step_s) == (2, True, 24 * 3600)
        assert "小角散射线站" in text_of(office.get(url(site, "facility_board")))

    def test_a_code_twice_or_too_long_is_said_and_what_was_typed_stays(self, site, office):
        for code, status in (("BL01", 409), ("B" * 17, 422), ("BL/1", 422)):
            answer = office.post(url(site, "beamline_new"), {**BEAMLINE, "code": code, "changeover_shifts": "2"})
            assert (answer.status_code, "code" in answer.context["form"].errors) == (status, True)
            assert "小角散射线站".encode() in answer.content

    def test_two_who_change_a_beamline_do_not_overwrite_each_other(self, site, office):
        office.post(url(site, "beamline_new"), BEAMLINE)
        opened = told(site, office, "beamline_edit", "BL07")
        assert office.post(url(site, "beamline_edit", "BL07"), {**opened, "contact": "李工"}).status_code == 302
        late = office.post(url(site, "beamline_edit", "BL07"), {**opened, "contact": "赵工"})
        assert (late.status_code, "办公室" in text_of(late)) == (409, True)
        assert [(row["stands"], row["typed"]) for row in late.context["differences"]] == [("李工", "赵工")]
        assert Beamline.objects.get(code="BL07").resource.instrument.contact == "李工"

    def test_a_device_fits_where_it_is_said_to_and_clashes_both_ways(self, site, office):
        first = {"code": "CRYO", "name": "低温恒温器", "fits": ["BL01", "BL02"]}
        assert office.post(url(site, "device_new"), first).status_code == 302
        second = {"code": "MAG", "name": "强磁体", "fits": ["BL01"], "clashes": ["CRYO"]}
        assert office.post(url(site, "device_new"), second).status_code == 302
        rows = {one["row"].code: one for one in office.get(url(site, "facility_board")).context["devices"]}
        assert (rows["CRYO"]["lines"], rows["CRYO"]["clashes"]) == (["BL01", "BL02"], ["MAG"])
        changed = {**told(site, office, "device_edit", "CRYO"), "fits": ["BL02"], "clashes": []}
        assert office.post(url(site, "device_edit", "CRYO"), changed).status_code == 302
        rows = {one["row"].code: one for one in office.get(url(site, "facility_board")).context["devices"]}
        assert (rows["CRYO"]["lines"], rows["MAG"]["clashes"]) == (["BL02"], [])
        unknown = office.post(url(site, "device_new"), {**first, "code": "X", "fits": ["BL99"]})
        assert (unknown.status_code, Device.objects.filter(code="X").exists()) == (422, False)


class TestPartners:
    def said(self, **more: object) -> dict[str, object]:
        firm = make.organisation(make.roles.Kind.PROVIDER)
        uses = {"u0_name": "国家课题", "u0_code": "grant", "u0_most": "60", "rows": "2"}
        return {"organisation": firm.credit_code, "share": "35", "since": "2027-01-01", **uses, "act": "save", **more}

    def test_a_partner_keeps_a_share_with_a_limit_for_each_use(self, site, office):
        assert office.post(url(site, "facility_partner_new", "BL01"), self.said()).status_code == 302
        partner = Partner.objects.get()
        assert (partner.num / partner.den, partner.valid.upper) == (0.35, None)
        assert [(one.code, one.num / one.den) for one in partner.parts.all()] == [("grant", 0.6)]
        text = text_of(office.get(url(site, "facility_partners", "BL01")))
        assert "35%" in text
        assert "国家课题 60%" in text
        assert "合作方（1）" in text_of(office.get(url(site, "facility_board")))

    def test_its_last_day_ends_it_and_a_use_taken_out_is_gone(self, site, office):
        office.post(url(site, "facility_partner_new", "BL01"), self.said())
        partner = Partner.objects.get()
        page = ("facility_partner", "BL01", partner.pk)
        changed = {**told(site, office, *page), "until": "2027-12-31"}
        changed |= dict.fromkeys(("u0_name", "u0_code", "u0_most"), "")
        assert office.post(url(site, *page), changed).status_code == 302
        partner.refresh_from_db()
        assert (str(partner.valid.upper), partner.parts.count()) == ("2028-01-01", 0)
        assert told(site, office, *page)["until"] == "2027-12-31"

    def test_what_is_wrong_is_said_at_its_row_and_more_rows_keep_what_was_typed(self, site, office):
        page = url(site, "facility_partner_new", "BL01")
        more = office.post(page, {**self.said(), "act": "more"})
        assert (more.status_code, more.context["form"].rows) == (200, 4)
        assert "国家课题".encode() in more.content
        answer = office.post(page, self.said(until="2026-01-01", u1_name="自有课题", u1_code="grant", u1_most="0"))
        assert set(answer.context["form"].errors) == {"until", "u1_code", "u1_most"}
        nobody = office.post(page, self.said(organisation="9" * 18))
        assert "organisation" in nobody.context["form"].errors
        far = office.post(page, self.said(since="0001-01-01", until="9999-12-31"))
        assert set(far.context["form"].errors) == {"since", "until"}
        assert not Partner.objects.exists()

    def test_more_than_all_of_it_is_refused(self, site, office):
        page = url(site, "facility_partner_new", "BL01")
        office.post(page, self.said(share="70"))
        assert "105%" in text_of(office.post(page, self.said()))


class TestShares:
    def test_a_beamline_has_shares_of_its_own_until_they_are_cleared(self, site, office):
        page = url(site, "beamline_shares", "BL01")
        refused = office.post(page, {"open": "50", "industry": "40"})
        assert (refused.status_code, "90%" in text_of(refused)) == (409, True)
        assert office.post(page, {"open": "50", "industry": "50"}).status_code == 302
        line = Beamline.objects.select_related("facility").get(code="BL01")
        assert set(queries.shares_of_line(line)) == {Pool.OPEN, Pool.INDUSTRY}
        assert office.post(page, {"open": "", "industry": ""}).status_code == 302
        assert len(queries.shares_of_line(line)) == 4

    def test_office_and_director_do_not_overwrite_each_other(self, site, office):
        opened = told(site, office, "facility_shares")
        director = enter(Client(), site.director)
        assert (
            director.post(url(site, "facility_shares"), {**opened, "open": "60", "industry": "30"}).status_code == 302
        )
        late = office.post(url(site, "facility_shares"), {**opened, "open": "65", "industry": "25"})
        assert (late.status_code, "主任" in text_of(late)) == (409, True)
        assert {row["stands"]: row["typed"] for row in late.context["differences"]} == {"60": "65", "30": "25"}


class TestCycles:
    def test_a_planner_opens_a_cycle_and_goes_on_to_its_plan(self, site):
        planner = enter(Client(), site.planner)
        said = {"code": "2028-I", "starts": "2028-01-03T00:00", "ends": "2028-03-03T00:00"}
        answer = planner.post(url(site, "cycle_new"), said)
        assert answer["Location"] == url(site, "machine_plan", "2028-I")
        made = RunCycle.objects.get(code="2028-I")
        assert made.during.lower.isoformat() == "2028-01-02T16:00:00+00:00"
        again = planner.post(url(site, "cycle_new"), {**said, "code": "2028-II"})
        assert (again.status_code, list(again.context["form"].errors)) == (409, ["starts"])
        turned = planner.post(url(site, "cycle_new"), {"code": "2029", "starts": said["ends"], "ends": said["starts"]})
        assert "ends" in turned.context["form"].errors
        assert b"2028-03-03T00:00" in turned.content

    def test_a_year_out_of_range_is_told_at_its_field(self, site):
        planner = enter(Client(), site.planner)
        far = {"starts": "0001-01-01T00:00", "ends": "9999-12-31T23:59"}
        for page, more in (
            (url(site, "cycle_new"), {"code": "x"}),
            (url(site, "facility_closings", "BL01"), {"reason": "检修"}),
        ):
            answer = planner.post(page, {**far, **more})
            assert set(answer.context["form"].errors) == {"starts", "ends"}
        plan = {"mode-0": "user", "start-0": far["starts"], "end-0": far["ends"], "version": "1"}
        assert planner.post(url(site, "machine_plan", site.cycle.code), plan).status_code == 409

    def test_closing_shows_what_is_open_and_asks_for_a_tick_each(self, site, office, monkeypatch):
        visit = beam.visit(site)
        page = url(site, "cycle_close", site.cycle.code)
        assert "现在不能结账" in text_of(office.get(page))
        assert office.post(page, {}).status_code == 409
        monkeypatch.setattr("django.utils.timezone.now", lambda: beam.CYCLE.end + timedelta(hours=1))
        office = enter(Client(), site.office)
        shown = office.get(page)
        assert visit.number in text_of(shown)
        assert office.post(page, {}).status_code == 409
        assert RunCycle.objects.get().closed_at is None
        accepts = [one["key"] for one in shown.context["open"]]
        assert office.post(page, {"accepts": accepts}).status_code == 302
        assert RunCycle.objects.get().closed_at is not None
        assert "已结账" in text_of(office.get(url(site, "facility_board")))

    def test_closing_a_beamline_names_what_it_takes_before_anything_is_cancelled(self, site):
        planner, visit = enter(Client(), site.planner), beam.visit(site)
        page = url(site, "facility_closings", "BL01")
        said = {"starts": "2027-01-12T00:00", "ends": "2027-01-14T00:00", "reason": "更换单色器"}
        answer = planner.post(page, said)
        assert answer.status_code == 409
        assert visit.number in text_of(answer)
        assert b"2027-01-14T00:00" in answer.content
        visit.refresh_from_db()
        assert (visit.state, Closure.objects.count()) == ("scheduled", 0)
        assert planner.post(page, {**said, "accepts": [visit.number]}).status_code == 302
        visit.refresh_from_db()
        assert (visit.state, visit.cancel_reason) == ("cancelled", "更换单色器")
        assert "更换单色器" in text_of(planner.get(page))
        planner.post(url(site, "facility_reopen", "BL01", Closure.objects.get().pk))
        assert not Closure.objects.exists()

    def test_only_a_planner_closes_a_beamline_and_only_office_or_director_a_cycle(self, site):
        pages = {"facility_closings": ("planner",), "cycle_close": ("office", "director")}
        for name, allowed in pages.items():
            for role in ("office", "planner", "scientist", "safety", "director", "leader"):
                thing = "BL01" if name == "facility_closings" else site.cycle.code
                status = enter(Client(), getattr(site, role)).get(url(site, name, thing)).status_code
                assert (status == 200) == (role in allowed), (name, role, status)

    def test_a_closing_without_a_reason_or_in_the_past_is_refused_at_its_field(self, site):
        planner, page = enter(Client(), site.planner), url(site, "facility_closings", "BL01")
        missing = planner.post(page, {"starts": "2027-01-12T00:00", "ends": "", "reason": ""})
        assert set(missing.context["form"].errors) == {"ends", "reason"}
        past = {"starts": "2020-01-12T00:00", "ends": "2020-01-13T00:00", "reason": "检修"}
        assert "ends" in planner.post(page, past).context["form"].errors


class TestReaching:
    def test_the_figures_are_linked_for_those_who_may_read_them_and_for_nobody_else(self, site):
        figures = reverse("facility_figures", args=[site.facility.code]).encode()
        official = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.APPROVER)
        for who, sees in ((site.office, True), (site.director, True), (official, True), (site.leader, False)):
            assert (figures in enter(Client(), who).get(url(site, "facility")).content) == sees
        assert figures not in Client().get(url(site, "facility")).content

    def test_the_desk_takes_as_many_queries_with_more_of_everything(self, site, office):
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert office.get(url(site, "facility_board")).status_code == 200
            return len(captured)

        beam.device(site, "CRYO", site.lines[0])
        few = count()
        beam.device(site, "CELL", site.lines[1])
        beam.line(site.owner, site.facility, "BL21")
        span = Period(beam.CYCLE.end, beam.CYCLE.end + timedelta(days=9))
        cycles.create_cycle(actor=site.office, facility=site.facility, code="next", during=span, now=make.NOW)
        assert count() == few

    def test_a_list_of_partners_takes_as_many_queries_with_three_as_with_one(self, site, office):
        def add() -> None:
            office.post(url(site, "facility_partner_new", "BL01"), TestPartners().said(share="10"))

        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert office.get(url(site, "facility_partners", "BL01")).status_code == 200
            return len(captured)

        add()
        few = count()
        add()
        add()
        assert Partner.objects.count() == 3
        assert count() == few

    def test_the_list_counts_what_each_facility_has(self, site, office):
        beam.facility(site.owner, name="第二台")
        rows = office.get(reverse("facility_desk")).context["facilities"]
        assert sorted(one.line_count for one in rows) == [0, 2]
