"""Write a programme section by section in the editor, as a person does with a keyboard and no script."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import translation

from tests import make
from tests.portal.pages.reading import enter, raw_codes, text_of
from vouchers.programmes import documents, drafting, sections
from vouchers.programmes.drafting_conditions import parts_of
from vouchers.programmes.longhand import opened
from vouchers.programmes.models import ProgrammeDraft, ProgrammeVersion

DATA = Path(settings.BASE_DIR) / "vouchers/programmes/data"
HZ = opened(documents.load((DATA / "hz-compute-2025.json").read_bytes()).document)


@pytest.fixture(autouse=True)
def chinese():
    """A page in English leaves its language to the thread; addresses are those of the Chinese pages."""
    with translation.override("zh-hans"):
        yield


@pytest.fixture
def officer(w, client):
    enter(client, w.officer)
    client.w = w
    return client


def begin(client, **form):
    answer = client.post(reverse("programme_draft_start"), form)
    assert answer.status_code == 302
    return ProgrammeDraft.objects.latest("pk")


def address(draft, part):
    return reverse("programme_draft_part", args=[draft.pk, part])


FIELD = re.compile(
    r'<input type="(?:text|hidden|date|checkbox)"[^>]*>|<textarea[^>]*name="([^"]*)"[^>]*>(.*?)</textarea>'
    r'|<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>',
    re.DOTALL,
)


def fields_of(response) -> dict[str, list[str]]:
    """Return what a browser would send of the editor's form, were nothing changed."""
    [form] = re.findall(r'<form id="part".*?</form>', response.content.decode(), re.DOTALL)
    sent: dict[str, list[str]] = {}
    for found in FIELD.finditer(form):
        tag = found.group(0).split(">")[0]
        name, text = found[1] or found[3], found[2]
        if tag.startswith("<input"):
            name = re.search(r'name="([^"]*)"', tag)[1]
            value = re.search(r'value="([^"]*)"', tag)
            text = value[1] if value else ""
            if 'type="checkbox"' in tag and " checked" not in tag:
                continue
        elif tag.startswith("<select"):
            chosen = re.search(r'<option value="([^"]*)" selected', found[4])
            first = re.search(r'<option value="([^"]*)"', found[4])
            text = chosen[1] if chosen else first[1]
        elif text.startswith("\n"):
            text = text[1:]
        sent.setdefault(html.unescape(name), []).append(html.unescape(text))
    sent.pop("csrfmiddlewaretoken", None)
    return sent


class Desk:
    """One person at one section of the editor."""

    def __init__(self, client, draft, part):
        self.client, self.url = client, address(draft, part)
        self.page = client.get(self.url)

    def press(self, act, **typed):
        answer = self.client.post(self.url, {**fields_of(self.page), **typed, "act": act})
        assert answer.status_code == 302, text_of(answer)
        self.page = self.client.get(answer["Location"].split("#")[0])
        return self

    def condition(self, name, value):
        """Press what builds the shape of a condition; what is compared is typed afterwards."""
        kind, parts = parts_of(value)
        if kind == "fact":
            self.press(f"fact {name}")
        elif kind == "all" and all(parts_of(part)[0] == "fact" for part in parts):
            for _part in parts:
                self.press(f"fact {name}")
        else:
            raise AssertionError(value)


def build(client, draft, document):
    """Write `document` with buttons and fields alone."""
    for part in sections.PARTS:
        wanted = drafting.form_of(part.items, document, "zh")
        desk = Desk(client, draft, part.name)
        for key in (key for key in part.keys if isinstance(document.get(key), list) and f"{key}#rows" in wanted):
            for at, row in enumerate(document[key]):
                desk.press(f"add {key}")
                desk.press(f"open {key}[{at}]")
                here = {f"{key}[{at}].benefit": drafting.benefit_of(row)} if key == "lines" else {}
                desk.press("shape", **here)
                for inner in ("when", "unless", "required_when"):
                    if inner in row:
                        desk.condition(f"{key}[{at}].{inner}", row[inner])
                desk.press("shape", **typed_in(desk, wanted))
                desk.press("shape", **typed_in(desk, wanted))
        for key in ("eligibility", "provider"):
            if key in part.keys and key in document:
                desk.condition(key, document[key])
        for _again in range(2):
            desk.press("keep", **typed_in(desk, wanted))


