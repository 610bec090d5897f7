"""Addresses of judging proposals for beam time."""

from __future__ import annotations

from django.urls import path

from portal.pages.beam import answers, assessing, judging, panels, rankings, reviewing

urlpatterns = [
    path("reviews/", reviewing.reviews, name="beam_reviews"),
    path("reviews/<int:pk>/", reviewing.review, name="beam_review"),
    path("reviews/<int:pk>/recuse/", reviewing.review_recuse, name="beam_review_recuse"),
    path("assessments/", assessing.assessments, name="assessments"),
    path("assessments/<str:number>/", assessing.assessment, name="assessment"),
    path("assessments/<str:number>/files/<str:code>/", judging.beam_file, name="judged_file"),
    path("assessments/<str:number>/papers/<str:visit>/", judging.beam_paper, name="judged_paper"),
    path("assessments/<str:number>/<slug:kind>/", assessing.assessment_file, name="assessment_file"),
    path("grants/", assessing.grants, name="grants"),
    path("grants/<str:number>/<str:beamline>/", assessing.grant, name="grant"),
    path("panels/", panels.panels, name="panels"),
    path("panels/new/", panels.panel_new, name="panel_new"),
    path("panels/<int:pk>/", panels.panel, name="panel"),
    path("panels/<int:pk>/act/", panels.panel_act, name="panel_act"),
    path("panels/<int:pk>/rank/<str:beamline>/", panels.panel_rank, name="panel_rank"),
    path("rankings/<int:pk>/", rankings.ranking_page, name="ranking"),
    path("rankings/<int:pk>/<slug:act>/", rankings.ranking_act, name="ranking_act"),
    path("beam-answers/<str:number>/", answers.answer, name="beam_answer"),
    path("beam-answers/<str:number>/appeal/", answers.appeal_new, name="appeal_new"),
    path("appeals/", answers.appeal_list, name="appeals"),
    path("appeals/<int:pk>/", answers.appeal_answer, name="appeal_answer"),
]
