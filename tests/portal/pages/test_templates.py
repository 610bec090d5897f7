"""What holds for every template, and the pages that must render when nothing else does."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Context, Origin, Template
from django.template.loader import get_template
from django.utils import translation

ROOT = Path(settings.BASE_DIR) / "portal/templates"
NAMES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.html"))


@pytest.mark.parametrize("name", NAMES)
def test_it_compiles(name):
    get_template(name)


@pytest.mark.parametrize("name", NAMES)
def test_it_carries_no_inline_style_or_script(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|hx-on|javascript:", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text)


@pytest.mark.parametrize("name", NAMES)
def test_what_people_read_is_marked_for_translation(name):
    """Chinese text stands only inside translation tags and comments."""
    text = (ROOT / name).read_text()
    text = re.sub(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{% blocktrans(late)?\b.*?\{% endblocktrans(late)? %\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{[%{].*?[%}]\}", "", text, flags=re.DOTALL)
    assert not re.findall(r"[\u4e00-\u9fff]+", text)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("name", ["400.html", "500.html"])
def test_the_pages_of_last_resort_need_no_request_and_no_database(name, language, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    with translation.override(language):
        html = get_template(name).render()
    assert f'lang="{"en" if language == "en" else "zh-Hans"}"' in html
    assert html.count("<h1>") == 1


def test_sign_in_buttons_show_what_they_do():
    source = '{% load allauth %}{% element button type="submit" tags=tags %}x{% endelement %}'

    def css(tags):
        return re.search(
            r'class="([^"]*)"', Template(source, origin=Origin("test", "test.html")).render(Context({"tags": tags}))
        )[1]

    assert (css("login"), css("danger,delete"), css("outline"), css(None)) == (
        "btn primary",
        "btn danger",
        "btn",
        "btn primary",
    )
