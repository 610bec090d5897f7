"""Addresses of samples sent to labs."""

from __future__ import annotations

from django.urls import path

from portal.pages import ratings, sample_acts, sample_desk, samples

urlpatterns = [
    path("instruments/<str:number>/samples/", samples.sample_new, name="sample_new"),
    path("samples/", samples.samples, name="samples"),
    path("samples/<str:number>/", samples.sample_order, name="sample_order"),
    path("samples/<str:number>/acts/<str:act>/", sample_acts.sample_act, name="sample_act"),
    path("samples/<str:number>/reports/<int:file_id>/", samples.sample_report, name="sample_report"),
    path("samples/<str:number>/specimens/<int:position>/", sample_acts.sample_handle, name="sample_handle"),
    path("bookings/<str:number>/rate/", ratings.booking_rate, name="booking_rate"),
    path("ratings/<int:rating_id>/answer/", ratings.rating_answer, name="rating_answer"),
    path("lab/samples/", sample_desk.sample_queue, name="sample_queue"),
]
