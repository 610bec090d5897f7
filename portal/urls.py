"""The roof's table of addresses."""

from __future__ import annotations

from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView

from portal import health
from portal.api import api

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/v1/", api.urls),
    path("", include("portal.pages.urls.feeds")),
    path("", include("portal.pages.urls.hooks")),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}img/mark.svg"), name="favicon"),
    path("robots.txt", TemplateView.as_view(template_name="robots.txt", content_type="text/plain")),
    *i18n_patterns(
        path("accounts/", include("allauth.urls")),
        path("", include("portal.pages.urls.people")),
        path("", include("portal.pages.urls.programmes")),
        path("", include("portal.pages.urls.notices")),
        path("", include("portal.pages.urls.panels")),
        path("", include("portal.pages.urls.money")),
        path("", include("portal.pages.urls.samples")),
        path("", include("portal.pages.urls.engagements")),
        path("", include("portal.pages.urls.beam_schedules")),
        path("", include("portal.pages.urls.visits")),
        path("", include("portal.pages.urls.proposals")),
        path("", include("portal.pages.urls.instruments")),
        path("", include("portal.pages.urls.jobs")),
        path("", include("portal.pages.urls.offers")),
        path("", include("portal.pages.urls.facilities")),
        prefix_default_language=False,
    ),
]
