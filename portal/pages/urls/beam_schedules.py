"""Addresses of schedules of beam time, and of what teams are offered."""

from __future__ import annotations

from django.urls import path

from portal.pages.beam import offers, schedule

urlpatterns = [
    path("schedule/", schedule.schedules, name="schedules"),
    path("schedule/drafts/<int:draft_id>/progress/", schedule.schedule_progress, name="schedule_progress"),
    path("schedule/drafts/<int:draft_id>/look/", schedule.schedule_look, name="schedule_look"),
    path("schedule/<str:facility>/<str:cycle>/", schedule.schedule, name="schedule"),
    path("beam-offers/", offers.beam_offers, name="beam_offers"),
    path("beam-offers/<str:number>/", offers.beam_offer, name="beam_offer"),
]
