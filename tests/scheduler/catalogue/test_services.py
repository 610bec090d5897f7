"""A lab's list taken in: looked at first, all rows or none, the same list again changes nothing."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, Refused
from portal.tables.values import BadTable
from scheduler.catalogue import rules, services
from scheduler.resources.models import Resource
from tests import make
from tests.calling import Caller

ROW = {"单位内部编号": "A-1", "名称": "拉曼光谱仪", "类别": "分析仪器", "所在城市": "杭州", "原值": "1,200,000.50"}


def table(*rows: dict[str, str]) -> bytes:
    heads = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, heads)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


@given(st.dates(min_value=date(1950, 1, 1)))
def test_a_day_is_read_in_each_of_its_forms(day):
    forms = (f"{day:%Y-%m-%d}", f"{day.year:04}/{day.month}/{day.day}", f"{day.year:04}年{day.month}月{day.day}日")
    assert {rules.day_of(form) for form in forms} == {day}


@pytest.mark.django_db
class TestTaking:
    def look(self, w, *rows):
        return services.look(actor=w.keeper, content=table(*rows), name="清单.csv", now=make.NOW)

    def take(self, w, *rows):
        return services.take(actor=w.keeper, content=table(*rows), name="清单.csv", now=make.NOW)

    def test_enters_what_is_new_once(self, w):
        row = {**ROW, "类型": "实验工位", "启用日期": "1998年3月1日", "来源": "Developed", "共享模式": "inside"}
        look = self.look(w, row)
        assert (len(look.new), look.same, look.faults, Resource.objects.count()) == (1, 0, [], 0)
        self.take(w, row)
        made = Resource.objects.get()
        facts = made.instrument
        assert (made.state, made.owner_id, made.kind, made.internal_no) == ("draft", w.lab.pk, "bench", "A-1")
        assert (facts.original_value_fen, str(facts.in_service_on)) == (120000050, "1998-03-01")
        assert (facts.source, facts.share_mode) == ("developed", "inside")
        before = Record.objects.count()
        again = self.take(w, row)
        assert (list(again.new), list(again.changed), again.same) == ([], [], 1)
        assert (Resource.objects.count(), Record.objects.count()) == (1, before)

    def test_changes_what_differs_and_leaves_what_is_not_said(self, w):
        resource = make.instrument(w, internal_no="A-1", setup_s=900, capacity=2)
        look = self.look(w, {**ROW, "型号": ""})
        assert [list(line.changed) for line in look.changed] == [["名称", "原值"]]
        self.take(w, ROW)
        resource.refresh_from_db()
        assert (resource.name, resource.state, resource.setup_s, resource.capacity) == (
            "拉曼光谱仪",
            "published",
            900,
            2,
        )
        assert (resource.instrument.model, resource.instrument.functions_en != "") == ("SU8600", True)

    def test_names_every_fault_with_its_row_and_takes_nothing(self, w):
        good = {**ROW, "单位内部编号": "A-9"}
        rows = [good, {**ROW, "类别": "玩具"}, {**ROW, "年运行机时": "9000"}, {**good, "启用日期": "昨天"}]
        look = self.look(w, *rows)
        found = {(fault.row, fault.column, fault.reason.code) for fault in look.faults}
        assert found == {
            (3, "类别", "list.unknown_cell"),
            (4, "年运行机时", "instrument.hours"),
            (4, "单位内部编号", "list.twice"),
            (5, "启用日期", "list.unknown_cell"),
            (5, "单位内部编号", "list.twice"),
        }
        with pytest.raises(Refused):
            self.take(w, *rows)
        assert not Resource.objects.exists()

    def test_what_cannot_be_read_hides_nothing_else_of_its_row(self, w):
        row = {**ROW, "名称": "", "类别": "玩具", "原值": "-5", "启用日期": "2026-02-30", "年运行机时": "9000"}
        found = [(fault.row, fault.column, fault.reason.code) for fault in self.look(w, row, ROW).faults]
        assert sorted(found) == [
            (2, "原值", "table.amount"),
            (2, "名称", "table.empty_cell"),
            (2, "启用日期", "list.unknown_cell"),
            (2, "年运行机时", "instrument.hours"),
            (2, "类别", "list.unknown_cell"),
            (3, "单位内部编号", "list.twice"),
        ]

    def test_a_formula_and_a_missing_column_are_refused(self, w):
        assert [fault.reason.code for fault in self.look(w, {**ROW, "名称": "=1+1"}).faults] == ["table.formula"]
        with pytest.raises(BadTable):
            self.look(w, {"名称": "拉曼光谱仪"})

    def test_another_labs_number_is_another_instrument(self, w):
        other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER)
        self.take(w, ROW)
        done = services.take(actor=other, content=table(ROW), name="x.csv", now=make.NOW)
        assert len(done.new) == 1
        assert Resource.objects.filter(internal_no="A-1").count() == 2
        with pytest.raises(Forbidden):
            services.look(actor=w.researcher, content=table(ROW), name="x.csv", now=make.NOW)


@pytest.mark.django_db
@pytest.mark.usefixtures("clock")
class TestOverHttp:
    def file(self, *rows):
        from django.core.files.uploadedfile import SimpleUploadedFile

        return SimpleUploadedFile("list.csv", table(*rows))

    def test_looks_takes_and_gives_out(self, w):
        lab = Caller(w.keeper)
        look = lab.upload(
            "/instruments/import/preview", file=self.file(ROW, {**ROW, "单位内部编号": "", "名称": "无号"})
        )
        assert (look.status, look.body["new"]) == (200, ["A-1"])
        assert [(fault["row"], fault["column"]) for fault in look.body["faults"]] == [(3, "单位内部编号")]
        assert lab.upload("/instruments/import", file=self.file(ROW)).body["new"] == ["A-1"]
        assert lab.upload("/instruments/import", file=self.file(ROW)).body["same"] == 1
        (line,) = lab.get("/instruments/export").body
        assert (line["internal_no"], line["category"], line["value"]["yuan"]) == ("A-1", "分析仪器", "1200000.50")
        for someone in (w.researcher, w.lab_owner, w.operator, w.reviewer):
            other = Caller(someone)
            assert other.get("/instruments/export").status == 403
            for path in ("/instruments/import", "/instruments/import/preview"):
                assert other.upload(path, file=self.file(ROW)).status == 403
