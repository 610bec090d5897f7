"""What charts are made of: our colours, their numbers, a name and a description, nothing a page must refuse."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from portal.charts import PAINTS, Chart, Kind, Point, Tone, draw, text_of
from tests.portal.test_tokens import SCHEMES, contrast

POINTS = (
    Point("第一档 <b>&", 280000, "¥280,000", "现行"),
    Point("第二档", 550000, "¥550,000", "现行"),
    Point("第二档", 120000, "¥120,000", "草案"),
)
SVG = "{http://www.w3.org/2000/svg}"


def chart(kind: Kind = Kind.GROUPED, **changes: object) -> Chart:
    values = {"title": "谁得到 <多少>", "description": "两档相比", "points": POINTS, **changes}
    return Chart(kind, **values)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_chart_is_named_described_and_fit_for_a_page(kind):
    svg = draw(chart(kind))
    root = ET.fromstring(svg)
    title, description = root[0], root[1]
    assert (title.tag, title.text) == (f"{SVG}title", "谁得到 <多少>")
    assert (description.tag, description.text) == (f"{SVG}desc", "两档相比")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert root.get("role") == "img"
    assert not re.search(r"style=|<script|<b>|href=", svg)
    assert svg.count("<") < 500


@pytest.mark.parametrize("kind", list(Kind))
def test_every_colour_is_a_token(kind):
    colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', draw(chart(kind)))) - {"none"}
    assert colours
    assert {colour for colour in colours if not colour.startswith("var(--")} == set()


def test_the_colours_drawn_with_are_those_of_the_light_scheme():
    assert {token: SCHEMES["light"][token] for token in PAINTS.values()} == {v: k for k, v in PAINTS.items()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tone", list(Tone))
def test_shapes_stand_out_from_the_card(scheme, tone):
    assert contrast(SCHEMES[scheme][tone.value], SCHEMES[scheme]["surface"]) >= 3


def test_bars_are_as_long_as_their_amounts():
    svg = draw(Chart(Kind.BAR, "t", "d", (Point("a", 100), Point("b", 200))))
    first, second = (float(x) for x in re.findall(r'd="M0,[\d.]+h([\d.]+)v[\d.]+h-[\d.]+Z" fill="var\(--accent', svg))
    assert second == pytest.approx(2 * first)


def test_large_numbers_are_short_in_the_readers_language():
    assert "20 万" in draw(chart(Kind.BAR))
    assert "200k" in draw(chart(Kind.BAR, language="en"))


def test_equal_charts_share_a_digest_and_others_do_not():
    assert chart().digest() == chart().digest() != chart(title="另一张").digest()


def test_points_are_said_in_a_sentence():
    assert text_of(POINTS[:1]) == "现行 第一档 <b>& ¥280,000"
    assert text_of([Point("a", 3.0)]) == "a 3"
