"""Pictures and documents beside an instrument, in the browser."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from scheduler.catalogue.models import InstrumentFile
from tests import make
from tests.scheduler.catalogue.test_files import photograph

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def lab(w):
    client = Client()
    client.force_login(make.user_of(w.keeper))
    return client


def sent(content=None, name="a.jpg", **changes):
    form = {"purpose": "picture", "words": "样品舱", "words_en": "Chamber", "valid_until": ""}
    return {**form, **changes, "file": SimpleUploadedFile(name, content or photograph((900, 600)))}


def test_a_picture_is_shown_to_strangers_with_its_words(w, lab):
    resource = make.instrument(w)
    manage = reverse("instrument_files", args=[resource.number])
    assert lab.post(manage, sent())["Location"] == manage
    pk = str(InstrumentFile.objects.get().pk)
    address = reverse("instrument_file", args=[resource.number, pk])
    page = Client().get(reverse("instrument", args=[resource.number])).content.decode()
    assert f'src="{address}" alt="样品舱"' in page
    english = Client().get(f"/en{reverse('instruments')}")
    assert f'src="/en{address}?small=1" alt="Chamber"' in english.content.decode()
    shown = Client().get(address)
    assert (shown.status_code, shown["Content-Type"], shown["X-Content-Type-Options"]) == (200, "image/jpeg", "nosniff")
    assert len(Client().get(address, {"small": "1"}).content) < len(shown.content)
    lab.post(manage, {"remove": pk})
    assert Client().get(address).status_code == 404
    assert lab.post(manage, {"remove": pk}).status_code == 404


def test_a_document_is_only_ever_a_download(w, lab):
    resource = make.instrument(w)
    manage = reverse("instrument_files", args=[resource.number])
    lab.post(manage, sent(content=b"%PDF-1.7\n%%EOF", name="f.pdf", purpose="fees", words="收费规定"))
    address = reverse("instrument_file", args=[resource.number, InstrumentFile.objects.get().pk])
    got = Client().get(address, {"inline": "1"})
    assert got["Content-Disposition"].startswith("attachment")
    assert (got["X-Content-Type-Options"], "sandbox" in got["Content-Security-Policy"]) == ("nosniff", True)
    assert address in Client().get(reverse("instrument", args=[resource.number])).content.decode()


def test_pictures_are_put_in_order_and_described(w, lab):
    resource = make.instrument(w)
    manage = reverse("instrument_files", args=[resource.number])
    for side in (300, 301):
        lab.post(manage, sent(content=photograph((side, side)), words=f"图 {side}"))
    last = InstrumentFile.objects.last()
    lab.post(manage, {"forward": str(last.pk)})
    assert [file.words for file in InstrumentFile.objects.all()] == ["图 301", "图 300"]
    edit = reverse("instrument_file_edit", args=[resource.number, last.pk])
    assert lab.get(edit).context["form"].initial["words"] == "图 301"
    assert lab.post(edit, {"words": "样品舱", "words_en": "Chamber"})["Location"] == manage
    last.refresh_from_db()
    assert (last.words, last.words_en) == ("样品舱", "Chamber")
    assert lab.post(edit, {"words": ""}).status_code == 422


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"words": ""}, "words"), ({"purpose": "calibration"}, "valid_until"), ({"content": b"<svg/>"}, "file")],
)
def test_a_wrong_file_is_said_at_its_field(w, lab, changes, field):
    resource = make.instrument(w)
    answer = lab.post(reverse("instrument_files", args=[resource.number]), sent(**changes))
    assert answer.status_code in {409, 422}
    assert list(answer.context["form"].errors) == [field]
    assert not InstrumentFile.objects.exists()


def test_only_its_lab_adds_and_a_drafts_files_are_its_own(w, lab):
    resource = make.instrument(w)
    stranger = Client()
    stranger.force_login(make.user_of(w.researcher))
    assert stranger.post(reverse("instrument_files", args=[resource.number]), sent()).status_code == 403
    lab.post(reverse("instrument_files", args=[resource.number]), sent())
    type(resource).objects.update(state="draft")
    address = reverse("instrument_file", args=[resource.number, InstrumentFile.objects.get().pk])
    assert (stranger.get(address).status_code, lab.get(address).status_code) == (404, 200)
