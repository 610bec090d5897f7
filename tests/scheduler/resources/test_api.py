"""Instruments and clusters over HTTP."""

from __future__ import annotations

import pytest

from scheduler.resources.models import Resource
from tests import make
from tests.calling import Caller, queries_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

INSTRUMENT = {"name": "场发射扫描电子显微镜", "category": "analytical", "city": "杭州"}
ALL_WEEK = {"hours": [{"weekdays": [1, 2, 3, 4, 5, 6, 7], "opens": "08:00", "closes": "22:00"}]}


class TestEntering:
    def test_publishes_when_hours_and_rate_are_set(self, w):
        lab = Caller(w.keeper)
        made = lab.post("/instruments", {**INSTRUMENT, "original_value": {"yuan": "4500000"}, "setup_s": 900})
        assert (made.status, made.body["state"], made.body["original_value"]["fen"]) == (201, "draft", 450_000_000)
        path = f"/instruments/{made.body['number']}"
        early = lab.post(f"{path}/publish")
        assert (early.status, early.reasons) == (409, ["instrument.no_hours", "instrument.no_rate"])
        assert lab.put(f"{path}/hours", ALL_WEEK).status == 200
        assert lab.put(f"{path}/rate", {"amount": {"yuan": "480"}}).body["rate"] == {
            "unit": "hour",
            "unit_label": "小时",
            "amount": {"fen": 48000, "yuan": "480.00"},
        }
        published = lab.post(f"{path}/publish")
        assert (published.status, published.body["state_label"]) == (200, "已发布")
        assert lab.post(f"{path}/suspend").body["state"] == "suspended"

    def test_names_every_wrong_value(self, w):
        answer = Caller(w.keeper).post(
            "/instruments",
            {**INSTRUMENT, "name": " ", "zone": "Mars/Base", "granularity_s": 7, "min_duration_s": 0, "setup_s": 90000},
        )
        assert answer.status == 409
        assert set(answer.body["fields"]) == {"name", "zone", "granularity_s", "max_duration_s", "setup_s"}
        assert not Resource.objects.exists()

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"category": "toys"}, "category"),
            ({"name": "长" * 121}, "name"),
            ({"functions": "\0"}, "functions"),
            ({"setup_s": -1}, "setup_s"),
            ({"setup_s": 2**31}, "setup_s"),
            ({"setup_s": 1.0}, "setup_s"),
            ({"setup_s": True}, "setup_s"),
            ({"setup_s": "900"}, "setup_s"),
            ({"original_value": 4500000.0}, "original_value"),
            ({"original_value": {"yuan": "1e5"}}, "original_value.yuan"),
            ({"owner": "another"}, "owner"),
        ],
    )
    def test_refuses_values_no_instrument_can_have(self, w, change, field):
        answer = Caller(w.keeper).post("/instruments", {**INSTRUMENT, **change})
        assert (answer.status, list(answer.body["fields"])) == (422, [field])

    @pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/passwd", "Asia", "", "Asia/Shanghai/", "." * 40])
    def test_reads_no_file_as_a_zone(self, w, zone):
        answer = Caller(w.keeper).post("/instruments", {**INSTRUMENT, "zone": zone})
        assert (answer.status, list(answer.body["fields"])) == (409, ["zone"]), answer

    def test_replaces_the_description(self, w):
        resource = make.instrument(w)
        answer = Caller(w.keeper).put(f"/instruments/{resource.number}", {**INSTRUMENT, "name": "透射电镜"})
        assert (answer.status, answer.body["name"], answer.body["model"]) == (200, "透射电镜", "")

    def test_refuses_a_negative_price(self, w):
        resource = make.instrument(w)
        answer = Caller(w.keeper).put(f"/instruments/{resource.number}/rate", {"amount": {"yuan": "-1"}})
        assert (answer.status, answer.code) == (422, "rate.negative")

    def test_is_not_another_labs(self, w):
        other = Caller(make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.LAB_MANAGER))
        draft = Caller(w.keeper).post("/instruments", INSTRUMENT).body["number"]
        public = make.instrument(w).number
        assert other.get(f"/instruments/{draft}").status == 404
        assert other.post(f"/instruments/{draft}/publish").status == 404
        assert other.get(f"/instruments/{public}").status == 200
        for act in ("publish", "suspend"):
            assert other.post(f"/instruments/{public}/{act}").status == 403
        assert other.put(f"/instruments/{public}/rate", {"amount": {"yuan": "1"}}).status == 403


