"""Drafts of the editor, on PostgreSQL: who may, what is kept, and that nobody overwrites another."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, NotFound
from portal.kernel.money import Money
from tests import make
from vouchers.programmes import access, documents, drafts, previews, services
from vouchers.programmes.longhand import opened
from vouchers.programmes.models import ProgrammeDraft, ProgrammeVersion


@pytest.fixture
def draft(w):
    return drafts.start(actor=w.officer, origin=make.programme(w), now=make.NOW)


def save(w, draft, revision, **changes):
    document = {**draft.document, **changes}
    return drafts.save(actor=w.officer, draft=draft, revision=revision, document=document, now=make.NOW)


def test_a_save_is_counted_and_an_equal_one_is_not(w, draft):
    assert save(w, draft, 1, floor=1).revision == 2
    assert save(w, draft, 2, floor=1).revision == 2


def test_whatever_is_typed_is_kept(w, draft):
    kept = save(w, draft, 1, name={"zh": "名" * 300}, caps=[{"amount": "很多"}], code=7)
    assert kept.document["caps"] == [{"amount": "很多"}]
    assert (len(kept.name), kept.code) == (160, "7")
    assert previews.describe(kept.document, "zh")


def test_a_draft_larger_than_a_file_may_be_is_refused(w, draft):
    with pytest.raises(drafts.DraftTooLarge):
        save(w, draft, 1, source="长" * 100_000)


def test_finishing_follows_the_rules_of_a_file(w, draft):
    kept = {"actor": w.officer, "budget": Money(100), "fiscal_year": 2026, "now": make.NOW}
    bad = save(w, draft, 1, lines=[])
    with pytest.raises(documents.BadProgramme):
        drafts.finish(draft=bad, revision=2, **kept)
    with pytest.raises(drafts.DraftChanged):
        drafts.finish(draft=bad, revision=1, **kept)
    same = save(w, bad, 2, **opened(ProgrammeVersion.objects.get().document))
    changed = save(w, same, 3, floor=1)
    version = drafts.finish(draft=changed, revision=4, **kept)
    assert (version.number, version.state, version.budget_fen) == (2, "draft", 100)
    assert not ProgrammeDraft.objects.exists()
    with pytest.raises(NotFound):
        drafts.finish(draft=changed, revision=4, **kept)


def test_only_those_who_write_programmes_of_the_department(w, draft):
    stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), make.roles.Role.PROGRAMME_OFFICER)
    for actor, error in ((w.publisher, Forbidden), (w.owner, Forbidden), (stranger, NotFound)):
        with pytest.raises(error):
            drafts.save(actor=actor, draft=draft, revision=1, document={}, now=make.NOW)
        with pytest.raises(error):
            drafts.discard(actor=actor, draft=draft, revision=1, now=make.NOW)
        assert list(access.drafts_of(actor)) == []
    assert list(access.drafts_of(w.officer)) == [draft]


def test_starting_and_discarding_are_recorded(w, draft):
    drafts.discard(actor=w.officer, draft=draft, revision=1, now=make.NOW)
    found = Record.objects.filter(subject=f"draft:{draft.pk}").order_by("pk").values_list("action", flat=True)
    assert list(found) == ["programme.draft_started", "programme.draft_discarded"]


@pytest.mark.django_db(transaction=True)
def test_of_two_editors_at_the_same_moment_one_is_told(w):
    draft = drafts.start(actor=w.officer, origin=make.programme(w), now=make.NOW)
    gate, told = threading.Barrier(2), []

    def edit(floor):
        try:
            gate.wait(timeout=10)
            save(w, draft, 1, floor=floor)
            told.append("kept")
        except drafts.DraftChanged:
            told.append("told")
        finally:
            connection.close()

    threads = [threading.Thread(target=edit, args=(floor,)) for floor in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(told) == ["kept", "told"]
    assert ProgrammeDraft.objects.get().revision == 2


def test_a_programme_made_in_the_editor_is_published_like_any_other(w, draft):
    changed = save(w, draft, 1, floor=1)
    version = drafts.finish(actor=w.officer, draft=changed, revision=2, budget=Money(0), fiscal_year=2026, now=make.NOW)
    with pytest.raises(Forbidden):
        services.publish(actor=w.officer, version=version, now=make.NOW)
