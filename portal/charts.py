"""Charts as SVG: altair says what is drawn, vl-convert draws it, the page's own colour tokens paint it.

A chart is a value; `draw` turns it into markup that may stand in a page as it is: no style attribute, no script, colours
as tokens so that it follows the light and the dark scheme, a title and a description for those who do not see it. Put a
table of the same numbers beside it. The first drawing of a process takes half a second, later ones 50 ms: draw in a task,
or use `cached`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from html import escape
from typing import Any, Final

import altair as alt
import vl_convert
from django.core.cache import cache
from django.utils.safestring import SafeString

__all__ = ["Chart", "Kind", "Point", "Tone", "cached", "draw", "text_of"]

EDITION: Final = 1
"""Counted up when drawings change, so that none is shown from an older cache."""
KEPT_S: Final = 7 * 86_400
WIDTH: Final = 680
BAR: Final = 26
MOST: Final = 400
"""Points a chart may hold: more would not be seen, and a page must stay light."""


class Kind(StrEnum):
    """Bars lie on their side: Chinese labels need the room. A histogram counts the points' amounts in classes."""

    BAR = "bar"
    GROUPED = "grouped"
    LINE = "line"
    HISTOGRAM = "histogram"


class Tone(StrEnum):
    """A colour token of the style sheet; each stands out at least 3:1 from the page in both schemes."""

    ACCENT = "accent"
    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    QUIET = "line-strong"
    OTHER = "mine"


@dataclass(frozen=True, slots=True)
class Point:
    """One number. `label` is its place on the other axis, `text` how it is written, `series` which group it is of."""

    label: str
    amount: float
    text: str = ""
    series: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """What to draw. `description` says in a sentence what is to be seen; `amounts` and `labels` name the axes.

    `tones` gives series their colours in the order of the legend; series without one take the tones in turn.
    `language` writes the numbers of an axis: 120 万, 1.2M. Without `legend`, series only give the colours.
    """

    kind: Kind
    title: str
    description: str
    points: tuple[Point, ...]
    amounts: str = ""
    labels: str = ""
    tones: tuple[tuple[str, Tone], ...] = ()
    language: str = "zh"
    legend: bool = True

    def digest(self) -> str:
        """Return what the drawing is kept under: equal charts have equal digests."""
        said = json.dumps([EDITION, asdict(self)], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


PAINTS: Final[Mapping[str, str]] = {
    "#0b5fae": "accent",
    "#17703d": "ok",
    "#855300": "warn",
    "#b3261e": "bad",
    "#74849a": "line-strong",
    "#0f6e5b": "mine",
    "#15202b": "ink",
    "#4b5a6a": "ink-2",
    "#d9e0e8": "line",
}
"""The colours drawn with, those of the light scheme, and the tokens that take their place in the page."""
HEX: Final = {token: colour for colour, token in PAINTS.items()}

CONFIG: Final[Mapping[str, Any]] = {
    "aria": False,
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": HEX["ink-2"],
        "titleColor": HEX["ink-2"],
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "gridColor": HEX["line"],
        "domainColor": HEX["line-strong"],
        "tickColor": HEX["line-strong"],
        "labelLimit": 220,
    },
    "legend": {
        "labelColor": HEX["ink"],
        "labelFontSize": 13,
        "title": None,
        "orient": "top",
        "labelLimit": 260,
        "symbolType": "square",
    },
    "text": {"color": HEX["ink"], "fontSize": 13},
}


def cached(chart: Chart) -> SafeString:
    """Return the drawing of `chart`, from the cache where it was drawn in the last seven days."""
    key = f"chart:{chart.digest()}"
    found = cache.get(key)
    if found is None:
        found = str(draw(chart))
        cache.set(key, found, KEPT_S)
    return SafeString(found)


def draw(chart: Chart) -> SafeString:
    """Return `chart` as an SVG element to put into a page."""
    svg: str = vl_convert.vegalite_to_svg(_specification(chart))
    return SafeString(_dressed(svg, chart))


def _specification(chart: Chart) -> dict[str, Any]:
    rows = [{"label": p.label, "amount": p.amount, "text": p.text, "series": p.series} for p in chart.points[:MOST]]
    base = alt.Chart(alt.InlineData(values=rows), width=WIDTH)
    shape = {Kind.BAR: _bars, Kind.GROUPED: _grouped, Kind.LINE: _line, Kind.HISTOGRAM: _histogram}[chart.kind]
    drawn: dict[str, Any] = shape(base, chart).to_dict()
    return {**drawn, "config": CONFIG, "autosize": {"type": "fit-x", "contains": "padding"}}


def _numbers(chart: Chart, **more: Any) -> alt.Axis:
    """Return an axis of numbers, large ones written short as the language does."""
    if chart.language.startswith("en"):
        return alt.Axis(format="~s", domain=False, **more)
    short = (
        "abs(datum.value) >= 1e8 ? format(datum.value / 1e8, ',.4~f') + ' 亿' : "
        "abs(datum.value) >= 1e4 ? format(datum.value / 1e4, ',.4~f') + ' 万' : format(datum.value, ',.4~f')"
    )
    return alt.Axis(labelExpr=short, domain=False, **more)


