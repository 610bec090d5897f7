"""Addresses of projects of technical service."""

from __future__ import annotations

from django.urls import path

from portal.pages import engagement_acts, engagement_desk, engagement_rulings, engagements

urlpatterns = [
    path("instruments/<str:number>/engagements/", engagements.engagement_new, name="engagement_new"),
    path("engagements/", engagements.engagements, name="engagements"),
    path("engagements/<str:number>/", engagements.engagement, name="engagement"),
    path("engagements/<str:number>/quote/", engagement_acts.engagement_quote, name="engagement_quote"),
    path("engagements/<str:number>/accept/", engagement_acts.engagement_accept, name="engagement_accept"),
    path("engagements/<str:number>/acts/<str:act>/", engagement_acts.engagement_act, name="engagement_act"),
    path(
        "engagements/<str:number>/milestones/<int:position>/acts/<str:act>/",
        engagement_acts.milestone_act,
        name="milestone_act",
    ),
    path(
        "engagements/<str:number>/milestones/<int:position>/files/<int:file_id>/",
        engagements.milestone_file,
        name="milestone_file",
    ),
    path("rulings/", engagement_rulings.milestone_rulings, name="milestone_rulings"),
    path("rulings/<str:number>/<int:position>/", engagement_rulings.milestone_ruling, name="milestone_ruling"),
    path("milestones/<str:number>/", engagements.milestone, name="milestone"),
    path("lab/engagements/", engagement_desk.engagement_desk, name="engagement_desk"),
]
