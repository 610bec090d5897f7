"""Files for jobs in the browser."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from scheduler.jobfiles import services
from scheduler.jobfiles.models import JobSecret, JobUpload
from scheduler.jobfiles.rules import Attachment
from scheduler.jobs.models import Job
from tests import make
from tests.scheduler.jobfiles.test_services import store  # noqa: F401 - a fixture
from tests.scheduler.jobs.test_services import submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock", "store")]


@pytest.fixture
def browser(w):
    client = Client()
    client.force_login(make.user_of(w.researcher))
    return client


def test_a_file_is_kept_listed_and_deleted(browser):
    here = reverse("job_uploads")
    assert browser.post(here, {"file": SimpleUploadedFile("数据.bin", b"abc")})["Location"] == here
    row = JobUpload.objects.get()
    page = browser.get(here).content.decode()
    assert "数据.bin" in page and row.number in page and "已传完" in page
    assert 'data-begin="/api/v1/job-files"' in page
    assert browser.post(here, {"remove": row.number})["Location"] == here
    assert "数据.bin" not in browser.get(here).content.decode()
    assert browser.post(here, {"remove": row.number}).status_code == 404
    assert browser.post(here, {}).status_code == 422


def test_a_secret_never_comes_back_to_the_page(browser):
    here = reverse("job_uploads")
    refused = browser.post(here, {"name": "", "value": "hush-hush"})
    assert refused.status_code == 422
    assert "hush" not in refused.content.decode()
    browser.post(here, {"name": "key", "value": "hush-hush"})
    page = browser.get(here).content.decode()
    assert JobSecret.objects.get().number in page
    assert "hush" not in page


def test_a_jobs_files_are_shown_before_it_reaches_the_cluster(w, browser):
    browser.post(reverse("job_uploads"), {"file": SimpleUploadedFile("a.bin", b"abc")})
    job = submit(w, make.partition(w))
    wanted = [Attachment(JobUpload.objects.get().number, "in/a.bin")]
    services.attach(actor=w.researcher, job_id=job.pk, number=job.number, wanted=wanted, now=make.NOW)
    page = browser.get(reverse("job_files", args=[job.number])).content.decode()
    assert "in/a.bin" in page
    assert "作业还没有送达集群" in page
    english = browser.get(f"/en{reverse('job_files', args=[job.number])}").content.decode()
    assert "Files of job" in english
    assert browser.get(reverse("job_file", args=[job.number]), {"path": "x"}).status_code == 409


def test_whole_files_and_secrets_are_offered_where_a_job_is_submitted(w, browser):
    at = make.partition(w)
    page = browser.get(reverse("job_new")).content.decode()
    assert "上传作业文件或密钥" in page
    assert 'name="attached"' not in page
    browser.post(reverse("job_uploads"), {"file": SimpleUploadedFile("a.bin", b"abc")})
    browser.post(reverse("job_uploads"), {"name": "key", "value": "hush-hush"})
    services.begin(actor=w.researcher, name="half", size=9, sha256="", key=make.key(), now=make.NOW)
    page = browser.get(reverse("job_new")).content.decode()
    assert page.count('name="attached"') == 2
    assert "key（密钥）" in page
    assert "hush" not in page
    number = JobUpload.objects.get(state="complete").number
    made = browser.post(
        reverse("job_new"),
        {
            "partition": f"{at.cluster.code}/{at.name}",
            "title": "训练",
            "cards": "2",
            "memory_mb": "4000",
            "time_limit_min": "60",
            "script": "#!/bin/sh\n",
            "idempotency_key": "form-00000001",
            "seen": "1800/0",
            "act": "submit",
            "attached": [number, JobSecret.objects.get().number],
        },
    )
    assert made.status_code == 302, made.content.decode()
    assert sorted(Job.objects.get().files.values_list("path", flat=True)) == ["a.bin", "key"]


def test_again_carries_files_where_they_were_and_says_which_are_gone(w, browser):
    at = make.partition(w)
    for name in ("a.bin", "b.bin"):
        browser.post(reverse("job_uploads"), {"file": SimpleUploadedFile(name, b"abc" + name.encode())})
    for name in ("key", "pass"):
        browser.post(reverse("job_uploads"), {"name": name, "value": "hush-hush"})
    job = submit(w, at)
    kept, gone = JobUpload.objects.order_by("pk")
    wanted = [Attachment(kept.number, "in/a.bin"), Attachment(gone.number, "b.bin")]
    wanted += [Attachment(secret.number) for secret in JobSecret.objects.order_by("pk")]
    services.attach(actor=w.researcher, job_id=job.pk, number=job.number, wanted=wanted, now=make.NOW)
    Job.objects.filter(pk=job.pk).update(state="succeeded", settled_at=make.NOW)
    services.discard(actor=w.researcher, upload=gone, now=make.NOW)
    browser.post(reverse("job_uploads"), {"name": "key", "value": "another"})
    fresh = JobSecret.objects.get(use__isnull=True)

    page = browser.get(reverse("job_new"), {"again": job.number})
    assert page.context["form"]["attached"].value() == [f"{kept.number}=in/a.bin", f"{fresh.number}=key"]
    assert "a.bin → in/a.bin" in page.text
    assert "上次作业的这些文件已不在平台，需要时请重新上传：b.bin。" in page.text
    assert "密钥只用于一个作业，请重新保存后附上：pass。" in page.text

    sent = browser.post(
        reverse("job_new"),
        {
            "partition": f"{at.cluster.code}/{at.name}",
            "title": "再来",
            "cards": "2",
            "memory_mb": "4000",
            "time_limit_min": "60",
            "script": "#!/bin/sh\n",
            "idempotency_key": "form-00000002",
            "seen": "1800/0",
            "act": "submit",
            "attached": [f"{kept.number}=in/a.bin", f"{fresh.number}=key"],
        },
    )
    assert sent.status_code == 302, sent.text
    assert list(Job.objects.get(title="再来").files.values_list("path", flat=True)) == ["in/a.bin", "key"]
    foreign = browser.post(reverse("job_new"), {"attached": ["F2611-999999=x"], "act": "submit"})
    assert "文件已删除或已用过，请重新选择。" in foreign.text
