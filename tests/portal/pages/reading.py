"""Sign in as somebody and read a page as a person does."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from portal.kernel.actors import Actor
from tests import make

LONG = ["2026-01-01", "2099-12-31"]
"""A programme's term that the present is in, whenever the suite runs."""


def enter(client: Client, actor: Actor) -> Client:
    client.force_login(make.user_of(actor))
    return client


def text_of(response: Any) -> str:
    """Return what a person reads of a page, white space collapsed."""
    html = re.sub(r"<head>.*?</head>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def raw_codes(text: str) -> list[str]:
    """Return whatever on a page reads like a path, an operator, a Python value or an unfilled template."""
    return re.findall(r"[a-z]+\.[a-z_]+|[A-Za-z]+_[A-Za-z_]+|[<>!]=|\bNone\b|%\(\w*|&lt;\w+", text)
