"""Submit a job: the form, its price while it changes, and the submission itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import acts, shell
from portal.pages.job_desk import Desk
from portal.pages.job_form import JobForm
from portal.pages.jobsamples import SAMPLES, Sample
from portal.pages.slots import put_back
from scheduler.jobs import access, directives, rules, services, tasks

__all__ = ["job_new", "job_quote"]


def posted(request: HttpRequest) -> tuple[dict[str, Any], str]:
    """Return the form's values with an uploaded script in place of the typed one, and what is wrong with the file."""
    data: dict[str, Any] = {**request.POST.dict(), "more": request.POST.getlist("more")}
    data["attached"] = request.POST.getlist("attached")
    upload = request.FILES.get("script_file")
    if upload is None:
        return data, ""
    raw = upload.read(rules.MAX_SCRIPT_BYTES + 1)
    if len(raw) > rules.MAX_SCRIPT_BYTES:
        return data, gettext("脚本超过 1 MB。请把数据放进文件，脚本只保留命令。")
    try:
        data["script"] = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data, gettext("文件不是 UTF-8 文本。请用编辑器另存为 UTF-8 编码后再上传。")
    return data, ""


@shell.needs(Permission.JOB_SUBMIT)
def job_new(request: HttpRequest) -> HttpResponse:
    """Show the form with its price, and take the job."""
    desk = Desk(request)
    if request.method != "POST":
        return desk.show(desk.form(None, initial=desk.start()))
    key = request.POST.get("idempotency_key", "")
    data, problem = posted(request)
    if sample := SAMPLES.get(data.get("sample", "")):
        return desk.show(desk.unjudged(desk.form(_filled(request, data, sample))), key=key)
    if data.get("act") in {"use_script", "use_form"}:
        return _settled(desk, data, key=key)
    diff = desk.read(data)
    if diff is not None and not diff.of(*DIFFERENT):
        data, diff = {**data, "script": diff.script}, None
    form = desk.form(data)
    if diff is not None:
        return _differing(desk, form, diff, key=key)
    if problem:
        form.add_error("script_file", problem)
    if data.get("act") == "quote":
        return desk.show(desk.unjudged(form), key=key)
    if form.errors:
        return desk.show(form, offer=desk.judged(form), key=key)
    wanted, error = shell.attempt(lambda: desk.wanted(form))
    if error is not None:
        return desk.show(form, error=put_back(form, error), key=key)
    return _submit(desk, form, wanted, key=key)


DIFFERENT = (directives.Treatment.CONFLICTS, directives.Treatment.UNSUPPORTED, directives.Treatment.INVALID)


def _differing(desk: Desk, form: JobForm, diff: directives.Diff, *, key: str) -> HttpResponse:
    """Show what a pasted script says beside the form, field by field; the person decides which is right."""
    if desk.request.POST.get("act") == "quote":
        return desk.show(desk.unjudged(form), key=key, diff=diff)
    text = gettext("脚本里的 #SBATCH 指令与表单有 %(conflicts)s 处不同，%(unsupported)s 处不支持。请选择以哪个为准。")
    counts = {"conflicts": len(diff.conflicts), "unsupported": len(diff.unsupported) + len(diff.invalid)}
    return desk.show(form, error=Explained(422, "job.directives", text % counts, ()), key=key, diff=diff)


def _settled(desk: Desk, data: Mapping[str, Any], *, key: str) -> HttpResponse:
    """Take the script's word into the form, or the form's alone; show it with its price before it is submitted."""
    diff = desk.read(data)
    if diff is None:
        return desk.show(desk.unjudged(desk.form(data)), key=key)
    if data["act"] == "use_form":
        return desk.show(desk.unjudged(desk.form({**data, "script": diff.script})), key=key)
    taken = desk.taken(data, diff)
    if diff.invalid or taken["partition"] not in desk.partitions:
        return _differing(desk, desk.form(data), diff, key=key)
    messages.info(desk.request, gettext("已按脚本填好表单，指令已改为注释。请核对价格后提交。"))
    return desk.show(desk.unjudged(desk.form(taken)), key=key)


def _filled(request: HttpRequest, data: Mapping[str, Any], sample: Sample) -> Mapping[str, Any]:
    """Return the form's values with the sample's script, unless there is a script of one's own that would be lost."""
    script = rules.normalised(data.get("script") or "").strip()
    if script and script not in {each.script.strip() for each in SAMPLES.values()}:
        messages.info(request, gettext("脚本已有内容，没有替换。要填入示例，请先清空脚本。"))
        return data
    return {**data, "script": sample.script, "title": data.get("title") or gettext(sample.title)}


def _submit(desk: Desk, form: JobForm, wanted: services.Wanted, *, key: str) -> HttpResponse:
    """Submit; on refusal show the form again with every reason, the script and all input kept."""
    before = access.visible_to(desk.actor).filter(key=key).first()
    offer = desk.offer(form, judge_script=True)
    if before is None and not offer.reasons and desk.request.POST.get("seen") != offer.seen:
        # Something changed after the price was shown: show it, then ask again.
        return desk.show(form, offer=offer, error=_price_changed(), key=key)
    made, error = acts.attempt_on(
        "job",
        lambda: services.submit(
            actor=desk.actor,
            wanted=wanted,
            now=desk.now,
            key=shell.key_of(desk.request),
            dispatch=tasks.hint(tasks.dispatch),
        ),
    )
    if error is not None:
        if error.code == acts.SentBefore.code and before is not None:
            return desk.show(form, offer=offer, error=_asked_before(before.number))
        return desk.show(form, offer=offer, error=put_back(form, error), key=key)
    if before is None:
        text = gettext("已提交作业 %(number)s，为它冻结 %(amount)s。")
        messages.success(desk.request, text % {"number": made.number, "amount": Money(made.charge.price_fen)})
    return redirect("job", number=made.number)


def _price_changed() -> Explained:
    text = gettext("资源、时限或付款方式有变，价格已更新。请核对价格，再次提交即可。")
    return Explained(409, "price.changed", text, ())


def _asked_before(number: str) -> Explained:
    text = gettext("这张表单已提交过，作业号为 %(number)s。如需另外提交一个作业，请核对后再次提交。")
    return Explained(409, "job.asked_before", text % {"number": number}, ())


@shell.needs(Permission.JOB_SUBMIT)
def job_quote(request: HttpRequest) -> HttpResponse:
    """Show the price and everything against the job while the form changes. Holds nothing."""
    desk = Desk(request)
    return shell.page(request, "jobs/quote.html", {"offer": desk.offer(desk.form(request.GET.dict()))})
