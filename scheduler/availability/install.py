"""What migrations run to bring the occupancy guards and the free-time read model into a database.

Migrations use this module: a later change of ``sql/occupancy.sql`` is a new migration running `occupancy_sql` again.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["OCCUPANCY_DROP_SQL", "occupancy_sql"]

OCCUPANCY_DROP_SQL = """
DROP FUNCTION IF EXISTS claim_capacity_guard, claim_gaps_follow CASCADE;
DROP FUNCTION IF EXISTS free_gap_ended, free_gap_rebuild, free_gap_refresh, resource_units, claim_taken, claim_peak, claim_blocks;
"""


def occupancy_sql() -> str:
    """Return the SQL that creates or replaces the functions and triggers on ``claim``."""
    return (Path(__file__).parent / "sql" / "occupancy.sql").read_text(encoding="utf-8")
