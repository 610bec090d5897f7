"""At the bench: the sign a lab prints, and the page its code leads a telephone to."""

from __future__ import annotations

import io
import json
from typing import Final

import segno
import typst
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal import links
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.pages import acts, shell
from portal.pages.templatetags.show import bilingual
from portal.papers import font
from portal.wire import language
from scheduler.benches import access, rules, services
from scheduler.resources import access as resources

__all__ = ["bench", "bench_sign", "bench_sign_pdf"]

SOURCE: Final = """
#let d = json(bytes(sys.inputs.sign))
#set document(title: d.title, date: none)
#set page(paper: "a5", margin: 14mm)
#set text(font: (d.font, "Libertinus Serif"), size: 12pt, lang: d.lang)
#align(center)[
  #text(size: 22pt, weight: "bold", d.title) \\
  #v(2mm) #d.name \\ #text(fill: luma(90), d.number)
  #v(4mm) #image(bytes(d.qr), format: "svg", width: 80mm)
  #v(4mm) #d.how
]
"""
"""The sign, A5. What people typed goes in as data and is never read as markup."""


@shell.needs(Permission.INSTRUMENT_MANAGE)
def bench_sign(request: HttpRequest, number: str) -> HttpResponse:
    """Show which code holds at an instrument's bench; make a new one, which ends the old."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_own_instrument(actor, number)
    if request.method == "POST":
        services.renew(actor=actor, resource=resource, now=now)
        messages.success(request, gettext("已生成新的签到码，旧的立即失效。请打印并替换。"))
        return redirect("bench_sign", number)
    code = access.code_of(resource)
    context = {"resource": resource, "code": code, "path": reverse("bench", args=[code]) if code else ""}
    return shell.page(request, "bench/sign.html", context)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def bench_sign_pdf(request: HttpRequest, number: str) -> HttpResponse:
    """Return the sign to print, with its code. Raises FontMissing."""
    resource = resources.get_own_instrument(shell.actor_of(request), number)
    code = access.code_of(resource)
    if not code:
        raise NotFound
    picture = io.BytesIO()
    url = links.absolute(request, reverse("bench", args=[code]))
    segno.make(url, error="q").save(picture, kind="svg", xmldecl=False, border=2)
    said = {
        "title": gettext("扫码签到"),
        "name": bilingual(resource),
        "number": resource.number,
        "how": gettext("使用开始和结束时各扫一次。须登录并有当前时段的预约。"),
        "qr": picture.getvalue().decode(),
        "lang": language(),
        "font": font(),
    }
    made = typst.compile(SOURCE.encode(), sys_inputs={"sign": json.dumps(said, ensure_ascii=False)})
    response = HttpResponse(made, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="bench-{resource.number}.pdf"'
    response["Cache-Control"] = "private, no-store"
    return response


@shell.guarded
def bench(request: HttpRequest, code: str) -> HttpResponse:
    """Show a bench to whoever reads its code; who has a booking now checks in or out, others see when it is free."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    resource = access.get_resource(code)
    error = None
    if request.method == "POST" and actor is not None:
        act = {"in": services.check_in, "out": services.check_out}[shell.act_of(request, "in", "out")]
        _done, error = acts.attempt_on("booking", lambda: act(actor=actor, code=code, now=now))
        own = access.look(actor, resource, now=now).own
        if error is not None and act is services.check_in and own is not None and own.state == access.IN_USE:
            return redirect("bench", code)  # tapped twice: the page says that it is in use
        if error is None:
            said = gettext("已签到，开始使用。") if act is services.check_in else gettext("已结束使用，费用已结算。")
            messages.success(request, said)
            return redirect("bench", code)
    looked = access.look(actor, resource, now=now)
    soon = None if looked.own else access.soon(actor, resource, now=now)
    context = {
        "bench": looked,
        "soon": soon,
        "opens_at": soon.starts_at - rules.EARLY if soon and soon.state == access.CONFIRMED else None,
        "in_use": access.IN_USE,
        "error": error,
        "path": request.path,
    }
    return shell.page(request, "bench/bench.html", context, status=error.status if error else 200)