def typed_in(desk, wanted):
    """Return what to type into the fields the page shows now; hidden ones are the page's own."""
    shown = fields_of(desk.page)
    return {
        name: texts
        for name, texts in wanted.items()
        if "#" not in name and not name.endswith(".kind") and (name in shown or texts != [""])
    }


def test_a_real_programme_is_written_with_forms_alone(officer):
    draft = begin(officer)
    build(officer, draft, HZ)
    draft.refresh_from_db()
    made, meant = documents.load(draft.document), documents.load(HZ)
    for slot in meant.__slots__:
        if slot != "document":
            assert getattr(made, slot) == getattr(meant, slot), slot
    overview = reverse("programme_draft", args=[draft.pk])
    read = text_of(officer.get(overview))
    assert "处待补充" not in read
    answer = officer.post(
        reverse("programme_draft_finish", args=[draft.pk]),
        {"revision": draft.revision, "budget": "1000000", "fiscal_year": "2026"},
    )
    version = ProgrammeVersion.objects.get()
    assert answer["Location"] == reverse("programme_version", args=[version.programme.code, version.number])
    assert documents.load(version.document).lines == meant.lines
    assert (version.budget_fen, version.state) == (100_000_000, "draft")
    assert not ProgrammeDraft.objects.exists()


def test_a_version_is_the_start_of_the_next_one(officer):
    version = make.programme(officer.w)
    draft = begin(officer, code=version.programme.code, version=str(version.number))
    assert draft.document == opened(version.document)
    desk = Desk(officer, draft, "caps").press("save", **{"caps[0].amount": "800000"})
    assert "没有问题" in text_of(desk.page)
    draft.refresh_from_db()
    assert draft.document == {**opened(version.document), "caps": [{"window": "year", "amount": 800000}]}
    assert version.document["caps"] == [{"window": "year", "amount": 500000}]


@pytest.mark.parametrize("part", [part.name for part in sections.PARTS])
@pytest.mark.parametrize("language", ["", "/en"])
def test_every_section_shows_a_rich_programme_without_codes(officer, part, language):
    draft = begin(officer)
    ProgrammeDraft.objects.update(document=HZ)
    answer = officer.get(language + address(draft, part))
    assert answer.status_code == 200
    assert len(answer.content.decode().split("<")) < 3000
    read = text_of(answer)
    assert raw_codes(read.replace("hz-compute", "")) == []
    if language:
        body = re.sub(r'lang="zh-Hans">.*?<', "", answer.content.decode())
        assert "部分" not in body


def test_what_is_wrong_is_told_at_its_field_and_nothing_is_lost(officer):
    draft = begin(officer)
    desk = Desk(officer, draft, "lines").press("add lines")
    answer = officer.post(
        desk.url, {**fields_of(desk.page), "lines[0].rate": "三成", "lines[0].cap": "很多", "act": "save"}, headers=HTMX
    )
    assert answer.status_code == 422
    body = answer.content.decode()
    assert 'value="三成"' in body
    assert 'value="很多"' in body
    assert 'href="#id_lines[0].rate"' in body
    assert re.search(
        r'id="id_lines\[0\].cap"[^>]*aria-invalid="true"|aria-invalid="true"[^>]*id="id_lines\[0\].cap"', body
    )
    read = text_of(answer)
    assert "档 1 · 比例" in read
    assert "0 到 100 之间的百分数" in read
    assert "档 1 · 档次名称" in read
    draft.refresh_from_db()
    assert draft.document["lines"] == [{"rate": "三成", "cap": "很多"}]


HTMX = {"HX-Request": "true"}


