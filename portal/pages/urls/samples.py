"""Addresses of samples, ratings and benches."""

from __future__ import annotations

from django.urls import path

from portal.pages import bench, ratings, sample_acts, sample_desk, samples

urlpatterns = [
    path("instruments/<str:number>/samples/", samples.sample_new, name="sample_new"),
    path("samples/", samples.samples, name="samples"),
    path("samples/<str:number>/", samples.sample_order, name="sample_order"),
    path("samples/<str:number>/acts/<str:act>/", sample_acts.sample_act, name="sample_act"),
    path("samples/<str:number>/reports/<int:file_id>/", samples.sample_report, name="sample_report"),
    path("samples/<str:number>/specimens/<int:position>/", sample_acts.sample_handle, name="sample_handle"),
    path("bookings/<str:number>/rate/", ratings.booking_rate, name="booking_rate"),
    path("ratings/<int:rating_id>/answer/", ratings.rating_answer, name="rating_answer"),
    path("bench/<str:code>/", bench.bench, name="bench"),
    path("lab/instruments/<str:number>/bench/", bench.bench_sign, name="bench_sign"),
    path("lab/instruments/<str:number>/bench/sign.pdf", bench.bench_sign_pdf, name="bench_sign_pdf"),
    path("lab/samples/", sample_desk.sample_queue, name="sample_queue"),
]