def _labels(chart: Chart) -> list[str]:
    return list(dict.fromkeys(point.label for point in chart.points[:MOST]))


def _colour(chart: Chart) -> alt.Color:
    series = list(dict.fromkeys(point.series for point in chart.points[:MOST]))
    given = dict(chart.tones)
    spare = [tone for tone in Tone if tone not in given.values()] or list(Tone)
    order = [name for name in given if name in series] + [name for name in series if name not in given]
    tones = [given.get(name) or spare[at % len(spare)] for at, name in enumerate(order)]
    scale = alt.Scale(domain=order, range=[HEX[tone.value] for tone in tones])
    legend = alt.Legend() if chart.legend and len(order) > 1 else None
    return alt.Color("series:N", scale=scale, legend=legend)


def _size(chart: Chart) -> alt.X:
    """Return the bars' axis, with room for the words behind the longest."""
    most = max((point.amount for point in chart.points[:MOST]), default=0)
    room = alt.Scale(domainMax=most * 1.25) if most > 0 else alt.Scale()
    return alt.X("amount:Q", title=chart.amounts or None, axis=_numbers(chart, tickCount=5), scale=room)


def _bars(base: alt.Chart, chart: Chart) -> Any:
    labels = _labels(chart)
    place = alt.Y("label:N", sort=labels, title=chart.labels or None, axis=alt.Axis(ticks=False, labelPadding=8))
    size = _size(chart)
    bars = base.mark_bar(size=BAR * 2 // 3).encode(y=place, x=size, color=_colour(chart))
    words = base.mark_text(align="left", baseline="middle", dx=5).encode(y=place, x=size, text="text:N")
    return alt.layer(bars, words).properties(height=BAR * max(len(labels), 1))


def _grouped(base: alt.Chart, chart: Chart) -> Any:
    labels, series = _labels(chart), list(dict.fromkeys(point.series for point in chart.points[:MOST]))
    place = alt.Y("label:N", sort=labels, title=chart.labels or None, axis=alt.Axis(ticks=False, labelPadding=8))
    size = _size(chart)
    offset = alt.YOffset("series:N", sort=series)
    bars = base.mark_bar().encode(y=place, x=size, yOffset=offset, color=_colour(chart))
    words = base.mark_text(align="left", baseline="middle", dx=5, fontSize=12).encode(
        y=place, x=size, yOffset=offset, text="text:N"
    )
    return alt.layer(bars, words).properties(height=BAR * max(len(labels) * len(series), 1))


def _line(base: alt.Chart, chart: Chart) -> Any:
    across = alt.X("label:O", sort=_labels(chart), title=chart.labels or None, axis=alt.Axis(labelAngle=0, grid=False))
    up = alt.Y("amount:Q", title=chart.amounts or None, axis=_numbers(chart))
    line = base.mark_line(point=alt.OverlayMarkDef(size=50), strokeWidth=2).properties(height=240)
    line = line.encode(x=across, y=up, color=_colour(chart))
    # several lines are told apart without their colours, too
    several = len({point.series for point in chart.points[:MOST]}) > 1
    return line.encode(strokeDash=alt.StrokeDash("series:N", legend=None)) if several else line


WHOLE: Final = "datum.value == round(datum.value) ? format(datum.value, ',d') : ''"
"""Things are counted whole: no half a case on the axis."""


def _histogram(base: alt.Chart, chart: Chart) -> Any:
    across = alt.X("amount:Q", bin=alt.Bin(maxbins=16), title=chart.labels or None, axis=_numbers(chart))
    up = alt.Y("count():Q", title=chart.amounts or None, axis=alt.Axis(labelExpr=WHOLE, tickCount=4, domain=False))
    return base.mark_bar().properties(height=220).encode(x=across, y=up, color=_colour(chart))


def _dressed(svg: str, chart: Chart) -> str:
    """Give a drawing its name and its description, and the page's colours and letters."""
    for colour, token in PAINTS.items():
        svg = re.sub(rf'(fill|stroke)="{colour}"', rf'\1="var(--{token},{colour})"', svg)
    svg = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", svg)
    svg = re.sub(r' (font-family="[^"]*"|xmlns:xlink="[^"]*"|opacity="1"|pointer-events="none")', "", svg)
    size = re.search(r'<svg [^>]*width="([\d.]+)" height="([\d.]+)"', svg)
    assert size is not None, "vl-convert says how large a drawing is"
    name = f"chart-{chart.digest()[:12]}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-labelledby="{name}-t {name}-d" '
        f'width="{size[1]}" height="{size[2]}" viewBox="0 0 {size[1]} {size[2]}">'
        f'<title id="{name}-t">{escape(chart.title)}</title><desc id="{name}-d">{escape(chart.description)}</desc>'
    )
    return re.sub(r"^<svg [^>]*>", lambda _found: head, svg, count=1)


def text_of(points: Sequence[Point]) -> str:
    """Return the points as one sentence, for a description: ``A 3; B 5``."""
    return "; ".join(" ".join(part for part in (p.series, p.label, p.text or f"{p.amount:g}") if part) for p in points)
