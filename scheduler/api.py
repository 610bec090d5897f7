"""Index of the scheduler's routers, for ``portal/api.py`` only."""

from ninja import Router

from scheduler.availability.api import router as availability
from scheduler.bookings.api import router as bookings
from scheduler.calendars.api import router as calendars
from scheduler.jobs.api import router as jobs
from scheduler.resources.api import clusters, instruments
from scheduler.search.api import router as search

routers: tuple[tuple[str, Router], ...] = (
    ("/instruments", search),
    ("/instruments", instruments),
    ("/instruments", availability),
    ("/instruments", calendars),
    ("/clusters", clusters),
    ("/bookings", bookings),
    ("/jobs", jobs),
)