def test_typing_is_kept_without_pressing_anything(officer):
    draft = begin(officer)
    desk = Desk(officer, draft, "provenance")
    sent = {**fields_of(desk.page), "name.zh": "算力券", "code": "b-2026", "act": "keep"}
    answer = officer.post(desk.url, sent, headers=HTMX)
    body = answer.content.decode()
    assert "已自动保存" in body
    assert 'id="revision" hx-swap-oob="true"' in body
    assert f'name="revision" value="{draft.revision + 1}"' in body
    draft.refresh_from_db()
    assert (draft.name, draft.code) == ("算力券", "b-2026")
    assert "算力券" in text_of(officer.get(reverse("programmes")))


def test_two_editors_do_not_overwrite_each_other(officer, client):
    draft = begin(officer)
    mine = Desk(officer, draft, "provenance")
    Desk(officer, draft, "provenance").press("keep", **{"name.zh": "别人写的"})
    sent = {**fields_of(mine.page), "name.zh": "我写的", "act": "save"}
    answer = officer.post(mine.url, sent)
    assert answer.status_code == 409
    assert "陈政" in text_of(answer)
    assert 'value="我写的"' in answer.content.decode()
    draft.refresh_from_db()
    assert draft.document["name"] == {"zh": "别人写的"}
    again = officer.post(mine.url, {**fields_of(answer), "act": "save"})
    assert again.status_code == 302
    draft.refresh_from_db()
    assert draft.document["name"] == {"zh": "我写的"}


def test_a_condition_is_read_back_as_a_sentence(officer):
    draft = begin(officer)
    desk = Desk(officer, draft, "eligibility").press("fact eligibility").press("fact eligibility")
    desk.press("shape", **{"eligibility~0.fact": "申请人注册地", "eligibility~1.fact": "是否中小企业"})
    desk.press("shape", **{"eligibility~0.value": "杭州", "eligibility~1.value": "true"})
    assert "申请人注册地为杭州，且申请人是中小企业。" in text_of(desk.page)
    english = officer.get("/en" + desk.url)
    assert (
        "The applicant&#x27;s place of registration is Hangzhou, and the applicant is an SME."
        in english.content.decode()
    )
    draft.refresh_from_db()
    assert draft.document["eligibility"] == {"all": [["applicant.region", "=", "杭州"], ["applicant.sme", "=", True]]}


def test_finishing_an_unfinished_draft_says_what_lacks(officer):
    draft = begin(officer)
    answer = officer.post(
        reverse("programme_draft_finish", args=[draft.pk]), {"revision": 1, "budget": "1", "fiscal_year": "2026"}
    )
    assert answer.status_code == 422
    read = text_of(answer)
    assert "2 处待补充" in read
    assert address(draft, "lines") + "?check=1#id_lines" in answer.content.decode()
    assert ProgrammeDraft.objects.count() == 1


def test_a_draft_is_thrown_away(officer):
    draft = begin(officer)
    assert officer.post(reverse("programme_draft_discard", args=[draft.pk]), {"revision": 7}).status_code == 409
    assert officer.post(reverse("programme_draft_discard", args=[draft.pk]), {"revision": 1}).status_code == 302
    assert not ProgrammeDraft.objects.exists()


def test_others_see_no_drafts(officer, client):
    draft = begin(officer)
    stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.PROGRAMME_OFFICER)
    for actor, status in ((officer.w.publisher, 403), (stranger, 404), (officer.w.owner, 403)):
        enter(client, actor)
        assert client.get(address(draft, "lines")).status_code == status
        assert client.get(reverse("programme_draft", args=[draft.pk])).status_code == status


def test_a_copy_of_another_departments_programme_needs_a_code_of_its_own(officer, client):
    version = make.programme(officer.w)
    stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.PROGRAMME_OFFICER)
    enter(client, stranger)
    draft = begin(client, code=version.programme.code, version="1")
    assert "code" not in draft.document
    assert json.loads(json.dumps(draft.document))["lines"] == version.document["lines"]


def test_showing_a_section_takes_as_many_queries_for_a_long_programme(officer, django_assert_num_queries):
    draft = begin(officer)
    officer.get(address(draft, "lines"))
    with django_assert_num_queries(5):
        officer.get(address(draft, "lines"))
    ProgrammeDraft.objects.update(document=HZ)
    with django_assert_num_queries(5):
        officer.get(address(draft, "lines"))
