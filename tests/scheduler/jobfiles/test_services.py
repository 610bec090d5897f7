"""Files and secrets on their way from people to a job's directory."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from portal.audit.models import Record
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobfiles import access, keeping, rules, services, staging
from scheduler.jobfiles.models import JobFile, JobSecret, JobUpload
from tests import make
from tests.make import NOW
from tests.scheduler.jobs.test_services import submit

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock", "store")]


@pytest.fixture
def store(settings, tmp_path):
    options = {**settings.STORAGES["jobfiles"]["OPTIONS"], "location": tmp_path / "jobfiles"}
    settings.STORAGES = {**settings.STORAGES, "jobfiles": {**settings.STORAGES["jobfiles"], "OPTIONS": options}}
    return tmp_path / "jobfiles"


def begun(actor, size, *, name="a.bin", sha256="", key=None, now=NOW):
    return services.begin(actor=actor, name=name, size=size, sha256=sha256, key=key or make.key(), now=now)


def sent(actor, content: bytes, **more) -> JobUpload:
    row = begun(actor, len(content), **more)
    for at in range(0, len(content), rules.CHUNK_BYTES):
        piece = content[at : at + rules.CHUNK_BYTES]
        row = services.receive(actor=actor, upload=row, offset=at, data=piece, now=more.get("now", NOW))
    return row


def blobs(store: Path) -> list[str]:
    return sorted(path.name for path in store.rglob("*") if path.is_file())


class Fake:
    """A cluster that keeps what is put on it and fails when told."""

    def __init__(self, fails_after: int = 10**9) -> None:
        self.files: dict[str, bytes] = {}
        self.calls, self.fails_after = 0, fails_after

    def put_file(self, *, marker: str, user: str, path: str, offset: int, data: bytes) -> int:
        self.calls += 1
        if self.calls > self.fails_after:
            raise Unavailable
        have = self.files.get(path, b"")
        assert offset <= len(have)
        self.files[path] = have[:offset] + data + have[offset + len(data) :]
        return len(self.files[path])


class TestUploads:
    def test_pieces_become_a_file_named_by_its_content_and_private(self, w, store):
        content = os.urandom(rules.CHUNK_BYTES + 5)
        row = begun(w.researcher, len(content), sha256=hashlib.sha256(content).hexdigest())
        row = services.receive(actor=w.researcher, upload=row, offset=0, data=content[: rules.CHUNK_BYTES], now=NOW)
        assert (row.state, row.received) == ("receiving", rules.CHUNK_BYTES)
        row = services.receive(
            actor=w.researcher, upload=row, offset=row.received, data=content[rules.CHUNK_BYTES :], now=NOW
        )
        assert (row.state, row.sha256) == ("complete", hashlib.sha256(content).hexdigest())
        assert blobs(store) == [row.sha256]
        (path,) = (path for path in store.rglob("*") if path.is_file())
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_bytes() == content
        assert Record.objects.filter(action="jobfile.uploaded").count() == 1

    def test_after_a_broken_line_it_goes_on_where_it_stopped(self, w):
        row = begun(w.researcher, 6, key="upload-key-1")
        services.receive(actor=w.researcher, upload=row, offset=0, data=b"abc", now=NOW)
        again = begun(w.researcher, 6, key="upload-key-1")
        assert (again.pk, again.received) == (row.pk, 3)
        with pytest.raises(rules.WrongOffset) as problem:
            services.receive(actor=w.researcher, upload=row, offset=0, data=b"abc", now=NOW)
        assert problem.value.params["offset"] == 3
        done = services.receive(actor=w.researcher, upload=row, offset=3, data=b"def", now=NOW)
        assert done.sha256 == hashlib.sha256(b"abcdef").hexdigest()

    def test_what_is_not_as_announced_begins_again(self, w, store):
        right = hashlib.sha256(b"right").hexdigest()
        row = begun(w.researcher, 5, sha256=right)
        with pytest.raises(rules.ChecksumDiffers):
            services.receive(actor=w.researcher, upload=row, offset=0, data=b"wrong", now=NOW)
        row.refresh_from_db()
        assert (row.state, row.received, blobs(store)) == ("receiving", 0, [])
        assert services.receive(actor=w.researcher, upload=row, offset=0, data=b"right", now=NOW).sha256 == right

    @pytest.mark.parametrize("data", [b"", b"x" * 11, b"x" * (rules.CHUNK_BYTES + 1)])
    def test_a_piece_of_no_or_too_much_size_is_refused(self, w, data):
        row = begun(w.researcher, 10)
        with pytest.raises(rules.BadChunk):
            services.receive(actor=w.researcher, upload=row, offset=0, data=data, now=NOW)

    def test_caps_on_size_number_and_sum(self, w, monkeypatch):
        with pytest.raises(rules.TooLarge):
            begun(w.researcher, rules.MAX_BYTES + 1)
        monkeypatch.setattr(rules, "MAX_TOTAL_BYTES", 100)
        begun(w.researcher, 60)
        with pytest.raises(rules.NoRoom):
            begun(w.researcher, 41)
        monkeypatch.setattr(rules, "MAX_UPLOADS", 1)
        with pytest.raises(rules.NoRoom):
            begun(w.researcher, 1)

    def test_an_empty_file_is_complete_at_once(self, w):
        assert begun(w.researcher, 0).state == "complete"

    def test_a_name_is_never_a_path(self, w):
        assert begun(w.researcher, 1, name="../../etc/passwd").name == "passwd"

    def test_the_same_bytes_lie_once_and_go_with_the_last_who_has_them(self, w, store):
        first, second = sent(w.researcher, b"same"), sent(w.owner, b"same")
        assert len(blobs(store)) == 1
        services.discard(actor=w.researcher, upload=first, now=NOW)
        assert len(blobs(store)) == 1
        services.discard(actor=w.researcher, upload=second, now=NOW)
        services.discard(actor=w.researcher, upload=second, now=NOW)
        assert blobs(store) == []

    def test_only_the_own_organisation_sees_them(self, w):
        row = sent(w.researcher, b"ours")
        assert access.get_upload(w.owner, row.number) == row
        stranger = make.applicant()
        assert not access.uploads_visible_to(stranger).exists()
        found = services.check(actor=stranger, wanted=[rules.Attachment(row.number, "a")], takes_files=True)
        assert [reason.code for reason in found] == ["jobfile.not_ready"]

    def test_what_nobody_touches_is_forgotten(self, w, store):
        sent(w.researcher, b"old")
        begun(w.researcher, 5)
        assert services.sweep(now=NOW + timedelta(days=6)) == 0
        assert services.sweep(now=NOW + timedelta(days=8)) == 2
        assert blobs(store) == []


@pytest.mark.django_db(transaction=True)
def test_one_firms_large_upload_keeps_no_other_waiting(w, monkeypatch):
    """While the last piece of one is digested, another firm's upload is begun and completed."""
    other, digest = make.applicant(), keeping.digest

    def slow(number: str) -> str:
        if number == large.number:
            with ThreadPoolExecutor(1) as pool:
                done.append(pool.submit(elsewhere).result(timeout=10))
        return digest(number)

    def elsewhere() -> str:
        try:
            return sent(other, b"small").state
        finally:
            connection.close()

    done: list[str] = []
    large = begun(w.researcher, 5)
    monkeypatch.setattr(keeping, "digest", slow)
    services.receive(actor=w.researcher, upload=large, offset=0, data=b"large", now=NOW)
    assert done == ["complete"]


