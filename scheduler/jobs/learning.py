"""Keep what a cluster says of itself on its row, so that no page has to ask it."""

from __future__ import annotations

import structlog

from portal.kernel.errors import PortalError
from scheduler.jobs import ports
from scheduler.resources.models import Cluster

__all__ = ["learn"]

logger = structlog.get_logger("jobs")


def learn(row: Cluster, adapter: ports.Cluster) -> None:
    """Set `row.capabilities` from the adapter's own words; the caller saves. What is not said now stays as it was."""
    ask = getattr(adapter, "capabilities", None)
    if ask is None:
        return
    try:
        known: ports.Capabilities = ask()
    except PortalError as error:
        logger.warning("cluster.capabilities_unread", cluster=row.code, error=str(error))
        return
    row.capabilities = {
        "name": known.name,
        "features": sorted(feature.value for feature in known.features),
        "guard_s": known.guard_s,
        "max_array_size": known.max_array_size,
        "min_job_age_s": known.min_job_age_s,
        "offered": list(known.offered),
    }
