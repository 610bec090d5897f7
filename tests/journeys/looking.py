"""Look at a page as every kind of reader would: its status, words, structure, layout, weight and accessibility."""

import ast
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from playwright.sync_api import Page

from portal.demo import catalogue, people

HTML_GZIP = 15 * 1024
REQUESTS_WARM = 6
ELEMENTS = 1500
CONTRACTS = re.compile(r"/(applications|review)/")
"""Pages that repeat what applicants wrote."""
HAN = re.compile(r"[\u3400-\u9fff]+")
RAW = re.compile(
    r"\{\{|\{%|%\(|\bNone\b|\bTrue\b|\bFalse\b|\bundefined\b|\bNaN\b|\[object|&(?:amp|lt|gt|quot|#x?[0-9a-f]+);"
    r"|\b[a-z]+(?:_[a-z]+)+\b|\b[a-z]{3,}\.[a-z]{3,}(?:_[a-z]+)*\b"
)

MAIL = re.compile(r"[\w.+-]+@[\w.-]+")
"""An address of mail is data, whatever its domain reads like."""

FACTS = """() => {
  const shown = node => {
    for (let at = node.parentElement; at; at = at.parentElement)
      if (at.matches("script, style, pre, code, textarea, [data-raw]")) return false;
    return true;
  };
  const language = node => node.closest("[lang]")?.getAttribute("lang") ?? "";
  const texts = [];
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.data.trim() && shown(node)) texts.push([language(node.parentElement), node.data.trim()]);
  }
  for (const element of document.querySelectorAll("[aria-label], [title], [alt], [placeholder]"))
    for (const name of ["aria-label", "title", "alt", "placeholder"])
      if (element.hasAttribute(name)) texts.push([language(element), element.getAttribute(name)]);
  const root = document.documentElement;
  const wide = [];
  if (root.scrollWidth > root.clientWidth)
    for (const element of document.body.querySelectorAll("*")) {
      const box = element.getBoundingClientRect();
      if (box.right > root.clientWidth + 1 && box.width) wide.push(element.tagName + "." + element.className);
    }
  return {
    title: document.title.split("·")[0].trim(),
    lang: root.lang,
    headings: document.querySelectorAll("h1").length,
    elements: document.querySelectorAll("*").length,
    overflow: root.scrollWidth - root.clientWidth,
    wide: wide.slice(0, 5),
    texts,
    links: [...document.querySelectorAll("a[href]")].map(link => link.href),
    requests: 1 + performance.getEntriesByType("resource").filter(entry => entry.transferSize > 0).length,
  };
}"""

AXE = """() => axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(
  rule => [rule.id, rule.nodes.length, rule.nodes[0].target.join(" "), rule.nodes[0].failureSummary]))"""


@dataclass(frozen=True)
class Seen:
    """What a page is like: its findings in words, and where it leads."""

    findings: list[str]
    links: list[str]
    requests: int = 0


def look(page: Page, address: str, *, status: int = 200, axe: bool = True) -> Seen:
    """Open `address` and say everything that is wrong with the page; `axe` takes most of the time."""
    answer = page.goto(address)
    assert answer is not None
    if answer.status != status:
        return Seen([f"status {answer.status}"], [])
    size = len(gzip.compress(answer.body(), 6))
    seen = examine(page, axe=axe)
    if size > HTML_GZIP:
        seen.findings.append(f"HTML {size} bytes gzipped")
    if seen.requests > REQUESTS_WARM:
        seen.findings.append(f"{seen.requests} requests")
    return seen


def examine(page: Page, *, axe: bool = True) -> Seen:
    """Say everything that is wrong with the page as it is now, dialogs and messages included."""
    page.wait_for_load_state()  # of a page that is just being replaced there is nothing to say
    facts = page.evaluate(FACTS)
    english = urlsplit(page.url).path.startswith("/en/")
    findings = [*structure(facts, english=english), *words(facts["texts"], page.url, english=english)]
    if axe:
        page.evaluate(AXE_SCRIPT)
        findings += [f"axe {rule}: {count} × {target}: {why}" for rule, count, target, why in page.evaluate(AXE)]
    return Seen(findings, facts["links"], facts["requests"])


def report(findings: list[str]) -> None:
    """Fail with the findings, if there are any."""
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)


def structure(facts: dict[str, Any], *, english: bool) -> Iterator[str]:
    if not facts["title"]:
        yield "no title"
    if facts["lang"] != ("en" if english else "zh-Hans"):
        yield f"lang is {facts['lang']!r}"
    if facts["headings"] != 1:
        yield f"{facts['headings']} h1"
    if facts["elements"] > ELEMENTS:
        yield f"{facts['elements']} elements"
    if facts["overflow"] > 0:
        yield f"{facts['overflow']} px wider than the window: {', '.join(facts['wide'])}"


def words(texts: list[tuple[str, str]], address: str, *, english: bool) -> Iterator[str]:
    """Say which texts are raw codes, and on English pages which are Chinese without being data or marked so."""
    known = data() + (organisations() if CONTRACTS.search(address) else [])
    for language, text in texts:
        for code in RAW.findall(MAIL.sub(" ", text)):
            yield f"raw {code!r} in {text[:80]!r}"
        foreign = english and not language.startswith("zh") and HAN.search(text)
        if foreign and HAN.search(left := without(known, text)):
            yield f"Chinese {left[:60]!r} in {text[:80]!r}"


def without(known: list[str], text: str) -> str:
    for each in known:
        text = text.replace(each, "")
    return text


@cache
def organisations() -> list[str]:
    """Return the organisations' Chinese names: what a contract says, not how an English page calls them."""
    return [entry.name for entry in (*catalogue.LABS, *catalogue.ENTERPRISES, people.DEPARTMENT)]


@cache
def data() -> list[str]:
    """Return the Chinese of the demo province that is data and has no English: titles, people, policy texts.

    What has an English name is left out: an English page has to show that one. The record of who did something keeps
    the name the organisation had then. Longest first.
    """
    folder = Path(catalogue.__file__).parent
    told: list[Any] = [json.loads(path.read_text()) for path in (folder / "programmes").glob("*.json")]
    told += [catalogue._DATA, settings.BANK_ACCOUNT]
    for path in folder.glob("*.py"):
        told += [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    who = ["登记员", *(account[1] for account in people.ACCOUNTS)]
    told += [f"{person} · {organisation}" for person in who for organisation in organisations()]
    return sorted({*strings(told)}, key=len, reverse=True)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if HAN.search(value):
            yield value
    elif isinstance(value, dict):
        translated = {"city", *(name.removesuffix("_en") for name in value if name.endswith("_en"))}
        for name, inner in value.items():
            if name not in translated and not (name == "zh" and "en" in value):
                yield from strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)
