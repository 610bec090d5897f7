"""Take and hand out the files a call's forms ask for; the only writer of PDF answers. The bytes lie in the evidence store."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.kernel.actors import Actor
from portal.kernel.errors import NotFound
from scheduler.proposals import rules, steps
from scheduler.proposals.models import BeamProposal, CallForm, ProposalAnswer
from scheduler.proposals.ports import PagesOf
from vouchers.evidence import access as evidence
from vouchers.evidence import rules as kinds
from vouchers.evidence import services as store
from vouchers.evidence.models import EvidenceFile

__all__ = ["judged", "remove", "stored", "upload"]


def judged(*, content: bytes, form: CallForm) -> int:
    """Return how many pages a file has. Raises BadFile with all that is wrong: not a PDF, too many pages, too large (E2)."""
    pages_of = cast(PagesOf, import_string(settings.PDF_PAGES))
    pages = pages_of(content) if len(content) <= kinds.MAX_BYTES else None
    rules.check_file(
        pages=pages, size=len(content), limit=rules.FormLimit(form.pages, form.size), field=f"forms.{form.code}"
    )
    return pages or 0


def upload(*, actor: Actor, proposal: BeamProposal, code: str, file: store.Upload, now: datetime) -> ProposalAnswer:
    """Keep a PDF for a form of the call, in place of the one before. The same bytes twice change nothing.

    Raises BadFile with all that is wrong, Closed, Forbidden, NotFound for a form the call does not have. The file is
    read before anything is locked.
    """
    form = _form(proposal, code)
    pages = judged(content=file.content, form=form)
    return _keep(actor=actor, proposal=proposal, form=form, file=file, pages=pages, now=now)


def _form(proposal: BeamProposal, code: str) -> CallForm:
    form = CallForm.objects.filter(call_id=proposal.call_id, code=code, kind=rules.FormKind.PDF.value).first()
    if form is None:
        raise NotFound
    return form


@transaction.atomic
def _keep(
    *, actor: Actor, proposal: BeamProposal, form: CallForm, file: store.Upload, pages: int, now: datetime
) -> ProposalAnswer:
    locked = steps.edited(actor=actor, proposal=proposal)
    former = ProposalAnswer.objects.filter(proposal=locked, form=form).first()
    kept = store.store(actor=actor, subject=locked.subject, purpose=form.code, upload=file, now=now, kinds=(kinds.PDF,))
    if former is not None and former.file == str(kept.pk):
        return former
    if former is not None and former.file:
        _withdraw(former, actor=actor, now=now)
    answer, _made = ProposalAnswer.objects.update_or_create(
        proposal=locked,
        form=form,
        defaults={
            "file": str(kept.pk),
            "name": kept.name,
            "pages": pages,
            "size": kept.size,
            "sha256": kept.sha256,
            "by_id": actor.user_id,
            "at": now,
        },
    )
    steps.record(locked, action="beam_proposal.file_kept", actor=actor, now=now, form=form.code, pages=pages)
    return answer


def _withdraw(answer: ProposalAnswer, *, actor: Actor, now: datetime) -> None:
    old = evidence.get_file(answer.proposal.subject, int(answer.file))
    store.withdraw(actor=actor, file=old, now=now)


@transaction.atomic
def remove(*, actor: Actor, proposal: BeamProposal, code: str, now: datetime) -> None:
    """Take a file back. One that is not there is removed. Raises Closed, Forbidden, NotFound."""
    locked = steps.edited(actor=actor, proposal=proposal)
    answer = ProposalAnswer.objects.filter(proposal=locked, form=_form(locked, code)).first()
    if answer is None:
        return
    _withdraw(answer, actor=actor, now=now)
    answer.delete()
    steps.record(locked, action="beam_proposal.file_removed", actor=actor, now=now, form=code)


def stored(proposal: BeamProposal, code: str) -> EvidenceFile:
    """Return a form's file of a proposal the asker may see. Raises NotFound."""
    answer = proposal.answers.filter(form__code=code).exclude(file="").first()
    if answer is None:
        raise NotFound
    return evidence.get_file(proposal.subject, int(answer.file))
