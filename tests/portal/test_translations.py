"""The English is complete and English: whoever reads it never meets Chinese words, marks or half a text."""

import re

import pytest
from babel.messages.mofile import write_mo
from django.utils import translation
from django.utils.translation import trans_real

from portal.http import explain_reason, sentences
from portal.kernel.errors import Reason
from portal.launch import translations
from portal.pages.templatetags.show import NOUNS, city, count, duration, entered
from vouchers.programmes.decisions import REASONS

HAN = re.compile(r"[\u3400-\u9fff]")
FULL_WIDTH = re.compile(r"[\u3000-\u3011\u3014-\u303f\uff00-\uffef]")
DOCUMENT = re.compile(r"〔[^〔〕]*〕")
"""The brackets of a document's number, which stand in English as they do in Chinese."""


@pytest.fixture(scope="module")
def catalogue():
    with translations.CATALOGUE.open("rb") as stream:
        return translations.read_po(stream, locale="en")


@pytest.fixture(scope="module")
def texts(catalogue):
    return [
        (message, english)
        for message in catalogue
        if message.id
        for english in ([message.string] if isinstance(message.string, str) else message.string)
    ]


@pytest.fixture
def in_english(tmp_path, settings, catalogue):
    """Load the catalogue as Django does, from a binary of this very source."""
    directory = tmp_path / "en" / "LC_MESSAGES"
    directory.mkdir(parents=True)
    with (directory / "django.mo").open("wb") as stream:
        write_mo(stream, catalogue)
    settings.LOCALE_PATHS = [tmp_path]
    trans_real._translations.clear()
    with translation.override("en"):
        yield
    trans_real._translations.clear()


def test_the_catalogue_has_every_text_and_no_other(catalogue):
    assert translations.faults(catalogue, translations.extract()) == []


def test_nothing_is_fuzzy(catalogue):
    assert [message.id for message in catalogue if message.fuzzy and message.id] == []


def test_english_has_two_forms_of_every_plural(catalogue):
    plural = [message for message in catalogue if message.pluralizable]
    assert plural
    assert [message.id for message in plural if len(message.string) != 2 or not all(message.string)] == []


def test_the_placeholders_are_the_same(texts):
    wrong = [
        (message.id, english)
        for message, english in texts
        if translations.placeholders(english) != translations.placeholders(message.id)
    ]
    assert wrong == []


def test_every_per_cent_sign_survives_filling_in(texts):
    """A lone % breaks a template that is filled in, so it may only stand where the Chinese has one too."""
    lone = re.compile(r"%(?!\(|%|d)")
    wrong = [(message.id, english) for message, english in texts if lone.search(english.replace("%%", ""))]
    assert [english for chinese, english in wrong if not lone.search(str(chinese).replace("%%", ""))] == []


@pytest.mark.parametrize("foreign", [HAN, FULL_WIDTH], ids=["Chinese words", "full-width marks"])
def test_english_is_written_in_english(texts, foreign):
    assert [english for _, english in texts if foreign.search(DOCUMENT.sub("", english))] == []


def test_a_sentence_stays_a_sentence(texts):
    wrong = [
        (message.id, english)
        for message, english in texts
        if isinstance(message.id, str) and message.id.endswith("。") and not english.rstrip().endswith((".", "?"))
    ]
    assert wrong == []


def test_english_has_no_doubled_space_but_an_indent(texts):
    assert [english for _, english in texts if "  " in english.strip()] == []


@pytest.mark.parametrize("told", REASONS.values(), ids=REASONS)
def test_refusals_read_alike_on_a_page_and_in_a_report(catalogue, told):
    for words in told:
        assert catalogue.get(words.zh).string == words.en


@pytest.mark.usefixtures("in_english")
def test_things_are_counted_in_english():
    assert [count(number, "项资源") for number in (0, 1, 1200)] == [
        "0 resources",
        "1 resource",
        "1,200 resources",
    ]
    assert {noun: say(1) != say(2) for noun, say in NOUNS.items()} == dict.fromkeys(NOUNS, True)
    assert [duration(seconds) for seconds in (0, 86400, 9000, 2 * 86400)] == ["0 s", "1 day", "2 h 30 min", "2 days"]


@pytest.mark.usefixtures("in_english")
def test_cities_go_by_their_english_names():
    assert [city(name) for name in ("杭州", "宁波市", "义乌")] == ["Hangzhou", "Ningbo", "义乌"]
    with translation.override("zh-hans"):
        assert city("杭州") == "杭州"


@pytest.mark.usefixtures("in_english")
def test_chinese_that_people_entered_is_marked_as_chinese():
    assert entered("Issued by 科技厅（2026 年）, <b>") == (
        'Issued by <span lang="zh-Hans">科技厅（2026 年）</span>, &lt;b&gt;'
    )
    assert (entered("plain"), entered("")) == ("plain", "")
    with translation.override("zh-hans"):
        assert entered("科技厅 & Co") == "科技厅 & Co"


@pytest.mark.usefixtures("in_english")
def test_a_refusal_with_a_list_and_a_zone_reads_as_english():
    told = explain_reason(
        Reason(
            code="availability.closed",
            message="所选时间（含准备和清理时间）有一部分不在开放时间内：%(closed)s（%(zone)s）。",
            remedy="最近的开放时间：%(next)s。",
            params={"closed": ["a", "b"], "zone": "Asia/Shanghai", "next": "c"},
        )
    )
    assert sentences(told["text"], told["remedy"]) == (
        "Part of this time, set-up and cleaning included, is outside opening hours: a, b (Beijing time). Next open: c."
    )


@pytest.mark.usefixtures("in_english", "db")
@pytest.mark.parametrize(
    ("asked", "language", "said"),
    [
        ({"Accept-Language": "en-GB,en;q=0.9,zh;q=0.8"}, "en", "Sign in, or send a valid token"),
        ({"Accept-Language": "zh"}, "zh-hans", "请先登录"),
        ({"Accept-Language": "fr"}, "zh-hans", "请先登录"),
        ({}, "zh-hans", "请先登录"),
    ],
)
def test_the_api_answers_in_its_callers_language(client, asked, language, said):
    response = client.get("/api/v1/bookings", headers=asked)
    assert response.json()["code"] == "unauthenticated"
    assert response.json()["detail"].startswith(said)
    assert response["Content-Language"] == language
    assert "Accept-Language" in response["Vary"]


@pytest.mark.usefixtures("in_english", "db")
def test_a_page_speaks_the_language_of_its_address_whatever_the_browser_prefers(client):
    assert client.get("/accessibility/", headers={"Accept-Language": "en"})["Content-Language"] == "zh-hans"
    assert client.get("/en/accessibility/", headers={"Accept-Language": "zh"})["Content-Language"] == "en"
