"""Visits to beamlines: for teams, for the staff of the day, and what a facility reports."""

from __future__ import annotations

from django.urls import path

from portal.pages.beam import desk, figures, visit_acts, visits

urlpatterns = [
    path("visits/", visits.visits_list, name="visits"),
    path("visits/<str:number>/", visits.visit, name="visit"),
    path("visits/<str:number>/report/", visits.visit_report, name="visit_report"),
    path("visits/<str:number>/acts/<slug:act>/", visit_acts.visit_act, name="visit_act"),
    path("beam-desk/", desk.beam_desk, name="beam_desk"),
    path("beam-desk/visits/", desk.beam_visits, name="beam_visits"),
    path("beam-desk/losses/", desk.beam_losses, name="beam_losses"),
    path("beam-desk/losses/new/", desk.beam_loss_new, name="beam_loss_new"),
    path("beam-desk/losses/<int:loss_id>/void/", desk.beam_loss_void, name="beam_loss_void"),
    path("beam-desk/compensations/", desk.beam_compensations, name="beam_compensations"),
    path("facilities/<slug:code>/figures/", figures.facility_figures, name="facility_figures"),
]
