"""Compute the contrast of every pair of colour tokens that meet on a page, in both schemes (WCAG 2.2, 1.4.3 and 1.4.11)."""

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings

SHEET = (Path(settings.BASE_DIR) / "portal/static/css/portal.css").read_text()
GRID = (Path(settings.BASE_DIR) / "portal/static/css/weekgrid.css").read_text()


def tokens(block):
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", block))


def schemes():
    light, dark = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)[:2]
    return {"light": tokens(light), "dark": {**tokens(light), **tokens(dark)}}


SCHEMES = schemes()

GROUNDS = ("bg", "surface", "surface-2")
TEXT = [
    *((ink, ground) for ink in ("ink", "ink-2", "accent", "ok", "warn", "bad") for ground in GROUNDS),
    *(("ink", ground) for ground in ("accent-soft", "ok-soft", "warn-soft", "bad-soft", "free")),
    *((tone, f"{tone}-soft") for tone in ("accent", "ok", "warn", "bad")),
    ("ink-2", "accent-soft"),
    ("accent-strong", "surface"),
    ("accent-strong", "accent-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-bad", "bad"),
    ("log-ink", "log-bg"),
    ("log-2", "log-bg"),
    ("on-booked", "booked"),
    ("on-mine", "mine"),
    ("on-held", "held"),
    ("on-held", "held-2"),
    ("on-maint", "maint"),
    ("on-maint", "maint-2"),
    ("surface", "ink"),
]
SHAPES = [
    *(("line-strong", ground) for ground in GROUNDS),
    ("focus", "focus-edge"),
    ("free-edge", "free"),
    ("free-edge", "surface-2"),
    *((f"{kind}-edge", ground) for kind in ("booked", "mine", "held", "maint") for ground in ("free", "surface-2")),
    ("bad", "free"),
    ("bad", "surface-2"),
]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_is_the_one_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_is_readable(scheme, ink, ground):
    assert contrast(SCHEMES[scheme][ink], SCHEMES[scheme][ground]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_shapes_are_visible(scheme, shape, ground):
    assert contrast(SCHEMES[scheme][shape], SCHEMES[scheme][ground]) >= 3


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", [*GROUNDS, "accent", "free", "bad-soft"])
def test_one_of_the_two_tones_of_the_focus_ring_stands_out_everywhere(scheme, ground):
    colours = SCHEMES[scheme]
    assert max(contrast(colours[tone], colours[ground]) for tone in ("focus", "focus-edge")) >= 3


def test_every_token_used_is_defined_and_every_colour_defined_is_used():
    defined = set(re.findall(r"--([\w-]+):", SHEET + GRID))
    used = set(re.findall(r"var\(--([\w-]+)\)", SHEET + GRID))
    assert used <= defined
    assert set(SCHEMES["light"]) <= used


def test_the_dark_scheme_only_changes_tokens_of_the_light_one():
    dark = re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", SHEET, re.DOTALL)[1]
    assert set(tokens(dark)) <= set(SCHEMES["light"])


def test_the_weight_of_every_page_stays_in_budget():
    """What one page loads beside htmx, compressed: 12 KiB of styles, 10 KiB of scripts, imports among them."""
    root = Path(settings.BASE_DIR) / "portal"

    def asked(path):
        found = re.findall(r"static '((?:js|css)/\w+\.\w+)'", path.read_text("utf-8"))
        imports = [
            f"js/{name}"
            for script in found
            for name in re.findall(r'from "\./(\w+\.js)"', (root / "static" / script).read_text("utf-8"))
        ]
        return {*found, *imports}

    def weight(paths):
        return sum(len(gzip.compress((root / "static" / path).read_bytes(), 9)) for path in paths)

    base = asked(root / "templates/base.html")
    assert {"js/app.js", "css/portal.css"} <= base
    pages = {path: base | asked(path) for path in (root / "templates").rglob("*.html")}
    heavy = {
        str(path.relative_to(root)): weights
        for path, paths in pages.items()
        if (weights := tuple(weight(p for p in paths if p.startswith(kind)) for kind in ("css", "js"))) > (0, 0)
        and (weights[0] > 12 * 1024 or weights[1] > 10 * 1024)
    }
    assert heavy == {}
