"""Addresses of clusters and jobs."""

from __future__ import annotations

from django.urls import path

from portal.pages import (
    allocations,
    clusters,
    job_checks,
    job_receipts,
    job_requests,
    job_templates,
    job_use,
    jobfiles,
    jobs,
    jobstream,
    limits,
)

urlpatterns = [
    path("allocations/", allocations.allocations, name="allocations"),
    path("allocations/new/", allocations.allocation_new, name="allocation_new"),
    path("allocations/<str:number>/", allocations.allocation, name="allocation"),
    path("limits/", limits.limits, name="limits"),
    path("limits/<slug:code>/", limits.cluster_limits, name="cluster_limits"),
    path("clusters/", clusters.clusters, name="clusters"),
    path("clusters/<slug:code>/", clusters.cluster, name="cluster"),
    path("compute/use/", job_use.use, name="job_use"),
    path("compute/unmanaged/", job_use.unmanaged, name="unmanaged_runs"),
    path("compute/audits/", job_checks.audits, name="job_audits"),
    path("compute/audits/<int:pk>/", job_checks.audit, name="job_audit"),
    path("compute/quarantine/", job_checks.quarantine, name="quarantine"),
    path("compute/quarantine/<int:pk>/", job_checks.quarantined, name="quarantined_run"),
    path("jobs/", jobs.jobs, name="jobs"),
    path("jobs/<str:number>/receipts/", job_receipts.receipts, name="job_receipts"),
    path("jobs/<str:number>/receipts/<int:no>.json", job_receipts.as_json, name="job_receipt_json"),
    path("jobs/<str:number>/receipts/<int:no>.pdf", job_receipts.as_pdf, name="job_receipt_pdf"),
    path("jobs/new/", job_requests.job_new, name="job_new"),
    path("jobs/templates/", job_templates.job_templates, name="job_templates"),
    path("jobs/templates/<slug:code>/", job_templates.job_template, name="job_template"),
    path("jobs/templates/<slug:code>/<int:number>/", job_templates.job_template_version, name="job_template_version"),
    path("jobs/quote/", job_requests.job_quote, name="job_quote"),
    path("jobs/files/", jobfiles.job_uploads, name="job_uploads"),
    path("jobs/<str:number>/", jobs.job, name="job"),
    path("jobs/<str:number>/files/", jobfiles.job_files, name="job_files"),
    path("jobs/<str:number>/files/get/", jobfiles.job_file, name="job_file"),
    path("jobs/<str:number>/cancel/", jobs.job_cancel, name="job_cancel"),
    path("jobs/<str:number>/status/", jobs.job_status, name="job_status"),
    path("jobs/<str:number>/script/", jobs.job_script, name="job_script"),
    path("jobs/<str:number>/stream/", jobstream.job_stream, name="job_stream"),
    path("jobs/<str:number>/log/", jobstream.job_log, name="job_log"),
    path("jobs/<str:number>/log/raw/", jobstream.job_log_raw, name="job_log_raw"),
]
