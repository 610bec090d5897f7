"""What every test may use. The engines come from ``DATABASE_URL`` and ``REDIS_URL`` (``make test`` brings them up)."""

from __future__ import annotations

import pytest

from tests import make


@pytest.fixture
def w(db: None) -> make.World:
    """A department, a lab and an enterprise with their people."""
    return make.world()
