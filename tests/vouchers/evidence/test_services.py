import threading

import pytest
from django.core.files.storage import storages
from django.db import connection
from django.test import RequestFactory

from portal.audit.models import Record
from portal.kernel.errors import NotFound
from portal.pages import files
from tests import make
from tests.vouchers.evidence.test_rules import PDF, PNG, XLSX
from vouchers.evidence import access, rules, services
from vouchers.evidence.services import Upload

SUBJECT = "application:A2026-000001"


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "evidence": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "evidence"},
        },
    }
    return tmp_path / "evidence"


def store(w, content=PDF, name="合同.pdf", purpose="合同", subject=SUBJECT):
    return services.store(actor=w.owner, subject=subject, purpose=purpose, upload=Upload(name, content), now=make.NOW)


def test_a_file_comes_back_as_it_was(w):
    kept = store(w)

    assert services.read(file=kept) == PDF
    assert (kept.media_type, kept.size, kept.organisation_id) == ("application/pdf", len(PDF), w.enterprise.pk)
    assert Record.objects.filter(action="evidence.stored", subject=SUBJECT).count() == 1


def test_the_same_file_twice_is_one(w):
    assert store(w).pk == store(w, name="再传.pdf").pk
    assert store(w, purpose="发票").pk != store(w).pk


def test_a_file_of_another_case_is_not_found(w):
    kept = store(w)

    with pytest.raises(NotFound):
        access.get_file("application:A2026-000002", kept.pk)


def test_a_case_holds_so_many_files_and_no_more(w, monkeypatch):
    monkeypatch.setattr(rules, "MAX_FILES", 1)
    store(w)

    with pytest.raises(rules.TooManyFiles):
        store(w, PNG, "a.png")


def test_a_withdrawn_file_leaves_the_case_but_not_the_record(w):
    kept = store(w)
    services.withdraw(actor=w.owner, file=kept, now=make.NOW)

    assert list(access.files_of(SUBJECT)) == []
    assert services.read(file=access.get_file(SUBJECT, kept.pk)) == PDF
    assert store(w).pk != kept.pk


def test_bytes_that_changed_on_disk_are_not_handed_out(w, folder):
    kept = store(w)
    (folder / kept.sha256[:2] / kept.sha256).write_bytes(b"something else")

    with pytest.raises(services.Damaged):
        services.read(file=kept)


def test_bytes_that_vanished_are_not_handed_out(w):
    kept = store(w)
    storages["evidence"].delete(f"{kept.sha256[:2]}/{kept.sha256}")

    with pytest.raises(services.Damaged):
        services.read(file=kept)


@pytest.mark.parametrize(
    ("content", "name", "query", "shown"),
    [
        (PDF, "a.pdf", "", "attachment"),
        (PDF, "a.pdf", "?inline=1", "inline"),
        (XLSX, "a.xlsx", "?inline=1", "attachment"),
        (b"a,b\n", "a.csv", "?inline=1", "attachment"),
    ],
)
def test_only_pictures_and_pdf_are_shown_beside_a_case(w, content, name, query, shown):
    answer = files.handed_out(RequestFactory().get(f"/f{query}"), store(w, content, name))

    assert answer["Content-Disposition"].startswith(shown)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "html" not in answer["Content-Type"]
    assert answer["Cache-Control"] == "private, no-store"


@pytest.mark.django_db(transaction=True)
def test_two_uploads_of_one_file_at_once_keep_one():
    w = make.world()
    kept, gate = [], threading.Barrier(4)

    def upload():
        gate.wait()
        kept.append(store(w).pk)
        connection.close()

    threads = [threading.Thread(target=upload) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(set(kept)) == 1
    assert len(kept) == 4
