"""Addresses of large facilities: what they offer, and the desk of those who run them."""

from __future__ import annotations

from django.urls import path

from portal.pages.beam import (
    beam_quotes,
    facilities,
    facility_cycles,
    facility_desk,
    facility_setup,
    facility_things,
    machine_plans,
    quote_desk,
)

DESK = "facility-desk/<str:code>/"
LINE = f"{DESK}lines/<str:line>/"

urlpatterns = [
    path("facilities/", facilities.facilities, name="facilities"),
    path("facilities/<str:code>/", facilities.facility, name="facility"),
    path("beam-quotes/", beam_quotes.beam_quotes, name="beam_quotes"),
    path("beam-quotes/requests/", quote_desk.beam_quote_requests, name="beam_quote_requests"),
    path("beam-quotes/requests/<int:number>/", quote_desk.beam_quote_new, name="beam_quote_new"),
    path("beam-quotes/<int:number>/", beam_quotes.beam_quote, name="beam_quote"),
    path("facility-desk/", facility_desk.facility_desk, name="facility_desk"),
    path("facility-desk/_new/", facility_setup.facility_new, name="facility_new"),
    path(DESK, facility_desk.facility_board, name="facility_board"),
    path(f"{DESK}about/", facility_setup.facility_edit, name="facility_edit"),
    path(f"{DESK}show/", facility_setup.facility_show, name="facility_show"),
    path(f"{DESK}kinds/", facility_things.facility_courses, name="facility_courses"),
    path(f"{DESK}shares/", facility_desk.facility_shares, name="facility_shares"),
    path(f"{DESK}new-line/", facility_things.beamline_new, name="beamline_new"),
    path(LINE, facility_desk.facility_line, name="facility_line"),
    path(f"{LINE}about/", facility_things.beamline_edit, name="beamline_edit"),
    path(f"{LINE}shares/", facility_desk.facility_shares, name="beamline_shares"),
    path(f"{LINE}partners/", facility_things.partners, name="facility_partners"),
    path(f"{LINE}partners/new/", facility_things.partner_new, name="facility_partner_new"),
    path(f"{LINE}partners/<int:partner_id>/", facility_things.partner_edit, name="facility_partner"),
    path(f"{LINE}closings/", facility_cycles.beamline_closings, name="facility_closings"),
    path(f"{LINE}closings/<int:closure_id>/reopen/", facility_cycles.beamline_reopen, name="facility_reopen"),
    path(f"{DESK}new-device/", facility_things.device_new, name="device_new"),
    path(f"{DESK}devices/<str:device>/", facility_things.device_edit, name="device_edit"),
    path(f"{DESK}new-cycle/", facility_cycles.cycle_new, name="cycle_new"),
    path(f"{DESK}cycles/<str:cycle>/close/", facility_cycles.cycle_close, name="cycle_close"),
    path(f"{DESK}plans/<str:cycle>/", machine_plans.machine_plan, name="machine_plan"),
]
