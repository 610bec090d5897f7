"""Addresses of calendar feeds: outside the languages, because what is subscribed to must never move.

``/calendar/`` is where feeds stood before each had an address of its own; they are answered there for ever.
"""

from __future__ import annotations

from django.urls import re_path

from portal.pages import feeds

urlpatterns = [
    re_path(
        r"^feeds/(?P<secret>[A-Za-z0-9_-]{16,64})/(?P<kind>events|freebusy|availability)\.ics$", feeds.feed, name="feed"
    ),
    re_path(r"^calendar/(?P<secret>[A-Za-z0-9_-]{16,64})/(?P<kind>events|freebusy)\.ics$", feeds.feed),
]
