"""How the pages look: one sheet of style, no script, wide enough for a phone."""

from __future__ import annotations

import html
from typing import Final

from integrations.local.payserver.words import LANGUAGES, say

__all__ = ["STYLE", "button", "card", "notice", "page", "radio"]

STYLE: Final = """
:root { --ink: #1b2733; --soft: #5b6b7a; --line: #d5dde5; --ground: #f3f6f9; --act: #14548c; --warn: #7a4300; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 system-ui, "Noto Sans CJK SC", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
.sandbox { margin: 0; background: #ffe9c2; color: var(--warn); border-bottom: 2px dashed #b36b00; padding: .6rem 1rem;
  text-align: center; }
.sandbox strong { display: block; letter-spacing: .06em; }
main { max-width: 27rem; margin: 1.25rem auto; padding: 0 .9rem 2rem; }
.sheet { background: #fff; border: 1px solid var(--line); border-radius: .75rem; padding: 1.1rem 1.15rem; }
h1 { font-size: 1.2rem; margin: 0 0 .6rem; }
h2 { font-size: 1rem; margin: 1.1rem 0 .5rem; }
.order { color: var(--soft); overflow-wrap: anywhere; margin: 0; }
.amount { font-size: 1.9rem; font-weight: 650; margin: .1rem 0 .2rem; font-variant-numeric: tabular-nums; }
.small { color: var(--soft); font-size: .9rem; }
fieldset { border: 0; padding: 0; margin: 0; }
legend { font-weight: 600; padding: 0; margin: 1rem 0 .4rem; }
.way { display: block; border: 1px solid var(--line); border-radius: .6rem; padding: .65rem .8rem; margin: .45rem 0;
  cursor: pointer; }
.way:has(input:checked) { border-color: var(--act); box-shadow: inset 0 0 0 1px var(--act); }
.way label { display: block; }
.way label.small { margin-top: .5rem; }
.way input { margin: 0 .55rem 0 0; accent-color: var(--act); }
select { width: 100%; font: inherit; padding: .5rem .5rem; margin-top: .2rem; border: 1px solid #8494a3;
  border-radius: .4rem; background: #fff; color: inherit; }
button, .button { display: block; width: 100%; font: inherit; text-align: center; text-decoration: none; cursor: pointer;
  border-radius: .6rem; padding: .75rem 1rem; margin: .7rem 0 0; border: 1px solid var(--act); background: #fff;
  color: var(--act); }
button.first, .button.first { background: var(--act); color: #fff; font-weight: 600; }
:focus-visible { outline: 3px solid #e08a00; outline-offset: 2px; }
.notice { border-left: .3rem solid #a32424; background: #fbecec; padding: .6rem .8rem; border-radius: .3rem; margin: 0 0 1rem; }
.notice.good { border-color: #1b7a45; background: #e9f6ee; }
.code { display: block; margin: .8rem auto; width: 12rem; height: 12rem; image-rendering: pixelated; }
footer { text-align: center; margin-top: 1rem; font-size: .9rem; }
footer a { color: var(--act); }
"""


def page(title: str, inner: str, *, language: str, switch: str = "", refresh_s: int = 0) -> bytes:
    """Return a whole page; `inner` is HTML made here, `switch` the address of the page without its language."""
    other = "en" if language == "zh" else "zh"
    meta = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    link = (
        f'<footer><a href="{html.escape(switch)}{"&amp;" if "?" in switch else "?"}lang={other}" lang="{other}">'
        f"{LANGUAGES[other]}</a></footer>"
        if switch
        else ""
    )
    return (
        f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{meta}'
        f'<title>{html.escape(title)} · {say("sandbox", language)}</title><link rel="stylesheet" href="/style.css"></head>'
        f'<body><p class="sandbox" role="note"><strong>{say("sandbox", language)}</strong>'
        f'{say("no_money", language)}</p><main><div class="sheet">{inner}</div>{link}</main></body></html>'
    ).encode()


def card(title: str, order: str, amount: str, language: str, until: str = "") -> str:
    """Return what is paid for and how much."""
    late = f'<p class="small">{say("until", language)}{html.escape(until)}</p>' if until else ""
    return (
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="order">{html.escape(order)}</p><p class="amount">{html.escape(amount)}</p>{late}'
    )


def notice(text: str, more: str = "", *, good: bool = False) -> str:
    kind, role = ("notice good", "status") if good else ("notice", "alert")
    return f'<p class="{kind}" role="{role}"><strong>{html.escape(text)}</strong> {html.escape(more)}</p>'


def button(text: str, *, name: str = "outcome", value: str = "", first: bool = False) -> str:
    given = f' name="{name}" value="{html.escape(value)}"' if value else ""
    return f'<button type="submit"{given}{" class=first" if first else ""}>{html.escape(text)}</button>'


def radio(value: str, text: str, *, chosen: bool, more: str = "") -> str:
    ticked = " checked" if chosen else ""
    return (
        f'<div class="way"><label><input type="radio" name="method" value="{value}"{ticked}>{html.escape(text)}</label>'
        f"{more}</div>"
    )
