"""The charts of a dry run, in both languages. Drawn where the run is done, never while a page waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from portal.charts import MOST, Chart, Kind, Point, Tone, draw, text_of
from portal.kernel.money import Money
from vouchers.dryruns.rules import Shift, Totals
from vouchers.programmes.words import Words

__all__ = ["drawings"]

W = Words
SHIFTS: Final = {
    Shift.NEW: (W("新获支持", "Newly supported"), Tone.OK),
    Shift.MORE: (W("增加", "More"), Tone.OK),
    Shift.SAME: (W("不变", "The same"), Tone.QUIET),
    Shift.LESS: (W("减少", "Less"), Tone.WARN),
    Shift.LOST: (W("失去支持", "Supported no more"), Tone.BAD),
    Shift.NONE: (W("仍无支持", "Still not supported"), Tone.QUIET),
}
TOP_LINES: Final = 8


def drawings(totals: Totals, amounts: Sequence[int], language: str) -> list[dict[str, str]]:
    """Return the charts, ``{"title", "svg"}`` each: who gains and who loses, the money before and after, awards by size, money by line."""
    charts = [_shifts(totals, language), _money(totals, language)]
    if amounts:
        charts.append(_sizes(amounts, language))
    if totals.lines:
        charts.append(_lines(totals, language))
    return [{"title": chart.title, "svg": str(draw(chart))} for chart in charts]


def _say(words: Words, language: str) -> str:
    return words.say(language)


def _shifts(totals: Totals, language: str) -> Chart:
    points = tuple(
        Point(words.say(language), count, f"{count:,}", kind.value)
        for kind, (words, _tone) in SHIFTS.items()
        for count in [totals.shifts[kind.value]]
    )
    return Chart(
        Kind.BAR,
        _say(W("谁得到更多，谁得到更少", "Who gains and who loses"), language),
        text_of([Point(point.label, point.amount, point.text) for point in points]),
        points,
        amounts=_say(W("件数", "Cases"), language),
        tones=tuple((kind.value, tone) for kind, (_words, tone) in SHIFTS.items()),
        legend=False,
        language=language,
    )


def _money(totals: Totals, language: str) -> Chart:
    points = tuple(
        Point(words.say(language), fen / 100, _yuan(fen))
        for words, fen in (
            (W("原来核算", "As decided then"), totals.before_fen),
            (W("按本规则", "Under these rules"), totals.after_fen),
        )
    )
    return Chart(
        Kind.BAR,
        _say(W("资金总额", "Money in all"), language),
        text_of(points),
        points,
        amounts=_say(W("元", "Yuan"), language),
        language=language,
    )


def _sizes(amounts: Sequence[int], language: str) -> Chart:
    step = max(1, len(amounts) // MOST)
    points = tuple(Point("", fen / 100) for fen in sorted(amounts)[::step])
    low, high = _yuan(min(amounts)), _yuan(max(amounts))
    said = W(
        f"{len(amounts)} 件获得支持，从 {low} 到 {high}。", f"{len(amounts)} cases are supported, from {low} to {high}."
    )
    return Chart(
        Kind.HISTOGRAM,
        _say(W("支持金额的分布", "Awards by size"), language),
        _say(said, language),
        points,
        amounts=_say(W("件数", "Cases"), language),
        labels=_say(W("元", "Yuan"), language),
        language=language,
    )


def _lines(totals: Totals, language: str) -> Chart:
    largest = sorted(totals.lines.items(), key=lambda item: (-item[1], item[0]))[:TOP_LINES]
    points = tuple(Point(name, fen / 100, _yuan(fen)) for name, fen in largest)
    return Chart(
        Kind.BAR,
        _say(W("各档支出", "Money by benefit line"), language),
        text_of(points),
        points,
        amounts=_say(W("元", "Yuan"), language),
        language=language,
    )


def _yuan(fen: int) -> str:
    return str(Money(fen)).removesuffix(".00")
