"""Write a proposal: kept by itself while one types, sent with every reason at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained, explain_reason
from portal.kernel.actors import Actor, Permission
from portal.pages import acts, shell, slots
from portal.pages.beam.proposal_forms import ProposalForm, days_text, rows_of
from scheduler.facilities.models import Device
from scheduler.proposals import access, drafting, files, queries, services, steps
from scheduler.proposals.models import BeamProposal
from vouchers.evidence import rules as evidence
from vouchers.evidence import services as store

__all__ = ["proposal_edit"]

ACTS = ("save", "autosave", "send", "more_samples", "more_requests")


@shell.needs(Permission.PROPOSAL_SUBMIT)
def proposal_edit(request: HttpRequest, number: str) -> HttpResponse:
    """Show the form of a draft, keep it, send it."""
    actor, now = shell.actor_of(request), timezone.now()
    found = access.get_own(actor, number)
    if found.state not in steps.EDITABLE:
        if request.POST.get("act") == "autosave":
            return JsonResponse({"text": gettext("申请已提交，没有保存。")}, status=409)
        return redirect(reverse("proposal", args=[number]))
    if request.method != "POST":
        return _page(request, found, _form(found, request.GET, initial=True, now=now))
    act = shell.act_of(request, *ACTS)
    form = _form(found, request.POST, files=request.FILES, now=now)
    form.is_valid()
    saved, error = _save(request, found, form, actor=actor, now=now)
    if act == "autosave":
        return _told(saved, form, error)
    if error is None and not form.errors:
        error = _upload(request, saved, form, actor=actor, now=now)
    if error is not None or (form.errors and act not in {"more_samples", "more_requests"}):
        return _page(request, saved, form, error=error)
    if act.startswith("more_"):
        return _page(request, saved, form)
    if act == "save":
        messages.success(request, gettext("已保存。"))
        return redirect(reverse("proposal_edit", args=[number]))
    return _send(request, saved, form, actor=actor, now=now)


def _form(found: BeamProposal, data: Any, *, now: datetime, files: Any = None, initial: bool = False) -> ProposalForm:
    kept_samples, kept_requests = found.samples.count(), found.requests.count()
    cycles = [found.call.cycle] if found.call else list(queries.coming_cycles(found.facility, now=now))
    about: dict[str, Any] = {
        "proposal": found,
        "samples": rows_of(data, "samples", kept=kept_samples, most=drafting.MOST_SAMPLES),
        "requests": rows_of(data, "requests", kept=kept_requests, most=drafting.MOST_REQUESTS),
        "lines": list(queries.beamlines(found.facility)),
        "cycles": cycles,
        "devices": list(Device.objects.filter(facility=found.facility).select_related("resource")),
    }
    if initial:
        return ProposalForm(**about, initial=_initial(found))
    return ProposalForm(data, files, **about)


def _initial(found: BeamProposal) -> dict[str, Any]:
    said: dict[str, Any] = {name: getattr(found, name) for name in ("title", "summary", "urgency", "no_samples")}
    for at, sample in enumerate(found.samples.all()):
        for name in ("name", "amount", "substance", "form", "hazards", "handling", "afterwards"):
            said[f"s{at}_{name}"] = getattr(sample, name)
    asked = found.requests.select_related("beamline", "cycle").prefetch_related("devices")
    for at, one in enumerate(asked):
        said |= {
            f"r{at}_beamline": one.beamline.code,
            f"r{at}_cycle": one.cycle.code,
            f"r{at}_shifts": one.shifts or None,
            f"r{at}_reason": one.off_multiple_reason,
            f"r{at}_good": days_text(one.good),
            f"r{at}_bad": days_text(one.bad),
            f"r{at}_devices": [device.code for device in one.devices.all()],
            f"r{at}_setup": one.setup,
            f"r{at}_by_mail": one.by_mail,
        }
    for answer in found.answers.select_related("form"):
        said[f"text_{answer.form.code}"] = answer.text
    return said


def _save(
    request: HttpRequest, found: BeamProposal, form: ProposalForm, *, actor: Actor, now: datetime
) -> tuple[BeamProposal, Explained | None]:
    said = request.POST.get("version", "")
    version = int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0
    content = form.content()
    saved, error = acts.attempt_on(
        "beam_proposal",
        lambda: drafting.save(actor=actor, proposal=found, content=content, version=version, now=now),
    )
    if error is not None:
        return access.get_own(actor, found.number), error
    return saved, None


def _told(saved: BeamProposal, form: ProposalForm, error: Explained | None) -> JsonResponse:
    """Answer the page's own saving: the new version, and what could not be kept."""
    if error is not None:
        return JsonResponse({"text": error.text}, status=409)
    at = timezone.localtime(timezone.now())
    text = gettext("已自动保存 %(at)s") % {"at": f"{at:%H:%M:%S}"}
    if form.errors:
        labels = gettext("、").join(str(form[name].label) for name in form.errors)
        text = gettext("%(saved)s；有误未保存：%(fields)s") % {"saved": text, "fields": labels}
    return JsonResponse({"version": saved.version, "text": text})


def _upload(
    request: HttpRequest, saved: BeamProposal, form: ProposalForm, *, actor: Actor, now: datetime
) -> Explained | None:
    """Keep the files that came; return what was wrong with one, said at its field."""
    problem = None
    for asked in form.call_forms:
        sent = request.FILES.get(f"file_{asked.code}")
        if sent is None:
            continue
        upload = store.Upload(sent.name or "file", sent.read(evidence.MAX_BYTES + 1))

        def keep(code: str = asked.code, file: store.Upload = upload) -> Any:
            return files.upload(actor=actor, proposal=saved, code=code, file=file, now=now)

        _kept, error = acts.attempt_on("beam_proposal", keep)
        if error is not None:
            names = {f"forms.{asked.code}": f"file_{asked.code}", "file": f"file_{asked.code}"}
            problem = slots.put_back(form, error, names)
    return problem


def _send(
    request: HttpRequest, saved: BeamProposal, form: ProposalForm, *, actor: Actor, now: datetime
) -> HttpResponse:
    key = request.POST.get("idempotency_key") or shell.new_key()
    _sent, error = acts.attempt_on(
        "beam_proposal",
        lambda: services.submit(actor=actor, proposal=saved, past=queries.past_of(saved), now=now, key=key),
    )
    if error is None:
        messages.success(request, gettext("已提交，等待用户办公室形式审查。"))
        return redirect(reverse("proposal", args=[saved.number]))
    return _page(request, saved, form, error=slots.put_back(form, error, form.names(saved)))


def _page(
    request: HttpRequest, found: BeamProposal, form: ProposalForm, *, error: Explained | None = None
) -> HttpResponse:
    now = timezone.now()
    lacking, _owed = services.wanting(proposal=found, past=queries.past_of(found), now=now)
    context = {
        "proposal": found,
        "form": form,
        "shift": timedelta(minutes=found.facility.length_min),
        "error": error,
        "answers": [one for one in found.answers.select_related("form") if one.file],
        "team": list(found.team.exclude(state="removed").select_related("organisation")),
        "lacking": [explain_reason(reason) for reason in lacking],
        "late": found.sent_at is None and found.call is not None and now >= found.call.during.upper,
        "key": shell.new_key(),
    }
    status = error.status if error else 422 if form.is_bound and form.errors else 200
    return shell.page(request, "beam/proposals/edit.html", context, status=status)
