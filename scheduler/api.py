"""Index of the scheduler's routers, for ``portal/api.py`` only."""

from ninja import Router

from scheduler.availability.api import router as availability
from scheduler.bookings.api import router as bookings
from scheduler.jobs.api import router as jobs
from scheduler.resources.api import clusters, instruments

routers: tuple[tuple[str, Router], ...] = (
    ("/instruments", instruments),
    ("/instruments", availability),
    ("/clusters", clusters),
    ("/bookings", bookings),
    ("/jobs", jobs),
)
