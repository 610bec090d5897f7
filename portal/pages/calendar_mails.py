"""Whether and in which language one gets calendar mails: a form on the page of one's subscriptions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.kernel.actors import Actor, Permission
from portal.pages import shell
from scheduler.invitations import access, services
from scheduler.invitations.models import CalendarMailChoice

__all__ = ["MailForm", "calendar_mails", "form_of"]


LANGUAGES = [
    (CalendarMailChoice.Language.CHINESE.value, _("中文")),
    (CalendarMailChoice.Language.ENGLISH.value, _("英文")),
]


class MailForm(forms.Form):
    """One's choice."""

    wanted = forms.BooleanField(
        label=_("预约确认、改期或取消时，给我发日历邮件"),
        required=False,
        help_text=_("日历软件会据此更新您的日程。关闭后订阅地址照常可用。"),
    )
    language = forms.ChoiceField(label=_("邮件语言"), choices=LANGUAGES)


def form_of(actor: Actor, data: Any = None) -> MailForm:
    """Return the form as it stands, or as it was sent."""
    choice = access.own_choice(actor)
    return MailForm(data, initial={"wanted": choice.wanted, "language": choice.language}, auto_id="mail_%s")


@require_POST
@shell.needs(Permission.BOOKING_REQUEST)
def calendar_mails(request: HttpRequest) -> HttpResponse:
    """Set one's choice."""
    actor = shell.actor_of(request)
    form = form_of(actor, request.POST)
    if form.is_valid():
        values = form.cleaned_data
        services.choose(actor=actor, wanted=values["wanted"], language=values["language"], now=timezone.now())
        messages.success(request, gettext("日历邮件的设置已保存。"))
    else:
        messages.error(request, gettext("没有保存：请选择列出的语言。"))
    return redirect("my_feeds")
