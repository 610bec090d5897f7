"""Publish the demo province's application templates, one of each kind."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from portal.kernel.actors import Actor
from scheduler.templates import services

__all__ = ["publish_templates"]


def publish_templates(operator: Actor, *, now: datetime) -> int:
    """Import and publish the catalogue as a cluster's operator; return how many there are."""
    documents = json.loads((Path(__file__).parent / "applications.json").read_text(encoding="utf-8"))
    for document in documents:
        version = services.import_document(actor=operator, document=document, now=now)
        services.publish(actor=operator, version=version, now=now)
    return len(documents)
