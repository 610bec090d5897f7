"""Addresses of calls and proposals for beam time."""

from __future__ import annotations

from django.urls import path

from portal.pages.beam import call_desk, calls, proposal_desk, proposal_edit, proposals

urlpatterns = [
    path("calls/", calls.calls, name="calls"),
    path("calls/<str:number>/", calls.call, name="call"),
    path("proposals/", proposals.proposals, name="proposals"),
    path("proposals/new/", calls.proposal_new, name="proposal_new"),
    path("proposals/<str:number>/", proposals.proposal, name="proposal"),
    path("proposals/<str:number>/edit/", proposal_edit.proposal_edit, name="proposal_edit"),
    path("proposals/<str:number>/acts/", proposals.proposal_act, name="proposal_act"),
    path("proposals/<str:number>/files/<str:form>/", proposals.proposal_file, name="proposal_file"),
    path("team-invitations/<str:secret>/", proposals.team_invitation, name="team_invitation"),
    path("proposal-desk/", proposal_desk.proposal_desk, name="proposal_desk"),
    path("call-desk/", call_desk.call_desk, name="call_desk"),
    path("call-desk/new/", call_desk.call_new, name="call_new"),
    path("call-desk/import-template/", call_desk.call_import_template, name="call_import_template"),
    path("call-desk/<str:number>/", call_desk.call_edit, name="call_edit"),
    path("call-desk/<str:number>/publish/", call_desk.call_publish, name="call_publish"),
    path("call-desk/<str:number>/import/", call_desk.call_import, name="call_import"),
]
