"""Addresses of rounds, public notices, objections and the calendar of working days."""

from __future__ import annotations

from django.urls import path

from portal.pages import notice_desk, notices, round_desk, rounds, workdays

urlpatterns = [
    path("notices/", notices.notices, name="notices"),
    path("notices/objection/", notices.result, name="objection_result"),
    path("notices/<str:number>/", notices.notice, name="notice"),
    path("notices/<str:number>/items/<int:position>/object/", notices.object_to, name="notice_object"),
    path("rounds/", rounds.rounds, name="rounds"),
    path("rounds/<str:number>/", rounds.round_page, name="round"),
    path("casework/", round_desk.desk, name="rounds_desk"),
    path("casework/rounds/<str:number>/", round_desk.round_page, name="round_desk"),
    path("casework/notices/", notice_desk.desk, name="notices_desk"),
    path("casework/notices/<str:number>/", notice_desk.notice, name="notice_desk"),
    path("casework/objections/", notice_desk.objections, name="objections_desk"),
    path("casework/objections/<str:number>/", notice_desk.objection, name="objection_desk"),
    path("casework/objections/<str:number>/files/<int:file_id>/", notice_desk.evidence_file, name="objection_file"),
    path("casework/workdays/", workdays.calendar, name="workdays"),
]
