"""Addresses of instruments and bookings."""

from __future__ import annotations

from django.urls import path

from portal.pages import (
    booking_requests,
    bookings,
    calendars,
    finding,
    instruments,
    lab,
    lab_calendars,
    lab_today,
    moving,
    opening,
    price_list,
    queues,
    subscriptions,
)

urlpatterns = [
    path("instruments/", finding.instruments, name="instruments"),
    path("instruments/<str:number>/", instruments.instrument, name="instrument"),
    path("instruments/<str:number>/book/", booking_requests.instrument_book, name="instrument_book"),
    path("instruments/<str:number>/quote/", booking_requests.instrument_quote, name="instrument_quote"),
    path("instruments/<str:number>/price/", booking_requests.instrument_price, name="instrument_price"),
    path("bookings/", bookings.bookings, name="bookings"),
    path("bookings/subscriptions/", subscriptions.my_feeds, name="my_feeds"),
    path("bookings/<str:number>/", bookings.booking, name="booking"),
    path("bookings/<str:number>/cancel/", bookings.booking_cancel, name="booking_cancel"),
    path("bookings/<str:number>/move/", moving.booking_move, name="booking_move"),
    path("bookings/<str:number>/release-rest/", moving.booking_release_rest, name="booking_release_rest"),
    path("bookings/<str:number>/calendar.ics", bookings.booking_ics, name="booking_ics"),
    path("bookings/<str:number>/confirm/", queues.booking_confirm, name="booking_confirm"),
    path("bookings/<str:number>/no-show/", queues.booking_miss, name="booking_miss"),
    path("bookings/<str:number>/decline/", queues.booking_decline, name="booking_decline"),
    path("bookings/<str:number>/start/", queues.session_start, name="session_start"),
    path("bookings/<str:number>/finish/", queues.session_finish, name="session_finish"),
    path("lab/today/", lab_today.lab_today, name="lab_today"),
    path("lab/bookings/", queues.booking_queue, name="booking_queue"),
    path("lab/instruments/", lab.my_instruments, name="my_instruments"),
    path("lab/instruments/new/", lab.instrument_new, name="instrument_new"),
    path("lab/instruments/<str:number>/edit/", lab.instrument_edit, name="instrument_edit"),
    path("lab/instruments/<str:number>/hours/", opening.instrument_hours, name="instrument_hours"),
    path("lab/instruments/<str:number>/rate/", price_list.instrument_rate, name="instrument_rate"),
    path("lab/instruments/<str:number>/state/", lab.instrument_state, name="instrument_state"),
    path("lab/instruments/<str:number>/calendar/", lab_calendars.instrument_calendar, name="instrument_calendar"),
    path("lab/instruments/<str:number>/calendar/<int:calendar_id>/", lab_calendars.one_calendar, name="one_calendar"),
    path("lab/instruments/<str:number>/maintenance/", calendars.instrument_maintenance, name="instrument_maintenance"),
    path("lab/instruments/<str:number>/feed/", subscriptions.instrument_feed, name="instrument_feed"),
    path("feeds/<int:feed_id>/revoke/", subscriptions.feed_revoke, name="feed_revoke"),
]