class TestCatalogue:
    def test_finds_by_word_city_and_category(self, w):
        make.instrument(w)
        make.instrument(w, name="万能试验机", name_en="Universal tester", category="physical", city="宁波")
        caller = Caller(w.owner)

        def names(**wanted: object) -> list[str]:
            return [row["name"] for row in caller.get("/instruments", **wanted).body["items"]]

        assert names() == ["万能试验机", "场发射扫描电子显微镜"]
        assert names(q="tester") == ["万能试验机"]
        assert names(city="宁波") == ["万能试验机"]
        assert names(category="analytical") == ["场发射扫描电子显微镜"]
        assert names(q="%") == []
        assert names(q="x' OR 1=1 --") == []

    def test_shows_drafts_to_their_lab_only(self, w):
        Caller(w.keeper).post("/instruments", INSTRUMENT)
        assert len(Caller(w.keeper).get("/instruments", mine=True).body["items"]) == 1
        assert Caller(w.owner).get("/instruments").body["items"] == []
        assert Caller(w.owner).get("/instruments", mine=True).status == 403

    def test_takes_as_many_queries_for_one_as_for_many(self, w):
        caller = Caller(w.owner)
        make.instrument(w)
        one = queries_of(lambda: caller.get("/instruments"))
        for _ in range(4):
            make.instrument(w)
        assert queries_of(lambda: caller.get("/instruments")) == one


class TestClusters:
    def test_show_partitions_prices_and_health(self, w):
        partition = make.partition(w)
        (shown,) = Caller(w.researcher).get("/clusters").body["items"]
        assert (shown["code"], shown["owner"]) == (partition.cluster.code, w.lab.name)
        assert shown["health"] == {"ok": None, "as_of": None}
        (queue,) = shown["partitions"]
        assert (queue["name"], queue["max_cards"], queue["rate"]["unit"], queue["rate"]["amount"]["yuan"]) == (
            "gpu",
            8,
            "card_hour",
            "9.00",
        )
        assert "config" not in shown

    def test_take_as_many_queries_for_one_as_for_many(self, w):
        caller = Caller(w.researcher)
        make.partition(w)
        one = queries_of(lambda: caller.get("/clusters"))
        for _ in range(3):
            make.partition(w)
        assert queries_of(lambda: caller.get("/clusters")) == one


class TestProfile:
    def test_is_told_as_it_was_said(self, w):
        profile = {"class_code": "0102", "source": "developed", "in_service_on": "1999-05-01", "specs": "分辨率 0.8 nm"}
        said = {**INSTRUMENT, "kind": "bench", "modes": ["sample", "self"], "capacity": 4, "counting": "fungible"}
        made = Caller(w.keeper).post("/instruments", {**said, "profile": profile})
        assert made.status == 201, made
        told = made.body
        assert {name: told["profile"][name] for name in profile} == profile
        assert (told["kind"], told["kind_label"], told["capacity"], told["counting"]) == (
            "bench",
            "实验工位",
            4,
            "fungible",
        )
        assert told["modes"] == ["self", "sample"]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"kind": "operator"}, "kind"),
            ({"modes": []}, "modes"),
            ({"capacity": 0}, "capacity"),
            ({"profile": {"in_service_on": 0}}, "profile.in_service_on"),
            ({"profile": {"specs": "字" * 1501}}, "profile.specs"),
            ({"profile": {"source": "stolen"}}, "profile.source"),
        ],
    )
    def test_refuses_what_no_platform_takes(self, w, change, field):
        answer = Caller(w.keeper).post("/instruments", {**INSTRUMENT, **change})
        assert (answer.status, list(answer.body["fields"])) == (422, [field])


class TestPrices:
    def test_are_announced_listed_and_taken_back(self, w):
        lab, path = Caller(w.keeper), f"/instruments/{make.instrument(w).number}/prices"
        made = lab.post(path, {"mode": "sample", "unit": "sample", "amount": {"yuan": "60"}})
        assert (made.status, made.body["amount"]["yuan"], made.body["mode_label"]) == (201, "60.00", "送样测试")
        listed = Caller(w.researcher).get(path)
        assert [(row["mode"], row["unit"]) for row in listed.body] == [("self", "hour"), ("sample", "sample")]
        assert Caller(w.researcher).delete(f"{path}/{made.body['id']}").status == 403
        assert lab.delete(f"{path}/{made.body['id']}").status == 204
        assert lab.delete(f"{path}/{made.body['id']}").status == 404

    @pytest.mark.parametrize(
        ("said", "status", "field"),
        [
            ({"unit": "hour", "amount": {"yuan": "-1"}}, 409, "amount"),
            ({"unit": "value_day", "share_ppm": 60000}, 409, "share"),
            ({"unit": "card_hour", "amount": {"yuan": "1"}}, 409, "unit"),
            ({"unit": "hour", "amount": {"yuan": "1"}, "since": "2026-11-24T00:00:00Z"}, 409, "since"),
            ({"unit": "minute"}, 422, "unit"),
            ({"unit": "hour", "discount": "10%"}, 422, "discount"),
        ],
    )
    def test_refuse_what_no_list_holds(self, w, said, status, field):
        answer = Caller(w.keeper).post(f"/instruments/{make.instrument(w).number}/prices", said)
        assert (answer.status, list(answer.body["fields"])) == (status, [field])
