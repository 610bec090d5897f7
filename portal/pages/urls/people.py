"""Addresses of the home page, the desk, organisations and the audit trail."""

from __future__ import annotations

from django.urls import path

from portal.pages import audit, home, organisations

urlpatterns = [
    path("", home.home, name="home"),
    path("desk/", home.dashboard, name="dashboard"),
    path("accessibility/", home.accessibility, name="accessibility"),
    path("organisation/", organisations.organisation, name="organisation"),
    path("organisation/members/", organisations.add_member, name="member_add"),
    path("organisation/members/<int:member_id>/", organisations.change_member, name="member_change"),
    path("organisation/tokens/", organisations.create_token, name="token_create"),
    path("organisation/tokens/<int:token_id>/revoke/", organisations.revoke_token, name="token_revoke"),
    path("organisation/register/", organisations.register, name="register_organisation"),
    path("organisation/switch/", organisations.switch, name="switch_organisation"),
    path("audit/", audit.trail, name="audit"),
]