class TestSecrets:
    def test_a_value_is_encrypted_and_nowhere_else(self, w):
        secret = services.keep_secret(actor=w.researcher, name="hf_token", value="hush-hush", now=NOW)
        secret.refresh_from_db()
        assert b"hush" not in bytes(secret.sealed)
        assert keeping.unseal(secret.sealed) == b"hush-hush"
        assert not any("hush" in str(record.data) for record in Record.objects.all())

    def test_an_older_key_still_opens_and_a_foreign_one_does_not(self, w, settings):
        secret = services.keep_secret(actor=w.researcher, name="t", value="hush", now=NOW)
        old = settings.JOB_SECRET_KEYS
        settings.JOB_SECRET_KEYS = [keeping.Fernet.generate_key(), *old]
        assert keeping.unseal(secret.sealed) == b"hush"
        settings.JOB_SECRET_KEYS = [keeping.Fernet.generate_key()]
        with pytest.raises(rules.FileGone):
            keeping.unseal(secret.sealed)

    def test_a_colleague_can_neither_see_nor_take_it(self, w):
        secret = services.keep_secret(actor=w.researcher, name="t", value="hush", now=NOW)
        colleague = make.actor(w.enterprise, make.roles.Role.RESEARCHER, make.roles.Role.OWNER)
        assert list(access.secrets_visible_to(colleague)) == []
        wanted = [rules.Attachment(secret.number)]
        refused = services.check(actor=colleague, wanted=wanted, takes_files=True)
        assert "jobfile.not_ready" in {reason.code for reason in refused}
        assert services.check(actor=w.researcher, wanted=wanted, takes_files=True) == []

    @pytest.mark.parametrize(("name", "value"), [("t", ""), ("t", "x" * 70_000), ("script", "x")])
    def test_a_bad_one_is_refused(self, w, name, value):
        with pytest.raises(services.BadSecret):
            services.keep_secret(actor=w.researcher, name=name, value=value, now=NOW)

    def test_one_nobody_uses_is_erased_after_a_day(self, w):
        services.keep_secret(actor=w.researcher, name="t", value="hush", now=NOW)
        assert services.sweep(now=NOW + timedelta(hours=20)) == 0
        assert services.sweep(now=NOW + timedelta(hours=30)) == 1
        assert bytes(JobSecret.objects.get().sealed) == b""


