"""Addresses of programmes, applications and their review."""

from __future__ import annotations

from django.urls import path

from portal.pages import (
    applications,
    applying,
    dryrun_pools,
    dryruns,
    eligibility,
    programme_differences,
    programme_editor,
    programme_versions,
    programmes,
    review_desk,
    reviews,
    tasklist,
)

urlpatterns = [
    path("eligibility/", eligibility.check, name="eligibility"),
    path("programmes/", programmes.catalogue, name="programmes"),
    path("programmes/import/", programme_versions.import_file, name="programme_import"),
    path("dry-runs/", dryruns.runs, name="dry_runs"),
    path("dry-runs/new/", dryruns.new, name="dry_run_new"),
    path("dry-runs/<int:run_id>/", dryruns.run, name="dry_run"),
    path("dry-runs/<int:run_id>/progress/", dryruns.progress, name="dry_run_progress"),
    path("dry-runs/<int:run_id>/cases/", dryruns.cases, name="dry_run_cases"),
    path("dry-runs/<int:run_id>/pool/", dryrun_pools.pool, name="dry_run_pool"),
    path("programmes/drafts/", programme_editor.start, name="programme_draft_start"),
    path("programmes/drafts/<int:draft_id>/", programme_editor.overview, name="programme_draft"),
    path("programmes/drafts/<int:draft_id>/finish/", programme_editor.finish, name="programme_draft_finish"),
    path("programmes/drafts/<int:draft_id>/discard/", programme_editor.discard, name="programme_draft_discard"),
    path("programmes/drafts/<int:draft_id>/differences/", programme_differences.draft, name="programme_draft_changes"),
    path("programmes/drafts/<int:draft_id>/<slug:name>/", programme_editor.part, name="programme_draft_part"),
    path("programmes/<path:code>/begin/", tasklist.begin, name="application_begin"),
    path("programmes/<path:code>/apply/", applying.apply, name="apply"),
    path("programmes/<path:code>/file/", programmes.download, name="programme_download"),
    path("programmes/<path:code>/state/", programme_versions.change_state, name="programme_state"),
    path(
        "programmes/<path:code>/versions/<int:number>/fair-review/",
        programme_versions.fair_review,
        name="programme_fair_review",
    ),
    path(
        "programmes/<path:code>/versions/<int:number>/differences/",
        programme_differences.versions,
        name="programme_differences",
    ),
    path("programmes/<path:code>/versions/<int:number>/publish/", programme_versions.publish, name="programme_publish"),
    path("programmes/<path:code>/versions/<int:number>/", programme_versions.version, name="programme_version"),
    path("programmes/<path:code>/", programmes.programme, name="programme"),
    path("applications/", applications.own, name="applications"),
    path("applications/<str:number>/", applications.detail, name="application"),
    path("applications/<str:number>/tasks/", tasklist.task_list, name="application_tasks"),
    path("applications/<str:number>/tasks/contract/", tasklist.contract, name="application_task_contract"),
    path("applications/<str:number>/files/<int:file_id>/", tasklist.application_file, name="application_file"),
    path("applications/<str:number>/appeal/", applications.appeal, name="application_appeal"),
    path("applications/<str:number>/complete/", applications.complete, name="application_complete"),
    path("applications/<str:number>/withdraw/", applications.withdraw, name="application_withdraw"),
    path("review/", reviews.queue, name="review_queue"),
    path("review/bulk/", reviews.bulk_decide, name="review_bulk"),
    path("review/<str:number>/", review_desk.case, name="case"),
    path("review/<str:number>/recuse/", review_desk.case_recuse, name="case_recuse"),
    path("review/<str:number>/files/<int:file_id>/", review_desk.case_file, name="case_file"),
]
