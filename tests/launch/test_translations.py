"""Texts are found wherever they stand, and an incomplete catalogue is told from a complete one."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from babel.messages.catalog import Catalog

from portal.launch import translations
from portal.launch.messages import extract_template
from portal.launch.translations import KEYWORDS, extract, faults

TEMPLATE = """
{% load i18n %}
<h1>{% translate "算力券" %}</h1>
      {% if page %}
  <p title="{{ _("说明") }}">{% trans '余额' context "ledger" as balance %}</p>
    {% blocktranslate trimmed with name=user.name %}
      您好，{{ name }}，
      欢迎回来
    {% endblocktranslate %}
{% endif %}
{% blocktranslate count n=jobs|length %}{{ n }} 个作业{% plural %}{{ n }} 个作业们{% endblocktranslate %}
{# 注释里的 _("不算") #}<i>it's</i>
"""


def test_every_form_in_a_template_is_found():
    found = list(extract_template(io.BytesIO(TEMPLATE.encode()), KEYWORDS, (), {}))
    texts = [(function, text) for _, function, text, _ in found]
    assert texts == [
        ("gettext", "算力券"),
        ("_", "说明"),
        ("pgettext", ("ledger", "余额")),
        ("gettext", "您好，%(name)s， 欢迎回来"),
        ("ngettext", ("%(n)s 个作业", "%(n)s 个作业们", None)),
    ]


def test_the_kernels_own_messages_are_found():
    assert extract().get("出错了，请稍后再试。") is not None


@pytest.mark.parametrize(
    ("english", "flags", "fault"),
    [
        ("Balance of {name}", (), None),
        (None, (), "missing"),
        ("", (), "without English"),
        ("Balance of {name}", ("fuzzy",), "fuzzy"),
        ("Balance of 账户 {name}", (), "Chinese in the English"),
        ("Balance of {nam}", (), "other placeholders"),
    ],
)
def test_each_fault_is_named(english, flags, fault):
    sources, catalogue = Catalog(), Catalog(locale="en")
    sources.add("{name} 的余额")
    if english is not None:
        catalogue.add("{name} 的余额", english, flags=flags)
    found = faults(catalogue, sources)
    assert [line.split(":")[0] for line in found] == ([fault] if fault else [])


def test_a_text_that_has_vanished_is_a_fault():
    catalogue = Catalog(locale="en")
    catalogue.add("旧文字", "Old text")
    assert faults(catalogue, Catalog()) == ["no longer in the sources: '旧文字'"]


def test_two_portals_may_compile_the_catalogue_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(translations, "CATALOGUE", tmp_path / "django.po")
    (tmp_path / "django.po").write_text('msgid "券"\nmsgstr "voucher"\n')
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _turn: translations.compile_catalogue(), range(64))) == [0] * 64
    assert {path.name for path in tmp_path.iterdir()} == {"django.po", "django.mo"}