def attached(w, *wanted: rules.Attachment):
    job = submit(w, make.partition(w))
    services.attach(actor=w.researcher, job_id=job.pk, number=job.number, wanted=wanted, now=NOW)
    return job


def stage(job, cluster):
    staging.stage(job_id=job.pk, marker=job.marker, user="u", cluster=cluster, now=timezone.now())


class TestJobs:
    def test_files_and_secrets_reach_the_directory_once(self, w):
        content = os.urandom(2 * staging.PIECE + 7)
        upload = sent(w.researcher, content)
        empty = begun(w.researcher, 0, name="empty")
        secret = services.keep_secret(actor=w.researcher, name="key", value="hush", now=NOW)
        job = attached(
            w,
            rules.Attachment(upload.number, "in/a"),
            rules.Attachment(upload.number, "in/b"),
            rules.Attachment(empty.number),
            rules.Attachment(secret.number, "secrets/key"),
        )
        cluster = Fake()
        stage(job, cluster)
        assert cluster.files == {"in/a": content, "in/b": content, "empty": b"", "secrets/key": b"hush"}
        calls = cluster.calls
        stage(job, cluster)
        assert cluster.calls == calls
        assert not JobFile.objects.filter(staged_at__isnull=True).exists()

    def test_a_broken_staging_goes_on_where_it_stopped(self, w):
        content = os.urandom(3 * staging.PIECE)
        job = attached(w, rules.Attachment(sent(w.researcher, content).number))
        cluster = Fake(fails_after=2)
        with pytest.raises(Unavailable):
            stage(job, cluster)
        cluster.fails_after = 10**9
        stage(job, cluster)
        assert cluster.files == {"a.bin": content}
        assert cluster.calls == 4

    def test_bytes_that_are_gone_stop_the_job_instead_of_the_worker(self, w, store):
        job = attached(w, rules.Attachment(sent(w.researcher, b"abc").number))
        for path in store.rglob("*"):
            if path.is_file():
                path.unlink()
        with pytest.raises(Rejected) as refused:
            stage(job, Fake())
        assert JobFile.objects.get(job=job).path not in str(refused.value), "operators read this"

    def test_what_a_job_waits_for_cannot_be_deleted(self, w):
        upload = sent(w.researcher, b"abc")
        job = attached(w, rules.Attachment(upload.number))
        with pytest.raises(rules.UploadInUse):
            services.discard(actor=w.researcher, upload=upload, now=NOW)
        assert services.sweep(now=NOW + timedelta(days=30)) == 0
        stage(job, Fake())
        services.discard(actor=w.researcher, upload=upload, now=NOW)

    def test_a_secret_serves_one_job_and_goes_with_its_end(self, w):
        secret = services.keep_secret(actor=w.researcher, name="key", value="hush", now=NOW)
        job = attached(w, rules.Attachment(secret.number))
        wanted = [rules.Attachment(secret.number, "again")]
        found = services.check(actor=w.researcher, wanted=wanted, takes_files=True)
        assert [reason.code for reason in found] == ["jobfile.not_ready"]
        stage(job, Fake())
        assert services.sweep(now=NOW + timedelta(days=2)) == 0
        type(job).objects.filter(pk=job.pk).update(settled_at=NOW)
        assert services.sweep(now=NOW) == 1
        assert bytes(JobSecret.objects.get().sealed) == b""

    def test_files_are_checked_in_two_queries(self, w, django_assert_num_queries):
        uploads = [sent(w.researcher, str(n).encode(), name=f"{n}") for n in range(5)]
        wanted = [rules.Attachment(row.number) for row in uploads]
        with django_assert_num_queries(2):
            assert services.check(actor=w.researcher, wanted=wanted, takes_files=True) == []


def test_the_store_is_private_and_keys_are_set(settings):
    assert settings.STORAGES["jobfiles"]["OPTIONS"]["directory_permissions_mode"] == 0o700
    assert settings.JOB_SECRET_KEYS
