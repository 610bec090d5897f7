"""Compare versions of a programme, and a draft with where it began."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import translation

from portal.kernel.money import Money
from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from vouchers.programmes import drafts, services


@pytest.fixture(autouse=True)
def chinese():
    with translation.override("zh-hans"):
        yield


@pytest.fixture
def pair(w):
    first = make.programme(w)
    second = services.import_version(
        actor=w.officer,
        raw=make.programme_file(lines=[{"id": "50%", "rate": "0.60"}], related_party={"mode": "forbidden"}),
        budget=Money(0),
        fiscal_year=2026,
        now=make.NOW,
    )
    return first, second


def test_a_change_is_told_in_words_and_a_notation_is_none(w, pair, client):
    enter(client, w.officer)
    first, _second = pair
    address = reverse("programme_differences", args=[first.programme.code, 2])
    page = client.get(address)
    read = text_of(page)
    assert "从第 1 版到第 2 版" in read
    assert "50 %" in read
    assert "60 %" in read
    assert page.content.decode().count("<ins>") == 1
    assert "关联" not in read.partition("版本差异")[2]
    english = text_of(client.get("/en" + address))
    assert raw_codes(english.replace(first.programme.code, "")) == []
    back = text_of(client.get(address.replace("/2/", "/1/")))
    assert "从第 2 版到第 1 版" in back


def test_the_public_compares_only_what_is_published(pair, client):
    first, _second = pair
    code = first.programme.code
    assert client.get(reverse("programme_differences", args=[code, 2])).status_code == 404
    assert "这是第一版" in text_of(client.get(reverse("programme_differences", args=[code, 1])))


def test_a_draft_is_compared_with_where_it_began(w, pair, client):
    enter(client, w.officer)
    draft = drafts.start(actor=w.officer, origin=pair[0], now=make.NOW)
    address = reverse("programme_draft_changes", args=[draft.pk])
    assert "没有差异" in text_of(client.get(address))
    changed = {**draft.document, "floor": 3000, "issuer": ""}
    drafts.save(actor=w.officer, draft=draft, revision=1, document=changed, now=make.NOW)
    assert "¥3,000" in text_of(client.get(address))
