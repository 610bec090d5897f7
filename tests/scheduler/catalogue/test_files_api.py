"""Pictures and documents beside an instrument, by the API."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import make
from tests.calling import Caller
from tests.scheduler.catalogue.test_files import photograph

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def picture(side=300):
    return SimpleUploadedFile("a.jpg", photograph((side, side)), content_type="image/jpeg")


def test_a_lab_adds_orders_describes_and_removes(w):
    path = f"/instruments/{make.instrument(w).number}/files"
    lab, reader = Caller(w.keeper), Caller(w.researcher)
    said = {"purpose": "picture", "words": "正面", "words_en": "Front"}
    one, two = (lab.upload(path, file=picture(side), **said) for side in (300, 301))
    assert (one.status, one.body["words_en"], one.body["media_type"]) == (201, "Front", "image/jpeg")
    ids = [two.body["id"], one.body["id"]]
    assert [file["id"] for file in lab.put(f"{path}/order", {"files": ids}).body] == ids
    assert lab.put(f"{path}/order", {"files": ids[:1]}).body["code"] == "file.order"
    assert lab.put(f"{path}/{ids[0]}", {"words": "样品舱"}).body["words"] == "样品舱"
    assert [file["words"] for file in reader.get(path).body] == ["样品舱", "正面"]
    assert lab.delete(f"{path}/{ids[0]}").status == 204
    assert reader.get(f"{path}/{ids[0]}").status == 404


def test_only_its_lab_writes_and_bad_files_are_named(w):
    path = f"/instruments/{make.instrument(w).number}/files"
    said = {"purpose": "picture", "words": "正面"}
    lab = Caller(w.keeper)
    made = lab.upload(path, file=picture(), **said).body["id"]
    for other in (w.researcher, w.officer):
        caller = Caller(other)
        assert caller.upload(path, file=picture(), **said).status == 403
        assert caller.put(f"{path}/order", {"files": [made]}).status == 403
        assert caller.put(f"{path}/{made}", {"words": "x"}).status == 403
        assert caller.delete(f"{path}/{made}").status == 403
    svg = SimpleUploadedFile("a.jpg", b"<svg/>", content_type="image/jpeg")
    answer = lab.upload(path, file=svg, **said)
    assert (answer.status, answer.body["reasons"][0]["code"]) == (409, "picture.unknown")
