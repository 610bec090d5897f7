"""Addresses of large facilities: what they offer, and the desk of those who run them."""

from __future__ import annotations

from django.urls import path

from portal.pages.beam import beam_quotes, facilities, facility_desk, machine_plans, quote_desk

urlpatterns = [
    path("facilities/", facilities.facilities, name="facilities"),
    path("facilities/<str:code>/", facilities.facility, name="facility"),
    path("beam-quotes/", beam_quotes.beam_quotes, name="beam_quotes"),
    path("beam-quotes/requests/", quote_desk.beam_quote_requests, name="beam_quote_requests"),
    path("beam-quotes/requests/<int:number>/", quote_desk.beam_quote_new, name="beam_quote_new"),
    path("beam-quotes/<int:number>/", beam_quotes.beam_quote, name="beam_quote"),
    path("facility-desk/", facility_desk.facility_desk, name="facility_desk"),
    path("facility-desk/<str:code>/", facility_desk.facility_board, name="facility_board"),
    path("facility-desk/<str:code>/shares/", facility_desk.facility_shares, name="facility_shares"),
    path("facility-desk/<str:code>/lines/<str:line>/", facility_desk.facility_line, name="facility_line"),
    path("facility-desk/<str:code>/plans/<str:cycle>/", machine_plans.machine_plan, name="machine_plan"),
]
